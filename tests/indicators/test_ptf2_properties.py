"""What ptf2 promises of any text, any account and any sample."""

import itertools
import unicodedata
from hashlib import sha256
from random import Random  # noqa: TID251 - only a type: Hypothesis makes them

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tocsin.indicators.ptf2.account import BadSample, Conversation, Sample, parse_sample, place_of
from tocsin.indicators.ptf2.common_list import BadCommonList, build_common_list, parse_common_list, shipped
from tocsin.indicators.ptf2.normalising import MAX_BYTES, Tokeniser, normalise, tokens
from tocsin.indicators.ptf2.shingles import Shingler
from tocsin.indicators.ptf2.skeleton import LEVELS, MIN_SHINGLES, MIN_SUPPORT, find_blocks
from tocsin.indicators.ptf2.template import (
    TEMPLATE,
    Refusal,
    banded_levels,
    banding_of,
    judge,
    judged,
    read_skeleton,
    strength,
    write_skeleton,
)
from tocsin.indicators.registry import Refused, observable
from tocsin.indicators.snapshot_files import CURRENT

COMMON = shipped(CURRENT.common_prompts)
SETS = st.lists(st.frozensets(st.integers(0, 60), max_size=30), max_size=12)
CONVERSATIONS = st.lists(
    st.builds(
        Conversation,
        st.integers(0, 40),
        st.frozensets(st.integers(0, 2**64 - 1), max_size=3),
        st.frozensets(st.integers(0, 2**64 - 1), max_size=3),
    ),
    max_size=12,
    unique_by=lambda unit: unit.place,
)


@given(st.text(alphabet=st.characters(), max_size=300))
@example("\ud800" * 20_000)
@example("é" * 70_000)
@example("😀" * 20_000)
@example("```" * 3_000 + "x")
@example("a@" * 5_000)
@example("0" * 65_000)
@example("e." * 32_000 + "@")
@example("é." * 20_000 + "@")
@example("~~~" * 21_000)
@example("a" + "\u0345" * 10_900 + "\u0301" * 10_900 + "\u0316" * 10_900)
@example("\u05b0\u05b1\u05b2\u05b3\u05b4\u05b5\u05b6"[::-1] * 4_600)
@example("\u0f71\u0f72" * 10_900)
@example("\u3300" * 21_800)
@settings(deadline=1_000)
def test_any_text_has_tokens_that_normalising_again_keeps(text: str) -> None:
    found = tokens(text, CURRENT)
    assert all(word and " " not in word and word == word.casefold() for word in found)
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for word in found for c in word)
    words = [word for word in found if not word.startswith("<")][:3_000]
    assert tokens(" ".join(words), CURRENT) == words


PARTS = st.one_of(
    st.text(alphabet=st.characters(), max_size=12),
    st.sampled_from(
        [
            "Say,",
            "12",
            "0xff",
            "jane@example.com",
            "e\u0301",
            "nul\0l",
            "北京市。",
            "\ud800",
            "a" * 70,
            "\u0345",
        ]
    ),
)
SPACES = st.sampled_from(
    [" ", "\n", "\x1c", "\x85", "\u00a0", "\u1680", "\u3000", "\u2028", "\u200b", "\0", ", "]
)


@given(st.lists(st.lists(st.tuples(PARTS, SPACES), max_size=20), min_size=1, max_size=4))
@example([[("word", " ")] * 17_000])
@example([[("wörd", " ")] * 14_000])
@example([[("a" + "\u05b0" * 40, "\0"), ("\u05b1" * 40, " ")]])
@settings(deadline=1_000)
def test_words_that_are_remembered_give_the_same_tokens(texts: list[list[tuple[str, str]]]) -> None:
    tokeniser = Tokeniser(CURRENT)
    for text in ["".join(map("".join, parts)) for parts in texts] * 2:
        assert tokeniser.tokens(text) == tokens(text, CURRENT)


