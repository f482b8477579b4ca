"""From spilled rows to an account's sample and its indicators (phase 2 of `tocsin ingest`).

1. A partition is taken in slices by account, small enough to be held; each account is whole in one slice.
2. Of the exchanges of a conversation the one with the longest later turn counts, of equal ones the earliest, then that
   of the smallest text. The k conversations with the smallest places are hashed, no others; a unit is the shingles of
   the first user turn and of the later one together. A conversation that is another's parent is left out, and so is
   one that `choosing` does not choose.
3. With a state the sample of earlier runs is merged by the same rule, and so are the facts.
4. Skeletons are searched among user turns and among system prompts, each type by itself.
5. Every other value is written as its canonical form says, or counted as refused under the rule.
"""

from __future__ import annotations

import base64
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv6Address
from operator import itemgetter
from pathlib import Path
from typing import Any

from tocsin.indicators.ptf2.account import Conversation, Sample, parse_sample, place_of
from tocsin.indicators.ptf2.common_list import CommonList
from tocsin.indicators.ptf2.skeleton import find_blocks
from tocsin.indicators.ptf2.template import SYSTEM, TEMPLATE, Judged, judged, write_skeleton
from tocsin.indicators.refusal import Mode, Refused
from tocsin.indicators.registry import observable
from tocsin.ingest.facts import ADDRESS, MAX_FACTS, Facts, Holding
from tocsin.ingest.facts import TOOLS as TOOL_SET
from tocsin.ingest.local_filter import ShingleCounts
from tocsin.ingest.sampling import DAY, FACTS, NO_TURN, TEXT, TOOLS
from tocsin.ingest.sampling import SYSTEM as SYSTEM_TEXT
from tocsin.ingest.spilling import Spill, spilled_bytes, spilled_rows
from tocsin.ingest.unit_hashes import Texts, UnitHasher

_SLICE_BYTES = 96 << 20
_LAST = (1, 0.0)
_MAX_TEXTS = 512


@dataclass(frozen=True, slots=True)
class Row:
    """One holding of an account in a window; `window` is the second at which it begins. Nothing shows in the repr.

    Times and counts are of the value. `activity` is the account's active hours in the window, a hexadecimal number of
    which bit n is hour n.
    """

    account: str = field(repr=False)
    type: str
    value: str = field(repr=False)
    exchanges: int
    conversations: int
    first_seen: int
    last_seen: int
    window: int
    activity: str = field(default="0", repr=False)


@dataclass(slots=True)
class Tally:
    """What became of accounts."""

    accounts: int = 0
    conversations: int = 0
    """In the samples, at most k for each account and window."""
    kept: int = 0
    """Levels of skeletons; of `refused`, a skeleton counts once."""
    refused: Counter[str] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)

    def merge(self, other: Tally) -> None:
        """Add what became of others."""
        self.accounts += other.accounts
        self.conversations += other.conversations
        self.kept += other.kept
        self.refused += other.refused
        self.values += other.values


_Text = tuple[tuple[int, float], int, str, str]
"""What decides between exchanges of one conversation, the system prompt's place, the first turn and the later one."""


