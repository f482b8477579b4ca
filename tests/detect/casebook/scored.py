"""Casebooks and scored accounts for tests; randomness that can be chosen."""

from __future__ import annotations

from pathlib import Path

from tocsin.detect.casebook.book import Casebook, make_casebook, open_casebook
from tocsin.detect.casebook.intake import RestsOn, Scored, Taken, take
from tocsin.detect.explaining import Explanation, Reason
from tocsin.detect.rules import DEFAULT

NOW = 1_780_000_000
DAY = 86_400
ALDER, BIRCH = b"alder".ljust(16), b"birch".ljust(16)
SECRET = "+15550100"


def make(folder: Path, settings: str = "golden_percent = 0\n") -> Path:
    """A casebook's folder with a fixed key."""
    make_casebook(folder, lambda size: bytes(range(size)))
    (folder / "casebook.toml").write_text(settings)
    return folder


def opened(folder: Path, settings: str = "golden_percent = 0\n") -> Casebook:
    return open_casebook(make(folder, settings))


def never(limit: int) -> int:
    """The highest draw: neither a random case nor a golden one."""
    return limit - 1


def scored(
    account: str, bits: int = 32, *, flagged: bool = True, types: tuple[str, ...] = ("contact.phone",),
    reporters: tuple[tuple[bytes, str, int], ...] = ((ALDER, "Alder", 7),), own: int = 0, root: str | None = None,
    value: str = SECRET, random: bool = False, hops: int = 0,
) -> Scored:  # fmt: skip
    """An account that a round scored; `bits` in steps of half a bit, `reporters` as (writer, name, entry)."""
    reasons = tuple(
        Reason(
            type, value, type, "person", bits // len(types), bits * 10, True, own,
            tuple(name for _, name, _ in reporters), 0, 400, False,
        )
        for type in types
    )  # fmt: skip
    entries = {
        (reason.type, value): tuple(RestsOn(writer, name, entry, hops) for writer, name, entry in reporters)
        for reason in reasons
    }
    explanation = Explanation(
        account, bits, flagged, ("person",), reasons, () if flagged else ("2 more bits, to 15",), ()
    )
    return Scored(explanation, 1, root, random, entries)


def taken(book: Casebook, *accounts: Scored, run: int = 1, now: int = NOW) -> Taken:
    return take(book, accounts, run, DEFAULT, now)
