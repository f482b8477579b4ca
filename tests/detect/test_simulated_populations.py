"""`tocsin simulate --population`: the folder's format, the four modes, and what is wrong with a folder."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from tests.detect.populations import COLUMNS, campaign, innocents, read, write_provider, write_table
from tocsin.cli.main import run

VALUES = {"net.ipv4": "198.51.100.7", "contact.phone": "+15550100", "prompt.template": "t"}


@pytest.fixture(scope="module")
def two_providers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One provider's own detector confirms eight accounts of a campaign; the other has twelve and confirms none."""
    folder = tmp_path_factory.mktemp("population")
    one, other = innocents(400), innocents(400, 400)
    campaign(one, "north", 12, 8, VALUES)
    campaign(other, "south", 12, 0, VALUES)
    campaign(other, "east", 9, 6, {"net.ipv4": "203.0.113.9", "contact.phone": "+15550109"})
    campaign(one, "west", 3, 0, {"net.ipv4": "203.0.113.9", "contact.phone": "+15550109"})
    write_provider(folder / "one", one)
    write_provider(folder / "other", other)
    return folder


def flags(population: Path, out: Path, *more: str) -> set[tuple[str, str]]:
    arguments = [
        "simulate",
        "--population",
        str(population),
        "--out",
        str(out),
        "--json",
        "--days",
        "12",
        *more,
    ]
    assert run(arguments) == 0
    return {(provider, account) for provider, account, _, _ in read(out / "flags.parquet")}


