"""A member that does not hold a template guesses its bands with a dictionary and a budget (threat model §1 and §3)."""

from __future__ import annotations

from pathlib import Path

from benchmarks.inverting import Band, Dictionary, invert
from tests.indicators.ptf2_steps import ACCOUNT
from tocsin.indicators.ptf2.bands import LONG, minima
from tocsin.indicators.ptf2.common_list import shipped
from tocsin.indicators.ptf2.normalising import tokens
from tocsin.indicators.ptf2.shingles import Shingler
from tocsin.indicators.ptf2.skeleton import find_blocks
from tocsin.indicators.ptf2.template import TEMPLATE, band_values, write_skeleton
from tocsin.indicators.snapshot_files import CURRENT

BUDGET = 200_000
PHRASES = (Path(__file__).parents[1] / "indicators" / "common_prompts.txt").read_text().splitlines()


def published() -> list[Band]:
    skeleton = find_blocks([Shingler(CURRENT).hashes(prompt) for prompt in ACCOUNT])[0].shingles
    bands = list(enumerate(minima(skeleton, LONG.bands, LONG.rows)))
    # What a guess is compared with stands for what is published: one canonical value for one band.
    assert len(
        set(band_values(TEMPLATE, write_skeleton(skeleton, shipped(CURRENT.common_prompts)))[1])
    ) == len(bands)
    return bands


def test_everyday_phrases_and_a_budget_recover_no_word() -> None:
    loot = invert(published(), Dictionary(PHRASES), BUDGET, LONG)
    assert loot.spent > BUDGET - 200
    assert (loot.bands, loot.words, loot.opens) == (0, frozenset(), False)


def test_whoever_has_the_template_already_wins() -> None:
    # So the program above can win: it only lacked the words.
    loot = invert(published(), Dictionary([ACCOUNT[0]]), BUDGET, LONG)
    assert loot.opens
    assert {"supervised", "graduate", "graders"} & loot.words


def test_half_a_template_opens_the_record_and_wrong_guesses_tell_nothing() -> None:
    half, others = " ".join(ACCOUNT[0].split()[:30]), PHRASES[:40]
    loot = invert(published(), Dictionary([half, *others]), BUDGET, LONG)
    # About a quarter of the pairs of shingles lie in one half.
    assert LONG.bands // 8 < loot.bands < LONG.bands // 2
    assert loot.opens
    own = set(tokens(half, CURRENT))
    assert {"supervised", "graduate"} < loot.words <= own
    # The dictionary holds more than the half, so there was something wrong to tell.
    assert {word for other in others for word in tokens(other, CURRENT)} - own
