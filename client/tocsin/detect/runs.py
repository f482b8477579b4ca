"""One member's detector: runs of it, kept in a folder of the member's own.

1. A run reads everything that is known, scores every account and writes a new schema `run_N` of immutable tables into
   `detect.duckdb`; the views of the schema `current` then point to it. A run that fails leaves the last one in place.
2. Nothing but flags is carried from run to run: an account that was flagged does not count as innocent.
3. A shadow run has rules of its own and moves no view.
4. Sources in a warehouse are read there: values and accounts of matched holdings are all that is fetched.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tocsin.detect import holdings as own
from tocsin.detect.errors import BadHoldings, ExtraMissing
from tocsin.detect.evidence_types import evidence_type
from tocsin.detect.rounds import STAGES, Columns, plan, run
from tocsin.detect.rules import Rules
from tocsin.detect.weights import CONFIRMED, FLAGGED, REJECTED, scaled_totals

if TYPE_CHECKING:
    import duckdb

DATABASE = "detect.duckdb"
_SETTINGS: Mapping[str, Any] = {
    "memory_limit": "4GB",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
_INPUT_TYPES = {
    "holdings": "account VARCHAR, type VARCHAR, value VARCHAR, first_day INTEGER, last_day INTEGER",
    "accounts": "account VARCHAR, age_days BIGINT",
    "judged": "account VARCHAR, state TINYINT, abuse TINYINT",
    "signals": "type VARCHAR, value VARCHAR, reporter VARCHAR, root VARCHAR, abuse TINYINT, accounts BIGINT, "
    "hops BIGINT, confidence BIGINT, disputed BIGINT, first_day INTEGER, last_day INTEGER, total BIGINT, "
    "writer VARCHAR, entry BIGINT, tlp BIGINT",
}


class FlagsBefore(Enum):
    """Whether an account that an earlier live run flagged counts as innocent: not where they are `KNOWN`."""

    KNOWN = "known"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Sources:
    """What a run reads: files or tables as `tocsin.detect.holdings` opens them."""

    holdings: str
    accounts: str
    confirmed: str | None = None
    rejected: str | None = None
    signals: str | None = None
    trusted: frozenset[str] = frozenset()
    """Members whose judgement may flag alone: 20 verdicts, 85 % of them confirmations."""
    muted: frozenset[str] = frozenset()
    """Members whose reports weigh nothing: they are kept apart, to be shown."""
    verdicts: tuple[tuple[str, int, int], ...] = field(default=(), repr=False)
    """Of the casebook: account, state (`CONFIRMED` or `REJECTED`), abuse."""
    flagged_before: FlagsBefore = FlagsBefore.KNOWN


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run found: its number and how many rows of each kind."""

    number: int
    accounts: int
    established: int
    holdings: int
    signals: int
    values_weighed: int
    flagged: int
    candidates: int
    new_flags: int
    muted_signals: int


def detect(state: Path, sources: Sources, today: int, rules: Rules, *, shadow: str = "") -> RunSummary:
    """Run the detector once; `today` is in days since 1970. `shadow` names a run without effect (rule 3).

    Raises `BadHoldings`, `ExtraMissing`, OSError.
    """
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with opened(state) as connection:
        number = _next_number(connection)
        schema = f"shadow_{number}" if shadow else f"run_{number}"
        connection.execute("BEGIN")
        try:
            connection.execute(f"CREATE SCHEMA {schema}")
            _load(connection, schema, sources, today, rules)
            run(connection, plan(Columns(), rules))
            summary = _finish(connection, schema, number, shadow, today, rules)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        return summary


@contextmanager
def opened(state: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a detector's state. Raises `ExtraMissing`, `BadHoldings` where another run holds it."""
    try:
        import duckdb
    except ImportError:
        raise ExtraMissing("duckdb") from None
    path = state / DATABASE
    try:
        connection = duckdb.connect(
            str(path), config=dict(_SETTINGS) | {"temp_directory": str(state / "scratch")}
        )
    except duckdb.Error:
        raise BadHoldings(
            f"{path} is used by another run, or is damaged: wait for it, or name another --state"
        ) from None
    os.chmod(path, 0o600)
    try:
        connection.execute("CREATE SCHEMA IF NOT EXISTS history")
        connection.execute("""CREATE TABLE IF NOT EXISTS history.runs (number INTEGER, schema VARCHAR, shadow VARCHAR,
            today INTEGER, rules VARCHAR)""")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS history.flags (account VARCHAR, day INTEGER, abuse TINYINT, bits INTEGER)"
        )
        yield connection
    finally:
        connection.close()


