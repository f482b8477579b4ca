"""`submit`, `query` and `retract` with --from: what is refused before anything is sent, left out, and told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.session import SURE, Session, terminal
from tests.cli.test_cli_ingest import ingested
from tests.ingest import made_logs
from tocsin.client import Client

__all__ = ["terminal"]

JA4 = "net.ja4"


def line(account: str, number: int, ja4: str, address: str | None = None) -> str:
    return made_logs.line(
        account,
        f"{account}-{number}",
        "hello",
        metadata={
            "user_api_key_user_id": account,
            "requester_ip_address": address,
            "requester_metadata": {"ja4": ja4},
        },
    )


def ja4(number: int) -> str:
    return f"t13d1516h2_8daaf6152771_{number:012x}"


@pytest.fixture
def indicators(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """`lone` holds a JA4 only, `other` another with an address; a third JA4 both of them."""
    made = [
        line("lone", 1, ja4(1)),
        line("lone", 2, ja4(3)),
        line("other", 1, ja4(2), "51.15.8.7"),
        line("other", 2, ja4(3), "51.15.8.7"),
    ]
    return ingested(capsys, tmp_path, "mine", made)


def named(folder: Path, *accounts: str) -> str:
    path = folder / "accounts.txt"
    path.write_text("".join(f"{account}\n" for account in accounts))
    return str(path)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The clients that were opened, which none may be."""
    found: list[object] = []
    monkeypatch.setattr(Client, "connect", found.append)
    return found


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (SURE, "--from: abuse: say what was done (--help lists the words), in a column or with --abuse"),
        (("--abuse", "resale", "--yes"), "--from: confidence: say how sure you are"),
        ((*SURE, "--abuse", "nonsense"), "--from: abuse must be one of distillation,"),
        (("--abuse", "resale", *SURE, "--tlp", "pink"), "--from: tlp must be one of red,"),
        (("--abuse", "resale", "--yes", "--confidence", "300"), "--from: "),
    ],
)
def test_what_is_wrong_for_every_row_is_one_error_before_anything_is_read(
    terminal: Session, tmp_path: Path, opened: list[object], options: tuple[str, ...], told: str
) -> None:
    nowhere = tmp_path / "nowhere.parquet"
    arguments = ("submit", "--from", str(nowhere), "--accounts", named(tmp_path, "lone"), *options)
    code, out, err = terminal(1, *arguments)
    assert (code, out, opened) == (2, "", [])
    assert (err.count("\n"), told in err) == (1, True)


def test_lines_may_still_say_each_for_itself_what_was_done(terminal: Session, tmp_path: Path) -> None:
    table, lines = tmp_path / "a.csv", tmp_path / "b.jsonl"
    table.write_text("type,value,abuse\ncontact.email,a@example.com,resale\ncontact.email,b@example.com,\n")
    lines.write_text('{"type": "contact.email", "value": "c@example.com", "abuse": "other"}\n')
    code, out, err = terminal(1, "submit", str(table), str(lines), *SURE, "--first-seen", "2026-06-05")
    assert (code, out) == (2, "1 line skipped; 2 values reported; others see them in about 2 s\n")
    assert err == (
        f"tocsin: warning: 1 line skipped: {table}:3: abuse: say what was done (--help lists the words), in a column "
        "or with --abuse (abuse.missing)\n"
    )


def test_what_a_file_of_indicators_gave_is_told_by_type(
    terminal: Session, tmp_path: Path, indicators: Path
) -> None:
    both = named(tmp_path, "lone", "other")
    told = f"5 values read from {indicators}: 1 net.ipv4, 1 net.ipv4-24, 3 net.ja4\n"
    code, out, _ = terminal(
        1, "submit", "--from", str(indicators), "--accounts", both, "--abuse", "resale", *SURE
    )
    assert (code, out.splitlines(keepends=True)[1]) == (0, told)
    assert out.startswith("4 values reported for 2 accounts; others see them in about 2 s\n")
    code, out, _ = terminal(0, "query", "--from", str(indicators))
    assert (code, told in out) == (0, True)
    assert out.startswith("4 values screened")
    read = {"net.ipv4": 1, "net.ipv4-24": 1, JA4: 3}
    for command in ("query", "retract"):
        code, out, _ = terminal(1, command, "--from", str(indicators), "--json")
        assert json.loads(out)["read"] == read
    code, out, _ = terminal(1, "query", "contact.email=a@example.com", "--json")
    assert "read" not in json.loads(out)


