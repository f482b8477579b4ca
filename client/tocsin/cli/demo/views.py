"""What others see of the same data: a member that does not hold a value, an evaluator, a thief of a node's disk.

Each view is computed from what that party really has, and where it tries something, the attempt is made here.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tocsin.cli.demo.federation import Home
from tocsin.client import Client
from tocsin.indicators.registry import KeyClass
from tocsin.tlog.entry import SealedBody


@dataclass(frozen=True)
class View:
    """A titled table of what somebody sees."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def non_holder(name: str, client: Client, writer: str, writer_id: bytes, index: int) -> View:
    """An entry as it lies in the copy of a member that does not hold its value."""
    proven = client.entry(writer_id, index)
    header = proven.leaf.header
    body = proven.body
    tag = body.tag.hex() if isinstance(body, SealedBody) else "erased"
    box = body.box.hex()[:40] if isinstance(body, SealedBody) else "erased"
    return View(
        f"What a non-holder sees: {name} reads entry {index} of {writer}'s log",
        ("field", "what it reads"),
        [
            ("class, epoch, period", f"{KeyClass(header.key_class).label}, {header.epoch}, {header.period}"),
            ("tag", tag),
            ("box", f"{box}… (528 bytes, fixed size)"),
            ("label", "none: its vault holds no value whose secret gives this tag"),
        ],
    )


def evaluator(name: str, database: Path, names: dict[bytes, str]) -> View:
    """Everything a node's database keeps of the evaluations it took part in."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        rows = connection.execute(
            "SELECT caller, key_class, SUM(used) FROM budget GROUP BY caller, key_class ORDER BY key_class, caller"
        ).fetchall()
    by_class: dict[int, dict[bytes, int]] = {}
    for caller, key_class, used in rows:
        by_class.setdefault(key_class, {})[bytes(caller)] = used
    callers = sorted(names, key=names.__getitem__)
    return View(
        f"What an evaluator sees: {name}'s counters of who asked how much (never what)",
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
