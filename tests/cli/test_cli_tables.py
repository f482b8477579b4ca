"""Every table of every command fits 100 columns; no locale ends a command; every help is complete."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.session import Session, terminal
from tests.cli.test_cli_forks import forked
from tocsin.cli import main, output
from tocsin.cli.inputs import GIVEN_TYPES
from tocsin.cli.main import run
from tocsin.cli.types import FORMATS
from tocsin.client import system
from tocsin.founding.members import init_member
from tocsin.indicators.registry import Mode, observable

__all__ = ["terminal"]

MALLORY = "contact.email=mallory@example.com"
COMMANDS = (
    *(
        (name,)
        for name in (
            "query",
            "submit",
            "retract",
            "dispute",
            "renew",
            "watch",
            "ingest",
            "status",
            "budget",
            "types",
            "demo",
            "flags",
            "account",
            "forget",
            "simulate",
        )
    ),
    *(("fingerprint", name) for name in ("explain", "compare", "common")),
    *(("log", name) for name in ("verify", "forks")),
    *(("campaigns", name) for name in ("list", "show", "rename", "rooms", "open", "update", "leave", "link")),
    *(("report", name) for name in ("campaign", "transparency", "lift")),
    ("case", "export"),
    *(("evidence", name) for name in ("show", "export", "verify")),
    *(("detect", name) for name in ("match", "run", "explain", "compare", "calibrate")),
    *(
        ("review", name)
        for name in (
            "decide",
            "release",
            "campaign",
            "golden",
            "reasons",
            "stats",
            "export",
            "send",
            "verify",
            "init",
        )
    ),
    *(("node", name) for name in ("run", "evidence")),
    *(("member", name) for name in ("init", "show")),
    *(("charter", name) for name in ("draft", "sign", "show", "verify", "install")),
    ("keys", "deal"),
)


def test_every_table_fits_100_columns(
    terminal: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a table was too wide and printed as records")

    monkeypatch.setattr(output, "_print_records", never)
    said = ("--abuse", "account-farming", "--confidence", "100", "--first-seen", "2026-05-05", "--yes")
    more = ("--last-seen", "2026-07-07", "--bad-accounts", "70000", "--tlp", "amber-strict")
    terminal(1, "submit", MALLORY, *said, *more)
    entry = f"{terminal.world.homes[1].id.hex()[:8]}:0"
    terminal.world.forks = [forked(terminal, 2)]
    evidence = tmp_path / "evidence"
    terminal(0, "evidence", "export", "--match", entry, "--out", str(evidence))
    member = terminal.world.homes[0].folder
    widths = []
    for command in (
        ("query", MALLORY),
        ("evidence", "show", MALLORY, "--match", entry),
        ("evidence", "verify", str(evidence)),
        ("log", "verify"),
        ("log", "forks"),
        ("status",),
        ("budget",),
    ):
        _, out, err = terminal(0, *command)
        assert "─" in out, (command, err)
        widths += [len(line) for line in out.splitlines()]
    charter = str(member / "client" / "charter.json")
    monkeypatch.chdir(tmp_path)
    founding = ("--federation", "a-rather-long-name-of-a-federation.example")
    inits = [
        ("member", "init", name, *founding, "--name", f"A member with a long name, {name}",
         "--endpoint", f"{name}.a-long-host.example.org:7443")
        for name in ("one", "two")
    ]  # fmt: skip
    for alone in (
        ("types",),
        ("charter", "show", charter),
        ("member", "show", str(member)),
        *inits,
        ("charter", "draft", "one/card.json", "two/card.json", *founding, "--out", "draft.json"),
        ("keys", "deal", "draft.json", "--out", "dealt"),
    ):
        assert run(list(alone)) == 0, alone
        widths += [len(line) for line in capsys.readouterr().out.splitlines() if "verify it" not in line]
    assert max(widths) <= output.MAX_WIDTH


C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("settings", [C_LOCALE, {"PYTHONIOENCODING": "ascii"}], ids=["C", "ascii"])
def test_a_locale_that_is_not_utf_8_ends_no_command(tmp_path: Path, settings: dict[str, str]) -> None:
    others = ("LC_", "LANG", "PYTHON")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    member = tmp_path / "m"
    init_member(member, "a.example", "Ästér 名", "127.0.0.1:1", system.now())
    for arguments in (
        ["member", "show", str(member)],
        ["member", "show", str(member), "--json"],
        ["types"],
        ["query", "--help"],
        ["quary"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "tocsin.cli.main", *arguments],
            capture_output=True,
            env=environment | settings,
            check=False,
        )
        assert done.returncode == (2 if arguments == ["quary"] else 0), done.stderr
        assert b"Traceback" not in done.stderr
        if "--json" in arguments:
            assert "Ästér 名" in json.dumps(json.loads(done.stdout), ensure_ascii=False)


def test_types_lists_every_type_with_an_example_that_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    assert tuple(FORMATS) == GIVEN_TYPES
    for type, (_, example) in FORMATS.items():
        if not example.startswith("made by"):
            observable(type, example, mode=Mode.TEST)
    assert run(["types"]) == 0
    out = capsys.readouterr().out
    assert all(type in out for type in GIVEN_TYPES)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_help_has_an_example_and_the_exit_codes(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    assert run([*command, "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"Example: tocsin {' '.join(command)}" in out
    assert "Exit codes: 0 " in out


def test_every_command_is_among_those_whose_help_is_read() -> None:
    names = {name for _, name, _, _ in main._COMMANDS}
    assert names == {command[0] for command in COMMANDS}
