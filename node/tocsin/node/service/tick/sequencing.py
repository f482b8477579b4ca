"""What one tick appends to the member's log, and where: a pure function of what waits (M-6.11, M-6.14).

1. SEALED entries first, by tag, those of one tag in the order of acknowledgement; then RETRACTs by the index they
   name; then CHARTERs. Cover entries are SEALED entries like any other.
2. A retraction covers the live entries under its tags that were acknowledged before it: those in the log already,
   and those of this tick that are older than it. An entry is retracted once.
3. A retraction that covers entries which were not sequenced yet is carried out when no older entry is left waiting;
   every other at the next tick, whatever waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from tocsin.node.model import Pending, PendingRetraction
from tocsin.tlog.entry import NO_BODY_HASH, Entry, retract_header, tick_key
from tocsin.wire.values import Stored

Source = tuple[bytes, int]
"""Idempotency key and position of what an entry came from."""


@dataclass(frozen=True)
class Sequenced:
    """What a tick appends from its start index on, what that erases and which indices it assigns (see `Append`)."""

    stored: list[Stored]
    erase: list[int]
    assigned: dict[Source, int]
    done: list[bytes]


def retractions_due(
    retractions: Sequence[PendingRetraction], first_waiting: int | None
) -> list[PendingRetraction]:
    """Return the retractions to carry out now; `first_waiting` is the order of the oldest entry left for later."""
    return [
        retraction
        for retraction in retractions
        if not retraction.waits_for or first_waiting is None or retraction.order < first_waiting
    ]


def sequence(
    start: int,
    pending: Sequence[Pending],
    cover: Sequence[Entry],
    retractions: Sequence[PendingRetraction],
    live: Mapping[bytes, Sequence[int]],
) -> Sequenced:
    """Lay a tick out from index `start` on.

    `pending` are in the order of acknowledgement, `retractions` are due, `live` gives the indices of the log's live
    entries under every tag that these name.
    """
    entries: list[tuple[Entry, Pending | None]] = [(waiting.entry, waiting) for waiting in pending]
    entries += [(entry, None) for entry in cover]
    sealed = [placed for placed in entries if placed[0].body is not None]
    rest = [(entry, _source(waiting)) for entry, waiting in entries if entry.body is None]
    sealed.sort(key=lambda placed: tick_key(placed[0]))
    fresh: dict[bytes, list[tuple[int, int]]] = {}
    for index, (entry, waiting) in enumerate(sealed if retractions else (), start):
        if waiting is not None and entry.body is not None:
            fresh.setdefault(entry.body.tag, []).append((waiting.order, index))
    erased: set[int] = set()
    for retraction in retractions:
        targets = {index for tag in retraction.tags for index in live.get(tag, ())}
        targets |= {
            index
            for tag in retraction.tags
            for order, index in fresh.get(tag, ())
            if order < retraction.order
        }
        for position, index in enumerate(sorted(targets - erased)):
            rest.append((Entry(retract_header(index)), (retraction.submission, position)))
        erased |= targets
    rest.sort(key=lambda placed: tick_key(placed[0]))
    stored: list[Stored] = []
    assigned: dict[Source, int] = {}
    ordered = [(entry, _source(waiting)) for entry, waiting in sealed] + rest
    for index, (entry, source) in enumerate(ordered, start):
        body_hash = sha256(entry.body.encode()).digest() if entry.body is not None else NO_BODY_HASH
        stored.append(Stored(index, entry, body_hash))
        if source is not None:
            assigned[source] = index
    return Sequenced(stored, sorted(erased), assigned, [retraction.submission for retraction in retractions])


def _source(pending: Pending | None) -> Source | None:
    return None if pending is None else (pending.submission, pending.position)
