"""What differs between the databases, declared where the store uses it.

Rules
1. `readers` hands out connections whose transaction is one consistent view and cannot write.
2. `writers` has one connection. A transaction on it is durable once its COMMIT returned, and it is the only writer of
   this log: whoever holds the connection holds the lock.
3. What the database cannot do comes out of either engine as `StoreFull` or `StoreUnavailable`, translated in one
   place. After any error the write connection is closed: nothing more can happen in its transaction, and the next
   write starts on a fresh one.
4. No message of an error holds a parameter: those are tags and keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, Table, event
from sqlalchemy.engine import ExceptionContext

from tocsin.node.ports import StoreError

Rows = Iterable[tuple[Any, ...]]


class Backend(Protocol):
    """A database that a store can be kept in."""

    name: str
    readers: Engine
    writers: Engine

    def insert(self, connection: Connection, table: Table, rows: Rows) -> None:
        """Insert rows given in the order of the table's columns; none of them is there yet."""

    def look_up(self, connection: Connection, log: int, tags: bytes) -> Sequence[tuple[int, int]]:
        """Return (position of the tag, index) of every live entry under concatenated, preferably sorted tags."""

    def newest(self, connection: Connection, log: int, tags: bytes, most: int) -> Sequence[tuple[int, int]]:
        """As `look_up`, of each tag the `most` highest indices; no more of a tag is read."""

    def check_room(self, connection: Connection) -> None:
        """Raise `StoreFull` if a larger write would not fit now."""

    def check_whole(self, connection: Connection) -> None:
        """Raise `StoreDamaged` if what a connection has just committed would be gone after a restart."""

    def close(self) -> None:
        """Close all connections, then release the lock."""


def translate_errors(
    engine: Engine, kinds: type[Exception], translate: Callable[[Exception], StoreError]
) -> None:
    """Make `engine` raise what `translate` makes of its driver's errors (rule 3)."""

    @event.listens_for(engine, "handle_error")
    def handle(context: ExceptionContext) -> None:
        if isinstance(context.original_exception, kinds):
            context.is_disconnect = True
            raise translate(context.original_exception)
