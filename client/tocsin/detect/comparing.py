"""How alike two sets of prompts, or two files of indicators, are.

1. Of four prompts or more the skeletons count, as they would of an account. Of fewer, what all of them have in common.
2. Two skeletons are told where they share a shingle; of two files of indicators, where they are equal or agree in τ
   bands, which is what a federation would see.
3. Bands are there for skeletons of 32 shingles or more; smaller ones agree in none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tocsin.indicators.ptf1.bands import BAND_THRESHOLD
from tocsin.indicators.ptf1.common_list import CommonList
from tocsin.indicators.ptf1.shingles import Shingler
from tocsin.indicators.ptf1.skeleton import LEVELS, MIN_SUPPORT, find_blocks
from tocsin.indicators.ptf1.template import TEMPLATE, band_values, read_skeleton, write_skeleton
from tocsin.indicators.snapshot_files import CURRENT

Levels = tuple[frozenset[int], ...]


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


def skeletons_of(prompts: Iterable[str]) -> list[Levels]:
    """Return the skeletons of prompts (rule 1)."""
    shingler = Shingler(CURRENT)
    units = [each for prompt in prompts if (each := shingler.hashes(prompt))]
    if len(units) >= MIN_SUPPORT:
        return [block.levels for block in find_blocks(units)]
    return [(frozenset.intersection(*units),) * len(LEVELS)] if units else []


def compare_skeletons(left: Sequence[Levels], right: Sequence[Levels], common: CommonList) -> list[Likeness]:
    """Return each pair that shares a shingle, the most alike first."""
    bands = [[_bands(write_skeleton(each[0], common)) for each in side] for side in (left, right)]
    found = []
    for one, mine in enumerate(left):
        for other, theirs in enumerate(right):
            if mine[0] & theirs[0]:
                equal = [percent for percent, a, b in zip(LEVELS, mine, theirs, strict=True) if a == b]
                agreeing = len(bands[0][one] & bands[1][other])
                either = not set(mine).isdisjoint(theirs)
                found.append(_likeness((one, other), mine[0], theirs[0], either, equal, agreeing))
    return sorted(found, key=lambda each: -each.jaccard)


def compare_values(left: Sequence[str], right: Sequence[str]) -> list[Likeness]:
    """Return each pair of skeletons, as texts, that is equal or agrees in τ bands (rule 2)."""
    holders: dict[bytes, list[int]] = {}
    for place, value in enumerate(right):
        for band in _bands(value):
            holders.setdefault(band, []).append(place)
    places = {value: place for place, value in enumerate(right)}
    found = []
    for one, value in enumerate(left):
        agreeing = Counter(place for band in _bands(value) for place in holders.get(band, ()))
        pairs = {place: count for place, count in agreeing.items() if count >= BAND_THRESHOLD}
        if value in places:
            pairs.setdefault(places[value], 0)
        for other, count in pairs.items():
            mine, theirs = (frozenset(read_skeleton(TEMPLATE, each)[1]) for each in (value, right[other]))
            found.append(_likeness((one, other), mine, theirs, value == right[other], [], count))
    return sorted(found, key=lambda each: (-each.jaccard, each.left, each.right))


def _bands(value: str) -> frozenset[bytes]:
    return frozenset(band_values(value))


def _likeness(
    places: tuple[int, int],
    mine: frozenset[int],
    theirs: frozenset[int],
    equal: bool,
    levels: Sequence[int],
    bands: int,
) -> Likeness:
    shared = len(mine & theirs)
    return Likeness(
        places[0] + 1,
        places[1] + 1,
        (len(mine), len(theirs)),
        shared,
        shared / len(mine | theirs),
        equal,
        tuple(levels),
        bands,
        equal or bands >= BAND_THRESHOLD,
    )
