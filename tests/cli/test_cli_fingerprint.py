"""What `tocsin fingerprint compare` and `common` say of files that share little or nothing, or cannot be used."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.ingest import made_logs
from tocsin.cli.main import run
from tocsin.indicators.ptf2.common_list import build_common_list, shipped
from tocsin.indicators.ptf2.shingles import Shingler
from tocsin.indicators.snapshot_files import CURRENT
from tocsin.ingest.indicators_file import read_indicators
from tocsin.ingest.prompts import read_prompts

PROMPTS = [made_logs.TEMPLATE.format(number, topic) for number, topic in enumerate(made_logs.TOPICS)]


def told(capture: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = run([str(argument) for argument in ("fingerprint", "compare", *arguments)])
    out, err = capture.readouterr()
    return code, out, err


def written(path: Path, prompts: list[str]) -> Path:
    path.write_text("".join(f"{prompt}\n" for prompt in prompts))
    return path


def common_of(path: Path, prompts: Path) -> Path:
    hashes = {shingle for prompt in read_prompts(prompts) for shingle in Shingler(CURRENT).hashes(prompt)}
    path.write_bytes(build_common_list("mine-1", dict.fromkeys(hashes, 9), 1))
    return path


def ingested(capture: pytest.CaptureFixture[str], path: Path, *options: object, accounts: int = 1) -> Path:
    logs = made_logs.write(path.with_suffix(".jsonl"), made_logs.lines(accounts, 8))
    assert run([str(argument) for argument in ("ingest", logs, "--out", path, "--workers", 1, *options)]) == 0
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
        assert code == 1
        said = " ".join(out.split())
        assert re.search(rf" A 1 .* refused: {re.escape(rule)} \({why.split()[0]}", said)
        assert f"no: A is refused ({rule}) and B is refused ({rule})" in said
        found = json.loads(told(capsys, *more, "--json")[1])
        assert [file["skeletons"][0]["refused"] for file in found["files"]] == [rule, rule]
        assert found["pairs"][0]["refused"] == [rule, rule]
    _, out, _ = told(capsys, a, short)
    assert out.startswith(f"Skeletons: A is {a}, B is {short}\n")
    assert re.search(r"^ *A +1 +8 of 8 .* 40, 50, 60, .* kept", out, re.MULTILINE)
    found = json.loads(told(capsys, a, short, "--json")[1])
    assert [file["prompts"] for file in found["files"]] == [8, 4]
    assert found["files"][0]["skeletons"][0]["banded"] == [40, 50, 60, 80, 100]
    assert (found["files"][0]["skeletons"][0]["refused"], found["pairs"]) == (None, [])


@pytest.mark.parametrize(
    ("prompts", "why"),
    [
        (["hello there"] * 5, "none of its 5 prompts has three words"),
        (list("abcdef"), "none of its 6 prompts has three words"),
        (
            [f"{letter}a {letter}b {letter}c {letter}d" for letter in "qrstu"],
            "no three words in a row are in 4 of its",
        ),
        (
            [f"{letter}a {letter}b {letter}c {letter}d" for letter in "qr"],
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
    assert [file["common"] for file in json.loads(out)["files"]] == [[shipped_id], [shipped_id]]


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


@pytest.mark.parametrize("few", [1, 3])
def test_fewer_than_four_prompts_are_compared_and_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], few: int
) -> None:
    a, b = written(tmp_path / "a.txt", PROMPTS), written(tmp_path / "b.txt", PROMPTS[:few])
    for more in ((a, b), (b, b)):
        code, out, _ = told(capsys, *more)
        assert code == 1
        assert re.search(
            rf"^ *B +1 +{few} of {few} +\d+ +- +- +refused: template\.support ", out, re.MULTILINE
        )
        assert "are needed)" in " ".join(out.split())
        assert "B is refused (template.support)" in " ".join(out.split())
    found = json.loads(told(capsys, a, b, "--json")[1])
    assert [file["skeletons"][0]["kept"] != [] for file in found["files"]] == [True, False]
    (pair,) = found["pairs"]
    assert pair["shared"] > 40
    assert (pair["equal"], pair["bands"]["agreeing"], pair["reached"]) == (False, 0, False)


def test_a_shingle_in_common_is_nothing_to_be_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = [f"{' '.join(f'{one}{two}l' for one in 'bdfghjkm' for two in 'aeiou')} mark from zero"] * 5
    a, b = written(tmp_path / "a.txt", PROMPTS), written(tmp_path / "b.txt", other)
    code, out, _ = told(capsys, a, b)
    assert code == 1
    assert "1 pair of skeletons" in out
    assert len(re.findall(r" kept *$", out, re.MULTILINE)) == 2
    assert told(capsys, a, a)[0] == 0


def test_equal_is_said_in_the_same_words_of_prompts_and_of_indicators(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = written(tmp_path / "a.txt", PROMPTS), written(tmp_path / "b.txt", [PROMPTS[0].lower()] * 4)
    assert re.search(r"^ *1 +1 .* 1\.000 +yes, at 40, 50, 60, ", told(capsys, a, a)[1], re.MULTILINE)
    assert re.search(r"^ *1 +1 .* 0\.\d+ +no ", told(capsys, a, b)[1], re.MULTILINE)
    made = ingested(capsys, tmp_path / "a.parquet")
    assert re.search(r"1\.000 +yes +\d", told(capsys, made, made)[1])


def test_skeletons_of_indicators_are_known_by_their_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ingested(capsys, tmp_path / "a.parquet", accounts=2)
    rows = [row.row for row in read_indicators(made) if row.type == "prompt.template"]
    assert rows != list(range(1, len(rows) + 1))
    code, out, _ = told(capsys, made, made)
    assert code == 0
    assert re.search(r"^A +B +.*\n\(row: accounts\) +\(row: accounts\) ", out, re.MULTILINE)
    assert re.search(rf"^ *{rows[-1]}: (acct-\d) +{rows[-1]}: \1 ", out, re.MULTILINE)
    pairs = json.loads(told(capsys, made, made, "--json")[1])["pairs"]
    assert {pair["left"] for pair in pairs if pair["type"] == "prompt.template"} == set(rows)
    systems = {row.row for row in read_indicators(made) if row.type == "client.system"}
    assert {pair["left"] for pair in pairs if pair["type"] == "client.system"} == systems != set()
    text = written(tmp_path / "a.txt", PROMPTS)
    assert re.search(r"^A +B +.*\n\(skeleton\) +\(skeleton\) ", told(capsys, text, text)[1], re.MULTILINE)


def test_a_json_array_is_no_file_of_prompts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, array = written(tmp_path / "a.txt", PROMPTS), tmp_path / "b.json"
    array.write_text(json.dumps([{"prompt": prompt} for prompt in PROMPTS], indent=2))
    code, out, err = told(capsys, text, array)
    assert (code, out) == (2, "")
    assert err == (
        f"tocsin: {array} is a JSON array: write JSON lines, an object with the text `prompt` on each line\n"
    )


def test_a_folder_is_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, folder = written(tmp_path / "a.txt", PROMPTS), tmp_path / "folder"
    folder.mkdir()
    for sides in ((folder, text), (text, folder), (folder, folder)):
        assert told(capsys, *sides) == (
            2,
            "",
            f"tocsin: {folder} is a folder: name a file of prompts, or of indicators that `tocsin ingest` made\n",
        )


def test_what_is_compared_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = told(capsys, "--help")
    assert code == 0
    described = " ".join(out.replace("│", " ").split())
    assert re.search(r"\* A --a A file of prompts \(.*\* B --b A file of the same kind", described)


def test_a_common_list_without_shingles_is_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, out = written(tmp_path / "a.txt", PROMPTS), tmp_path / "mine.ptfc"
    arguments = ["fingerprint", "common", str(text), "--name", "mine-1", "--out", str(out), "--least"]
    assert run([*arguments, "9"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "tocsin: no shingle is in 9 prompts: the most frequent one is in 8; give a lower --least, or more "
        "prompts\n"
    )
    assert not out.exists()
    assert run([*arguments, "8"]) == 0
    assert out.exists()
