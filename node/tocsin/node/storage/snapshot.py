"""One consistent view of a SQL database, as the port's `Snapshot`.

Rules
1. The cost of a read grows with what is asked for, never with what is stored.
2. Bulk reads are rows of SQLAlchemy Core; the only objects built per row are the model's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice

from sqlalchemy import Connection, bindparam, func, select

from tocsin.node.model import Intermediate, LiveTags, LogTip, Pending, PendingRetraction
from tocsin.node.storage import rows, tables
from tocsin.node.storage.backend import Backend
from tocsin.tlog.merkle import Frontier, Hash
from tocsin.wire.values import MemberId, Stored, SubmissionStatus, TagHit

_CHUNK = 500
"""Values per IN list: below every database's limit on parameters."""

_LEAF, _BODY, _WAITING = tables.leaf.c, tables.body.c, tables.submission.c
_ENTRIES = select(_LEAF.leaf_index, _LEAF.header, _LEAF.body_hash, _BODY.tag, _BODY.sealed).select_from(
    tables.leaf.outerjoin(tables.body, (_BODY.log == _LEAF.log) & (_BODY.leaf_index == _LEAF.leaf_index))
)

_PENDING = (
    select(_WAITING.no, _WAITING.idempotency_key, _WAITING.content, _WAITING.indices)
    .where(_WAITING.no.in_(bindparam("numbers", expanding=True)))
    .order_by(_WAITING.no)
)


