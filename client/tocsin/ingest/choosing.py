"""Which of an account's candidate conversations are worth fingerprinting: some at random, and those that repeat.

1. Candidates are the k conversations with the smallest places. The first 32 are always chosen: a random draw, on which
   nobody outside has any influence.
2. Of the others those are chosen that repeat: they have a phrase that 4 different candidates or more have, and that
   fewer than 12 of those chosen so far have. So a template in one of forty conversations is found, and one in every
   conversation does not cost more than the random draw.
3. A phrase is three words in a row, the first of which is marked: one word in eight is, by a keyed checksum, so nobody
   outside knows which. Words are the parts between spaces of the normalised text; in a script that is written
   without spaces, tokens. A phrase never leaves this module, and nothing that is shared depends on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import chain, compress
from zlib import crc32

from tocsin.indicators.ptf2.normalising import normalise, tokens
from tocsin.indicators.ptf2.skeleton import MIN_SUPPORT
from tocsin.indicators.snapshot_files import CURRENT

ALWAYS = 32
"""Candidates that are chosen whatever they contain."""
ENOUGH = 12
"""No more than this many conversations are chosen for one phrase."""

_MARKED = 8
_LONG_WORD = 16
_MAX_KNOWN = 1 << 17


class Marks(dict[str, bool]):
    """Whether a word is marked, computed once for each word (rule 3)."""

    def __init__(self, key: bytes) -> None:
        super().__init__()
        self._seed = crc32(key)

    def __missing__(self, word: str) -> bool:
        if len(self) >= _MAX_KNOWN:
            self.clear()
        marked = self[word] = crc32(word.encode("utf-8", "surrogatepass"), self._seed) % _MARKED == 0
        return marked


def phrases(text: str, marks: Marks) -> set[str]:
    """Return the phrases of a text that are compared (rule 3)."""
    words = normalise(text, CURRENT).split()
    if not text.isascii() and len(text) > _LONG_WORD * len(words):
        words = tokens(text, CURRENT)
    at = compress(range(len(words) - 2), map(marks.__getitem__, words))
    return {" ".join(words[place : place + 3]) for place in at}


def chosen(texts: Mapping[int, str], marks: Marks) -> frozenset[int]:
    """Return the places of the candidates that are chosen; `texts` are by place, the smallest first (rules 1 and 2)."""
    places = list(texts)
    if len(places) <= ALWAYS:
        return frozenset(places)
    by_text = {text: phrases(text, marks) for text in set(texts.values())}
    by_place = {place: by_text[text] for place, text in texts.items()}
    counts = Counter(chain.from_iterable(by_text.values()))
    repeated = {phrase for phrase, count in counts.items() if count >= MIN_SUPPORT}
    taken: Counter[str] = Counter()
    kept = []
    for number, place in enumerate(places):
        mine = by_place[place] & repeated
        if number < ALWAYS or any(taken[phrase] < ENOUGH for phrase in mine):
            kept.append(place)
            taken.update(mine)
    return frozenset(kept)