def test_the_rest_of_a_long_prompt_does_not_count() -> None:
    for filler in ("word ", "wörd "):
        long = filler * MAX_BYTES
        assert tokens(long + "tail", CURRENT) == tokens(long, CURRENT)
        assert len(normalise(long, CURRENT)) <= MAX_BYTES


def test_ascii_takes_no_other_way_than_the_rest() -> None:
    text = "Write 12 lines to jane@example.com, see www.example.com/x. ~~~ a b ~~~ then 0xff, it's fine\x07."
    assert tokens(text + " й", CURRENT)[:-1] == tokens(text, CURRENT)


def test_equal_units_are_one_skeleton_of_the_smallest_hashes() -> None:
    units = [frozenset(range(5_000))] * 4
    (block,) = find_blocks(units)
    assert set(block.levels) == {frozenset(range(4_096))}
    # As it is found among units that are not all equal.
    (other,) = find_blocks([*units, frozenset({6_000})])
    assert (other.levels, other.units, other.parts) == (block.levels, block.units, block.parts)


@given(SETS, st.randoms(use_true_random=False))
def test_skeletons_do_not_depend_on_order(units: list[frozenset[int]], shuffler: Random) -> None:
    order = list(range(len(units)))
    shuffler.shuffle(order)
    found = find_blocks(units)
    again = find_blocks([units[place] for place in order])
    assert [block.levels for block in again] == [word.levels for word in found]
    assert [sorted(order[place] for place in block.units) for block in again] == [
        list(e.units) for e in found
    ]


@given(SETS)
def test_every_skeleton_is_as_dense_as_it_claims(units: list[frozenset[int]]) -> None:
    taken: set[int] = set()
    for block in find_blocks(units):
        assert len(block.units) >= MIN_SUPPORT
        assert not taken & set(block.units)
        taken |= set(block.units)
        for percent, level in zip(LEVELS, block.levels, strict=True):
            for shingle in level:
                held = sum(shingle in units[place] for place in block.units)
                assert 100 * held >= percent * len(block.units)
                assert held >= MIN_SUPPORT
        for lower, higher in itertools.pairwise(block.levels):
            assert lower >= higher


def test_three_conversations_are_no_support() -> None:
    assert find_blocks([frozenset(range(50))] * 3) == []
    assert len(find_blocks([frozenset(range(50))] * 4)) == 1


def test_each_template_of_an_account_is_found_the_one_with_the_most_conversations_first() -> None:
    one, two = frozenset(range(12)), frozenset(range(100, 120))
    units = [two] * 5 + [one] * 7 + [frozenset({1_000})]
    found = [(block.shingles, block.units) for block in find_blocks(units)]
    assert found == [(one, (5, 6, 7, 8, 9, 10, 11)), (two, (0, 1, 2, 3, 4))]


def test_forty_templates_of_an_account_are_found_and_no_more() -> None:
    units = [
        frozenset(range(100 * number, 100 * number + 12)) for number in range(41) for _ in range(4 + number)
    ]
    assert [len(block.units) for block in find_blocks(units)] == list(range(44, 4, -1))


def test_templates_with_a_common_beginning_are_parts_of_one_block() -> None:
    first = frozenset(range(12))
    ends = [frozenset(range(100 * number, 100 * number + 10)) for number in range(1, 4)]
    units = [
        first | end | {1_000 + 10 * number + place} for number, end in enumerate(ends) for place in range(5)
    ]
    (block,) = find_blocks(units)
    assert block.shingles == first
    assert [part.shingles for part in block.parts] == [first | end for end in ends]


def test_what_no_level_of_sixty_percent_has_is_still_a_block_where_enough_of_it_is_left() -> None:
    # Each unit has 37 of a hundred shingles of the template, others in each: a third of its words changes.
    units = [
        frozenset(s for s in range(60) if sha256(bytes([s, unit])).digest()[0] * 100 < 256 * 37)
        | {1_000 + unit}
        for unit in range(10)
    ]
    (block,) = find_blocks(units)
    assert block.units == tuple(range(10))
    assert len(block.shingles) < MIN_SHINGLES
    assert len(block.levels[0]) > 30


