"""Bad input to detection: too much, twice, out of order, out of time. Clear, and nothing lost."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tests.detect.populations import campaign, innocents, read, write_provider, write_table
from tests.detect.test_detect_command import NORTH, SIGNALS, SOUTH, VALUES, flagged, score, signal
from tocsin.cli.main import run


@pytest.fixture
def member(tmp_path: Path) -> Path:
    tables = innocents(400)
    campaign(tables, "north", 12, 8, VALUES)
    campaign(
        tables, "south", 12, 0, {"net.ipv4": "203.0.113.5", "contact.phone": "+15550177", "client.tools": "x"}
    )
    write_provider(tmp_path / "member", tables)
    return tmp_path / "member"


def reports(*reporters: str, **more: object) -> list[tuple[object, ...]]:
    values = (("net.ipv4", "203.0.113.5"), ("contact.phone", "+15550177"), ("client.tools", "x"))
    return [signal(*value, reporter, **more) for value in values for reporter in reporters]


def scores_of(state: Path) -> list[tuple[str, int]]:
    with duckdb.connect(str(state / "detect.duckdb"), read_only=True) as connection:
        return connection.execute("SELECT account, bits FROM current.scores ORDER BY 1").fetchall()


def test_a_report_that_arrives_twice_counts_once(member: Path, tmp_path: Path) -> None:
    once = reports("Alder", "Birch", accounts=1)
    for name, rows in (("once", once), ("often", once * 5)):
        write_table(tmp_path / f"{name}.parquet", SIGNALS, rows)
        score(member, tmp_path / name, "--signals", str(tmp_path / f"{name}.parquet"))
    assert scores_of(tmp_path / "once") == scores_of(tmp_path / "often")


def test_holdings_that_arrive_twice_count_once(member: Path, tmp_path: Path) -> None:
    rows = read(member / "holdings.parquet")
    twice = tmp_path / "twice.parquet"
    write_table(
        twice, "account VARCHAR, type VARCHAR, value VARCHAR, first_day INTEGER, last_day INTEGER",
        [row[:5] for row in rows] * 2,
    )  # fmt: skip
    score(member, tmp_path / "once")
    score(member, tmp_path / "twice", holdings=twice)
    assert scores_of(tmp_path / "once") == scores_of(tmp_path / "twice")
    assert flagged(tmp_path / "twice") == NORTH


def test_a_report_that_comes_back_after_its_retraction_counts_again(member: Path, tmp_path: Path) -> None:
    """Each run reads what stands now: a retraction that is seen before the report it takes back leaves no trace."""
    state = tmp_path / "state"
    write_table(tmp_path / "none.parquet", SIGNALS, [])
    write_table(tmp_path / "both.parquet", SIGNALS, reports("Alder", "Birch", accounts=8))
    for file, expected in (
        ("none", NORTH),
        ("both", NORTH | SOUTH),
        ("none", NORTH),
        ("both", NORTH | SOUTH),
    ):
        score(member, state, "--signals", str(tmp_path / f"{file}.parquet"))
        assert flagged(state) == expected


def test_an_account_with_very_many_values_neither_stops_a_run_nor_flags_itself(
    member: Path, tmp_path: Path
) -> None:
    """200,000 values here; ten million take the same statements and some minutes."""
    many = tmp_path / "many.parquet"
    with duckdb.connect() as connection:
        connection.sql(
            f"""SELECT account, type, value, first_day, last_day FROM read_parquet('{member}/holdings.parquet')
            UNION ALL SELECT 'user0', 'net.ipv4', 'v' || n, 0, 30 FROM range(200000) AS r(n)"""
        ).write_parquet(str(many))
    score(member, tmp_path / "state", holdings=many)
    assert flagged(tmp_path / "state") == NORTH


def test_clocks_that_disagree_flag_nobody_else(member: Path, tmp_path: Path) -> None:
    """Accounts of the future, holdings seen tomorrow or before 1970, reports of weeks that have not come."""
    rows = [row[:5] for row in read(member / "holdings.parquet")]
    rows += [("user1", "net.ipv4", "soon", 500, 400), ("user2", "net.ipv4", "198.51.100.7", -900, -800)]
    wrong, ahead = tmp_path / "wrong.parquet", tmp_path / "ahead.parquet"
    write_table(
        wrong, "account VARCHAR, type VARCHAR, value VARCHAR, first_day INTEGER, last_day INTEGER", rows
    )
    accounts = read(member / "accounts.parquet")
    write_table(ahead, "account VARCHAR, created_day INTEGER", [*accounts[1:], (accounts[0][0], 9_999)])
    write_table(tmp_path / "future.parquet", SIGNALS, reports("Alder", "Birch", first_day=700, last_day=706))
    score(
        member, tmp_path / "state", "--signals", str(tmp_path / "future.parquet"), holdings=wrong, accounts=ahead
    )  # fmt: skip
    assert flagged(tmp_path / "state") <= NORTH | SOUTH
    assert flagged(tmp_path / "state") >= NORTH


@pytest.mark.slow
def test_a_member_that_vanishes_for_a_week_goes_on_where_it_was(tmp_path: Path) -> None:
    one, other = innocents(400), innocents(400, 400)
    campaign(one, "north", 12, 8, VALUES)
    campaign(other, "south", 12, 2, VALUES)
    # Nothing of the other member's is seen from day 5 to day 11.
    other["holdings"] = [
        (*row[:3], first, last, *row[5:])
        for row in other["holdings"]
        for first, last in ((row[3], 4), (12, row[4]))
    ]
    for name, tables in (("one", one), ("other", other)):
        write_provider(tmp_path / "population" / name, tables)
    arguments = ["simulate", "--population", str(tmp_path / "population"), "--out", str(tmp_path / "out"),
                 "--mode", "own", "--days", "16", "--json"]  # fmt: skip
    assert run(arguments) == 0
    found = {(provider, account) for provider, account, _, _ in read(tmp_path / "out" / "flags.parquet")}
    assert found == {("one", f"north{n}") for n in range(12)} | {("other", f"south{n}") for n in range(12)}


@pytest.mark.slow
def test_rows_of_a_population_that_are_delivered_twice_count_once(tmp_path: Path) -> None:
    flags = []
    for times in (1, 3):
        tables = innocents(300)
        campaign(tables, "bad", 10, 6, VALUES)
        doubled = {name: rows * times for name, rows in tables.items()}
        write_provider(tmp_path / f"x{times}" / "one", doubled)
        arguments = ["simulate", "--population", str(tmp_path / f"x{times}"), "--out", str(tmp_path / f"out{times}"),
                     "--mode", "alone", "--reviews", "10", "--days", "8", "--json"]  # fmt: skip
        assert run(arguments) == 0
        flags.append(read(tmp_path / f"out{times}" / "flags.parquet"))
    assert flags[0] == flags[1] != []
