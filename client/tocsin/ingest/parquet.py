"""Rows of a Parquet file as documents, through DuckDB.

1. A row is one document, its columns are the document's names. Times become ISO 8601 text, decimals numbers. Columns of
   bytes, intervals and other types that no format uses are left out; bytes within a column are read as null.
2. Nothing but this file is read and nothing is written: DuckDB may load no extension, and a name is never taken for a
   pattern.
3. A row has at most 8 MiB in memory, nested values included, as a line has: a longer one is reported and skipped.
4. DuckDB reads a vector of 2,048 rows at once and copies it, beyond its memory limit, for Python. So lengths are read
   first, which takes no texts into memory, and where rows are very long, fewer are read at once. Rows of a vector of
   more than 2 GiB, and those that DuckDB has no memory for, are reported. Reading stops after 10,000 bad rows.
5. Lists are held whole to be measured: a file with a group of rows that has more than 64 million values in lists is
   reported, not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .decompression import Damaged
from .line_splitting import MAX_LINE

if TYPE_CHECKING:
    import duckdb

TOO_LONG = f"the row has more than {MAX_LINE >> 20} MiB"
AMONG_LONG = "the row is among rows that do not fit into memory together; write smaller groups of rows"
MAX_BAD_ROWS = 10_000

_VECTOR = 2_048
_FETCHED = 8
_AT_ONCE = 256 << 20
_HEAVIEST = 2 << 30
_MAX_VALUES = 64_000_000
_MAX_DEPTH = 16
_SCALARS = frozenset(
    (
        "boolean", "tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger",
        "ubigint", "uhugeint", "float", "double", "decimal", "date", "time", "time with time zone", "timestamp",
        "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone", "timestamptz_ns", "time_ns", "uuid",
        "null",
    )
)  # fmt: skip
_NESTED = frozenset(("struct", "map", "list", "array"))
_SCALAR_BYTES = 8
Settings = dict[str, str | bool | int | float | list[str]]
LOCKED: Settings = {
    "memory_limit": "1GB",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
"""How DuckDB is used everywhere; callers set `temp_directory`, or it may write into the current folder."""


def documents(path: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Each row by its number, or why it cannot be read. Raises Damaged."""
    try:
        import duckdb
    except ImportError:
        raise Damaged("Parquet needs the extra `detect` to be installed") from None
    try:
        with duckdb.connect(config=LOCKED | {"threads": 1, "temp_directory": ""}) as connection:
            bad = 0
            for number, row in _Rows(connection, path, duckdb.OutOfMemoryException).all():
                yield number, row
                bad += isinstance(row, str)
                if bad == MAX_BAD_ROWS:
                    raise Damaged(f"was not read after row {number}: {bad:,} of its rows are too long")
    except (duckdb.Error, OverflowError, ValueError):
        # DuckDB's message may quote values; what Python has no value for is raised by Python.
        raise Damaged("the Parquet file cannot be read") from None


