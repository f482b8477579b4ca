"""Decisions on their way to the member's own systems. Nothing here blocks an account: a decision leaves with
its explanation.

1. A decision is due after the delay that casebook.toml asks for, so timing does not show what gave an account away.
2. Each is written once; its `name` makes one that arrives twice recognisable.
3. CSV has one line for each decision, in the columns below; the explanation is in words. JSON lines have all of it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tocsin.client.timestamps import iso_time
from tocsin.detect.casebook import decisions
from tocsin.detect.casebook.book import Casebook
from tocsin.detect.casebook.wording import reason_in_words, reporters

Write = Callable[[Sequence[Mapping[str, Any]]], None]
CSV_COLUMNS = (
    "name", "time", "account", "outcome", "reason", "reviewer", "abuse", "bits", "campaign", "sampled", "types",
    "reported_by", "explanation",
)  # fmt: skip


def deliver(book: Casebook, now: int, write: Write) -> int:
    """Pass every decision that is due and was not written before to `write`; returns how many.

    Where `write` raises, all of them are written again by the next call.
    """
    with book.database.writing() as connection:
        due = decisions.due(connection, now)
        write([waiting.decision for waiting in due])
        decisions.mark_delivered(connection, [waiting.no for waiting in due], now)
    return len(due)


def csv_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return decisions as CSV (RFC 4180) with a header (rule 3)."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(CSV_COLUMNS)
    for row in rows:
        explanation = row["explanation"]
        reasons = explanation.get("reasons", ())
        table.writerow(
            (
                row["name"], iso_time(row["time"]), row["account"], row["outcome"], row["reason"], row["reviewer"],
                row["abuse"], f"{row['bits']:g}", row["campaign"] or "", "yes" if row["sampled"] else "no",
                " ".join(sorted({reason["type"] for reason in reasons})), ", ".join(reporters(explanation)),
                " | ".join(map(reason_in_words, reasons)),
            )
        )  # fmt: skip
    return text.getvalue()
