"""An adversary that guesses a template from its published bands: dictionary in, words out.

1. It has the tokens' definition, the list of common shingles, a text of its own, and a budget of evaluations. One
   evaluation answers one guess of one band: is this value published? Nothing else is told until τ bands are guessed.
2. A guess is two shingles. Most likely are two that follow each other in its own text (four words in a row), the most
   frequent first; what is left of the budget goes to pairs of its most frequent single shingles.
3. For a pair it knows which one comes first in each band, so a guess costs one evaluation per band.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tocsin.indicators.ptf2.bands import BAND_THRESHOLD, BANDS, ROWS, permutations
from tocsin.indicators.ptf2.normalising import tokens
from tocsin.indicators.ptf2.shingles import shingle_hash, shingles
from tocsin.indicators.snapshot_files import CURRENT

Band = tuple[int, tuple[int, ...]]
"""A band's number, from 0, and the shingle hashes it is made of."""


@dataclass(frozen=True)
class Loot:
    """What the adversary got: bands guessed, the words in them, and the evaluations it spent."""

    bands: int
    words: frozenset[str]
    spent: int

    @property
    def opens(self) -> bool:
        """Whether enough bands were guessed to open the record."""
        return self.bands >= BAND_THRESHOLD


class Dictionary:
    """What the adversary expects of templates, from texts of its own, the most frequent first."""

    def __init__(self, texts: Iterable[str]) -> None:
        singles: Counter[str] = Counter()
        pairs: Counter[tuple[str, str]] = Counter()
        for text in texts:
            found = list(shingles(tokens(text, CURRENT)))
            singles.update(found)
            pairs.update(itertools.pairwise(found))
        self._singles = [each for each, _ in singles.most_common()]
        self._pairs = [each for each, _ in pairs.most_common()]

    def guesses(self) -> Iterator[tuple[str, str]]:
        """Yield pairs of shingles, the likeliest first (rule 2)."""
        yield from self._pairs
        known = set(self._pairs)
        for place, two in enumerate(self._singles):
            for one in self._singles[:place]:
                if (one, two) not in known and (two, one) not in known:
                    yield one, two


def invert(published: Iterable[Band], dictionary: Dictionary, budget: int) -> Loot:
    """Spend the budget on guesses against one skeleton's bands (rules 1 to 3)."""
    answers = set(published)
    scale = permutations(BANDS * ROWS)
    words: set[str] = set()
    guessed = spent = 0
    for pair in dictionary.guesses():
        hashes = [shingle_hash(each) for each in pair]
        if spent + BANDS > budget:
            break
        spent += BANDS
        for band in range(BANDS):
            a, b = scale[band * ROWS]
            ordered = tuple(sorted(hashes, key=lambda h, a=a, b=b: (((a * h + b) % 2**64) >> 32, h)))  # type: ignore[misc]  # bound here
            if (band, ordered) in answers:
                guessed += 1
                words.update(" ".join(pair).split())
    return Loot(guessed, frozenset(words), spent)
