"""Transcripts of `tocsin ingest`, `tocsin fingerprint`, and of `--from` what they made."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.session import SURE, Session, terminal
from tests.ingest import made_logs
from tocsin.cli.ingest import Rates
from tocsin.cli.main import run
from tocsin.client import system
from tocsin.indicators.ptf2.common_list import shipped
from tocsin.indicators.snapshot_files import CURRENT
from tocsin.ingest.already_read import AlreadyRead
from tocsin.ingest.ingesting import Options, ingest
from tocsin.ingest.local_filter import LOCAL

__all__ = ["terminal"]


def told(capture: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = run([str(argument) for argument in arguments])
    out, err = capture.readouterr()
    return code, out, err


def ingested(capture: pytest.CaptureFixture[str], folder: Path, name: str, made: list[str]) -> Path:
    logs, out = made_logs.write(folder / f"{name}.jsonl", made), folder / f"{name}.parquet"
    assert told(capture, "ingest", logs, "--out", out, "--workers", 1)[0] == 0
    return out


def test_ingest_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = made_logs.write(tmp_path / "a.jsonl", [*made_logs.lines(2), "{SECRET"])
    code, out, err = told(capsys, "ingest", logs, "--out", tmp_path / "a.parquet", "--workers", 1)
    assert code == 0
    assert re.search(r"^ *exchanges +92\b", out, re.MULTILINE)
    assert "values: prompt.template" in out
    assert f"{logs}: line 93: the last line" in err or f"{logs}: line 93: the line is not JSON" in err
    assert "SECRET" not in out + err
    assert "acct-" not in out + err
    code, out, err = told(
        capsys, "ingest", logs, "--out", tmp_path / "b.parquet", "--workers", 1, "--json", "--strict"
    )
    assert (code, json.loads(out)["written"]) == (2, False)
    assert "nothing was written" in err
    assert not (tmp_path / "b.parquet").exists()


def test_ingest_tells_how_far_it_is_and_how_fast_it_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = made_logs.write(tmp_path / "a.jsonl", made_logs.lines(2))
    for workers in (1, 2):
        code, out, err = told(
            capsys, "ingest", logs, "--out", tmp_path / f"{workers}.parquet", "--workers", workers, "--json"
        )
        assert (code, json.loads(out)["exchanges"]) == (0, 92)
        assert re.search(r"^tocsin: 92 exchanges, [\d,.]+ a second$", err, re.MULTILINE)
        assert re.search(r"^tocsin: 64 of 64 partitions, [\d,.]+ a second$", err, re.MULTILINE)


def test_rates_are_told_every_few_seconds_and_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(system, "monotonic", lambda: now[0])
    rates = Rates(2.0)
    for seconds, done, said in (
        (0, 0, ""),
        (1, 900, ""),
        (2, 3_000, "tocsin: 3,000 exchanges, 1,500 a second\n"),
        (3, 3_500, ""),
        (4, 3_600, "tocsin: 3,600 exchanges, 900 a second\n"),
    ):
        now[0] = 100.0 + seconds
        rates("exchanges", done, 0)
        assert capsys.readouterr().err == said
    now[0] = 105.0
    rates("partitions", 0, 64)
    assert capsys.readouterr().err == "tocsin: 3,600 exchanges, 900 a second\n"
    now[0] = 113.0
    rates("partitions", 64, 64)
    rates.end()
    assert "tocsin: 64 of 64 partitions, 8.0 a second\n" in capsys.readouterr().err


def test_the_rate_of_a_phase_is_that_of_the_phase_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(system, "monotonic", lambda: now[0])
    rates = Rates(2.0)
    for at, what, done in (
        (150.0, "exchanges", 0),  # what was known of the logs was looked at first
        (151.0, "exchanges", 1_000),
        (190.0, "partitions", 0),
        (191.0, "partitions", 20),
    ):
        now[0] = at
        rates(what, done, 0)
    now[0] = 300.0  # the output was written meanwhile
    rates.end()
    assert capsys.readouterr().err == (
        "tocsin: 1,000 exchanges, 1,000 a second\ntocsin: 20 partitions, 20 a second\n"
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_each_phase_says_when_it_begins(tmp_path: Path, workers: int) -> None:
    logs = made_logs.write(tmp_path / "a.jsonl", made_logs.lines(1))
    calls: list[tuple[str, int, int]] = []
    options = Options(shipped(CURRENT.common_prompts), workers=workers)
    ingest([str(logs)], tmp_path / "a.parquet", options, lambda *call: calls.append(call))
    assert calls[0] == ("exchanges", 0, 0)
    assert next(call for call in calls if call[0] == "partitions") == ("partitions", 0, 64)


def test_every_line_is_told_in_one_row_or_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    embedding = made_logs.line("a", "e", "a text to embed", call_type="embedding")
    logs = made_logs.write(tmp_path / "a.jsonl", [*made_logs.lines(1), embedding, embedding, "{"])
    code, out, _ = told(capsys, "ingest", logs, "--out", tmp_path / "a.parquet", "--workers", 1, "--json")
    found = json.loads(out)
    assert (code, found["without_exchange"], found["bad"]) == (0, 2, 1)
    assert found["lines"] == found["exchanges"] + found["without_exchange"] + found["bad"]
    _, out, _ = told(capsys, "ingest", logs, "--out", tmp_path / "b.parquet", "--workers", 1)
    assert re.search(rf"^ *lines read +{found['lines']}\b", out, re.MULTILINE)
    assert re.search(r"^ *lines without an exchange +2\b", out, re.MULTILINE)


def test_a_log_that_changed_while_it_was_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = made_logs.write(tmp_path / "a.jsonl", made_logs.lines(1))
    monkeypatch.setattr(AlreadyRead, "changed", lambda self, used: used)
    code, out, err = told(
        capsys,
        "ingest", logs, "--out", tmp_path / "a.parquet", "--workers", 1, "--state", tmp_path / "s", "--json",
    )  # fmt: skip
    assert (code, json.loads(out)["changed"]) == (0, [str(logs)])
    assert f"{logs}: was cut, refilled or replaced during this run; it is not remembered as read" in err


def test_local_percent_decides_what_is_refused_as_local(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [
        made_logs.line(f"acct-{account}", f"{account}-{n}", made_logs.TEMPLATE.format(n, "rivers"))
        for account in range(52)
        for n in range(4)
    ]
    logs = made_logs.write(tmp_path / "a.jsonl", made)
    for percent, kept in ((5, 0), (99, 0), (100, 52)):
        out = tmp_path / f"{percent}.parquet"
        code, said, _ = told(
            capsys, "ingest", logs, "--out", out, "--workers", 1, "--local-percent", percent, "--json"
        )
        found = json.loads(said)
        assert (code, found["levels"], found["refused"].get(LOCAL, 0)) == (0, kept, 52 - kept)


def test_ingest_refuses_what_it_cannot_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = made_logs.write(tmp_path / "a.jsonl", made_logs.lines(1))
    out = tmp_path / "o.parquet"
    for arguments in (
        (tmp_path / "nowhere",),
        (),
        (logs, "--format", "nonsense"),
        (logs, "--k", 0),
        (logs, "--common", logs),
        (logs, "--format", "litellm", "--field-map", logs),
    ):
        code, _, err = told(capsys, "ingest", *arguments, "--out", out)
        assert (code, err.startswith("tocsin: ")) == (2, True)
    code, _, err = told(capsys, "ingest", logs, "--out", tmp_path / "missing" / "o.parquet")
    assert (code, f"{tmp_path / 'missing'} does not exist" in err) == (2, True)
    out.write_text("mine")
    code, _, err = told(capsys, "ingest", logs, "--out", out)
    assert code == 2
    assert "already exists" in err


def test_submit_and_query_what_was_ingested(
    terminal: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = ingested(capsys, tmp_path, "mine", made_logs.lines(3))
    renamed = [line.replace('"acct-', '"other-') for line in made_logs.lines(3)]
    theirs = ingested(capsys, tmp_path, "theirs", renamed)
    code, _, err = terminal(1, "submit", "--from", str(mine), "--abuse", "distillation", *SURE)
    assert code == 2
    assert "--from needs --accounts" in err
    confirmed = tmp_path / "confirmed.txt"
    confirmed.write_text("acct-1\nacct-2\nnobody\n")
    code, out, err = terminal(
        1,
        "submit",
        "--from",
        str(mine),
        "--accounts",
        str(confirmed),
        "--abuse",
        "distillation",
        *SURE,
        "--json",
    )
    assert code == 0, err
    assert json.loads(out)["accepted"] > 0
    assert f"1 named account is not in {mine}: nobody" in err
    confirmed.write_text("nobody\n")
    code, _, err = terminal(
        1, "submit", "--from", str(mine), "--accounts", str(confirmed), "--abuse", "distillation", *SURE
    )
    assert (code, "1 named account is not in" in err) == (2, True)
    code, out, err = terminal(0, "query", "--from", str(theirs), "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    held = {(match["type"], tuple(match["accounts"])) for match in found["matches"]}
    assert ("prompt.template", ("other-1",)) in held
    assert ("net.ja4", ("other-0", "other-1", "other-2")) in held
    # The third template is like the reported ones: bands tell, the value itself does not.
    assert {type for type, accounts in held if accounts == ("other-0",)} == {
        "prompt.template",
        "client.system",
    }
    ja4 = next(match for match in found["matches"] if match["type"] == "net.ja4")
    assert ja4["bad_accounts"] == {"min": 2, "max": 3}
    some = tmp_path / "some.txt"
    some.write_text("other-1\n")
    code, out, _ = terminal(0, "query", "--from", str(theirs), "--accounts", str(some))
    assert code == 0
    assert "1 account to review" in out
    assert "other-1" in out
    assert "other-0" not in out


def test_from_and_accounts_are_checked(terminal: Session, tmp_path: Path) -> None:
    names, empty = tmp_path / "names.txt", tmp_path / "empty.txt"
    names.write_text("acct-1\n")
    empty.write_text("\n")
    for arguments, what in (
        (("query", "--accounts", str(names), "contact.email=a@example.com"), "give that file with --from"),
        (("query", "--from", str(names), "contact.email=a@example.com"), "not both"),
        (("query", "--from", str(names)), "no file of indicators"),
        (("query", "--from", str(names), "--accounts", str(empty)), "names no account"),
        (("query", "values.parquet"), "give it with --from"),
        (("query", "--from", str(tmp_path / "nowhere.parquet")), "does not exist"),
    ):
        code, out, err = terminal(0, *arguments)
        assert (code, out) == (2, "")
        assert what in err


def test_a_run_that_could_read_no_line_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = made_logs.write(tmp_path / "a.jsonl", ['{"who": "a"}'])
    code, _, err = told(capsys, "ingest", logs, "--out", tmp_path / "o.parquet", "--workers", 1)
    assert code == 2
    assert "name another --format, or give a --field-map" in err
    assert not (tmp_path / "o.parquet").exists()


def test_explain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = made_logs.write(tmp_path / "a.jsonl", made_logs.lines(2))
    code, out, err = told(capsys, "fingerprint", "explain", logs, "--account", "acct-1")
    assert code == 0
    assert "for your own eyes only" in err
    assert "never mention these rules" in out
    assert "kept" in out
    code, out, _ = told(capsys, "fingerprint", "explain", logs, "--account", "acct-1", "--json")
    found = json.loads(out)
    assert {skeleton["type"] for skeleton in found["skeletons"]} == {"prompt.template", "client.system"}
    assert 32 <= found["skeletons"][0]["support"] <= 40
    assert told(capsys, "fingerprint", "explain", logs, "--account", "nobody")[0] == 1


def test_compare_and_common(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompts = [made_logs.TEMPLATE.format(number, topic) for number, topic in enumerate(made_logs.TOPICS)]
    text, lines = tmp_path / "a.txt", tmp_path / "b.jsonl"
    text.write_text("\n".join(prompts))
    lines.write_text("".join(json.dumps({"prompt": prompt.upper()}) + "\n" for prompt in prompts[:5]))
    code, out, _ = told(capsys, "fingerprint", "compare", text, lines, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["pairs"][0]["bands"]["needed"] == 3
    assert found["pairs"][0]["equal"]
    assert found["pairs"][0]["jaccard"] == 1.0
    assert "100 %" in told(capsys, "fingerprint", "compare", text, lines)[1]
    made = tmp_path / "mine.ptfc"
    code, out, _ = told(
        capsys, "fingerprint", "common", text, lines, "--name", "mine-1", "--out", made, "--least", 5
    )
    assert (code, out.startswith("mine-1 (")) == (0, True)
    assert told(capsys, "fingerprint", "common", text, "--name", "mine-1", "--out", made)[0] == 2
    logs = made_logs.write(tmp_path / "logs.jsonl", made_logs.lines(2))
    one, other = tmp_path / "one.parquet", tmp_path / "other.parquet"
    code, out, _ = told(capsys, "ingest", logs, "--out", one, "--common", made, "--workers", 1, "--json")
    assert json.loads(out)["refused"]["template.common"] > 0
    assert told(capsys, "ingest", logs, "--out", one.with_name("x.parquet"), "--workers", 1)[0] == 0
    assert told(capsys, "ingest", logs, "--out", other, "--workers", 1)[0] == 0
    code, out, _ = told(capsys, "fingerprint", "compare", one.with_name("x.parquet"), other)
    assert code == 0
    assert "yes" in out
    lines.write_text('{"prompt": 7}\n')
    code, _, err = told(capsys, "fingerprint", "compare", text, lines)
    assert code == 2
    assert f"{lines}:1:" in err
