"""An adversary that guesses a template from its published bands: dictionary in, words out.

1. It has the tokens' definition, the list of common shingles, a text of its own, and a budget of evaluations. One
   evaluation answers one guess of one band: is this value published? Nothing else is learnt until τ bands are guessed.
2. A guess is as many shingles as a band has rows. Most likely are those that follow each other in its own text, the
   most frequent first; what is left of the budget goes to combinations of its most frequent single shingles.
3. For a guess it knows which shingle comes first in each band, so a guess costs one evaluation per band.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tocsin.indicators.ptf2.bands import Banding, permutations
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

    opens: bool
    """Whether enough bands were guessed to open the record."""


class Dictionary:
    """What the adversary expects of templates, from texts of its own, the most frequent first."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._singles: Counter[str] = Counter()
        self._runs: dict[int, Counter[tuple[str, ...]]] = {2: Counter(), 3: Counter()}
        for text in texts:
            words = list(shingles(tokens(text, CURRENT)))
            self._singles.update(words)
            for length, runs in self._runs.items():
                runs.update(zip(*(words[at:] for at in range(length)), strict=False))

    def guesses(self, rows: int) -> Iterator[tuple[str, ...]]:
        """Yield guesses of so many shingles, the likeliest first (rule 2)."""
        runs = self._runs[rows]
        yield from (guess for guess, _ in runs.most_common())
        singles = [shingle for shingle, _ in self._singles.most_common()]
        for place in range(len(singles)):
            for others in itertools.combinations(singles[:place], rows - 1):
                if (guess := (*others, singles[place])) not in runs:
                    yield guess


def invert(published: Iterable[Band], dictionary: Dictionary, budget: int, banding: Banding) -> Loot:
    """Spend the budget on guesses against one skeleton's bands (rules 1 to 3)."""
    answers = set(published)
    bands, rows = banding.bands, banding.rows
    scale = permutations(bands * rows)
    words: set[str] = set()
    guessed: set[int] = set()
    spent = 0
    for guess in dictionary.guesses(rows):
        if spent + bands > budget:
            break
        spent += bands
        hashes = [shingle_hash(shingle) for shingle in guess]
        for band in range(bands):
            if (band, _in_order(hashes, scale[band * rows : (band + 1) * rows])) in answers:
                guessed.add(band)
                words.update(" ".join(guess).split())
    return Loot(len(guessed), frozenset(words), spent, len(guessed) >= banding.threshold)


def _in_order(hashes: Sequence[int], rows: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    left, values = list(hashes), []
    for a, b in rows:
        first = min(left, key=lambda shingle, a=a, b=b: (((a * shingle + b) % 2**64) >> 32, shingle))  # type: ignore[misc]  # bound here
        values.append(first)
        left.remove(first)
    return tuple(values)