def test_alone_finds_only_what_its_own_detector_saw(
    two_providers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = flags(two_providers, tmp_path / "out", "--mode", "alone")
    assert {account for provider, account in found if provider == "one"} == {f"north{n}" for n in range(12)}
    assert not any(account.startswith("south") for _, account in found)
    told = json.loads(capsys.readouterr().out)
    assert told["runs"][0]["mode"] == "alone"
    assert told["runs"][0]["measures"][-1]["precision"] == 1.0


def test_flags_have_the_documented_columns(two_providers: Path, tmp_path: Path) -> None:
    flags(two_providers, tmp_path / "out", "--mode", "alone")
    with duckdb.connect() as connection:
        relation = connection.read_parquet(str(tmp_path / "out" / "flags.parquet"))
        assert relation.columns == ["provider", "account", "day", "bits"]
        assert [str(type) for type in relation.types] == ["VARCHAR", "VARCHAR", "INTEGER", "DOUBLE"]
        assert all(bits >= 15 for *_, bits in relation.fetchall())


def test_one_foreign_judgement_alone_flags_nobody_before_a_review(
    two_providers: Path, tmp_path: Path
) -> None:
    found = flags(two_providers, tmp_path / "out", "--mode", "own")
    assert not any(account.startswith("south") for _, account in found)


@pytest.mark.parametrize("mode", ["own", "reviewed"])
def test_reviewers_confirm_what_others_reported(two_providers: Path, tmp_path: Path, mode: str) -> None:
    found = flags(two_providers, tmp_path / "out", "--mode", mode, "--reviews", "20")
    assert {("other", f"south{n}") for n in range(12)} <= found
    assert not any(account.startswith("user") for _, account in found)


def test_pooled_sees_everything_at_once(two_providers: Path, tmp_path: Path) -> None:
    found = flags(two_providers, tmp_path / "out", "--mode", "pooled")
    assert {account for _, account in found if account.startswith(("north", "south", "east", "west"))} == {
        *(f"north{n}" for n in range(12)), *(f"south{n}" for n in range(12)),
        *(f"east{n}" for n in range(9)), *(f"west{n}" for n in range(3)),
    }  # fmt: skip


def test_the_same_seed_gives_the_same_flags(two_providers: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        flags(two_providers, tmp_path / name, "--mode", "reviewed", "--reviews", "12", "--missed", "0.2")
    assert read(tmp_path / "first" / "flags.parquet") == read(tmp_path / "second" / "flags.parquet")


def test_existing_flags_are_never_overwritten(
    two_providers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_table(tmp_path / "flags.parquet", COLUMNS["confirmed"], [("kept", 1)])
    arguments = [
        "simulate",
        "--population",
        str(two_providers),
        "--mode",
        "alone",
        "--out",
        str(tmp_path),
        "--days",
        "1",
    ]
    assert run(arguments) == 2
    assert "flags.parquet" in capsys.readouterr().err
    assert read(tmp_path / "flags.parquet") == [("kept", 1)]


def test_a_provider_without_any_rows_is_run(two_providers: Path, tmp_path: Path) -> None:
    folder = tmp_path / "population"
    write_provider(folder / "empty", {})
    write_provider(folder / "full", innocents(20))
    assert flags(folder, tmp_path / "out", "--mode", "reviewed", "--reviews", "5") == set()


def test_nobody_has_anything(tmp_path: Path) -> None:
    write_provider(tmp_path / "population" / "empty", {})
    for mode in ("alone", "own", "reviewed", "pooled"):
        assert flags(tmp_path / "population", tmp_path / mode, "--mode", mode, "--reviews", "3") == set()


def test_types_and_values_are_opaque(tmp_path: Path) -> None:
    tables = innocents(300)
    odd = {"тип": "значение\n\x00"[:9], "7": "';DROP TABLE x;--", "a b": ""}
    campaign(tables, "odd", 20, 8, odd)
    write_provider(tmp_path / "population" / "p'q", tables)
    found = flags(tmp_path / "population", tmp_path / "out", "--mode", "alone")
    assert found == {("p'q", f"odd{n}") for n in range(20)}


def test_a_value_on_every_account_flags_nobody(tmp_path: Path) -> None:
    tables = innocents(300)
    for name in [row[0] for row in tables["accounts"]]:
        tables["holdings"] += [
            (name, "net.ipv4", "everybody", 0, 30, 1, 1),
            (name, "client.tools", "all", 0, 30, 1, 1),
        ]
    campaign(tables, "bad", 10, 9, {"net.ipv4": "everybody", "client.tools": "all"})
    write_provider(tmp_path / "population" / "one", tables)
    assert flags(tmp_path / "population", tmp_path / "out", "--mode", "pooled", "--reviews", "5") == set()


def test_days_out_of_order_are_put_in_order_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = innocents(300)
    campaign(tables, "bad", 10, 6, VALUES)
    tables["holdings"] = [(a, t, v, last, first, *rest) for a, t, v, first, last, *rest in tables["holdings"]]
    write_provider(tmp_path / "population" / "one", tables)
    found = flags(tmp_path / "population", tmp_path / "out", "--mode", "alone")
    assert len(found) == 10
    assert "630 holdings had last_day before first_day" in capsys.readouterr().err


def test_a_clock_that_is_years_ahead_does_not_run_for_ever(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = innocents(3)
    tables["holdings"].append(("user0", "net.ipv4", "late", 0, 2_000_000, 1, 1))
    write_provider(tmp_path / "population" / "one", tables)
    flags(tmp_path / "population", tmp_path / "out", "--mode", "alone")
    assert "only days 0 to 399 are run" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["holdings", "truth", "accounts", "confirmed"])
def test_a_missing_file_is_named(tmp_path: Path, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_provider(tmp_path / "population" / "one", innocents(2))
    (tmp_path / "population" / "one" / f"{file}.parquet").unlink()
    assert _refused(tmp_path, capsys).endswith(
        f"{file}.parquet does not exist: every provider's folder needs it\n"
    )


@pytest.mark.parametrize("file", sorted(COLUMNS))
def test_a_missing_column_is_named(tmp_path: Path, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_provider(tmp_path / "population" / "one", innocents(2))
    path = tmp_path / "population" / "one" / f"{file}.parquet"
    path.unlink()
    write_table(path, "account VARCHAR", [])
    assert f"{file}.parquet has no column " in _refused(tmp_path, capsys)


def test_a_column_of_text_is_no_day(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_provider(tmp_path / "population" / "one", innocents(2))
    path = tmp_path / "population" / "one" / "confirmed.parquet"
    path.unlink()
    write_table(path, "account VARCHAR, day VARCHAR", [("user0", "secret")])
    error = _refused(tmp_path, capsys)
    assert "column day must be a whole number (INT32), got VARCHAR" in error
    assert "secret" not in error


def test_a_file_that_is_not_parquet_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_provider(tmp_path / "population" / "one", innocents(2))
    (tmp_path / "population" / "one" / "truth.parquet").write_text("account,hostile\n")
    assert "truth.parquet is not a Parquet file" in _refused(tmp_path, capsys)


def test_a_folder_without_providers_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "population" / "one").mkdir(parents=True)
    assert "holds no provider" in _refused(tmp_path, capsys)


def _refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    arguments = [
        "simulate",
        "--population",
        str(folder / "population"),
        "--mode",
        "own",
        "--out",
        str(folder / "out"),
    ]
    assert run(arguments) == 2
    return capsys.readouterr().err
