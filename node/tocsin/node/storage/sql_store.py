"""The port's `Store` on a SQL database.

Rules
1. One write at a time: a lock in this process, the backend's lock against other processes.
2. A write leaves in one of two ways: COMMIT returned, or an exception. If COMMIT itself failed, a lost connection can
   hide that it took effect; whoever repeats the write by its idempotency key, batch or start learns which.
3. Once the database turned out to be damaged, nothing more is written until the process ends: what is written may be
   lost. Reads go on as far as they can.
4. A failed write costs its connection and nothing else: the next write works as soon as the database does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError

from tocsin.node.ports import StoreDamaged, StoreInUse, StoreUnavailable
from tocsin.node.storage import tables
from tocsin.node.storage.backend import Backend
from tocsin.node.storage.snapshot import SqlSnapshot
from tocsin.node.storage.transaction import SqlTransaction
from tocsin.wire.values import MemberId


class SqlStore:
    """See `tocsin.node.ports.Store`; `open_store` makes one."""

    def __init__(self, backend: Backend, member: MemberId) -> None:
        self._backend = backend
        self._member = member
        self._lock = threading.Lock()
        self._writer: int | None = None
        self._damage: str | None = None

    @contextmanager
    def read(self) -> Iterator[SqlSnapshot]:
        """One consistent view."""
        with self._noting_damage(), _unavailable(), self._backend.readers.connect() as connection:
            yield SqlSnapshot(connection, self._backend)

    @contextmanager
    def write(self) -> Iterator[SqlTransaction]:
        """The one write transaction; durable when it is left without an exception."""
        if self._writer == threading.get_ident():
            raise RuntimeError("this thread is in a write transaction already")
        with (
            self._lock,
            self._noting_damage(),
            _unavailable(),
            self._backend.writers.connect() as connection,
        ):
            self._check_damage()
            self._writer = threading.get_ident()
            try:
                with connection.begin():
                    transaction = SqlTransaction(connection, self._backend, self._member)
                    yield transaction
                    transaction.flush()
                self._backend.check_whole(connection)
            finally:
                self._writer = None

    def healthy(self) -> None:
        """Raise StoreUnavailable or StoreFull if a write could not be made now."""
        with (
            self._lock,
            self._noting_damage(),
            _unavailable(),
            self._backend.writers.begin() as connection,
        ):
            self._check_damage()
            self._backend.check_whole(connection)
            self._backend.check_room(connection)
            # A real write: a connection that answers is no proof that its disk takes anything.
            connection.execute(update(tables.meta).values(seen_time=tables.meta.c.seen_time))

    def _check_damage(self) -> None:
        if self._damage is not None:
            raise StoreDamaged(self._damage)

    @contextmanager
    def _noting_damage(self) -> Iterator[None]:
        try:
            yield
        except StoreDamaged as error:
            self._damage = str(error)
            raise

    def close(self) -> None:
        """Release locks and connections."""
        with self._lock:
            self._backend.close()


@contextmanager
def _unavailable() -> Iterator[None]:
    """Give the errors that the engines' translation does not see the port's name."""
    try:
        yield
    except SQLAlchemyError as error:
        # Exhausted pools, and statements after the one that broke the transaction: no message of theirs helps.
        raise StoreUnavailable(f"the database is not usable now: {type(error).__name__}") from None
    except StoreInUse as error:
        raise StoreUnavailable(str(error)) from error
