"""How a match is shown to people: its cells in a table, and its words in a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.cli.output import Cell, day, utc

if TYPE_CHECKING:
    from enum import IntEnum

    from tocsin.client import Match

MATCH_COLUMNS: tuple[Cell, ...] = (
    ("reported by", "entry"),
    "accused of",
    ("value", "belongs to"),
    ("bad", "accounts"),
    ("weeks", "seen"),
    ("confidence", "TLP"),
    ("log", "checked"),
)


def match_row(match: Match) -> tuple[Cell, ...]:
    """Return the cells of a match under `MATCH_COLUMNS`."""
    from tocsin.client.results import word
    from tocsin.sealing.label import Report, bucket_range

    label = match.label
    reported_by = (match.writer_name, entry_of(match))
    checked = tuple(utc(match.checkpoint_time).split(" "))
    if not isinstance(label, Report):
        entries = tuple(f"{writer.hex()[:8]}:{index}" for writer, index in label.disputed)
        return reported_by, ("disputes:", word(label.reason)), entries, "", "", "", checked
    low, high = bucket_range(label.bad_accounts_bucket)
    weeks = dict.fromkeys((day(label.first_week), day(label.last_week)))
    return (
        reported_by,
        _accused_of(label.abuse, match),
        word(label.role),
        str(low) if low == high else f"{low}-{high}",
        tuple(weeks),
        (f"{label.confidence} %", word(label.tlp)),
        checked,
    )


def match_line(match: Match) -> str:
    """Return what a match says in one line."""
    from tocsin.client.results import word
    from tocsin.sealing.label import Report, bucket_range

    label = match.label
    if not isinstance(label, Report):
        return f"{match.writer_name} disputes it: {word(label.reason)}, entry {entry_of(match)}"
    low, high = bucket_range(label.bad_accounts_bucket)
    accounts = (
        "1 bad account"
        if high == 1
        else f"{low}-{high} bad accounts"
        if low != high
        else f"{low} bad accounts"
    )
    return (
        f"{match.writer_name}: {' '.join(_accused_of(label.abuse, match))}, {word(label.role)}, {accounts}, "
        f"{label.confidence} %, {word(label.tlp)}, entry {entry_of(match)}"
    )


def entry_of(match: Match) -> str:
    """Name a match's entry as `tocsin evidence export --match` takes it."""
    return f"{match.writer.hex()[:8]}:{match.index}"


def _accused_of(abuse: IntEnum, match: Match) -> tuple[str, ...]:
    from tocsin.client.results import word

    said = word(abuse)
    return (f"{said},", f"similar prompt ({match.bands}/{match.bands_of})") if match.bands else (said,)
