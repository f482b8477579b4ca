"""Final decisions that wait for the member's own systems.

1. A decision leaves once, by whichever output takes it first. What could not be delivered waits, and is taken again.
2. Taking decisions for a slow output puts them off first, in a transaction of its own: no lock is held meanwhile, a
   second process takes others, and what a killed process had is due again after `LEASE_S`.
3. `id` is the same for every attempt and differs between casebooks, so the receiver recognises a repetition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select, update

from tocsin.detect.casebook import tables
from tocsin.detect.casebook.flags import abuse_name, flag_of_number
from tocsin.detect.rules import in_bits

LEASE_S = 600
_DELIVERY, _VERDICT = tables.delivery.c, tables.verdict.c


@dataclass(frozen=True, slots=True)
class Due:
    """A decision that is due: its number in the queue, its id, and what leaves."""

    no: int
    id: str
    attempts: int
    decision: dict[str, Any] = field(repr=False)


def due(connection: Connection, now: int, limit: int | None = None) -> list[Due]:
    """Return what is due and not delivered, the oldest first."""
    mark: bytes = connection.execute(select(tables.meta.c.key_mark)).scalar_one()
    rows = connection.execute(
        select(
            _DELIVERY.no, _DELIVERY.name, _DELIVERY.flag, _DELIVERY.attempts, _VERDICT.outcome, _VERDICT.reason,
            _VERDICT.reviewer, _VERDICT.time, _VERDICT.sampled,
        )
        .join(tables.verdict, _VERDICT.no == _DELIVERY.verdict)
        .where(_DELIVERY.delivered == 0, _DELIVERY.due <= now)
        .order_by(_DELIVERY.no)
        .limit(limit)
    ).all()  # fmt: skip
    return [
        Due(row.no, f"{mark.hex()[:16]}-{row.name}", row.attempts, _decision(connection, row)) for row in rows
    ]


def take_due(connection: Connection, now: int, limit: int) -> list[Due]:
    """Return what is due, and put it off for as long as delivering it may take (rule 2)."""
    taken = due(connection, now, limit)
    connection.execute(
        update(tables.delivery)
        .where(_DELIVERY.no.in_([waiting.no for waiting in taken]))
        .values(due=now + LEASE_S)
    )
    return taken


def mark_delivered(connection: Connection, numbers: Sequence[int], now: int) -> None:
    """Note that these were delivered."""
    connection.execute(
        update(tables.delivery)
        .where(_DELIVERY.no.in_(numbers))
        .values(delivered=now, attempts=_DELIVERY.attempts + 1)
    )


def put_off(connection: Connection, number: int, attempts: int, due: int) -> None:
    """Note that so many attempts to deliver it failed in all, and when the next one is due."""
    connection.execute(
        update(tables.delivery)
        .where(_DELIVERY.no == number, _DELIVERY.delivered == 0)
        .values(attempts=attempts, due=due)
    )


def waiting(connection: Connection) -> int:
    """Return how many decisions are not delivered, due or not."""
    return len(connection.execute(select(_DELIVERY.no).where(_DELIVERY.delivered == 0)).all())


def _decision(connection: Connection, row: Any) -> dict[str, Any]:
    flag = flag_of_number(connection, row.flag)
    return {
        "name": row.name,
        "account": flag.account,
        "outcome": row.outcome,
        "reason": row.reason,
        "reviewer": row.reviewer,
        "time": row.time,
        "sampled": row.sampled,
        "abuse": abuse_name(flag.abuse),
        "bits": in_bits(flag.bits),
        "campaign": flag.campaign,
        "explanation": flag.explanation,
    }
