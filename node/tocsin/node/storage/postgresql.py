"""PostgreSQL as the node's database.

Rules
1. The lock is a session-level advisory lock, keyed by federation and member, on the one connection that writes. If the
   connection is lost the lock and the transaction are lost with it: nobody goes on writing without the lock.
2. A fresh write connection waits a second for the lock: that long the server may take to notice that its holder died.
3. Readers see one snapshot (REPEATABLE READ) and may not write.
4. Rows come in by COPY, straight into their tables: an append starts where the log ends under the lock of rule 1, so
   none of its rows can be there yet and there is nothing to merge from a staging table.
5. disk_full is `StoreFull`, everything else `StoreUnavailable`; of the server's message only the primary line is kept,
   because its details quote values.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import (
    URL,
    BigInteger,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    create_engine,
    event,
)
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from tocsin.node.ports import StoreError, StoreFull, StoreInUse, StoreUnavailable
from tocsin.node.storage.backend import Rows, translate_errors
from tocsin.wire.values import MemberId

_TYPES = {BigInteger: "int8", Integer: "int4", SmallInteger: "int2", LargeBinary: "bytea"}

_CONNECTION = {
    # A server that went away must be noticed within the deadlines of the calls that wait for it.
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}

_READER = (
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    # Every query here has an index made for it, also where the planner's statistics are old.
    "SET enable_seqscan = off",
    "SET jit = off",
)
_WRITER = ("SET synchronous_commit = on", "SET enable_seqscan = off", "SET jit = off")

# OFFSET 0 keeps the planner from joining in another order: each tag is one probe of the index, with any statistics.
_LOOK_UP = """
SELECT asked.place, found.leaf_index FROM unnest(%(tags)b::bytea[]) WITH ORDINALITY AS asked(tag, place)
CROSS JOIN LATERAL (
  SELECT leaf_index FROM live_tag WHERE live_tag.log = %(log)s AND live_tag.tag = asked.tag OFFSET 0
) AS found
"""

_NEWEST = _LOOK_UP.replace("OFFSET 0", "ORDER BY leaf_index DESC LIMIT %(most)s")


class PostgresqlBackend:
    """A database on a server. Raises `StoreInUse` if another process sequences this log."""

    name = "postgresql"

    def __init__(self, url: URL, federation: str, member: MemberId) -> None:
        key = sha256(b"tocsin/1 store lock\x1f" + federation.encode() + b"\x1f" + member).digest()
        self._key = int.from_bytes(key[:8], "big", signed=True)
        url = _driven(url)
        place = url.render_as_string(hide_password=True)

        def lock(connection: psycopg.Connection[Any]) -> None:
            connection.execute("SET lock_timeout = '1s'")
            try:
                connection.execute("SELECT pg_advisory_lock(%s)", (self._key,))
            except psycopg.errors.LockNotAvailable:
                raise StoreInUse(
                    f"another process sequences the log of {member.hex()} in {place}: it holds the advisory lock "
                    f"{self._key}; stop it first"
                ) from None
            connection.execute("SET lock_timeout = 0")

        self.writers = _engine(url, 1, _WRITER, lock)
        self.readers = _engine(url, 8, _READER, _as_it_is)

    def insert(self, connection: Connection, table: Table, rows: Rows) -> None:
        """COPY rows given in the order of the table's columns."""
        statement, types = _copy(table)
        driver = connection.connection.driver_connection
        if driver is None:  # it is one only while the connection is open
            raise StoreUnavailable("the connection to the database is closed")
        try:
            with driver.cursor() as cursor, cursor.copy(statement) as copy:
                copy.set_types(types)
                for row in rows:
                    copy.write_row(row)
        except psycopg.Error as error:
            # The driver was used beneath SQLAlchemy, so what backend.py does to both must be done here.
            connection.invalidate()
            raise translate(error) from None

    def look_up(self, connection: Connection, log: int, tags: bytes) -> Sequence[tuple[int, int]]:
        """Return (position, index) of every live entry under the concatenated tags."""
        asked = [tags[at : at + 16] for at in range(0, len(tags), 16)]
        places = connection.exec_driver_sql(_LOOK_UP, {"tags": asked, "log": log})
        return [(place - 1, index) for place, index in places]

    def newest(self, connection: Connection, log: int, tags: bytes, most: int) -> Sequence[tuple[int, int]]:
        """Return (position, index) of the newest live entries under each of the concatenated tags."""
        asked = [tags[at : at + 16] for at in range(0, len(tags), 16)]
        places = connection.exec_driver_sql(_NEWEST, {"tags": asked, "log": log, "most": most})
        return [(place - 1, index) for place, index in places]

    def check_whole(self, connection: Connection) -> None:
        """Leave it to the server, whose files a client cannot see."""

    def check_room(self, connection: Connection) -> None:
        """Leave it to the write that follows: a client cannot see the server's disk."""

    def close(self) -> None:
        """Close all connections; the lock goes with its own."""
        self.readers.dispose()
        self.writers.dispose()


def reader(url: URL) -> Engine:
    """Read a database beside the process that has it; nothing is locked or written."""
    return _engine(_driven(url), 1, _READER, _as_it_is)


def _driven(url: URL) -> URL:
    return url.set(drivername="postgresql+psycopg")


def _as_it_is(connection: psycopg.Connection[Any]) -> None:
    """Prepare nothing: a reader needs no lock."""


def translate(error: Exception) -> StoreError:
    """Name what PostgreSQL reported, without the details that quote values."""
    state, primary = None, ""
    if isinstance(error, psycopg.Error):
        state, primary = error.sqlstate, error.diag.message_primary or ""
        # The error is shown as the cause of ours.
        error.args = (primary or "the connection is lost",)
    if state == "53100":
        return StoreFull(
            "the disk of the database server is full (53100); free some space, no restart is needed"
        )
    return StoreUnavailable(
        f"PostgreSQL reports {state or type(error).__name__}: {primary or 'no connection'}"
    )


def _engine(url: URL, connections: int, settings: tuple[str, ...], prepare: Any) -> Engine:
    engine = create_engine(
        url.update_query_dict({name: value for name, value in _CONNECTION.items() if name not in url.query}),
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=10,
        pool_pre_ping=True,
        hide_parameters=True,
    )
    translate_errors(engine, psycopg.Error, translate)

    @event.listens_for(engine, "connect")
    def connect(connection: psycopg.Connection[Any], _record: ConnectionPoolEntry) -> None:
        try:
            connection.autocommit = True
            for setting in settings:
                connection.execute(setting)
            prepare(connection)
            connection.autocommit = False
        except psycopg.Error as error:
            connection.close()
            raise translate(error) from None
        except StoreError:
            connection.close()
            raise

    return engine


@cache
def _copy(table: Table) -> tuple[sql.Composed, list[str]]:
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(sql.Identifier(table.name), names)
    return statement, [_TYPES[type(column.type)] for column in table.columns]
