"""What the vault keeps of matches that were returned, so that a retraction can be reported: key, writer and index.

1. No value and no label is kept, only the keyed hash that stands for the value (M-7.7).
2. At most 100,000 are kept. Beyond that, those not found for the longest time go first.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

MAX_REMEMBERED = 100_000
_STEP = 500


@dataclass(frozen=True, slots=True)
class RememberedMatch:
    """A match that was returned: the key of the value, and which entry of which writer it was."""

    key: bytes = field(repr=False)
    writer: bytes
    index: int
    type: str


class MatchTable:
    """The part of one vault that is about matches. `Vault` makes it and lends it its lock and file."""

    def __init__(
        self,
        lock: threading.RLock,
        snapshot: Callable[[], AbstractContextManager[sqlite3.Connection]],
        writing: Callable[[], AbstractContextManager[sqlite3.Connection]],
    ) -> None:
        self._lock = lock
        self._snapshot = snapshot
        self._writing = writing

    def remember(self, matches: Iterable[RememberedMatch], now: int) -> None:
        """Remember matches, or that they were found again; the oldest beyond the bound are dropped."""
        with self._lock, self._writing() as db:
            db.executemany(
                "INSERT INTO matched (key, writer, idx, type, seen, checked) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (key, writer, idx) DO UPDATE SET seen = excluded.seen, checked = excluded.checked",
                [(match.key, match.writer, match.index, match.type, now, now) for match in matches],
            )
            (count,) = db.execute("SELECT count(*) FROM matched").fetchone()
            if count > MAX_REMEMBERED:
                db.execute(
                    "DELETE FROM matched WHERE (key, writer, idx) IN "
                    "(SELECT key, writer, idx FROM matched ORDER BY seen, idx LIMIT ?)",
                    (count - MAX_REMEMBERED,),
                )

    def of(self, keys: Iterable[bytes]) -> list[RememberedMatch]:
        """Return the matches remembered of these values."""
        wanted = list(keys)
        matches: list[RememberedMatch] = []
        with self._lock, self._snapshot() as db:
            if db.execute("SELECT 1 FROM matched LIMIT 1").fetchone() is None:
                return []
            for start in range(0, len(wanted), _STEP):
                part = wanted[start : start + _STEP]
                marks = ",".join("?" * len(part))
                rows = db.execute(
                    f"SELECT key, writer, idx, type FROM matched WHERE key IN ({marks})",  # noqa: S608  marks only
                    part,
                )
                matches += [RememberedMatch(*row) for row in rows]
        return matches

    def next_to_check(self, writers: Iterable[bytes], limit: int, now: int) -> list[RememberedMatch]:
        """Return up to `limit` matches of these writers, those not checked for the longest time, as checked now."""
        chosen = list(writers)
        marks = ",".join("?" * len(chosen))
        with self._lock, self._snapshot() as db:
            rows = db.execute(
                f"SELECT key, writer, idx, type FROM matched WHERE writer IN ({marks}) "  # noqa: S608  marks only
                "ORDER BY checked, idx LIMIT ?",
                (*chosen, limit),
            ).fetchall()
        matches = [RememberedMatch(*row) for row in rows]
        if not matches:
            return []
        with self._lock, self._writing() as db:
            db.executemany(
                "UPDATE matched SET checked = ? WHERE key = ? AND writer = ? AND idx = ?",
                [(now, match.key, match.writer, match.index) for match in matches],
            )
        return matches

    def superseded(self, matches: Iterable[RememberedMatch]) -> set[RememberedMatch]:
        """Return those of these matches of which a newer one by the same writer is remembered."""
        with self._lock, self._snapshot() as db:
            return {
                match
                for match in matches
                if db.execute(
                    "SELECT 1 FROM matched WHERE key = ? AND writer = ? AND idx > ?",
                    (match.key, match.writer, match.index),
                ).fetchone()
            }

    def forget(self, matches: Sequence[RememberedMatch]) -> None:
        """Forget matches whose entries are gone."""
        if not matches:
            return
        with self._lock, self._writing() as db:
            db.executemany(
                "DELETE FROM matched WHERE key = ? AND writer = ? AND idx = ?",
                [(match.key, match.writer, match.index) for match in matches],
            )
