"""`tocsin detect`: runs over files, explanations, shadow rules and calibration, through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.detect.casebook.scored import opened, scored, taken
from tests.detect.populations import campaign, innocents, write_provider, write_table
from tocsin.cli.main import run
from tocsin.detect.holdings import SIGNAL_COLUMNS

VALUES = {"net.ipv4": "198.51.100.7", "contact.phone": "+15550100", "prompt.template": "secret template"}
SIGNALS = (
    "type VARCHAR, value VARCHAR, reporter VARCHAR, root VARCHAR, abuse TINYINT, accounts BIGINT, hops BIGINT, "
    "confidence BIGINT, disputed BIGINT, first_day INTEGER, last_day INTEGER, total BIGINT, "
    "writer VARCHAR, entry BIGINT, tlp BIGINT"
)


def signal(type: str, value: str, reporter: str, **more: Any) -> tuple[Any, ...]:
    row = {
        "type": type, "value": value, "reporter": reporter, "root": reporter, "abuse": 1, "accounts": 8, "hops": 0,
        "confidence": 100, "disputed": 0, "first_day": 0, "last_day": 34, "total": 15,
        "writer": reporter.encode().ljust(16).hex(), "entry": 1, "tlp": 3,
    }  # fmt: skip
    return tuple((row | more)[name] for name in SIGNAL_COLUMNS)


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A member with 400 innocents, eight of a campaign's twelve accounts confirmed, and twelve of another's, none."""
    folder = tmp_path_factory.mktemp("member")
    tables = innocents(400)
    campaign(tables, "north", 12, 8, VALUES)
    campaign(
        tables, "south", 12, 0, {"net.ipv4": "203.0.113.5", "contact.phone": "+15550177", "client.tools": "x"}
    )
    write_provider(folder, tables)
    reports = [
        signal(type, value, reporter)
        for type, value in (
            ("net.ipv4", "203.0.113.5"),
            ("contact.phone", "+15550177"),
            ("client.tools", "x"),
        )
        for reporter in ("Alder", "Birch")
    ]
    write_table(folder / "both.parquet", SIGNALS, reports)
    write_table(folder / "one.parquet", SIGNALS, [row for row in reports if row[2] == "Alder"])
    disputed = [signal(*row[:3], disputed=1, accounts=1, total=15) for row in reports]
    write_table(folder / "disputed.parquet", SIGNALS, disputed)
    return folder


def score(
    member: Path, state: Path, *more: str, holdings: Path | None = None, accounts: Path | None = None
) -> None:
    arguments = [
        "detect", "run", "--holdings", str(holdings or member / "holdings.parquet"),
        "--accounts", str(accounts or member / "accounts.parquet"), "--confirmed", str(member / "confirmed.parquet"),
        "--today", "1970-01-31", "--state", str(state), "--json", *more,
    ]  # fmt: skip
    assert run(arguments) == 0


def flagged(state: Path) -> set[str]:
    with duckdb.connect(str(state / "detect.duckdb"), read_only=True) as connection:
        rows = connection.execute("SELECT account FROM current.scores WHERE flag = 1").fetchall()
    return {account for (account,) in rows}


