"""Faults injected for real into the stores that have a database."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Connection

from tests.node.storage import material as m
from tests.postgres_server import PostgresServer
from tocsin.node.ports import (
    BudgetExhausted,
    ForeignStore,
    Store,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreInUse,
    StoreTooNew,
    StoreUnavailable,
    Transaction,
)
from tocsin.node.storage import tables
from tocsin.node.storage.open import UnsupportedDatabase, open_store
from tocsin.node.storage.sql_store import SqlStore


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """A new store of `m.OWN`."""
    return str(request.getfixturevalue("new_sqlite_url" if request.param == "sqlite" else "new_postgres_url"))


def opened(url: str, member: bytes = m.OWN, federation: str = m.FEDERATION) -> SqlStore:
    store = open_store(url, federation, member)
    assert isinstance(store, SqlStore)
    return store


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    made = opened(url)
    with made.write() as transaction:
        transaction.submit(m.key(1), b"d" * 32, [m.sealed(number) for number in range(5)], 10)
        m.publish(transaction)
        transaction.submit(m.key(2), b"e" * 32, [m.sealed(number) for number in range(5, 9)], 11)
        transaction.charge(m.charge(1, 10), 11)
    yield made
    made.close()


def one_tick(transaction: Transaction) -> None:
    """A write that touches every bulk table: a submission, a tick with erasures, a charge, an audit record."""
    transaction.submit(m.key(3), b"f" * 32, [m.sealed(20), m.sealed(21)], 20)
    m.publish(transaction, erase=[1, 6])
    transaction.charge(m.charge(2, 10), 20)
    transaction.record("tick", "", b"", 20)


def everything(store: Store) -> dict[str, object]:
    with store.read() as snapshot:
        m.check_trees(snapshot)
        return m.contents(snapshot)


class FailingStep:
    """Makes the n-th statement (COMMIT counts as one) on the write connection fail, before or after it took effect."""

    def __init__(self, store: SqlStore, step: int, when: str) -> None:
        self._engine = store._backend.writers
        self._step, self._when = step, when
        self.reached = False
        self._seen = 0

    def __enter__(self) -> FailingStep:
        dialect = self._engine.dialect
        self._commit = dialect.do_commit
        event.listen(self._engine, "do_execute", self._execute)
        event.listen(self._engine, "do_executemany", self._executemany)
        dialect.do_commit = self._do_commit  # type: ignore[method-assign] # there is no event for it
        return self

    def __exit__(self, *exc: object) -> None:
        event.remove(self._engine, "do_execute", self._execute)
        event.remove(self._engine, "do_executemany", self._executemany)
        self._engine.dialect.do_commit = self._commit  # type: ignore[method-assign] # as above

    def _now(self) -> bool:
        self._seen += 1
        self.reached = self.reached or self._seen == self._step
        return self._seen == self._step

    def _fail(self) -> None:
        error = self._engine.dialect.loaded_dbapi.OperationalError("disk I/O error")
        error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_IOERR, "SQLITE_IOERR_FSYNC"
        raise error

    def _execute(self, cursor: Any, statement: str, parameters: Any, context: Any) -> bool | None:
        if self._now():
            if self._when == "after":
                cursor.execute(statement, parameters)
            self._fail()
        return None

    def _executemany(self, cursor: Any, statement: str, parameters: Any, context: Any) -> bool | None:
        if self._now():
            if self._when == "after":
                cursor.executemany(statement, parameters)
            self._fail()
        return None

    def _do_commit(self, connection: Any) -> None:
        if self._now():
            if self._when == "after":
                self._commit(connection)
            self._fail()
        self._commit(connection)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_failure_at_any_step_leaves_before_or_after(store: SqlStore, url: str, when: str) -> None:
    before = everything(store)
    after = None
    step = 0
    while after is None:
        step += 1
        with FailingStep(store, step, when) as failing:
            try:
                with store.write() as transaction:
                    one_tick(transaction)
            except StoreUnavailable:
                assert failing.reached
            else:
                assert not failing.reached
                after = "written"
        found = everything(store)
        if after is None and found != before:
            # Only a COMMIT that took effect before its answer was lost may show; a repetition then changes nothing.
            assert when == "after"
            with store.write() as transaction:
                assert transaction.submit(m.key(3), b"f" * 32, [m.sealed(20), m.sealed(21)], 20).repeated
                assert transaction.charge(m.charge(2, 10), 20).repeated
            assert everything(store) == found
            break
    assert step > 10
    reached = everything(store)
    assert reached["submissions"][3].indices == (9, 10)  # type: ignore[index] # a list, see material.contents
    store.close()
    again = opened(url)
    assert everything(again) == reached
    again.close()


def test_a_group_is_lost_whole_when_one_of_its_steps_breaks_the_database(store: SqlStore) -> None:
    before = everything(store)

    def group(transaction: Transaction) -> None:
        with transaction.savepoint():
            transaction.record("first", "", b"", 30)
        with FailingStep(store, 2, "before"), pytest.raises(StoreUnavailable), transaction.savepoint():
            transaction.record("second", "", b"", 30)
        # A group commit that goes on must not write outside of the transaction that is gone.
        with pytest.raises(StoreUnavailable), transaction.savepoint():
            transaction.record("third", "", b"", 30)

    with pytest.raises(StoreUnavailable), store.write() as transaction:
        group(transaction)
    assert everything(store) == before
    with store.write() as transaction:
        one_tick(transaction)


def test_a_refusal_in_a_group_costs_the_others_nothing(store: SqlStore) -> None:
    refused: dict[int, int] = {}
    with store.write() as transaction:
        for batch, amount in ((11, 50), (12, 60), (13, 40)):
            try:
                with transaction.savepoint():
                    transaction.record("asked", str(batch), b"", 30)
                    transaction.charge(m.charge(batch, amount), 30)
            except BudgetExhausted as refusal:
                refused[batch] = refusal.left
    assert refused == {12: 40}
    with store.read() as snapshot:
        assert snapshot.budget_used(m.PEER) == {(3, 1, 1): 100}
        assert [detail for _, _, detail, _ in snapshot.audit(9)] == ["13", "11"]


def test_a_full_disk_refuses_writes_and_recovers_without_restart(tmp_path: Path) -> None:
    store = opened(f"sqlite:///{tmp_path}/node.db")
    pages = [2**30]

    @event.listens_for(store._backend.writers, "begin")
    def shrink(connection: Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages[0]}")

    m.fill(store, m.OWN, [m.sealed(number) for number in range(20)])
    with store.write() as transaction:
        transaction.submit(m.key(2), b"e" * 32, [m.sealed(number) for number in range(30, 60)], 11)
    before = everything(store)
    with sqlite3.connect(tmp_path / "node.db") as raw:
        used = raw.execute("PRAGMA page_count").fetchone()[0]

    def fits(room: int) -> bool:
        pages[0] = used + room
        try:
            with store.write() as transaction:
                transaction.submit(m.key(3), b"f" * 32, [m.sealed(n) for n in range(100, 300)], 20)
                m.publish(transaction)
        except StoreFull:
            return False
        return True

    failed = 0
    while not fits(3 * failed):  # the limit is met at a later step each time
        failed += 1
        assert everything(store) == before
        with pytest.raises(StoreFull):
            store.healthy()
    assert failed > 5
    pages[0] = 2**30
    store.healthy()
    with store.read() as snapshot:
        assert snapshot.submission(m.key(3)) is not None
        m.check_trees(snapshot)
    store.close()


def test_a_really_full_disk(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip(
            "only root may mount the small disk of this test; the test above fills the database itself"
        )
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a disk; the test above fills the database itself")
    try:
        store = opened(f"sqlite:///{disk}/node.db")
        with store.write() as transaction:
            transaction.submit(m.key(1), b"d" * 32, [m.sealed(1)], 10)
        ballast = disk / "ballast"
        subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=64k"], capture_output=True, check=False)
        before = everything(store)
        for _ in range(3):
            with pytest.raises(StoreFull), store.write() as transaction:
                transaction.submit(m.key(2), b"e" * 32, [m.sealed(number) for number in range(2000)], 11)
            with pytest.raises(StoreFull):
                store.healthy()
            assert everything(store) == before
        ballast.unlink()
        store.healthy()
        with store.write() as transaction:
            transaction.submit(m.key(2), b"e" * 32, [m.sealed(number) for number in range(2000)], 11)
            m.publish(transaction)
        with store.read() as snapshot:
            assert snapshot.tip(m.OWN).size == 2001
        store.close()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_only_one_process_at_a_time(url: str) -> None:
    first = opened(url)
    with pytest.raises(StoreInUse, match="lock"):
        opened(url)
    with first.write() as transaction:
        transaction.record("still", "here", b"", 1)
    first.close()
    second = opened(url)
    with second.read() as snapshot:
        assert snapshot.audit(1) == [(1, "still", "here", b"")]
    second.close()


def test_a_database_of_someone_else_is_named_and_left_alone(url: str) -> None:
    opened(url).close()
    for member, federation in ((m.PEER, m.FEDERATION), (m.OWN, "other.example")):
        with pytest.raises(ForeignStore) as refused:
            opened(url, member, federation)
        assert m.OWN.hex() in str(refused.value)
        assert member.hex() in str(refused.value)
    opened(url).close()


def test_a_later_schema_is_refused(url: str) -> None:
    store = opened(url)
    with store._backend.writers.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    store.close()
    with pytest.raises(StoreTooNew, match="9999"):
        opened(url)


def test_everything_is_there_after_a_restart(store: SqlStore, url: str) -> None:
    with store.write() as transaction:
        one_tick(transaction)
        transaction.save_charter(1, b"one", 30)
        transaction.quarantine(m.PEER, b"proof", 31)
        transaction.retract(m.key(4), b"r" * 32, [m.tag(2)], 32)
    before = everything(store)
    store.close()
    again = opened(url)
    assert everything(again) == before
    with again.write() as transaction:
        assert transaction.charge(m.charge(2, 10), 33).repeated
        with pytest.raises(BudgetExhausted):
            transaction.charge(m.charge(3, 81), 33)
    again.close()


@pytest.mark.parametrize(
    "wrong",
    ["mysql://host/db", "sqlite://", "sqlite:///:memory:", "not a url", "postgresql+psycopg2://host/db"],
)
def test_other_databases_are_refused(wrong: str) -> None:
    with pytest.raises(UnsupportedDatabase, match="sqlite:///path"):
        opened(wrong)


def test_a_file_that_is_no_database_or_no_place_for_one(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is not a database, and it is longer than a page header " * 20)
    with pytest.raises(StoreUnavailable, match="SQLITE_NOTADB"):
        opened(f"sqlite:///{tmp_path}/text.db")
    with pytest.raises(StoreUnavailable, match="cannot open"):
        opened(f"sqlite:///{tmp_path}/no/such/folder/node.db")
    assert not (tmp_path / "no").exists()


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as refused:
        opened(f"postgresql://user:the-password@/db?host={tmp_path}")
    assert "the-password" not in str(refused.value)


def test_nothing_is_acknowledged_after_the_write_ahead_log_was_deleted(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    with closing(open_store(f"sqlite:///{path}", m.FEDERATION, m.OWN)) as store:
        m.fill(store, m.OWN, [m.sealed(1)])
        path.with_name("node.db-wal").unlink()
        for _ in range(2):
            with pytest.raises(StoreDamaged, match="-wal was deleted"), store.write() as transaction:
                transaction.record("kind", "detail", b"", 5)
            with pytest.raises(StoreDamaged):
                store.healthy()


def test_a_corrupt_page_ends_writing(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    with closing(open_store(f"sqlite:///{path}", m.FEDERATION, m.OWN)) as store:
        m.fill(store, m.OWN, [m.sealed(number) for number in range(2_000)])
    content = bytearray(path.read_bytes())
    for page in range(20, len(content) // 4_096):
        content[page * 4_096 : page * 4_096 + 64] = os.urandom(64)
    path.write_bytes(content)
    with closing(open_store(f"sqlite:///{path}", m.FEDERATION, m.OWN)) as store:
        store.healthy()
        with pytest.raises(StoreDamaged, match="damaged"), store.read() as snapshot:
            snapshot.entries(m.OWN, 0, 2_000)
        with pytest.raises(StoreDamaged), store.write() as transaction:
            transaction.record("kind", "detail", b"", 5)
        with pytest.raises(StoreDamaged, match="restore the newest backup"):
            store.healthy()


def test_the_file_is_its_owners_only(tmp_path: Path) -> None:
    opened(f"sqlite:///{tmp_path}/node.db").close()
    assert (tmp_path / "node.db").stat().st_mode & 0o077 == 0


CHILD = """
import sys
from tests.node.storage import material as m
from tocsin.node.storage import tables
from tocsin.node.storage.open import open_store
store = open_store(sys.argv[1], m.FEDERATION, m.OWN)
number = int(sys.argv[2])
while True:
    number += 1
    with store.write() as writing:
        writing.submit(m.key(number), b"d" * 32, [m.sealed(number), m.sealed(number + 1)], number)
    print(number, flush=True)
    if number % 3 == 0:
        with store.write() as writing:
            m.publish(writing)
