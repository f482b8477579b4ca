"""How alike two sets of prompts, or two files of indicators, are.

1. Of four prompts or more, each of three words or more, the skeletons count, as they would of an account. Of fewer,
   what all of them have in common is compared too, but refused: an account of so few conversations has no skeleton.
2. Two skeletons are a pair where they share a shingle; of two files of indicators, where they are equal or agree in τ
   bands, which is what a federation would see. A level that is refused is neither equal nor does it agree.
3. Only levels that have bands of one type agree in some; of two such levels a side the best pair counts.
4. The skeletons of a side are judged together, as those of an account are: only the first two have bands. Of each it is
   said what would be shared of it, or why nothing; of a side without any, why there is none.
5. A skeleton of prompts is known by its number, from 1; one of a file of indicators by the first row that holds it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tocsin.indicators.ptf2.bands import BANDINGS
from tocsin.indicators.ptf2.common_list import CommonList
from tocsin.indicators.ptf2.shingles import Shingler
from tocsin.indicators.ptf2.skeleton import LEVELS, MIN_SHINGLES, MIN_SUPPORT, Block, find_blocks
from tocsin.indicators.ptf2.template import (
    COMMON_PERCENT,
    MIN_BITS,
    TEMPLATE,
    Judged,
    Refusal,
    band_values,
    banding_of,
    judged,
    read_skeleton,
    write_skeleton,
)
from tocsin.indicators.refusal import Refused
from tocsin.indicators.snapshot_files import CURRENT
from tocsin.ingest.indicators_file import BadIndicators, Indicator

FEW = "template.support"
"""Why nothing of fewer than four prompts would be shared (rule 1)."""

WHY = {
    Refusal.SHORT: f"fewer than {MIN_SHINGLES} shingles",
    Refusal.COMMON: f"{COMMON_PERCENT} % or more on the common list",
    Refusal.WEAK: f"fewer than {MIN_BITS} bits",
}
"""What the refusals mean, for a person to read."""


@dataclass(frozen=True, slots=True)
class Side:
    """A set of prompts, how many of them have three words or more, and its skeletons (rule 1)."""

    prompts: int
    usable: int
    blocks: list[Block]

    @property
    def why_none(self) -> str | None:
        """Why there is no skeleton (rule 4)."""
        if self.blocks:
            return None
        if not self.prompts:
            return "it holds no prompt"
        if not self.usable:
            return f"none of its {self.prompts:,} prompts has three words"
        within = f"{MIN_SUPPORT} of" if self.usable >= MIN_SUPPORT else "all of"
        return f"no three words in a row are in {within} its {self.usable:,} prompts"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What would be shared of a skeleton: the percentages of its levels, or why none is (rule 4)."""

    number: int
    prompts: int
    """In how many prompts it was found."""
    shingles: int
    kept: tuple[int, ...]
    banded: tuple[int, ...]
    refused: str | None
    why: str | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many bands of two skeletons agree, of how many, and how many are needed; all 0 where they have none alike."""

    agreeing: int = 0
    of: int = 0
    needed: int = 0

    @property
    def reached(self) -> bool:
        """Whether enough agree."""
        return self.of > 0 and self.agreeing >= self.needed


@dataclass(frozen=True, slots=True)
class Likeness:
    """Two skeletons, each by its number or its row (rule 5), and what they share."""

    left: int
    right: int
    shingles: tuple[int, int]
    shared: int
    jaccard: float
    equal: bool
    """Whether a level of one is a level of the other."""
    equal_levels: tuple[int, ...]
    """The percentages at which both are the same; a file of indicators does not say which level a value is."""
    bands: Agreement
    """The bands that agree."""
    reached: bool
    """Whether a federation would report it: equal, or τ bands agree."""
    refused: tuple[str | None, str | None] = (None, None)
    """Why nothing would be shared of one side or the other."""
    accounts: tuple[tuple[str, ...], tuple[str, ...]] = field(default=((), ()), repr=False)
    """Of two files of indicators: the accounts that hold each."""
    type: str = TEMPLATE
    """Of which type both are."""


def side_of(prompts: Iterable[str]) -> Side:
    """Return the skeletons of prompts (rule 1)."""
    shingler = Shingler(CURRENT)
    hashed = [shingler.hashes(prompt) for prompt in prompts]
    units = [hashes for hashes in hashed if hashes]
    if len(units) >= MIN_SUPPORT:
        return Side(len(hashed), len(units), find_blocks(units))
    common = frozenset[int].intersection(*units) if units else frozenset[int]()
    blocks = [Block((common,) * len(LEVELS), tuple(range(len(units))))] if common else []
    return Side(len(hashed), len(units), blocks)


def by_block(blocks: Sequence[Block], common: CommonList) -> list[list[Judged]]:
    """Return what `judged` says of an account's blocks, block by block: it takes one after the other."""
    of_blocks: list[list[Judged]] = []

    def taken() -> Iterator[Block]:
        for block in blocks:
            of_blocks.append([])
            yield block

    for level in judged(taken(), common):
        of_blocks[-1].append(level)
    return of_blocks


def shared_levels(said: Iterable[Judged], type: str = TEMPLATE) -> dict[frozenset[int], bool]:
    """Return the levels of a block that are shared, each with whether it has bands (rule 3)."""
    return {
        level.shingles: level.banded and banding_of(type, len(level.shingles)) is not None
        for level in said
        if level.refusal is None
    }


