"""Two runs compared on the member's own verdicts: the live rules and a shadow rule that had no effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tocsin.detect.errors import BadHoldings
from tocsin.detect.reports.lift import ALONE, TOLD
from tocsin.detect.weights import CONFIRMED, REJECTED

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Side:
    """Flags of one run, by what the member's reviewers decided about the account."""

    flagged: int
    confirmed: int
    rejected: int
    undecided: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """The live run, the newest shadow run, and the accounts that only one of them flags."""

    live: Side
    shadow: Side
    shadow_name: str
    only_live: tuple[str, ...]
    only_shadow: tuple[str, ...]


def compare(connection: duckdb.DuckDBPyConnection) -> Comparison:
    """Compare the newest live run with the newest shadow run. Raises `BadHoldings` where either is missing."""
    live = connection.execute(
        "SELECT schema FROM history.runs WHERE shadow = '' ORDER BY number DESC LIMIT 1"
    ).fetchone()
    shadow = connection.execute(
        """SELECT schema, shadow FROM history.runs WHERE shadow NOT IN ('', ?, ?)
        ORDER BY number DESC LIMIT 1""",
        [ALONE, TOLD],
    ).fetchone()
    if live is None or shadow is None:
        missing = "tocsin detect run" if live is None else "tocsin detect run --shadow NAME --rules FILE"
        raise BadHoldings(f"there is nothing to compare yet: run `{missing}` first")
    return Comparison(
        _side(connection, live[0]),
        _side(connection, shadow[0]),
        shadow[1],
        _only(connection, live[0], shadow[0]),
        _only(connection, shadow[0], live[0]),
    )


def _side(connection: duckdb.DuckDBPyConnection, schema: str) -> Side:
    row = connection.execute(
        f"""SELECT count(*), count(*) FILTER (confirmed), count(*) FILTER (rejected AND NOT confirmed)
        FROM {schema}.scores
        LEFT JOIN (SELECT account, bool_or(state = {CONFIRMED}) AS confirmed, bool_or(state = {REJECTED}) AS rejected
            FROM {schema}.judged GROUP BY account) USING (account) WHERE flag = 1"""
    ).fetchone()
    flagged, confirmed, rejected = row or (0, 0, 0)
    return Side(flagged, confirmed, rejected, flagged - confirmed - rejected)


def _only(connection: duckdb.DuckDBPyConnection, one: str, other: str) -> tuple[str, ...]:
    rows = connection.execute(
        f"""SELECT account FROM {one}.scores ANTI JOIN
            (SELECT account FROM {other}.scores WHERE flag = 1) USING (account)
        WHERE flag = 1 ORDER BY bits DESC, account"""
    ).fetchall()
    return tuple(account for (account,) in rows)
