"""What `tocsin fingerprint explain` says where there is no skeleton, no log, or a state to go by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ingest import made_logs
from tocsin.cli.main import run
from tocsin.indicators.ptf2.template import band_values, read_skeleton
from tocsin.ingest.indicators_file import read_indicators


def told(capture: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = run([str(argument) for argument in ("fingerprint", "explain", *arguments)])
    out, err = capture.readouterr()
    return code, out, err


def turns(count: int, turn: str = made_logs.TEMPLATE) -> list[str]:
    return [
        made_logs.line("acct", str(number), turn.format(number, made_logs.TOPICS[number % 8]))
        for number in range(count)
    ]


def without_content(count: int) -> list[str]:
    return [made_logs.line("acct", str(number), "", messages=[]) for number in range(count)]


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (turns(3), "too few conversations: 3 with a user turn of 3 words or more, 4 are needed"),
        (
            turns(9, "hello there"),
            "too few conversations: 0 with a user turn of 3 words or more, 4 are needed",
        ),
        (
            [made_logs.line("acct", letter, " ".join(f"{letter}{x}" for x in "abcd")) for letter in "ghjkm"],
            "nothing in common: no 3 words in a row are in 4 of 5 conversations",
        ),
        (without_content(5), "no content: the logs say who and when, but not what"),
    ],
)
def test_why_there_is_no_skeleton(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], made: list[str], why: str
) -> None:
    logs = made_logs.write(tmp_path / "a.jsonl", made)
    code, out, _ = told(capsys, logs, "--account", "acct")
    assert code == 0
    assert f"prompt.template, window from 2026-06-04: no skeleton, {why}\n" in out
    found = json.loads(told(capsys, logs, "--account", "acct", "--json")[1])
    assert found["skeletons"] == []
    assert why in [missing["why"] for missing in found["missing"] if missing["type"] == "prompt.template"]


def test_an_account_without_system_prompts_and_one_whose_block_is_not_dense(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [
        *turns(5, "tell me about rivers number seven {} {}"),
        *without_content(2),
    ]
    logs = made_logs.write(tmp_path / "a.jsonl", made)
    code, out, _ = told(capsys, logs, "--account", "acct")
    assert code == 0
    assert "client.system, window from 2026-06-04: no skeleton, no conversation has a system prompt\n" in out
    assert "refused: template.short (fewer than 8" in out
    assert "7 exchanges (2 without content), 1 skeleton" in out


def test_what_is_kept_is_what_ingest_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = []
    for name, size in (("a", 9), ("b", 7), ("c", 5)):
        words = " ".join(f"{word}{name}" for word in made_logs.TEMPLATE.split())
        for number in range(size):
            turn = f"{words} {'again' if number % 2 else ''} {made_logs.TOPICS[number % 8]}"
            made.append(made_logs.line("acct", f"{name}{number}", turn, system=f"{made_logs.SYSTEM} {words}"))
    logs, out, state = made_logs.write(tmp_path / "a.jsonl", made), tmp_path / "o", tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "key").touch(mode=0o600)
    (state / "key").write_bytes(bytes(32))  # else it is chance which conversations are sampled
    ingest = ("ingest", logs, "--out", out, "--state", state, "--workers", 1, "--k", 20)
    assert run([str(argument) for argument in ingest]) == 0
    capsys.readouterr()
    _, said, _ = told(capsys, logs, "--account", "acct", "--state", state, "--json")
    explained = [
        (skeleton["type"], level["shingles"], level["banded"])
        for skeleton in json.loads(said)["skeletons"]
        for level in skeleton["levels"]
        if level["refused"] is None and level["same_as"] is None
    ]
    written = [
        (row.type, len(read_skeleton(row.type, row.value)[1]), banded(row.type, row.value))
        for row in read_indicators(out)
        if row.type in ("prompt.template", "client.system")
    ]
    assert len(explained) > 4
    assert sorted(explained) == sorted(written)


def banded(type: str, value: str) -> bool:
    return bool(band_values(type, value)[1])


def test_the_state_says_how_is_sampled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs, state = made_logs.write(tmp_path / "a.jsonl", made_logs.lines(1)), tmp_path / "state"
    settings = ("--k", 5, "--window-days", 7)
    ingest = ("ingest", logs, "--out", tmp_path / "o", "--state", state, "--workers", 1, *settings)
    assert run([str(argument) for argument in ingest]) == 0
    capsys.readouterr()
    asked = (logs, "--account", "acct-0", "--state", state)
    for more in ((), settings):
        code, out, _ = told(capsys, *asked, *more, "--json")
        skeleton = json.loads(out)["skeletons"][0]
        assert (code, skeleton["sampled"], skeleton["window"] % (7 * 86_400)) == (0, 5, 0)
        assert skeleton["window"] > made_logs.TIME - 7 * 86_400
    code, out, err = told(capsys, *asked, "--k", 6)
    assert (code, out) == (2, "")
    assert f"{state}: was made with --k 5; use the same, or leave it out" in err
    for damaged in ("{", "[5, 7]", '{"k": 5}', '{"k": 5, "window_days": "7"}', '{"k": 0, "window_days": 7}'):
        (state / "settings.json").write_text(damaged)
        code, out, err = told(capsys, *asked)
        assert (code, out) == (2, "")
        assert err.startswith(f"tocsin: {state / 'settings.json'}: is damaged; write ")
    (state / "settings.json").unlink()
    code, out, _ = told(capsys, *asked, "--json")
    assert json.loads(out)["skeletons"][0]["sampled"] >= 32


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (("--k", 0), "--k must be 1 to 512"),
        (("--k", 513), "--k must be 1 to 512"),
        (("--window-days", 0), "--window-days must be 1 to 366"),
        (("--window-days", -3), "--window-days must be 1 to 366"),
    ],
)
def test_a_sample_that_cannot_be_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[object, ...], what: str
) -> None:
    logs = made_logs.write(tmp_path / "a.jsonl", turns(1))
    assert told(capsys, logs, "--account", "acct", *more) == (2, "", f"tocsin: {what}\n")


def test_without_logs_or_without_a_line_that_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = told(capsys, "--account", "acct")
    assert (code, out) == (2, "")
    assert err == "tocsin: nothing to read: name files, folders, or `-` for standard input\n"
    code, out, err = told(capsys, tmp_path / "nowhere", "--account", "acct")
    assert (code, out, err) == (2, "", f"tocsin: {tmp_path / 'nowhere'} does not exist\n")
    logs = made_logs.write(tmp_path / "a.jsonl", ['{"who": "SECRET"}'] * 3)
    code, out, err = told(capsys, logs, "--account", "acct")
    assert (code, out) == (2, "")
    assert err.endswith(
        "tocsin: 3 bad lines: no line could be read: name another --format, or give a --field-map\n"
    )
    assert "SECRET" not in err
    assert "no exchange of this account" not in err


def test_bad_lines_and_progress_are_told_as_ingest_tells_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = made_logs.write(tmp_path / "a.jsonl", [*turns(4), *['{"who": "SECRET"}', "{SECRET"] * 11])
    code, out, err = told(capsys, logs, "--account", "acct")
    assert code == 0
    run(["ingest", str(logs), "--out", str(tmp_path / "o"), "--workers", "1"])
    warnings = [line for line in err.splitlines() if line.startswith("tocsin: warning: ")]
    assert warnings[-1] == "tocsin: warning: 22 bad lines in all"
    assert set(warnings) <= set(capsys.readouterr().err.splitlines())
    assert "tocsin: 4 exchanges, " in err
    assert "SECRET" not in out + err
