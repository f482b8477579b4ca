"""The outbox, which makes a retry byte for byte the same.

Rules
1. The sealed request is in the outbox, with its idempotency key, before it is first sent; acknowledged, it leaves.
   Requests are sent in the order in which they were sealed, so a retraction never overtakes its report.
2. A request is dropped, with an error, only where it can never be accepted: the node refused what is in it, or it is a
   report older than six days that the node never got, for followers rely on an entry being sequenced within a week of
   its period. Every other refusal may pass (a charter, a certificate, a full disk), so the request stays.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tocsin.client import deadline
from tocsin.client.errors import RefusedByNode, SubmissionLost
from tocsin.client.ports import NodeApi
from tocsin.client.vault import OutboxKind, OutboxRow, Vault
from tocsin.oprf.group import Random
from tocsin.sealing.box import BODY_BYTES, HEADER_BYTES, TAG_BYTES
from tocsin.wire.limits import IDEMPOTENCY_KEY_BYTES, MAX_ENTRIES
from tocsin.wire.reasons import Reason
from tocsin.wire.values import WireEntry

logger = logging.getLogger("tocsin.client")

_ENTRY_BYTES = HEADER_BYTES + BODY_BYTES
_STALE_SECONDS = 6 * 86_400
_DAY = 86_400
# What the node says of the request itself, whose bytes never change; whatever else it refuses for may pass.
_FINAL = frozenset(
    {
        Reason.INVALID_ENTRY,
        Reason.EXPIRED_ENTRY,
        Reason.TOO_MANY_ENTRIES,
        Reason.INVALID_IDEMPOTENCY_KEY,
        Reason.IDEMPOTENCY_CONFLICT,
        Reason.INVALID_REQUEST,
    }
)


@dataclass(frozen=True, slots=True)
class Sent:
    """What a flush of the outbox achieved: entries accepted or covered, by the request's idempotency key."""

    counts: Mapping[bytes, int]

    def accepted(self, keys: Iterable[bytes]) -> int:
        """Return the count of these requests alone: others, of earlier calls, may have waited before them."""
        return sum(self.counts.get(key, 0) for key in keys)


class Outbox:
    """The outbox of one vault. The node that takes its requests is given with each flush."""

    def __init__(self, vault: Vault, random: Random) -> None:
        self._vault = vault
        self._random = random
        self._sending = threading.Lock()

    def enqueue_entries(self, entries: Sequence[WireEntry], now: int) -> tuple[bytes, ...]:
        """Put sealed entries into the outbox, at most 1,000 a request. Returns the requests' keys."""
        keys = []
        for start in range(0, len(entries), MAX_ENTRIES):
            payload = b"".join(entry.header + entry.body for entry in entries[start : start + MAX_ENTRIES])
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

    def flush(self, node: NodeApi, now: int) -> Sent:
        """Send whatever waits, oldest first (rule 2).

        Raises `Unavailable` or `RefusedByNode` where the node may take it later (it stays in the outbox), and
        `SubmissionLost` where it never will.
        """
        with self._sending:
            sent = Sent({row.idempotency_key: self._send(node, row, now) for row in self._vault.outbox()})
        if sent.counts:
            logger.info("the node acknowledged %d requests of the outbox", len(sent.counts))
        return sent

    def _send(self, node: NodeApi, row: OutboxRow, now: int) -> int:
        deadline.check()
        key = row.idempotency_key
        too_old = row.kind is OutboxKind.SUBMIT and now - row.created > _STALE_SECONDS
        if too_old and node.submission(key) is None:
            self._drop(row)
            raise SubmissionLost(
                f"a {row.kind} request sealed {(now - row.created) // _DAY} days ago never reached the node and is now "
                "too old to be sent; it was dropped: report or retract again"
            )
        try:
            if row.kind is OutboxKind.SUBMIT:
                acknowledged = node.submit(key, _entries(row.payload))
            else:
                acknowledged = node.retract(key, row.payload)
        except RefusedByNode as error:
            if error.reason not in _FINAL:
                raise
            self._drop(row)
            raise SubmissionLost(f"a {row.kind} request was dropped from the outbox: {error}") from error
        self._vault.settle(key)
        return acknowledged.count

    def _drop(self, row: OutboxRow) -> None:
        if row.kind is OutboxKind.SUBMIT:
            # Else a renewal that is lost would count as made.
            self._vault.unmark_sealed()
        self._vault.settle(row.idempotency_key)


def _entries(payload: bytes) -> list[WireEntry]:
    return [
        WireEntry(payload[at : at + HEADER_BYTES], payload[at + HEADER_BYTES : at + _ENTRY_BYTES])
        for at in range(0, len(payload), _ENTRY_BYTES)
    ]
