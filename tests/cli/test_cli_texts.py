"""What commands say: counts, order, weeks, helps, and the words for what was typed wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.session import RESALE, Session, terminal
from tocsin.cli.main import run
from tocsin.cli.output import counted
from tocsin.client import Client

__all__ = ["terminal"]


def test_one_is_not_many() -> None:
    assert [counted(count, "value") for count in (0, 1, 1200)] == ["0 values", "1 value", "1,200 values"]
    assert [counted(count, "match", "matches") for count in (1, 2)] == ["1 match", "2 matches"]


def test_bad_lines_are_reported_in_the_order_of_inputs_and_lines(terminal: Session, tmp_path: Path) -> None:
    second, first = tmp_path / "a.csv", tmp_path / "b.csv"
    second.write_text("type,value\ncontact.email\n")
    first.write_text(
        "type,value,abuse\n"
        "payment.iban,GB00,resale\n"
        "contact.email,a@example.com,nonsense\n"
        "contact.email,b@example.com\n"
        "contact.email,c@example.com,resale\n"
        "contact.emial,d@example.com,resale\n"
    )
    said = ("--confidence", "80", "--first-seen", "2026-06-05", "--yes")
    code, out, err = terminal(1, "submit", str(first), str(second), *said)
    assert (code, out.startswith("5 lines skipped; 1 value reported")) == (2, True)
    places = [line.split(": ")[3] for line in err.splitlines()]
    assert places == [f"{first}:2", f"{first}:3", f"{first}:4", f"{first}:6", f"{second}:2"]


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("nowhere/accounts.csv", "nowhere/accounts.csv does not exist"),
        ("contact.emial=mallory@example.com", "did you mean contact.email?"),
        ("mallory@example.com", "argument 1 is neither an existing file nor `type=value`"),
    ],
)
def test_what_cannot_be_read_is_named_and_no_value_repeated(
    capsys: pytest.CaptureFixture[str], argument: str, said: str
) -> None:
    assert run(["query", argument]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "mallory" not in err


def test_a_match_of_one_week_names_the_week(terminal: Session) -> None:
    terminal(1, "submit", "contact.email=mallory@example.com", *RESALE, "--last-seen", "2026-06-06")
    out = terminal(0, "query", "contact.email=mallory@example.com")[1]
    assert out.count("2026-06-04") == 1


def test_watch_says_what_it_watches(terminal: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(0, "query", "contact.email=mallory@example.com", "contact.email=b@example.com")
    terminal(1, "submit", "contact.email=mallory@example.com", *RESALE)
    assert terminal(0, "watch", "--count", "1")[2] == "tocsin: watching 2 values, 2 logs; Ctrl-C ends\n"
    terminal.node(0).down = True
    monkeypatch.setattr(Client, "watch", lambda *_, **__: iter(()))
    assert terminal(0, "watch") == (0, "", "tocsin: watching; Ctrl-C ends\n")


@pytest.mark.parametrize(
    "command",
    [("query",), ("charter", "draft"), ("keys", "deal"), ("log", "verify"), ("demo",), ("evidence", "export"),
     ("evidence", "verify"), ("log", "forks"), ("submit",)],
)  # fmt: skip
def test_every_help_is_whole(capsys: pytest.CaptureFixture[str], command: tuple[str, ...]) -> None:
    assert run([*command, "--help"]) == 0
    text = capsys.readouterr().out
    for noise in ("--empty-", "--no-", "//"):
        assert noise not in text
    if command[0] == "evidence":
        assert "about.json" in text
        assert "proves nothing" in " ".join(text.split())
