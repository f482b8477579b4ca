"""Campaigns: which flagged and confirmed accounts belong together, under ids that last.

1. Accounts are joined by values that speak against them and that two of them hold: union-find over flagged and
   confirmed accounts only. A hub is shown and joins nobody. A campaign has at least two accounts.
2. Every run starts from what holds now, so a campaign splits when the report that made a value speak is retracted. Of
   each value that joins, the first day on which it did is kept.
3. An id lasts. Where campaigns merge, the one with the most accounts in the whole keeps its id; where one splits, the
   part with most of its accounts does; between equals, the older id and the smaller account. An id is never given
   again to other accounts.
4. The state is one file of the member's own, mode 0600: accounts, and values as keyed hashes (M-7.7). It also says
   which room a campaign has.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tocsin.detect.errors import BadHoldings
from tocsin.detect.weights import CONFIRMED
from tocsin.indicators.registry import TYPES

if TYPE_CHECKING:
    import duckdb

FILE = "campaigns.json"
_KEY_BYTES = 32
_VALUE_BYTES = 16
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
    room: str = ""

    def joining(self) -> dict[str, int]:
        """Return how many values of each type join the campaign."""
        counts: dict[str, int] = defaultdict(int)
        for value in self.values:
            counts[value.type] += 1
        return dict(sorted(counts.items()))

    def to_dict(self) -> dict[str, object]:
        """Return the one JSON form of a campaign; values are counted by type and never shown."""
        return {
            "campaign": self.id,
            "accounts": sorted(self.accounts),
            "confirmed": sorted(self.confirmed),
            "joining": self.joining(),
            "hubs": len(self.hubs),
            "since": min((value.since for value in self.values), default=None),
            "room": self.room or None,
        }


@dataclass(frozen=True, slots=True)
class Memory:
    """What lasts between runs: accounts' campaigns, values' first days, campaigns' rooms, the next number."""

    key: bytes = field(repr=False)
    campaign_of: Mapping[str, str] = field(default_factory=dict, repr=False)
    since: Mapping[str, int] = field(default_factory=dict, repr=False)
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
        Campaign(id, group, group & confirmed, tuple(joining[id]), tuple(hubs[id]), memory.rooms.get(id, ""))
        for id, group in groups.items()
    ]
    since = {value.key: value.since for campaign in campaigns for value in campaign.values}
    ordered = sorted(campaigns, key=lambda campaign: (-len(campaign.accounts), _number(campaign.id)))
    return tuple(ordered), replace(memory, since=since)


def read_values(
    connection: duckdb.DuckDBPyConnection, key: bytes
) -> tuple[tuple[JoiningValue, ...], frozenset[str], int]:
    """Return from the detector's current run: values against flagged and confirmed accounts, the confirmed, its day."""
    (today,) = connection.execute(
        "SELECT today FROM history.runs WHERE shadow = '' ORDER BY number DESC LIMIT 1"
    ).fetchone() or (0,)
    confirmed = {
        account
        for (account,) in connection.execute(
            "SELECT DISTINCT account FROM current.judged WHERE state = ?", [CONFIRMED]
        ).fetchall()
    }
    rows = connection.execute(
        """SELECT DISTINCT evidence.type, evidence.value, evidence.account, weights.hub
        FROM current.evidence JOIN current.weights USING (abuse, type, value) WHERE evidence.account IN (
            SELECT account FROM current.scores WHERE flag = 1
            UNION SELECT account FROM current.judged WHERE state = ?)""",
        [CONFIRMED],
    ).fetchall()
    holders: dict[tuple[str, str], set[str]] = defaultdict(set)
    hubs: set[tuple[str, str]] = set()
    for type, value, account, hub in rows:
        place = str(type), _hashed(key, str(type), str(value))
        holders[place].add(str(account))
        if hub:
            hubs.add(place)
    values = tuple(
        JoiningValue(place[0], place[1], frozenset(accounts), hub=place in hubs)
        for place, accounts in sorted(holders.items())
    )
    return values, frozenset(map(str, confirmed)), int(today)


def update_campaigns(state: Path, random: Callable[[int], bytes]) -> tuple[Campaign, ...]:
    """Find the campaigns of the detector's current run and remember their ids. Raises `BadHoldings`, OSError."""
    from tocsin.detect.runs import last_run

    memory = load_memory(state, random)
    with last_run(state) as connection:
        values, confirmed, today = read_values(connection, memory.key)
    campaigns, memory = find_campaigns(memory, values, confirmed, today)
    save_memory(state, memory)
    return campaigns


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


def set_room(state: Path, campaign: str, room: str, random: Callable[[int], bytes]) -> None:
    """Remember which room a campaign has; an empty name for none."""
    memory = load_memory(state, random)
    rooms = {id: name for id, name in memory.rooms.items() if id != campaign}
    save_memory(state, replace(memory, rooms=rooms | ({campaign: room} if room else {})))


def load_memory(state: Path, random: Callable[[int], bytes]) -> Memory:
    """Read what lasts; a new memory, with a new key, where there is none. Raises `BadHoldings`."""
    path = state / FILE
    try:
        given: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return Memory(
            bytes.fromhex(given["key"]),
            given["campaign_of"],
            given["since"],
            given["rooms"],
            given["next_number"],
        )
    except FileNotFoundError:
        return Memory(random(_KEY_BYTES))
    except (ValueError, KeyError, TypeError):
        raise BadHoldings(f"{path} is damaged: restore it, or remove it and campaigns get new ids") from None


def save_memory(state: Path, memory: Memory) -> None:
    """Write what lasts, in one step, for nobody else to read."""
    text = json.dumps(
        {
            "key": memory.key.hex(),
            "campaign_of": dict(memory.campaign_of),
            "since": dict(memory.since),
            "rooms": dict(memory.rooms),
            "next_number": memory.next_number,
        }
    )
    fresh = state / f"{FILE}.new"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(state / FILE)


def _hashed(key: bytes, type: str, value: str) -> str:
    name = type.encode()
    return hashlib.blake2b(
        len(name).to_bytes(2, "big") + name + value.encode(), digest_size=_VALUE_BYTES, key=key
    ).hexdigest()


def _number(id: str) -> int:
    return int(id[1:])
