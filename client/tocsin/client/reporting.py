"""Sealing reports, renewing and retracting them, and the outbox that makes a retry byte for byte the same.

Rules
1. One report is one entry: current period, newest live epoch, not_after by its class's retention.
2. The sealed request is in the outbox, with its idempotency key, before it is first sent; acknowledged, it leaves.
   Requests are sent in the order in which they were sealed, so a retraction never overtakes its report.
3. A request is dropped, loudly, only where it can never be taken: the node refused what is in it, or it is a report
   older than six days that the node never took, for followers rely on an entry being sequenced within a week of its
   period. Every other refusal passes (a charter, a certificate, a disk), so the request stays.
4. Renewing seals again, from the stored F, what is live in the member's own log and not yet in the current period: so
   one client does not renew what another retracted. What this client sealed in the current period is not due, though
   the log does not show it before the tick: an old label would come to lie above a new report.
5. Retracting covers every live index under the value's tags, for every purpose, live period and live epoch (M-7.10).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tocsin.charter.document import ClassKey
from tocsin.client.charters import Standing
from tocsin.client.errors import RefusedByNode, SubmissionLost
from tocsin.client.matching import Subject, Taggers, look_up, open_all
from tocsin.client.ports import NodeApi
from tocsin.client.vault import OutboxKind, OutboxRow, Vault
from tocsin.indicators.registry import TYPES
from tocsin.oprf.group import Random
from tocsin.sealing.box import BODY_BYTES, HEADER_BYTES, TAG_BYTES, Purpose, SealInfo, seal
from tocsin.sealing.label import Dispute, Report, encode_label
from tocsin.sealing.pepper import period_secret
from tocsin.tlog.entry import sealed_header, weeks_after
from tocsin.wire.limits import IDEMPOTENCY_KEY_BYTES, MAX_ENTRIES
from tocsin.wire.values import WireEntry

_ENTRY_BYTES = HEADER_BYTES + BODY_BYTES
_STALE_SECONDS = 6 * 86_400
_DAY = 86_400
# What the node says of the request itself, whose bytes never change; whatever else it refuses for may pass.
_FINAL = frozenset(
    {
        "INVALID_ENTRY",
        "EXPIRED_ENTRY",
        "TOO_MANY_ENTRIES",
        "INVALID_IDEMPOTENCY_KEY",
        "IDEMPOTENCY_CONFLICT",
        "INVALID_REQUEST",
    }
)


@dataclass(frozen=True, slots=True)
class Sent:
    """What a flush of the outbox achieved: entries accepted or covered, by the request's idempotency key."""

    counts: Mapping[bytes, int]

    def accepted(self, keys: Iterable[bytes]) -> int:
        """Return the count of these requests alone: others, of earlier calls, may have waited before them."""
        return sum(self.counts.get(key, 0) for key in keys)


def seal_label(
    standing: Standing, class_key: ClassKey, output: bytes, label: Report | Dispute, now: int, random: Random
) -> WireEntry:
    """Seal a label under a value's F as an entry of the current period (rule 1)."""
    purpose = Purpose.REPORT if isinstance(label, Report) else Purpose.DISPUTE
    return seal_content(standing, class_key, output, purpose, encode_label(label), now, random)


def seal_content(
    standing: Standing,
    class_key: ClassKey,
    key: bytes,
    purpose: Purpose,
    content: bytes,
    now: int,
    random: Random,
) -> WireEntry:
    """Seal the content of a box under the key of Z as an entry of the current period (rule 1)."""
    period = standing.charter.period_at(now)
    header = sealed_header(
        class_key.key_class, class_key.epoch, period, weeks_after(now, class_key.retention_days * _DAY)
    ).encode()
    body = seal(
        period_secret(standing.pepper(period), key),
        purpose,
        SealInfo(class_key.key_class, class_key.epoch, period),
        federation=standing.charter.federation,
        writer=standing.member.id,
        header=header,
        plaintext=content,
        random=random,
    )
    return WireEntry(header, body)


