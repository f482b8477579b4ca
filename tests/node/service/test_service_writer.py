"""Group commit: one thread, many writes, one transaction."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

from tests.fakes.deterministic import NOW, FakeClock
from tests.fakes.federation import NAME, member_id
from tests.fakes.memory_store import MemoryStore
from tocsin.node.ports import Store, StoreFull, StoreUnavailable, Transaction
from tocsin.node.service.group_commit import GroupCommitWriter, WriterClosed


class Counted:
    """A store that counts its transactions, and may hold or fail them."""

    def __init__(self) -> None:
        self.inner: Store = MemoryStore(NAME, member_id(1))
        self.transactions = 0
        self.gate = threading.Event()
        self.gate.set()
        self.fail_at_commit: Exception | None = None

    def read(self) -> Any:
        return self.inner.read()

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        self.gate.wait(5)
        self.transactions += 1
        with self.inner.write() as transaction:
            yield transaction
            if self.fail_at_commit is not None:
                raise self.fail_at_commit

    def healthy(self) -> None:
        self.inner.healthy()

    def close(self) -> None:
        self.inner.close()


def record(detail: str) -> Any:
    def write(transaction: Transaction) -> str:
        transaction.record("test", detail, b"", NOW)
        return detail

    return write


def details(store: Counted) -> list[str]:
    with store.read() as snapshot:
        return [detail for _, _, detail, _ in reversed(snapshot.audit(10_000))]


@pytest.fixture
def opened() -> Iterator[tuple[Counted, GroupCommitWriter]]:
    store = Counted()
    writer = GroupCommitWriter(store, FakeClock())
    yield store, writer
    writer.close()


def held(store: Counted, writer: GroupCommitWriter, count: int) -> list[Future[str]]:
    """Queue writes while the first waits at the store's door, then let them through."""
    store.gate.clear()
    futures = [writer.submit(record(str(number))) for number in range(count)]
    store.gate.set()
    return futures


def test_a_long_write_waits_for_no_other_and_keeps_none_waiting(
    opened: tuple[Counted, GroupCommitWriter],
) -> None:
    store, writer = opened
    store.gate.clear()
    futures = [writer.submit(record("0")), writer.submit(record("1"))]
    futures += [writer.submit_alone(record("2")), writer.submit(record("3"))]
    seen: list[list[str]] = []
    futures[2].add_done_callback(lambda _: seen.append(details(store)))
    store.gate.set()
    assert [future.result(5) for future in futures] == ["0", "1", "2", "3"]
    writer.close()
    assert details(store) == ["0", "1", "2", "3"]
    assert seen == [["0", "1", "2"]]
    # The first write may have begun before the second was queued.
    assert store.transactions in (3, 4)


def test_writes_that_wait_share_a_transaction(opened: tuple[Counted, GroupCommitWriter]) -> None:
    store, writer = opened
    futures = held(store, writer, 500)
    assert [future.result(5) for future in futures] == [str(number) for number in range(500)]
    assert details(store) == [str(number) for number in range(500)]
    assert store.transactions < 10


def test_a_write_that_raises_is_undone_alone(opened: tuple[Counted, GroupCommitWriter]) -> None:
    store, writer = opened

    def fails(transaction: Transaction) -> None:
        transaction.record("test", "undone", b"", NOW)
        raise KeyError("mine")

    store.gate.clear()
    before, bad, after = (
        writer.submit(record("before")),
        writer.submit(fails),
        writer.submit(record("after")),
    )
    store.gate.set()
    assert (before.result(5), after.result(5)) == ("before", "after")
    with pytest.raises(KeyError, match="mine"):
        bad.result(5)
    assert details(store) == ["before", "after"]


@pytest.mark.parametrize("error", [StoreUnavailable("gone"), StoreFull("full"), OSError("odd")])
def test_a_commit_that_fails_fails_every_write_in_it(
    opened: tuple[Counted, GroupCommitWriter], error: Exception
) -> None:
    store, writer = opened
    store.fail_at_commit = error
    for future in held(store, writer, 3):
        with pytest.raises(type(error)):
            future.result(5)
    assert details(store) == []
    store.fail_at_commit = None
    assert writer.submit(record("again")).result(5) == "again"


def test_a_store_that_fails_inside_a_write_ends_the_transaction(
    opened: tuple[Counted, GroupCommitWriter],
) -> None:
    store, writer = opened

    def full(_writing: Transaction) -> None:
        raise StoreFull("disk")

    store.gate.clear()
    first, second = writer.submit(record("first")), writer.submit(full)
    store.gate.set()
    for future in (first, second):
        if isinstance(future.exception(5), StoreFull):
            continue
        assert future is first
        assert details(store) == ["first"]
    assert isinstance(second.exception(5), StoreFull)


def test_closing_finishes_what_is_queued_and_takes_no_more(opened: tuple[Counted, GroupCommitWriter]) -> None:
    store, writer = opened
    futures = held(store, writer, 50)
    writer.close()
    assert all(future.done() for future in futures)
    assert len(details(store)) == 50
    with pytest.raises(WriterClosed):
        writer.submit(record("late"))
    writer.close()


def test_a_cancelled_write_does_not_happen(opened: tuple[Counted, GroupCommitWriter]) -> None:
    store, writer = opened
    store.gate.clear()
    writer.submit(record("first"))
    cancelled = writer.submit(record("cancelled"))
    assert cancelled.cancel()
    store.gate.set()
    writer.submit(record("last")).result(5)
    assert details(store) == ["first", "last"]
