"""Which of an account's candidate conversations are worth fingerprinting: some at random, and those that repeat.

1. Candidates are the k conversations with the smallest places. The first 32 are always chosen: a random draw, on which
   nobody outside has any influence.
2. Of the others those are chosen that repeat: they have a phrase that 4 different candidates or more have, and that
   fewer than 12 of those chosen so far have. So a template in one of forty conversations is found, and one in every
   conversation does not cost more than the random draw.
3. A phrase is a shingle, and one in eight is compared: those whose keys are small (see `shingle_keys`), so nobody
   outside knows which. A phrase never leaves the process, and nothing that is shared depends on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from itertools import chain
from typing import TypeVar

import numpy as np

from tocsin.indicators.ptf2.skeleton import MIN_SUPPORT
from tocsin.ingest.shingle_keys import Keyed

ALWAYS = 32
"""Candidates that are chosen whatever they contain."""
ENOUGH = 12
"""No more than this many conversations are chosen for one phrase."""

_Said = TypeVar("_Said", bound=Hashable)

_SMALL = np.uint64(1 << 61)  # one key in eight is smaller


def phrases(texts: Iterable[Keyed]) -> frozenset[int]:
    """Return the phrases of a conversation's texts that are compared (rule 3)."""
    return frozenset(chain.from_iterable(text.keys[text.keys < _SMALL].tolist() for text in texts))


def chosen(candidates: Mapping[int, _Said], keyed: Mapping[_Said, Iterable[Keyed]]) -> frozenset[int]:
    """Return the places of the candidates that are chosen (rules 1 and 2).

    `candidates` says by place, the smallest first, what a conversation says; `keyed` has the keys of that.
    """
    if len(candidates) <= ALWAYS:
        return frozenset(candidates)
    by_text = {said: phrases(keyed[said]) for said in set(candidates.values())}
    counts = Counter(chain.from_iterable(by_text.values()))
    repeated = {phrase for phrase, count in counts.items() if count >= MIN_SUPPORT}
    taken: Counter[int] = Counter()
    kept = []
    for number, (place, said) in enumerate(candidates.items()):
        mine = by_text[said] & repeated
        if number < ALWAYS or any(taken[phrase] < ENOUGH for phrase in mine):
            kept.append(place)
            taken.update(mine)
    return frozenset(kept)