def verdicts(side: Side, common: CommonList) -> list[Verdict]:
    """Return what would be shared of each skeleton of a side (rule 4)."""
    made = []
    for number, (block, said) in enumerate(zip(side.blocks, by_block(side.blocks, common), strict=True), 1):
        shared = {} if _few(block) else shared_levels(said)
        levels = list(zip(LEVELS, block.levels, strict=True))
        kept = [percent for percent, level in levels if level in shared]
        banded = [percent for percent, level in levels if shared.get(level)]
        refused, why = _refused(block, said)
        support, size = len(block.units), len(block.shingles)
        made.append(Verdict(number, support, size, tuple(kept), tuple(banded), refused, why))
    return made


def compare_skeletons(left: Side, right: Side, common: CommonList) -> list[Likeness]:
    """Return each pair that shares a shingle, the most alike first."""
    told = [
        [
            _told(block, said, common)
            for block, said in zip(side.blocks, by_block(side.blocks, common), strict=True)
        ]
        for side in (left, right)
    ]
    found = []
    for one, mine in enumerate(left.blocks):
        for other, theirs in enumerate(right.blocks):
            if mine.shingles & theirs.shingles:
                own, others = told[0][one], told[1][other]
                both = own.levels & others.levels
                pairs = zip(LEVELS, mine.levels, theirs.levels, strict=True)
                equal = [percent for percent, a, b in pairs if a == b and a in both]
                agreeing = max(
                    (_agreement(a, b) for a in own.bands for b in others.bands),
                    key=lambda bands: (bands.reached, bands.agreeing, bands.of),
                    default=Agreement(),
                )
                places, refused = (one + 1, other + 1), (own.refused, others.refused)
                found.append(
                    _likeness(places, mine.shingles, theirs.shingles, bool(both), equal, agreeing, refused)
                )
    return sorted(found, key=lambda likeness: -likeness.jaccard)


def lists_of(path: Path, side: Iterable[Indicator]) -> list[str]:
    """Return the ids, in hex, of the common lists that a file's templates were made with. Raises `BadIndicators`."""
    ids = set()
    for indicator in side:
        try:
            ids.add(read_skeleton(indicator.type, indicator.value)[0].hex())
        except Refused as refusal:
            raise BadIndicators(f"{path}: row {indicator.row}: {refusal}") from None
    return sorted(ids)


def compare_values(left: Sequence[Indicator], right: Sequence[Indicator]) -> list[Likeness]:
    """Return each pair of skeletons of one type of two files that is equal or agrees in τ bands (rule 2)."""
    holders: dict[tuple[str, bytes], list[int]] = {}
    places: dict[tuple[str, bytes, tuple[int, ...]], int] = {}
    for place, indicator in enumerate(right):
        places[indicator.type, *read_skeleton(indicator.type, indicator.value)] = place
        type, values = band_values(indicator.type, indicator.value)
        for band in values:
            holders.setdefault((type, band), []).append(place)
    found = []
    for mine in left:
        type, values = band_values(mine.type, mine.value)
        counts = Counter(place for band in values for place in holders.get((type, band), ()))
        agreements = {place: _agreement_of(type, count) for place, count in counts.items()}
        pairs = {place: agreement for place, agreement in agreements.items() if agreement.reached}
        common, shingles = read_skeleton(mine.type, mine.value)
        equal = places.get((mine.type, common, shingles))
        if equal is not None:
            pairs.setdefault(equal, _agreement_of(type, 0))
        for other, count in pairs.items():
            theirs = right[other]
            likeness = _likeness(
                (mine.row, theirs.row),
                frozenset(shingles),
                frozenset(read_skeleton(theirs.type, theirs.value)[1]),
                other == equal,
                [],
                count,
                accounts=(mine.accounts, theirs.accounts),
            )
            found.append(replace(likeness, type=mine.type))
    return sorted(found, key=lambda likeness: (-likeness.jaccard, likeness.left, likeness.right))


@dataclass(frozen=True, slots=True)
class _Told:
    """What a federation would see of a skeleton: its levels, the bands of those that have some."""

    levels: frozenset[frozenset[int]]
    bands: list[tuple[str, frozenset[bytes]]]
    refused: str | None


def _told(block: Block, said: Sequence[Judged], common: CommonList) -> _Told:
    shared = {} if _few(block) else shared_levels(said)
    made = [band_values(TEMPLATE, write_skeleton(level, common)) for level, has in shared.items() if has]
    bands = [(type, frozenset(values)) for type, values in made]
    return _Told(frozenset(shared), bands, _refused(block, said)[0])


def _agreement(one: tuple[str, frozenset[bytes]], two: tuple[str, frozenset[bytes]]) -> Agreement:
    return _agreement_of(one[0], len(one[1] & two[1])) if one[0] == two[0] else Agreement()


def _agreement_of(type: str, agreeing: int) -> Agreement:
    banding = BANDINGS.get(type)
    return Agreement() if banding is None else Agreement(agreeing, banding.bands, banding.threshold)


def _refused(block: Block, said: Sequence[Judged]) -> tuple[str | None, str | None]:
    """Return the rule that a block is refused under and what it means; nothing where some of it is shared."""
    if _few(block):
        return FEW, f"{MIN_SUPPORT} prompts of three words or more are needed"
    refusal = next((level.refusal for level in said), None)
    return refusal, None if refusal is None else WHY[refusal]


def _few(block: Block) -> bool:
    return len(block.units) < MIN_SUPPORT


def _likeness(
    places: tuple[int, int],
    mine: frozenset[int],
    theirs: frozenset[int],
    equal: bool,
    levels: Sequence[int],
    bands: Agreement,
    refused: tuple[str | None, str | None] = (None, None),
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
        equal or bands.reached,
        refused,
        accounts,
    )
