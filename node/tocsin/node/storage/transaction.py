"""The one write transaction on a SQL database, as the port's `Transaction`.

Rules
1. Nothing here commits: what a method wrote is committed or undone with the transaction or the savepoint.
2. `seen_time` only ever grows; it takes the `now` of each write and the time of this member's own checkpoints, never a
   time that another member's node chose.
3. A database error ends the whole transaction (`backend.py`, rule 3); a savepoint undoes only refusals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, bindparam, delete, insert, select, tuple_, update

from tocsin.node.model import KEPT_BATCHES, Append, Charge, Charged, Intermediate
from tocsin.node.ports import BudgetExhausted, IdempotencyConflict, StoreUnavailable, WrongStart
from tocsin.node.storage import rows, tables
from tocsin.node.storage.backend import Backend
from tocsin.node.storage.snapshot import SqlSnapshot
from tocsin.tlog.entry import Entry
from tocsin.tlog.merkle import Frontier
from tocsin.wire.values import Acknowledged, MemberId, Stored

_LOG, _BODY, _TAG, _SUBMISSION = tables.log.c, tables.body.c, tables.live_tag.c, tables.submission.c
_BUDGET, _BATCH = tables.budget.c, tables.batch.c

_IDENTITY_BYTES = 32
"""Of the 64 of a batch's identity: enough that no two are ever alike."""

# What runs once per request is built once: making a statement costs several times what SQLite needs to run it.
_COUNTER = (
    (_BUDGET.caller == bindparam("who"))
    & (_BUDGET.key_class == bindparam("of_class"))
    & (_BUDGET.epoch == bindparam("of_epoch"))
    & (_BUDGET.seat == bindparam("of_seat"))
)
_USED = select(_BUDGET.used, _BUDGET.batches).where(_COUNTER)
_USE = (
    update(tables.budget).where(_COUNTER).values(used=bindparam("now_used"), batches=bindparam("now_batches"))
)
_RING = (
    (_BATCH.caller == bindparam("who"))
    & (_BATCH.key_class == bindparam("of_class"))
    & (_BATCH.epoch == bindparam("of_epoch"))
    & (_BATCH.seat == bindparam("of_seat"))
)
_CHARGED = select(_BATCH.seat).where(_RING, _BATCH.identity == bindparam("asked"))
_REPLACE = (
    update(tables.batch)
    .where(_RING, _BATCH.slot == bindparam("in_slot"))
    .values(identity=bindparam("now_identity"))
)
_COUNT = insert(tables.budget).inline()
_CHARGE = insert(tables.batch).inline()
_ACKNOWLEDGED = select(_SUBMISSION.digest, _SUBMISSION.kind, _SUBMISSION.count).where(
    _SUBMISSION.idempotency_key == bindparam("known_key")
)
_TO_ASSIGN = select(
    _SUBMISSION.idempotency_key, _SUBMISSION.kind, _SUBMISSION.unsettled, _SUBMISSION.indices
).where(_SUBMISSION.idempotency_key.in_(bindparam("keys", expanding=True)))
_ASSIGN = (
    update(tables.submission)
    .where(_SUBMISSION.idempotency_key == bindparam("known_key"))
    .values(indices=bindparam("now_indices"), unsettled=bindparam("now_unsettled"))
)
_FINISH = _ASSIGN.values(content=None)
_SUBMIT = insert(tables.submission).inline()
_RECORD = insert(tables.audit).inline()


