"""Which periods are live across a chain of charters, and whose pepper opens them.

1. Charters of one pepper form an era. A new era begins with the charter that brings a fresh pepper.
2. Look-ups cover every period of the last 60 days: those of the newest era, and those of an older one that entries
   were still sealed in. A member may adopt a charter a week late, so an older era ends a week after the next began.
3. A client that holds no pepper of an older era (a joiner) skips it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.charter.document import LOOK_BACK_SECONDS, Charter

ADOPTION_SECONDS = 7 * 86_400


@dataclass(frozen=True)
class LivePeriods:
    """Live periods of one era; `charter` is the newest version of it, whose pepper opens them."""

    charter: Charter
    periods: range


def live_peppers(chain: Sequence[Charter], now: int) -> tuple[LivePeriods, ...]:
    """Return every live period by era, newest era first; `chain` is verified charters, ascending, the newest last."""
    eras: list[LivePeriods] = []
    ended: int | None = None
    for at in range(len(chain) - 1, -1, -1):
        charter = chain[at]
        first_of_era = at == 0 or chain[at - 1].period.commitment != charter.period.commitment
        last_of_era = at == len(chain) - 1 or chain[at + 1].period.commitment != charter.period.commitment
        if last_of_era:
            until = now if ended is None else min(now, ended)
            if until > now - LOOK_BACK_SECONDS or ended is None:
                first = charter.period_at(now - LOOK_BACK_SECONDS)
                eras.append(LivePeriods(charter, range(first, charter.period_at(until) + 1)))
        if first_of_era:
            ended = charter.issued + ADOPTION_SECONDS
    return tuple(eras)
