"""The services' way to the store from the event loop: reads in a pool, writes through the one writer.

A store that fails becomes the refusal that promises that nothing happened; every other error passes unchanged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from tocsin.node.ports import Reading, Store, StoreFull, StoreUnavailable, Writing
from tocsin.node.service.errors import CannotStore, DiskFull
from tocsin.node.service.writer import Writer

T = TypeVar("T")


class Storing:
    """Reads and writes of one store, awaited. `readers` runs the reads."""

    def __init__(self, store: Store, writer: Writer, readers: Executor) -> None:
        self._store = store
        self._writer = writer
        self._readers = readers

    async def read(self, look: Callable[[Reading], T]) -> T:
        """Run `look` on one consistent view. Raises `CannotStore` if the store does not answer."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._look, look)
        except (StoreUnavailable, StoreFull) as error:
            raise CannotStore(f"the store cannot be read now: {error}; try again later") from error

    async def write(self, change: Callable[[Writing], T]) -> T:
        """Run `change` in a transaction and return once it is durable. Raises `CannotStore` or `DiskFull`."""
        try:
            return await asyncio.wrap_future(self._writer.submit(change))
        except StoreFull as error:
            raise DiskFull("the disk of this node is full and nothing was stored; free some space") from error
        except StoreUnavailable as error:
            raise CannotStore(f"nothing was stored: {error}; try again later") from error

    def write_now(self, change: Callable[[Writing], T]) -> T:
        """Do what `write` does from a thread that may block, before the event loop runs.

        Raises the store's own errors.
        """
        return self._writer.submit(change).result()

    def read_now(self, look: Callable[[Reading], T]) -> T:
        """Do what `read` does from a thread that may block; raises the store's own errors."""
        return self._look(look)

    def _look(self, look: Callable[[Reading], T]) -> T:
        with self._store.read() as reading:
            return look(reading)
