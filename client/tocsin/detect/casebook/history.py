"""The history: who did what, when, each row chained to the one before.

1. hash = SHA-256(hash before ‖ canonical JSON of the row). A row that was changed, removed or added breaks it.
2. A row names a flag by its number and never an account, a value or a note, so forgetting an account leaves it true.
3. Rows are written in the transaction of what they describe, by the one writer that the database allows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from tocsin.detect.casebook import tables
from tocsin.detect.casebook.database import NO_HASH, Database
from tocsin.detect.casebook.errors import BrokenHistory

_ROW, _META = tables.history.c, tables.meta.c


@dataclass(frozen=True, slots=True)
class Event:
    """A row of the history. `detail` is JSON."""

    no: int
    time: int
    who: str
    what: str
    flag: int | None
    detail: str

    def to_dict(self) -> dict[str, object]:
        """Return the one JSON form of an event."""
        return {
            "no": self.no, "time": self.time, "who": self.who, "what": self.what, "flag": self.flag,
            "detail": json.loads(self.detail),
        }  # fmt: skip


def write(
    connection: Connection,
    now: int,
    who: str,
    what: str,
    flag: int | None,
    detail: Mapping[str, object] | None = None,
) -> None:
    """Add a row, inside a write transaction."""
    last = connection.execute(select(func.coalesce(func.max(_ROW.no), 0))).scalar_one()
    before: bytes = connection.execute(select(_META.last_hash)).scalar_one()
    event = Event(last + 1, now, who, what, flag, json.dumps(detail or {}, sort_keys=True))
    hash = _hash(before, event)
    connection.execute(
        insert(tables.history).values(
            no=event.no, time=now, who=who, what=what, flag=flag, detail=event.detail, hash=hash
        )
    )
    connection.execute(update(tables.meta).values(last_hash=hash))


def events(connection: Connection, flag: int) -> list[Event]:
    """Return what happened to a flag, oldest first."""
    rows = connection.execute(
        select(_ROW.no, _ROW.time, _ROW.who, _ROW.what, _ROW.flag, _ROW.detail)
        .where(_ROW.flag == flag)
        .order_by(_ROW.no)
    )
    return [Event(*row) for row in rows]


def all_events(connection: Connection) -> list[Event]:
    """Return the whole history, oldest first."""
    return [event for event, _ in hashed_events(connection)]


def hashed_events(connection: Connection) -> list[tuple[Event, bytes]]:
    """Return the whole history, oldest first, with each row's hash."""
    rows = connection.execute(
        select(_ROW.no, _ROW.time, _ROW.who, _ROW.what, _ROW.flag, _ROW.detail, _ROW.hash).order_by(_ROW.no)
    )
    return [(Event(*row), hash) for *row, hash in rows]


def verify(database: Database) -> int:
    """Verify the whole chain and return its length. Raises `BrokenHistory`, naming the first row that does not fit."""
    before, count = NO_HASH, 0
    with database.reading() as connection:
        for event, hash in hashed_events(connection):
            if event.no != count + 1 or hash != _hash(before, event):
                raise BrokenHistory(
                    f"the history was changed at row {count + 1}: compare the database with its last good backup"
                )
            before, count = hash, event.no
        if connection.execute(select(_META.last_hash)).scalar_one() != before:
            raise BrokenHistory(
                f"the history ends at row {count}, but had more: compare it with the last good backup"
            )
    return count


def _hash(before: bytes, event: Event) -> bytes:
    row = [event.no, event.time, event.who, event.what, event.flag, event.detail]
    return hashlib.sha256(before + json.dumps(row, separators=(",", ":")).encode()).digest()
