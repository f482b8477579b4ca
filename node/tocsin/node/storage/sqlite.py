"""SQLite as the node's database: one file, one lock file beside it.

Rules
1. WAL and synchronous=FULL: a commit is on the disk before it returns. On macOS that takes fullfsync.
2. Transactions are opened by us, not by the driver: BEGIN IMMEDIATE for the writer, so that it never finds out in the
   middle that it may not write; BEGIN for readers, whose view is fixed by their first read.
3. The lock is `flock` on `<file>.lock`: the system drops it with the process, however that ends.
4. SQLITE_FULL is `StoreFull`; SQLITE_CORRUPT and SQLITE_NOTADB are `StoreDamaged`; all else that the library reports is
   `StoreUnavailable`.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from tocsin.node.ports import StoreDamaged, StoreError, StoreFull, StoreInUse, StoreUnavailable
from tocsin.node.storage.backend import Rows, translate_errors

ROOM_BYTES = 8 * 2**20
"""Less free disk than this counts as full: a tick and its checkpoint of the write-ahead log must fit."""

_WRITER = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA fullfsync=ON",
    "PRAGMA wal_autocheckpoint=4000",  # pages, 16 MiB: fewer pages are written twice
    "PRAGMA journal_size_limit=67108864",
    "PRAGMA cache_size=-65536",
    "PRAGMA temp_store=MEMORY",
)
_READER = ("PRAGMA query_only=ON", "PRAGMA cache_size=-65536")

# One statement for any number of tags: the recursion cuts them, and the cross join fixes that each is one probe.
_LOOK_UP = """
WITH RECURSIVE asked(position) AS (SELECT 0 UNION ALL SELECT position + 1 FROM asked WHERE position + 1 < ?)
SELECT asked.position, live_tag.leaf_index FROM asked CROSS JOIN live_tag
ON live_tag.log = ? AND live_tag.tag = substr(?, asked.position * 16 + 1, 16)
"""


# One probe for each tag, which ends after `most` rows. A tag without entries gives NULL.
_NEWEST = """
WITH RECURSIVE asked(position) AS (SELECT 0 UNION ALL SELECT position + 1 FROM asked WHERE position + 1 < ?),
known(position, places) AS MATERIALIZED (
  SELECT position, (
    SELECT group_concat(leaf_index) FROM (
      SELECT leaf_index FROM live_tag WHERE log = ? AND tag = substr(?, asked.position * 16 + 1, 16)
      ORDER BY leaf_index DESC LIMIT ?
    )
  ) FROM asked
)
SELECT position, places FROM known WHERE places IS NOT NULL
"""


class SqliteBackend:
    """A database file. Raises `StoreInUse` if another process has it, `StoreUnavailable` if it cannot be made."""

    name = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.realpath(path))
        self._lock = _lock(self.path)
        try:
            # The file is made by us so that no other user can read it.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            self._lock.close()
            raise StoreUnavailable(f"cannot open {self.path}: {error.strerror}") from error
        self.writers = _engine(self.path, 1, _WRITER, "BEGIN IMMEDIATE")
        self.readers = _engine(self.path, 8, _READER, "BEGIN")

    def insert(self, connection: Connection, table: Table, rows: Rows) -> None:
        """Insert rows given in the order of the table's columns."""
        connection.exec_driver_sql(_insert(table), list(rows))

    def look_up(self, connection: Connection, log: int, tags: bytes) -> Sequence[tuple[int, int]]:
        """Return (position, index) of every live entry under the concatenated tags."""
        places = connection.exec_driver_sql(_LOOK_UP, (len(tags) // 16, log, tags))
        return [(position, index) for position, index in places]

    def newest(self, connection: Connection, log: int, tags: bytes, most: int) -> Sequence[tuple[int, int]]:
        """Return (position, index) of the newest live entries under each of the concatenated tags."""
        known = connection.exec_driver_sql(_NEWEST, (len(tags) // 16, log, tags, most))
        return [(position, int(index)) for position, places in known for index in places.split(",")]

    def check_whole(self, connection: Connection) -> None:
        """Raise `StoreDamaged` if the write-ahead log that a commit went to is no longer beside the database."""
        wal = self.path.with_name(self.path.name + "-wal")
        try:
            inode = wal.stat().st_ino
        except OSError:
            inode = -1
        if inode < 0 or connection.info.setdefault("wal", inode) != inode:
            raise StoreDamaged(
                f"{wal} was deleted or replaced while the node ran: what was written last is lost; stop the node, "
                "restore the newest backup, and start it again"
            )

    def check_room(self, connection: Connection) -> None:
        """Raise `StoreFull` if the disk, or the size that this database may have, is used up."""
        disk = os.statvfs(self.path.parent)
        if disk.f_bavail * disk.f_frsize < ROOM_BYTES:
            raise StoreFull(f"less than {ROOM_BYTES // 2**20} MiB are free on the disk of {self.path}")

        def pragma(name: str) -> int:
            return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())

        room = (pragma("max_page_count") - pragma("page_count") + pragma("freelist_count")) * pragma(
            "page_size"
        )
        if room < ROOM_BYTES:
            raise StoreFull(f"{self.path} is as large as its max_page_count allows")

    def close(self) -> None:
        """Close all connections, then release the lock."""
        self.readers.dispose()
        self.writers.dispose()
        self._lock.close()


def reader(path: Path) -> Engine:
    """Read a database file beside the process that has it; nothing is locked or written."""
    return _engine(path, 1, _READER, "BEGIN")


def translate(error: Exception) -> StoreError:
    """Name what SQLite reported; its own messages hold no values."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF == sqlite3.SQLITE_FULL:
        return StoreFull(
            "the disk of the database is full (SQLITE_FULL); free some space, no restart is needed"
        )
    if (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreDamaged(
            f"the database is damaged ({name}); stop the node, restore the newest backup, and start it again"
        )
    return StoreUnavailable(f"SQLite reports {name}: {error}")


def _lock(path: Path) -> IO[bytes]:
    place = path.with_name(path.name + ".lock")
    try:
        file = place.open("ab")
    except OSError as error:
        raise StoreUnavailable(f"cannot open the lock {place}: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise StoreInUse(f"another process has {path}: it holds the lock {place}; stop it first") from None
    return file


def _engine(path: Path, connections: int, pragmas: tuple[str, ...], begin: str) -> Engine:
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=10,
        connect_args={"check_same_thread": False, "timeout": 5.0, "cached_statements": 256},
        hide_parameters=True,
    )
    translate_errors(engine, sqlite3.Error, translate)

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        try:
            for pragma in pragmas:
                connection.execute(pragma).close()
        except sqlite3.Error as error:
            connection.close()
            raise translate(error) from error

    @event.listens_for(engine, "invalidate")
    def roll_back(connection: Any, _record: ConnectionPoolEntry, _error: BaseException | None) -> None:
        # The driver's close leaves the transaction and its lock alone while any statement is still referenced, and
        # the error that brought us here refers to one.
        with suppress(sqlite3.Error):
            connection.rollback()

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


@cache
def _insert(table: Table) -> str:
    names = [f'"{column.name}"' for column in table.columns]
    return f'INSERT INTO "{table.name}" ({", ".join(names)}) VALUES ({", ".join("?" * len(names))})'  # noqa: S608 - names are our own tables'
