"""What the casebook has on record of one campaign: its flags, the reports they rest on, decisions, events."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from tocsin.detect.campaigns import Campaign
from tocsin.detect.casebook import history, tables
from tocsin.detect.casebook.book import Casebook
from tocsin.detect.casebook.flags import Flag, read_flag
from tocsin.sealing.label import Tlp

_FLAG, _VERDICT = tables.flag.c, tables.verdict.c
_DAY = 86_400


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A report of another member that evidence rests on: its writer (16 bytes), its name, the index in its log."""

    writer_name: str
    entry: int
    writer: bytes = field(repr=False)
    hops: int
    tlp: Tlp


@dataclass(frozen=True, slots=True)
class Decided:
    """Verdicts of one person with one outcome and reason on one day."""

    day: int
    reviewer: str
    outcome: str
    reason: str
    accounts: int
    sampled: int


@dataclass(frozen=True, slots=True)
class Record:
    """A campaign's record. `entries` are the reports by (type, keyed hash in hex); `created` in unix seconds."""

    flags: tuple[Flag, ...]
    entries: Mapping[tuple[str, str], tuple[Entry, ...]]
    decisions: tuple[Decided, ...]
    events: tuple[history.Event, ...]
    created: int


def record_of(book: Casebook, campaign: Campaign) -> Record:
    """Return what is on record of a campaign that the casebook has."""
    with book.database.reading() as connection:
        flags = _flags(connection, campaign.accounts)
        numbers = [flag.no for flag in flags]
        events = tuple(
            event
            for event in history.all_events(connection)
            if event.flag is None and json.loads(event.detail).get("campaign") == campaign.id
        )
        created = connection.execute(
            select(tables.campaign.c.created).where(tables.campaign.c.id == campaign.id)
        ).scalar_one()
        return Record(
            tuple(flags), _entries(connection, numbers), _verdicts(connection, numbers), events, created
        )


def _flags(connection: Connection, accounts: frozenset[str]) -> list[Flag]:
    rows = connection.execute(select(tables.flag).where(_FLAG.account.is_not(None)).order_by(_FLAG.no))
    return [flag for row in rows if row.account in accounts for flag in (read_flag(row),)]


def _entries(connection: Connection, flags: Sequence[int]) -> dict[tuple[str, str], tuple[Entry, ...]]:
    wanted = set(flags)
    found: dict[tuple[str, str], set[Entry]] = defaultdict(set)
    for row in connection.execute(select(tables.resting)):
        if row.flag in wanted:
            tlp = Tlp(row.tlp) if row.tlp in set(Tlp) else Tlp.RED
            entry = Entry(row.writer_name, row.entry, row.writer, row.hops, tlp)
            found[row.type, row.value_key.hex()].add(entry)
    return {place: tuple(sorted(entries)) for place, entries in found.items()}


def _verdicts(connection: Connection, flags: Sequence[int]) -> tuple[Decided, ...]:
    wanted, counts, sampled = (
        set(flags),
        Counter[tuple[int, str, str, str]](),
        Counter[tuple[int, str, str, str]](),
    )
    rows = connection.execute(
        select(
            _VERDICT.flag,
            _VERDICT.time,
            _VERDICT.reviewer,
            _VERDICT.outcome,
            _VERDICT.reason,
            _VERDICT.sampled,
        ).where(~_VERDICT.golden)
    )
    for flag, time, reviewer, outcome, reason, at_once in rows:
        if flag in wanted:
            counts[time // _DAY, reviewer, outcome, reason] += 1
            sampled[time // _DAY, reviewer, outcome, reason] += at_once
    return tuple(Decided(*place, counts[place], sampled[place]) for place in sorted(counts))
