"""Templates on the command line: taken back from a file of indicators, and never given as bands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.session import RESALE, SURE, Session, terminal
from tests.cli.test_cli_ingest import ingested
from tests.ingest import made_logs
from tocsin.cli.main import run
from tocsin.client import Client
from tocsin.indicators.ptf2.bands import BANDINGS
from tocsin.indicators.ptf2.bands import TEMPLATE_BAND as BAND
from tocsin.indicators.ptf2.template import TEMPLATE
from tocsin.indicators.registry import TYPES

__all__ = ["terminal"]

OTHER = (
    "My neighbour {} asked me about {} again, so please write him a friendly letter that thanks him for the apples, "
    "explains in simple words what you know of it, admits where nobody is sure, and invites him over for a coffee on "
    "sunday afternoon when the children are back from the seaside."
)


def written(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def found_accounts(terminal: Session, theirs: Path) -> set[str]:
    code, out, _ = terminal(0, "query", "--from", str(theirs), "--json")
    matches = json.loads(out)["matches"]
    assert code == (0 if matches else 1)
    return {account for match in matches if match["type"] == TEMPLATE for account in match["accounts"]}


def test_retract_takes_back_what_the_named_accounts_hold(
    terminal: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Account 0 holds one template, account 1 another."""
    made = [line for line in made_logs.lines(2) if '"acct-0"' in line]
    made += [line for line in made_logs.lines(2, template=OTHER) if '"acct-1"' in line]
    mine = ingested(capsys, tmp_path, "mine", made)
    theirs = ingested(capsys, tmp_path, "theirs", [line.replace('"acct-', '"other-') for line in made])
    both = written(tmp_path / "both.txt", "acct-0", "acct-1")
    sent = (
        "submit",
        "--from",
        str(mine),
        "--accounts",
        str(both),
        "--abuse",
        "distillation",
        *SURE,
        "--json",
    )
    accepted = json.loads(terminal(1, *sent)[1])["accepted"]
    assert found_accounts(terminal, theirs) == {"other-0", "other-1"}
    one = written(tmp_path / "one.txt", "acct-0", "nobody")
    code, out, err = terminal(1, "retract", "--from", str(mine), "--accounts", str(one), "--json")
    first = json.loads(out)
    assert (code, first["bad_lines"]) == (0, [])
    assert "1 named account is not in" in err
    # The vault has all of it from reporting it.
    assert first["evaluated"] == 0
    assert 0 < first["accepted"] < accepted
    assert found_accounts(terminal, theirs) == {"other-1"}
    code, out, err = terminal(1, "retract", "--from", str(mine))
    assert (code, err) == (0, "")
    # A band that both accounts' system prompts have was reported again, without the slot of the one taken back.
    count, _, rest = out.partition(" ")
    assert int(count) >= accepted - first["accepted"]
    assert rest.startswith("entries retracted; others see it in about 2 s\n")
    assert found_accounts(terminal, theirs) == set()


def test_what_retract_is_given_is_checked_as_for_query(terminal: Session, tmp_path: Path) -> None:
    names = written(tmp_path / "names.txt", "acct-1")
    for arguments, what in (
        (("--accounts", str(names), "contact.email=a@example.com"), "give that file with --from"),
        (("--from", str(names), "contact.email=a@example.com"), "not both"),
        (("--from", str(names)), "no file of indicators"),
        (("values.parquet",), "give it with --from"),
        ((), "nothing to read"),
    ):
        code, out, err = terminal(0, "retract", *arguments)
        assert (code, out) == (2, "")
        assert what in err


@pytest.mark.parametrize("command", [("query",), ("submit", *RESALE), ("retract",)])
def test_a_band_by_itself_is_refused_before_any_node_is_asked(
    terminal: Session, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    monkeypatch.setattr(Client, "connect", opened.append)
    code, out, err = terminal(0, *command, "contact.email=a@example.com", f"{BAND}=SECRET")
    assert (code, out, opened) == (2, "", [])
    assert "argument 2: " in err
    assert f"give the whole skeleton as {TEMPLATE}" in err
    assert "SECRET" not in err


def test_a_band_in_a_file_is_a_bad_line_and_the_others_go_on(terminal: Session, tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", "type,value", "contact.email,a@example.com", f" {BAND} ,SECRET")
    code, out, err = terminal(0, "query", str(file))
    assert code == 2
    assert out.startswith("1 line not screened; 1 value screened")
    assert err == (
        f"tocsin: warning: 1 line skipped: {file}:3: {BAND} is never given by itself: give the whole skeleton as "
        f"{TEMPLATE}; its bands come with it (template.band)\n"
    )
    terminal.node(0).down = True
    alone = written(tmp_path / "alone.jsonl", json.dumps({"type": BAND, "value": "SECRET"}))
    for command in (
        ("query",),
        ("query", "--strict"),
        ("submit", *RESALE),
        ("retract", "--strict"),
    ):
        code, out, err = terminal(0, *command, str(alone))
        assert (code, "template.band" in err, "SECRET" in out + err) == (2, True, False)


def test_a_band_is_not_among_the_types_that_may_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["types", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {row["type"] for row in listed} == set(TYPES) - set(BANDINGS)
