"""Which reports stand: what rested on a report that was retracted falls with it, to the end of the chain.

1. A report of its writer's own detection stands by itself.
2. A report that was shared on after a match stands while one of the entries that it rests on does. This is the least
   set with that property: reports that rest on one another in a circle, and on nothing else, do not stand.
3. An entry that nobody here can open stands unless its writer retracted it: what it rests on is not known. What its
   writer reported in its place, under the same tag, counts for it.
4. A report that stands rests on its roots: the members whose own detections its chains end at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

EntryId = tuple[bytes, int]
"""A writer's member id and an index in its log."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A live report, as the unwinding sees it: no `rests_on` for its writer's own detection."""

    entry: EntryId
    rests_on: tuple[EntryId, ...] = ()


def named(claims: Iterable[Claim]) -> frozenset[EntryId]:
    """Return the entries that claims rest on and that are none of them."""
    claims = tuple(claims)
    return frozenset(entry for claim in claims for entry in claim.rests_on) - {
        claim.entry for claim in claims
    }


def roots(
    claims: Collection[Claim], current: Mapping[EntryId, EntryId | None]
) -> Mapping[EntryId, frozenset[bytes]]:
    """Return the claims that stand, each with its roots (rules 1 to 4).

    `current` says for the `named` entries what stands in their place, None where nothing does; one that it does not
    have stands.
    """
    below = {
        claim.entry: {entry for named in claim.rests_on if (entry := current.get(named, named)) is not None}
        for claim in claims
    }
    found = {entry: frozenset({entry[0]}) for entries in below.values() for entry in entries - below.keys()}
    found.update((claim.entry, frozenset({claim.entry[0]})) for claim in claims if not claim.rests_on)
    resting = [claim.entry for claim in claims if claim.rests_on]
    changed = True
    while changed:
        changed = False
        for claimed in resting:
            before = found.get(claimed, frozenset())
            ends = before.union(*(found.get(entry, frozenset()) for entry in below[claimed]))
            if ends != before:
                found[claimed] = ends
                changed = True
    return {claim.entry: found[claim.entry] for claim in claims if claim.entry in found}
