"""What many of an account's prompts have in common: dense blocks of conversations × shingles (PTF1.md §4).

1. A unit is the set of shingle hashes of one conversation. Which conversation stands where does not matter.
2. A seed is a set of units that some shingle occurs in, 4 at least. Its block: those units, and the shingles that at
   least 60 % of them have. Of the blocks with 8 shingles or more the one with the most units wins, then the one with
   the most shingles, then the one whose smallest hash is smallest.
3. The block is settled once: units that have at least half of its shingles join it.
4. The block's units are taken out and the search begins again, while a block of 8 shingles or more is found, 8 times
   at most.
5. Seeds are tried in order of units × shingles that occur in exactly these units, 256 at most.
6. A block has five levels. The first is the shingles that 40 % of its units have, 4 units at least; each further one
   those of the level before that 50, 60, 80 and 100 % have. From each a passage is dropped: shingles that occur in
   exactly the same part of the units, 8 or more and a quarter of the level's, unless fewer than 8 would be left.
7. Two accounts seldom agree on all of a level, since a shingle near its share comes and goes with the sample, and
   nearly always on one of the five. Below 60 % is what is left of a template whose words are changed in each prompt.
"""

from __future__ import annotations

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

_DENSE = 60
_MAX_SEEDS = 256


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
        seeds = sorted(groups, key=lambda each: (-each.bit_count() * len(groups[each]), min(groups[each])))
        members = max(seeds[:_MAX_SEEDS], key=lambda each: _worth(groups, each))
        members = _settled(units, groups, members, alive)
        block = _block(groups, members)
        if len(block.shingles) >= MIN_SHINGLES or not found:
            found.append(block)
        if len(block.shingles) < MIN_SHINGLES:
            break
        alive &= ~members
    return found


def _needed(support: int, percent: int) -> int:
    return -(-percent * support // 100)


def _groups(holders: dict[int, int], alive: int) -> dict[int, list[int]]:
    """Shingles by the units they are in, of those that enough units have."""
    groups: dict[int, list[int]] = {}
    for shingle, held in holders.items():
        left = held & alive
        if left.bit_count() >= MIN_SUPPORT:
            groups.setdefault(left, []).append(shingle)
    return groups


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
        parts = _without_passages(parts, members)
        levels.append(frozenset(itertools.chain.from_iterable(parts.values())))
    return Block(tuple(levels), tuple(place for place in range(members.bit_length()) if members >> place & 1))


def _without_passages(parts: dict[int, list[int]], members: int) -> dict[int, list[int]]:
    whole = sum(map(len, parts.values()))
    kept = {
        part: shingles
        for part, shingles in parts.items()
        if part == members or len(shingles) < MIN_SHINGLES or 4 * len(shingles) < whole
    }
    return kept if sum(map(len, kept.values())) >= MIN_SHINGLES else parts
