"""Bringing a database to the schema of this release, and binding it to its owner.

Rules
1. The version row is read first; Alembic is imported only if the schema is behind, because start-up is measured.
2. A migration is one transaction: it happened whole or not at all, and runs again at the next start.
3. A version this release does not know is of a later one: nothing is touched.
4. The first opening writes the federation and the member into the database; every later one must name the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, column, insert, inspect, select, table

from tocsin.node.ports import ForeignStore, StoreTooNew
from tocsin.node.storage import tables
from tocsin.node.storage.backend import Backend
from tocsin.wire.values import MemberId

if TYPE_CHECKING:
    from alembic.config import Config

VERSIONS = ("0001",)
"""Every revision of `migrations/versions`, oldest first."""

_MIGRATIONS = Path(__file__).parent / "migrations"
_VERSION = table("alembic_version", column("version_num"))


def prepare(backend: Backend, federation: str, member: MemberId) -> None:
    """Migrate what is behind and check whose database it is. Raises `StoreTooNew`, `ForeignStore`."""
    with backend.writers.begin() as connection:
        version = current_version(connection)
        if version is not None and version not in VERSIONS:
            raise StoreTooNew(
                f"the database has schema {version}, this release knows up to {VERSIONS[-1]}; run the later release"
            )
        if version != VERSIONS[-1]:
            migrate(connection)
        _bind(connection, federation, member)


def current_version(connection: Connection) -> str | None:
    """Read the schema's revision; None for a database without one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(select(_VERSION.c.version_num)).scalar_one_or_none()


def migrate(connection: Connection) -> None:
    """Run every outstanding migration inside the caller's transaction."""
    from alembic import command

    command.upgrade(configuration(connection), "head")


def configuration(connection: Connection) -> Config:
    """Make Alembic's configuration from code: there is no ini file."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _bind(connection: Connection, federation: str, member: MemberId) -> None:
    meta = tables.meta.c
    row = connection.execute(select(meta.federation, meta.member)).first()
    if row is None:
        connection.execute(
            insert(tables.meta).values(no=1, federation=federation, member=member, seen_time=0, erased_week=0)
        )
        return
    _compare_owner(row.federation, row.member, federation, member)


def check_owner(connection: Connection, federation: str, member: MemberId) -> None:
    """Check whose database it is. Raises `ForeignStore`."""
    meta = tables.meta.c
    row = connection.execute(select(meta.federation, meta.member)).one()
    _compare_owner(row.federation, row.member, federation, member)


def _compare_owner(of: str, owner: bytes, federation: str, member: MemberId) -> None:
    if (of, owner) != (federation, member):
        raise ForeignStore(
            f"the database belongs to member {owner.hex()} of {of}, "
            f"not to member {member.hex()} of {federation}; name this member's own database"
        )
