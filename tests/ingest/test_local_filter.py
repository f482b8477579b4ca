"""What many of a provider's own accounts write is dropped before anything is shared."""

import pytest

from tocsin.indicators.ptf2.common_list import shipped
from tocsin.indicators.ptf2.template import TEMPLATE, read_skeleton, write_skeleton
from tocsin.indicators.snapshot_files import CURRENT
from tocsin.ingest.local_filter import LOCAL, ShingleCounts, local_shingles, most_allowed, without_local

COMMON = shipped(CURRENT.common_prompts)
SHINGLES = [number << 40 for number in range(1, 61)]


@pytest.mark.parametrize(
    ("accounts", "percent", "most"),
    [(10, 3.0, 20), (1_000, 3.0, 30), (1_000, 1.0, 20), (200_000, 3.0, 6_000)],
)
def test_how_many_accounts_may_have_a_shingle(accounts: int, percent: float, most: int) -> None:
    assert most_allowed(accounts, percent) == most
    for held in (most, most + 1):
        assert local_shingles([{7: held}], accounts, percent) == (
            frozenset({7}) if held > most else frozenset()
        )


def test_what_processes_counted_adds_up() -> None:
    assert local_shingles([{7: 11, 8: 3}, {7: 10}], 100, 3.0) == frozenset({7})


@pytest.mark.parametrize(("local", "left"), [(0, 60), (11, 60), (12, 48), (47, 13), (48, 0), (60, 0)])
def test_of_a_skeleton_local_shingles_are_dropped_from_a_fifth_on_and_it_is_refused_from_four_fifths(
    local: int, left: int
) -> None:
    text = write_skeleton(SHINGLES, COMMON)
    kept, rule = without_local(TEMPLATE, text, frozenset(SHINGLES[:local]), COMMON)
    assert rule == ("" if left else LOCAL)
    assert (len(read_skeleton(TEMPLATE, kept)[1]) if kept else 0) == left


def test_what_is_left_is_judged_and_keeps_its_bands_only_where_it_is_worth_them() -> None:
    for whole, local, banded, rule in (
        (40, 28, True, ""),
        (40, 29, False, ""),
        (12, 5, False, "template.short"),
    ):
        text = write_skeleton(SHINGLES[:whole], COMMON)
        kept, why = without_local(TEMPLATE, text, frozenset(SHINGLES[:local]), COMMON)
        assert (why, kept.startswith("ptf2:")) == (rule, banded)
    exact = write_skeleton(SHINGLES, COMMON, banded=False)
    assert without_local(TEMPLATE, exact, frozenset(SHINGLES[:20]), COMMON)[0].startswith("ptf2-exact:")


def test_counts_in_bounded_memory_are_never_too_high_and_seldom_too_low() -> None:
    counts = ShingleCounts(most=50)
    for account in range(100):
        counts.add([frozenset({1, *range(1_000 + 10 * account, 1_010 + 10 * account)}), frozenset({1, 2})])
    frequent = counts.frequent()
    assert set(frequent) == {1, 2}
    assert 70 <= frequent[1] <= 100


def test_an_account_counts_once_whatever_levels_have_a_shingle() -> None:
    counts = ShingleCounts()
    system = frozenset(range(100, 130))
    for account in range(30):
        counts.add([frozenset({1, 2, 3}), frozenset({1, 2}), system, frozenset({account + 1_000, 100})])
    counts.add([])
    assert counts.frequent() == dict.fromkeys([1, 2, 3, *system], 30)
