"""What a client keeps, in SQLite: outputs of its own values, sealed submissions, verified charters, cursors.

Rules
1. A value is kept only as BLAKE2b under a key of this vault, 16 bytes; its output F only sealed. A tag is computed
   when it is needed and never stored (M-7.7).
2. Outputs are sealed in blocks of up to 1,000 of one (type, epoch), so that going through a million of them costs
   a million copies and a thousand decryptions. A block is rewritten under a fresh nonce when it grows.
3. Secrets are sealed with XChaCha20-Poly1305 under keys derived from the keyring's vault key. The associated data says
   what they are, so nothing can be moved elsewhere in the file.
4. The vault is bound to federation, member and pinned charter; any other vault is refused before it is read.
5. The outbox holds the exact bytes of a request from before it is first sent until it is acknowledged.
6. Several threads and processes may use one vault; each change is one transaction.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sqlite3
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

from tocsin.client.errors import BadVault
from tocsin.client.templates.vault_tables import TemplateTables
from tocsin.client.vault_matches import MatchTable
from tocsin.client.vault_pending import PendingTable
from tocsin.client.vault_rooms import RoomTables
from tocsin.client.vault_tables import bind
from tocsin.indicators.registry import Observable
from tocsin.oprf.rfc9497 import OUTPUT_BYTES, Output

Random = Callable[[int], bytes]

KEY_BYTES = 16
BLOCK_OUTPUTS = 1_000
RECORD_BYTES = KEY_BYTES + OUTPUT_BYTES

_NONCE = 24
_BUSY_MS = 10_000
# A value's mark: 0 for not reported, 1 for reported in no known period, else the period above this.
_SEALED = 2


@dataclass(frozen=True, slots=True)
class KeptCharter:
    """A verified charter: its version, its signed envelope, and when it was adopted, in unix seconds."""

    version: int
    envelope: bytes
    adopted: int


class OutboxKind(StrEnum):
    """Which request a row of the outbox is."""

    SUBMIT = "submit"
    RETRACT = "retract"


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A request that was sealed and not acknowledged yet. `payload` is what goes on the wire."""

    id: int
    kind: OutboxKind
    idempotency_key: bytes
    payload: bytes
    created: int


@dataclass(frozen=True, slots=True, repr=False)
class Block:
    """Outputs of one (type, epoch): records of 16-byte value key ‖ 64-byte F, concatenated. Secret."""

    type: str
    epoch: int
    records: bytes

    def __repr__(self) -> str:
        return f"Block({self.type}, epoch {self.epoch}, {len(self.records) // RECORD_BYTES} outputs)"


@dataclass(frozen=True, slots=True)
class Reported:
    """A value that this client reported: where its output is kept, and the last period it was sealed in, if known."""

    key: bytes
    type: str
    epoch: int
    sealed: int | None


@dataclass(frozen=True, slots=True)
class Cursor:
    """The next index wanted of a log, and a time that what follows is younger than (0 for unknown)."""

    next_index: int
    since: int


