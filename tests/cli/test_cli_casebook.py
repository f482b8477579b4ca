"""`tocsin flags`, `review`, `account` and `forget`, from a run of the detector to a verdict that it reads."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.detect.populations import campaign, innocents, write_provider, write_table
from tests.detect.test_detect_command import SIGNALS
from tests.detect.test_detect_command import signal as reported
from tocsin.cli.main import run

VALUES = {"net.ipv4": "203.0.113.5", "contact.phone": "+15550177", "client.tools": "secret tools"}
SOUTH = {f"south{number}" for number in range(12)}


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A member with 400 innocents, and twelve accounts whose values two other members reported."""
    folder = tmp_path_factory.mktemp("member")
    tables = innocents(400)
    campaign(tables, "south", 12, 0, VALUES)
    write_provider(folder, tables)
    reports = [reported(type, value, name) for type, value in VALUES.items() for name in ("Alder", "Birch")]
    write_table(folder / "signals.parquet", SIGNALS, reports)
    return folder


@pytest.fixture
def casebook(tmp_path: Path, member: Path) -> Path:
    folder = tmp_path / "casebook"
    assert run(["review", "init", str(folder)]) == 0
    holdings = member / "holdings.parquet"
    (folder / "casebook.toml").write_text(f'golden_percent = 0\nholdings = "{holdings}"\n')
    detect(member, tmp_path, folder)
    return folder


def detect(member: Path, tmp_path: Path, folder: Path) -> None:
    arguments = [
        "detect", "run", "--holdings", str(member / "holdings.parquet"), "--accounts",
        str(member / "accounts.parquet"), "--signals", str(member / "signals.parquet"), "--today", "1970-01-31",
        "--state", str(tmp_path / "detect"), "--casebook", str(folder), "--json",
    ]  # fmt: skip
    assert run(arguments) == 0


