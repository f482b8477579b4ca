"""From spilled rows to an account's sample and its indicators (phase 2 of `tocsin ingest`).

1. A partition is taken in slices by account, small enough to be held; each account is whole in one slice.
2. Of the texts of a conversation the one with the earliest time counts, of equal times the smallest text. The k
   conversations with the smallest places are hashed, no others.
3. With a state the sample of earlier runs is merged by the same rule, and so are the facts.
4. Skeletons are searched among user turns and among system prompts, each type by itself.
5. Every other value is written as its canonical form says, or counted as refused under the rule.
"""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

from tocsin.indicators.ptf2.account import Conversation, Sample, parse_sample, place_of
from tocsin.indicators.ptf2.common_list import CommonList
from tocsin.indicators.ptf2.shingles import Shingler
from tocsin.indicators.ptf2.skeleton import find_blocks
from tocsin.indicators.ptf2.template import SYSTEM, TEMPLATE, judged, write_skeleton
from tocsin.indicators.refusal import Mode, Refused
from tocsin.indicators.registry import observable
from tocsin.ingest.facts import ADDRESS, MAX_FACTS, Facts, Holding
from tocsin.ingest.facts import TOOLS as TOOL_SET
from tocsin.ingest.sampling import DAY, FACTS, TEXT, TOOLS
from tocsin.ingest.spilling import Spill, spilled_bytes, spilled_rows

_SLICE_BYTES = 96 << 20


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


@dataclass(slots=True)
class _Gathered:
    """What the rows of one account in one window say."""

    exchanges: int = 0
    first: int = 1 << 62
    last: int = 0
    values: Facts = field(default_factory=Facts)
    tools: dict[int, str] = field(default_factory=dict)
    texts: dict[int, tuple[float, str, str]] = field(default_factory=dict)
    sample: Sample | None = None
    """Of earlier runs."""
    times: dict[int, float] = field(default_factory=dict)
    """Of the conversations in `sample`, by place: when the text that was hashed was sent."""

    def facts(self, exchanges: int, first: int, last: int, values: list[list[Any]], hours: str) -> None:
        self.exchanges += exchanges
        self.first, self.last = min(self.first, first), max(self.last, last)
        self.values.merge(values, hours)

    def text(self, k: int, place: int, time: float, system: str, turn: str) -> None:
        found = (time, system, turn)
        known = self.texts.get(place)
        if known is None or found < known:
            self.texts[place] = found
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

    def __init__(self, settings: Settings, shingler: Shingler) -> None:
        self._settings, self._shingler = settings, shingler
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
            for account, window in sorted(gathered):
                each = gathered.pop((account, window))
                each.trim(self._settings.key)
                sample = self._sample(each)
                tally.conversations += len(sample.conversations)
                if state is not None:
                    _keep(state, number, account, window, each, sample)
                yield from self._rows(account, window, each, sample, tally)

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
                        each.times = dict(zip(places, rest[6], strict=True))
                else:
                    each.tool(*rest)
        return found

    def _sample(self, each: _Gathered) -> Sample:
        k, texts = self._settings.k, each.texts
        earlier = Sample(k).merged(each.sample) if each.sample is not None else Sample(k)
        systems: dict[str, frozenset[int]] = {}
        fresh = []
        for place in sorted(each.times.keys() | texts.keys())[:k]:
            if place not in texts or each.times.get(place, math.inf) <= texts[place][0]:
                continue
            each.times[place], system, turn = texts[place]
            hashes = systems.get(system)
            if hashes is None:
                hashes = systems[system] = self._shingler.hashes(system)
            fresh.append(Conversation(place, hashes, self._shingler.hashes(turn)))
        texts.clear()
        return Sample(k).with_more(fresh).merged(earlier)

    def _rows(
        self, account: str, window: int, each: _Gathered, sample: Sample, tally: Tally
    ) -> Iterator[Row]:
        activity = f"{each.values.hours:x}"
        sampled = max(1, len(sample.conversations))

        def row(type: str, value: str, holding: Holding, conversations: int) -> Row:
            tally.values[type] += 1
            start = window * self._settings.window_days * DAY
            times = int(holding.first), int(holding.last)
            return Row(account, type, value, holding.exchanges, conversations, *times, start, activity)

        for type, units in (
            (TEMPLATE, [one.turn for one in sample.conversations if one.turn]),
            (SYSTEM, [one.system for one in sample.conversations if one.system]),
        ):
            for value, support in skeletons(units, self._settings.common, tally):
                exchanges = max(support, each.exchanges * support // sampled)
                yield row(type, value, Holding(each.first, each.last, exchanges, ()), support)
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
                    continue
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


def skeletons(units: list[frozenset[int]], common: CommonList, tally: Tally) -> Iterator[tuple[str, int]]:
    """Yield each skeleton worth sharing as text, with its support; refusals are counted (rule 4)."""
    for each in judged(find_blocks(units), common):
        if each.refusal is None:
            tally.kept += 1
            yield write_skeleton(each.shingles, common, banded=each.banded), each.support
        else:
            tally.refused[each.refusal.value] += 1


def _keep(state: Spill, number: int, account: str, window: int, each: _Gathered, sample: Sample) -> None:
    facts = [each.exchanges, each.first, each.last, each.values.rows(), f"{each.values.hours:x}"]
    encoded = base64.b64encode(sample.encode()).decode()
    times = [each.times[one.place] for one in sample.conversations]
    state.add(number, [FACTS, account, window, *facts, encoded, times])
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
    for each in rows:
        yield {name: getattr(each, name) for name in Row.__slots__}
