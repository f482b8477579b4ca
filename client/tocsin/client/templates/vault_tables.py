"""What the vault keeps of prompt templates: which bands a skeleton has, and the records that this client sealed.

1. Skeletons and bands are named as values are, by a keyed hash of 16 bytes (M-7.7).
2. A record's key and shares are stored sealed, with the record's ref as associated data (M-7.7).
3. Of one skeleton's records in one epoch and period the newest alone stands. One that was replaced or taken back is
   kept until it expires: its ref must not be carried on, and a retraction covers it too.
4. The bands of a skeleton are forgotten once the vault has no output of any of them, unless the skeleton is reported or
   has a record that has not expired: renewing and retracting need them.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from tocsin.oprf.group import SCALAR_BYTES, Scalar
from tocsin.sealing.record import BandSlot, Record, RecordKey

_STEP = 500
_COLUMNS = "ref, skeleton, epoch, period, reported, not_after, sealed"


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """A record of a skeleton (its vault key) under one epoch of the bands' class. Times are unix seconds."""

    record: Record
    skeleton: bytes = field(repr=False)
    epoch: int
    period: int
    reported: int
    not_after: int


class TemplateTables:
    """The part of one vault that is about templates. `Vault` makes it and lends it its lock, file and seal."""

    def __init__(
        self,
        lock: threading.RLock,
        snapshot: Callable[[], AbstractContextManager[sqlite3.Connection]],
        writing: Callable[[], AbstractContextManager[sqlite3.Connection]],
        erasing: Callable[[], AbstractContextManager[sqlite3.Connection]],
        seal: Callable[[bytes, bytes], bytes],
        open: Callable[[bytes, bytes], bytes],
    ) -> None:
        self._lock = lock
        self._snapshot = snapshot
        self._writing = writing
        self._erasing = erasing
        self._seal = seal
        self._open = open

    def remember(self, bands: Mapping[bytes, Sequence[bytes]]) -> None:
        """Note the bands of skeletons, band 1 first."""
        with self._lock, self._writing() as db:
            known = _bands(db, bands)
            rows = [
                (skeleton, number, band)
                for skeleton, keys in bands.items()
                if known.get(skeleton) != tuple(keys)
                for number, band in enumerate(keys, 1)
            ]
            db.executemany("INSERT OR REPLACE INTO band VALUES (?, ?, ?)", rows)

    def forget(self, now: int) -> None:
        """Drop records that expired and bands that nothing needs (rule 4); what lay there is overwritten."""
        with self._lock, self._erasing() as db:
            db.execute("DELETE FROM record WHERE not_after <= ?", (now,))
        with self._lock, self._snapshot() as db:
            unused = [skeleton for (skeleton,) in db.execute(_unused("band"))]
        # In parts: another process waits ten seconds for its turn to write, and no longer.
        for marks, part in _parts(unused):
            still = _unused(f"band WHERE skeleton IN ({marks})")
            with self._lock, self._erasing() as db:
                db.execute(f"DELETE FROM band WHERE skeleton IN ({still})", part)  # noqa: S608  marks

    def bands(self, skeletons: Iterable[bytes]) -> dict[bytes, tuple[bytes, ...]]:
        """Return the bands of those skeletons that have any, band 1 first."""
        with self._lock, self._snapshot() as db:
            return _bands(db, skeletons)

    def with_any_of(self, bands: Iterable[bytes]) -> dict[bytes, tuple[bytes, ...]]:
        """Return the skeletons that have any of these bands, each with all of its bands."""
        skeletons: set[bytes] = set()
        with self._lock, self._snapshot() as db:
            for marks, part in _parts(bands):
                rows = db.execute(f"SELECT skeleton FROM band WHERE band IN ({marks})", part)  # noqa: S608  marks
                skeletons.update(skeleton for (skeleton,) in rows)
        return self.bands(skeletons)

    def keep_records(self, records: Iterable[KeptRecord], now: int) -> None:
        """Keep fresh records, each instead of what stood for its skeleton (rule 3); what expired is dropped."""
        with self._lock, self._writing() as db:
            db.execute("DELETE FROM record WHERE not_after <= ?", (now,))
            for record in records:
                db.execute(
                    "UPDATE record SET stands = 0 WHERE skeleton = ? AND epoch = ? AND period = ?",
                    (record.skeleton, record.epoch, record.period),
                )
                sealed = self._seal(
                    record.record.key + b"".join(record.record.shares), _name(record.record.ref)
                )
                row = record.skeleton, record.epoch, record.period, record.reported, record.not_after
                db.execute(
                    f"INSERT INTO record ({_COLUMNS}, stands) VALUES (?, ?, ?, ?, ?, ?, ?, 1)",  # noqa: S608  names
                    (record.record.ref, *row, sealed),
                )

    def records(self, skeletons: Iterable[bytes]) -> list[KeptRecord]:
        """Return every record kept of these skeletons, whether it stands or not, oldest first."""
        kept: list[KeptRecord] = []
        with self._lock, self._snapshot() as db:
            for marks, part in _parts(skeletons):
                rows = db.execute(
                    f"SELECT {_COLUMNS} FROM record WHERE skeleton IN ({marks}) ORDER BY id",  # noqa: S608  marks
                    part,
                )
                kept += [self._kept(*row) for row in rows]
        return kept

    def slots(self, bands: Iterable[bytes], epoch: int, period: int, now: int) -> dict[bytes, list[BandSlot]]:
        """Return, by band, the slots of records that stand and were sealed in one epoch and period, newest first."""
        slots: list[tuple[int, bytes, BandSlot]] = []
        kept: dict[int, KeptRecord] = {}
        with self._lock, self._snapshot() as db:
            for marks, part in _parts(bands):
                rows = db.execute(
                    f"SELECT id, band, number, {_COLUMNS} FROM record JOIN band USING (skeleton) "  # noqa: S608  marks
                    f"WHERE band IN ({marks}) AND stands AND epoch = ? AND period = ? AND not_after > ?",
                    (*part, epoch, period, now),
                ).fetchall()
                for id, band, number, *row in rows:
                    if id not in kept:
                        kept[id] = self._kept(*row)
                    slots.append((id, band, kept[id].record.slot(number)))
        by_band: dict[bytes, list[BandSlot]] = {}
        for _, band, slot in sorted(slots, key=lambda row: -row[0]):
            by_band.setdefault(band, []).append(slot)
        return by_band

    def known_refs(self) -> frozenset[bytes]:
        """Return the refs of all records kept: of these, `slots` alone says which slots stand."""
        with self._lock, self._snapshot() as db:
            return frozenset(ref for (ref,) in db.execute("SELECT ref FROM record"))

    def take_back(self, skeletons: Iterable[bytes]) -> None:
        """Note that no record of these skeletons stands any more."""
        with self._lock, self._writing() as db:
            db.executemany(
                "UPDATE record SET stands = 0 WHERE skeleton = ?", [(skeleton,) for skeleton in skeletons]
            )

    def _kept(
        self,
        ref: bytes,
        skeleton: bytes,
        epoch: int,
        period: int,
        reported: int,
        not_after: int,
        sealed: bytes,
    ) -> KeptRecord:
        plain = self._open(sealed, _name(ref))
        pieces = [Scalar(plain[at : at + SCALAR_BYTES]) for at in range(0, len(plain), SCALAR_BYTES)]
        record = Record(RecordKey(pieces[0]), ref, tuple(pieces[1:]))
        return KeptRecord(record, skeleton, epoch, period, reported, not_after)


