"""What is said of two skeletons, and of the words of one."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.detect.made_logs import TEMPLATE, TOPICS
from tocsin.detect.comparing import compare_skeletons, compare_values, skeletons_of
from tocsin.detect.explaining import word_runs
from tocsin.detect.indicators_file import Indicator
from tocsin.detect.prompts import BadPrompts, read_prompts
from tocsin.indicators.ptf1.bands import BAND_THRESHOLD, BANDS
from tocsin.indicators.ptf1.common_list import shipped
from tocsin.indicators.ptf1.shingles import Shingler
from tocsin.indicators.ptf1.template import write_skeleton
from tocsin.indicators.snapshot_files import CURRENT

COMMON = shipped(CURRENT.common_prompts)


def indicator(value: str, account: str) -> Indicator:
    return Indicator(1, "prompt.template", value, (account,), 1, 0, 0)


def prompts(template: str = TEMPLATE) -> list[str]:
    return [template.format(number, topic) for number, topic in enumerate(TOPICS)]


def test_the_same_template_is_equal_at_each_level() -> None:
    left, right = skeletons_of(prompts()), skeletons_of(prompts()[:5])
    (pair,) = compare_skeletons(left, right, COMMON)
    assert (pair.jaccard, pair.equal, pair.reached, pair.bands) == (1.0, True, True, BANDS)
    assert 100 in pair.equal_levels


def test_a_changed_template_agrees_in_bands_only() -> None:
    changed = TEMPLATE.replace("with care", "slowly")
    left, right = skeletons_of(prompts()), skeletons_of(prompts(changed))
    (pair,) = compare_skeletons(left, right, COMMON)
    assert not pair.equal
    assert pair.bands >= BAND_THRESHOLD
    assert pair.reached
    rows = [
        indicator(write_skeleton(side[0].shingles, COMMON), name)
        for side, name in ((left, "a"), (right, "b"))
    ]
    (found,) = compare_values(rows[:1], rows[1:])
    assert (found.bands, found.shared, found.reached) == (pair.bands, pair.shared, True)
    assert found.accounts == (("a",), ("b",))


def test_files_of_indicators_are_equal_where_one_level_has_bands_and_the_other_has_none() -> None:
    (block,) = skeletons_of(prompts())
    rows = [indicator(write_skeleton(block.shingles, COMMON, banded=banded), "a") for banded in (True, False)]
    (found,) = compare_values(rows[:1], rows[1:])
    assert (found.equal, found.bands, found.reached) == (True, 0, True)


def test_what_would_be_refused_is_not_told() -> None:
    short = ["tell me about rivers number seven"] * 4
    (pair,) = compare_skeletons(skeletons_of(short), skeletons_of(short), COMMON)
    assert pair.jaccard == 1.0
    assert (pair.equal, pair.equal_levels, pair.bands, pair.reached) == (False, (), 0, False)


def test_different_templates_have_no_pair() -> None:
    other = ["name a colour that nobody has seen before in the old town"]
    assert compare_skeletons(skeletons_of(prompts()), skeletons_of(other), COMMON) == []
    assert skeletons_of([]) == []


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
