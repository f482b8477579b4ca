"""What is said of two skeletons, and of the words of one."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.ingest.made_logs import TEMPLATE, TOPICS
from tocsin.indicators.ptf2.bands import LONG, SHORT
from tocsin.indicators.ptf2.common_list import shipped
from tocsin.indicators.ptf2.shingles import Shingler
from tocsin.indicators.ptf2.skeleton import LEVELS, MIN_SHINGLES, Block
from tocsin.indicators.ptf2.template import write_skeleton
from tocsin.indicators.snapshot_files import CURRENT
from tocsin.ingest.comparing import FEW, Side, compare_skeletons, compare_values, lists_of, side_of, verdicts
from tocsin.ingest.explaining import word_runs
from tocsin.ingest.indicators_file import BadIndicators, Indicator
from tocsin.ingest.prompts import BadPrompts, read_prompts

COMMON = shipped(CURRENT.common_prompts)


def indicator(value: str, account: str) -> Indicator:
    return Indicator(ord(account), "prompt.template", value, (account,), 1, 0, 0)


def prompts(template: str = TEMPLATE) -> list[str]:
    return [template.format(number, topic) for number, topic in enumerate(TOPICS)]


def test_the_same_template_is_equal_at_each_level() -> None:
    left, right = side_of(prompts()), side_of(prompts()[:5])
    (pair,) = compare_skeletons(left, right, COMMON)
    assert (pair.jaccard, pair.equal, pair.reached, pair.bands.agreeing) == (1.0, True, True, LONG.bands)
    assert 100 in pair.equal_levels


def test_a_changed_template_agrees_in_bands_only() -> None:
    changed = TEMPLATE.replace("with care", "slowly")
    left, right = side_of(prompts()), side_of(prompts(changed))
    (pair,) = compare_skeletons(left, right, COMMON)
    assert not pair.equal
    assert pair.bands.reached
    assert pair.reached
    rows = [
        indicator(write_skeleton(side.blocks[0].shingles, COMMON), name)
        for side, name in ((left, "a"), (right, "b"))
    ]
    (found,) = compare_values(rows[:1], rows[1:])
    assert (found.bands, found.shared, found.reached) == (pair.bands, pair.shared, True)
    assert (found.left, found.right, found.accounts) == (ord("a"), ord("b"), (("a",), ("b",)))


def test_files_of_indicators_are_equal_where_one_level_has_bands_and_the_other_has_none() -> None:
    (block,) = side_of(prompts()).blocks
    rows = [indicator(write_skeleton(block.shingles, COMMON, banded=banded), "a") for banded in (True, False)]
    (found,) = compare_values(rows[:1], rows[1:])
    assert (found.equal, found.bands.agreeing, found.reached) == (True, 0, True)


def test_what_would_be_refused_is_not_told() -> None:
    short = ["tell me about rivers number seven"] * 4
    (pair,) = compare_skeletons(side_of(short), side_of(short), COMMON)
    assert pair.jaccard == 1.0
    assert (pair.equal, pair.equal_levels, pair.bands.agreeing, pair.reached) == (False, (), 0, False)


@pytest.mark.parametrize("few", [1, 2, 3])
def test_fewer_than_four_prompts_are_compared_and_nothing_of_them_is_told(few: int) -> None:
    side = side_of([*prompts()[:few], "two words"])
    (verdict,) = verdicts(side, COMMON)
    assert (verdict.kept, verdict.banded, verdict.refused) == ((), (), FEW)
    assert verdict.why == "4 prompts of three words or more are needed"
    (pair,) = compare_skeletons(side, side, COMMON)
    assert pair.jaccard == 1.0
    assert (pair.equal, pair.equal_levels, pair.bands.agreeing, pair.reached) == (False, (), 0, False)
    assert pair.refused == (FEW, FEW)
    (pair,) = compare_skeletons(side_of(prompts()), side, COMMON)
    assert (pair.reached, pair.refused) == (False, (None, FEW))


def test_only_the_first_two_skeletons_of_a_side_have_bands() -> None:
    words = "amber birch cedar delta ember flint grove heath ivory jade kelp larch maple nettle olive pearl"

    def made(name: str, size: int) -> list[str]:
        template = " ".join(f"{word}{name}{again}" for again in "qxz" for word in words.split())
        return [f"{template} {topic}" for topic in TOPICS[:size]]

    side = side_of(made("a", 8) + made("b", 7) + made("c", 6))
    assert [verdict.kept for verdict in verdicts(side, COMMON)] == [LEVELS] * 3
    assert [verdict.banded for verdict in verdicts(side, COMMON)] == [LEVELS, LEVELS, ()]
    for name, agree in (("b", True), ("c", False)):
        other = side_of([prompt.replace(f"amber{name}x", "another") for prompt in made(name, 8)])
        (pair,) = compare_skeletons(side, other, COMMON)
        assert (pair.equal, pair.bands.reached, pair.reached) == (False, agree, agree)
        assert pair.refused == (None, None)


def test_a_skeleton_of_fewer_than_12_shingles_is_kept_without_bands() -> None:
    (found,) = verdicts(side_of([prompt[:75] for prompt in prompts()]), COMMON)
    assert MIN_SHINGLES <= found.shingles < SHORT.least
    assert (found.kept, found.banded, found.refused) == (LEVELS, (), None)


def test_a_level_is_equal_only_where_both_share_it() -> None:
    # Of the other side's level of 60 % too little is left, so nothing of it is shared.
    level = side_of(prompts()).blocks[0].shingles
    mine = Side(4, 4, [Block((frozenset(sorted(level)[:15]),) * 5, (0, 1, 2, 3))])
    theirs = Side(
        4, 4, [Block((frozenset(sorted(level)[:15]), *(frozenset(sorted(level)[:7]),) * 4), (0, 1, 2, 3))]
    )
    for pair in (*compare_skeletons(mine, theirs, COMMON), *compare_skeletons(theirs, mine, COMMON)):
        assert (pair.equal, pair.equal_levels, pair.reached) == (False, (), False)
        assert "template.short" in pair.refused


def test_different_templates_have_no_pair() -> None:
    other = ["name a colour that nobody has seen before in the old town"]
    assert compare_skeletons(side_of(prompts()), side_of(other), COMMON) == []
    assert side_of([]).blocks == []


def test_a_file_with_a_value_that_is_no_skeleton_is_named() -> None:
    good = indicator(write_skeleton(side_of(prompts()).blocks[0].shingles, COMMON), "a")
    assert lists_of(Path("made.parquet"), [good, good]) == [COMMON.id.hex()]
    with pytest.raises(
        BadIndicators,
        match=r"^made\.parquet: row 97: prompt\.template: give the skeleton .* \(template\.text\)",
    ):
        lists_of(Path("made.parquet"), [good, indicator("a prompt", "a")])


def test_words_of_a_skeleton() -> None:
    wanted = Shingler(CURRENT).hashes("read the answer about") | Shingler(CURRENT).hashes(
        "why and close with"
    )
    runs = word_runs(TEMPLATE.format(3, "rivers"), wanted)
    assert runs == ["read the answer about", "why and close with"]


@pytest.mark.parametrize("cut", [slice(20), slice(0, 20), slice(11)])
def test_a_damaged_gzip_stream_of_prompts_is_refused(tmp_path: Path, cut: slice) -> None:
    path = tmp_path / "packed.gz"
    path.write_bytes(gzip.compress("\n".join(prompts()).encode())[cut] + b"\xff" * 30)
    with pytest.raises(BadPrompts, match="damaged"):
        list(read_prompts(path))


@pytest.mark.parametrize("first", ["[", " [ ", '["a prompt", "another"]', "[]"])
def test_a_json_array_of_prompts_is_refused(tmp_path: Path, first: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(f"{first}\n  tell me about rivers\n]\n")
    with pytest.raises(BadPrompts, match=r"a\.json is a JSON array: write JSON lines"):
        list(read_prompts(path))


@pytest.mark.parametrize(
    "first", ["[INST] tell me about rivers [/INST]", "[a, b]", "[1] cited", "[" * 100_000]
)
def test_a_prompt_may_begin_as_an_array_does(tmp_path: Path, first: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"{first}\n[\n")
    assert list(read_prompts(path)) == [f"{first}\n", "[\n"]