def explained(state: Path, account: str, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    capsys.readouterr()
    assert run(["detect", "explain", account, "--state", str(state), *more]) == 0
    return capsys.readouterr().out


NORTH = {f"north{number}" for number in range(12)}
SOUTH = {f"south{number}" for number in range(12)}


def test_alone_it_finds_what_shares_values_with_its_own_confirmed(
    member: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    score(member, tmp_path / "state")
    summary = json.loads(capsys.readouterr().out)
    assert (summary["flagged"], summary["established"], summary["signals"]) == (12, 400, 0)
    assert {flag["account"] for flag in summary["flags"]} == NORTH
    bits = [flag["bits"] for flag in summary["flags"]]
    assert bits == sorted(bits, reverse=True)
    assert {tuple(flag["reporters"]) for flag in summary["flags"]} == {()}
    assert flagged(tmp_path / "state") == NORTH
    text = explained(tmp_path / "state", "north11", capsys)
    assert text.startswith("north11: flagged, ")
    assert "8 of your confirmed accounts; held by 0 of 400 established accounts" in text
    assert "the flag would go if" in text or "no single report or value" in text
    assert "secret template" not in text
    assert "secret template" in explained(tmp_path / "state", "north11", capsys, "--values")


def test_two_judgements_of_others_flag_and_one_makes_candidates(
    member: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    score(member, tmp_path / "one", "--signals", str(member / "one.parquet"))
    assert flagged(tmp_path / "one") == NORTH
    text = explained(tmp_path / "one", "south0", capsys)
    assert text.startswith("south0: not flagged, 8 bits")
    assert "reported by Alder" in text
    assert "a second member's judgement, or one of your own" in text
    capsys.readouterr()
    score(member, tmp_path / "both", "--signals", str(member / "both.parquet"))
    assert flagged(tmp_path / "both") == NORTH | SOUTH
    south = next(flag for flag in json.loads(capsys.readouterr().out)["flags"] if flag["account"] == "south0")
    assert (south["groups"], south["reporters"]) == (["network", "person", "tooling"], ["Alder", "Birch"])


def test_a_report_that_names_another_members_entry_stays_its_writers_word(
    member: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A liar can say that its report rests on an honest member's entry, about another value that it also reported."""
    (lied, rows) = (tmp_path / "lied.parquet", [("net.ipv4", "203.0.113.5"), ("contact.phone", "+15550177")])
    reports = [signal(*rows[0], "Alder"), signal(*rows[1], "Alder", root="Birch", hops=1)]
    write_table(lied, SIGNALS, reports)
    score(member, tmp_path / "lied", "--signals", str(lied))
    assert flagged(tmp_path / "lied") == NORTH
    assert "a second member's judgement" in explained(tmp_path / "lied", "south0", capsys)
    several = tmp_path / "several.parquet"
    write_table(several, SIGNALS, [reports[0], signal(*rows[1], "Alder", root=None, hops=1)])
    score(member, tmp_path / "several", "--signals", str(several))
    assert flagged(tmp_path / "several") == NORTH
    # What an honest member shared on of another's, beside a third one's own, is two judgements.
    honest = tmp_path / "honest.parquet"
    more = [signal("client.tools", "x", "Cinder"), signal("net.ipv4", "203.0.113.5", "Cinder")]
    write_table(
        honest, SIGNALS, [signal(*rows[1], "Alder", root="Birch", hops=1), *more, signal(*rows[0], "Birch")]
    )
    score(member, tmp_path / "honest", "--signals", str(honest))
    assert flagged(tmp_path / "honest") == NORTH | SOUTH


def test_a_member_whose_judgement_proved_right_may_flag_alone(member: Path, tmp_path: Path) -> None:
    score(member, tmp_path / "state", "--signals", str(member / "one.parquet"), "--trusted", "Alder")
    assert flagged(tmp_path / "state") == NORTH | SOUTH


def test_what_a_muted_member_says_is_shown_and_weighs_nothing(
    member: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book, state = tmp_path / "casebook", tmp_path / "state"
    with opened(book) as made:
        taken(made, *(scored(f"a{number}", root="Alder") for number in range(10)))
        with made.database.writing() as connection:
            connection.exec_driver_sql("UPDATE flag SET state = 'rejected'")
    signals = tmp_path / "signals.parquet"
    with duckdb.connect() as connection:
        both = connection.sql(f"FROM '{member / 'both.parquet'}'").fetchall()
    passed_on = signal("contact.phone", "+15550177", "Cinder", root="Alder", hops=1)
    write_table(signals, SIGNALS, [*both, passed_on])
    capsys.readouterr()
    score(member, state, "--signals", str(signals), "--casebook", str(book))
    out, err = capsys.readouterr()
    summary = json.loads(out)
    assert (summary["signals"], summary["muted_signals"]) == (3, 4)
    assert flagged(state) == NORTH
    assert "Alder is muted: your reviewers rejected 10 of 10 accounts that rested on it alone" in err
    text = explained(state, "south0", capsys)
    assert "`contact.phone`, reported by Alder, weighs nothing: your verdicts muted it" in text
    assert "`contact.phone`, reported by Cinder, weighs nothing" in text
    # What rested on it is gone from the run, and still counts.
    score(member, state, "--signals", str(signals), "--casebook", str(book))
    assert json.loads(capsys.readouterr().out)["muted_signals"] == 4


def test_a_household_is_one_group(member: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = innocents(2_000)
    campaign(tables, "north", 12, 8, VALUES)
    campaign(tables, "home", 3, 1, {"net.ipv4": "192.0.2.44", "payment.par": "card", "client.tools": "z"})
    write_provider(tmp_path / "member", tables)
    state = tmp_path / "state"
    score(tmp_path / "member", state)
    assert flagged(state) == NORTH
    assert "a second confirmed account: all of it rests on one" in explained(state, "home2", capsys)


def bits_of(state: Path, account: str) -> int:
    with duckdb.connect(str(state / "detect.duckdb"), read_only=True) as connection:
        (bits,) = connection.execute(
            "SELECT bits FROM current.scores WHERE account = ?", [account]
        ).fetchone() or (0,)
    return int(bits)


@pytest.mark.parametrize("of_all", [{"hops": 2}, {"confidence": 25}])
def test_what_discounts_all_reports_of_a_writer_discounts_its_total(
    member: Path, tmp_path: Path, of_all: dict[str, int]
) -> None:
    """A reporter that only passes on says as much of a value as one that reports all of its own."""
    values = [("net.ipv4", "203.0.113.5"), ("contact.phone", "+15550177")]
    for name, more in (("own", {}), ("passed", of_all)):
        reports = [
            signal(*value, reporter, accounts=400, total=767, **more)
            for value in values
            for reporter in ("Alder", "Birch")
        ]
        write_table(tmp_path / f"{name}.parquet", SIGNALS, reports)
        score(member, tmp_path / name, "--signals", str(tmp_path / f"{name}.parquet"))
    assert bits_of(tmp_path / "own", "south0") == bits_of(tmp_path / "passed", "south0")


def test_a_value_that_was_passed_on_weighs_less_beside_one_of_the_writers_own(
    member: Path, tmp_path: Path
) -> None:
    for name, hops in (("own", 0), ("passed", 2)):
        reports = [
            signal(*row, reporter, accounts=400, total=767)
            for row in (("net.ipv4", "elsewhere"), ("contact.phone", "elsewhere"))
            for reporter in ("Alder", "Birch")
        ] + [signal("net.ipv4", "203.0.113.5", reporter, accounts=100, total=767, hops=hops)
             for reporter in ("Alder", "Birch")]  # fmt: skip
        write_table(tmp_path / f"{name}.parquet", SIGNALS, reports)
        score(member, tmp_path / name, "--signals", str(tmp_path / f"{name}.parquet"))
    assert bits_of(tmp_path / "own", "south0") - bits_of(tmp_path / "passed", "south0") in (3, 4)


def test_disputed_reports_weigh_less(member: Path, tmp_path: Path) -> None:
    score(member, tmp_path / "state", "--signals", str(member / "disputed.parquet"))
    assert flagged(tmp_path / "state") == NORTH


def test_a_retracted_report_takes_its_flags_away(member: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    score(member, state, "--signals", str(member / "both.parquet"))
    score(member, state)
    assert flagged(state) == NORTH
    with duckdb.connect(str(state / "detect.duckdb"), read_only=True) as connection:
        kept = connection.execute("SELECT count(*) FROM run_1.scores WHERE flag = 1").fetchone()
    assert kept == (24,)


def test_a_failed_run_leaves_the_last_one_in_place(
    member: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    score(member, state)
    write_table(tmp_path / "bad.parquet", "account VARCHAR, type VARCHAR", [])
    arguments = ["detect", "run", "--holdings", str(tmp_path / "bad.parquet"), "--accounts",
                 str(member / "accounts.parquet"), "--state", str(state)]  # fmt: skip
    assert run(arguments) == 2
    assert "bad.parquet has no column value" in capsys.readouterr().err
    assert flagged(state) == NORTH


def test_a_shadow_rule_has_no_effect_and_is_compared(
    member: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, rules = tmp_path / "state", tmp_path / "strict.toml"
    rules.write_text("flag = 200\nmax_weight = 28\n")
    score(member, state)
    score(member, state, "--shadow", "strict", "--rules", str(rules))
    assert flagged(state) == NORTH
    capsys.readouterr()
    assert run(["detect", "compare", "--state", str(state), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["live"] == {"flagged": 12, "confirmed": 8, "rejected": 0, "undecided": 4}
    assert found["shadow"]["flagged"] == 0
    assert set(found["only_live"]) == NORTH


def test_csv_and_times_are_read_like_parquet_and_days(member: Path, tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        connection.sql(
            f"""SELECT account, type, value, epoch_ms(first_day::BIGINT * 86400000) AS first_seen,
            last_day::BIGINT * 86400 + 5 AS last_seen FROM read_parquet('{member}/holdings.parquet')"""
        ).write_csv(str(tmp_path / "holdings.csv"), header=True)
    score(member, tmp_path / "state", holdings=tmp_path / "holdings.csv")
    assert flagged(tmp_path / "state") == NORTH


def test_json_lines_and_lists_of_accounts_are_read_too(member: Path, tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        confirmed = connection.sql(f"SELECT account FROM '{member / 'confirmed.parquet'}'").fetchall()
        connection.sql(
            f"COPY (FROM '{member / 'accounts.parquet'}') TO '{tmp_path / 'a.jsonl'}' (FORMAT json)"
        )
        connection.sql(
            f"COPY (FROM '{member / 'holdings.parquet'}') TO '{tmp_path / 'h.ndjson'}' (FORMAT json)"
        )
    banned = tmp_path / "banned.txt"
    banned.write_text("".join(f"{account}\n" for (account,) in confirmed))
    state = tmp_path / "state"
    arguments = ["--holdings", str(tmp_path / "h.ndjson"), "--accounts", str(tmp_path / "a.jsonl")]
    more = ["--confirmed", str(banned), "--today", "1970-01-31", "--state", str(state)]
    assert run(["detect", "run", *arguments, *more]) == 0
    assert flagged(state) == NORTH


def test_without_old_accounts_nobody_is_flagged_and_it_says_why(
    member: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_table(tmp_path / "young.parquet", "account VARCHAR, created_day INTEGER", [("user0", 20)])
    score(member, tmp_path / "state", accounts=tmp_path / "young.parquet")
    assert "no account is older than 60 days" in capsys.readouterr().err
    assert flagged(tmp_path / "state") == set()


def test_unknown_rules_are_refused(member: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("flags = 30\n")
    assert run(["detect", "explain", "x", "--rules", str(rules), "--state", str(tmp_path / "state")]) == 2
    assert "unknown keys flags" in capsys.readouterr().err


def test_before_the_first_run_it_says_what_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["explain", "x"], ["compare"]):
        assert run(["detect", *command, "--state", str(tmp_path / "state")]) == 2
        assert "holds no run yet: run `tocsin detect run" in capsys.readouterr().err


def test_calibration_keeps_the_default_until_there_are_verdicts_enough(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = "account VARCHAR, day INTEGER, confirmed BOOLEAN, random BOOLEAN, bits DOUBLE, campaign VARCHAR"
    few = [(f"a{n}", n, n % 2 == 0, True, 16.0 if n % 2 == 0 else 4.0, None) for n in range(40)]
    write_table(tmp_path / "few.parquet", columns, few)
    assert run(["detect", "calibrate", "--verdicts", str(tmp_path / "few.parquet"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["chosen"], found["threshold_bits"]) == (False, 15)
    many = [(f"a{n}", n % 40, n % 2 == 0, True, 12.0 if n % 2 == 0 else 4.0, None) for n in range(4_000)]
    chosen_by_score = [(f"b{n}", n % 40, False, False, 14.0, None) for n in range(500)]
    write_table(tmp_path / "many.parquet", columns, many + chosen_by_score)
    assert run(["detect", "calibrate", "--verdicts", str(tmp_path / "many.parquet"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["chosen"], found["threshold_bits"]) == (True, 4.5)
    assert found["kept_apart"]["confirmed"] == found["kept_apart"]["flagged"]
