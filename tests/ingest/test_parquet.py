"""Parquet: which rows and columns are read, and in how much memory, whatever a file holds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from tocsin.ingest import log_reader, parquet
from tocsin.ingest.decompression import Damaged
from tocsin.ingest.input_files import find

LIMIT = 1_100_000_000
"""Of addresses, of which DuckDB takes most without using them."""


def written(path: Path, query: str, options: str = "") -> Path:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet, COMPRESSION zstd{options})")
    return path


def rows(path: Path) -> list[tuple[int, dict[str, Any] | str]]:
    return list(parquet.documents(str(path)))


@pytest.mark.parametrize(
    "held",
    [
        "repeat('x', 8 * 1024 * 1024 + 1) AS a",
        "repeat('x', 5000000) AS a, repeat('y', 5000000) AS b",
        "('\"' || repeat('x', 10000000) || '\"')::JSON AS a",
        "[repeat('x', 3000000), repeat('y', 3000000), repeat('z', 3000000)] AS a",
        "MAP {'k': repeat('x', 9000000)} AS a",
        "MAP {repeat('x', 9000000): 1} AS a",
        "{'it''s \"odd\"': [{'b': {'c': repeat('x', 9000000)}}]} AS a",
        "range(1100000) AS a",
    ],
)
def test_a_row_is_bounded_as_a_whole(tmp_path: Path, held: str) -> None:
    query = f"SELECT 1 AS n, {held} UNION ALL BY NAME SELECT 2 AS n UNION ALL BY NAME SELECT 3 AS n"
    found = rows(written(tmp_path / "a[1]*.parquet", query))
    assert found[0] == (1, "the row has more than 8 MiB")
    assert [(number, row["n"]) for number, row in found[1:] if isinstance(row, dict)] == [(2, 2), (3, 3)]


def test_a_row_that_is_too_long_is_a_bad_line_and_the_others_go_on(tmp_path: Path) -> None:
    query = """
        SELECT 1700000000.5 + i AS startTime, 'completion' AS call_type, {'user_api_key_user_id': 'a' || i} AS metadata,
        CASE WHEN i = 2500 THEN repeat('x', 9000000) ELSE 'hello' END AS messages FROM range(5000) t(i) ORDER BY i
    """
    path = written(tmp_path / "a.parquet", query, ", ROW_GROUP_SIZE 2048")
    bad, counts = log_reader.BadLines(), log_reader.Counts()
    (piece,) = log_reader.cut(find([str(path)]).sources, 1)
    found = [exchange.account for exchange in log_reader.read(piece, "litellm", bad, counts)]
    assert found == [f"a{number}" for number in range(5_000) if number != 2_500]
    assert [str(line) for line in bad.kept] == [f"{path}: row 2501: the row has more than 8 MiB"]
    assert (counts.lines, counts.exchanges, counts.bad) == (5_000, 4_999, 1)


MEASURED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
from tocsin.ingest import parquet
parquet._AT_ONCE = 32 << 20
found = [type(row).__name__ for _, row in parquet.documents(sys.argv[1])]
print(found.count("dict"), found.count("str"))
"""


def test_rows_that_unpack_to_many_times_the_file_are_read_in_bounded_memory(tmp_path: Path) -> None:
    query = """
        SELECT CASE WHEN i < 4 THEN long ELSE short END AS a, a AS b, a AS c, a AS d
        FROM range(40) t(i), (SELECT repeat('x', 3000000) AS long, repeat('y', 1900000) AS short)
    """
    path = written(
        tmp_path / "a.parquet",
        query,
        ", DICTIONARY_SIZE_LIMIT 1000000, STRING_DICTIONARY_PAGE_SIZE_LIMIT 64000000",
    )
    assert path.stat().st_size < 100_000
    command = [sys.executable, "-c", MEASURED, str(path), str(LIMIT)]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout == "36 4\n"


@pytest.mark.parametrize("starving", ['file_row_number, "a"', "strlen"])
def test_rows_that_do_not_fit_into_memory_together_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, starving: str
) -> None:
    path = written(tmp_path / "a.parquet", "SELECT 'x' AS a FROM range(6000)")
    select = parquet._Rows._select

    def starved(self: parquet._Rows, what: str, more: str) -> duckdb.DuckDBPyConnection:
        begin, end = map(int, re.findall(r"[<>]=? (\d+)", more) or (0, 6_000))
        if starving in what and begin <= 3_000 < end:
            raise duckdb.OutOfMemoryException("told nobody")
        return select(self, what, more)

    monkeypatch.setattr(parquet._Rows, "_select", starved)
    found = rows(path)
    assert [number for number, _ in found] == list(range(1, 6_001))
    told = [(number, row) for number, row in found if isinstance(row, str)]
    assert told == [(number, parquet.AMONG_LONG) for number in range(2_049, 4_097)]


