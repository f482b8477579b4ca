"""What the vault keeps of rooms: the campaign keys that this client has, and what it wrote under them last.

1. A campaign key and an entry's content rest sealed; the row's name is the 8 bytes by which people name the room.
2. A key is kept from the report in which it was read, or from the moment it was made. A room that no report has named
   for 60 days, and in which this client wrote nothing, is dropped.
3. Of each room and kind the last content written is kept with its period and the submission that carries it: until the
   log shows it, an update finds its links here, and a renewal is made once.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from tocsin.sealing.label import ContentKind
from tocsin.sealing.rooms import CampaignKey, room_id

KEPT_SECONDS = 60 * 86_400


@dataclass(frozen=True, slots=True)
class WrittenEntry:
    """What this client wrote last in a room under one kind: content, the period it was sealed in, its submission."""

    key: CampaignKey
    kind: ContentKind
    content: bytes = field(repr=False)
    period: int
    submission: bytes


class RoomTables:
    """The part of one vault that is about rooms. `Vault` makes it and lends it its lock, file and sealing."""

    def __init__(
        self,
        lock: threading.RLock,
        snapshot: Callable[[], AbstractContextManager[sqlite3.Connection]],
        writing: Callable[[], AbstractContextManager[sqlite3.Connection]],
        seal: Callable[[bytes, bytes], bytes],
        open: Callable[[bytes, bytes], bytes],
    ) -> None:
        self._lock = lock
        self._snapshot = snapshot
        self._writing = writing
        self._seal = seal
        self._open = open

    def remember(self, keys: Iterable[CampaignKey], now: int) -> None:
        """Keep campaign keys, or note that a report named them again; those not named for long are dropped (rule 2)."""
        with self._lock, self._writing() as db:
            for key in keys:
                _keep(db, self._seal, key, now)
            db.execute(
                "DELETE FROM room WHERE seen < ? AND id NOT IN (SELECT room FROM room_entry)",
                (now - KEPT_SECONDS,),
            )

    def keys(self) -> tuple[CampaignKey, ...]:
        """Return every campaign key kept, in order of the rooms' names."""
        with self._lock, self._snapshot() as db:
            rows = db.execute("SELECT id, sealed FROM room ORDER BY id").fetchall()
            return tuple(CampaignKey(self._open(sealed, _key_name(id))) for id, sealed in rows)

    def keep_written(self, entry: WrittenEntry, now: int) -> None:
        """Note what this client wrote last in a room under one kind."""
        room = room_id(entry.key)
        with self._lock, self._writing() as db:
            _keep(db, self._seal, entry.key, now)
            sealed = self._seal(entry.content, _entry_name(room, entry.kind))
            db.execute(
                "INSERT OR REPLACE INTO room_entry VALUES (?, ?, ?, ?, ?)",
                (room, entry.kind, entry.period, entry.submission, sealed),
            )

    def written(self) -> list[WrittenEntry]:
        """Return what this client wrote last, by room and kind."""
        keys = {room_id(key): key for key in self.keys()}
        with self._lock, self._snapshot() as db:
            rows = db.execute(
                "SELECT room, kind, period, submission, sealed FROM room_entry ORDER BY room, kind"
            ).fetchall()
            return [
                WrittenEntry(
                    keys[room],
                    ContentKind(kind),
                    self._open(sealed, _entry_name(room, kind)),
                    period,
                    submission,
                )
                for room, kind, period, submission, sealed in rows
            ]

    def forget_written(self, key: CampaignKey) -> None:
        """Forget what this client wrote in a room: it left."""
        with self._lock, self._writing() as db:
            db.execute("DELETE FROM room_entry WHERE room = ?", (room_id(key),))


def _keep(db: sqlite3.Connection, seal: Callable[[bytes, bytes], bytes], key: CampaignKey, now: int) -> None:
    room = room_id(key)
    db.execute(
        "INSERT INTO room VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET seen = max(seen, excluded.seen)",
        (room, seal(key, _key_name(room)), now),
    )


def _key_name(room: bytes) -> bytes:
    return b"room" + room


def _entry_name(room: bytes, kind: int) -> bytes:
    return b"room entry" + room + bytes([kind])
