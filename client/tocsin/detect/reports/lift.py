"""What the federation gave a member: accounts that it would not have found alone, and days that it was earlier.

1. Beside a live run the detector is run twice more, in shadow, without any report. `ALONE` also leaves out flags from
   before and every verdict on an account that such a run had not put up for review by itself: what others' reports led
   to teaches it nothing. `TOLD` knows every verdict, as if all of them had been found alone.
2. The truth is between the two, so everything is given as bounds: what `TOLD` lacks is the least that others gave, what
   `ALONE` lacks is the most. Nobody reviewed what both missed.
3. Of exchanges, 0 is the least that was prevented: a confirmed account might have stopped. The most assumes that it
   would have gone on at its rate from the flag until today. Holdings count exchanges value by value, so an
   account's are the highest count of one value.
4. A type or a member is counted for each account that only others led to and that a report of it speaks against now.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tocsin.detect.casebook.measuring import FinalVerdict
from tocsin.detect.errors import BadHoldings
from tocsin.detect.rules import Rules
from tocsin.detect.runs import FlagsBefore, Sources, detect, last_run
from tocsin.detect.weights import CONFIRMED, REJECTED

if TYPE_CHECKING:
    import duckdb

ALONE, TOLD = "alone", "alone, told every verdict"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the most that a figure can be."""

    least: float
    most: float

    def to_dict(self) -> dict[str, float]:
        """Return both."""
        return {"least": self.least, "most": self.most}

    def __str__(self) -> str:
        if self.least == self.most:
            return f"{self.least:,.0f}"
        return f"{self.least:,.0f} to {self.most:,.0f}"


@dataclass(frozen=True, slots=True)
class Lift:
    """The figures. `by_type` and `by_member` count accounts found only through others; `runs` the compared runs."""

    runs: int
    flagged: int
    only_through_others: Bounds
    confirmed: Bounds
    rejected: Bounds
    days_earlier: Bounds | None
    exchanges_prevented: Bounds | None
    by_type: Mapping[str, Bounds] = field(default_factory=dict)
    by_member: Mapping[str, Bounds] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """Return every field under its name, bounds as {least, most}."""

        def bounds(of: Bounds | None) -> dict[str, float] | None:
            return None if of is None else of.to_dict()

        return {
            "runs": self.runs,
            "flagged": self.flagged,
            "only_through_others": bounds(self.only_through_others),
            "confirmed": bounds(self.confirmed),
            "rejected": bounds(self.rejected),
            "days_earlier": bounds(self.days_earlier),
            "exchanges_prevented": bounds(self.exchanges_prevented),
            "by_type": {name: of.to_dict() for name, of in self.by_type.items()},
            "by_member": {name: of.to_dict() for name, of in self.by_member.items()},
        }


def run_alone(
    state: Path, sources: Sources, verdicts: Sequence[FinalVerdict], today: int, rules: Rules
) -> None:
    """Run the detector twice in shadow, beside a live run of the same day (rule 1). Raises as `detect`."""
    with last_run(state) as connection:
        put_up = {
            account
            for schema, _ in _schemas(connection, ALONE)
            for (account,) in connection.execute(
                f"SELECT account FROM {schema}.scores WHERE flag = 1 OR bits >= ?", [rules.candidate]
            ).fetchall()
        }
    own = [verdict for verdict in verdicts if verdict.random or verdict.account in put_up]
    without = replace(sources, signals=None, trusted=frozenset())
    alone = replace(without, verdicts=_states(own), flagged_before=FlagsBefore.IGNORED)
    detect(state, alone, today, rules, shadow=ALONE)
    detect(state, replace(without, verdicts=_states(verdicts)), today, rules, shadow=TOLD)


