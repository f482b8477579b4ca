"""Decisions on their way to the member's own systems. Nothing here blocks an account: a decision leaves with
its explanation.

1. A decision is due after the delay that casebook.toml asks for, so timing does not show what gave an account away.
2. Each is written once; its `name` makes one that arrives twice recognisable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tocsin.detect.casebook import decisions
from tocsin.detect.casebook.book import Casebook

Write = Callable[[Sequence[Mapping[str, object]]], None]


def deliver(book: Casebook, now: int, write: Write) -> int:
    """Pass every decision that is due and was not written before to `write`; returns how many.

    Where `write` raises, all of them are written again by the next call.
    """
    with book.database.writing() as connection:
        due = decisions.due(connection, now)
        write([row for _, row in due])
        decisions.mark_delivered(connection, [number for number, _ in due], now)
    return len(due)
