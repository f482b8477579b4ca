"""Opening the casebook's database: SQLite by default, PostgreSQL by URL.

1. One change at a time: a write transaction holds the database's only write lock (BEGIN IMMEDIATE in SQLite, an
   advisory lock in PostgreSQL) from its first statement to its commit. So what it read is still true when it writes.
2. Migrations run in such a transaction: they happened whole or not at all. A version that this release does not know is
   of a later one, and nothing is touched.
3. The first opening writes a mark of the key into the database; every later one must bring the same key.
4. What is deleted is overwritten in SQLite's file. No error quotes a password or a parameter.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tocsin.detect.casebook.errors import (
    BadSettings,
    CasebookTooNew,
    CasebookUnavailable,
    ForeignCasebook,
)
from tocsin.detect.errors import ExtraMissing

try:
    from sqlalchemy import (
        Connection,
        Engine,
        column,
        create_engine,
        event,
        insert,
        inspect,
        make_url,
        select,
        table,
    )
    from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
    from sqlalchemy.pool import NullPool

    from tocsin.detect.casebook import tables
except ImportError:
    raise ExtraMissing("sqlmodel") from None

if TYPE_CHECKING:
    from sqlalchemy.pool import ConnectionPoolEntry

VERSIONS = ("0001",)
"""Every revision of `migrations/versions`, oldest first."""
NO_HASH = bytes(32)
"""What the first row of the history follows."""
_MIGRATIONS = Path(__file__).parent / "migrations"
_VERSION = table("alembic_version", column("version_num"))
_LOCK = 0x746F6373696E6362
"""Of PostgreSQL's advisory locks, within one database: "tocsincb"."""
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA secure_delete=ON",
    "PRAGMA busy_timeout=30000",
)


class Database:
    """The casebook's tables. `open_database` makes one; several threads and processes may use one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection with one consistent view."""
        with _translated(), self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ")
            _begin(connection, "BEGIN")
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection that nobody writes beside; commits at the end, or undoes everything (rule 1)."""
        with _translated(), self._engine.connect() as connection:
            _begin(connection, "BEGIN IMMEDIATE")
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            yield connection
            connection.commit()

    def erase_log(self) -> None:
        """Drop what SQLite's write-ahead log still holds of what was deleted (rule 4)."""
        if self._engine.dialect.name == "sqlite":
            with _translated(), self._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close what is open."""
        self._engine.dispose()


def open_database(url: str, key_mark: bytes) -> Database:
    """Open, and if need be create or migrate, the casebook at a URL.

    Raises `BadSettings`, `CasebookTooNew`, `ForeignCasebook`, `CasebookUnavailable`.
    """
    database = Database(_engine(url))
    try:
        with database.writing() as connection:
            _migrate(connection)
            row = connection.execute(select(tables.meta.c.key_mark)).first()
            if row is None:
                connection.execute(
                    insert(tables.meta).values(no=1, key_mark=key_mark, run=0, last_hash=NO_HASH)
                )
            elif not hmac.compare_digest(row.key_mark, key_mark):
                raise ForeignCasebook(
                    "the casebook was made with another key: copy casebook.key from a colleague's folder"
                )
    except BaseException:
        database.close()
        raise
    return database


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise BadSettings("database must be sqlite:///path or postgresql://user@host/name") from None
    if parsed.drivername in {"postgresql", "postgresql+psycopg"}:
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"), poolclass=NullPool, hide_parameters=True,
            connect_args={"connect_timeout": "10"},
        )  # fmt: skip
    if parsed.drivername not in {"sqlite", "sqlite+pysqlite"} or parsed.database in {None, "", ":memory:"}:
        raise BadSettings(
            f"a casebook cannot be kept in {parsed.drivername}: use sqlite:///path or postgresql://…"
        )
    path = Path(str(parsed.database))
    try:
        # Made by us so that no other user can read it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise CasebookUnavailable(f"{path} cannot be opened: {error.strerror}") from None
    engine = create_engine(
        parsed,
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"timeout": 30.0, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        for pragma in _PRAGMAS:
            connection.execute(pragma).close()

    return engine


def _begin(connection: Connection, statement: str) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(statement)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except NoSuchModuleError:
        raise ExtraMissing("psycopg") from None
    except DBAPIError as error:
        name = getattr(error.orig, "sqlite_errorname", "") or getattr(error.orig, "sqlstate", "") or ""
        if name == "SQLITE_NOTADB":
            raise ForeignCasebook(
                "the casebook's file is not a database: name another in casebook.toml"
            ) from None
        raise CasebookUnavailable(
            f"the casebook's database cannot be used ({name or type(error.orig).__name__}): "
            "check that it runs and that its disk has room, then try again"
        ) from error


def _migrate(connection: Connection) -> None:
    names = set(inspect(connection).get_table_names())
    if names and "alembic_version" not in names:
        raise ForeignCasebook(
            "the database holds another program's tables: name one of its own in casebook.toml"
        )
    version = None
    if names:
        version = connection.execute(select(_VERSION.c.version_num)).scalar_one_or_none()
        if version is not None and "history" not in names:
            raise ForeignCasebook(
                "the database holds another program's tables: name one of its own in casebook.toml"
            )
    if version is not None and version not in VERSIONS:
        raise CasebookTooNew(
            f"the casebook has schema {version}, this release knows up to {VERSIONS[-1]}; run the later release"
        )
    if version != VERSIONS[-1]:
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