class Terminal:
    """Commands on one casebook, with what they print."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *arguments: str, code: int = 0) -> str:
        self._capsys.readouterr()
        assert run([*arguments, "--casebook", str(self.folder)]) == code
        captured = self._capsys.readouterr()
        return captured.out + captured.err

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))


@pytest.fixture
def tocsin(casebook: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(casebook, capsys)


def test_a_run_fills_the_casebook_and_reads_its_verdicts(
    tocsin: Terminal, member: Path, tmp_path: Path
) -> None:
    listed = tocsin.json("flags")["flags"]
    assert {flag["account"] for flag in listed} == SOUTH
    assert all(len(line) <= 100 for line in tocsin("flags").splitlines())
    first = tocsin.json("review", "--next", "--by", "ann")
    assert first["explanation"]["reasons"][0]["reporters"] == ["Alder", "Birch"]
    number = str(first["flag"])
    tocsin("review", "decide", number, "--outcome", "confirmed", "--reason", "own-evidence", "--by", "ann")
    detect(member, tmp_path, tocsin.folder)
    after = tocsin.json("account", first["account"])
    assert after["state"] == "confirmed"
    assert [event["what"] for event in after["history"]][:4] == ["flagged", "campaign", "claimed", "decided"]
    other = next(account for account in SOUTH if account != first["account"])
    reasons = tocsin.json("account", other)["explanation"]["reasons"]
    assert {reason["own"] for reason in reasons} == {1}, "the verdict counts in the next run"


def test_values_are_shown_from_the_holdings_where_they_are_asked_for(tocsin: Terminal) -> None:
    plain, shown = tocsin("account", "south0"), tocsin("account", "south0", "--show-values")
    for value in VALUES.values():
        assert value not in plain
        assert value in shown
    assert VALUES["contact.phone"] not in json.dumps(tocsin.json("account", "south0"))


def test_two_analysts_at_one_flag(tocsin: Terminal) -> None:
    number = str(tocsin.json("review", "--next", "--by", "ann")["flag"])
    decision = ("review", "decide", number, "--outcome", "rejected", "--reason", "known-customer")
    assert "is with ann for at most 30 more minutes" in tocsin(*decision, "--by", "bea", code=2)
    tocsin(*decision, "--by", "ann")
    assert "is rejected: `tocsin account ID --appeal`" in tocsin(*decision, "--by", "bea", code=2)


def test_a_final_decision_is_exported_once(tocsin: Terminal) -> None:
    number = str(tocsin.json("review", "--next", "--by", "ann")["flag"])
    tocsin("review", "decide", number, "--outcome", "confirmed", "--reason", "own-evidence", "--by", "ann")
    decision = json.loads(tocsin("review", "export"))
    assert (decision["outcome"], decision["reason"]) == ("confirmed", "own-evidence")
    assert decision["account"] in SOUTH
    assert tocsin("review", "export") == ""


def test_an_account_shows_its_campaign_and_what_joins_it(tocsin: Terminal) -> None:
    shown = tocsin.json("account", "south0")
    assert (shown["campaign"], shown["campaign_name"]) == ("C1", "C1")
    assert sorted((join["type"], join["others"], join["hub"]) for join in shown["joined_by"]) == [
        (type, 11, False) for type in sorted(VALUES)
    ]
    assert "`net.ipv4` joins it with 11 other accounts, since 20" in tocsin("account", "south0")
    tocsin("campaigns", "rename", "C1", "southern tutors", "--by", "ann")
    assert "campaign southern tutors (C1)" in tocsin("account", "south0")
    assert "there is no campaign C9" in tocsin("campaigns", "rename", "C9", "x", code=2)
    assert "1 to 80 printable" in tocsin("campaigns", "rename", "C1", "a\nb", code=2)


def test_an_appeal_and_a_note(tocsin: Terminal) -> None:
    assert "is open" in tocsin("account", "south0", "--appeal", code=2)
    number = str(tocsin.json("account", "south0")["flag"])
    decision = (
        "review",
        "decide",
        number,
        "--outcome",
        "rejected",
        "--reason",
        "known-customer",
        "--by",
        "ann",
    )
    tocsin(*decision, "--note", "my own words")
    assert "my own words" not in tocsin("account", "south0", "--by", "bea")
    assert "my own words" in tocsin("account", "south0", "--by", "ann")
    said = tocsin("account", "south0", "--appeal", "--why", "they wrote to us", "--by", "bea")
    assert "is open again" in said
    assert "note by bea: they wrote to us" in said


def test_forgetting_says_first_what_would_go(tocsin: Terminal) -> None:
    assert "add --yes" in tocsin("forget", "south3")
    tocsin("account", "south3")
    tocsin("forget", "south3", "--yes")
    assert "has nothing about this account" in tocsin("account", "south3", code=2)
    assert "whole" in tocsin("review", "verify")


def test_a_campaign_smaller_than_the_sample(tocsin: Terminal) -> None:
    assert "there is no campaign nowhere" in tocsin("review", "campaign", "nowhere", "--sample", code=2)
    assert "sample of 12 drawn, 12 undecided" in tocsin("review", "campaign", "C1", "--sample")
    vote = ("review", "campaign", "C1", "--outcome", "confirmed", "--reason", "own-evidence")
    assert "12 of 12 flags of the sample are undecided" in tocsin(*vote, code=2)


def test_stats_and_reasons(tocsin: Terminal) -> None:
    assert "match-only" in tocsin("review", "reasons")
    number = str(tocsin.json("review", "--next", "--by", "ann")["flag"])
    tocsin("review", "decide", number, "--outcome", "rejected", "--reason", "shared-value", "--by", "ann")
    stats = tocsin.json("review", "stats")
    assert stats["yield_by_reporter"] == [
        {"reporter": name, "confirmed": 0, "rejected": 1} for name in ("Alder", "Birch")
    ]
    assert stats["agreement"]["percent"] is None
    assert "11 flags waiting" in tocsin("review", "stats")


def test_at_the_keyboard_a_key_for_the_outcome_and_one_for_the_reason(
    tocsin: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("\n".join(["v", "c", "1", "r", "x", "r", "1", "s", "l", "1", "7", "q"]) + "\n")
    with keys.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        said = tocsin("review", "--by", "ann")
    assert "c confirmed   r rejected" in said
    assert VALUES["contact.phone"] in said
    assert "3 flags decided" in said
    states = sorted(flag["state"] for flag in tocsin.json("flags")["flags"])
    assert states == ["confirmed", "later"] + ["open"] * 9 + ["rejected"]
    assert not tocsin.json("flags", "--claimed-by", "ann")["flags"], "q returned what was open"


def test_ctrl_c_in_a_review_loses_nothing(tocsin: Terminal) -> None:
    """In a real terminal: the flag stays with its reviewer, no verdict is half written, the terminal is as before."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tocsin.cli.main", "review", "--by", "ann", "--casebook", str(tocsin.folder)],
        stdin=child, stdout=child, stderr=child, start_new_session=True,
    )  # fmt: skip
    os.close(child)
    read = b""

    def shows(text: bytes) -> None:
        nonlocal read
        deadline = time.monotonic() + 30
        while text not in read:
            assert select.select([parent], [], [], deadline - time.monotonic())[0], read.decode()
            read += os.read(parent, 4096)

    shows(b"q quit")
    os.write(parent, b"c")
    shows(b"any other key")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    os.close(parent)
    (held,) = tocsin.json("flags", "--claimed-by", "ann")["flags"]
    assert held["state"] == "open"
    assert tocsin.json("account", held["account"])["verdicts"] == []
    assert tocsin.json("review", "--next", "--by", "ann")["flag"] == held["flag"]


def test_without_a_casebook_the_next_step_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["flags", "--casebook", str(tmp_path / "nowhere")]) == 2
    assert "make one with `tocsin review init`" in capsys.readouterr().err