class _Rows:
    """The rows of one file, as many at once as fit into memory (rules 3 and 4)."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, path: str, out_of_memory: type[Exception]
    ) -> None:
        self._connection, self._path, self._out_of_memory = connection, one_file(path), out_of_memory
        file = connection.read_parquet(self._path)
        if "file_row_number" in map(str.lower, file.columns):
            raise Damaged(
                "the Parquet file has a column file_row_number, which DuckDB numbers rows by: rename it"
            )
        sizes = {}
        for name, type in zip(file.columns, file.types, strict=True):
            if (size := _size(_quoted(name), type)) is not None:
                sizes[name] = size
            elif type.id in _NESTED:
                raise Damaged(
                    f"the Parquet file's column {name[:64]} holds what cannot be read, an interval for one, or is "
                    f"nested more than {_MAX_DEPTH} deep: leave it out"
                )
        self._names = list(sizes)
        self._columns = ", ".join(("file_row_number", *map(_quoted, sizes)))
        self._size = " + ".join(("0", *sizes.values()))
        self._check_values()

    def all(self) -> Iterator[tuple[int, dict[str, Any] | str]]:
        begin = end = 0
        try:
            blocks = self._blocks(f"sum({self._size}), max({self._size})")
        except self._out_of_memory:
            blocks = self._blocks(f"{_AT_ONCE + 1}, 0")  # to be asked one by one
        for block, count, size, longest in blocks:
            start, end = block * _VECTOR, block * _VECTOR + count
            if size > _AT_ONCE or longest > MAX_LINE:
                yield from self._range(begin, start)
                yield from _among_long(start, end) if size > _HEAVIEST else self._long(start, end)
                begin = end
        yield from self._range(begin, end)

    def _blocks(self, sizes: str) -> list[Any]:
        return self._select(
            f"file_row_number // {_VECTOR} AS block, count(*), {sizes}", "GROUP BY 1 ORDER BY 1"
        ).fetchall()

    def _long(self, begin: int, end: int) -> Iterator[tuple[int, dict[str, Any] | str]]:
        try:
            sizes = self._select(
                f"file_row_number, {self._size}", f"{_between(begin, end)} ORDER BY 1"
            ).fetchall()
        except self._out_of_memory:
            yield from _among_long(begin, end)
            return
        held = 0
        for at, size in sizes:
            if size > MAX_LINE or held + size > _AT_ONCE:
                yield from self._range(begin, at)
                begin, held = at, 0
            if size > MAX_LINE:
                yield at + 1, TOO_LONG
                begin = at + 1
            else:
                held += size
        yield from self._range(begin, end)

    def _range(self, begin: int, end: int) -> Iterator[tuple[int, dict[str, Any] | str]]:
        if begin >= end:
            return
        try:
            result = self._select(self._columns, _between(begin, end))
            while rows := result.fetchmany(_FETCHED):
                for at, *values in rows:
                    begin = at + 1
                    yield begin, _document(self._names, values)
            return
        except self._out_of_memory:
            pass
        # What DuckDB read ahead is lost with the error.
        if end - begin > _VECTOR:
            for step in range(begin, end, _VECTOR):
                yield from self._range(step, min(step + _VECTOR, end))
        else:
            yield from _among_long(begin, end)

    def _select(self, what: str, more: str) -> duckdb.DuckDBPyConnection:
        query = f"SELECT {what} FROM read_parquet(?, file_row_number=true) {more}"  # noqa: S608 - names are quoted
        return self._connection.execute(query, [self._path])

    def _check_values(self) -> None:
        groups = self._connection.execute(
            "SELECT sum(num_values) FROM parquet_metadata(?) WHERE num_values > row_group_num_rows "
            "GROUP BY row_group_id",
            [self._path],
        )
        if any(held > _MAX_VALUES for (held,) in groups.fetchall()):
            raise Damaged(
                f"the Parquet file has a group of rows with more than {_MAX_VALUES:,} values in lists; "
                "write smaller groups of rows"
            )


def one_file(path: str) -> str:
    """Return what DuckDB takes as this one file, and not as a pattern of names."""
    return re.sub(r"([\[*?])", r"[\1]", path)


def _among_long(begin: int, end: int) -> Iterator[tuple[int, str]]:
    return ((at + 1, AMONG_LONG) for at in range(begin, end))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _between(begin: int, end: int) -> str:
    return f"WHERE file_row_number >= {begin} AND file_row_number < {end}"


def _size(value: str, type: Any, depth: int = 0) -> str | None:
    """SQL for the size of a value in memory, in bytes; None for types that are left out (rule 1)."""
    if type.id == "varchar":
        return f"coalesce(strlen({value}), 0)"
    if depth and type.id == "blob":  # inside a column that is read: measured, and read as null
        return f"coalesce(octet_length({value}), 0)"
    if type.id in _SCALARS:
        return str(_SCALAR_BYTES)
    if depth == _MAX_DEPTH:
        return None
    inner: list[str | None]
    match type.id:
        case "struct":
            inner = [
                _size(f"struct_extract_at({value}, {place})", child, depth + 1)
                for place, (_, child) in enumerate(type.children, 1)
            ]
        case "map":
            (_, key), (_, held) = type.children
            inner = [
                _of_list(f"map_keys({value})", key, depth),
                _of_list(f"map_values({value})", held, depth),
            ]
        case "list" | "array":
            inner = [_of_list(value, type.children[0][1], depth)]
        case _:
            return None
    known = [size for size in inner if size is not None]
    return f"({' + '.join(('8', *known))})" if len(known) == len(inner) else None


def _of_list(value: str, type: Any, depth: int) -> str | None:
    item = f"x{depth}"
    size = _size(item, type, depth + 1)
    if size is None:
        return None
    if size.isdigit():
        return f"coalesce({size} * len({value}), 0)"
    return f"coalesce(list_sum(list_transform({value}, lambda {item}: {_SCALAR_BYTES} + {size})), 0)"


def _document(names: list[str], values: list[Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in zip(names, values, strict=True)}


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
    # Bytes are not text, and no format reads them.
    return None if isinstance(value, bytes | bytearray) else str(value)
