"""A member that does not hold a template guesses its bands with a dictionary and a budget (threat model §1 and §3)."""

from __future__ import annotations

from pathlib import Path

from benchmarks.inverting import Band, Dictionary, invert
from tests.indicators.ptf1_steps import ACCOUNT
from tocsin.indicators.ptf1.bands import minima
from tocsin.indicators.ptf1.common_list import shipped
from tocsin.indicators.ptf1.shingles import Shingler
from tocsin.indicators.ptf1.skeleton import find_blocks
from tocsin.indicators.ptf1.template import band_values, write_skeleton
from tocsin.indicators.snapshot_files import CURRENT

BUDGET = 200_000
PHRASES = (Path(__file__).parents[1] / "indicators" / "common_prompts.txt").read_text().splitlines()


def published() -> list[Band]:
    skeleton = find_blocks([Shingler(CURRENT).hashes(each) for each in ACCOUNT])[0].shingles
    bands = list(enumerate(minima(skeleton)))
    # What a guess is compared with stands for what is published: one canonical value for one band.
    assert len(set(band_values(write_skeleton(skeleton, shipped(CURRENT.common_prompts))))) == len(bands)
    return bands


def test_everyday_phrases_and_a_budget_recover_no_word() -> None:
    loot = invert(published(), Dictionary(PHRASES), BUDGET)
    assert loot.spent > BUDGET - 200
    assert (loot.bands, loot.words, loot.opens) == (0, frozenset(), False)


def test_whoever_has_the_template_already_wins() -> None:
    # So the program above can win: it only lacked the words.
    loot = invert(published(), Dictionary([ACCOUNT[0]]), BUDGET)
    assert loot.opens
    assert {"supervised", "graduate", "graders"} & loot.words


def test_half_a_template_gives_its_own_words_only() -> None:
    half = " ".join(ACCOUNT[0].split()[:30])
    loot = invert(published(), Dictionary([half]), BUDGET)
    assert loot.words <= set(half.lower().replace(".", "").replace(",", "").split())
