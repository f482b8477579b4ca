"""Reading a node's database beside the node: what it keeps to show others.

Rules
1. Nothing is locked, created, migrated or written, so a node that runs is not disturbed and one that is stopped not
   started.
2. Only the schema of this release is read, and only where the owner is the member that was named.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import SQLAlchemyError

from tocsin.node.ports import StoreTooNew, StoreUnavailable
from tocsin.node.storage import schema, tables
from tocsin.node.storage.open import SQLITE, parse_url
from tocsin.wire.values import MemberId

PORTABLE = ("fork", "bad-partial", "two-charters")
"""Kinds of audit records whose evidence is a portable proof."""


@dataclass(frozen=True, slots=True)
class KeptProof:
    """An audit record with a proof: its number, unix seconds, its kind, what the node noted, the proof."""

    no: int
    time: int
    kind: str
    detail: str
    proof: bytes


@dataclass(frozen=True, slots=True)
class KeptEvidence:
    """Every proof that a node keeps, oldest first, and the signed charters from version 1 on."""

    charters: tuple[bytes, ...]
    proofs: tuple[KeptProof, ...]


def read_evidence(url: str, federation: str, member: bytes) -> KeptEvidence:
    """Read the proofs in a node's audit trail (rules 1 and 2).

    Raises `UnsupportedDatabase`, `StoreUnavailable`, `StoreTooNew`, `ForeignStore`. No message holds
    the URL's password.
    """
    try:
        with _connected(url) as connection:
            _check(connection, federation, MemberId(member))
            charter, audit = tables.charter.c, tables.audit.c
            charters = connection.execute(select(charter.envelope).order_by(charter.version)).scalars()
            records = connection.execute(
                select(audit.no, audit.time, audit.kind, audit.detail, audit.evidence)
                .where(audit.kind.in_(PORTABLE))
                .order_by(audit.no)
            )
            return KeptEvidence(tuple(charters), tuple(KeptProof(*record) for record in records))
    except SQLAlchemyError as error:
        raise StoreUnavailable(f"the database cannot be read: {type(error).__name__}") from None


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = _reader(url)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _reader(url: str) -> Engine:
    parsed = parse_url(url)
    if parsed.drivername in SQLITE:
        from tocsin.node.storage import sqlite

        path = Path(str(parsed.database))
        if not path.is_file():
            raise StoreUnavailable(f"there is no database {path}; name the node whose proofs you want")
        return sqlite.reader(path)
    from tocsin.node.storage import postgresql

    return postgresql.reader(parsed)


def _check(connection: Connection, federation: str, member: MemberId) -> None:
    version = schema.current_version(connection)
    if version is None or version in schema.VERSIONS[:-1]:
        raise StoreUnavailable("the database is not of this release yet; start the node once")
    if version != schema.VERSIONS[-1]:
        raise StoreTooNew(f"the database has schema {version}; run the later release")
    schema.check_owner(connection, federation, member)
