"""Which of a member's accounts hold what was matched.

Rules
1. A match names the positions in the call at which its value was given; the caller knows whose values those were.
2. Matches are grouped by account and value. Without an account the value stands for itself.
3. A template is reported at several levels, each by itself and by bands: for a reader they are one value. Of the
   matches in which a writer says the same of it the closest counts: an equal one, else the one with most bands.
4. Strongest first, by `Match.strength`. A group is as strong as its strongest match, an account as its strongest
   group; an account's groups stay together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tocsin.client.results import Match
from tocsin.indicators.ptf2.template import TEMPLATE


@dataclass(frozen=True, slots=True)
class HeldMatches:
    """What others said of one value that one of your accounts holds, strongest first.

    `account` is None where nobody said whose value it is. `positions` are those of the call.
    """

    account: str | None = field(repr=False)
    type: str
    positions: tuple[int, ...]
    matches: tuple[Match, ...]


def by_account(accounts: Sequence[Sequence[str]], matches: Iterable[Match]) -> list[HeldMatches]:
    """Group matches by account and value, strongest account and group first (rules 2 to 4).

    `accounts` holds, for each position of the call, the accounts that hold its value.
    """
    groups: dict[tuple[str | None, str, bytes], tuple[set[int], list[Match]]] = {}
    for match in matches:
        for position in match.positions:
            for account in accounts[position] or (None,):
                value = match.key
                if match.type == TEMPLATE:
                    value = b"" if account is not None else position.to_bytes(8, "big")
                positions, held = groups.setdefault((account, match.type, value), (set(), []))
                positions.add(position)
                if match not in held:
                    held.append(match)
    made = [
        HeldMatches(account, type, tuple(sorted(positions)), tuple(sorted(_closest(held), key=_weakness)))
        for (account, type, _), (positions, held) in groups.items()
    ]
    made.sort(key=lambda group: (_weakness(group.matches[0]), group.account or "", group.positions))
    rank: dict[object, int] = {}
    for number, group in enumerate(made):
        rank.setdefault(_holder(group), number)
    return sorted(made, key=lambda group: rank[_holder(group)])


def _holder(group: HeldMatches) -> str | tuple[int, ...]:
    return group.positions if group.account is None else group.account


def _closest(matches: Iterable[Match]) -> list[Match]:
    """Of one value's matches, leave one for each thing that a writer says of a template (rule 3)."""
    best: dict[tuple[object, ...], Match] = {}
    for number, match in enumerate(matches):
        about = (match.writer, match.label) if match.type == TEMPLATE else (number,)
        known = best.get(about)
        if known is None or (known.bands and (not match.bands or match.bands > known.bands)):
            best[about] = match
    return list(best.values())


def _weakness(match: Match) -> tuple[tuple[int, ...], str, int]:
    """The sort key of rule 4: the strongest match has the smallest."""
    return tuple(-part for part in match.strength), match.writer_name, match.index
