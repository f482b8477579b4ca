"""Final decisions that wait for the member's own systems."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from tocsin.detect.casebook import tables
from tocsin.detect.casebook.flags import flag_of_number

_DELIVERY, _VERDICT = tables.delivery.c, tables.verdict.c


def due(connection: Connection, now: int) -> list[tuple[int, dict[str, object]]]:
    """Return (number, decision) of what is due and not delivered, the oldest first."""
    rows = connection.execute(
        select(
            _DELIVERY.no, _DELIVERY.name, _DELIVERY.flag, _VERDICT.outcome, _VERDICT.reason, _VERDICT.reviewer,
            _VERDICT.time,
        )
        .join(tables.verdict, _VERDICT.no == _DELIVERY.verdict)
        .where(_DELIVERY.delivered == 0, _DELIVERY.due <= now)
        .order_by(_DELIVERY.no)
    ).all()  # fmt: skip
    return [
        (
            row.no,
            {
                "name": row.name,
                "account": flag_of_number(connection, row.flag).account,
                "outcome": row.outcome,
                "reason": row.reason,
                "reviewer": row.reviewer,
                "time": row.time,
                "explanation": flag_of_number(connection, row.flag).explanation,
            },
        )
        for row in rows
    ]


def mark_delivered(connection: Connection, numbers: Sequence[int], now: int) -> None:
    """Note that these were delivered."""
    connection.execute(
        update(tables.delivery).where(_DELIVERY.no.in_(numbers)).values(delivered=now, attempts=1)
    )