def lift(
    state: Path, verdicts: Sequence[FinalVerdict], exchanges: Mapping[str, tuple[int, int, int]], today: int
) -> Lift:
    """Return the figures of everything that was run. `exchanges` has count, first and last day of accounts.

    Raises `BadHoldings` where no run was compared with shadow runs.
    """
    with last_run(state) as connection:
        live = dict(connection.execute("SELECT account, min(day) FROM history.flags GROUP BY 1").fetchall())
        alone, told = _first_days(connection, ALONE), _first_days(connection, TOLD)
        runs = len(_schemas(connection, ALONE))
        led = connection.execute(
            """SELECT DISTINCT evidence.account, evidence.type, signals.reporter FROM current.evidence
            JOIN current.signals USING (abuse, type, value)"""
        ).fetchall()
    if not runs:
        raise BadHoldings(
            "no run was compared with what you find alone: add --measure-lift to `tocsin detect run`"
        )
    most = live.keys() - alone.keys()
    least = most - told.keys()
    outcomes = {verdict.account: verdict.confirmed for verdict in verdicts}
    confirmed = {account for account, yes in outcomes.items() if yes}
    rejected = outcomes.keys() - confirmed

    def bounds(of: Iterable[str]) -> Bounds:
        some = set(of)
        return Bounds(len(least & some), len(most & some))

    types, members = defaultdict(set), defaultdict(set)
    for account, type, member in led:
        types[type].add(account)
        members[member].add(account)
    return Lift(
        runs, len(live), Bounds(len(least), len(most)), bounds(confirmed), bounds(rejected),
        _earlier(live, alone, told), _prevented(most & confirmed, live, exchanges, today),
        {name: bounds(of) for name, of in sorted(types.items())},
        {name: bounds(of) for name, of in sorted(members.items())},
    )  # fmt: skip


def read_exchanges(source: str) -> dict[str, tuple[int, int, int]]:
    """Return of each account its exchanges (rule 3), first and last day; empty where holdings do not count them.

    Raises `BadHoldings`, `ExtraMissing`.
    """
    import ibis

    from tocsin.detect import holdings as own

    table: Any = own.open_table(source, ibis.duckdb.connect())
    if "exchanges" not in {column.lower() for column in table.columns}:
        return {}
    counted = own.holdings(table.mutate(value=table.exchanges.cast("string")), source)
    by_account = counted.group_by("account").aggregate(
        most=counted.value.cast("int64").max(), first=counted.first_day.min(), last=counted.last_day.max()
    )
    rows = by_account.to_pyarrow().to_pydict()
    columns = (rows[name] for name in ("account", "most", "first", "last"))
    return {account: (most, first, last) for account, most, first, last in zip(*columns, strict=True)}


def _states(verdicts: Iterable[FinalVerdict]) -> tuple[tuple[str, int, int], ...]:
    return tuple(
        (verdict.account, CONFIRMED if verdict.confirmed else REJECTED, verdict.abuse) for verdict in verdicts
    )


def _schemas(connection: duckdb.DuckDBPyConnection, shadow: str) -> list[tuple[str, int]]:
    return connection.execute(
        "SELECT schema, today FROM history.runs WHERE shadow = ? ORDER BY number", [shadow]
    ).fetchall()


def _first_days(connection: duckdb.DuckDBPyConnection, shadow: str) -> dict[str, int]:
    """Return the first day on which a shadow run flagged each account."""
    days: dict[str, int] = {}
    for schema, day in _schemas(connection, shadow):
        for (account,) in connection.execute(
            f"SELECT account FROM {schema}.scores WHERE flag = 1"
        ).fetchall():
            days[account] = min(days.get(account, day), day)
    return days


def _earlier(live: Mapping[str, int], alone: Mapping[str, int], told: Mapping[str, int]) -> Bounds | None:
    """Of accounts found both ways, the median of the days by which the live run was earlier."""
    medians = [
        statistics.median([max(0, days[account] - live[account]) for account in both])
        for days in (told, alone)
        if (both := live.keys() & days.keys())
    ]
    return Bounds(min(medians), max(medians)) if medians else None


def _prevented(
    accounts: Iterable[str],
    live: Mapping[str, int],
    exchanges: Mapping[str, tuple[int, int, int]],
    today: int,
) -> Bounds | None:
    if not exchanges:
        return None
    most = 0.0
    for account in accounts:
        if account in exchanges:
            count, first, last = exchanges[account]
            most += count / (last - first + 1) * max(0, today - live[account])
    return Bounds(0, round(most))