class Vault:
    """One member's vault. `open_vault` makes one."""

    def __init__(self, connection: sqlite3.Connection, key: bytes, random: Random, path: Path) -> None:
        self._connection = connection
        self._hash_key = hmac.digest(key, b"tocsin/1 vault values", "sha256")
        self._seal_key = hmac.digest(key, b"tocsin/1 vault secrets", "sha256")
        self._random = random
        self._lock = threading.RLock()
        self._path = path
        self.templates = TemplateTables(
            self._lock, self._snapshot, self._writing, self._erasing, self._seal, self._open
        )
        self.matches = MatchTable(self._lock, self._snapshot, self._writing)
        self.rooms = RoomTables(self._lock, self._snapshot, self._writing, self._seal, self._open)
        self.pending = PendingTable(self._lock, self._snapshot, self._unhurried, self._seal, self._open)

    def __repr__(self) -> str:
        return f"Vault({str(self._path)!r})"

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def key_of(self, observable: Observable) -> bytes:
        """Return the 16 bytes that stand for a value in this vault (rule 1)."""
        name = observable.type.encode()
        return hashlib.blake2b(
            len(name).to_bytes(2, "big") + name + observable.canonical,
            digest_size=KEY_BYTES,
            key=self._hash_key,
        ).digest()

    # Outputs

    def types(self, keys: Iterable[bytes]) -> dict[bytes, str]:
        """Return the types of these values, by value key, of those that the vault has an output of."""
        wanted = list(keys)
        types: dict[bytes, str] = {}
        with self._lock, self._snapshot():
            for start in range(0, len(wanted), 500):
                part = wanted[start : start + 500]
                marks = ",".join("?" * len(part))
                sql = f"SELECT DISTINCT key, type FROM value WHERE key IN ({marks})"  # noqa: S608  marks
                types.update(self._connection.execute(sql, part))
        return types

    def outputs(self, epoch: int, keys: Iterable[bytes]) -> dict[bytes, Output]:
        """Return the outputs that the vault has of these values under one key epoch, by value key."""
        wanted = list(keys)
        places: dict[int, list[tuple[bytes, int]]] = {}
        with self._lock, self._snapshot():
            for start in range(0, len(wanted), 500):
                part = wanted[start : start + 500]
                marks = ",".join("?" * len(part))
                rows = self._connection.execute(
                    f"SELECT key, block, slot FROM value WHERE epoch = ? AND key IN ({marks})",  # noqa: S608  marks
                    (epoch, *part),
                )
                for key, block, slot in rows:
                    places.setdefault(block, []).append((key, slot))
            outputs: dict[bytes, Output] = {}
            for block, members in places.items():
                records = self._block(block).records
                for key, slot in members:
                    at = slot * RECORD_BYTES
                    if records[at : at + KEY_BYTES] != key:
                        raise BadVault(
                            f"{self._path}: block {block} and its index disagree; restore the file from a backup"
                        )
                    outputs[key] = Output(records[at + KEY_BYTES : at + RECORD_BYTES])
        return outputs

    def keep_outputs(self, type: str, epoch: int, outputs: Mapping[bytes, Output]) -> None:
        """Keep outputs of one (type, epoch) by value key; those the vault already has stay as they are."""
        with self._lock, self._writing() as db:
            known: set[bytes] = set()
            keys = list(outputs)
            for start in range(0, len(keys), 500):
                part = keys[start : start + 500]
                marks = ",".join("?" * len(part))
                rows = db.execute(
                    f"SELECT key FROM value WHERE epoch = ? AND key IN ({marks})",  # noqa: S608  marks only
                    (epoch, *part),
                )
                known.update(row[0] for row in rows)
            fresh = [key for key in keys if key not in known]
            while fresh:
                row = db.execute(
                    "SELECT id, count FROM block WHERE type = ? AND epoch = ? AND count < ? LIMIT 1",
                    (type, epoch, BLOCK_OUTPUTS),
                ).fetchone()
                if row is None:
                    block = db.execute("SELECT coalesce(max(id), 0) + 1 FROM block").fetchone()[0]
                    count, records = 0, b""
                else:
                    block, count = row
                    records = self._block(block).records
                taken, fresh = fresh[: BLOCK_OUTPUTS - count], fresh[BLOCK_OUTPUTS - count :]
                records += b"".join(key + outputs[key] for key in taken)
                db.execute(
                    "INSERT INTO block (id, type, epoch, count, sealed) VALUES (?, ?, ?, ?, ?) "
                    "ON CONFLICT (id) DO UPDATE SET count = excluded.count, sealed = excluded.sealed",
                    (
                        block,
                        type,
                        epoch,
                        count + len(taken),
                        self._seal(records, _block_name(block, type, epoch)),
                    ),
                )
                db.executemany(
                    "INSERT INTO value (key, epoch, type, block, slot) VALUES (?, ?, ?, ?, ?)",
                    [(key, epoch, type, block, count + place) for place, key in enumerate(taken)],
                )

    def blocks(self, epochs: Iterable[tuple[str, int]]) -> Iterator[Block]:
        """Yield every block of these (type, epoch) pairs; what is added or dropped meanwhile may or may not be seen."""
        for type, epoch in epochs:
            with self._lock, self._reading():
                rows = self._connection.execute(
                    "SELECT id FROM block WHERE type = ? AND epoch = ? ORDER BY id", (type, epoch)
                ).fetchall()
            for (block,) in rows:
                with self._lock, self._snapshot() as db:
                    # Another thread or process may have dropped the epoch, and a new block taken its number.
                    kept = db.execute(
                        "SELECT 1 FROM block WHERE id = ? AND type = ? AND epoch = ?", (block, type, epoch)
                    ).fetchone()
                    content = self._block(block) if kept else None
                if content is not None:
                    yield content

    def output_counts(self) -> dict[tuple[str, int], int]:
        """Return how many outputs the vault has, by (type, epoch)."""
        with self._lock, self._reading():
            rows = self._connection.execute("SELECT type, epoch, sum(count) FROM block GROUP BY type, epoch")
            return {(type, epoch): count for type, epoch, count in rows}

    def forget_epoch(self, type: str, epoch: int) -> None:
        """Drop every output of one (type, epoch), when its charter ended it; what lay there is overwritten."""
        with self._lock, self._erasing() as db:
            db.execute("DELETE FROM value WHERE type = ? AND epoch = ?", (type, epoch))
            db.execute("DELETE FROM block WHERE type = ? AND epoch = ?", (type, epoch))

    def mark_reported(self, epoch: int, keys: Iterable[bytes]) -> None:
        """Note that this client reported these values under one epoch."""
        with self._lock, self._writing() as db:
            db.executemany(
                "UPDATE value SET reported = max(reported, 1) WHERE key = ? AND epoch = ?",
                [(key, epoch) for key in keys],
            )

    def mark_sealed(self, epoch: int, keys: Iterable[bytes], period: int) -> None:
        """Note that an entry of these reported values, sealed in a period, is in the outbox or with the node."""
        with self._lock, self._writing() as db:
            db.executemany(
                "UPDATE value SET reported = ? WHERE key = ? AND epoch = ? AND reported",
                [(period + _SEALED, key, epoch) for key in keys],
            )

    def count_disputes(self, day: int, count: int, limit: int) -> bool:
        """Add to the count of a day's disputes; False, and nothing added, where that would pass `limit`."""
        with self._lock, self._writing() as db:
            row = db.execute("SELECT value FROM meta WHERE name = 'disputes'").fetchone()
            last, used = struct.unpack(">QQ", row[0]) if row else (day, 0)
            used = used if last == day else 0
            if used + count > limit:
                return False
            db.execute(
                "INSERT OR REPLACE INTO meta VALUES ('disputes', ?)", (struct.pack(">QQ", day, used + count),)
            )
            return True

    def unmark_sealed(self) -> None:
        """Forget what was sealed when: an entry was lost, and it is not known which values it was of."""
        with self._lock, self._writing() as db:
            db.execute("UPDATE value SET reported = 1 WHERE reported > 1")

    def unmark_reported(self, keys: Iterable[bytes]) -> None:
        """Note that these values were retracted, in every epoch."""
        with self._lock, self._writing() as db:
            db.executemany("UPDATE value SET reported = 0 WHERE key = ?", [(key,) for key in keys])

    def reported(self) -> list[Reported]:
        """Return every value that this client reported and did not retract."""
        with self._lock, self._reading():
            rows = self._connection.execute("SELECT key, type, epoch, reported FROM value WHERE reported")
            return [
                Reported(key, type, epoch, mark - _SEALED if mark >= _SEALED else None)
                for key, type, epoch, mark in rows
            ]

    # Outbox

    def enqueue(self, kind: OutboxKind, idempotency_key: bytes, payload: bytes, now: int) -> None:
        """Keep a request's exact bytes until it is acknowledged or dropped."""
        sealed = self._seal(payload, b"outbox" + kind.encode() + idempotency_key)
        with self._lock, self._writing() as db:
            db.execute(
                "INSERT INTO outbox (kind, idempotency, sealed, created) VALUES (?, ?, ?, ?)",
                (kind, idempotency_key, sealed, now),
            )

    def outbox(self) -> list[OutboxRow]:
        """Return the requests not acknowledged yet, oldest first."""
        with self._lock, self._reading():
            rows = self._connection.execute(
                "SELECT id, kind, idempotency, sealed, created FROM outbox ORDER BY id"
            ).fetchall()
            return [
                OutboxRow(
                    id,
                    OutboxKind(kind),
                    key,
                    self._open(sealed, b"outbox" + kind.encode() + key),
                    created,
                )
                for id, kind, key, sealed, created in rows
            ]

    def settle(self, idempotency_key: bytes) -> None:
        """Drop a request that was acknowledged, or that can never be."""
        with self._lock, self._writing() as db:
            db.execute("DELETE FROM outbox WHERE idempotency = ?", (idempotency_key,))

    # Charters and peppers

    def keep_charter(self, version: int, envelope: bytes, now: int) -> None:
        """Keep a verified charter, adopted `now`; a version that the vault already has is never replaced."""
        sealed = self._seal(envelope, b"charter" + struct.pack(">Q", version))
        with self._lock, self._writing() as db:
            db.execute("INSERT OR IGNORE INTO charter VALUES (?, ?, ?)", (version, sealed, now))

    def charters(self) -> list[KeptCharter]:
        """Return every verified charter, oldest first."""
        with self._lock, self._reading():
            rows = self._connection.execute("SELECT * FROM charter ORDER BY version").fetchall()
            return [
                KeptCharter(version, self._open(sealed, b"charter" + struct.pack(">Q", version)), adopted)
                for version, sealed, adopted in rows
            ]

    def keep_pepper(self, number: int, start: int, pepper: bytes) -> None:
        """Keep the pepper that begins at a period's number; `start` in unix seconds."""
        sealed = self._seal(pepper, b"pepper" + struct.pack(">QQ", number, start))
        with self._lock, self._writing() as db:
            db.execute("INSERT OR REPLACE INTO pepper VALUES (?, ?, ?)", (number, start, sealed))

    def peppers(self) -> list[tuple[int, int, bytes]]:
        """Return (period number, start, pepper) of every pepper received, ascending."""
        with self._lock, self._reading():
            rows = self._connection.execute(
                "SELECT number, start, sealed FROM pepper ORDER BY number"
            ).fetchall()
            return [(n, s, self._open(sealed, b"pepper" + struct.pack(">QQ", n, s))) for n, s, sealed in rows]

    def forget_pepper(self, number: int) -> None:
        """Drop the pepper that begins at a period's number; what lay there is overwritten."""
        with self._lock, self._erasing() as db:
            db.execute("DELETE FROM pepper WHERE number = ?", (number,))

    # Positions in logs

    def cursors(self) -> dict[bytes, Cursor]:
        """Return the position of the stream of new tags, by writer."""
        with self._lock, self._reading():
            rows = self._connection.execute("SELECT writer, next_index, since FROM cursor")
            return {writer: Cursor(next_index, since) for writer, next_index, since in rows}

    def move_cursors(self, cursors: Mapping[bytes, Cursor]) -> None:
        """Store the position of the stream, by writer; others stay."""
        with self._lock, self._writing() as db:
            db.executemany(
                "INSERT OR REPLACE INTO cursor VALUES (?, ?, ?)",
                [(writer, cursor.next_index, cursor.since) for writer, cursor in cursors.items()],
            )

    def heads(self) -> dict[bytes, tuple[int, bytes]]:
        """Return (size, root) of every log as it was last verified whole."""
        with self._lock, self._reading():
            rows = self._connection.execute("SELECT writer, size, root FROM head")
            return {writer: (size, root) for writer, size, root in rows}

    def keep_head(self, writer: bytes, size: int, root: bytes) -> None:
        """Remember a log's verified size and root."""
        with self._lock, self._writing() as db:
            db.execute("INSERT OR REPLACE INTO head VALUES (?, ?, ?)", (writer, size, root))

    # Sealing

    def _block(self, id: int) -> Block:
        row = self._connection.execute("SELECT type, epoch, sealed FROM block WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise BadVault(f"{self._path}: block {id} is missing; restore the file from a backup")
        type, epoch, sealed = row
        return Block(type, epoch, self._open(sealed, _block_name(id, type, epoch)))

    def _seal(self, plaintext: bytes, name: bytes) -> bytes:
        nonce = self._random(_NONCE)
        return nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, name, nonce, self._seal_key)

    def _open(self, sealed: bytes, name: bytes) -> bytes:
        try:
            return crypto_aead_xchacha20poly1305_ietf_decrypt(
                sealed[_NONCE:], name, sealed[:_NONCE], self._seal_key
            )
        except (CryptoError, ValueError):
            raise BadVault(
                f"{self._path}: a sealed row does not open; restore the file from a backup"
            ) from None

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise BadVault(f"{self._path}: {error}; check that the disk and the file are sound") from error

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """Read from one state of the file in several statements."""
        with self._reading():
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def _erasing(self) -> Iterator[sqlite3.Connection]:
        with self._reading():
            self._connection.execute("PRAGMA secure_delete = ON")
            try:
                with self._writing() as db:
                    yield db
            finally:
                self._connection.execute("PRAGMA secure_delete = OFF")

    @contextmanager
    def _unhurried(self) -> Iterator[sqlite3.Connection]:
        """Write what a crash of the machine, not of the program, may lose: it does not wait for the disk."""
        with self._reading():
            self._connection.execute("PRAGMA synchronous = NORMAL")
            try:
                with self._writing() as db:
                    yield db
            finally:
                self._connection.execute("PRAGMA synchronous = FULL")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._reading():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # A full disk may have already ended the transaction; then its own error is the one to show.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def open_vault(
    path: Path, key: bytes, *, federation: str, member: bytes, pin: bytes, random: Random
) -> Vault:
    """Open the vault at `path`, or found it there with mode 0600.

    `key` is the keyring's 32-byte vault key, `pin` the hash of the pinned charter. Raises `ForeignVault` for
    another member's, federation's or key's vault (rule 4) and `BadVault`.
    """
    connection = None
    try:
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(
            path, timeout=_BUSY_MS / 1000, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        vault = Vault(connection, key, random, path)
        bind(connection, path, key, json.dumps([federation, member.hex(), pin.hex()]).encode())
    except (sqlite3.Error, OSError) as error:
        if connection is not None:
            connection.close()
        raise BadVault(
            f"{path}: cannot be used as a vault ({error}); name another file or restore this one"
        ) from error
    except BadVault:
        if connection is not None:
            connection.close()
        raise
    return vault


def _block_name(id: int, type: str, epoch: int) -> bytes:
    return b"block" + struct.pack(">QQ", id, epoch) + type.encode()
