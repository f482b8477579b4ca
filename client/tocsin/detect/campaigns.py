"""Campaigns: which flagged and confirmed accounts belong together, under ids that last.

1. Accounts are joined by values that speak against them and that two of them hold: union-find over flagged and
   confirmed accounts only. A hub is shown and joins nobody. A campaign has at least two accounts.
2. Every run starts from what holds now, so a campaign splits when the report that made a value speak is retracted. Of
   each value that joins, the first day on which it did is kept.
3. An id lasts. Where campaigns merge, the one with the most accounts in the whole keeps its id; where one splits, the
   part with most of its accounts does; between equals, the older id and the smaller account. An id is never given
   again to other accounts.
4. What lasts is in the casebook: which accounts, which values as keyed hashes (M-7.7), since when, and the room.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tocsin.indicators.registry import TYPES

_ID = "C{}"


@dataclass(frozen=True, slots=True)
class JoiningValue:
    """A value that speaks against accounts: its type, its keyed hash, which of them hold it, since which day it joins.

    `since` is in days since 1970-01-01. A `hub` joins nobody.
    """

    type: str
    key: str = field(repr=False)
    accounts: frozenset[str] = field(repr=False)
    since: int = 0
    hub: bool = False


@dataclass(frozen=True, slots=True)
class Campaign:
    """Accounts that belong together, the values that join them, and the hubs that they share without being joined."""

    id: str
    accounts: frozenset[str]
    confirmed: frozenset[str]
    values: tuple[JoiningValue, ...]
    hubs: tuple[JoiningValue, ...]
    name: str = ""
    room: str = ""

    def joining(self) -> dict[str, int]:
        """Return how many values of each type join the campaign."""
        counts: dict[str, int] = defaultdict(int)
        for value in self.values:
            counts[value.type] += 1
        return dict(sorted(counts.items()))

    @property
    def since(self) -> int | None:
        """The first day, since 1970-01-01, on which one of the values joined accounts."""
        return min((value.since for value in self.values), default=None)

    def to_dict(self) -> dict[str, object]:
        """Return the one JSON form of a campaign; values are counted by type and never shown."""
        return {
            "campaign": self.id,
            "name": self.name or self.id,
            "accounts": sorted(self.accounts),
            "confirmed": sorted(self.confirmed),
            "joining": self.joining(),
            "hubs": len(self.hubs),
            "since": self.since,
            "room": self.room or None,
        }


@dataclass(frozen=True, slots=True)
class Memory:
    """What lasts between runs: accounts' campaigns, values' first days, campaigns' names and rooms, the next number."""

    campaign_of: Mapping[str, str] = field(default_factory=dict, repr=False)
    since: Mapping[str, int] = field(default_factory=dict, repr=False)
    names: Mapping[str, str] = field(default_factory=dict)
    rooms: Mapping[str, str] = field(default_factory=dict)
    next_number: int = 1


def connected(values: Iterable[JoiningValue]) -> list[frozenset[str]]:
    """Return the connected sets of accounts, each of two at least (rule 1)."""
    parent: dict[str, str] = {}

    def root(account: str) -> str:
        parent.setdefault(account, account)
        while parent[account] != account:
            parent[account] = parent[parent[account]]
            account = parent[account]
        return account

    for value in values:
        if value.hub or len(value.accounts) < 2:
            continue
        first, *others = sorted(value.accounts)
        for other in others:
            parent[root(other)] = root(first)
    groups: dict[str, set[str]] = defaultdict(set)
    for account in list(parent):
        groups[root(account)].add(account)
    return sorted((frozenset(group) for group in groups.values()), key=min)


