"""What every store must do, whatever it is made of: memory, SQLite, a real PostgreSQL."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.memory_store import MemoryStore
from tests.node.storage import material as m
from tests.postgres_server import PostgresServer
from tocsin.node.model import KEPT_BATCHES, Append, Charged, Intermediate, LiveTags
from tocsin.node.ports import BudgetExhausted, IdempotencyConflict, Snapshot, Store, Transaction, WrongStart
from tocsin.node.storage.open import open_store
from tocsin.node.storage.sql_store import SqlStore
from tocsin.tlog.merkle import Frontier
from tocsin.wire.values import Acknowledged, Stored, SubmissionStatus, TagHit

KINDS = ("memory", "sqlite", "postgresql")


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "memory":
        opened: Store = MemoryStore(m.FEDERATION, m.OWN)
    else:
        url = request.getfixturevalue("new_sqlite_url" if request.param == "sqlite" else "new_postgres_url")
        opened = open_store(url, m.FEDERATION, m.OWN)
    yield opened
    opened.close()


def _indices(snapshot: Snapshot, number: int) -> tuple[int, ...]:
    found = snapshot.submission(m.key(number))
    assert found is not None
    assert found.sequenced or not found.indices
    return found.indices


def test_a_retraction_that_covers_nothing_is_done_after_its_tick(store: Store) -> None:
    with store.write() as transaction:
        transaction.retract(m.key(1), b"r" * 32, [m.tag(9)], 12)
        assert transaction.submission(m.key(1)) == SubmissionStatus(sequenced=False, indices=())
        transaction.append(m.append(transaction, m.OWN, [], completed_retractions=(m.key(1),)))
        assert transaction.submission(m.key(1)) == SubmissionStatus(sequenced=True, indices=())


def test_a_new_store_is_empty(store: Store) -> None:
    with store.read() as snapshot:
        assert snapshot.members() == []
        assert snapshot.tip(m.PEER).size == 0
        assert snapshot.tip(m.PEER).checkpoint == b""
        assert snapshot.entries(m.PEER, 0, 10) == []
        assert snapshot.look_up([(m.PEER, m.tag(1))]) == []
        assert snapshot.new_tags(m.PEER, 0, 10, 9) == LiveTags((), b"", 0)
        assert snapshot.pending(10) == []
        assert snapshot.submission(m.key(1)) is None
        assert snapshot.seen_time() == 0
    store.healthy()


def test_a_submission_waits_and_is_settled(store: Store) -> None:
    entries = [m.sealed(number) for number in range(5)]
    with store.write() as transaction:
        assert transaction.submit(m.key(1), b"d" * 32, entries[:3], 10) == Acknowledged(3, repeated=False)
        assert transaction.submit(m.key(2), b"e" * 32, entries[3:], 11) == Acknowledged(2, repeated=False)
    with store.read() as snapshot:
        pending = snapshot.pending(100)
        assert [one.entry for one in pending] == entries
        assert [(one.submission, one.position) for one in pending] == [
            (m.key(1), 0), (m.key(1), 1), (m.key(1), 2), (m.key(2), 0), (m.key(2), 1)
        ]  # fmt: skip
        assert [one.order for one in pending] == sorted({one.order for one in pending})
        assert (snapshot.waiting(), _indices(snapshot, 1)) == (5, ())
        assert [one.entry for one in snapshot.pending(4)] == entries[:4]
    with store.write() as transaction:
        m.publish(transaction, limit=2)
    with store.read() as snapshot:
        assert [one.entry for one in snapshot.pending(100)] == entries[2:]
        assert (snapshot.waiting(), _indices(snapshot, 1)) == (3, ())
    with store.write() as transaction:
        m.publish(transaction)
    with store.read() as snapshot:
        assert (snapshot.waiting(), snapshot.pending(100)) == (0, [])
        assert (_indices(snapshot, 1), _indices(snapshot, 2)) == ((0, 1, 2), (3, 4))
        assert [stored.entry for stored in snapshot.entries(m.OWN, 0, 100)] == entries
        m.check_trees(snapshot)


def test_a_submission_keeps_the_callers_order_whatever_the_tick_made_of_it(store: Store) -> None:
    entries = [m.sealed(number) for number in range(3)]
    with store.write() as transaction:
        transaction.submit(m.key(1), b"d" * 32, entries, 10)
        assigned = {(m.key(1), position): 2 - position for position in range(3)}
        transaction.append(m.append(transaction, m.OWN, entries[::-1], assigned=assigned))
    with store.read() as snapshot:
        assert _indices(snapshot, 1) == (2, 1, 0)


def test_one_effect_per_idempotency_key(store: Store) -> None:
    with store.write() as transaction:
        transaction.submit(m.key(1), b"d" * 32, [m.sealed(1)], 10)
        assert transaction.submit(m.key(1), b"d" * 32, [m.sealed(1)], 10) == Acknowledged(1, repeated=True)
        m.publish(transaction)
        assert transaction.submit(m.key(1), b"d" * 32, [m.sealed(1)], 10) == Acknowledged(1, repeated=True)
        for attempt in (transaction.submit, transaction.retract):
            with pytest.raises(IdempotencyConflict):
                attempt(m.key(1), b"x" * 32, [], 10)
        with pytest.raises(IdempotencyConflict):
            transaction.retract(m.key(1), b"d" * 32, [], 10)
    with store.read() as snapshot:
        assert snapshot.waiting() == 0


def test_a_retraction_counts_what_is_live_and_what_waits(store: Store) -> None:
    with store.write() as transaction:
        transaction.submit(m.key(1), b"d" * 32, [m.sealed(1), m.sealed(2), m.sealed(1, version=1)], 10)
        m.publish(transaction)
        transaction.submit(m.key(2), b"d" * 32, [m.sealed(1, version=2), m.sealed(3)], 10)
        transaction.append(m.append(transaction, m.PEER, [m.sealed(1)]))
        assert transaction.retract(m.key(3), b"r" * 32, [m.tag(1), m.tag(9)], 12) == Acknowledged(
            3, repeated=False
        )
        assert transaction.retract(m.key(3), b"r" * 32, [m.tag(1), m.tag(9)], 12) == Acknowledged(
            3, repeated=True
        )
    with store.read() as snapshot:
        (retraction,) = snapshot.pending_retractions()
        assert (retraction.submission, retraction.tags) == (m.key(3), (m.tag(1), m.tag(9)))
        assert [one.order < retraction.order for one in snapshot.pending(10)] == [True, True]
        assert _indices(snapshot, 3) == ()
    with store.write() as transaction:
        m.publish(transaction)
        assigned = {(m.key(3), position): 5 + position for position in range(3)}
        entries = [m.retract(index) for index in (0, 2, 3)]
        transaction.append(
            m.append(
                transaction,
                m.OWN,
                entries,
                erase=(0, 2, 3),
                assigned=assigned,
                completed_retractions=(m.key(3),),
            )
        )
    with store.read() as snapshot:
        assert snapshot.pending_retractions() == []
        assert _indices(snapshot, 3) == (5, 6, 7)
        assert m.tags_of(snapshot, m.OWN) == [m.tag(2), m.tag(3)]
        assert m.tags_of(snapshot, m.PEER) == [m.tag(1)]
        m.check_trees(snapshot)


def test_an_erased_body_leaves_the_proof_whole(store: Store) -> None:
    m.fill(store, m.PEER, [m.sealed(number) for number in range(6)])
    with store.write() as transaction:
        # 6 goes in and out within one append; 7 is the RETRACT.
        transaction.append(
            m.append(transaction, m.PEER, [m.sealed(6), m.retract(6), m.retract(2)], erase=(6, 2))
        )
    with store.read() as snapshot:
        found = snapshot.entries_at(m.PEER, [2, 6, 3, 99, 3])
        assert sorted(found) == [2, 3, 6]
        assert found[2].entry == m.erased(m.sealed(2))
        assert found[2].body_hash == m.body_hash(m.sealed(2))
        assert found[6].entry == m.erased(m.sealed(6))
        assert found[3].entry == m.sealed(3)
        assert snapshot.look_up([(m.PEER, m.tag(2) + m.tag(6))]) == []
        m.check_trees(snapshot)


def test_entries_that_arrive_without_a_body_are_leaves_only(store: Store) -> None:
    entry = m.sealed(1)
    with store.write() as transaction:
        placed = m.append(transaction, m.PEER, [entry]).entries[0]
        bare = type(placed)(0, m.erased(entry), placed.body_hash)
        transaction.append(m.append_stored(transaction.tip(m.PEER).frontier, m.PEER, [bare]))
    with store.read() as snapshot:
        assert snapshot.entries(m.PEER, 0, 9) == [bare]
        assert snapshot.new_tags(m.PEER, 0, 9, 9) == LiveTags((), b"", 1)
        m.check_trees(snapshot)


def test_look_up_names_group_position_and_every_live_index(store: Store) -> None:
    m.fill(store, m.OWN, [m.sealed(1)])
    m.fill(store, m.PEER, [m.sealed(5), m.sealed(1), m.sealed(5, version=1), m.sealed(7)], erase=(3,))
    with store.read() as snapshot:
        asked = m.tag(7) + m.tag(5) + m.tag(8) + m.tag(1) + m.tag(5)
        assert snapshot.look_up([(m.PEER, asked), (m.THIRD, asked), (m.OWN, asked), (m.PEER, b"")]) == [
            TagHit(0, 1, (0, 2)),
            TagHit(0, 3, (1,)),
            TagHit(0, 4, (0, 2)),
            TagHit(2, 3, (0,)),
        ]


def test_of_a_tag_without_end_the_newest_are_read(store: Store) -> None:
    m.fill(store, m.PEER, [*(m.sealed(5, version=version) for version in range(100)), m.sealed(7)])
    with store.read() as snapshot:
        asked = m.tag(7) + m.tag(8) + m.tag(5)
        assert snapshot.newest([(m.OWN, asked), (m.PEER, asked)], 64) == [
            TagHit(1, 0, (100,)),
            TagHit(1, 2, tuple(range(36, 100))),
        ]


def test_a_large_look_up_is_one_call(store: Store) -> None:
    m.fill(store, m.PEER, [m.sealed(number) for number in range(0, 3000, 3)])
    with store.read() as snapshot:
        hits = snapshot.look_up([(m.PEER, b"".join(m.tag(number) for number in range(3000)))])
    assert [(hit.position, hit.indices) for hit in hits] == [(3 * at, (at,)) for at in range(1000)]


def test_new_tags_pass_what_is_dead_and_stop_before_a_newer_period(store: Store) -> None:
    entries = [
        m.sealed(0),
        m.sealed(1),
        m.retract(0),
        m.sealed(3),
        m.sealed(4, period=8),
        m.sealed(5),
        m.retract(1),
    ]
    m.fill(store, m.PEER, entries, erase=(0, 1))
    with store.read() as snapshot:
        assert snapshot.new_tags(m.PEER, 0, 10, 7) == LiveTags((3,), m.tag(3), 4)
        assert snapshot.new_tags(m.PEER, 4, 10, 7) == LiveTags((), b"", 4)
        assert snapshot.new_tags(m.PEER, 0, 2, 8) == LiveTags((3, 4), m.tag(3) + m.tag(4), 5)
        assert snapshot.new_tags(m.PEER, 5, 10, 8) == LiveTags((5,), m.tag(5), 7)
        assert snapshot.new_tags(m.PEER, 7, 10, 8) == LiveTags((), b"", 7)
        assert snapshot.new_tags(m.PEER, 6, 1, 8) == LiveTags((), b"", 7)


def test_expiry_erases_in_every_log(store: Store) -> None:
    m.fill(store, m.OWN, [m.sealed(1, not_after=100), m.sealed(2, not_after=102)])
    m.fill(store, m.PEER, [m.sealed(3, not_after=101), m.sealed(4, not_after=100), m.retract(0)], erase=(0,))
    with store.write() as transaction:
        assert transaction.expire(99, 9) == 0
        assert transaction.expire(101, 1) == 1
        assert transaction.expire(101, 9) == 1
        assert transaction.expire(101, 9) == 0
    with store.read() as snapshot:
        assert m.tags_of(snapshot, m.OWN) == [m.tag(2)]
        assert m.tags_of(snapshot, m.PEER) == []
        assert snapshot.look_up([(m.OWN, m.tag(1)), (m.PEER, m.tag(4)), (m.OWN, m.tag(2))]) == [
            TagHit(2, 0, (1,))
        ]
        m.check_trees(snapshot)


def test_a_quarantined_logs_bodies_go(store: Store) -> None:
    for member in (m.OWN, m.PEER):
        m.fill(store, member, [m.sealed(1), m.sealed(2), m.sealed(3)])
    with store.write() as transaction:
        transaction.quarantine(m.PEER, b"proof", 10)
        assert transaction.expire(1, 2) == 2
        assert transaction.expire(1, 2) == 1
        assert transaction.expire(1, 2) == 0
    with store.read() as snapshot:
        assert m.tags_of(snapshot, m.PEER) == []
        assert len(m.tags_of(snapshot, m.OWN)) == 3
        m.check_trees(snapshot)


def test_an_append_begins_where_the_log_ends(store: Store) -> None:
    m.fill(store, m.PEER, [m.sealed(1)])
    with store.read() as snapshot:
        good = m.append(snapshot, m.PEER, [m.sealed(2)])
        before = m.contents(snapshot)
    late = Append(m.PEER, 2, good.entries, good.nodes, good.frontier, b"", 0)
    for bad in (late, m.append_stored(good.frontier, m.PEER, [])):
        with store.write() as transaction, pytest.raises(WrongStart):
            transaction.append(bad)
    with pytest.raises(ValueError, match="node"), store.write() as transaction:
        transaction.append(Append(m.PEER, 1, good.entries, [], good.frontier, b"", 0))
    with pytest.raises(WrongStart), store.write() as transaction:
        transaction.append(m.append(transaction, m.PEER, [m.sealed(2)], assigned={(m.key(9), 0): 1}))
    with store.write() as transaction, pytest.raises(WrongStart):
        transaction.save_checkpoint(m.THIRD, b"note", 5)
    with store.read() as snapshot:
        assert m.contents(snapshot) == before
    with store.write() as transaction:
        transaction.append(good)


def test_tip_checkpoint_and_quarantine(store: Store) -> None:
    m.fill(store, m.PEER, [m.sealed(1)])
    with store.write() as transaction:
        transaction.save_checkpoint(m.PEER, b"more cosignatures", 77)
        transaction.quarantine(m.PEER, b"two histories", 80)
        transaction.quarantine(m.PEER, b"two histories", 81)
        transaction.quarantine(m.THIRD, b"never seen before", 82)
    with store.read() as snapshot:
        tip = snapshot.tip(m.PEER)
        assert (tip.size, tip.checkpoint, tip.time, tip.quarantined) == (1, b"more cosignatures", 77, True)
        assert snapshot.tip(m.THIRD).quarantined
        assert snapshot.forks() == [(m.PEER, b"two histories"), (m.THIRD, b"never seen before")]
        assert snapshot.members() == [m.PEER, m.THIRD]


def test_intermediate_checkpoints_are_kept_in_order_and_replaced(store: Store) -> None:
    kept = [Intermediate(size, 10 + size, b"note %d" % size) for size in (3, 6, 9)]
    with store.write() as transaction:
        transaction.append(m.append(transaction, m.OWN, [m.sealed(1)] * 9, intermediates=kept, paced_until=7))
        assert transaction.tip(m.OWN).paced_until == 7
    again = Intermediate(6, 16, b"another note")
    with store.write() as transaction:
        transaction.save_intermediates([again])
    with store.read() as snapshot:
        assert snapshot.intermediates(0, 9) == [kept[0], again, kept[2]]
        assert snapshot.intermediates(3, 1) == [again]
        assert snapshot.intermediates(9, 9) == []


def test_a_retract_is_due_by_a_size(store: Store) -> None:
    bare = [
        Stored(at, m.erased(m.sealed(at, not_after=3000 + at)), m.body_hash(m.sealed(at))) for at in range(3)
    ]
    with store.write() as transaction:
        assert transaction.retracts_due(m.PEER) is None
        due = ((0, 3000), (1, 3001), (2, 3002))
        step = m.append_stored(Frontier(), m.PEER, bare, awaited=due, awaited_by=5)
        transaction.append(step)
        assert transaction.retracts_due(m.PEER) == 5
        assert transaction.overdue(m.PEER, 2999) is None
        transaction.append(m.append(transaction, m.PEER, [m.retract(0), m.sealed(9)], erase=[0]))
        assert transaction.overdue(m.PEER, 2999) == 1
        assert transaction.overdue(m.PEER, 3001) == 2
        assert transaction.overdue(m.OWN, 0) is None
        transaction.expire(3001, 9)
        assert transaction.overdue(m.PEER, 2999) == 2
        transaction.append(m.append(transaction, m.PEER, [m.retract(2)], erase=[2]))
        assert transaction.retracts_due(m.PEER) is None


def test_a_charge_counts_once_per_batch_and_never_passes_the_limit(store: Store) -> None:
    with store.write() as transaction:
        assert transaction.charge(m.charge(1, 60), 5) == Charged(40, repeated=False)
        assert transaction.charge(m.charge(1, 60), 5) == Charged(40, repeated=True)
        assert transaction.charge(m.charge(1, 60, seat=2), 5) == Charged(40, repeated=False)
        with pytest.raises(BudgetExhausted) as refused:
            transaction.charge(m.charge(2, 41), 5)
        assert (refused.value.left, refused.value.asked) == (40, 41)
        assert transaction.charge(m.charge(3, 40), 5) == Charged(0, repeated=False)
        assert transaction.charge(m.charge(1, 60, limit=50), 5) == Charged(0, repeated=True)
    with store.write() as transaction, pytest.raises(BudgetExhausted):
        transaction.charge(m.charge(4), 5)
    with store.read() as snapshot:
        assert snapshot.budget_used(m.PEER) == {(3, 1, 1): 100, (3, 1, 2): 60}
        assert snapshot.budget_used(m.OWN) == {}


def test_small_batches_without_end_leave_no_more_than_a_ring(store: Store) -> None:
    # M-4.22: remembered until so many later ones were charged; the budget stays exact.
    count = KEPT_BATCHES + 2
    with store.write() as transaction:
        for number in range(count):
            charged = transaction.charge(
                replace(m.charge(number, 1), batch=_identity(number), limit=count), 5
            )
            assert (charged.left, charged.repeated) == (count - number - 1, False)
        for number in (2, count - 1):
            again = transaction.charge(replace(m.charge(number, 1), batch=_identity(number), limit=count), 5)
            assert (again.left, again.repeated) == (0, True)
        # Another caller's batches do not drop this one's; what was forgotten is charged like any other.
        other = replace(m.charge(1, 1), caller=m.THIRD, batch=_identity(2**32), limit=count)
        assert transaction.charge(other, 5).repeated is False
        with pytest.raises(BudgetExhausted):
            transaction.charge(replace(m.charge(0, 1), batch=_identity(0), limit=count), 5)
        assert transaction.budget_used(m.PEER) == {(3, 1, 1): count}
    if isinstance(store, SqlStore):
        with store._backend.readers.connect() as connection:
            kept = connection.exec_driver_sql("SELECT count(*) FROM batch").scalar_one()
        assert kept == KEPT_BATCHES + 1


def _identity(number: int) -> bytes:
    return hashlib.sha512(number.to_bytes(8, "big")).digest()


def test_epochs_that_ended_are_forgotten(store: Store) -> None:
    with store.write() as transaction:
        transaction.charge(m.charge(1, 60), 5)
        transaction.charge(m.charge(1, 60, epoch=2), 5)
        transaction.forget_epochs([(3, 2), (4, 1)])
        assert transaction.budget_used(m.PEER) == {(3, 2, 1): 60}
        assert transaction.charge(m.charge(1, 60), 5).repeated is False
        assert transaction.charge(m.charge(1, 60, epoch=2), 5).repeated is True


def test_eight_threads_spend_exactly_the_limit(store: Store) -> None:
    granted: list[int] = []

    def spend(thread: int) -> None:
        for attempt in range(10):
            try:
                with store.write() as transaction:
                    transaction.charge(m.charge(1000 * thread + attempt, 3, limit=100), 5)
            except BudgetExhausted:
                continue
            granted.append(3)

    threads = [threading.Thread(target=spend, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 99
    with store.read() as snapshot:
        assert snapshot.budget_used(m.PEER) == {(3, 1, 1): 99}


def test_charters_audit_and_seen_time(store: Store) -> None:
    with store.write() as transaction:
        transaction.save_charter(1, b"one", 100)
        transaction.save_charter(2, b"two", 90)
        transaction.save_charter(2, b"two, more signatures", 95)
        assert transaction.seen_time() == 100
        transaction.record("bad-partial", "seat 2", b"evidence", 120)
        transaction.record("fork", "log", b"", 110)
    with store.read() as snapshot:
        assert (snapshot.charter(1), snapshot.charter(2), snapshot.charter(3)) == (
            b"one",
            b"two, more signatures",
            None,
        )
        assert snapshot.audit(1) == [(110, "fork", "log", b"")]
        assert snapshot.audit(9)[1] == (120, "bad-partial", "seat 2", b"evidence")
        assert snapshot.proofs("bad-partial", 9) == [b"evidence"]
        assert snapshot.proofs("bad-partial", 0) == snapshot.proofs("fork", 9) == []
        assert snapshot.seen_time() == 120


def test_seen_time_never_follows_another_members_clock(store: Store) -> None:
    m.fill(store, m.PEER, [m.sealed(1)], time=10**9)
    with store.read() as snapshot:
        assert snapshot.seen_time() == 0
    m.fill(store, m.OWN, [m.sealed(1)], time=5000)
    with store.read() as snapshot:
        assert snapshot.seen_time() == 5000


@pytest.mark.parametrize(
    "change",
    [
        lambda transaction: transaction.submit(m.key(8), b"d" * 32, [m.sealed(8)], 900),
        lambda transaction: transaction.retract(m.key(8), b"d" * 32, [m.tag(1)], 900),
        lambda transaction: transaction.charge(m.charge(8), 900),
        lambda transaction: transaction.append(m.append(transaction, m.THIRD, [m.sealed(8)], erase=(0,))),
        lambda transaction: transaction.expire(2**32, 99),
        lambda transaction: transaction.quarantine(m.THIRD, b"proof", 900),
        lambda transaction: transaction.save_charter(1, b"x", 900),
        lambda transaction: transaction.record("kind", "detail", b"", 900),
    ],
    ids=["submit", "retract", "charge", "append", "expire", "quarantine", "charter", "record"],
)
def test_what_raises_leaves_nothing(store: Store, change: Callable[[Transaction], object]) -> None:
    class Stop(Exception):
        pass

    def changed(transaction: Transaction) -> None:
        change(transaction)
        raise Stop

    m.fill(store, m.OWN, [m.sealed(1), m.sealed(2)])
    with store.write() as transaction:
        transaction.submit(m.key(1), b"d" * 32, [m.sealed(3)], 10)
    with store.read() as snapshot:
        before = m.contents(snapshot)
    with pytest.raises(Stop), store.write() as transaction:
        changed(transaction)
    with store.read() as snapshot:
        assert m.contents(snapshot) == before
    with store.write() as transaction:
        with pytest.raises(Stop), transaction.savepoint():
            changed(transaction)
        assert m.contents(transaction) == before
        with transaction.savepoint():
            change(transaction)
            with pytest.raises(Stop), transaction.savepoint():
                changed(transaction)
        after = m.contents(transaction)
        assert after != before
    with store.read() as snapshot:
        assert m.contents(snapshot) == after


def test_a_read_sees_one_state_beside_a_write(store: Store) -> None:
    m.fill(store, m.PEER, [m.sealed(1)])
    with store.read() as snapshot:
        assert snapshot.tip(m.PEER).size == 1
        with store.write() as transaction:
            transaction.append(m.append(transaction, m.PEER, [m.sealed(2)], erase=(0,)))
            with store.read() as other:
                assert other.tip(m.PEER).size == 1
        assert snapshot.tip(m.PEER).size == 1
        assert m.tags_of(snapshot, m.PEER) == [m.tag(1)]
    with store.read() as snapshot:
        assert m.tags_of(snapshot, m.PEER) == [m.tag(2)]


def test_a_write_inside_a_write_is_a_named_mistake(store: Store) -> None:
    with store.write(), pytest.raises(RuntimeError, match="already"), store.write():
        pass


def test_nodes_span_many_rows(store: Store) -> None:
    for start in range(0, 1100, 275):
        m.fill(store, m.PEER, [m.sealed(number) for number in range(start, start + 275)])
    with store.read() as snapshot:
        m.check_trees(snapshot)
        assert snapshot.nodes(m.PEER, [(20, 0), (0, 1100)]) == {}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["submit", "retract", "publish", "follow", "expire", "charge", "undone"]),
        st.integers(0, 15),
        st.integers(0, 7),
    ),
    max_size=14,
)


def run_step(store: Store, kind: str, number: int, other: int) -> object:
    entries = [m.sealed(number + at, not_after=100 + other, version=other) for at in range(other)]
    try:
        with store.write() as transaction:
            if kind == "submit":
                return transaction.submit(m.key(number), bytes([other]) * 32, entries, number)
            if kind == "retract":
                return transaction.retract(m.key(20 + number), bytes([other]) * 32, [m.tag(number)], number)
            if kind == "publish":
                return m.publish(transaction, limit=number, erase=[other])
            if kind == "follow":
                return transaction.append(m.append(transaction, m.PEER, entries, erase=[number]))
            if kind == "expire":
                return transaction.expire(100 + other, 10**6)
            if kind == "charge":
                return transaction.charge(m.charge(number, other, limit=20), number)
            with transaction.savepoint():
                transaction.append(m.append(transaction, m.PEER, entries))
                raise IdempotencyConflict
    except (IdempotencyConflict, BudgetExhausted) as refusal:
        return str(refusal)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_sqlite_and_memory_agree_on_anything(
    steps: list[tuple[str, int, int]], sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = shutil.copy(sqlite_template, tmp_path_factory.mktemp("agree"))
    sql = open_store(f"sqlite:///{place}", m.FEDERATION, m.OWN)
    memory = MemoryStore(m.FEDERATION, m.OWN)
    try:
        for step in steps:
            assert run_step(sql, *step) == run_step(memory, *step)
        with sql.read() as one, memory.read() as other:
            assert m.contents(one) == m.contents(other)
            m.check_trees(one)
    finally:
        sql.close()


def test_the_server_of_these_tests_is_a_real_one(postgres_server: PostgresServer) -> None:
    with postgres_server.connect() as connection:
        row = connection.execute("SHOW server_version_num").fetchone()
    assert row is not None
    assert int(row[0]) >= 130000
