"""What others see of the same data: a member that does not hold a value, an evaluator, a thief of a node's disk.

Each view is computed from what that party really has, and where it tries something, the attempt is made here.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Container, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

from tocsin.indicators.registry import KeyClass
from tocsin.localnet.federation import Home
from tocsin.tlog.entry import parse_header


@dataclass(frozen=True)
class View:
    """A titled table of what somebody sees."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def non_holder(reader: Home, writer: Home, held: Container[int]) -> View:
    """The first entry that the reader cannot open, as it lies in its own node's database.

    `held` are the indices in the writer's log that the reader matched.
    """
    with _opened(reader) as connection:
        entries = connection.execute(
            "SELECT leaf.leaf_index, leaf.header, body.tag, body.sealed FROM log JOIN leaf ON leaf.log = log.no"
            " JOIN body ON body.log = log.no AND body.leaf_index = leaf.leaf_index WHERE log.member = ?",
            (writer.id,),
        ).fetchall()
    index, encoded, tag, sealed = next(entry for entry in entries if entry[0] not in held)
    header = parse_header(encoded)
    return View(
        f"What a non-holder sees: {reader.name} reads entry {index} of {writer.name}'s log",
        ("field", "what it reads"),
        [
            ("class, epoch, period", f"{KeyClass(header.key_class).label}, {header.epoch}, {header.period}"),
            ("tag", tag.hex()),
            ("nonce and box", f"{sealed.hex()[:40]}… ({len(sealed)} bytes, the same for every entry)"),
            ("label", "none: no value it holds gives this tag"),
        ],
    )


def evaluator(home: Home, names: dict[bytes, str]) -> View:
    """Everything a node's database keeps of the evaluations it took part in."""
    with _opened(home) as connection:
        rows = connection.execute(
            "SELECT caller, key_class, SUM(used) FROM budget GROUP BY caller, key_class ORDER BY key_class, caller"
        ).fetchall()
    by_class: dict[int, dict[bytes, int]] = {}
    for caller, key_class, used in rows:
        by_class.setdefault(key_class, {})[bytes(caller)] = used
    callers = sorted(names, key=names.__getitem__)
    return View(
        f"What an evaluator sees: {home.name}'s counters of who asked how much (never what)",
        ("key class", *(names[caller] for caller in callers)),
        [
            (KeyClass(key_class).label, *(f"{used.get(caller, 0):,}" for caller in callers))
            for key_class, used in by_class.items()
        ],
    )


def thief(home: Home, values: Iterable[bytes]) -> View:
    """Every file of a node's folder, searched for every value in the federation, raw and plainly hashed."""
    content = b"".join(
        path.read_bytes() for path in sorted((home.folder / "node").rglob("*")) if path.is_file()
    )
    needles = [value for value in values if len(value) >= 6]
    hashed = [hashlib.sha256(value).digest() for value in needles]
    return View(
        f"What a thief of {home.name}'s whole node sees: {len(content):,} bytes searched",
        ("searched for", "how many", "found"),
        [
            ("raw values", f"{len(needles):,}", str(sum(needle in content for needle in needles))),
            ("SHA-256 of values", f"{len(hashed):,}", str(sum(needle in content for needle in hashed))),
            (
                "SHA-256 in hex",
                f"{len(hashed):,}",
                str(sum(needle.hex().encode() in content for needle in hashed)),
            ),
        ],
    )


def _opened(home: Home) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(f"file:{home.folder / 'node' / 'node.db'}?mode=ro", uri=True))
