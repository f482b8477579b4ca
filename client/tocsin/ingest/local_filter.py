"""What many accounts of a provider write is theirs, not a campaign's: shingles that are local (PTF2.md §7).

1. A shingle is local where more than N accounts have it in a skeleton: a framework that half of the customers use, a
   page that a school gave to its pupils. N is 2 % of the accounts of the run by default, and never fewer than 20.
2. A skeleton that is 80 % local or more is refused as `template.local`. Of one that is 20 % local or more the local
   shingles are dropped, and what is left is judged like any other; a smaller share is left in, so that an everyday
   phrase here and there does not make another value of a template than elsewhere.
3. Counts are kept of at most 2^19 shingles in one process. Where there are more, one is taken off each and what is zero
   is forgotten (Misra and Gries): so none is counted too high, and too low by the number of such rounds at most.
4. A campaign with more accounts than N at one provider is refused there, too. The refusals are counted, and the option
   is the provider's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from tocsin.indicators.ptf2.common_list import CommonList
from tocsin.indicators.ptf2.template import (
    BANDED_NAME,
    MIN_BANDED_BITS,
    judge,
    read_skeleton,
    strength,
    write_skeleton,
)

LOCAL = "template.local"
LOCAL_PERCENT = 2.0
LOCAL_ACCOUNTS = 20
"""A shingle that so many accounts have, and no more, is never local."""

_REFUSED_PERCENT = 80
_DROPPED_PERCENT = 20
_MAX_COUNTED = 1 << 19
_MAX_WAITING = 1 << 18
_NONE: frozenset[int] = frozenset()
_WORTH_SENDING = 3


class ShingleCounts:
    """In how many accounts' skeletons each shingle is (rule 3)."""

    def __init__(self, most: int = _MAX_COUNTED) -> None:
        self._most = most
        self._counts: Counter[int] = Counter()
        self._alike: Counter[frozenset[int]] = Counter()
        self._waiting = 0

    def add(self, levels: Collection[frozenset[int]]) -> None:
        """Count the shingles of one account's skeletons, each once however many levels have it."""
        largest = max(levels, key=len, default=_NONE)
        for shingles in (largest, _NONE.union(*levels) - largest):
            if shingles and shingles not in self._alike:
                self._waiting += len(shingles)
            self._alike[shingles] += 1
        if self._waiting > _MAX_WAITING:
            self._settle()

    def _settle(self) -> None:
        """Count what is waiting: what many accounts have as a whole, such as a tool's system prompt, all at once."""
        for shingles, times in self._alike.items():
            if times == 1:
                self._counts.update(shingles)
            else:
                self._counts.update(dict.fromkeys(shingles, times))
            while len(self._counts) > self._most:
                self._counts = Counter(
                    {shingle: count - 1 for shingle, count in self._counts.items() if count > 1}
                )
        self._alike.clear()
        self._waiting = 0

    def frequent(self) -> dict[int, int]:
        """Return the counts that can matter, to be sent from one process to another."""
        self._settle()
        return {shingle: count for shingle, count in self._counts.items() if count >= _WORTH_SENDING}


def most_allowed(accounts: int, percent: float) -> float:
    """Return N: how many accounts may have a shingle that is not local (rule 1)."""
    return max(LOCAL_ACCOUNTS, accounts * percent / 100)


def local_shingles(counts: Iterable[dict[int, int]], accounts: int, percent: float) -> frozenset[int]:
    """Return the shingles that are local, by what every process counted (rule 1)."""
    total: Counter[int] = Counter()
    for part in counts:
        total.update(part)
    most = most_allowed(accounts, percent)
    return frozenset(shingle for shingle, count in total.items() if count > most)


def without_local(type: str, text: str, local: frozenset[int], common: CommonList) -> tuple[str, str]:
    """Return the skeleton's text without what is local, or an empty one and the rule that it is refused by (rule 2)."""
    hashes = frozenset(read_skeleton(type, text)[1])
    share = 100 * len(hashes & local)
    if share < _DROPPED_PERCENT * len(hashes):
        return text, ""
    if share >= _REFUSED_PERCENT * len(hashes):
        return "", LOCAL
    rest = hashes - local
    if (refusal := judge(rest, common)) is not None:
        return "", refusal.value
    banded = text.startswith(f"{BANDED_NAME}:") and strength(rest, common) >= MIN_BANDED_BITS
    return write_skeleton(rest, common, banded=banded), ""
