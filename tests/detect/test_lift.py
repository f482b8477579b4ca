"""What others gave a member, from runs beside which the detector ran as if alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.detect.populations import campaign, innocents, write_provider, write_table
from tests.detect.test_detect_command import SIGNALS
from tests.detect.test_detect_command import signal as reported
from tocsin.cli.main import run

REPORTED = {"net.ipv4": "203.0.113.5", "contact.phone": "+15550177", "client.tools": "tools"}
OWN = {"net.ipv4": "198.51.100.7", "contact.phone": "+15550100", "client.tools": "own tools"}


class Team:
    """A member's detector and casebook, used by commands."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        tables = innocents(400)
        campaign(tables, "south", 12, 0, REPORTED)
        campaign(tables, "north", 12, 8, OWN)
        write_provider(folder, tables)
        rows = [
            reported(type, value, name) for type, value in REPORTED.items() for name in ("Alder", "Birch")
        ]
        write_table(folder / "signals.parquet", SIGNALS, rows)
        self.common = ["--state", str(folder / "detect"), "--casebook", str(folder / "casebook")]
        assert run(["review", "init", str(folder / "casebook")]) == 0

    def detect(self, day: str, *more: str) -> int:
        return run([
            "detect", "run", "--holdings", str(self.folder / "holdings.parquet"), "--accounts",
            str(self.folder / "accounts.parquet"), "--confirmed", str(self.folder / "confirmed.parquet"), "--signals",
            str(self.folder / "signals.parquet"), "--today", day, *self.common, *more,
        ])  # fmt: skip

    def decide(self, account: str, outcome: str, reason: str) -> None:
        number = self.json("account", account, *self.common[2:])["flag"]
        decision = ["--outcome", outcome, "--reason", reason, *self.common[2:]]
        assert run(["review", "decide", str(number), *decision]) == 0

    def json(self, *arguments: str) -> Any:
        self._capsys.readouterr()
        assert run([*arguments, "--json"]) == 0
        return json.loads(self._capsys.readouterr().out)

    def lift(self, *more: str) -> Any:
        return self.json("report", "lift", *self.common, *more)


@pytest.fixture
def team(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Team:
    return Team(tmp_path, capsys)


def test_what_others_led_to_is_told_from_what_would_have_been_found_alone(team: Team) -> None:
    assert team.detect("1970-01-31", "--measure-lift") == 0
    first = team.lift()
    assert (first["runs"], first["flagged"]) == (1, 24)
    assert first["only_through_others"] == {"least": 12, "most": 12}, "north is found alone"
    assert first["confirmed"] == {"least": 0, "most": 0}
    assert first["by_member"] == {name: {"least": 12, "most": 12} for name in ("Alder", "Birch")}
    assert set(first["by_type"]) == set(REPORTED)
    assert first["days_earlier"] == {"least": 0, "most": 0}
    assert first["exchanges_prevented"] is None


def test_verdicts_that_others_caused_teach_the_run_alone_nothing(team: Team) -> None:
    assert team.detect("1970-01-31", "--measure-lift") == 0
    for number in range(7):
        team.decide(f"south{number}", "confirmed", "own-evidence")
    team.decide("south7", "rejected", "known-customer")
    assert team.detect("1970-02-02", "--measure-lift") == 0
    second = team.lift("--holdings", str(team.folder / "holdings.parquet"))
    assert second["runs"] == 2
    assert second["only_through_others"]["most"] == 12, "alone still knows nothing of south"
    assert second["only_through_others"]["least"] < 12, "with those verdicts it would find more of it"
    assert second["confirmed"]["most"] == 7
    assert second["rejected"]["most"] == 1
    assert second["exchanges_prevented"]["least"] == 0
    assert second["exchanges_prevented"]["most"] > 0


def test_the_table_and_the_errors(team: Team, capsys: pytest.CaptureFixture[str]) -> None:
    assert team.detect("1970-01-31") == 0
    command = ["report", "lift", *team.common]
    assert run(command) == 2
    assert "add --measure-lift to `tocsin detect run`" in capsys.readouterr().err
    assert team.detect("1970-01-31", "--measure-lift", "--shadow", "x") == 2
    assert team.detect("1970-01-31", "--measure-lift") == 0
    capsys.readouterr()
    assert run(command) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    assert "found only through others" in out
    assert "not known: holdings count none" in out


FLAGS = "provider VARCHAR, account VARCHAR, day INTEGER, bits DOUBLE"


def test_a_simulated_federation_has_figures_and_no_bounds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = innocents(3)
    campaign(tables, "bad", 4, 0, {"net.ipv4": "a"})
    write_provider(tmp_path / "population" / "north", tables)
    write_table(
        tmp_path / "alone" / "flags.parquet",
        FLAGS,
        [("north", "bad0", 20, 16.0), ("north", "user0", 9, 15.0)],
    )
    write_table(
        tmp_path / "reviewed" / "flags.parquet", FLAGS,
        [("north", "bad0", 10, 16.0), ("north", "bad1", 20, 16.0), ("south", "bad2", 1, 16.0)],
    )  # fmt: skip
    command = ["report", "lift", "--simulated", str(tmp_path)]
    assert run([*command, "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)["providers"]
    # 100 exchanges from day 1 to day 30: ten days of one account, and ten of another.
    assert found == {
        "provider": "north", "hostile": 4, "alone": 1, "sharing": 2, "only_through_others": 1, "false_alone": 1,
        "false_sharing": 0, "days_earlier": 10.0, "exchanges_prevented": 67,
    }  # fmt: skip
    assert run(command) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 100
    assert run([*command, "--mode", "own"]) == 2
    assert "does not exist" in capsys.readouterr().err
