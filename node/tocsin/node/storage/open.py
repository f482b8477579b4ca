"""Opening a node's database by its URL.

Rules
1. `sqlite:///path` is a file, `postgresql://…` (or `postgresql+psycopg://…`) a server; nothing else is accepted.
2. The order is: lock, schema, owner. Whoever fails one of them releases what it took.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from tocsin.node.ports import Store, StoreError, StoreUnavailable
from tocsin.node.storage import schema
from tocsin.node.storage.backend import Backend
from tocsin.node.storage.sql_store import SqlStore
from tocsin.wire.values import MemberId

SQLITE = ("sqlite", "sqlite+pysqlite")
POSTGRESQL = ("postgresql", "postgresql+psycopg")


class UnsupportedDatabase(StoreError):
    """A URL of none of the databases of rule 1."""


def open_store(url: str, federation: str, member: bytes) -> Store:
    """Open, and if need be create or migrate, the store of one member's node.

    Raises `UnsupportedDatabase`, `StoreInUse`, `StoreTooNew`, `ForeignStore`, `StoreFull`, `StoreUnavailable`. No
    message holds the URL's password.
    """
    owner = MemberId(member)
    backend = _backend(url, federation, owner)
    try:
        schema.prepare(backend, federation, owner)
    except SQLAlchemyError as error:
        backend.close()
        raise StoreUnavailable(f"the database cannot be prepared: {type(error).__name__}") from error
    except BaseException:
        backend.close()
        raise
    return SqlStore(backend, owner)


def _backend(url: str, federation: str, member: MemberId) -> Backend:
    parsed = parse_url(url)
    if parsed.drivername in SQLITE:
        from tocsin.node.storage.sqlite import SqliteBackend

        return SqliteBackend(Path(str(parsed.database)))
    from tocsin.node.storage.postgresql import PostgresqlBackend

    return PostgresqlBackend(parsed, federation, member)


def parse_url(url: str) -> URL:
    """Read the URL of a database of rule 1. Raises `UnsupportedDatabase`."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise UnsupportedDatabase(
            "the database URL cannot be read; write sqlite:///path or postgresql://…"
        ) from None
    if parsed.drivername in SQLITE and parsed.database not in {None, "", ":memory:"}:
        return parsed
    if parsed.drivername in POSTGRESQL:
        return parsed
    raise UnsupportedDatabase(
        f"no store for {parsed.drivername} databases of this kind; write sqlite:///path or postgresql://…"
    )