def _unused(bands: str) -> str:
    """SQL for those skeletons of `bands` that nothing needs (rule 4)."""
    return (
        f"SELECT skeleton FROM (SELECT DISTINCT skeleton FROM {bands}) AS candidate"  # noqa: S608  constants and marks
        " WHERE NOT EXISTS (SELECT 1 FROM band JOIN value ON key = band WHERE skeleton = candidate.skeleton)"
        " AND NOT EXISTS (SELECT 1 FROM value WHERE key = candidate.skeleton AND reported)"
        " AND NOT EXISTS (SELECT 1 FROM record WHERE skeleton = candidate.skeleton)"
    )


def _bands(db: sqlite3.Connection, skeletons: Iterable[bytes]) -> dict[bytes, tuple[bytes, ...]]:
    bands: dict[bytes, list[bytes]] = {}
    for marks, part in _parts(skeletons):
        rows = db.execute(
            f"SELECT skeleton, band FROM band WHERE skeleton IN ({marks}) ORDER BY skeleton, number",  # noqa: S608  marks
            part,
        )
        for skeleton, band in rows:
            bands.setdefault(skeleton, []).append(band)
    return {skeleton: tuple(keys) for skeleton, keys in bands.items()}


def _name(ref: bytes) -> bytes:
    return b"record" + ref


def _parts(keys: Iterable[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    wanted = list(keys)
    for start in range(0, len(wanted), _STEP):
        part = wanted[start : start + _STEP]
        yield ",".join("?" * len(part)), part