def test_a_unit_joins_by_two_shingles_and_an_eighth_and_by_no_fewer() -> None:
    template = frozenset(range(24))
    units = [
        *(template | {1_000 + unit} for unit in range(5)),
        frozenset({0, 1, 2, 2_000}), frozenset({3, 4, 2_001}), frozenset({5, 2_002}),
    ]  # fmt: skip
    (block,) = find_blocks(units)
    assert block.units == (0, 1, 2, 3, 4, 5)
    small = [frozenset(range(8)) | {1_000 + unit} for unit in range(5)]
    (block,) = find_blocks([*small, frozenset({0, 1, 2_000}), frozenset({2, 2_001})])
    assert block.units == (0, 1, 2, 3, 4, 5)


def test_the_levels_with_bands_are_two_that_differ() -> None:
    # Of six units, 40 and 60 % are four each, and 80 % are five.
    units = [
        frozenset(s for s in range(24) if s < 12 or (s % 6 != unit and (s < 18 or (s + 2) % 6 != unit)))
        | {1_000 + unit}
        for unit in range(6)
    ]
    (block,) = find_blocks(units)
    first, second = banded_levels(block)
    assert (first, second) == (block.levels[0], block.levels[3])
    assert block.levels[0] == block.levels[2] > second
    shared = list(judged([block], COMMON))
    assert [level.shingles for level in shared if level.banded] == [first, second]


def test_a_skeleton_too_small_for_bands_also_stands_without_each_of_its_shingles() -> None:
    def shared(size: int, extra: int = 0) -> set[frozenset[int]]:
        units = [frozenset(range(size + extra)) | {1_000 + unit} for unit in range(4)]
        return {level.shingles for level in judged(find_blocks(units), COMMON) if level.refusal is None}

    assert shared(8) == {frozenset(range(8))}
    assert shared(9) == {frozenset(range(9)), *(frozenset(range(9)) - {out} for out in range(9))}
    assert shared(11) & shared(10) & shared(11, 1) == set()
    assert shared(10) & shared(10, 1) == {frozenset(range(10))}  # one account has a shingle too many
    assert all(len(level) == 12 for level in shared(12))  # this one has bands


def test_a_template_whose_words_change_in_each_prompt_is_whole_at_the_lowest_level() -> None:
    # Ten units, each without three of ten shingles: each shingle is in six, seven or eight of them.
    template = list(range(20))
    units = [
        frozenset(shingle for shingle in template if (3 * unit + shingle) % 10 >= 3) | {1_000 + unit}
        for unit in range(10)
    ]
    (block,) = find_blocks(units)
    assert block.levels[0] == frozenset(template)
    assert block.levels[LEVELS.index(80)] != block.levels[0]


def test_a_passage_is_dropped_from_each_level_on_its_own() -> None:
    template, passage = frozenset(range(12)), frozenset(range(100, 130))
    units = [template | (passage if place < 5 else frozenset()) for place in range(10)]
    (block,) = find_blocks(units)
    assert set(block.levels) == {template}


def test_the_template_wins_over_a_longer_passage_that_few_conversations_share() -> None:
    template, passage = frozenset(range(12)), frozenset(range(100, 400))
    units = [template | (passage if place < 4 else frozenset()) for place in range(10)]
    assert find_blocks(units)[0].shingles == template


@given(CONVERSATIONS, CONVERSATIONS, st.integers(1, 6))
def test_samples_merge_like_sets(one: list[Conversation], two: list[Conversation], k: int) -> None:
    known = {unit.place for unit in one}
    two = [block for block in two if block.place not in known]
    whole = Sample(k).with_more(one + two)
    assert Sample(k).with_more(one).merged(Sample(k).with_more(two)) == whole
    assert Sample(k).with_more(two).merged(Sample(k).with_more(one)) == whole
    assert whole.merged(whole) == whole
    assert len(whole.conversations) == min(k, len(one) + len(two))
    assert parse_sample(whole.encode()) == whole