def test_a_ja4_alone_is_neither_reported_nor_screened(
    terminal: Session, tmp_path: Path, indicators: Path
) -> None:
    lone, both = named(tmp_path, "lone"), tmp_path / "both.txt"
    both.write_text("lone\nother\n")
    submit = ("submit", "--from", str(indicators), "--abuse", "resale", *SURE, "--json", "--accounts")
    code, out, err = terminal(1, *submit, lone)
    assert (code, out) == (2, "")
    assert err == "tocsin: the accounts hold nothing but JA4s, which say next to nothing alone\n"
    # The account that holds an address too brings its JA4s along, also the one that it shares.
    code, out, err = terminal(1, *submit, str(both))
    assert (code, json.loads(out)["accepted"]) == (0, 4)
    assert err == "tocsin: warning: 1 JA4 is left out: the accounts hold nothing else\n"
    code, out, err = terminal(0, "query", "--from", str(indicators), "--json")
    found = json.loads(out)
    assert (found["queried"], "1 JA4 is left out" in err) == (4, True)
    # Positions move where one before was left out: each match still names its own accounts.
    assert sorted((match["type"], tuple(match["accounts"])) for match in found["matches"]) == [
        ("net.ipv4", ("other",)),
        ("net.ipv4-24", ("other",)),
        (JA4, ("lone", "other")),
        (JA4, ("other",)),
    ]
    assert terminal(0, "query", "--from", str(indicators), "--accounts", lone)[:2] == (2, "")


def test_a_ja4_that_is_named_by_itself_is_screened(terminal: Session) -> None:
    code, out, err = terminal(0, "query", f"{JA4}={ja4(1)}")
    assert (code, err, out.startswith("1 value screened")) == (1, "", True)


@pytest.mark.parametrize("command", [("query",), ("retract",), ("submit", "--abuse", "resale", *SURE)])
def test_accounts_that_are_all_unknown_are_an_error_and_nothing_is_sent(
    terminal: Session,
    tmp_path: Path,
    indicators: Path,
    command: tuple[str, ...],
    opened: list[object],
) -> None:
    nobody = named(tmp_path, "nobody", "no one")
    code, out, err = terminal(1, *command, "--from", str(indicators), "--accounts", nobody)
    assert (code, out, opened) == (2, "", [])
    assert err == (
        f"tocsin: 2 named accounts are not in {indicators}, and no other is named: write one account id a line, as the "
        "logs write it\n"
    )


@pytest.mark.parametrize("line", ['{"email": "mallory@example.com"}', "mallory@example.com" + "x" * 1_100])
def test_a_file_that_names_no_accounts_is_told_without_its_content(
    terminal: Session, tmp_path: Path, indicators: Path, line: str
) -> None:
    named_so = named(tmp_path, "lone", line)
    code, _, err = terminal(1, "query", "--from", str(indicators), "--accounts", named_so)
    assert (code, "line 2: is not an account id" in err, "mallory" in err) == (2, True, False)


def test_accounts_may_be_named_by_claude_codes_ids(
    terminal: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device, account = "7f3c" * 16, "0f8fad5b-d9cb-469f-a165-70867728950e"
    ids = [f"user_{device}_account_{account}_session_s-{number}" for number in range(2)]
    ids.append(json.dumps({"device_id": device, "account_uuid": account, "session_id": "s-2"}))
    made = [line(id, number, ja4(1), "51.15.8.7") for number, id in enumerate(ids)]
    mine = ingested(capsys, tmp_path, "mine", made)
    for names in (ids[:1], ids[2:], ids, [account]):
        code, out, err = terminal(
            1, "submit", "--from", str(mine), "--abuse", "resale", *SURE, "--dry-run", "--json", "--accounts",
            named(tmp_path, *names),
        )  # fmt: skip
        assert (code, err) == (0, "")
        assert json.loads(out)["accounts"] == 1


@pytest.mark.parametrize("option", [("--bad-accounts", "50"), ("--first-seen", "2020-01-01")])
def test_options_that_the_file_says_itself_are_refused(
    terminal: Session, tmp_path: Path, indicators: Path, option: tuple[str, str]
) -> None:
    submit = (
        "submit",
        "--from",
        str(indicators),
        "--abuse",
        "resale",
        *SURE,
        "--accounts",
        named(tmp_path, "lone"),
    )
    code, _, err = terminal(1, *submit, *option)
    assert (code, f"{option[0]} does not go with --from" in err) == (2, True)
