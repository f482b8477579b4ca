"""A round of scoring: every stage of it as one SELECT, compiled once from the Ibis expressions, written stage by stage.

1. Each round is a full run over what is known. Its stages read the inputs by name and the stages before them, so an
   engine keeps each intermediate table once.
2. Ibis expressions only read. What they say is written by the engine's own `CREATE TABLE … AS`.
3. The same stages run on DuckDB and, compiled for it, on any engine with these table names; the flags are identical.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from tocsin.detect import scores, weights
from tocsin.detect.errors import ExtraMissing
from tocsin.detect.rules import Rules

if TYPE_CHECKING:
    import duckdb
    from ibis.expr.types import Table

INPUTS = ("holdings", "accounts", "judged", "signals", "reporters", "trusted", "types")
STAGES = (
    "counted_signals", "bad_values", "ratios", "weights", "ratios_without", "weights_without", "evidence", "totals",
    "left_without", "scores", "rests_on",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Columns:
    """Types of the columns that differ between sources: text in a member's own files, numbers in the simulation."""

    account: str = "string"
    type: str = "string"
    value: str = "string"
    member: str = "string"


@dataclass(frozen=True, slots=True)
class Plan:
    """The stages of a round as SELECT statements for one engine, in order."""

    stages: tuple[tuple[str, str], ...]


@cache
def plan(columns: Columns, rules: Rules, dialect: str = "duckdb") -> Plan:
    """Compile a round, which takes a second or two, once for each set of rules. Raises `ExtraMissing`."""
    try:
        import ibis
    except ImportError:
        raise ExtraMissing("ibis-framework") from None
    known = _known(columns)
    found: list[tuple[str, str]] = []

    def stage(expression: Table) -> Table:
        name = STAGES[len(found)]
        found.append((name, str(ibis.to_sql(expression, dialect=dialect, pretty=False))))
        return ibis.table(expression.schema(), name=name)

    signals = stage(weights.counted_signals(known, rules))
    bad = stage(weights.bad_values(known, signals))
    measured = stage(weights.ratios(known, bad, rules))
    weighed = stage(weights.weights(known, measured, rules))
    measured_without = stage(weights.ratios_without(known, signals, weighed))
    without = stage(weights.weights_without(measured_without, rules))
    counted = stage(scores.evidence(known, weighed, rules))
    summed = stage(scores.totals(counted, rules))
    left = stage(scores.least_without_one(counted, summed, without, rules))
    final = stage(scores.scores(summed, left, rules))
    stage(scores.rests_on(counted, final, known, rules))
    return Plan(tuple(found))


def run(connection: duckdb.DuckDBPyConnection, stages: Plan) -> None:
    """Write every stage of a round as a table of the connection's current schema, in place of an earlier one."""
    for name, select in stages.stages:
        connection.execute(f"CREATE OR REPLACE TABLE {name} AS {select}")


def _known(columns: Columns) -> weights.Known:
    import ibis

    account, type, value, member = columns.account, columns.type, columns.value, columns.member
    whole = "int64"
    return weights.Known(
        holdings=ibis.table(
            {"account": account, "type": type, "value": value, "first_day": "int32", "last_day": "int32"},
            name="holdings",
        ),
        accounts=ibis.table({"account": account, "age_days": whole}, name="accounts"),
        judged=ibis.table({"account": account, "state": "int8", "abuse": "int8"}, name="judged"),
        signals=ibis.table(
            {
                "type": type, "value": value, "reporter": member, "root": member, "abuse": "int8", "accounts": whole,
                "hops": whole, "confidence": whole, "disputed": whole, "first_day": "int32", "last_day": "int32",
            },
            name="signals",
        ),
        reporters=ibis.table(
            {"reporter": member, "type": type, "total": whole, "counted": whole}, name="reporters"
        ),
        trusted=ibis.table({"root": member}, name="trusted"),
        types=ibis.table(
            {"type": type, "family": "string", "group": "string", "slack_days": "int32"}, name="types"
        ),
    )  # fmt: skip
