"""What others see of the same data: a member that does not hold a value, an evaluator, a thief of a node's disk.

Each view is made of what that party really has: a member's and an evaluator's through the client's public interface, a
thief's by searching every file as bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from tocsin.client import Client
from tocsin.indicators.registry import KeyClass
from tocsin.localnet.federation import Home
from tocsin.proofs.entry import parse_entry_file


@dataclass(frozen=True)
class View:
    """A titled table of what somebody sees."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def non_holder(reader: Home, writer: Home, held: Container[int]) -> View:
    """The first entry that the reader cannot open, as its own node proves it.

    `held` are the indices in the writer's log that the reader matched.
    """
    with Client.connect(reader.client) as client:
        size = next(log.size for log in client.status().logs if log.writer == writer.id)
        others = (index for index in range(size) if index not in held)
        entries = ((index, parse_entry_file(client.prove(writer.id, index).entry)) for index in others)
        # The first entry of a log is its charter, which has no body.
        index, header, body = next(
            (index, entry.header, entry.body) for index, entry in entries if entry.body is not None
        )
    sealed = body.nonce + body.box
    return View(
        f"What a non-holder sees: {reader.name} reads entry {index} of {writer.name}'s log",
        ("field", "what it reads"),
        [
            (
                "class, key period, period",
                f"{KeyClass(header.key_class).label}, {header.epoch}, {header.period}",
            ),
            ("tag", body.tag.hex()),
            (
                "nonce and box",
                f"{sealed.hex()[:40]}... ({len(sealed)} bytes, the same for every entry)",
            ),
            ("label", "none: no value it holds gives this tag"),
        ],
    )


def evaluator(home: Home, homes: Sequence[Home]) -> View:
    """What an evaluator keeps of the evaluations it took part in: how many it counted for each caller."""
    used: dict[str, dict[str, int]] = {}
    for caller in homes:
        with Client.connect(caller.client) as client:
            for seat in client.budget().budgets:
                if seat.evaluator == home.id:
                    counts = used.setdefault(seat.key_class_name, {})
                    counts[caller.name] = counts.get(caller.name, 0) + seat.limit - seat.left
    return View(
        f"What an evaluator sees: {home.name}'s counters of who asked how much (never what)",
        ("key class", *(caller.name for caller in homes)),
        [
            (key_class, *(f"{counts.get(caller.name, 0):,}" for caller in homes))
            for key_class, counts in used.items()
            if any(counts.values())
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
