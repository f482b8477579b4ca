"""docs/bad-input.md says what every kind of bad input comes to, and names tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEADING = "Injected by"
TABLE = ROOT / "docs" / "bad-input.md"
ITEMS = (
    "identity",
    "non-canonical",
    "31 and 33 bytes",
    "empty",
    "2 million empty elements",
    "oversize",
    "compressed bomb",
    "wrong class",
    "wrong epoch",
    "unknown type",
    "line 7 of 10,000",
    "expired certificate",
    "foreign certificate",
    "TLS 1.2",
    "expired charter",
    "rolled-back charter",
    "two charters of one version",
    "wrong pepper",
    "budget used up",
    "lying evaluator",
    "lying own node",
    "stopped evaluator",
    "copied tag",
    "copied entry",
    "tampered label",
    "fork",
    "replayed submit",
    "full disk",
    "database from another member",
    "started twice on one store",
    "missing libsodium",
    "taken port",
    "Ctrl-C",
)


def _rows() -> list[list[str]]:
    lines = [line for line in TABLE.read_text("utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    return [row for row in cells if row[-1] != HEADING]


@cache
def _tests_in(path: Path) -> frozenset[str]:
    return frozenset(
        node.name
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


@pytest.mark.parametrize("item", ITEMS)
def test_every_item_has_its_row(item: str) -> None:
    assert any(item.lower() in row[0].lower() for row in _rows()), f"docs/bad-input.md has no row for {item}"


def test_every_row_is_complete_and_names_tests_that_exist() -> None:
    for row in _rows():
        assert len(row) == 3, row
        assert all(row), row
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row[2])
        assert named, f"no test is named for {row[0]}"
        assert len(named) == row[2].count("`") // 2, f"write `file::test` in the row of {row[0]}"
        for file, test in named:
            assert (ROOT / file).is_file(), f"{file} does not exist (row {row[0]})"
            assert test in _tests_in(ROOT / file), f"{file} has no {test} (row {row[0]})"