class SqlTransaction(SqlSnapshot):
    """See `tocsin.node.ports.Transaction`."""

    def __init__(self, connection: Connection, backend: Backend, member: MemberId) -> None:
        super().__init__(connection, backend)
        self._member = member
        self._stored_time: int | None = None
        self._newest_time = 0

    def seen_time(self) -> int:
        """The latest unix second any write recorded, this one included."""
        if self._stored_time is None:
            self._stored_time = super().seen_time()
        return max(self._stored_time, self._newest_time)

    def flush(self) -> None:
        """Write what was gathered for the end of the transaction."""
        newest = self._newest_time
        if newest > 0 and newest > (self._stored_time or 0):
            seen = tables.meta.c.seen_time
            self._connection.execute(update(tables.meta).where(seen < newest).values(seen_time=newest))

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """What runs inside is undone alone if it raises."""
        newest, execute = self._newest_time, self._connection.exec_driver_sql
        self._check_usable()
        execute("SAVEPOINT step")
        try:
            yield
        except BaseException:
            self._newest_time, self._known_logs = newest, None
            if not self._connection.invalidated:
                execute("ROLLBACK TO SAVEPOINT step")
                execute("RELEASE SAVEPOINT step")
            raise
        self._check_usable()
        execute("RELEASE SAVEPOINT step")

    def charge(self, charge: Charge, now: int) -> Charged:
        """Count evaluations once per (seat, batch). Raises BudgetExhausted."""
        self._saw(now)
        place = {"of_class": charge.key_class, "of_epoch": charge.epoch, "of_seat": charge.seat}
        counter = {"who": charge.caller, **place}
        known = self._connection.execute(_USED, counter).first()
        used, batches = (0, 0) if known is None else (known.used, known.batches)
        left = max(charge.limit - used, 0)
        identity = charge.batch[:_IDENTITY_BYTES]
        repeated = self._connection.execute(_CHARGED, {"asked": identity, **counter}).first()
        if repeated is not None:
            return Charged(left, repeated=True)
        if charge.amount > left:
            raise BudgetExhausted(left, charge.amount)
        key = {
            "caller": charge.caller,
            "key_class": charge.key_class,
            "epoch": charge.epoch,
            "seat": charge.seat,
        }
        # M-4.22: kept with its charge, in place of the one that is as many batches older.
        slot = batches % KEPT_BATCHES
        if batches < KEPT_BATCHES:
            self._connection.execute(_CHARGE, {**key, "slot": slot, "identity": identity})
        else:
            self._connection.execute(_REPLACE, {"in_slot": slot, "now_identity": identity, **counter})
        spent = used + charge.amount
        if known is None:
            self._connection.execute(_COUNT, {**key, "used": spent, "batches": 1})
        else:
            self._connection.execute(_USE, {"now_used": spent, "now_batches": batches + 1, **counter})
        return Charged(left - charge.amount, repeated=False)

    def forget_epochs(self, live: Iterable[tuple[int, int]]) -> None:
        """Drop batch identities and counters of (class, epoch) pairs that are no longer live."""
        kept = set(live)
        for table in (tables.batch, tables.budget):
            epoch = (table.c.key_class, table.c.epoch)
            known = self._connection.execute(select(*epoch).distinct()).all()
            for pair in {(key_class, number) for key_class, number in known} - kept:
                self._connection.execute(delete(table).where(tuple_(*epoch) == pair))

    def submit(
        self, idempotency_key: bytes, digest: bytes, entries: Sequence[Entry], now: int
    ) -> Acknowledged:
        """Store entries for the next tick, once per key. Raises IdempotencyConflict."""
        self._saw(now)
        earlier = self._acknowledged(idempotency_key, digest, rows.ENTRIES)
        if earlier is not None:
            return earlier
        count = len(entries)
        self._connection.execute(
            _SUBMIT,
            {
                "idempotency_key": idempotency_key,
                "digest": digest,
                "kind": rows.ENTRIES,
                "count": count,
                "unsettled": count,
                "content": rows.pack_entries(entries) if count else None,
                "indices": rows.no_indices(count),
            },
        )
        return Acknowledged(count, repeated=False)

    def retract(self, idempotency_key: bytes, digest: bytes, tags: Sequence[bytes], now: int) -> Acknowledged:
        """Store a retraction for the next tick, once per key. Raises IdempotencyConflict."""
        self._saw(now)
        earlier = self._acknowledged(idempotency_key, digest, rows.RETRACTION)
        if earlier is not None:
            return earlier
        distinct = set(tags)
        # M-6.14: every live entry under the tags, sequenced or waiting.
        covered = sum(len(hit.indices) for hit in self.look_up([(self._member, b"".join(distinct))]))
        waiting = sum(
            pending.entry.body is not None and pending.entry.body.tag in distinct
            for pending in self._pending()
        )
        self._connection.execute(
            _SUBMIT,
            {
                "idempotency_key": idempotency_key,
                "digest": digest,
                "kind": rows.RETRACTION,
                "count": covered + waiting,
                "unsettled": waiting,
                "content": b"".join(tags),
                "indices": b"",
            },
        )
        return Acknowledged(covered + waiting, repeated=False)

    def append(self, step: Append) -> None:
        """Add entries, nodes, frontier, checkpoint and erasures of one log; leaves stay (M-6.5). Raises WrongStart."""
        rows.check_start(step, self.tip(step.member).size)
        nodes_by_leaf = rows.completed_nodes(step)
        self._assign(rows.by_submission(list(step.assigned.items())))
        for key in step.completed_retractions:
            self._connection.execute(
                update(tables.submission).where(_SUBMISSION.idempotency_key == key).values(content=None)
            )
        log = self._log_to_write(step.member)
        leaves, bodies, tags = [], [], []
        erased = set(step.erase)
        for stored, nodes in zip(step.entries, nodes_by_leaf, strict=True):
            index, entry = stored.index, stored.entry
            header, body = entry.header, entry.body
            leaves.append((log, index, header.encode(), stored.body_hash, nodes))
            if body is not None and index not in erased:
                bodies.append((log, index, header.not_after, header.period, body.tag, body.nonce + body.box))
                tags.append((log, body.tag, index))
        for table, fresh in ((tables.leaf, leaves), (tables.body, bodies), (tables.live_tag, tags)):
            if fresh:
                self._backend.insert(self._connection, table, fresh)
        before = [index for index in erased if index < step.start]
        self._erase(log, before)
        self._settle_awaited(log, before, step)
        self.save_intermediates(step.intermediates)
        self._connection.execute(
            update(tables.log)
            .where(_LOG.no == log)
            .values(
                frontier=step.frontier.encode(),
                checkpoint=step.checkpoint,
                time=step.time,
                paced_until=step.paced_until,
            )
        )
        if step.member == self._member:
            self._saw(step.time)

    def save_checkpoint(self, member: MemberId, checkpoint: bytes, time: int) -> None:
        """Replace the note of a log whose size and root did not change (more cosignatures)."""
        saved = self._connection.execute(
            update(tables.log).where(_LOG.member == member).values(checkpoint=checkpoint, time=time)
        )
        if not saved.rowcount:
            raise WrongStart(f"there is no log of {member.hex()} to save a checkpoint of")

    def save_intermediates(self, checkpoints: Sequence[Intermediate]) -> None:
        """Keep intermediate checkpoints of this member's own log, in place of those of the same size."""
        table = tables.intermediate
        for kept in checkpoints:
            self._connection.execute(delete(table).where(table.c.size == kept.size))
        if checkpoints:
            fresh = [(kept.size, kept.time, kept.note) for kept in checkpoints]
            self._backend.insert(self._connection, table, fresh)

    def expire(self, week: int, most: int) -> int:
        """Erase up to `most` bodies with not_after ≤ week, of every log, or of quarantined logs; returns how many."""
        # M-6.18: bodies go, leaves stay.
        meta = tables.meta.c
        self._connection.execute(update(tables.meta).where(meta.erased_week < week).values(erased_week=week))
        query = select(_BODY.log, _BODY.leaf_index).where(_BODY.not_after <= week)
        order = (_BODY.not_after, _BODY.log, _BODY.leaf_index)  # the index's own
        # M-6.20: what a quarantined log retracts later would not be heard of.
        quarantined = select(_LOG.no).where(_LOG.quarantined)
        rest = select(_BODY.log, _BODY.leaf_index).where(_BODY.log.in_(quarantined))
        erased = 0
        for places in (query.order_by(*order), rest):
            due: dict[int, list[int]] = {}
            for log, index in self._connection.execute(places.limit(most - erased)).all():
                due.setdefault(log, []).append(index)
            for log, indices in due.items():
                self._erase(log, indices)
            erased += sum(map(len, due.values()))
        if erased < most:
            self._connection.execute(delete(tables.awaited).where(tables.awaited.c.not_after <= week))
        return erased

    def restore(self, member: MemberId, entries: Sequence[Stored]) -> None:
        """Put bodies back that were erased; the caller has compared them with their leaves."""
        log, bodies, tags = self._log(member), [], []
        for stored in entries:
            header, body = stored.entry.header, stored.entry.body
            if body is not None:
                sealed = body.nonce + body.box
                bodies.append((log, stored.index, header.not_after, header.period, body.tag, sealed))
                tags.append((log, body.tag, stored.index))
        self._erase(log, [stored.index for stored in entries])
        for table, fresh in ((tables.body, bodies), (tables.live_tag, tags)):
            if fresh:
                self._backend.insert(self._connection, table, fresh)

    def set_erased_week(self, week: int) -> None:
        """Correct the week up to which bodies count as erased."""
        self._connection.execute(update(tables.meta).values(erased_week=week))

    def reset_time(self, now: int) -> None:
        """Forget times after `now` of this member's own; its checkpoints lose their signatures until the next tick."""
        kept = tables.intermediate.c
        own = (_LOG.member == self._member) & (_LOG.time > now)
        self._connection.execute(update(tables.meta).values(seen_time=now))
        self._connection.execute(
            update(tables.log).where(own).values(time=now, checkpoint=b"", paced_until=now * 1_000_000)
        )
        self._connection.execute(
            update(tables.intermediate).where(kept.time > now).values(time=now, note=b"")
        )

    def quarantine(self, member: MemberId, proof: bytes, now: int) -> None:
        """Keep the proof and mark the log."""
        self._saw(now)
        log, fork = self._log_to_write(member), tables.fork.c
        self._connection.execute(update(tables.log).where(_LOG.no == log).values(quarantined=True))
        known = select(fork.no).where(fork.member == member, fork.proof == proof)
        if self._connection.execute(known).first() is None:
            self._connection.execute(insert(tables.fork).values(member=member, proof=proof))

    def save_charter(self, version: int, envelope: bytes, now: int) -> None:
        """Store a charter; the caller has verified it."""
        self._saw(now)
        # A version already here is replaced: its envelope may have gathered more signatures.
        self._connection.execute(delete(tables.charter).where(tables.charter.c.version == version))
        self._connection.execute(insert(tables.charter).values(version=version, envelope=envelope))

    def record(self, kind: str, detail: str, evidence: bytes, now: int) -> None:
        """Append an audit record. `detail` and `evidence` hold no value, tag or key."""
        self._saw(now)
        self._connection.execute(_RECORD, {"time": now, "kind": kind, "detail": detail, "evidence": evidence})

    def _check_usable(self) -> None:
        if self._connection.invalidated:
            raise StoreUnavailable("the transaction failed before this step; nothing of it happened")

    def _saw(self, now: int) -> None:
        self._newest_time = max(self._newest_time, now)

    def _acknowledged(self, key: bytes, digest: bytes, kind: int) -> Acknowledged | None:
        row = self._connection.execute(_ACKNOWLEDGED, {"known_key": key}).first()
        if row is None:
            return None
        if (row[0], row[1]) != (digest, kind):
            raise IdempotencyConflict(
                "this idempotency key was used before with other content; choose a fresh one for each submission"
            )
        return Acknowledged(row[2], repeated=True)

    def _log_to_write(self, member: MemberId) -> int:
        known = self._logs()
        if member not in known:
            self._connection.execute(
                insert(tables.log).values(
                    member=member,
                    frontier=Frontier().encode(),
                    checkpoint=b"",
                    time=0,
                    quarantined=False,
                    paced_until=0,
                )
            )
            self._known_logs = None
        return self._log(member)

    def _erase(self, log: int, indices: list[int]) -> None:
        for at in range(0, len(indices), 500):
            here = (_BODY.log == log) & _BODY.leaf_index.in_(indices[at : at + 500])
            places = select(_BODY.log, _BODY.tag, _BODY.leaf_index).where(here)
            self._connection.execute(
                delete(tables.live_tag).where(tuple_(_TAG.log, _TAG.tag, _TAG.leaf_index).in_(places))
            )
            self._connection.execute(delete(tables.body).where(here))

    def _settle_awaited(self, log: int, retracted: list[int], step: Append) -> None:
        awaited = tables.awaited.c
        for at in range(0, len(retracted), 500):
            here = (awaited.log == log) & awaited.leaf_index.in_(retracted[at : at + 500])
            self._connection.execute(delete(tables.awaited).where(here))
        if step.awaited:
            fresh = [(log, index, step.awaited_by, not_after) for index, not_after in step.awaited]
            self._backend.insert(self._connection, tables.awaited, fresh)

    def _assign(self, assigned: Mapping[bytes, Sequence[tuple[int, int]]]) -> None:
        keys = list(assigned)
        part: list[dict[str, object]] = []
        done: list[dict[str, object]] = []
        for at in range(0, len(keys), 500):
            submissions = self._connection.execute(_TO_ASSIGN, {"keys": keys[at : at + 500]}).all()
            if len(submissions) != len(keys[at : at + 500]):
                raise WrongStart("the append assigns indices to a submission that was never acknowledged")
            for key, kind, unsettled, before in submissions:
                indices = rows.assign(before, assigned[key])
                left = rows.given_indices(indices).count(None) if kind == rows.ENTRIES else unsettled
                row = {"known_key": key, "now_indices": indices, "now_unsettled": left}
                (done if kind == rows.ENTRIES and not left else part).append(row)
        # One statement for all of a kind: a tick may complete thousands of submissions of one entry.
        for statement, changed in ((_ASSIGN, part), (_FINISH, done)):
            if changed:
                self._connection.execute(statement, changed)
