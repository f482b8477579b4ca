"""Which entries the disputes among matches are about (M-7.14).

1. An entry is disputed if a dispute names it, or names a live entry of the same writer with the same label: a renewed
   report stays disputed, a corrected one is not.
2. A dispute of whose entries none is live is not shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from tocsin.client.results import Match
from tocsin.sealing.label import Dispute, Report

Entry = tuple[bytes, int]
"""A member's id and an index in its log."""


def without_targetless(matches: Sequence[Match]) -> list[Match]:
    """Return the matches without disputes whose entries are all gone (rule 2)."""
    live = {(match.key, match.writer, match.index) for match in matches if isinstance(match.label, Report)}
    return [
        match
        for match in matches
        if isinstance(match.label, Report)
        or any((match.key, writer, index) in live for writer, index in match.label.disputed)
    ]


def disputed_entries(matches: Iterable[Match]) -> set[tuple[bytes, bytes, int]]:
    """Return (value key, writer, index) of every matched report that somebody disputes (rule 1)."""
    reports: dict[tuple[bytes, bytes], list[Match]] = defaultdict(list)
    disputes: list[tuple[bytes, Entry]] = []
    for match in matches:
        if isinstance(match.label, Dispute):
            disputes += [(match.key, entry) for entry in match.label.disputed]
        else:
            reports[match.key, match.writer].append(match)
    found = set()
    for key, (writer, index) in disputes:
        named = [report.label for report in reports[key, writer] if report.index == index]
        found |= {
            (key, writer, report.index)
            for report in reports[key, writer]
            if report.index == index or report.label in named
        }
    return found
