"""A store in memory: the port's meaning without a disk, for tests. The contract suite keeps it equal to the others.

Rules
1. A committed state is never changed. A write works on a draft that shares every table with it and copies a table
   before the first change, so reads need no lock and see one state.
2. A savepoint is the same again, inside the draft.
3. Close drops everything; nothing here is durable.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

from tocsin.node.model import (
    KEPT_BATCHES,
    Append,
    Charge,
    Charged,
    Intermediate,
    LiveTags,
    LogTip,
    Pending,
    PendingRetraction,
)
from tocsin.node.ports import BudgetExhausted, IdempotencyConflict, StoreUnavailable, WrongStart
from tocsin.node.storage import rows
from tocsin.tlog.entry import Entry
from tocsin.tlog.merkle import Frontier, Hash
from tocsin.wire.values import Acknowledged, Kept, MemberId, Stored, SubmissionStatus, TagHit

_EMPTY = LogTip(Frontier(), b"", 0)


@dataclass(frozen=True)
class _Submission:
    number: int
    kind: int
    digest: bytes
    count: int
    entries: tuple[Entry, ...] = ()
    tags: tuple[bytes, ...] = ()
    indices: bytes = b""
    waits: bool = True
    waits_for: int = 0


@dataclass
class _State:
    seen_time: int = 0
    erased_week: int = 0
    tips: dict[MemberId, LogTip] = field(default_factory=dict)
    entries: dict[tuple[MemberId, int], Stored] = field(default_factory=dict)
    tags: dict[tuple[MemberId, bytes], tuple[int, ...]] = field(default_factory=dict)
    nodes: dict[tuple[MemberId, int, int], Hash] = field(default_factory=dict)
    submissions: dict[bytes, _Submission] = field(default_factory=dict)
    used: dict[tuple[MemberId, int, int, int], int] = field(default_factory=dict)
    batches: dict[tuple[int, int, int, MemberId], tuple[bytes, ...]] = field(default_factory=dict)
    intermediates: dict[int, Intermediate] = field(default_factory=dict)
    awaited: dict[tuple[MemberId, int], tuple[int, int]] = field(default_factory=dict)
    charters: dict[int, bytes] = field(default_factory=dict)
    forks: dict[tuple[MemberId, bytes], None] = field(default_factory=dict)
    audit: dict[int, tuple[int, str, str, bytes]] = field(default_factory=dict)


class MemorySnapshot:
    """See `tocsin.node.ports.Snapshot`."""

    def __init__(self, state: _State) -> None:
        self._state = state

    def members(self) -> list[MemberId]:
        """Whose logs have a tip here."""
        return list(self._state.tips)

    def tip(self, member: MemberId) -> LogTip:
        """Where the log stands; an empty log for a member not seen yet."""
        return self._state.tips.get(member, _EMPTY)

    def entries(self, member: MemberId, start: int, limit: int) -> list[Stored]:
        """Entries in order of index, without gaps."""
        end = min(start + limit, self.tip(member).size)
        return [self._state.entries[member, index] for index in range(start, end)]

    def entries_at(self, member: MemberId, indices: Sequence[int]) -> dict[int, Stored]:
        """The entries at these indices; absent ones are left out."""
        known = self._state.entries
        return {index: known[member, index] for index in sorted(set(indices)) if (member, index) in known}

    def nodes(self, member: MemberId, places: Iterable[tuple[int, int]]) -> dict[tuple[int, int], Hash]:
        """Stored complete nodes of the tree by (level, index)."""
        known = self._state.nodes
        return {place: known[member, *place] for place in places if (member, *place) in known}

    def intermediates(self, after: int, limit: int) -> list[Intermediate]:
        """Intermediate checkpoints of this member's own log above a size, ascending."""
        return [kept for size, kept in sorted(self._state.intermediates.items()) if size > after][:limit]

    def retracts_due(self, member: MemberId) -> int | None:
        """The size by which the RETRACT of every entry that came without its body is due; None where none did."""
        return max((due for (of, _), (due, _) in self._state.awaited.items() if of == member), default=None)

    def overdue(self, member: MemberId, week: int) -> int | None:
        """The lowest index, live after `week`, without its body and without the RETRACT that was due by now."""
        size, awaited = self.tip(member).size, self._state.awaited.items()
        overdue = (
            index
            for (of, index), (due, not_after) in awaited
            if of == member and due <= size and not_after > week
        )
        return min(overdue, default=None)

    def look_up(self, groups: Sequence[tuple[MemberId, bytes]]) -> list[TagHit]:
        """Live sealed entries under concatenated 16-byte tags, per writer."""
        return [
            TagHit(group, position, self._state.tags[member, tag])
            for group, (member, tags) in enumerate(groups)
            for position, tag in enumerate(rows.split_tags(tags))
            if (member, tag) in self._state.tags
        ]

    def newest(self, groups: Sequence[tuple[MemberId, bytes]], most: int) -> list[TagHit]:
        """As `look_up`, of each tag the `most` highest indices."""
        return [TagHit(hit.group, hit.position, hit.indices[-most:]) for hit in self.look_up(groups)]

    def new_tags(self, member: MemberId, start: int, limit: int, newest_period: int) -> LiveTags:
        """Live sealed entries from `start` on, stopping before an entry of a period newer than `newest_period`."""
        indices: list[int] = []
        tags: list[bytes] = []
        size = self.tip(member).size
        for index in range(start, size):
            entry = self._state.entries[member, index].entry
            if entry.body is None:
                continue
            if entry.header.period > newest_period:
                return LiveTags(tuple(indices), b"".join(tags), index)
            indices.append(index)
            tags.append(entry.body.tag)
            if len(indices) == limit:
                return LiveTags(tuple(indices), b"".join(tags), index + 1)
        return LiveTags(tuple(indices), b"".join(tags), max(start, size))

    def pending(self, limit: int) -> list[Pending]:
        """Acknowledged entries not sequenced yet, in order of acknowledgement."""
        return self._pending()[:limit]

    def pending_retractions(self) -> list[PendingRetraction]:
        """Acknowledged retractions not carried out yet, in order."""
        return [
            PendingRetraction(rows.order(known.number, 0), key, known.tags, known.waits_for)
            for key, known in self._state.submissions.items()
            if known.waits and known.kind == rows.RETRACTION
        ]

    def waiting(self) -> int:
        """How many entries are pending."""
        return len(self._pending())

    def submission(self, idempotency_key: bytes) -> SubmissionStatus | None:
        """What became of a submission or retraction; None for an unknown key."""
        known = self._state.submissions.get(idempotency_key)
        if known is None:
            return None
        return rows.submission_status(known.indices, waits=known.waits)

    def budget_used(self, caller: MemberId) -> Mapping[tuple[int, int, int], int]:
        """Evaluations charged to a caller by (class, epoch, seat)."""
        return {
            (key_class, epoch, seat): used
            for (who, key_class, epoch, seat), used in self._state.used.items()
            if who == caller
        }

    def charter(self, version: int) -> bytes | None:
        """The signed envelope of a version."""
        return self._state.charters.get(version)

    def forks(self) -> list[tuple[MemberId, bytes]]:
        """Proofs that an origin signed two histories."""
        return list(self._state.forks)

    def audit(self, limit: int) -> list[tuple[int, str, str, bytes]]:
        """The newest audit records first: (unix seconds, kind, detail, evidence)."""
        return list(self._state.audit.values())[::-1][:limit]

    def proofs(self, kind: str, limit: int) -> list[bytes]:
        """The newest evidence of one kind of audit record first, whatever else was recorded since."""
        records = list(self._state.audit.values())[::-1]
        return [evidence for _, of_kind, _, evidence in records if of_kind == kind and evidence][:limit]

    def erased_week(self) -> int:
        """The week up to which bodies were erased, 0 for none."""
        return self._state.erased_week

    def seen_time(self) -> int:
        """The latest unix second any write recorded: what a clock may not fall far behind."""
        return self._state.seen_time

    def _pending(self) -> list[Pending]:
        return [
            Pending(rows.order(known.number, position), key, position, entry)
            for key, known in self._state.submissions.items()
            if known.waits and known.kind == rows.ENTRIES
            for position, (entry, index) in enumerate(
                zip(known.entries, rows.given_indices(known.indices), strict=True)
            )
            if index is None
        ]


