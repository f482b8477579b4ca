"""Threads for curve work that serve callers in turns, however much one of them asks.

1. Each caller has a queue of its own. A free thread takes from the queue that has had the least work so far, counted in
   elements; a caller that was idle begins where those who waited are, so nobody saves up.
2. What runs is not interrupted: another's next job waits for the jobs that run, of 4,096 elements at most.
3. As a plain `Executor` the pool serves the node's own work, which is one more queue, at `PLAIN_WEIGHT` a job.
4. A job whose caller has gone before its turn is dropped without work.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

OWN = b""
PLAIN_WEIGHT = 64
"""Elements that a job without a count stands for."""


@dataclass
class _Job:
    future: Future[Any]
    work: Callable[[], Any]
    weight: int

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.work()
        except BaseException as error:  # whoever waits for the job gets whatever ended it
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


@dataclass
class _Queue:
    served: int  # elements; comparable between queues
    jobs: deque[_Job] = field(default_factory=deque)


class FairPool(Executor):
    """Curve threads. Safe to use from any thread; shut it down before what its jobs use."""

    def __init__(self, threads: int) -> None:
        self._changed = threading.Condition()
        self._queues: dict[bytes, _Queue] = {}
        self._reached = 0
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"tocsin-curve-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue work of the node's own (rule 3)."""
        return self.put(OWN, PLAIN_WEIGHT, lambda: fn(*args, **kwargs))

    def share(self, caller: bytes, elements: int) -> Executor:
        """Return an executor that queues for a caller jobs of so many elements."""
        return _Share(self, caller, elements)

    def put(self, caller: bytes, weight: int, work: Callable[[], T]) -> Future[T]:
        """Queue work for a caller. Raises `RuntimeError` after `shutdown`."""
        future: Future[T] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the curve threads have ended")
            queue = self._queues.setdefault(caller, _Queue(self._reached))
            if not queue.jobs:
                queue.served = max(queue.served, self._reached)
            queue.jobs.append(_Job(future, work, max(1, weight)))
            self._changed.notify()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work, finish or cancel what is queued, and end the threads."""
        with self._changed:
            self._closed = True
            if cancel_futures:
                for queue in self._queues.values():
                    for job in queue.jobs:
                        job.future.cancel()
            self._changed.notify_all()
        if wait:
            for thread in self._threads:
                thread.join()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            job.run()

    def _next(self) -> _Job | None:
        with self._changed:
            while True:
                waiting = [queue for queue in self._queues.values() if queue.jobs]
                if waiting:
                    break
                if self._closed:
                    return None
                self._changed.wait()
            queue = min(waiting, key=lambda queue: queue.served)
            job = queue.jobs.popleft()
            self._reached = max(self._reached, queue.served)
            queue.served += job.weight
            # An idle queue that everybody has reached says nothing any more.
            for caller in [
                caller
                for caller, idle in self._queues.items()
                if not idle.jobs and idle.served <= self._reached
            ]:
                del self._queues[caller]
            return job


class _Share(Executor):
    """A caller's way into the pool."""

    def __init__(self, pool: FairPool, caller: bytes, elements: int) -> None:
        self._pool = pool
        self._caller = caller
        self._elements = elements

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self._pool.put(self._caller, self._elements, lambda: fn(*args, **kwargs))
