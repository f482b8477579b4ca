"""This member's log: take entries from its client, sequence them at each tick, sign what peers may see.

1. Acknowledged means durable: entries are committed with their idempotency key before the answer (M-6.10).
2. A tick puts what waits in one order (sealed entries by tag, then RETRACTs, then CHARTERs), so that neighbours say
   nothing (M-6.11). It appends in that order, signs and cosigns a checkpoint, marks submissions as sequenced and erases
   what was retracted, in one transaction. Many small submissions take several, with other writes in
   between. Nothing signed leaves the node unless its transaction is durable, so there are never two roots for one size
   (M-6.12).
3. A retraction covers every live entry under its tags that was acknowledged before it. If one of those was not
   sequenced yet and is not part of this tick, the retraction waits. A tick that carries out retractions is one
   transaction (M-6.14).
4. The time of a checkpoint never goes back. A clock that is more than 10 minutes behind what the store has seen stops
   the tick (M-6.13).
5. With nothing waiting, the checkpoint's own cosignature is renewed every few ticks: that is how peers tell a quiet
   log from a dead one.
6. Nothing is signed before peers were asked what they hold of this log, nor against what they hold (`own_history`).
7. The log grows by what the charter allows, as its followers count it; what is above waits. Retractions never wait for
   that, but they count (M-6.24).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from tocsin.charter.document import Charter, NotAMember
from tocsin.node.model import Append, LogTip
from tocsin.node.ports import (
    IdempotencyConflict,
    Signer,
    StoreError,
    Transaction,
)
from tocsin.node.service.checked_clock import CheckedClock
from tocsin.node.service.errors import (
    ExpiredEntry,
    InvalidEntry,
    InvalidIdempotencyKey,
    KeyReused,
    NotReady,
    ServiceError,
    TooManyEntries,
    UnknownKeyClass,
    UnknownKeyEpoch,
    UnknownSubmission,
)
from tocsin.node.service.following.rule import CLOCK_AHEAD_S, Allowance
from tocsin.node.service.log_keys import cosigner, is_signed
from tocsin.node.service.membership import Membership
from tocsin.node.service.notifications import ChangeNotifications
from tocsin.node.service.own_checkpoints import OwnCheckpoints
from tocsin.node.service.own_history import PATIENCE_S, OwnHistory
from tocsin.node.service.store_gateway import StoreGateway
from tocsin.node.service.tick.plan import TickPlan
from tocsin.oprf.group import Random
from tocsin.sealing.box import cover_body
from tocsin.tlog.cosignature import add_cosignature
from tocsin.tlog.entry import (
    TAG_BYTES,
    Entry,
    Header,
    Kind,
    parse_body,
    sealed_header,
    weeks_after,
)
from tocsin.tlog.errors import TlogError
from tocsin.wire.limits import IDEMPOTENCY_KEY_BYTES, MAX_ENTRIES
from tocsin.wire.values import Acknowledged, MemberId, Stored, SubmissionStatus

MOST_PER_TICK = 20_000
MOST_SUBMISSIONS = 30
REFRESH_TICKS = 10
CLOCK_BEHIND_S = 600

_log = structlog.get_logger(__name__)


class ClockBehind(NotReady):
    """The clock is more than 10 minutes behind what the store has seen; nothing is signed until it is corrected."""


@dataclass(frozen=True)
class PublishingSettings:
    """How often, and how much. `tick_seconds` None means the charter's.

    `most_per_tick` entries are put in one order, `most_submissions` small submissions completed in one transaction.
    """

    tick_seconds: float | None = None
    cover_entries: int = 0
    most_per_tick: int = MOST_PER_TICK
    most_submissions: int = MOST_SUBMISSIONS
    patience_s: float = PATIENCE_S


@dataclass(frozen=True)
class Ticked:
    """What one transaction of a tick did: size of the log after it, entries appended.

    `full`: more is due, and does not wait for the next tick.
    """

    size: int
    appended: int
    full: bool = False


class Publishing:
    """The one writer of this member's log."""

    def __init__(
        self,
        member: MemberId,
        membership: Membership,
        gateway: StoreGateway,
        signer: Signer,
        history: OwnHistory,
        notifications: ChangeNotifications,
        clock: CheckedClock,
        random: Random,
        settings: PublishingSettings = PublishingSettings(),
    ) -> None:
        self._member = member
        self._membership = membership
        self._gateway = gateway
        self._signer = signer
        self._history = history
        self._notifications = notifications
        self._clock = clock
        self._random = random
        self._settings = settings
        self._checkpoints = OwnCheckpoints(member, signer)
        self._problem: str | None = None
        self._plan = TickPlan(member, settings.most_per_tick, settings.most_submissions)

    def check_ticks(self) -> None:
        """Raise `NotReady` while ticks fail."""
        if self._problem is not None:
            raise NotReady(self._problem)

    @property
    def problem(self) -> str | None:
        """Why the last tick did not happen, None if it did."""
        return self._history.problem or self._problem or self._clock.problem

    def tick_seconds(self) -> float:
        """Seconds between two ticks."""
        return self._settings.tick_seconds or self._membership.charter.tick_seconds

    async def submit(self, idempotency_key: bytes, entries: Sequence[Entry]) -> Acknowledged:
        """Store sealed entries for the next tick; durable when this returns.

        Raises `InvalidIdempotencyKey`, `TooManyEntries`, `InvalidEntry`, `ExpiredEntry`, `KeyReused`,
        `CharterExpired`, `DiskFull` or `CannotStore`; nothing is stored then.
        """
        _check_key(idempotency_key)
        if not 1 <= len(entries) <= MAX_ENTRIES:
            raise TooManyEntries(f"a submission is 1 to {MAX_ENTRIES} entries, this one has {len(entries)}")
        now = self._clock.now()
        charter = self._membership.check_fresh(now)
        try:
            checked: Header | None = None  # the entries of a submission differ in few headers
            for position, entry in enumerate(entries):
                if entry.header != checked:
                    self._check_entry(charter, position, entry, now)
                    checked = entry.header
        except ServiceError:
            # What was acknowledged once stays so, though an entry may have expired since.
            if await self._gateway.read(lambda snapshot: snapshot.submission(idempotency_key)) is None:
                raise
        # M-6.10: acknowledged means durable; a key has one effect.
        digest = _digest(b"submit", [entry.header.encode() + entry.body_bytes() for entry in entries])
        try:
            return await self._gateway.write(
                lambda transaction: transaction.submit(idempotency_key, digest, entries, now)
            )
        except IdempotencyConflict as error:
            raise KeyReused(_REUSED, "idempotency_key") from error

    async def retract(self, idempotency_key: bytes, tags: Sequence[bytes]) -> Acknowledged:
        """Store a retraction of every live entry of this member under these 16-byte tags; durable when this returns.

        Raises as `submit` does.
        """
        _check_key(idempotency_key)
        if not 1 <= len(tags) <= MAX_ENTRIES or any(len(tag) != TAG_BYTES for tag in tags):
            raise TooManyEntries(f"a retraction names 1 to {MAX_ENTRIES} tags of {TAG_BYTES} bytes", "tags")
        now = self._clock.now()
        digest = _digest(b"retract", tags)
        try:
            return await self._gateway.write(
                lambda transaction: transaction.retract(idempotency_key, digest, tags, now)
            )
        except IdempotencyConflict as error:
            raise KeyReused(_REUSED, "idempotency_key") from error

    async def submission(self, idempotency_key: bytes) -> SubmissionStatus:
        """Return what became of a submission or retraction. Raises `UnknownSubmission`."""
        _check_key(idempotency_key)
        status = await self._gateway.read(lambda snapshot: snapshot.submission(idempotency_key))
        if status is None:
            raise UnknownSubmission(
                "no submission has this idempotency key; submit it again", "idempotency_key"
            )
        return status

    async def tick(self) -> Ticked:
        """Sequence what is due and sign it, as much as one transaction may hold.

        Raises `OldHistory`, `ClockBehind`, `CharterExpired`, `NotReady`, `CannotStore` or `DiskFull`; nothing is
        signed then.
        """
        await self._history.compare()
        self._check_clock()
        now = self._clock.now()
        charter = self._membership.check_fresh(now)
        if not self._plan.ordered:
            await self._gateway.read(
                lambda snapshot: self._plan.order(
                    snapshot,
                    lambda: self._cover(charter, now),
                    self._allowed(snapshot.tip(self._member), charter, now),
                )
            )
        try:
            ticked, taken = await self._gateway.write_alone(
                lambda transaction: self._tick(transaction, charter, now)
            )
        except BaseException:
            self._plan.forget()
            self._checkpoints.forget()
            raise
        self._plan.appended(taken)
        if ticked.appended:
            self._notifications.notify()
        return ticked

    async def run(self) -> None:
        """Tick until cancelled. Why a tick failed is kept in `problem`, and the next one tries again."""
        while True:
            full, began = False, self._clock.monotonic()
            try:
                full = (await self.tick()).full
            except (ServiceError, StoreError, TlogError, NotAMember) as error:
                if str(error) != self._problem:
                    _log.warning("tick-failed", problem=str(error))
                self._problem = str(error)
            else:
                self._problem = None
            # What waits does not wait for the next tick, else a backlog would only grow. Half of the time is left to
            # the writes that came meanwhile.
            spent = self._clock.monotonic() - began
            await asyncio.sleep(spent if full else self.tick_seconds())

    def _check_entry(self, charter: Charter, position: int, entry: Entry, now: int) -> None:
        header, field = entry.header, f"entries[{position}]"
        if header.kind is not Kind.SEALED:
            raise InvalidEntry(f"entry {position} is a {header.kind.name}; clients submit SEALED only", field)
        try:
            key = self._membership.enterable_class(header.key_class, header.epoch)
        except (UnknownKeyClass, UnknownKeyEpoch) as error:
            raise InvalidEntry(f"entry {position}: {error.message}", field) from error
        # An older one is only useless; a newer one would hold up everybody's streams of this log.
        if header.period > charter.period_at(now + CLOCK_AHEAD_S):
            raise InvalidEntry(f"entry {position} is of period {header.period}, which has not begun", field)
        if not header.is_live(now):
            raise ExpiredEntry(f"entry {position} has expired; seal it again", field)
        if header.not_after > weeks_after(now, key.retention_days * 86_400):
            raise ExpiredEntry(
                f"entry {position} would be kept longer than the {key.retention_days} days of class "
                f"{key.key_class}",
                field,
            )

    def _tick(self, transaction: Transaction, charter: Charter, now: int) -> tuple[Ticked, int]:
        """Do one transaction; also return how much of the plan it took."""
        tip = transaction.tip(self._member)
        # M-6.13: no signature by a clock that is more than 10 minutes behind. What other writes recorded while the
        # clock was unsure does not count against a time that others have confirmed.
        seen = tip.time if self._clock.confirmed else transaction.seen_time()
        if now < seen - CLOCK_BEHIND_S:
            raise ClockBehind(
                f"system clock is {seen - now} s behind the last recorded time; correct it to resume publishing"
            )
        # What peers said of their own time must not push this log's ahead; only its own last time does.
        # M-6.13: the time of a checkpoint does not go back.
        time = max(now, tip.time)
        allowed = self._allowed(tip, charter, now)
        batch, taken = self._plan.lay_out(transaction, tip.size, lambda: self._cover(charter, now), allowed)
        signing = self._checkpoints.sign_again(transaction, charter)
        appends = bool(batch.stored or batch.done) or not tip.checkpoint
        if appends:
            leaves = [stored.leaf_hash() for stored in batch.stored]
            frontier, nodes, intermediates = self._checkpoints.extend(charter, tip.frontier, leaves, time)
            note = self._checkpoints.sign(charter, frontier, time)
            allowance = Allowance(tip.paced_until, charter.policy.entries_per_day)
            transaction.append(
                Append(
                    self._member,
                    tip.size,
                    batch.stored,
                    nodes,
                    frontier,
                    note,
                    time,
                    [*batch.erase, *_expired(batch.stored, now)],
                    batch.assigned,
                    batch.done,
                    allowance.after(len(leaves), now),
                    intermediates,
                )
            )
        if not appends and not is_signed(charter, self._member, tip.checkpoint):
            # A new charter gave this log another key: a quiet log, too, must be found under it.
            transaction.save_checkpoint(
                self._member, self._checkpoints.sign(charter, tip.frontier, time), time
            )
        elif not appends and time - tip.time >= REFRESH_TICKS * self.tick_seconds():
            note = add_cosignature(tip.checkpoint, cosigner(charter, self._member, self._signer), time)
            transaction.save_checkpoint(self._member, note, time)
        full = signing or self._plan.more_after(taken)
        return Ticked(tip.size + len(batch.stored), len(batch.stored), full), taken

    def _check_clock(self) -> None:
        # M-6.25: nothing is signed by a clock that is not sure.
        self._clock.check(alone=not self._membership.others())

    def _allowed(self, tip: LogTip, charter: Charter, now: int) -> int:
        # M-6.24: nothing of an earlier silence is saved up beyond what followers count.
        return Allowance(tip.paced_until, charter.policy.entries_per_day).left(now, now)

    def _cover(self, charter: Charter, now: int) -> list[Entry]:
        keys = [
            key
            for number in sorted({key.key_class for key in charter.classes})
            for key in charter.live_classes(number, now)[:1]
        ]
        entries: list[Entry] = []
        for _ in range(self._settings.cover_entries if keys else 0):
            key = keys[int.from_bytes(self._random(8), "big") % len(keys)]
            header = sealed_header(
                key.key_class,
                key.epoch,
                charter.period_at(now),
                weeks_after(now, key.retention_days * 86_400),
            )
            entries.append(Entry(header, parse_body(cover_body(self._random))))
        return entries


def _expired(entries: Sequence[Stored], now: int) -> list[int]:
    """Return which of these expired while they waited: their bodies are never stored."""
    return [
        stored.index
        for stored in entries
        if stored.entry.body is not None and not stored.entry.header.is_live(now)
    ]


def _check_key(idempotency_key: bytes) -> None:
    if len(idempotency_key) != IDEMPOTENCY_KEY_BYTES:
        raise InvalidIdempotencyKey(
            f"an idempotency key is {IDEMPOTENCY_KEY_BYTES} random bytes, this one has {len(idempotency_key)}",
            "idempotency_key",
        )


def _digest(label: bytes, parts: Sequence[bytes]) -> bytes:
    digest = hashlib.sha256(label)
    for part in parts:
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()


_REUSED = "the idempotency key was used before with other content; choose a new random one"
