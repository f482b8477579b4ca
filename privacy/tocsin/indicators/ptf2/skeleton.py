"""What many of an account's prompts have in common: dense blocks of conversations × shingles (PTF2.md §4).

1. A unit is the set of shingle hashes of one conversation. Which conversation stands where does not matter. Only
   shingles of 4 units or more are looked at.
2. A seed is a set of units that some shingle occurs in, 4 at least, without those that earlier blocks took. Its block:
   those units, and the shingles that at least 60 % of them have.
3. Seeds are ordered by units × shingles that occur in exactly these units; the first 256 count. Of them, seeds whose
   block has 8 shingles or more are tried, 16 at most: those with the most units first, then those with the most
   shingles, then those whose smallest hash is smallest.
4. A seed that is tried is settled: units that have an eighth of its block's shingles, and 2 at least, join it, then
   once more by the shingles that 40 % of the units now have. The first that then has 8 shingles in its level of 60 %,
   or 16 in that of 40 %, wins. Its units are taken out and the search begins again, 40 times at most.
5. Of more than 4,096 different sets of units that shingles occur in, those with the most units count, then those of
   the most shingles.
6. A block has five levels. The first is the shingles that 40 % of its units have, 4 units at least; each further one
   those of the level before that 50, 60, 80 and 100 % have. From each a passage is dropped: shingles that occur in
   exactly the same part of the units, fewer than 95 % of them, 8 or more and a quarter of the level's, unless fewer
   than 8 would be left; again until none is left. Of a larger level the 4,096 smallest hashes count.
7. What several templates of an account have in common makes one block of all of them. So a block has parts: of each
   passage that its lowest level lost, the units that have it, 4 at least, give a block of their own by rule 6, smaller
   parts last, 12 of a block at most. A part is published as a whole or not at all: it has no bands, since a document
   that came again and again would match whoever else was given it.
8. Two accounts seldom agree on all of a level, since a shingle near its share comes and goes with the sample, and
   nearly always on one of the five. Below 60 % is what is left of a template whose words are changed in each prompt.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

MIN_SUPPORT = 4
MIN_SHINGLES = 8
MIN_WIDE = 16
"""Shingles of the lowest level that are enough where higher ones have fewer than 8: of words that change each time."""
MAX_BLOCKS = 40
LEVELS = (40, 50, 60, 80, 100)
"""Percent of a block's units, the lowest first."""
BANDED_LEVELS = (40, 60)
"""The levels that have bands, where they are large enough."""

MAX_SHINGLES = 4_096

_DENSE = 60
_MAX_SEEDS = 256
_MAX_TRIES = 16
_JOINS = 8
"""A unit joins a block if it has one in so many of its shingles, and 2 at least: where three words in ten are replaced,
a third of a template's shingles are left in a prompt, and of one prompt in two fewer."""
_JOINS_LEAST = 2
_NEARLY_ALL = 95
"""Percent of the units; what so many have is no passage: else one odd conversation would hide a template."""
_MAX_GROUPS = 4_096
_MAX_PARTS = 12

Groups = dict[int, list[int]]
"""Shingles by the set of units that they occur in, a bit for each unit."""


@dataclass(frozen=True, slots=True)
class Block:
    """A skeleton: its shingle hashes by level, and the places of the units it was found in, ascending."""

    levels: tuple[frozenset[int], ...]
    units: tuple[int, ...]
    parts: tuple[Block, ...] = ()
    """Of one that is no part itself: what only some of the units have besides (rule 7)."""

    @property
    def shingles(self) -> frozenset[int]:
        """The shingles that 60 % of the units have: the skeleton itself."""
        return self.levels[LEVELS.index(_DENSE)]


def find_blocks(units: Sequence[frozenset[int]]) -> list[Block]:
    """Return the skeletons of an account's conversations, in the order in which they are found (rules 1 to 6).

    Where none has 8 shingles, the largest that there is, so that it can be said why it was refused.
    """
    if len(units) < MIN_SUPPORT:
        return []
    if units.count(units[0]) == len(units):
        whole = Block((_smallest(units[0]),) * len(LEVELS), tuple(range(len(units))))
        return [whole] if units[0] else []
    search = _Search(units)
    found: list[Block] = []
    alive = (1 << len(units)) - 1
    while len(found) < MAX_BLOCKS and alive.bit_count() >= MIN_SUPPORT:
        block = search.best(alive)
        if block is None:
            break
        found.append(block)
        alive &= ~sum(1 << place for place in block.units)
    if not found and (small := search.largest(alive)) is not None:
        found.append(small)
    return found


