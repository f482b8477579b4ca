"""Several analysts at once, each a process of their own, on SQLite and on PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.detect.casebook.scored import make, scored, taken
from tests.postgres_server import PostgresMissing, PostgresServer
from tocsin.detect.casebook import history, measuring
from tocsin.detect.casebook.book import open_casebook
from tocsin.detect.casebook.database import Database

FLAGS = 40


@pytest.fixture(params=["sqlite", "postgresql"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    settings = "golden_percent = 0\n"
    if request.param == "sqlite":
        yield make(tmp_path / "casebook", settings)
        return
    try:
        server = PostgresServer()
    except PostgresMissing as error:
        pytest.skip(str(error))
    with server:
        yield make(tmp_path / "casebook", settings + f'database = "{server.new_database()}"\n')


def test_no_flag_is_given_to_two_people(folder: Path) -> None:
    with open_casebook(folder) as book:
        taken(book, *(scored(f"a{number:03}") for number in range(FLAGS)))
    reviewers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.detect.casebook.reviewer_process", str(folder), name],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        for name in ("ann", "bea", "cem")
    ]
    decided = [reviewer.communicate(timeout=120)[0].split() for reviewer in reviewers]
    assert [reviewer.returncode for reviewer in reviewers] == [0, 0, 0]
    numbers = [number for lines in decided for number in lines]
    assert sorted(map(int, numbers)) == list(range(1, FLAGS + 1)), "each flag once, none lost"
    with open_casebook(folder) as book:
        assert history.verify(book.database) == 3 * FLAGS  # flagged, claimed, decided
        with book.database.reading() as connection:
            assert len(measuring.judged(connection)) == FLAGS


def test_a_change_that_fails_changes_nothing(folder: Path) -> None:
    with open_casebook(folder) as book:
        with pytest.raises(ZeroDivisionError):
            interrupted(book.database)
        assert history.verify(book.database) == 0


def interrupted(database: Database) -> None:
    with database.writing() as connection:
        history.write(connection, 1, "ann", "note", None)
        raise ZeroDivisionError
