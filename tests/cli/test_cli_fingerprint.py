"""What `tocsin fingerprint compare` says of files that share nothing, and of files that cannot be compared."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.detect import made_logs
from tocsin.cli.main import run
from tocsin.detect.prompts import read_prompts
from tocsin.indicators.ptf1.common_list import build_common_list, shipped
from tocsin.indicators.ptf1.shingles import Shingler
from tocsin.indicators.snapshot_files import CURRENT

PROMPTS = [made_logs.TEMPLATE.format(number, topic) for number, topic in enumerate(made_logs.TOPICS)]


def told(capture: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = run([str(each) for each in ("fingerprint", "compare", *arguments)])
    out, err = capture.readouterr()
    return code, out, err


def written(path: Path, prompts: list[str]) -> Path:
    path.write_text("".join(f"{each}\n" for each in prompts))
    return path


def common_of(path: Path, prompts: Path) -> Path:
    hashes = {each for prompt in read_prompts(prompts) for each in Shingler(CURRENT).hashes(prompt)}
    path.write_bytes(build_common_list("mine-1", dict.fromkeys(hashes, 9), 1))
    return path


def ingested(capture: pytest.CaptureFixture[str], path: Path, *options: object) -> Path:
    logs = made_logs.write(path.with_suffix(".jsonl"), made_logs.lines(1, 8))
    assert run([str(each) for each in ("ingest", logs, "--out", path, "--workers", 1, *options)]) == 0
    capture.readouterr()
    return path


def test_each_skeleton_and_why_it_is_refused_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = written(tmp_path / "a.txt", PROMPTS)
    short = written(tmp_path / "short.txt", ["tell me about rivers number seven"] * 4)
    common = common_of(tmp_path / "mine.ptfc", a)
    for more, rule, why in (
        ((short, short), "template.short", "fewer than 8 shingles"),
        ((a, a, "--common", common), "template.common", "80 % or more on the common list"),
    ):
        code, out, _ = told(capsys, *more)
        assert code == 0
        assert re.search(rf"^ +A +1 .* refused: {re.escape(rule)} \({why}\)", out, re.MULTILINE)
        assert f"no: A is refused ({rule}) and B is refused ({rule})" in out
        found = json.loads(told(capsys, *more, "--json")[1])
        assert [each["skeletons"][0]["refused"] for each in found["files"]] == [rule, rule]
        assert found["pairs"][0]["refused"] == [rule, rule]
    _, out, _ = told(capsys, a, short)
    assert out.startswith(f"Skeletons: A is {a}, B is {short}\n")
    assert re.search(r"^ +A +1 +8 of 8 .* 40, 50, 60, .* kept", out, re.MULTILINE)
    found = json.loads(told(capsys, a, short, "--json")[1])
    assert [each["prompts"] for each in found["files"]] == [8, 4]
    assert found["files"][0]["skeletons"][0]["banded"] == [40, 50, 60, 80, 100]
    assert (found["files"][0]["skeletons"][0]["refused"], found["pairs"]) == (None, [])


@pytest.mark.parametrize(
    ("prompts", "why"),
    [
        (["hello there"] * 5, "none of its 5 prompts has three words"),
        (list("abcdef"), "none of its 6 prompts has three words"),
        ([f"{each}a {each}b {each}c {each}d" for each in "qrstu"], "no three words in a row are in 4 of its"),
        (
            [f"{each}a {each}b {each}c {each}d" for each in "qr"],
            "no three words in a row are in all of its 2",
        ),
        ([], "it holds no prompt"),
    ],
)
def test_a_file_without_a_skeleton_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], prompts: list[str], why: str
) -> None:
    a, b = written(tmp_path / "a.txt", PROMPTS), written(tmp_path / "b.txt", prompts)
    code, out, _ = told(capsys, a, b)
    assert code == 1
    assert f"{b}: no skeleton: {why}" in out
    assert why in json.loads(told(capsys, a, b, "--json")[1])["files"][1]["why_none"]


def test_prompts_and_indicators_do_not_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, made = written(tmp_path / "a.txt", PROMPTS), ingested(capsys, tmp_path / "a.parquet")
    for sides in ((text, made), (made, text)):
        code, out, err = told(capsys, *sides)
        assert (code, out) == (2, "")
        assert err == (
            f"tocsin: {made} is a file of indicators and {text} is none: name two files of prompts, or two that "
            "`tocsin ingest` made\n"
        )


def test_a_common_list_is_refused_where_indicators_were_judged_already(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ingested(capsys, tmp_path / "a.parquet")
    common = common_of(tmp_path / "mine.ptfc", written(tmp_path / "b.txt", PROMPTS[:1]))
    code, out, err = told(capsys, made, made, "--common", common)
    assert (code, out) == (2, "")
    assert "--common changes nothing" in err
    assert "leave it out" in err


def test_indicators_of_two_common_lists_are_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = written(tmp_path / "b.txt", ["another list of words that nobody of the board has written down"])
    common = common_of(tmp_path / "mine.ptfc", other)
    one = ingested(capsys, tmp_path / "one.parquet")
    two = ingested(capsys, tmp_path / "two.parquet", "--common", common)
    mine, shipped_id = common.read_bytes()[-32:][:8].hex(), shipped(CURRENT.common_prompts).id.hex()
    code, _, err = told(capsys, one, two)
    assert code == 1
    assert (
        f"tocsin: warning: {one} was made with the common list {shipped_id} and {two} with {mine}: what was made with "
        "different lists never matches" in err
    )
    code, out, err = told(capsys, one, one, "--json")
    assert (code, err) == (0, "")
    assert [each["common"] for each in json.loads(out)["files"]] == [[shipped_id], [shipped_id]]


def test_indicators_without_a_template_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = made_logs.write(tmp_path / "a.jsonl", [made_logs.line("a", "1", "hello there you")])
    made = tmp_path / "a.parquet"
    assert run(["ingest", str(logs), "--out", str(made), "--workers", "1"]) == 0
    capsys.readouterr()
    code, out, err = told(capsys, made, made)
    assert (code, err) == (1, "")
    assert f"{made}: no skeleton: it holds no prompt.template" in out


def test_a_bad_common_list_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = written(tmp_path / "a.txt", PROMPTS)
    cut = tmp_path / "cut.ptfc"
    cut.write_bytes(common_of(tmp_path / "mine.ptfc", text).read_bytes()[:-1])
    for path, what in ((text, "this is no list of common shingles"), (cut, "damaged or cut short")):
        code, out, err = told(capsys, text, text, "--common", path)
        assert (code, out) == (2, "")
        assert err.startswith(f"tocsin: {path}: ")
        assert what in err