"""


def test_what_was_acknowledged_survives_sigkill(url: str) -> None:
    first = 0
    for acknowledged in (4, 9, 13):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, url, str(first)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
        )
        assert child.stdout is not None
        for _ in range(acknowledged):
            first = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split()
        child.wait()
        child.stdout.close()
        # The child may have got further than it could say; whatever it said is there.
        first = int(rest[-1]) if rest else first
        store = opened(url)
        with store.write() as transaction:
            repeated = [
                transaction.submit(m.key(n), b"d" * 32, [m.sealed(n), m.sealed(n + 1)], n).repeated
                for n in range(1, first + 1)
            ]
            assert all(repeated)
            m.publish(transaction)
        with store.read() as snapshot:
            m.check_trees(snapshot)
            indices = [snapshot.submission(m.key(number)) for number in range(1, first + 1)]
            assert all(found is not None and len(found.indices) == 2 for found in indices)
            assert len({index for found in indices if found for index in found.indices}) == 2 * first
            more = snapshot.submission(m.key(first + 1))
        first += more is not None
        store.close()


def test_a_crash_of_the_server_in_mid_transaction(postgres_server: PostgresServer, postgres_url: str) -> None:
    store = opened(postgres_url)
    with store.write() as transaction:
        transaction.submit(m.key(1), b"d" * 32, [m.sealed(1)], 10)
    before = everything(store)

    def tick_and_crash(transaction: Transaction) -> None:
        one_tick(transaction)
        postgres_server.stop("immediate")

    with pytest.raises(StoreUnavailable), store.write() as transaction:
        tick_and_crash(transaction)
    with pytest.raises(StoreUnavailable):
        store.healthy()
    with pytest.raises(StoreUnavailable), store.read() as snapshot:
        snapshot.waiting()
    postgres_server.start()
    assert everything(store) == before
    with store.write() as transaction:
        one_tick(transaction)
    assert everything(store)["submissions"][3].indices == (1, 2)  # type: ignore[index] # a list, see material.contents
    with pytest.raises(StoreInUse):
        opened(postgres_url)
    store.close()


def test_a_node_that_lost_its_lock_writes_no_more(postgres_server: PostgresServer, postgres_url: str) -> None:
    store = opened(postgres_url)
    other: list[SqlStore] = []

    def usurp(transaction: Transaction) -> None:
        one_tick(transaction)
        with postgres_server.connect() as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            )
        other.append(opened(postgres_url))
        transaction.record("without", "the lock", b"", 50)

    with pytest.raises(StoreUnavailable), store.write() as transaction:
        usurp(transaction)
    with pytest.raises(StoreUnavailable, match="lock"), store.write() as transaction:
        one_tick(transaction)
    with other[0].write() as transaction:
        transaction.record("the", "sequencer", b"", 60)
    with other[0].read() as snapshot:
        assert [kind for _, kind, _, _ in snapshot.audit(9)] == ["the"]
    other[0].close()
    with store.write() as transaction:
        one_tick(transaction)
    store.close()


def test_no_error_quotes_a_tag(postgres_url: str) -> None:
    store = opened(postgres_url)
    m.fill(store, m.OWN, [m.sealed(1)])
    # The statement breaks the primary key, whose value the server quotes.
    with pytest.raises(StoreUnavailable) as failed, store._backend.writers.begin() as connection:
        connection.exec_driver_sql("INSERT INTO live_tag SELECT * FROM live_tag")
    with pytest.raises(StoreUnavailable) as failed_too, store._backend.writers.begin() as connection:
        store._backend.insert(connection, tables.live_tag, [(1, m.tag(1), 0)])
    assert failed_too.value.__cause__ is None
    assert m.tag(1).hex() not in str(failed_too.value)
    told: BaseException | None = failed.value
    while told is not None:
        assert m.tag(1).hex() not in str(told)
        told = told.__cause__
    store.close()