class SqlSnapshot:
    """See `tocsin.node.ports.Snapshot`."""

    def __init__(self, connection: Connection, backend: Backend) -> None:
        self._connection = connection
        self._backend = backend
        self._known_logs: dict[bytes, int] | None = None

    def members(self) -> list[MemberId]:
        """Whose logs have a tip here."""
        return [MemberId(member) for member in self._logs()]

    def tip(self, member: MemberId) -> LogTip:
        """Where the log stands; an empty log for a member not seen yet."""
        log = tables.log.c
        row = self._connection.execute(
            select(log.frontier, log.checkpoint, log.time, log.quarantined, log.paced_until).where(
                log.member == member
            )
        ).first()
        if row is None:
            return LogTip(Frontier(), b"", 0)
        frontier = rows.frontier(row.frontier)
        return LogTip(frontier, row.checkpoint, row.time, row.quarantined, row.paced_until)

    def entries(self, member: MemberId, start: int, limit: int) -> list[Stored]:
        """Entries in order of index, without gaps."""
        query = _ENTRIES.where(_LEAF.log == self._log(member), _LEAF.leaf_index >= start)
        headers = rows.Headers()
        rows_read = self._connection.execute(query.order_by(_LEAF.leaf_index).limit(limit))
        return [rows.stored(headers, (row[0], row[1], row[2], row[3], row[4])) for row in rows_read]

    def entries_at(self, member: MemberId, indices: Sequence[int]) -> dict[int, Stored]:
        """The entries at these indices; absent ones are left out."""
        query, headers = _ENTRIES.where(_LEAF.log == self._log(member)), rows.Headers()
        entries = (
            rows.stored(headers, (row[0], row[1], row[2], row[3], row[4]))
            for chunk in _chunks(set(indices))
            for row in self._connection.execute(query.where(_LEAF.leaf_index.in_(chunk)))
        )
        return {entry.index: entry for entry in entries}

    def nodes(self, member: MemberId, places: Iterable[tuple[int, int]]) -> dict[tuple[int, int], Hash]:
        """Stored complete nodes of the tree by (level, index)."""
        wanted: dict[int, list[tuple[int, int]]] = {}
        for level, index in places:
            wanted.setdefault(rows.node_place(level, index), []).append((level, index))
        query = select(_LEAF.leaf_index, _LEAF.header, _LEAF.body_hash, _LEAF.nodes).where(
            _LEAF.log == self._log(member)
        )
        rows_read: dict[tuple[int, int], Hash] = {}
        for chunk in _chunks(wanted):
            for place, header, body_hash, nodes in self._connection.execute(
                query.where(_LEAF.leaf_index.in_(chunk))
            ):
                for level, index in wanted[place]:
                    node = rows.node_at(level, header, body_hash, nodes)
                    if node is not None:
                        rows_read[level, index] = node
        return rows_read

    def intermediates(self, after: int, limit: int) -> list[Intermediate]:
        """Intermediate checkpoints of this member's own log above a size, ascending."""
        kept = tables.intermediate.c
        query = select(kept.size, kept.time, kept.note).where(kept.size > after).order_by(kept.size)
        return [
            Intermediate(size, time, note)
            for size, time, note in self._connection.execute(query.limit(limit))
        ]

    def retracts_due(self, member: MemberId) -> int | None:
        """The size by which the RETRACT of every entry that came without its body is due; None where none did."""
        awaited = tables.awaited.c
        query = select(func.max(awaited.due)).where(awaited.log == self._log(member))
        due: int | None = self._connection.execute(query).scalar()
        return due

    def overdue(self, member: MemberId, week: int) -> int | None:
        """The lowest index, live after `week`, without its body and without the RETRACT that was due by now."""
        awaited = tables.awaited.c
        due = (awaited.log == self._log(member)) & (awaited.due <= self.tip(member).size)
        due &= awaited.not_after > week
        lowest: int | None = self._connection.execute(
            select(func.min(awaited.leaf_index)).where(due)
        ).scalar()
        return lowest

    def look_up(self, groups: Sequence[tuple[MemberId, bytes]]) -> list[TagHit]:
        """Live sealed entries under concatenated 16-byte tags, per writer."""
        return self._hits(groups, self._backend.look_up)

    def newest(self, groups: Sequence[tuple[MemberId, bytes]], most: int) -> list[TagHit]:
        """As `look_up`, of each tag the `most` highest indices. Cost grows with the tags asked only."""
        return self._hits(groups, partial(self._backend.newest, most=most))

    def new_tags(self, member: MemberId, start: int, limit: int, newest_period: int) -> LiveTags:
        """Live sealed entries from `start` on, stopping before an entry of a period newer than `newest_period`."""
        query = select(_BODY.leaf_index, _BODY.period, _BODY.tag).where(
            _BODY.log == self._log(member), _BODY.leaf_index >= start
        )
        rows_read = self._connection.execute(query.order_by(_BODY.leaf_index).limit(limit)).all()
        indices: list[int] = []
        tags: list[bytes] = []
        for index, period, tag in rows_read:
            if period > newest_period:
                return LiveTags(tuple(indices), b"".join(tags), index)
            indices.append(index)
            tags.append(tag)
        end = indices[-1] + 1 if indices and len(rows_read) == limit else self.tip(member).size
        return LiveTags(tuple(indices), b"".join(tags), max(start, end))

    def pending(self, limit: int) -> list[Pending]:
        """Acknowledged entries not sequenced yet, in order of acknowledgement."""
        # Something of every submission that waits is pending, so `limit` bounds the submissions as well.
        return list(islice(self._pending(limit), limit))

    def pending_retractions(self) -> list[PendingRetraction]:
        """Acknowledged retractions not carried out yet, in order."""
        rows_read = self._connection.execute(
            select(_WAITING.no, _WAITING.idempotency_key, _WAITING.content, _WAITING.unsettled)
            .where(_WAITING.content.is_not(None), _WAITING.kind == rows.RETRACTION)
            .order_by(_WAITING.no)
        )
        return [
            PendingRetraction(rows.order(no, 0), key, tuple(rows.split_tags(tags)), waits_for)
            for no, key, tags, waits_for in rows_read
        ]

    def waiting(self) -> int:
        """How many entries are pending."""
        query = select(func.coalesce(func.sum(_WAITING.unsettled), 0)).where(
            _WAITING.content.is_not(None), _WAITING.kind == rows.ENTRIES
        )
        return int(self._connection.execute(query).scalar_one())

    def submission(self, idempotency_key: bytes) -> SubmissionStatus | None:
        """What became of a submission or retraction; None for an unknown key."""
        row = self._connection.execute(
            select(_WAITING.indices, _WAITING.content.is_not(None)).where(
                _WAITING.idempotency_key == idempotency_key
            )
        ).first()
        if row is None:
            return None
        indices, waits = row
        return rows.submission_status(indices, waits=waits)

    def budget_used(self, caller: MemberId) -> Mapping[tuple[int, int, int], int]:
        """Evaluations charged to a caller by (class, epoch, seat)."""
        budget = tables.budget.c
        rows_read = self._connection.execute(
            select(budget.key_class, budget.epoch, budget.seat, budget.used).where(budget.caller == caller)
        )
        return {(key_class, epoch, seat): used for key_class, epoch, seat, used in rows_read}

    def charter(self, version: int) -> bytes | None:
        """The signed envelope of a version."""
        charter = tables.charter.c
        return self._connection.execute(
            select(charter.envelope).where(charter.version == version)
        ).scalar_one_or_none()

    def forks(self) -> list[tuple[MemberId, bytes]]:
        """Proofs that an origin signed two histories."""
        fork = tables.fork.c
        rows_read = self._connection.execute(select(fork.member, fork.proof).order_by(fork.no))
        return [(MemberId(member), proof) for member, proof in rows_read]

    def audit(self, limit: int) -> list[tuple[int, str, str, bytes]]:
        """The newest audit records first: (unix seconds, kind, detail, evidence)."""
        audit = tables.audit.c
        rows_read = self._connection.execute(
            select(audit.time, audit.kind, audit.detail, audit.evidence)
            .order_by(audit.no.desc())
            .limit(limit)
        )
        return [(time, kind, detail, evidence) for time, kind, detail, evidence in rows_read]

    def proofs(self, kind: str, limit: int) -> list[bytes]:
        """The newest evidence of one kind of audit record first, whatever else was recorded since."""
        audit = tables.audit.c
        query = (
            select(audit.evidence)
            .where((audit.kind == kind) & (func.length(audit.evidence) > 0))
            .order_by(audit.no.desc())
            .limit(limit)
        )
        return [evidence for (evidence,) in self._connection.execute(query)]

    def erased_week(self) -> int:
        """The week up to which bodies were erased, 0 for none."""
        return int(self._connection.execute(select(tables.meta.c.erased_week)).scalar_one())

    def seen_time(self) -> int:
        """The latest unix second any write recorded: what a clock may not fall far behind."""
        return int(self._connection.execute(select(tables.meta.c.seen_time)).scalar_one())

    def _hits(
        self,
        groups: Sequence[tuple[MemberId, bytes]],
        probe: Callable[[Connection, int, bytes], Sequence[tuple[int, int]]],
    ) -> list[TagHit]:
        hits: list[TagHit] = []
        for group, (member, concatenated) in enumerate(groups):
            log = self._logs().get(member)
            if log is None or not concatenated:
                continue
            tags = rows.split_tags(concatenated)
            # Sorted probes walk the index in its own order: twice as fast where it does not fit into memory.
            order = sorted(range(len(tags)), key=tags.__getitem__)
            rows_read: dict[int, list[int]] = {}
            for at, index in probe(self._connection, log, b"".join([tags[position] for position in order])):
                rows_read.setdefault(order[at], []).append(index)
            hits.extend(
                TagHit(group, position, tuple(sorted(rows_read[position]))) for position in sorted(rows_read)
            )
        return hits

    def _logs(self) -> dict[bytes, int]:
        if self._known_logs is None:
            log = tables.log.c
            rows_read = self._connection.execute(select(log.member, log.no).order_by(log.no))
            self._known_logs = {row.member: row.no for row in rows_read}
        return self._known_logs

    def _log(self, member: MemberId) -> int:
        return self._logs().get(member, _NO_LOG)

    def _pending(self, submissions: int | None = None) -> Iterator[Pending]:
        waiting = self._connection.execute(
            select(_WAITING.no, _WAITING.unsettled)
            .where(_WAITING.content.is_not(None), _WAITING.kind == rows.ENTRIES)
            .order_by(_WAITING.no)
            .limit(submissions)
        )
        for numbers in _gathered(waiting.all()):
            rows_read = self._connection.execute(_PENDING, {"numbers": numbers})
            for no, key, content, indices in rows_read:
                given = rows.given_indices(indices)
                for position, entry in enumerate(rows.unpack_entries(content)):
                    if given[position] is None:
                        yield Pending(rows.order(no, position), key, position, entry)


_NO_LOG = -1
"""The number no log has."""


def _gathered(waiting: Iterable[Sequence[int]]) -> Iterator[list[int]]:
    """Cut (number, entries that wait) so that a read brings a thousand entries or one submission, whatever is more."""
    gathered: list[int] = []
    entries = 0
    for number, unsettled in waiting:
        gathered.append(number)
        entries += unsettled
        if entries >= 1_000 or len(gathered) == _CHUNK:
            yield gathered
            gathered, entries = [], 0
    if gathered:
        yield gathered


def _chunks(values: Iterable[int]) -> Iterator[list[int]]:
    ordered = sorted(values)
    for at in range(0, len(ordered), _CHUNK):
        yield ordered[at : at + _CHUNK]