class MemoryTransaction(MemorySnapshot):
    """See `tocsin.node.ports.Transaction`. `draft` is the state that a commit makes current."""

    def __init__(self, committed: _State, member: MemberId) -> None:
        super().__init__(copy(committed))
        self._member = member
        self._copied: set[str] = set()

    @property
    def draft(self) -> _State:
        """The state as written so far."""
        return self._state

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """What runs inside is undone alone if it raises."""
        before, copied = self._state, self._copied
        self._state, self._copied = copy(before), set()
        try:
            yield
        except BaseException:
            self._state, self._copied = before, copied
            raise

    def charge(self, charge: Charge, now: int) -> Charged:
        """Count evaluations once per (seat, batch). Raises BudgetExhausted."""
        self._saw(now)
        seat = (charge.key_class, charge.epoch, charge.seat)
        used = self._state.used.get((charge.caller, *seat), 0)
        left = max(charge.limit - used, 0)
        kept = self._state.batches.get((*seat, charge.caller), ())
        if charge.batch in kept:
            return Charged(left, repeated=True)
        if charge.amount > left:
            raise BudgetExhausted(left, charge.amount)
        self._table("batches")[*seat, charge.caller] = (*kept, charge.batch)[-KEPT_BATCHES:]
        self._table("used")[charge.caller, *seat] = used + charge.amount
        return Charged(left - charge.amount, repeated=False)

    def forget_epochs(self, live: Iterable[tuple[int, int]]) -> None:
        """Drop batch identities and counters of (class, epoch) pairs that are no longer live."""
        kept = set(live)
        for batch in [batch for batch in self._state.batches if batch[:2] not in kept]:
            del self._table("batches")[batch]
        for counter in [counter for counter in self._state.used if counter[1:3] not in kept]:
            del self._table("used")[counter]

    def submit(
        self, idempotency_key: bytes, digest: bytes, entries: Sequence[Entry], now: int
    ) -> Acknowledged:
        """Store entries for the next tick, once per key. Raises IdempotencyConflict."""
        count = len(entries)

        def made(number: int) -> _Submission:
            indices = rows.no_indices(count)
            return _Submission(
                number, rows.ENTRIES, digest, count, tuple(entries), (), indices, waits=bool(count)
            )

        return self._acknowledge(idempotency_key, made, now)

    def retract(self, idempotency_key: bytes, digest: bytes, tags: Sequence[bytes], now: int) -> Acknowledged:
        """Store a retraction for the next tick, once per key. Raises IdempotencyConflict."""

        def made(number: int) -> _Submission:
            distinct = set(tags)
            covered = sum(len(self._state.tags.get((self._member, tag), ())) for tag in distinct)
            waiting = sum(
                one.entry.body is not None and one.entry.body.tag in distinct for one in self._pending()
            )
            return _Submission(
                number, rows.RETRACTION, digest, covered + waiting, (), tuple(tags), waits_for=waiting
            )

        return self._acknowledge(idempotency_key, made, now)

    def append(self, step: Append) -> None:
        """Entries, tree nodes, frontier, checkpoint and erasures of one log. Raises WrongStart."""
        before = self.tip(step.member)
        rows.check_start(step, before.size)
        rows.completed_nodes(step)
        if any(key not in self._state.submissions for key, _ in step.assigned):
            raise WrongStart("the append assigns indices to a submission that was never acknowledged")
        entries, tags, nodes = self._table("entries"), self._table("tags"), self._table("nodes")
        for stored in step.entries:
            entries[step.member, stored.index] = stored
            if stored.entry.body is not None:
                place = step.member, stored.entry.body.tag
                tags[place] = (*tags.get(place, ()), stored.index)
        for level, index, node in step.nodes:
            nodes[step.member, level, index] = node
        for index in step.erase:
            self._erase((step.member, index))
        self._table("tips")[step.member] = LogTip(
            step.frontier, step.checkpoint, step.time, before.quarantined, step.paced_until
        )
        self.save_intermediates(step.intermediates)
        awaited = self._table("awaited")
        for index in step.erase:
            awaited.pop((step.member, index), None)
        for index, not_after in step.awaited:
            awaited[step.member, index] = (step.awaited_by, not_after)
        submissions = self._table("submissions")
        for key, given in rows.by_submission(list(step.assigned.items())).items():
            known = submissions[key]
            indices = rows.assign(known.indices, given)
            waits = known.kind == rows.RETRACTION or None in rows.given_indices(indices)
            submissions[key] = replace(known, indices=indices, waits=waits)
        for key in step.completed_retractions:
            if key in submissions:
                submissions[key] = replace(submissions[key], waits=False)
        if step.member == self._member:
            self._saw(step.time)

    def save_checkpoint(self, member: MemberId, checkpoint: bytes, time: int) -> None:
        """Replace the note of a log whose size and root did not change (more cosignatures)."""
        if member not in self._state.tips:
            raise WrongStart(f"there is no log of {member.hex()} to save a checkpoint of")
        self._table("tips")[member] = replace(self._state.tips[member], checkpoint=checkpoint, time=time)

    def save_intermediates(self, checkpoints: Sequence[Intermediate]) -> None:
        """Keep intermediate checkpoints of this member's own log, in place of those of the same size."""
        self._table("intermediates").update({kept.size: kept for kept in checkpoints})

    def expire(self, week: int, most: int) -> int:
        """Erase up to `most` bodies with not_after ≤ week, of every log, or of quarantined logs; returns how many."""
        self._state.erased_week = max(self._state.erased_week, week)
        due = [
            place
            for place, stored in self._state.entries.items()
            if stored.entry.body is not None
            and (stored.entry.header.not_after <= week or self.tip(place[0]).quarantined)
        ][:most]
        for place in due:
            self._erase(place)
        awaited = self._table("awaited")
        for place in [place for place, (_, not_after) in awaited.items() if not_after <= week]:
            del awaited[place]
        return len(due)

    def restore(self, member: MemberId, entries: Sequence[Stored]) -> None:
        """Put bodies back that were erased; the caller has compared them with their leaves."""
        for stored in entries:
            self._erase((member, stored.index))
            self._table("entries")[member, stored.index] = stored
            if stored.entry.body is not None:
                place = member, stored.entry.body.tag
                tags = self._table("tags")
                tags[place] = tuple(sorted({*tags.get(place, ()), stored.index}))

    def set_erased_week(self, week: int) -> None:
        """Correct the week up to which bodies count as erased."""
        self._state.erased_week = week

    def reset_time(self, now: int) -> None:
        """Forget times after `now` of this member's own; its checkpoints lose their signatures until the next tick."""
        self._state.seen_time = now
        tip = self.tip(self._member)
        if tip.time > now:
            self._table("tips")[self._member] = replace(
                tip, time=now, checkpoint=b"", paced_until=now * 1_000_000
            )
        kept = self._table("intermediates")
        kept.update({size: replace(one, time=now, note=b"") for size, one in kept.items() if one.time > now})

    def quarantine(self, member: MemberId, proof: bytes, now: int) -> None:
        """Keep the proof and mark the log."""
        self._saw(now)
        self._table("tips")[member] = replace(self.tip(member), quarantined=True)
        self._table("forks")[member, proof] = None

    def save_charter(self, version: int, envelope: bytes, now: int) -> None:
        """Store a charter; the caller has verified it."""
        self._saw(now)
        self._table("charters")[version] = envelope

    def record(self, kind: str, detail: str, evidence: bytes, now: int) -> None:
        """Append an audit record. `detail` and `evidence` hold no value, tag or key."""
        self._saw(now)
        self._table("audit")[len(self._state.audit)] = (now, kind, detail, evidence)

    def _table(self, name: str) -> dict[Any, Any]:
        if name not in self._copied:
            setattr(self._state, name, dict(getattr(self._state, name)))
            self._copied.add(name)
        table: dict[Any, Any] = getattr(self._state, name)
        return table

    def _saw(self, now: int) -> None:
        self._state.seen_time = max(self._state.seen_time, now)

    def _acknowledge(self, key: bytes, make: Callable[[int], _Submission], now: int) -> Acknowledged:
        self._saw(now)
        known = self._state.submissions.get(key)
        fresh = make(len(self._state.submissions) + 1)
        if known is None:
            self._table("submissions")[key] = fresh
            return Acknowledged(fresh.count, repeated=False)
        if (known.digest, known.kind) != (fresh.digest, fresh.kind):
            raise IdempotencyConflict(
                "this idempotency key was used before with other content; choose a fresh one for each submission"
            )
        return Acknowledged(known.count, repeated=True)

    def _erase(self, place: tuple[MemberId, int]) -> None:
        stored = self._state.entries.get(place)
        if stored is None or stored.entry.body is None:
            return
        tags, (member, index), tag = self._table("tags"), place, stored.entry.body.tag
        left = tuple(other for other in tags[member, tag] if other != index)
        if left:
            tags[member, tag] = left
        else:
            del tags[member, tag]
        self._table("entries")[place] = replace(stored, entry=Kept(stored.entry.header, None))


class MemoryStore:
    """See `tocsin.node.ports.Store`."""

    def __init__(self, federation: str, member: bytes) -> None:
        self.federation = federation
        self.member = MemberId(member)
        self._state: _State | None = _State()
        self._lock = threading.Lock()
        self._writer: int | None = None

    @contextmanager
    def read(self) -> Iterator[MemorySnapshot]:
        """One consistent view."""
        yield MemorySnapshot(self._open())

    @contextmanager
    def write(self) -> Iterator[MemoryTransaction]:
        """The one write transaction."""
        if self._writer == threading.get_ident():
            raise RuntimeError("this thread is in a write transaction already")
        with self._lock:
            self._writer = threading.get_ident()
            try:
                transaction = MemoryTransaction(self._open(), self.member)
                yield transaction
                self._state = transaction.draft
            finally:
                self._writer = None

    def healthy(self) -> None:
        """Raise StoreUnavailable if it was closed."""
        self._open()

    def close(self) -> None:
        """Drop everything."""
        self._state = None

    def _open(self) -> _State:
        if self._state is None:
            raise StoreUnavailable("the store was closed")
        return self._state
