"""Which periods are live across a chain of charters, and whose pepper opens them.

1. Charters of one pepper form an era. A new era begins with the charter that brings a fresh pepper.
2. Look-ups cover every period of the last 60 days: those of the newest era, and those of an older one that entries
   were still sealed in. A member may adopt a charter a week late, so an older era ends a week after the next began.
   A key epoch ends for evaluation, not for its entries: they are read until 60 days after.
3. Whatever a charter ends is counted from the moment at which the reader adopted it by its own clock, never from a date
   that the signers wrote: a backdated charter, or one signed slowly, must not make entries unreadable (M-3.19).
4. A client that holds no pepper of an older era (a joiner) skips it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.charter.document import LOOK_BACK_SECONDS, Charter, ClassKey

ADOPTION_SECONDS = 7 * 86_400


@dataclass(frozen=True)
class Adopted:
    """A verified charter and when the reader adopted it, in unix seconds by its own clock."""

    charter: Charter
    at: int


@dataclass(frozen=True)
class LivePeriods:
    """Live periods of one era; `charter` is the newest version of it, whose pepper opens them."""

    charter: Charter
    periods: range


def live_peppers(chain: Sequence[Adopted], now: int) -> tuple[LivePeriods, ...]:
    """Return every live period by era, newest era first; `chain` is verified charters, ascending, the newest last."""
    eras: list[LivePeriods] = []
    ended: int | None = None
    for at in range(len(chain) - 1, -1, -1):
        charter = chain[at].charter
        pepper = charter.period.commitment
        first_of_era = at == 0 or chain[at - 1].charter.period.commitment != pepper
        last_of_era = at == len(chain) - 1 or chain[at + 1].charter.period.commitment != pepper
        if last_of_era:
            until = now if ended is None else min(now, ended)
            if until > now - LOOK_BACK_SECONDS or ended is None:
                first = charter.period_at(now - LOOK_BACK_SECONDS)
                eras.append(LivePeriods(charter, range(first, charter.period_at(until) + 1)))
        if first_of_era:
            # M-3.19
            ended = chain[at].at + ADOPTION_SECONDS
    return tuple(eras)


def readable_keys(chain: Sequence[Adopted], key_class: int, now: int) -> tuple[ClassKey, ...]:
    """Return the keys of a class under whose epochs an entry may still live, newest epoch first (M-3.19).

    Each as the newest charter that lists it has it. Ended epochs stay for 60 days: no entry lives longer.
    """
    keys: dict[int, ClassKey] = {}
    ends: dict[int, int | None] = {}
    for adopted in chain:
        listed = {key.epoch: key for key in adopted.charter.classes if key.key_class == key_class}
        for epoch in keys.keys() - listed.keys():
            end = ends[epoch]
            ends[epoch] = adopted.at if end is None else min(end, adopted.at)
        for epoch, key in listed.items():
            if epoch not in keys or keys[epoch].overlap_until != key.overlap_until:
                until = key.overlap_until
                ends[epoch] = None if until is None else max(until, adopted.at)
            keys[epoch] = key
    return tuple(
        keys[epoch]
        for epoch in sorted(keys, reverse=True)
        if (end := ends[epoch]) is None or now < end + LOOK_BACK_SECONDS
    )