@dataclass(slots=True)
class _Gathered:
    """What the rows of one account in one window say."""

    exchanges: int = 0
    first: int = 1 << 62
    last: int = 0
    values: Facts = field(default_factory=Facts)
    tools: dict[int, str] = field(default_factory=dict)
    texts: dict[int, _Text] = field(default_factory=dict)
    systems: dict[int, str] = field(default_factory=dict)
    """System prompts by their place."""
    sample: Sample | None = None
    """Of earlier runs."""
    ranks: dict[int, tuple[int, float]] = field(default_factory=dict)
    """Of the conversations in `sample`, by place: what decides between two exchanges, and when the one was sent."""
    parents: set[int] = field(default_factory=set)

    def facts(self, exchanges: int, first: int, last: int, values: list[list[Any]], hours: str) -> None:
        self.exchanges += exchanges
        self.first, self.last = min(self.first, first), max(self.last, last)
        self.values.merge(values, hours)

    def text(self, k: int, place: int, parent: int, time: float, system: int, turn: str, later: str) -> None:
        if parent:
            self.parents.add(parent)
        text: _Text = ((-len(later), time), system, turn, later)
        known = self.texts.get(place)
        if known is None or text < known:
            self.texts[place] = text
            if len(self.texts) > 2 * k:
                self.texts = _lowest(self.texts, k)

    def trim(self, key: bytes) -> None:
        self.values.trim(key)
        self.tools = _lowest(self.tools, MAX_FACTS)

    def tool(self, place: int, tools: str) -> None:
        self.tools[place] = tools
        if len(self.tools) > 2 * MAX_FACTS:
            self.tools = _lowest(self.tools, MAX_FACTS)


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides what indicators an account has."""

    key: bytes = field(repr=False)
    """The sampling key."""
    k: int
    window_days: int
    common: CommonList
    mode: Mode = Mode.LIVE


class IndicatorBuilder:
    """Settles one partition after the other."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.shingles = ShingleCounts()
        """Of the skeletons of all accounts so far, for the local filter."""
        self._hasher = UnitHasher(settings.key)
        # Tools give the same system prompt to many accounts.
        self._text = lru_cache(_MAX_TEXTS)(partial(write_skeleton, common=settings.common))
        self._written: dict[tuple[str, str], str | Refused] = {}

    def partition(
        self,
        number: int,
        spill: tuple[Path, bytes],
        tally: Tally,
        earlier: tuple[Path, bytes] | None = None,
        state: Spill | None = None,
    ) -> Iterator[Row]:
        """Yield the indicators of a partition; `state` takes what later runs go on from. Raises `BadSpill`."""
        sources = [spill] if earlier is None else [spill, earlier]
        size = sum(spilled_bytes(folder, number) for folder, _ in sources)
        slices = 1 + size // _SLICE_BYTES
        for part in range(slices):
            gathered = self._gather(number, sources, part, slices)
            tally.accounts += len({account for account, _ in gathered})
            for account, windows in itertools.groupby(sorted(gathered), key=itemgetter(0)):
                held: list[frozenset[int]] = []
                for _, window in windows:
                    each = gathered.pop((account, window))
                    each.trim(self._settings.key)
                    sample = self._sample(each, state is not None)
                    tally.conversations += len(sample.conversations)
                    if state is not None:
                        _keep(state, number, account, window, each, sample)
                    yield from self._rows(account, window, each, sample, tally, held)
                self.shingles.add(held)

    def _gather(
        self, number: int, sources: list[tuple[Path, bytes]], part: int, slices: int
    ) -> dict[tuple[str, int], _Gathered]:
        found: dict[tuple[str, int], _Gathered] = {}
        settings = self._settings
        for folder, key in sources:
            for kind, account, window, *rest in spilled_rows(folder, number, key):
                if slices > 1 and (place_of(settings.key, account) >> 16) % slices != part:
                    continue
                each = found.get((account, window))
                if each is None:
                    each = found[account, window] = _Gathered()
                if kind == TEXT:
                    each.text(settings.k, *rest)
                elif kind == FACTS:
                    each.facts(*rest[:5])
                    if len(rest) > 5:
                        each.sample = parse_sample(base64.b64decode(rest[5]))
                        places = (one.place for one in each.sample.conversations)
                        ranks = ((int(length), float(time)) for length, time in rest[6])
                        each.ranks = dict(zip(places, ranks, strict=True))
                        each.parents.update(rest[7])
                elif kind == SYSTEM_TEXT:
                    place, text = rest
                    each.systems[place] = text
                else:
                    each.tool(*rest)
        return found

    def _sample(self, each: _Gathered, keeps: bool) -> Sample:
        """Return the sample of a window. Every hash is in it where it `keeps` for later runs (see `unit_hashes`)."""
        k, texts, parents = self._settings.k, each.texts, each.parents
        earlier = Sample(k).merged(each.sample) if each.sample is not None else Sample(k)
        wanted = sorted((each.ranks.keys() | texts.keys()) - parents)[:k]
        candidates = {
            place: Texts(each.systems.get(texts[place][1], ""), *texts[place][2:])
            for place in wanted
            if place in texts
        }
        if keeps:
            new = {place for place in candidates if each.ranks.get(place, _LAST) > texts[place][0]}
            hashed = self._hasher.all_hashes(candidates, new)
        else:
            hashed = self._hasher.repeated_hashes(candidates)
        each.ranks.update((place, texts[place][0]) for place in hashed)
        fresh = [Conversation(place, *units) for place, units in hashed.items()]
        texts.clear()
        each.systems.clear()
        return Sample(k).with_more(fresh).merged(earlier).without(parents)

    def _rows(
        self,
        account: str,
        window: int,
        each: _Gathered,
        sample: Sample,
        tally: Tally,
        held: list[frozenset[int]],
    ) -> Iterator[Row]:
        activity = f"{each.values.hours:x}"
        sampled = max(1, len(sample.conversations))

        def row(type: str, value: str, holding: Holding, conversations: int) -> Row:
            tally.values[type] += 1
            start = window * self._settings.window_days * DAY
            times = int(holding.first), int(holding.last)
            return Row(account, type, value, holding.exchanges, conversations, *times, start, activity)

        for type, units in (
            (TEMPLATE, [(one.place, one.turn) for one in sample.conversations if one.turn]),
            (SYSTEM, [(one.place, one.system) for one in sample.conversations if one.system]),
        ):
            for level in skeletons([unit for _, unit in units], self._settings.common, tally):
                held.append(level.shingles)
                value = self._text(level.shingles, banded=level.banded)
                times = [each.ranks[units[at][0]][1] % NO_TURN for at in level.units]
                exchanges = max(level.support, each.exchanges * level.support // sampled)
                yield row(type, value, Holding(min(times), max(times), exchanges, ()), level.support)
        for (type, value), holding in self._facts(each, tally):
            yield row(type, value, holding, holding.distinct_conversations)

    def _facts(self, each: _Gathered, tally: Tally) -> list[tuple[tuple[str, str], Holding]]:
        found: dict[tuple[str, str], Holding] = {}
        for (kind, given), holding in each.values.values.items():
            value = given
            types: tuple[str, ...] = (kind,)
            if kind == ADDRESS:
                types = ("net.ipv6-64",) if ":" in given else ("net.ipv4", "net.ipv4-24")
            elif kind == TOOL_SET:
                tools = each.tools.get(int(given))
                if tools is None:
                    continue
                value = tools
            for type in types:
                written = self._write(type, value)
                if isinstance(written, Refused):
                    tally.refused[written.rule] += 1
                    break  # the network of a refused address is no second refusal
                known = found.setdefault((type, written), holding)
                if known is not holding:
                    # Another writing of the same value, or another address of the same network.
                    found[type, written] = joined = Holding(
                        known.first, known.last, known.exchanges, known.conversations
                    )
                    joined.merge(holding)
        return sorted(found.items(), key=lambda item: item[0])

    def _write(self, type: str, value: str) -> str | Refused:
        if type == "client.tools":
            return _canonical(type, value, self._settings.mode)
        # Addresses and JA4 come again and again.
        if len(self._written) > 1 << 14:
            self._written.clear()
        written = self._written.get((type, value))
        if written is None:
            written = self._written[type, value] = _canonical(type, value, self._settings.mode)
        return written


def skeletons(units: list[frozenset[int]], common: CommonList, tally: Tally) -> Iterator[Judged]:
    """Yield each level worth sharing; refusals are counted (rule 4)."""
    for level in judged(find_blocks(units), common):
        if level.refusal is None:
            tally.kept += 1
            yield level
        else:
            tally.refused[level.refusal.value] += 1


def _keep(state: Spill, number: int, account: str, window: int, each: _Gathered, sample: Sample) -> None:
    facts = [each.exchanges, each.first, each.last, each.values.rows(), f"{each.values.hours:x}"]
    encoded = base64.b64encode(sample.encode()).decode()
    ranks = [each.ranks[one.place] for one in sample.conversations]
    state.add(number, [FACTS, account, window, *facts, encoded, ranks, sorted(each.parents)])
    for place, tools in each.tools.items():
        state.add(number, [TOOLS, account, window, place, tools])


def _lowest(found: dict[int, Any], count: int) -> dict[int, Any]:
    return {place: found[place] for place in sorted(found)[:count]}


def _canonical(type: str, value: str, mode: Mode) -> str | Refused:
    try:
        canonical = observable(type, value, mode=mode).canonical
    except Refused as refusal:
        return refusal
    match type:
        case "net.ipv4":
            return str(IPv4Address(canonical))
        case "net.ipv4-24":
            return f"{IPv4Address(canonical + bytes(1))}/24"
        case "net.ipv6-64":
            return f"{IPv6Address(canonical + bytes(8))}/64"
    return value.strip()


def as_objects(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Yield rows as JSON objects."""
    for row in rows:
        yield {name: getattr(row, name) for name in Row.__slots__}