@contextmanager
def last_run(state: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a detector's state that has a live run. Raises as `opened`, and `BadHoldings` where nothing ran yet."""
    nothing = f"{state} holds no run yet: run `tocsin detect run --state {state}` first"
    if not (state / DATABASE).is_file():
        raise BadHoldings(nothing)
    with opened(state) as connection:
        if connection.execute("SELECT 1 FROM history.runs WHERE shadow = '' LIMIT 1").fetchone() is None:
            raise BadHoldings(nothing)
        yield connection


def _next_number(connection: duckdb.DuckDBPyConnection) -> int:
    (number,) = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM history.runs").fetchone() or (1,)
    return int(number)


def _load(
    connection: duckdb.DuckDBPyConnection, schema: str, sources: Sources, today: int, rules: Rules
) -> None:
    """Bring the sources into the run's schema under the names that a round reads."""
    import ibis

    local = ibis.duckdb.from_connection(connection)
    read = {
        "holdings": [own.holdings(own.open_table(sources.holdings, local), sources.holdings)],
        "accounts": [own.accounts(own.open_table(sources.accounts, local), sources.accounts, today)],
        "judged": [
            own.marked(own.open_table(source, local), source, state)
            for source, state in ((sources.confirmed, CONFIRMED), (sources.rejected, REJECTED))
            if source is not None
        ],
        "signals": [own.signals(own.open_table(sources.signals, local), sources.signals)]
        if sources.signals
        else [],
    }
    connection.execute(f"USE {schema}")
    for name, columns in _INPUT_TYPES.items():
        connection.execute(f"CREATE TABLE {name} ({columns})")
        for table in read[name]:
            _insert(connection, local, name, table)
    if sources.verdicts:
        connection.executemany("INSERT INTO judged VALUES (?, ?, ?)", sources.verdicts)
    if sources.flagged_before is FlagsBefore.KNOWN:
        connection.execute(f"INSERT INTO judged SELECT account, {FLAGGED}, abuse FROM history.flags")
    connection.execute(
        'CREATE TABLE types (type VARCHAR, family VARCHAR, "group" VARCHAR, slack_days INTEGER)'
    )
    for (type,) in connection.execute("SELECT DISTINCT type FROM holdings").fetchall():
        of = evidence_type(type)
        connection.execute(
            "INSERT INTO types VALUES (?, ?, ?, ?)", [type, of.family, of.group, of.slack_days]
        )
    connection.execute(
        """CREATE TABLE muted_signals AS SELECT * FROM signals
        WHERE list_contains($muted, reporter) OR coalesce(list_contains($muted, root), false)""",
        {"muted": sorted(sources.muted)},
    )
    connection.execute(
        """DELETE FROM signals
        WHERE list_contains($muted, reporter) OR coalesce(list_contains($muted, root), false)""",
        {"muted": sorted(sources.muted)},
    )
    connection.execute("CREATE TABLE trusted (root VARCHAR)")
    for member in sorted(sources.trusted):
        connection.execute("INSERT INTO trusted VALUES (?)", [member])
    connection.execute(
        "CREATE TABLE reporters (reporter VARCHAR, type VARCHAR, total BIGINT, counted BIGINT)"
    )
    totals = {
        (reporter, type): max(1, total)
        for reporter, type, total in connection.execute(
            "SELECT reporter, type, max(total) FROM signals GROUP BY ALL"
        ).fetchall()
    }
    held = dict(
        connection.execute(
            f"""SELECT type, count(DISTINCT account) FROM holdings SEMI JOIN
            (SELECT account FROM judged WHERE state = {CONFIRMED}) USING (account) GROUP BY type"""
        ).fetchall()
    )
    if rows := scaled_totals(totals, held, rules):
        connection.executemany("INSERT INTO reporters VALUES (?, ?, ?, ?)", rows)


def _insert(connection: duckdb.DuckDBPyConnection, local: Any, name: str, table: Any) -> None:
    """Write what an expression reads: in place where it is a file, in batches where it is a database's."""
    import duckdb
    import ibis
    import pyarrow as pa

    try:
        if table.get_backend() is local:
            connection.execute(f"INSERT INTO {name} BY NAME {ibis.to_sql(table, dialect='duckdb')}")
            return
        for batch in table.to_pyarrow_batches():
            connection.register("incoming", pa.Table.from_batches([batch]))
            connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM incoming")
            connection.unregister("incoming")
    except duckdb.Error as error:
        # DuckDB's message may quote values.
        raise BadHoldings(
            f"the {name} cannot be read ({type(error).__name__}): check the types of its columns"
        ) from None


def _finish(
    connection: duckdb.DuckDBPyConnection, schema: str, number: int, shadow: str, today: int, rules: Rules
) -> RunSummary:
    def count(query: str) -> int:
        (counted,) = connection.execute(query).fetchone() or (0,)
        return int(counted)

    new = count("SELECT count(*) FROM scores ANTI JOIN history.flags USING (account) WHERE flag = 1")
    connection.execute(
        "INSERT INTO history.runs VALUES (?, ?, ?, ?, ?)", [number, schema, shadow, today, repr(rules)]
    )
    if not shadow:
        connection.execute(
            "INSERT INTO history.flags SELECT account, ?, abuse, bits FROM scores "
            "ANTI JOIN history.flags USING (account) WHERE flag = 1",
            [today],
        )
        connection.execute("CREATE SCHEMA IF NOT EXISTS current")
        for name in (*STAGES, *_INPUT_TYPES, "muted_signals"):
            connection.execute(f"CREATE OR REPLACE VIEW current.{name} AS SELECT * FROM {schema}.{name}")
    return RunSummary(
        number,
        count("SELECT count(*) FROM accounts"),
        count(f"SELECT count(*) FROM accounts WHERE age_days >= {rules.established_days}"),
        count("SELECT count(*) FROM holdings"),
        count("SELECT count(*) FROM signals"),
        count("SELECT count(*) FROM weights"),
        count("SELECT count(*) FROM scores WHERE flag = 1"),
        count(f"SELECT count(*) FROM scores WHERE flag = 0 AND bits >= {rules.candidate}"),
        new,
        count("SELECT count(*) FROM muted_signals"),
    )