class Reporter:
    """Puts requests into the outbox and gets them acknowledged."""

    def __init__(self, node: NodeApi, vault: Vault, random: Random) -> None:
        self._node = node
        self._vault = vault
        self._random = random
        self._sending = threading.Lock()

    def enqueue_entries(self, entries: Sequence[WireEntry], now: int) -> tuple[bytes, ...]:
        """Put sealed entries into the outbox, at most 1,000 a request. Returns the requests' keys."""
        keys = []
        for start in range(0, len(entries), MAX_ENTRIES):
            payload = b"".join(each.header + each.body for each in entries[start : start + MAX_ENTRIES])
            keys.append(self._random(IDEMPOTENCY_KEY_BYTES))
            self._vault.enqueue(OutboxKind.SUBMIT, keys[-1], payload, now)
        return tuple(keys)

    def enqueue_retraction(self, tags: bytes, now: int) -> tuple[bytes, ...]:
        """Put a retraction of these tags (concatenated) into the outbox, at most 1,000 a request. Returns the keys."""
        keys = []
        step = MAX_ENTRIES * TAG_BYTES
        for start in range(0, len(tags), step):
            keys.append(self._random(IDEMPOTENCY_KEY_BYTES))
            self._vault.enqueue(OutboxKind.RETRACT, keys[-1], tags[start : start + step], now)
        return tuple(keys)

    def flush(self, now: int) -> Sent:
        """Send whatever waits, oldest first (rule 2).

        Raises `Unavailable` or `RefusedByNode` where the node may take it later (it stays in the outbox), and
        `SubmissionLost` where it never will.
        """
        with self._sending:
            return Sent({row.idempotency_key: self._send(row, now) for row in self._vault.outbox()})

    def _send(self, row: OutboxRow, now: int) -> int:
        key = row.idempotency_key
        too_old = row.kind is OutboxKind.SUBMIT and now - row.created > _STALE_SECONDS
        if too_old and self._node.submission(key) is None:
            self._drop(row)
            raise SubmissionLost(
                f"a request of {row.kind} sealed {(now - row.created) // _DAY} days ago never reached the node and is "
                "too old to be sent now; it was dropped: report or retract again"
            )
        try:
            if row.kind is OutboxKind.SUBMIT:
                acknowledged = self._node.submit(key, _entries(row.payload))
            else:
                acknowledged = self._node.retract(key, row.payload)
        except RefusedByNode as error:
            if error.reason not in _FINAL:
                raise
            self._drop(row)
            raise SubmissionLost(f"a request of {row.kind} was dropped from the outbox: {error}") from error
        self._vault.settle(key)
        return acknowledged.count

    def _drop(self, row: OutboxRow) -> None:
        if row.kind is OutboxKind.SUBMIT:
            # Else a renewal that is lost would count as made.
            self._vault.unmark_sealed()
        self._vault.settle(row.idempotency_key)


def renewals(
    node: NodeApi, vault: Vault, standing: Standing, now: int, random: Random
) -> list[tuple[Subject, WireEntry, Report | Dispute]]:
    """Seal again what this client reported and what is live only in an earlier period (rule 4), with its label."""
    current = standing.charter.period_at(now)
    taggers = Taggers(standing, [standing.member.id], standing.periods(0, now))
    renewed: list[tuple[Subject, WireEntry, Report | Dispute]] = []
    for class_key, subjects in _reported(vault, standing, now):
        newest: dict[tuple[bytes, Purpose], int] = {}
        found = look_up(node, taggers, subjects)
        for candidate in found:
            place = candidate.slot.subject.key, candidate.slot.purpose
            newest[place] = max(newest.get(place, 0), candidate.slot.info.period)
        due = [
            each
            for each in found
            if each.slot.info.period == newest[each.slot.subject.key, each.slot.purpose] < current
        ]
        for each in open_all(node, standing, due, now).opened:
            subject = each.candidate.slot.subject
            entry = seal_label(standing, class_key, subject.output, each.content, now, random)
            renewed.append((subject, entry, each.content))
    return renewed


def retraction_tags(standing: Standing, subjects: Iterable[Subject], now: int) -> bytes:
    """Return every tag under which the member's own log may hold live entries of these values (rule 5)."""
    taggers = Taggers(standing, [standing.member.id], standing.periods(0, now))
    return b"".join(tags for subject in subjects for _, tags in taggers.slots(subject))


def _reported(vault: Vault, standing: Standing, now: int) -> list[tuple[ClassKey, list[Subject]]]:
    by_epoch: dict[tuple[str, int], list[bytes]] = {}
    current = standing.charter.period_at(now)
    for each in vault.reported():
        if each.sealed is not None and each.sealed >= current:
            continue
        by_epoch.setdefault((each.type, each.epoch), []).append(each.key)
    found = []
    for (type, epoch), keys in by_epoch.items():
        if type not in TYPES:
            continue
        for class_key in standing.live_classes(TYPES[type].key_class, now):
            if class_key.epoch == epoch:
                subjects = [
                    Subject(key, type, class_key.key_class, epoch, output)
                    for key, output in vault.outputs(epoch, keys).items()
                ]
                found.append((class_key, subjects))
    return found


def _entries(payload: bytes) -> list[WireEntry]:
    return [
        WireEntry(payload[at : at + HEADER_BYTES], payload[at + HEADER_BYTES : at + _ENTRY_BYTES])
        for at in range(0, len(payload), _ENTRY_BYTES)
    ]
