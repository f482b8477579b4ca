"""How alike two sets of prompts, or two files of indicators, are.

1. Of four prompts or more the skeletons count, as they would of an account. Of fewer, what all of them have in common.
2. Two skeletons are told where they share a shingle; of two files of indicators, where they are equal or agree in τ
   bands, which is what a federation would see. A level that is refused is neither equal nor does it agree.
3. Only levels that have bands, of 32 shingles or more, agree in some; of two such levels a side the best pair counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tocsin.detect.indicators_file import Indicator
from tocsin.indicators.ptf1.bands import BAND_THRESHOLD
from tocsin.indicators.ptf1.common_list import CommonList
from tocsin.indicators.ptf1.shingles import Shingler
from tocsin.indicators.ptf1.skeleton import LEVELS, MIN_SUPPORT, Block, find_blocks
from tocsin.indicators.ptf1.template import TEMPLATE, band_values, judged, read_skeleton, write_skeleton
from tocsin.indicators.snapshot_files import CURRENT


@dataclass(frozen=True, slots=True)
class Likeness:
    """Two skeletons, numbered from 1 on each side, and what they share."""

    left: int
    right: int
    shingles: tuple[int, int]
    shared: int
    jaccard: float
    equal: bool
    """Whether a level of one is a level of the other."""
    equal_levels: tuple[int, ...]
    """The percentages at which both are the same; a file of indicators does not say which level a value is."""
    bands: int
    reached: bool
    """Whether a federation would tell: equal, or τ bands agree."""
    accounts: tuple[tuple[str, ...], tuple[str, ...]] = field(default=((), ()), repr=False)
    """Of two files of indicators: the accounts that hold each."""


def skeletons_of(prompts: Iterable[str]) -> list[Block]:
    """Return the skeletons of prompts (rule 1)."""
    shingler = Shingler(CURRENT)
    units = [each for prompt in prompts if (each := shingler.hashes(prompt))]
    if len(units) >= MIN_SUPPORT:
        return find_blocks(units)
    common = frozenset[int].intersection(*units) if units else frozenset[int]()
    return [Block((common,) * len(LEVELS), tuple(range(len(units))))] if common else []


def compare_skeletons(left: Sequence[Block], right: Sequence[Block], common: CommonList) -> list[Likeness]:
    """Return each pair that shares a shingle, the most alike first."""
    told = [[_told(each, common) for each in side] for side in (left, right)]
    found = []
    for one, mine in enumerate(left):
        for other, theirs in enumerate(right):
            if mine.shingles & theirs.shingles:
                (own, own_bands), (others, other_bands) = told[0][one], told[1][other]
                pairs = zip(LEVELS, mine.levels, theirs.levels, strict=True)
                equal = [percent for percent, a, b in pairs if a == b and a in own]
                agreeing = max((len(a & b) for a in own_bands for b in other_bands), default=0)
                either = not own.isdisjoint(others)
                places = one + 1, other + 1
                found.append(_likeness(places, mine.shingles, theirs.shingles, either, equal, agreeing))
    return sorted(found, key=lambda each: -each.jaccard)


def compare_values(left: Sequence[Indicator], right: Sequence[Indicator]) -> list[Likeness]:
    """Return each pair of skeletons of two files that is equal or agrees in τ bands (rule 2)."""
    holders: dict[bytes, list[int]] = {}
    places: dict[tuple[bytes, tuple[int, ...]], int] = {}
    for place, each in enumerate(right):
        places[read_skeleton(TEMPLATE, each.value)] = place
        for band in band_values(each.value):
            holders.setdefault(band, []).append(place)
    found = []
    for one, each in enumerate(left):
        agreeing = Counter(place for band in band_values(each.value) for place in holders.get(band, ()))
        pairs = {place: count for place, count in agreeing.items() if count >= BAND_THRESHOLD}
        skeleton = read_skeleton(TEMPLATE, each.value)
        equal = places.get(skeleton)
        if equal is not None:
            pairs.setdefault(equal, 0)
        for other, count in pairs.items():
            theirs = read_skeleton(TEMPLATE, right[other].value)
            found.append(
                _likeness(
                    (one + 1, other + 1), frozenset(skeleton[1]), frozenset(theirs[1]), other == equal, [], count,
                    (each.accounts, right[other].accounts),
                )
            )  # fmt: skip
    return sorted(found, key=lambda each: (-each.jaccard, each.left, each.right))


def _told(block: Block, common: CommonList) -> tuple[frozenset[frozenset[int]], list[frozenset[bytes]]]:
    """Return the levels of a block that a federation would see, and the bands of those that have some."""
    levels = [each for each in judged([block], common) if each.refusal is None]
    bands = [frozenset(band_values(write_skeleton(each.shingles, common))) for each in levels if each.banded]
    return frozenset(each.shingles for each in levels), bands


def _likeness(
    places: tuple[int, int],
    mine: frozenset[int],
    theirs: frozenset[int],
    equal: bool,
    levels: Sequence[int],
    bands: int,
    accounts: tuple[tuple[str, ...], tuple[str, ...]] = ((), ()),
) -> Likeness:
    shared = len(mine & theirs)
    return Likeness(
        *places,
        (len(mine), len(theirs)),
        shared,
        shared / len(mine | theirs),
        equal,
        tuple(levels),
        bands,
        equal or bands >= BAND_THRESHOLD,
        accounts,
    )
