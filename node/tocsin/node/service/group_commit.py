"""Group commit: every write of the node goes through one thread, many of them in one transaction.

1. A write is a function of the open transaction. It runs in a savepoint: if it raises, it alone is undone.
2. Its future is resolved after the commit, so a result that is returned is durable.
3. The first write that waits opens a transaction. Others that wait already join it, until none waits, 10 ms
   have passed, or 1,000 have joined. No write is waited for.
4. If the store itself fails (`StoreUnavailable`, `StoreFull`, or anything at the commit), every write of that
   transaction fails with the same error, and nothing of it happened. The next one starts afresh.
5. A write must not change anything but the transaction: it may be undone after it returned.
6. A long write goes alone: it joins no transaction and none joins it, so those before it are durable first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from tocsin.node.ports import Clock, Store, StoreFull, StoreUnavailable, Transaction

T = TypeVar("T")

WINDOW_S = 0.010
MOST_TOGETHER = 1_000


@dataclass(frozen=True, slots=True)
class _Job:
    write: Callable[[Transaction], Any]
    future: Future[Any]
    alone: bool


class WriterClosed(StoreUnavailable):
    """The node is stopping: no more writes are taken."""


class GroupCommitWriter:
    """The one thread that writes to the store. Close it before the store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._aside: _Job | None = None
        self._thread = threading.Thread(target=self._run, name="tocsin-writer", daemon=True)
        self._thread.start()

    def submit(self, write: Callable[[Transaction], T]) -> Future[T]:
        """Queue a write; the future resolves once it is durable, or holds what it raised.

        Raises `WriterClosed` after `close()`.
        """
        future: Future[T] = Future()
        self._put(_Job(write, future, alone=False))
        return future

    def submit_alone(self, write: Callable[[Transaction], T]) -> Future[T]:
        """Queue a long write for a transaction of its own (rule 6); otherwise as `submit`."""
        future: Future[T] = Future()
        self._put(_Job(write, future, alone=True))
        return future

    def _put(self, job: _Job) -> None:
        with self._gate:
            if self._closed:
                raise WriterClosed("the node is stopping and takes no more writes; try again shortly")
            self._queue.put(job)

    def close(self) -> None:
        """Finish what is queued, then stop. May be called twice."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            job, self._aside = self._aside or self._queue.get(), None
            if job is None or self._together(job):
                return

    def _together(self, first: _Job) -> bool:
        """Run one transaction; say whether the end of the queue was met in it."""
        results: list[tuple[Future[Any], Any]] = []
        joined: list[Future[Any]] = []
        last = False
        try:
            with self._store.write() as transaction:
                deadline = self._clock.monotonic() + WINDOW_S
                job: _Job | None = first
                while job is not None:
                    self._one(transaction, job, joined, results)
                    if job.alone or len(joined) >= MOST_TOGETHER or self._clock.monotonic() >= deadline:
                        break
                    try:
                        job = self._queue.get_nowait()
                    except Empty:
                        break
                    last = job is None
                    if job is not None and job.alone:
                        self._aside = job
                        break
        except Exception as error:  # whatever the store raised is the answer to every write in it
            if not joined and first.future.set_running_or_notify_cancel():
                joined.append(first.future)
            for future in joined:
                if not future.done():
                    future.set_exception(error)
            return last
        for future, result in results:
            future.set_result(result)
        return last

    def _one(
        self,
        transaction: Transaction,
        job: _Job,
        joined: list[Future[Any]],
        results: list[tuple[Future[Any], Any]],
    ) -> None:
        write, future = job.write, job.future
        if not future.set_running_or_notify_cancel():
            return
        joined.append(future)
        try:
            with transaction.savepoint():
                result = write(transaction)
        except (StoreUnavailable, StoreFull):
            raise
        except Exception as error:  # a write's own error belongs to whoever asked for it
            future.set_exception(error)
        else:
            results.append((future, result))
