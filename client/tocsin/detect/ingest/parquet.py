"""Rows of a Parquet file as documents, through DuckDB, in batches.

1. A row is one document, its columns are the document's names. Times become ISO 8601 text, decimals numbers.
2. Nothing but this file is read and nothing is written: DuckDB may load no extension, and a name is never taken for a
   pattern.
3. What is held is a group of rows as the file has them; one that does not fit into a GiB is reported, not read. A text
   longer than a line may be is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from .lines import MAX_LINE
from .sources import Damaged

_ROWS = 32
Settings = dict[str, str | bool | int | float | list[str]]
LOCKED: Settings = {
    "memory_limit": "1GB",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
"""How DuckDB is used everywhere; what connects says `temp_directory`, or it may write into the current folder."""


def documents(path: str) -> Iterator[dict[str, Any]]:
    """Each row. Raises Damaged."""
    try:
        import duckdb
    except ImportError:
        raise Damaged("Parquet needs the extra `detect` to be installed") from None
    try:
        with duckdb.connect(config=LOCKED | {"threads": 1, "temp_directory": ""}) as connection:
            described = connection.execute(
                "DESCRIBE SELECT * FROM read_parquet(?)", [one_file(path)]
            ).fetchall()
            columns = ", ".join(_bounded(str(name), str(type)) for name, type, *_ in described)
            query = f"SELECT {columns} FROM read_parquet(?)"  # noqa: S608 - names are quoted
            result = connection.execute(query, [one_file(path)])
            names = [column[0] for column in result.description or ()]
            while rows := result.fetchmany(_ROWS):
                for row in rows:
                    yield {name: _plain(value) for name, value in zip(names, row, strict=True)}
    except (duckdb.Error, OverflowError, ValueError):
        # DuckDB's message may quote values; what Python has no value for is raised by Python.
        raise Damaged("the Parquet file cannot be read") from None


def one_file(path: str) -> str:
    """Return what DuckDB takes as this one file, and not as a pattern of names."""
    return re.sub(r"([\[*?])", r"[\1]", path)


def _bounded(name: str, type: str) -> str:
    quoted = '"' + name.replace('"', '""') + '"'
    return (
        f"CASE WHEN strlen({quoted}) <= {MAX_LINE} THEN {quoted} END AS {quoted}"
        if type == "VARCHAR"
        else quoted
    )


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    # Bytes are no text, and nothing that is read is made of them.
    return None if isinstance(value, bytes | bytearray) else str(value)
