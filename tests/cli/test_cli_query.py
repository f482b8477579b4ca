"""`tocsin query`: what an analyst sees of a match, of lines that were skipped, and of logs that are behind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.session import RESALE, Session, terminal
from tests.client.fake_node import FakeNode
from tocsin.cli.output import ago
from tocsin.client import system
from tocsin.wire.values import NodeStatus

__all__ = ["terminal"]

MALLORY = "contact.email=mallory@example.com"


def written(path: Path, *lines: str) -> str:
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def test_your_own_columns_account_first_are_beside_each_match(terminal: Session, tmp_path: Path) -> None:
    terminal(1, "submit", MALLORY, *RESALE)
    file = written(
        tmp_path / "a.csv",
        "Plan,type,value,Account,country",
        "pro,contact.email,mallory@example.com,acct-7,DE",
        "free,contact.email,bob@example.com,acct-8,FR",
    )
    code, out, _ = terminal(0, "query", file)
    assert code == 0
    assert "acct-7  contact.email" in out
    assert f"{file}:2" in out
    assert "plan: pro" in out
    assert "country: DE" in out
    assert "1 account to review: a match is a lead, not a verdict" in out
    assert "acct-8" not in out
    (match,) = json.loads(terminal(0, "query", file, "--json")[1])["matches"]
    assert (match["accounts"], match["columns"]) == (["acct-7"], [{"plan": "pro", "country": "DE"}])


def test_matches_are_grouped_and_the_strongest_comes_first(terminal: Session, tmp_path: Path) -> None:
    for writer, confidence in ((1, "40"), (2, "90")):
        said = ("--abuse", "resale", "--first-seen", "2026-06-05", "--confidence", confidence, "--yes")
        terminal(writer, "submit", MALLORY, *said)
    terminal(1, "submit", "contact.email=weak@example.com", *RESALE[:-2], "10", "--yes")
    file = written(
        tmp_path / "a.jsonl",
        '{"type": "contact.email", "value": "weak@example.com", "ACCOUNT": "a-weak"}',
        '{"type": "contact.email", "value": "mallory@example.com", "account": "a-strong"}',
        '{"type": "contact.email", "value": "Mallory@example.com", "account": "a-strong"}',
    )
    code, out, _ = terminal(0, "query", file)
    assert (code, out.count("a-strong"), out.count("a-weak")) == (0, 1, 1)
    places = [out.index(text) for text in ("a-strong", "90 %", "40 %", "a-weak", "10 %")]
    assert places == sorted(places)


@pytest.mark.parametrize(("value", "code"), [("mallory@example.com", 0), ("bob@example.com", 2)])
def test_a_match_beats_bad_lines_in_the_exit_code_and_both_are_said(
    terminal: Session, tmp_path: Path, value: str, code: int
) -> None:
    terminal(1, "submit", MALLORY, *RESALE)
    file = written(tmp_path / "a.csv", "type,value", f"contact.email,{value}", "contact.email,nonsense")
    found, out, err = terminal(0, "query", file)
    assert found == code
    assert out.startswith("1 line not screened; 1 value screened, ")
    assert "1 line skipped" in err
    assert terminal(0, "query", file, "--strict")[0] == 2


def test_bad_lines_are_grouped_by_rule_with_a_count_and_one_example(
    terminal: Session, tmp_path: Path
) -> None:
    file = written(tmp_path / "a.csv", "type,value", *["contact.email,nonsense"] * 500, "email,a@example.com")
    code, out, err = terminal(0, "query", file)
    assert (code, out.startswith("501 lines not screened; 0 values screened")) == (2, True)
    one, other = err.splitlines()
    assert one.startswith(f"tocsin: warning: 500 lines skipped, the first {file}:2: contact.email: ")
    assert other.endswith(":502: type `email` does not exist; did you mean contact.email? (type.unknown)")
    lines = json.loads(terminal(0, "query", file, "--json")[1])["bad_lines"]
    assert (len(lines), lines[-1]["rule"]) == (501, "type.unknown")


def test_a_log_that_was_not_heard_lately_is_named_beside_the_result(
    terminal: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = FakeNode.status

    def behind(node: FakeNode) -> NodeStatus:
        status = true(node)
        logs = [
            replace(log, last_reached=system.now() - 3 * 3_600 - 60)
            if log.writer == terminal.world.homes[1].id
            else log
            for log in status.logs
        ]
        return replace(status, logs=tuple(logs))

    monkeypatch.setattr(FakeNode, "status", behind)
    code, out, _ = terminal(0, "query", MALLORY)
    assert (code, "0 matches, but Borealis was last heard 3 h ago; 1 evaluation used" in out) == (1, True)
    heard = json.loads(terminal(0, "query", MALLORY, "--json")[1])["last_heard"]
    assert {member["name"] for member in heard} == {home.name for home in terminal.world.homes[1:]}


def test_a_retraction_of_what_matched_before_is_shown(terminal: Session) -> None:
    terminal(1, "submit", MALLORY, *RESALE)
    assert terminal(0, "query", MALLORY)[0] == 0
    terminal(1, "retract", MALLORY)
    code, out, _ = terminal(0, "query", MALLORY)
    entry = f"{terminal.world.homes[1].id.hex()[:8]}:0"
    said = (
        f"retracted since it last matched: Borealis's report of contact.email (argument:1), entry {entry}\n"
    )
    assert (code, said in out) == (1, True)


def test_what_was_checked_before_costs_nothing_and_says_so(terminal: Session) -> None:
    two = (MALLORY, "contact.email=bob@example.com")
    terminal(0, "query", *two)
    out = terminal(0, "query", *two)[1]
    assert out == "2 values screened, 0 matches; all 2 checked before; no budget used\n"


def test_how_long_ago() -> None:
    assert [ago(seconds) for seconds in (5, 90, 3 * 3_600, 5 * 86_400)] == ["5 s", "1 min", "3 h", "5 days"]


def test_an_entry_is_opened_with_a_value_that_you_hold(terminal: Session) -> None:
    terminal(1, "submit", MALLORY, *RESALE)
    entry = f"{terminal.world.homes[1].id.hex()[:8]}:0"
    code, out, _ = terminal(0, "evidence", "show", MALLORY, "--match", entry)
    assert code == 0
    for text in ("accused of", "resale", "contact.email", "week of 2026-06-04", "80 %"):
        assert text in out
    (found,) = json.loads(terminal(0, "evidence", "show", MALLORY, "--match", entry, "--json")[1])
    assert (found["abuse"], found["type"], found["index"]) == ("resale", "contact.email", 0)
    other = "contact.email=bob@example.com"
    assert terminal(0, "evidence", "show", other, "--match", entry)[0] == 1
