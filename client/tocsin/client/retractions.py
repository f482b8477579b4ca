"""Matches that an earlier call returned, and which of them were retracted since.

Rules
1. The vault remembers a match as (value key, writer, index): no value, no label (M-7.7). At most 100,000, the oldest go
   first.
2. A remembered match that is no longer found is looked at once more: its writer retracted it if the node proves the
   entry, its body is gone, and it has not expired. Where a newer entry of that writer still says something of the
   value, nothing was taken back.
3. A retraction is returned once; so it is forgotten with the next call, or once the consumer of `watch` has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tocsin.client.arguments import Values
from tocsin.client.charters import ActiveCharter
from tocsin.client.errors import NodeMisbehaved, RefusedByNode
from tocsin.client.matching import verified_entry
from tocsin.client.results import Match, Retraction
from tocsin.client.rooms import remember_rooms
from tocsin.client.session import Session
from tocsin.client.vault import Vault
from tocsin.client.vault_matches import RememberedMatch
from tocsin.tlog.entry import Entry
from tocsin.wire.limits import MAX_LOCATIONS
from tocsin.wire.values import Kept, ProvenEntry

EntryId = tuple[bytes, int]
"""A writer's member id and an index in its log."""

# What one pass of `watch` looks at, so that it stays cheap; the next pass goes on from there.
WATCH_LIMIT = 4 * MAX_LOCATIONS


def remember(vault: Vault, matches: Iterable[Match], now: int) -> None:
    """Remember matches that are about to be returned (rule 1), and the rooms that they name."""
    matches = tuple(matches)
    remember_rooms(vault, matches, now)
    rows = [RememberedMatch(match.key, match.writer, match.index, match.type) for match in matches]
    if rows:
        vault.matches.remember(rows, now)


def retracted_since(
    session: Session, active: ActiveCharter, values: Values, matches: Sequence[Match], now: int
) -> list[Retraction]:
    """Return which remembered matches of these values were retracted, given the matches they have now (rule 2)."""
    current = {(match.key, match.writer) for match in matches}
    same = {(match.key, match.writer, match.index) for match in matches}
    remembered = [
        row for row in session.vault.matches.of(values) if (row.key, row.writer, row.index) not in same
    ]
    gone, retracted = _gone(session, active, remembered, now)
    session.vault.matches.forget(gone)
    return [_retraction(active, row, values) for row in retracted if (row.key, row.writer) not in current]


def retracted_lately(
    session: Session, active: ActiveCharter, writers: Iterable[bytes], now: int
) -> list[tuple[RememberedMatch, Retraction]]:
    """Return remembered matches of these writers that were retracted, looking at a bounded number of them."""
    rows = session.vault.matches.next_to_check(writers, WATCH_LIMIT, now)
    gone, retracted = _gone(session, active, rows, now)
    # Of what was retracted the consumer has to hear first; what expired is only dropped.
    session.vault.matches.forget([row for row in gone if row not in set(retracted)])
    superseded = session.vault.matches.superseded(retracted)
    session.vault.matches.forget([row for row in retracted if row in superseded])
    return [(row, _retraction(active, row, {})) for row in retracted if row not in superseded]


def current_entries(
    session: Session, active: ActiveCharter, entries: Iterable[EntryId], now: int
) -> dict[EntryId, EntryId | None]:
    """Return for each entry what its writer says in its place: the newest live entry under its tag, None where it was
    retracted, itself where it expired or cannot be shown.
    """
    wanted = sorted(set(entries))
    current: dict[EntryId, EntryId | None] = {entry: entry for entry in wanted}
    tags: list[tuple[EntryId, bytes]] = []
    for place, entry in _entries(session, active, wanted):
        if entry.body is not None:
            tags.append((place, entry.body.tag))
        elif entry.header.is_live(now):
            current[place] = None
    for start in range(0, len(tags), MAX_LOCATIONS):
        part = tags[start : start + MAX_LOCATIONS]
        for hit in session.node.look_up([(writer, tag) for (writer, _), tag in part]):
            if not (0 <= hit.group < len(part) and hit.position == 0 and hit.indices):
                raise NodeMisbehaved("results that nobody requested")
            place = part[hit.group][0]
            current[place] = place[0], max(place[1], *hit.indices)
    return current


def _gone(
    session: Session, active: ActiveCharter, rows: Sequence[RememberedMatch], now: int
) -> tuple[list[RememberedMatch], list[RememberedMatch]]:
    """Return the rows whose entry is gone for any reason, and those among them that were retracted."""
    gone: set[EntryId] = set()
    retracted: set[EntryId] = set()
    for place, entry in _entries(session, active, sorted({(row.writer, row.index) for row in rows})):
        if not entry.header.is_live(now):
            gone.add(place)
        elif entry.body is None:
            gone.add(place)
            retracted.add(place)
    return (
        [row for row in rows if (row.writer, row.index) in gone],
        [row for row in rows if (row.writer, row.index) in retracted],
    )


def _entries(
    session: Session, active: ActiveCharter, asked: Sequence[EntryId]
) -> Iterator[tuple[EntryId, Entry | Kept]]:
    """Yield the entries that the node can show, verified."""
    members = {member.id: member for member in active.charter.members}
    asked = [entry for entry in asked if entry[0] in members]
    for start in range(0, len(asked), MAX_LOCATIONS):
        for proven, checkpoint in _proven(session, asked[start : start + MAX_LOCATIONS]):
            verified_entry(active.charter, members[proven.writer], proven, checkpoint)
            yield (bytes(proven.writer), proven.stored.index), proven.stored.entry


def _proven(
    session: Session, asked: Sequence[tuple[bytes, int]]
) -> Iterator[tuple[ProvenEntry, bytes | None]]:
    """Yield entries with their writers' checkpoints; one that cannot be shown holds no other back."""
    try:
        answer = session.node.proven_entries(asked)
    except RefusedByNode:
        # A quarantined log, one that was removed, or an index that its log does not have: nothing can be said of it.
        if len(asked) > 1:
            half = len(asked) // 2
            yield from _proven(session, asked[:half])
            yield from _proven(session, asked[half:])
        return
    if len(answer.entries) != len(asked):
        raise NodeMisbehaved(f"{len(answer.entries)} entries where {len(asked)} were requested")
    for place, proven in zip(asked, answer.entries, strict=True):
        if (proven.writer, proven.stored.index) != place:
            raise NodeMisbehaved("other entries than were requested")
        yield proven, answer.checkpoints.get(proven.writer)


def _retraction(active: ActiveCharter, row: RememberedMatch, values: Values) -> Retraction:
    value = values.get(row.key)
    return Retraction(
        row.type,
        row.writer,
        active.charter.member(row.writer).name,
        row.index,
        tuple(value.positions) if value is not None else (),
        row.key,
        tuple(value.given) if value is not None else (),
    )
