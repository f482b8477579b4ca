"""`tocsin submit`: nothing is said that the user did not say, and nothing is reported that was not confirmed."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from tests.cli.session import RESALE, Session, terminal

__all__ = ["terminal"]

MALLORY = "contact.email=mallory@example.com"
ASKED = RESALE[:-1]


class Typed(io.StringIO):
    """What somebody types at a terminal."""

    def isatty(self) -> bool:
        return True


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr(sys, "stdin", Typed(answer))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)


def reported(terminal: Session) -> int:
    return len(terminal.node(1).requests)


@pytest.mark.parametrize(("answer", "code", "sent"), [("y\n", 0, 1), ("n\n", 2, 0), ("\n", 2, 0), ("", 2, 0)])
def test_it_says_what_will_be_said_of_how_many_accounts_and_asks(
    terminal: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, sent: int
) -> None:
    file = tmp_path / "a.csv"
    file.write_text("type,value,account\ncontact.email,a@example.com,x\ncontact.email,b@example.com,y\n")
    at_a_terminal(monkeypatch, answer)
    found, _, err = terminal(1, "submit", str(file), *ASKED)
    assert (found, reported(terminal)) == (code, sent)
    assert "about to report 2 values of 2 accounts to the members of demo.example" in err
    assert "resale, value belongs to the operator, 80 % sure, TLP amber:\n" in err
    assert "    2 contact.email\n" in err


def test_without_a_terminal_it_refuses_and_names_the_fix(terminal: Session) -> None:
    code, out, err = terminal(1, "submit", MALLORY, *ASKED)
    assert (code, out, reported(terminal)) == (2, "", 0)
    assert err == (
        "tocsin: submit asks before it reports, and there is no terminal to ask on: look at --dry-run, then add --yes\n"
    )


def test_a_dry_run_shows_what_would_be_reported_and_sends_nothing(terminal: Session) -> None:
    code, out, _ = terminal(1, "submit", MALLORY, *ASKED, "--dry-run")
    assert (code, reported(terminal), terminal.node(1).evaluated) == (0, 0, 0)
    assert out.startswith("would report 1 value (--dry-run: nothing was sent)\n  resale, value belongs to")
    found = json.loads(terminal(1, "submit", MALLORY, *ASKED, "--dry-run", "--json")[1])
    label = {"abuse": "resale", "role": "operator", "confidence": 80, "tlp": "amber"}
    assert found == {
        "would_report": 1,
        "accounts": 0,
        "labels": [label | {"values": {"contact.email": 1}}],
        "bad_lines": [],
    }


@pytest.mark.parametrize("missing", ["--abuse", "--confidence", "--first-seen"])
def test_what_only_you_can_know_has_no_default(terminal: Session, missing: str) -> None:
    at = RESALE.index(missing)
    code, _, err = terminal(1, "submit", MALLORY, *RESALE[:at], *RESALE[at + 2 :])
    assert (code, reported(terminal)) == (2, 0)
    assert f"in a column or with {missing} ({missing[2:]}.missing)" in err


def test_keys_are_read_without_regard_to_case(terminal: Session, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    value = {"Type": "contact.email", "VALUE": "mallory@example.com", "TLP": "red", "Confidence": 55}
    file.write_text(
        json.dumps(value) + "\n" + '{"type":"contact.email","value":"a@example.com","tlp":"red","TLP":1}\n'
    )
    code, _, err = terminal(1, "submit", str(file), *RESALE)
    assert (code, "a key is given twice" in err) == (2, True)
    (match,) = json.loads(terminal(0, "query", MALLORY, "--json")[1])["matches"]
    assert (match["tlp"], match["confidence"]) == ("red", 55)


def test_columns_that_say_nothing_in_a_report_are_named_once(terminal: Session, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("type,value,confidense,team\n" + "contact.email,a@example.com,90,x\n" * 3)
    _, _, err = terminal(1, "submit", str(file), *RESALE)
    assert err == "tocsin: warning: 2 columns say nothing in a report: confidense, team\n"


def test_what_was_reported_is_said_in_values_and_accounts(terminal: Session, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    rows = [f"contact.email,{name}@example.com,acct-1\n" for name in "abc"]
    file.write_text("".join(["type,value,account\n", *rows]))
    out = terminal(1, "submit", str(file), *RESALE)[1]
    assert out == "3 values reported for 1 account; others see them in about 2 s\n"
