"""Small populations written by hand, for tests of the detector and of the population format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

Rows = Sequence[tuple[Any, ...]]

COLUMNS = {
    "holdings": "account VARCHAR, type VARCHAR, value VARCHAR, first_day INTEGER, last_day INTEGER, exchanges BIGINT, "
    "conversations BIGINT",
    "truth": "account VARCHAR, hostile BOOLEAN, campaign INTEGER, first_day INTEGER",
    "accounts": "account VARCHAR, created_day INTEGER",
    "confirmed": "account VARCHAR, day INTEGER",
    "activity": "account VARCHAR, day INTEGER, hours INTEGER",
}


def write_table(path: Path, columns: str, rows: Rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE made ({columns})")
        if rows:
            marks = ", ".join("?" for _ in rows[0])
            connection.executemany(f"INSERT INTO made VALUES ({marks})", [list(row) for row in rows])
        connection.sql("SELECT * FROM made").write_parquet(str(path))


def write_provider(folder: Path, tables: Mapping[str, Rows]) -> None:
    """Every file of a provider; those not named are empty."""
    for name, columns in COLUMNS.items():
        write_table(folder / f"{name}.parquet", columns, tables.get(name, ()))


def innocents(count: int, first: int = 0) -> dict[str, list[tuple[Any, ...]]]:
    """Established accounts with an address and an e-mail address of their own."""
    names = [f"user{number}" for number in range(first, first + count)]
    holdings = [
        (name, type, f"{type} of {name}", 0, 30, 5, 2)
        for name in names
        for type in ("net.ipv4", "contact.email")
    ]
    return {
        "holdings": holdings,
        "truth": [(name, False, -1, 0) for name in names],
        "accounts": [(name, -400) for name in names],
        "confirmed": [],
    }


def campaign(
    tables: dict[str, list[tuple[Any, ...]]],
    prefix: str,
    count: int,
    confirmed: int,
    values: Mapping[str, str],
) -> None:
    """Add hostile accounts that all hold these values; the first few are confirmed on day 3."""
    for number in range(count):
        name = f"{prefix}{number}"
        tables["holdings"] += [(name, type, value, 1, 30, 100, 9) for type, value in values.items()]
        tables["truth"].append((name, True, 0, 1))
        tables["accounts"].append((name, 1))
        if number < confirmed:
            tables["confirmed"].append((name, 3))


def read(path: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.read_parquet(str(path)).fetchall()