@given(CONVERSATIONS, st.data())
def test_a_damaged_sample_is_refused(conversations: list[Conversation], data: st.DataObject) -> None:
    encoded = Sample(16).with_more(conversations).encode()
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(BadSample):
        parse_sample(encoded[:cut])
    with pytest.raises(BadSample):
        parse_sample(encoded + b"\0")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_sample_or_refused(data: bytes) -> None:
    with pytest.raises(BadSample):
        parse_sample(data)
    with pytest.raises(BadCommonList):
        parse_common_list(data)


def test_samples_of_another_size_do_not_merge() -> None:
    with pytest.raises(BadSample, match="one k"):
        Sample(4).merged(Sample(8))


def test_places_depend_on_the_providers_key() -> None:
    assert place_of(b"a" * 32, "c") != place_of(b"b" * 32, "c")


@given(st.dictionaries(st.integers(0, 2**64 - 1), st.integers(1, 1_000), max_size=40), st.integers(1, 50))
def test_a_common_list_holds_what_was_counted_often_enough(counts: dict[int, int], least: int) -> None:
    found = parse_common_list(build_common_list("mine-1", counts, least))
    for shingle, count in counts.items():
        assert (found.bits(shingle) is not None) or count < least
    assert len(found) <= sum(count >= least for count in counts.values())
    assert found.absent_bits >= 15


def test_a_damaged_common_list_is_refused() -> None:
    data = build_common_list("mine-1", {7 << 40: 3, 9 << 40: 5}, 1)
    for place in range(len(data)):
        with pytest.raises(BadCommonList):
            parse_common_list(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])


@given(st.frozensets(st.integers(0, 2**64 - 1), min_size=1, max_size=80))
@settings(max_examples=50)
def test_a_skeleton_survives_being_written(shingles: frozenset[int]) -> None:
    text = write_skeleton(shingles, COMMON)
    assert read_skeleton(TEMPLATE, text) == (COMMON.id, tuple(sorted(shingles)))
    exact = write_skeleton(shingles, COMMON, banded=False)
    assert read_skeleton(TEMPLATE, exact) == read_skeleton(TEMPLATE, text)
    refusal = judge(shingles, COMMON)
    if refusal is None:
        found = observable(TEMPLATE, text)
        assert observable(TEMPLATE, exact) == found
        assert observable(TEMPLATE, exact).bands == ()
        banding = banding_of(TEMPLATE, len(shingles))
        assert (banding is None) == (len(shingles) < 12)
        assert len(found.bands) == (banding.bands if banding else 0)
        assert {band.type for band in found.bands} == ({banding.type} if banding else set())
    else:
        with pytest.raises(Refused) as caught:
            observable(TEMPLATE, text)
        assert caught.value.rule == refusal.value


def test_why_a_skeleton_is_refused() -> None:
    listed = sorted({shingle for line in _phrases() for shingle in Shingler(CURRENT).hashes(line)})
    fresh = [number << 40 for number in range(1, 40)]
    assert judge(frozenset(fresh[:7]), COMMON) is Refusal.SHORT
    assert judge(frozenset(fresh[:8]), COMMON) is None
    assert strength(fresh[:8], COMMON) == 40
    assert judge(frozenset(listed[:8] + fresh[:2]), COMMON) is Refusal.COMMON
    assert judge(frozenset(listed[:7] + fresh[:2]), COMMON) is Refusal.WEAK


def test_skeletons_under_two_lists_never_compare() -> None:
    other = parse_common_list(build_common_list("mine-1", {1: 1}, 1))
    shingles = [number << 40 for number in range(1, 40)]
    one, two = (observable(TEMPLATE, write_skeleton(shingles, common)) for common in (COMMON, other))
    assert one.canonical != two.canonical
    assert not {band.canonical for band in one.bands} & {band.canonical for band in two.bands}


def _phrases() -> list[str]:
    from pathlib import Path

    return (Path(__file__).parent / "common_prompts.txt").read_text().splitlines()
