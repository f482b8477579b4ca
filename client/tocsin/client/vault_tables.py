"""The vault's tables, and whose they are.

1. A new file is bound to its owner (federation, member, pinned charter) and to the vault's key.
2. A file of another owner, key, release or program is refused before anything else is read.
"""

from __future__ import annotations

import hmac
import sqlite3
from pathlib import Path

from tocsin.client.errors import BadVault, ForeignVault

SCHEMA = 6

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE block (
    id INTEGER PRIMARY KEY, type TEXT NOT NULL, epoch INTEGER NOT NULL, count INTEGER NOT NULL, sealed BLOB NOT NULL
);
CREATE INDEX block_of ON block (type, epoch);
CREATE TABLE value (
    key BLOB NOT NULL, epoch INTEGER NOT NULL, type TEXT NOT NULL, block INTEGER NOT NULL, slot INTEGER NOT NULL,
    reported INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (key, epoch)
) WITHOUT ROWID;
CREATE INDEX reported_value ON value (reported) WHERE reported;
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, idempotency BLOB NOT NULL UNIQUE,
    sealed BLOB NOT NULL, created INTEGER NOT NULL
);
CREATE TABLE pending (
    id INTEGER PRIMARY KEY AUTOINCREMENT, class INTEGER NOT NULL, epoch INTEGER NOT NULL, sealed BLOB NOT NULL
);
CREATE TABLE charter (version INTEGER PRIMARY KEY, envelope BLOB NOT NULL, adopted INTEGER NOT NULL);
CREATE TABLE pepper (number INTEGER PRIMARY KEY, start INTEGER NOT NULL, sealed BLOB NOT NULL);
CREATE TABLE cursor (
    writer BLOB PRIMARY KEY, next_index INTEGER NOT NULL, since INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE band (
    skeleton BLOB NOT NULL, number INTEGER NOT NULL, band BLOB NOT NULL, PRIMARY KEY (skeleton, number)
) WITHOUT ROWID;
CREATE INDEX skeleton_of ON band (band);
CREATE TABLE record (
    id INTEGER PRIMARY KEY AUTOINCREMENT, ref BLOB NOT NULL UNIQUE, skeleton BLOB NOT NULL, epoch INTEGER NOT NULL,
    period INTEGER NOT NULL, reported INTEGER NOT NULL, not_after INTEGER NOT NULL, stands INTEGER NOT NULL,
    sealed BLOB NOT NULL
);
CREATE INDEX record_of ON record (skeleton);
CREATE TABLE matched (
    key BLOB NOT NULL, writer BLOB NOT NULL, idx INTEGER NOT NULL, type TEXT NOT NULL, seen INTEGER NOT NULL,
    checked INTEGER NOT NULL, PRIMARY KEY (key, writer, idx)
) WITHOUT ROWID;
CREATE INDEX matched_by_seen ON matched (seen, idx);
CREATE INDEX matched_to_check ON matched (writer, checked, idx);
CREATE TABLE room (id BLOB PRIMARY KEY, sealed BLOB NOT NULL, seen INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE room_entry (
    room BLOB NOT NULL, kind INTEGER NOT NULL, period INTEGER NOT NULL, submission BLOB NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (room, kind)
) WITHOUT ROWID;
CREATE TABLE head (writer BLOB PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL) WITHOUT ROWID;
"""


def bind(connection: sqlite3.Connection, path: Path, key: bytes, owner: bytes) -> None:
    """Make the tables of a new vault, or check whose an old one is; `owner` says for whom it is opened.

    Raises `ForeignVault`, and `BadVault` for another release's file or another program's.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if tables and "meta" not in tables:
            raise BadVault(
                f"{path} is the database of another program; name a file of its own as `vault` in client.toml"
            )
        if not tables:
            for statement in _TABLES.split(";"):
                if statement.strip():
                    connection.execute(statement)
            check = hmac.digest(key, b"tocsin/1 vault owner" + owner, "sha256")
            connection.executemany(
                "INSERT INTO meta VALUES (?, ?)",
                [("schema", str(SCHEMA).encode()), ("owner", owner), ("check", check)],
            )
        found = dict(connection.execute("SELECT name, value FROM meta").fetchall())
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    if found.get("schema") != str(SCHEMA).encode():
        raise BadVault(
            f"{path}: another release wrote the vault; use that release, or start anew with another file"
        )
    if found.get("owner") != owner:
        raise ForeignVault(
            f"{path}: the vault belongs to another federation, member or pinned charter; "
            "name this member's own file as `vault` in client.toml"
        )
    check = hmac.digest(key, b"tocsin/1 vault owner" + owner, "sha256")
    if not hmac.compare_digest(found.get("check", b""), check):
        raise ForeignVault(
            f"{path}: the vault was made with another vault key; use the keyring it was made with"
        )
