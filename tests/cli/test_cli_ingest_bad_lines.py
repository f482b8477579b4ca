"""What `tocsin ingest` says about lines and files that it could not read, and when it writes all the same."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.ingest import made_logs
from tocsin.cli.ingest import Rates
from tocsin.cli.main import run
from tocsin.client import system


def told(capture: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = run([str(argument) for argument in ("ingest", *arguments, "--workers", 1)])
    out, err = capture.readouterr()
    return code, out, err


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state forgets what is old by the clock."""
    monkeypatch.setattr(system, "now", lambda: made_logs.TIME + 86_400)


def test_a_quiet_day_of_a_log_that_grew_by_half_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs, state = made_logs.write(tmp_path / "a.jsonl", made_logs.lines(2)), ("--state", tmp_path / "s")
    assert told(capsys, logs, "--out", tmp_path / "1", *state)[0] == 0
    with logs.open("a") as file:
        file.write(made_logs.line("acct-1", "late", "hello there you")[:50])
    code, _, err = told(capsys, logs, "--out", tmp_path / "strict", *state, "--strict")
    assert (code, (tmp_path / "strict").exists()) == (2, False)
    assert "nothing was written (--strict)" in err
    code, out, err = told(capsys, logs, "--out", tmp_path / "2", *state, "--json")
    found = json.loads(out)
    assert (code, found["written"], found["exchanges"], found["bad"]) == (0, True, 0, 1)
    assert f"{logs}: line" in err or f"{logs}: byte" in err
    assert found["values"]["prompt.template"] > 0
    assert (tmp_path / "2").exists()


def test_a_quiet_day_of_a_folder_with_a_file_that_never_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").mkdir()
    made_logs.write(tmp_path / "logs" / "a.jsonl", made_logs.lines(2))
    (tmp_path / "logs" / "b.jsonl").write_text("{SECRET\n")
    state = ("--state", tmp_path / "s")
    for day in range(2):
        code, out, err = told(capsys, tmp_path / "logs", "--out", tmp_path / str(day), *state, "--json")
        found = json.loads(out)
        assert (code, found["bad"], found["read_before"]) == (0, 1, int(day > 0))
        assert "b.jsonl: line 1: the line is not JSON" in err
        assert found["values"]["prompt.template"] > 0
    # With nothing that was read before there is nothing to write.
    code, _, err = told(capsys, tmp_path / "logs" / "b.jsonl", "--out", tmp_path / "o", *state)
    assert (code, "no line could be read" in err) == (2, True)


def test_a_file_that_is_cut_off_is_told_before_many_bad_lines_of_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = made_logs.write(tmp_path / "a.jsonl", [*["x"] * 50, *['{"who": "a"}'] * 30, *made_logs.lines(1)])
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(logs.read_bytes())[:-9])
    code, out, err = told(capsys, logs, packed, "--out", tmp_path / "o", "--format", "litellm", "--json")
    found = json.loads(out)
    assert (code, found["bad"]) == (0, 161)
    warnings = [line for line in err.splitlines() if "warning: " in line]
    assert warnings[0] == f"tocsin: warning: {packed}: the file: the gzip stream is cut off"
    assert f"tocsin: warning: {logs}: line 3: the line is not JSON (and 47 more like it)" in warnings
    assert warnings[-1] == "tocsin: warning: 161 bad lines in all"
    assert len(warnings) == 1 + 4 * 3 + 1
    assert found["bad_lines"][:2] == [
        {"file": str(packed), "place": "the file", "rule": "the gzip stream is cut off"},
        {"file": str(logs), "place": "line 1", "rule": "the line is not JSON"},
    ]
    assert [line["more"] for line in found["bad_lines"] if "more" in line] == [47, 27, 47, 27]


def test_files_that_were_not_told_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = [made_logs.write(tmp_path / f"{number}.jsonl", ["x"] * 4) for number in range(25)]
    good = made_logs.write(tmp_path / "good.jsonl", made_logs.lines(1))
    code, _, err = told(capsys, *logs, good, "--out", tmp_path / "o")
    assert code == 0
    assert err.count("line 1: the line is not JSON (and 3 more like it)\n") == 20
    assert "warning: 100 bad lines in all, 20 of them in other files or for other reasons\n" in err


def test_another_format_is_named_only_where_the_format_did_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs, mapping = tmp_path / "a.jsonl", tmp_path / "map.toml"
    mapping.write_text('account = "user"\ntime = "att"\n')
    out = ("--out", tmp_path / "o")
    for content, more, why in (
        ('{"a": 1, \n', (), "no line could be read"),
        ("\ufeff{}".encode("utf-16").decode("latin-1"), (), "no line could be read"),
        ('{"who": 1}\n', (), "no line could be read: name another --format, or give a --field-map"),
        ('{"who": 1}\n', ("--field-map", mapping), "no line could be read: fix the field map"),
    ):
        logs.write_text(content, "latin-1")
        code, _, err = told(capsys, logs, *out, *more)
        assert code == 2
        assert err.endswith(f"nothing was written ({why})\n")


def test_exchanges_that_all_have_no_content_are_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs, mapping = tmp_path / "a.jsonl", tmp_path / "map.toml"
    mapping.write_text('account = "id"\ntime = "startTime"\nfirst_user_turn = "promt"\n')
    bare = [made_logs.line("a", f"c{number}", "", messages=[]) for number in range(3)]
    made_logs.write(logs, bare)
    said = "warning: no exchange has content: content capture is off"
    _, _, err = told(capsys, logs, "--out", tmp_path / "1")
    assert err.count(f"{said}\n") == 1
    _, _, err = told(capsys, logs, "--out", tmp_path / "2", "--field-map", mapping)
    assert err.count(f"{said}, or the field map names fields that the exchanges do not have\n") == 1
    made_logs.write(logs, [*bare, made_logs.line("a", "c", "hello there you")])
    _, _, err = told(capsys, logs, "--out", tmp_path / "3")
    assert "no exchange has content" not in err


def test_a_phase_that_had_nothing_to_do_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    rates = Rates()
    rates("exchanges", 0, 0)
    rates("partitions", 0, 64)
    rates("partitions", 64, 64)
    rates.end()
    err = capsys.readouterr().err
    assert "0 exchanges" not in err
    assert err.startswith("tocsin: 64 of 64 partitions, ")
