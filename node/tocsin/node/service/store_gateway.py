"""The services' gateway to the store from the event loop: reads in a pool, writes through the one writer.

A store that fails becomes a refusal that says what happened; every other error passes unchanged.
What one transaction finished comes back in one wake-up of the event loop: a wake-up costs as much as a small write.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import TypeVar

from tocsin.node.ports import Snapshot, Store, StoreFull, StoreUnavailable, Transaction
from tocsin.node.service.errors import CannotStore, DiskFull
from tocsin.node.service.group_commit import GroupCommitWriter

T = TypeVar("T")


class StoreGateway:
    """Reads and writes of one store, awaited. `readers` runs the reads."""

    def __init__(self, store: Store, writer: GroupCommitWriter, readers: Executor) -> None:
        self._store = store
        self._writer = writer
        self._readers = readers
        self._returns: _Returns | None = None

    async def read(self, look: Callable[[Snapshot], T]) -> T:
        """Run `look` on one consistent view. Raises `CannotStore` if the store does not answer."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._look, look)
        except (StoreUnavailable, StoreFull) as error:
            raise CannotStore(f"the store cannot be read now: {error}; try again later") from error

    async def write(self, change: Callable[[Transaction], T]) -> T:
        """Run `change` in a transaction and return once it is durable. Raises `CannotStore` or `DiskFull`."""
        return await self._durable(self._writer.submit(change))

    async def write_alone(self, change: Callable[[Transaction], T]) -> T:
        """Do what `write` does, in a transaction that no other write waits for. Raises as `write` does."""
        return await self._durable(self._writer.submit_alone(change))

    def write_now(self, change: Callable[[Transaction], T]) -> T:
        """Do what `write` does from a thread that may block, before the event loop runs.

        Raises the store's own errors.
        """
        return self._writer.submit(change).result()

    def read_now(self, look: Callable[[Snapshot], T]) -> T:
        """Do what `read` does from a thread that may block; raises the store's own errors."""
        return self._look(look)

    async def _durable(self, written: Future[T]) -> T:
        try:
            return await self._written(written)
        except StoreFull as error:
            raise DiskFull(
                "the disk of this node is full and nothing was stored; free some space, no restart is needed"
            ) from error
        except StoreUnavailable as error:
            raise CannotStore(f"nothing was stored: {error}; try again later") from error

    async def _written(self, written: Future[T]) -> T:
        loop = asyncio.get_running_loop()
        if self._returns is None or self._returns.loop is not loop:
            self._returns = _Returns(loop)
        waiting: asyncio.Future[None] = loop.create_future()
        returns = self._returns
        written.add_done_callback(lambda _: returns.add(waiting))
        try:
            await waiting
        except asyncio.CancelledError:
            written.cancel()
            raise
        return written.result()

    def _look(self, look: Callable[[Snapshot], T]) -> T:
        with self._store.read() as snapshot:
            return look(snapshot)


class _Returns:
    """Futures of an event loop that other threads have completed, gathered until the loop sets them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._lock = threading.Lock()
        self._completed: list[asyncio.Future[None]] = []

    def add(self, future: asyncio.Future[None]) -> None:
        """Let the loop set this one; from any thread."""
        with self._lock:
            self._completed.append(future)
            woken = len(self._completed) > 1
        if not woken:
            try:
                self.loop.call_soon_threadsafe(self._set)
            except RuntimeError:
                return  # the loop has closed: nobody waits any more

    def _set(self) -> None:
        with self._lock:
            completed, self._completed = self._completed, []
        for future in completed:
            if not future.done():
                future.set_result(None)
