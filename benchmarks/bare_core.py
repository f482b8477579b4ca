"""What `publish` and `follow` are compared with: the same rows, upserted through SQLAlchemy Core and nothing else.

1. The rows are those that the product leaves behind for an entry: its leaf, its body, its tag, in the product's own
   tables, as plain dictionaries made beforehand. No tree, no signature, no acknowledgement, no order.
2. SQLite: one executemany of INSERT … ON CONFLICT DO UPDATE per table, journal and synchronous mode as the product's.
   PostgreSQL: COPY into a staging table, then one upsert from it, the quickest way to upsert that the server has.
3. One transaction for each thousand entries, durable when it returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, make_url, text
from sqlalchemy.dialects import sqlite

from tocsin.node.storage import tables
from tocsin.wire.values import Stored

ENTRIES = 1_000
TABLES = (tables.leaf, tables.body, tables.live_tag)

Rows = tuple[list[dict[str, Any]], ...]
"""The rows of some entries, by table in the order of `TABLES`."""


def rows_of(stored: Sequence[Stored], nodes: Sequence[bytes]) -> list[Rows]:
    """Lay entries out as rows, a thousand entries at a time. `nodes` is what each leaf completes of the tree."""
    made: list[Rows] = []
    for start in range(0, len(stored), ENTRIES):
        leaves, bodies, tags = [], [], []
        for leaf, completed in zip(
            stored[start : start + ENTRIES], nodes[start : start + ENTRIES], strict=True
        ):
            header, body = leaf.entry.header, leaf.entry.body
            place = {"log": 1, "leaf_index": leaf.index}
            leaves.append(
                {**place, "header": header.encode(), "body_hash": leaf.body_hash, "nodes": completed}
            )
            if body is not None:
                about = {"not_after": header.not_after, "period": header.period}
                bodies.append({**place, **about, "tag": body.tag, "sealed": body.nonce + body.box})
                tags.append({**place, "tag": body.tag})
        made.append((leaves, bodies, tags))
    return made


class SqliteCore:
    """An empty database file with the product's tables and pragmas."""

    def __init__(self, path: str) -> None:
        self._engine = create_engine(f"sqlite:///{path}")

        @event.listens_for(self._engine, "connect")
        def connect(connection: Any, _record: object) -> None:
            for pragma in (
                "journal_mode=WAL",
                "synchronous=FULL",
                "wal_autocheckpoint=4000",
                "cache_size=-65536",
            ):
                connection.execute(f"PRAGMA {pragma}").close()

        _create(self._engine)
        self._statements = [_sqlite_upsert(table) for table in TABLES]

    def upsert(self, rows: Rows) -> None:
        """Upsert one batch and commit."""
        with self._engine.begin() as connection:
            for statement, part in zip(self._statements, rows, strict=True):
                connection.execute(statement, part)

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()


class PostgresCore:
    """An empty database with the product's tables, and staging tables beside them."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(make_url(url))
        _create(self._engine)
        with self._engine.begin() as connection:
            for table in TABLES:
                connection.execute(text(f"CREATE UNLOGGED TABLE staged_{table.name} (LIKE {table.name})"))

    def upsert(self, rows: Rows) -> None:
        """Upsert one batch and commit."""
        with self._engine.begin() as connection:
            for table, part in zip(TABLES, rows, strict=True):
                _copy(connection, table, part)
                connection.execute(text(_postgres_upsert(table)))
                connection.execute(text(f"TRUNCATE staged_{table.name}"))

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def _create(engine: Engine) -> None:
    for table in TABLES:
        table.create(engine)


def _sqlite_upsert(table: Table) -> Any:
    statement = sqlite.insert(table)
    rest = {
        column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key
    }
    keys = [column.name for column in table.primary_key]
    if not rest:
        return statement.on_conflict_do_nothing(index_elements=keys)
    return statement.on_conflict_do_update(index_elements=keys, set_=rest)


def _postgres_upsert(table: Table) -> str:
    keys = ", ".join(column.name for column in table.primary_key)
    rest = ", ".join(
        f"{column.name} = excluded.{column.name}" for column in table.columns if not column.primary_key
    )
    then = f"UPDATE SET {rest}" if rest else "NOTHING"
    return f"INSERT INTO {table.name} SELECT * FROM staged_{table.name} ON CONFLICT ({keys}) DO {then}"


def _copy(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    driver: Any = connection.connection.driver_connection
    names = [column.name for column in table.columns]
    with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY staged_{table.name} ({', '.join(names)}) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.set_types(["bytea" if row_type == "BLOB" else "int8" for row_type in _types(table)])
        for row in rows:
            copy.write_row([row[name] for name in names])


def _types(table: Table) -> list[str]:
    return [str(column.type) for column in table.columns]
