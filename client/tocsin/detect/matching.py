"""From values that a member holds to signals: ask the federation about the new ones, and keep what matched.

1. Only distinct values leave the table, and only to the member's own client, which blinds them. Its vault remembers
   what was evaluated, so asking again is free.
2. A report becomes a signal; a dispute marks the signals of the entries that it disputes. A report of a victim's value
   is no signal: it is listed apart.
3. The judgement that a report rests on is its writer's own detection, or that of the one member at which all its chains
   end; where they end at several members it is none of them alone. What rests on retracted reports only is no signal
   (`unwinding`).
4. Counts are taken at the middle of their buckets. A writer's total of a type is that of its labels opened here, added
   up: a writer cannot seem small by splitting its reports.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tocsin.client.disputed import disputed_entries
from tocsin.detect.unwinding import Claim, EntryId, named, roots
from tocsin.sealing.label import Report, Role, bucket_range

if TYPE_CHECKING:
    from tocsin.client import Client
    from tocsin.client.results import Match

_WEEK = 7
_CHUNK = 16_000
_AS_NAMED: Mapping[EntryId, EntryId | None] = {}


@dataclass(frozen=True, slots=True)
class Signal:
    """A report of another member about a value that this member holds; the columns of a file of signals."""

    type: str
    value: str
    reporter: str
    root: str | None
    abuse: int
    accounts: int
    hops: int
    confidence: int
    disputed: int
    first_day: int
    last_day: int
    total: int
    writer: str
    """The reporter's member id, in hex."""
    entry: int
    """The report's index in the reporter's log."""
    tlp: int
    """With whom what it says may be shared, as labels number it."""


@dataclass(frozen=True, slots=True)
class Matched:
    """Signals to weigh, and values reported as a victim's. `unwound` counts reports that rest on retracted ones alone,
    `asked` and `refused` values.
    """

    signals: tuple[Signal, ...]
    victims: tuple[tuple[str, str], ...]
    unwound: int
    asked: int
    refused: int


def ask(client: Client, values: Iterable[tuple[str, str]]) -> Matched:
    """Ask about (type, value) pairs through the member's client. Raises the client's errors."""
    found: list[tuple[str, str, Match]] = []
    asked = refused = 0
    for chunk in _chunks(values):
        result = client.query(chunk, skip_refused=True)
        asked += len(chunk)
        refused += len(result.refused)
        found += [(*chunk[position], match) for match in result.matches for position in match.positions]
    claims = claims_of(match for _, _, match in found)
    return Matched(*signals_of(found, client.current_entries(named(claims))), asked, refused)


def claims_of(matches: Iterable[Match]) -> list[Claim]:
    """Return the reports among matches with what they rest on."""
    return [
        Claim((match.writer, match.index), match.label.rests_on)
        for match in matches
        if isinstance(match.label, Report)
    ]


def _chunks(values: Iterable[tuple[str, str]]) -> Iterable[Sequence[tuple[str, str]]]:
    chunk: list[tuple[str, str]] = []
    for value in values:
        chunk.append(value)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def signals_of(
    found: Sequence[tuple[str, str, Match]], current: Mapping[EntryId, EntryId | None] = _AS_NAMED
) -> tuple[tuple[Signal, ...], tuple[tuple[str, str], ...], int]:
    """Return signals, victims' values and how many reports do not stand, of matches with the (type, value) that each is
    about (rules 2 to 4). `current` is as `unwinding.roots` takes it.
    """
    standing = roots(claims_of(match for _, _, match in found), current)
    unwound: set[EntryId] = set()
    names = {match.writer: match.writer_name for _, _, match in found}
    disputed = disputed_entries(match for _, _, match in found)
    totals: dict[tuple[bytes, str], int] = defaultdict(int)
    for type, _, match in found:
        if isinstance(match.label, Report):
            totals[match.writer, type] += _middle(match.label.bad_accounts_bucket)
    signals, victims = [], set()
    for type, value, match in found:
        label = match.label
        if not isinstance(label, Report):
            continue
        if label.role is Role.VICTIM:
            victims.add((type, value))
            continue
        ends = standing.get((match.writer, match.index))
        if ends is None:
            unwound.add((match.writer, match.index))
            continue
        root = next(iter(ends)) if len(ends) == 1 else None
        signals.append(
            Signal(
                type, value, match.writer_name, None if root is None else names.get(root, root.hex()), label.abuse,
                _middle(label.bad_accounts_bucket), label.hops, label.confidence,
                int((match.key, match.writer, match.index) in disputed), label.first_week * _WEEK,
                label.last_week * _WEEK + 6, totals[match.writer, type], match.writer.hex(), match.index,
                label.tlp,
            )
        )  # fmt: skip
    return tuple(signals), tuple(sorted(victims)), len(unwound)


def _middle(bucket: int) -> int:
    """Rule 4. Counts from the lower ends against totals from the upper ends would take a bit from every weight."""
    return sum(bucket_range(bucket)) // 2
