"""What many of an account's prompts have in common: dense blocks of conversations × shingles (PTF2.md §4).

1. A unit is the set of shingle hashes of one conversation. Which conversation stands where does not matter.
2. A seed is a set of units that some shingle occurs in, 4 at least. Its block: those units, and the shingles that at
   least 60 % of them have. Blocks with 8 shingles or more come before others, then those with the most units, then
   those with the most shingles, then those whose smallest hash is smallest, then as their seeds do (rule 5).
3. Blocks are settled in this order, 16 at most: units that have at least half of a block's shingles join it. The first
   that has 8 shingles in its level of 60 % then wins.
4. The block's units are taken out and the search begins again, while a block of 8 shingles or more is found, 8 times
   at most.
5. Seeds are tried in order of units × shingles that occur in exactly these units, 256 at most. Of more than 4,096
   different sets of units that shingles occur in, those with the most units count, then those of the most shingles.
6. A block has five levels. The first is the shingles that 40 % of its units have, 4 units at least; each further one
   those of the level before that 50, 60, 80 and 100 % have. From each a passage is dropped: shingles that occur in
   exactly the same part of the units, fewer than 95 % of them, 8 or more and a quarter of the level's, unless fewer
   than 8 would be left; again until none is left. Of a larger level the 4,096 smallest hashes count.
7. Two accounts seldom agree on all of a level, since a shingle near its share comes and goes with the sample, and
   nearly always on one of the five. Below 60 % is what is left of a template whose words are changed in each prompt.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

MIN_SUPPORT = 4
MIN_SHINGLES = 8
MAX_BLOCKS = 8
LEVELS = (40, 50, 60, 80, 100)
"""Percent of a block's units, the lowest first."""
BANDED_LEVELS = (40, 60)
"""The levels that have bands, where they are large enough."""

MAX_SHINGLES = 4_096

_DENSE = 60
_MAX_SEEDS = 256
_MAX_TRIES = 16
_NEARLY_ALL = 95
"""Percent of the units; what so many have is no passage: else one odd conversation would hide a template."""
_MAX_GROUPS = 4_096


@dataclass(frozen=True, slots=True)
class Block:
    """A skeleton: its shingle hashes by level, and the places of the units it was found in, ascending."""

    levels: tuple[frozenset[int], ...]
    units: tuple[int, ...]

    @property
    def shingles(self) -> frozenset[int]:
        """The shingles that 60 % of the units have: the skeleton itself."""
        return self.levels[LEVELS.index(_DENSE)]


def find_blocks(units: Sequence[frozenset[int]]) -> list[Block]:
    """Return the skeletons of an account's conversations, the one with the most units first (rules 1 to 6).

    Where none has 8 shingles, the largest that there is, so that it can be said why it was refused.
    """
    holders: dict[int, int] = {}
    for place, unit in enumerate(units):
        bit = 1 << place
        for shingle in unit:
            holders[shingle] = holders.get(shingle, 0) | bit
    alive = (1 << len(units)) - 1
    found: list[Block] = []
    while len(found) < MAX_BLOCKS and alive.bit_count() >= MIN_SUPPORT:
        groups = _groups(holders, alive)
        if not groups:
            break
        block = _best(units, groups, alive)
        if len(block.shingles) >= MIN_SHINGLES or not found:
            found.append(block)
        if len(block.shingles) < MIN_SHINGLES:
            break
        alive &= ~sum(1 << place for place in block.units)
    return found


def _best(units: Sequence[frozenset[int]], groups: dict[int, list[int]], alive: int) -> Block:
    """Return the block that wins, or the first of those that are too small (rules 2, 3 and 5)."""
    seeds = sorted(groups, key=lambda each: (-each.bit_count() * len(groups[each]), min(groups[each])))
    ranked = sorted(seeds[:_MAX_SEEDS], key=lambda each: _worth(groups, each), reverse=True)
    blocks = (_block(groups, _settled(units, groups, seed, alive)) for seed in ranked[:_MAX_TRIES])
    first = next(blocks)
    in_turn = itertools.chain([first], blocks)
    return next((each for each in in_turn if len(each.shingles) >= MIN_SHINGLES), first)


def _needed(support: int, percent: int) -> int:
    return -(-percent * support // 100)


def _groups(holders: dict[int, int], alive: int) -> dict[int, list[int]]:
    """Shingles by the units they are in, of those that enough units have."""
    groups: dict[int, list[int]] = {}
    for shingle, held in holders.items():
        left = held & alive
        if left.bit_count() >= MIN_SUPPORT:
            groups.setdefault(left, []).append(shingle)
    if len(groups) <= _MAX_GROUPS:
        return groups
    most = sorted(groups, key=lambda each: (-each.bit_count(), -len(groups[each]), min(groups[each])))
    return {each: groups[each] for each in most[:_MAX_GROUPS]}


def _worth(groups: dict[int, list[int]], members: int) -> tuple[int, int, int]:
    common = _common(groups, members)
    support = members.bit_count() if len(common) >= MIN_SHINGLES else 0
    return support, len(common), -min(common)


def _common(groups: dict[int, list[int]], members: int) -> frozenset[int]:
    enough = _needed(members.bit_count(), _DENSE)
    return frozenset(
        shingle
        for held, shingles in groups.items()
        if (held & members).bit_count() >= enough
        for shingle in shingles
    )


def _settled(units: Sequence[frozenset[int]], groups: dict[int, list[int]], members: int, alive: int) -> int:
    shingles = _common(groups, members)
    wide = sum(
        1 << place
        for place, unit in enumerate(units)
        if alive >> place & 1 and 2 * len(shingles & unit) >= len(shingles)
    )
    return members | wide


def _block(groups: dict[int, list[int]], members: int) -> Block:
    """Return the block of these units with its levels (rule 6)."""
    size = members.bit_count()
    parts: dict[int, list[int]] = {}
    for held, shingles in groups.items():
        parts.setdefault(held & members, []).extend(shingles)
    levels = []
    for percent in LEVELS:
        enough = max(MIN_SUPPORT, _needed(size, percent))
        parts = {part: shingles for part, shingles in parts.items() if part.bit_count() >= enough}
        parts = _without_passages(parts, size)
        level = itertools.chain.from_iterable(parts.values())
        levels.append(frozenset(heapq.nsmallest(MAX_SHINGLES, level)))
    return Block(tuple(levels), tuple(place for place in range(members.bit_length()) if members >> place & 1))


def _without_passages(parts: dict[int, list[int]], size: int) -> dict[int, list[int]]:
    whole = sum(map(len, parts.values()))
    kept = {
        part: shingles
        for part, shingles in parts.items()
        if 100 * part.bit_count() >= _NEARLY_ALL * size
        or len(shingles) < MIN_SHINGLES
        or 4 * len(shingles) < whole
    }
    if len(kept) == len(parts) or sum(map(len, kept.values())) < MIN_SHINGLES:
        return parts
    return _without_passages(kept, size)
