"""What the vault keeps of batches that were sent to be evaluated and are not answered yet.

1. A batch is kept before it is sent. Asked again with the same elements it costs nothing (M-4.22); with fresh blinds it
   would cost its evaluations once more, and a client that retries through an outage would use up its budget.
2. Its blinds and elements rest sealed, under the keys by which the vault knows the values.
3. The newest 256 batches are kept: an evaluator remembers 4,096 of a caller. A batch of an epoch that is no longer
   evaluated goes with the others.
4. A crash of the machine, not of the program, may lose the last of them: this costs evaluations, never an output.
"""

from __future__ import annotations

import sqlite3
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from tocsin.oprf.group import ELEMENT_BYTES, SCALAR_BYTES, Element, Scalar

KEY_BYTES = 16
MOST_PENDING = 256
_ROW_BYTES = KEY_BYTES + SCALAR_BYTES + ELEMENT_BYTES


@dataclass(frozen=True, slots=True)
class PendingBatch:
    """A batch as it was sent: for each value its key in the vault, its blind and its blinded element."""

    id: int
    keys: tuple[bytes, ...]
    blinds: tuple[Scalar, ...] = field(repr=False)
    blinded: tuple[Element, ...] = field(repr=False)


class PendingTable:
    """The part of one vault that is about unanswered batches. `Vault` makes it and lends it lock, file and sealing."""

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

    def keep(
        self,
        key_class: int,
        epoch: int,
        keys: Sequence[bytes],
        blinds: Sequence[Scalar],
        blinded: Sequence[Element],
    ) -> PendingBatch:
        """Keep a batch that is about to be sent (rules 1 and 3)."""
        rows = b"".join(b"".join(row) for row in zip(keys, blinds, blinded, strict=True))
        sealed = self._seal(rows, _name(key_class, epoch))
        with self._lock, self._writing() as db:
            id = db.execute(
                "INSERT INTO pending (class, epoch, sealed) VALUES (?, ?, ?) RETURNING id",
                (key_class, epoch, sealed),
            ).fetchone()[0]
            db.execute("DELETE FROM pending WHERE id <= ?", (id - MOST_PENDING,))
        return PendingBatch(id, tuple(keys), tuple(blinds), tuple(blinded))

    def batches(self, key_class: int, epoch: int) -> list[PendingBatch]:
        """Return the unanswered batches of one class and epoch, oldest first."""
        with self._lock, self._snapshot() as db:
            found = db.execute(
                "SELECT id, sealed FROM pending WHERE class = ? AND epoch = ? ORDER BY id", (key_class, epoch)
            ).fetchall()
        return [_batch(id, self._open(sealed, _name(key_class, epoch))) for id, sealed in found]

    def settle(self, id: int) -> None:
        """Forget a batch: it was answered, or is refused for what it is."""
        with self._lock, self._writing() as db:
            db.execute("DELETE FROM pending WHERE id = ?", (id,))


def _batch(id: int, rows: bytes) -> PendingBatch:
    split = [rows[at : at + _ROW_BYTES] for at in range(0, len(rows), _ROW_BYTES)]
    return PendingBatch(
        id,
        tuple(row[:KEY_BYTES] for row in split),
        tuple(Scalar(row[KEY_BYTES:-ELEMENT_BYTES]) for row in split),
        tuple(Element(row[-ELEMENT_BYTES:]) for row in split),
    )


def _name(key_class: int, epoch: int) -> bytes:
    return b"pending" + struct.pack(">HI", key_class, epoch)
