"""What came in, what went out, and how often it was right: figures that a member can publish.

1. In: live reports in the newest live run, by type. Out: values that this member's client reported and did not
   retract, and confirmed values shared on.
2. Hit rate of a type: of the decided accounts that a report of the type spoke against, how many people confirmed.
   Verdicts by sample do not count, and an account counts once for each type.
3. A reversal is a final decision that a later one about the same account replaced by another outcome.
4. Time to retract: from sharing a value on to withdrawing it, the median over those withdrawn.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tocsin.detect.casebook import measuring
from tocsin.detect.casebook.book import Casebook
from tocsin.detect.casebook.settings import CONFIRMED, REJECTED


@dataclass(frozen=True, slots=True)
class TypeFigures:
    """The figures of one type of value."""

    type: str
    reports_in: int
    reported_out: int
    shared_on: int
    confirmed: int
    rejected: int

    @property
    def hit_percent(self) -> float | None:
        """Rule 2; None before any decision."""
        decided = self.confirmed + self.rejected
        return 100 * self.confirmed / decided if decided else None


@dataclass(frozen=True, slots=True)
class Transparency:
    """Every figure. `reversed` maps the outcome that was replaced to how often."""

    types: tuple[TypeFigures, ...]
    decisions: int
    reversed: Mapping[str, int]
    withdrawn: int
    median_hours_to_retract: float | None

    def to_dict(self) -> dict[str, object]:
        """Return every field under its name."""
        return {
            "types": [
                {
                    "type": one.type, "reports_in": one.reports_in, "reported_out": one.reported_out,
                    "shared_on": one.shared_on, "confirmed": one.confirmed, "rejected": one.rejected,
                    "hit_percent": one.hit_percent,
                }
                for one in self.types
            ],
            "decisions": self.decisions,
            "reversed": dict(self.reversed),
            "withdrawn": self.withdrawn,
            "median_hours_to_retract": self.median_hours_to_retract,
        }  # fmt: skip


def transparency(book: Casebook, reports_in: Mapping[str, int], reported: Mapping[str, int]) -> Transparency:
    """Return the figures; `reports_in` of the newest run, `reported` by this member's client, both by type."""
    with book.database.reading() as connection:
        hits = measuring.hits(connection)
        decisions, reversals = measuring.reversals(connection)
        rows = measuring.shared_on(connection)
    shared = Counter(type for type, _, withdrawn in rows if not withdrawn)
    took = [(withdrawn - time) / 3_600 for _, time, withdrawn in rows if withdrawn]
    names = sorted({*reports_in, *reported, *shared, *hits})
    return Transparency(
        tuple(
            TypeFigures(
                name, reports_in.get(name, 0), reported.get(name, 0), shared[name], hits[name][CONFIRMED],
                hits[name][REJECTED],
            )
            for name in names
        ),
        decisions, reversals, len(took), statistics.median(took) if took else None,
    )  # fmt: skip


def reports_of_last_run(state: Path) -> dict[str, int]:
    """Return how many reports the newest live run knew, by type. Raises `BadHoldings`, `ExtraMissing`."""
    from tocsin.detect.runs import last_run

    with last_run(state) as connection:
        rows = connection.execute(
            "SELECT type, count(DISTINCT (writer, entry)) FROM current.signals GROUP BY type"
        ).fetchall()
    return {str(type): int(count) for type, count in rows}