class _Search:
    """The groups of one account, and what is already known of its seeds."""

    def __init__(self, units: Sequence[frozenset[int]]) -> None:
        places: dict[frozenset[int], int] = {}
        for place, unit in enumerate(units):
            places[unit] = places.get(unit, 0) | 1 << place
        self._places = places
        """Where each different unit stands, a bit for each place."""
        groups = _groups(places)
        ordered = sorted(groups, key=lambda held: (-held.bit_count(), -len(groups[held]), min(groups[held])))
        # With the most units first: what has fewer than a seed needs is not looked at.
        self._groups = [(held.bit_count(), held, groups[held]) for held in ordered[:_MAX_GROUPS]]
        self._known: dict[int, list[int]] = {}

    def best(self, alive: int) -> Block | None:
        """Return the block that wins among the units left, if one does (rules 2 to 4)."""
        for members in itertools.islice(self._ranked(self._seeds(alive)), _MAX_TRIES):
            block = self._block(self._settled(members, alive))
            if len(block.shingles) >= MIN_SHINGLES or len(block.levels[0]) >= MIN_WIDE:
                return replace(block, parts=tuple(self._parts(block)))
        return None

    def largest(self, alive: int) -> Block | None:
        """Return the block of the first seed: one of too few shingles, where none wins."""
        seeds = self._seeds(alive)
        return self._block(self._settled(seeds[0], alive)) if seeds else None

    def _seeds(self, alive: int) -> list[int]:
        sizes: dict[int, int] = {}
        smallest: dict[int, int] = {}
        for support, held, shingles in self._groups:
            if support < MIN_SUPPORT:
                break
            left = held & alive
            if left.bit_count() >= MIN_SUPPORT:
                sizes[left] = sizes.get(left, 0) + len(shingles)
                first = min(shingles)
                smallest[left] = min(first, smallest.get(left, first))
        return heapq.nsmallest(
            _MAX_SEEDS, sizes, key=lambda held: (-held.bit_count() * sizes[held], smallest[held])
        )

    def _ranked(self, seeds: Sequence[int]) -> Iterator[int]:
        """Yield the seeds that are tried, in order (rule 3)."""
        by_support = sorted(seeds, key=int.bit_count, reverse=True)
        for _, alike in itertools.groupby(by_support, key=int.bit_count):
            large = [
                (members, common) for members in alike if len(common := self._common(members)) >= MIN_SHINGLES
            ]
            for members, _common in sorted(large, key=lambda pair: (-len(pair[1]), min(pair[1]))):
                yield members

    def _common(self, members: int) -> list[int]:
        """Return the shingles that 60 % of these units have."""
        known = self._known.get(members)
        if known is None:
            enough = _needed(members.bit_count(), _DENSE)
            known = []
            for support, held, shingles in self._groups:
                if support < enough:
                    break
                if (held & members).bit_count() >= enough:
                    known += shingles
            self._known[members] = known
        return known

    def _settled(self, members: int, alive: int) -> int:
        """Return the units of a seed's block, with those that join it (rule 4)."""
        members = self._joined(members, alive, self._common(members))
        return self._joined(members, alive, self._shared(members, LEVELS[0]))

    def _joined(self, members: int, alive: int, shingles: Sequence[int]) -> int:
        wanted = frozenset(shingles)
        if not wanted:
            return members
        enough = max(-(-len(wanted) // _JOINS), _JOINS_LEAST)
        for unit, held in self._places.items():
            if held & alive and len(wanted & unit) >= enough:
                members |= held & alive
        return members

    def _shared(self, members: int, percent: int) -> list[int]:
        """Return the shingles that so many percent of these units have, and 4 at least."""
        enough = max(MIN_SUPPORT, _needed(members.bit_count(), percent))
        shared: list[int] = []
        for support, held, shingles in self._groups:
            if support < enough:
                break
            if (held & members).bit_count() >= enough:
                shared += shingles
        return shared

    def _parts(self, block: Block) -> Iterator[Block]:
        """Yield the blocks of the units that have more in common than the whole block (rule 7)."""
        members = sum(1 << place for place in block.units)
        passages: Groups = {}
        for support, held, shingles in self._groups:
            if support < MIN_SUPPORT:
                break
            part = held & members
            if part != members and part.bit_count() >= MIN_SUPPORT:
                passages.setdefault(part, []).extend(shingles)
        large = [part for part, shingles in passages.items() if len(shingles) >= MIN_SHINGLES]
        large.sort(key=lambda part: (-part.bit_count(), -len(passages[part]), min(passages[part])))
        for part in large[:_MAX_PARTS]:
            yield self._block(part)

    def _block(self, members: int) -> Block:
        """Return the block of these units with its levels (rule 6)."""
        size = members.bit_count()
        least = max(MIN_SUPPORT, _needed(size, LEVELS[0]))
        parts: Groups = {}
        for support, held, shingles in self._groups:
            if support < least:
                break
            part = held & members
            if part.bit_count() >= least:
                parts.setdefault(part, []).extend(shingles)
        levels: list[frozenset[int]] = []
        last = -1
        for percent in LEVELS:
            enough = max(MIN_SUPPORT, _needed(size, percent))
            parts = {part: shingles for part, shingles in parts.items() if part.bit_count() >= enough}
            parts = _without_passages(parts, size)
            # Each level is one of the groups before: of as many groups it is the same.
            levels.append(levels[-1] if len(parts) == last else _level(parts))
            last = len(parts)
        return Block(
            tuple(levels), tuple(place for place in range(members.bit_length()) if members >> place & 1)
        )


def _groups(places: Mapping[frozenset[int], int]) -> Groups:
    """Return the shingles by the units that have them, 4 at least."""
    groups: Groups = {}
    holders: dict[int, int] = {}
    of = holders.get
    for unit, held in places.items():
        for shingle in unit:
            holders[shingle] = of(shingle, 0) | held
    for shingle, held in holders.items():
        if held.bit_count() >= MIN_SUPPORT:
            groups.setdefault(held, []).append(shingle)
    return groups


def _needed(support: int, percent: int) -> int:
    return -(-percent * support // 100)


def _level(parts: Groups) -> frozenset[int]:
    return _smallest(frozenset(itertools.chain.from_iterable(parts.values())))


def _smallest(level: frozenset[int]) -> frozenset[int]:
    return level if len(level) <= MAX_SHINGLES else frozenset(sorted(level)[:MAX_SHINGLES])


def _without_passages(parts: Groups, size: int) -> Groups:
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