def test_rows_of_a_vector_that_is_too_heavy_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_AT_ONCE", 10_000)
    monkeypatch.setattr(parquet, "_HEAVIEST", 20_000)
    query = (
        "SELECT CASE WHEN i < 2048 THEN repeat('x', 10) ELSE 'x' END AS a FROM range(4100) t(i) ORDER BY i"
    )
    found = rows(written(tmp_path / "a.parquet", query))
    assert [row for _, row in found] == [parquet.AMONG_LONG] * 2_048 + [{"a": "x"}] * 2_052


def test_a_file_of_rows_that_are_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "MAX_LINE", 100)
    monkeypatch.setattr(parquet, "MAX_BAD_ROWS", 20)
    path = written(tmp_path / "a.parquet", "SELECT repeat('x', 90 + i % 20) AS a FROM range(2000) t(i)")
    with pytest.raises(Damaged, match=r"was not read after row \d+: 20 of its rows are too long"):
        rows(path)


def test_lists_of_many_values_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = written(tmp_path / "a.parquet", "SELECT {'held': range(1000)} AS a")
    few = written(tmp_path / "b.parquet", "SELECT {'held': i} AS a FROM range(1000) t(i)")
    assert len(rows(many)) == 1
    monkeypatch.setattr(parquet, "_MAX_VALUES", 999)
    assert len(rows(few)) == 1_000
    with pytest.raises(Damaged, match="write smaller groups of rows"):
        rows(many)


def test_columns_that_no_format_reads_are_left_out(tmp_path: Path) -> None:
    query = """
        SELECT 'x' AS a, INTERVAL 100000000 MONTHS AS b, BLOB 'secret' AS c, [[1, 2]] AS f, MAP {'k': ['v']} AS g,
        NULL::VARCHAR AS h, true AS i, 1.5::DECIMAL(4, 2) AS j, DATE '2024-05-29' AS k
    """
    assert rows(written(tmp_path / "a.parquet", query)) == [
        (1, {"a": "x", "f": [[1, 2]], "g": {"k": ["v"]}, "h": None, "i": True, "j": 1.5, "k": "2024-05-29"})
    ]
    assert rows(written(tmp_path / "b.parquet", "SELECT BLOB 'secret' AS c")) == [(1, {})]


def test_what_stands_beside_a_text_within_a_column_does_not_hide_it(tmp_path: Path) -> None:
    query = """
        SELECT [{'content': 'hello', 'image': BLOB 'x', 'at': TIMESTAMP_NS '2024-05-29 01:02:03'}] AS messages,
        TIMESTAMPTZ '2024-05-29 01:02:03+00' AS at
    """
    ((_, row),) = rows(written(tmp_path / "a.parquet", query))
    assert isinstance(row, dict)
    assert row["messages"] == [{"content": "hello", "image": None, "at": "2024-05-29T01:02:03+00:00"}]
    assert row["at"].startswith("2024-05-29T01:02:03")


@pytest.mark.parametrize("type", ["timestamptz_ns", "time_ns", "null"])
def test_types_that_other_writers_give_a_column_are_read(type: str) -> None:
    assert parquet._size("a", SimpleNamespace(id=type)) is not None


@pytest.mark.parametrize("held", ["[INTERVAL 1 DAY]", "{'a': " * 20 + "1" + "}" * 20])
def test_a_nested_column_that_cannot_be_read_is_told(tmp_path: Path, held: str) -> None:
    path = written(tmp_path / "a.parquet", f"SELECT 1 AS n, {held} AS odd")
    with pytest.raises(Damaged, match="column odd holds what cannot be read"):
        rows(path)


def test_a_column_of_the_name_that_rows_are_numbered_by_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", "SELECT 1 AS a, 2 AS File_Row_Number")
    with pytest.raises(Damaged, match=r"has a column file_row_number, .*: rename it"):
        rows(path)


def test_a_file_without_rows(tmp_path: Path) -> None:
    assert rows(written(tmp_path / "a.parquet", "SELECT 1 AS n WHERE false")) == []