def identify(memory: Memory, groups: Iterable[frozenset[str]]) -> tuple[dict[str, frozenset[str]], Memory]:
    """Give every group its id (rule 3). Returns accounts by id, and the memory for the next run."""
    remaining = sorted(groups, key=min)
    shared: dict[tuple[str, frozenset[str]], int] = defaultdict(int)
    for group in remaining:
        for account in group:
            if account in memory.campaign_of:
                shared[memory.campaign_of[account], group] += 1
    ordered = sorted(shared, key=lambda pair: (-shared[pair], _number(pair[0]), min(pair[1])))
    id_of: dict[frozenset[str], str] = {}
    taken: set[str] = set()
    for id, group in ordered:
        if id not in taken and group not in id_of:
            id_of[group] = id
            taken.add(id)
    number = memory.next_number
    for group in remaining:
        if group not in id_of:
            id_of[group] = _ID.format(number)
            number += 1
    campaigns = {id_of[group]: group for group in remaining}
    campaign_of = {account: id for id, group in campaigns.items() for account in group}
    return campaigns, replace(memory, campaign_of=campaign_of, next_number=number)


def find_campaigns(
    memory: Memory, values: Iterable[JoiningValue], confirmed: frozenset[str], today: int
) -> tuple[tuple[Campaign, ...], Memory]:
    """Return the campaigns of now, the largest first, and the memory for the next run; `today` in days since 1970."""
    dated = [replace(value, since=memory.since.get(value.key, today)) for value in values]
    groups, memory = identify(memory, connected(dated))
    by_account = memory.campaign_of
    joining: dict[str, list[JoiningValue]] = defaultdict(list)
    hubs: dict[str, list[JoiningValue]] = defaultdict(list)
    for value in dated:
        held: dict[str, set[str]] = defaultdict(set)
        for account in value.accounts:
            if account in by_account:
                held[by_account[account]].add(account)
        for id, accounts in held.items():
            if len(accounts) > 1:
                (hubs if value.hub else joining)[id].append(replace(value, accounts=frozenset(accounts)))
    campaigns = [
        Campaign(
            id,
            group,
            group & confirmed,
            tuple(joining[id]),
            tuple(hubs[id]),
            memory.names.get(id, id),
            memory.rooms.get(id, ""),
        )
        for id, group in groups.items()
    ]
    since = {value.key: value.since for campaign in campaigns for value in campaign.values}
    ordered = sorted(campaigns, key=lambda campaign: (-len(campaign.accounts), _number(campaign.id)))
    return tuple(ordered), replace(memory, since=since)


@dataclass(frozen=True, slots=True)
class Naming:
    """A value whose report can name a campaign's room: how many confirmed accounts hold it, seen from when to when.

    Days count from 1970-01-01.
    """

    type: str
    value: str = field(repr=False)
    confirmed: int
    first_day: int
    last_day: int


def naming_values(state: Path, campaign: Campaign) -> tuple[Naming, ...]:
    """Return the campaign's values whose report can carry a campaign key.

    They are of types that may stand alone (M-5.15), hubs never are, two confirmed accounts hold them, and nobody else
    reported them: who did has a room or can open one. Raises `BadHoldings`.
    """
    from tocsin.detect.runs import last_run

    alone = [type.name for type in TYPES.values() if type.alone]
    with last_run(state) as connection:
        rows = connection.execute(
            """SELECT holdings.type, holdings.value, count(DISTINCT account), min(holdings.first_day),
            max(holdings.last_day) FROM current.holdings
            WHERE list_contains(?, account) AND list_contains(?, holdings.type)
            AND (holdings.type, holdings.value) IN (SELECT (type, value) FROM current.weights WHERE NOT hub)
            AND (holdings.type, holdings.value) NOT IN (SELECT (type, value) FROM current.signals)
            GROUP BY ALL HAVING count(DISTINCT account) > 1 ORDER BY ALL""",
            [sorted(campaign.confirmed), alone],
        ).fetchall()
    return tuple(Naming(*row) for row in rows)


def seen_days(state: Path, accounts: Iterable[str]) -> tuple[int, int]:
    """Return the first and the last day, since 1970-01-01, on which any of these accounts was seen. Raises
    `BadHoldings`.
    """
    from tocsin.detect.runs import last_run

    with last_run(state) as connection:
        row = connection.execute(
            "SELECT min(first_day), max(last_day) FROM current.holdings WHERE list_contains(?, account)",
            [sorted(accounts)],
        ).fetchone()
    first, last = row or (None, None)
    return int(first or 0), int(last or 0)


def _number(id: str) -> int:
    return int(id[1:])
