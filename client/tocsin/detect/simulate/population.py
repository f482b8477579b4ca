"""A population: a folder for each provider, read into DuckDB with numbers in place of names.

1. `<provider>/holdings.parquet` (account, type, value, first_day, last_day, exchanges, conversations), `truth.parquet`
   (account, hostile, campaign, first_day), `accounts.parquet` (account, created_day), `confirmed.parquet` (account,
   day), and where there is one `activity.parquet` (account, day, hours). Days are whole numbers from 0;
   docs/simulation.md.
2. A file or column that is missing, or holds something else, is an error that names it. Types and values are opaque.
   Rows without an account, type, value or day are left out; days in the wrong order are put in order; both are counted.
3. A value that one account alone holds, at all providers, can match nobody. Of these only one row for each account and
   type is kept, with all their days: it counts in the totals. So ten million values of one account cost nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING

from tocsin.detect.errors import BadPopulation, ExtraMissing
from tocsin.detect.evidence_types import evidence_type

if TYPE_CHECKING:
    import duckdb

KEYED_HASH = "('0x' || substr(sha256(? || chr(31) || raw.type || chr(31) || raw.value), 1, 15))::BIGINT"
"""What stands for blind evaluation here: a 60-bit keyed hash of type and value, the same for every member."""
MOST_DAYS = 400
"""A population that says it lasts longer is cut there: a clock must be wrong."""

_WHOLE = "whole number"
_FILES = {
    "holdings": {"account": "", "type": "", "value": "", "first_day": _WHOLE, "last_day": _WHOLE},
    "truth": {"account": "", "hostile": "", "first_day": _WHOLE},
    "accounts": {"account": "", "created_day": _WHOLE},
    "confirmed": {"account": "", "day": _WHOLE},
    "activity": {"account": "", "day": _WHOLE, "hours": _WHOLE},
}
_OPTIONAL = frozenset(("activity",))
_WHOLE_TYPES = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?\Z")


@dataclass(frozen=True)
class Population:
    """A population in DuckDB: tables `holdings`, `truth`, `accounts`, `confirmed` and `activity`, each with `provider`.

    `names` are the providers by number, `types` the names of types by number. `days` is the number of days, from 0.
    `warnings` say what was left out or put right.
    """

    connection: duckdb.DuckDBPyConnection
    names: tuple[str, ...]
    types: tuple[str, ...]
    days: int
    has_activity: bool
    warnings: tuple[str, ...] = field(default=())
    scratch: TemporaryDirectory[str] | None = field(default=None, repr=False)
    """Where DuckDB spills what does not fit into memory; it goes when the population is closed."""

    def __enter__(self) -> Population:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection and remove what it spilled. Idempotent."""
        self.connection.close()
        if self.scratch is not None:
            self.scratch.cleanup()


def load(folder: Path, key: str = "simulation", memory: str = "3GB", threads: int = 2) -> Population:
    """Read a population. Raises `BadPopulation`, `ExtraMissing`."""
    try:
        import duckdb
    except ImportError:
        raise ExtraMissing("duckdb") from None
    if not folder.is_dir():
        raise BadPopulation(
            f"{folder} is not a folder: name the folder that holds one folder for each provider"
        )
    names = tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and _has_parquet(path)))
    if not names:
        raise BadPopulation(f"{folder} holds no provider: each needs a folder with holdings.parquet")
    scratch = TemporaryDirectory(prefix="tocsin-")
    connection = duckdb.connect(
        config={
            "temp_directory": scratch.name,
            "memory_limit": memory, "threads": threads, "preserve_insertion_order": "false",
            "autoinstall_known_extensions": "false", "autoload_known_extensions": "false",
        }
    )  # fmt: skip
    try:
        return replace(_loaded(connection, folder, names, key), scratch=scratch)
    except BaseException:
        connection.close()
        scratch.cleanup()
        raise


def _has_parquet(path: Path) -> bool:
    return any((path / f"{name}.parquet").exists() for name in _FILES)


def _loaded(
    connection: duckdb.DuckDBPyConnection, folder: Path, names: Sequence[str], key: str
) -> Population:
    for table, columns in _FILES.items():
        described = ", ".join(f"{column} {_sql_type(column, kind)}" for column, kind in columns.items())
        connection.execute(f"CREATE TEMP TABLE raw_{table} (provider SMALLINT, {described})")
    warnings: list[str] = []
    with_activity = True
    for number, name in enumerate(names):
        for file, columns in _FILES.items():
            path = folder / name / f"{file}.parquet"
            if not path.exists():
                if file in _OPTIONAL:
                    with_activity = False
                    continue
                raise BadPopulation(f"{path} does not exist: every provider's folder needs it")
            warnings += _read(connection, path, file, columns, number)
    if not with_activity:
        warnings.append("no activity.parquet at some providers: hours of activity are not weighed")
    return _numbered(connection, tuple(names), key, with_activity, warnings)


def _sql_type(column: str, kind: str) -> str:
    return "BOOLEAN" if column == "hostile" else "INTEGER" if kind else "VARCHAR"


def _read(
    connection: duckdb.DuckDBPyConnection, path: Path, file: str, columns: dict[str, str], number: int
) -> list[str]:
    import duckdb

    from tocsin.ingest.parquet import one_file

    try:
        relation = connection.read_parquet(one_file(str(path)))
    except duckdb.Error:
        raise BadPopulation(f"{path} is not a Parquet file") from None
    types = dict(zip(map(str.lower, relation.columns), map(str, relation.types), strict=True))
    for column, kind in columns.items():
        if column not in types:
            raise BadPopulation(f"{path} has no column {column}: it needs {', '.join(columns)}")
        if kind and not _WHOLE_TYPES.match(types[column]):
            raise BadPopulation(f"{path}: column {column} must be a {kind} (INT32), got {types[column]}")
    if "hostile" in columns and types["hostile"] != "BOOLEAN" and not _WHOLE_TYPES.match(types["hostile"]):
        raise BadPopulation(f"{path}: column hostile must be a boolean, got {types['hostile']}")
    texts = [column for column, kind in columns.items() if not kind and column != "hostile"]
    selected = ", ".join(
        f"{column}::VARCHAR"
        if column in texts
        else f"{column}::BOOLEAN"
        if column == "hostile"
        else f"{column}::INTEGER"
        for column in columns
    )
    needed = " AND ".join(f"{column} IS NOT NULL" for column in columns if column != "hostile")
    try:
        connection.execute(
            f"INSERT INTO raw_{file} SELECT {number}, {selected} FROM read_parquet(?) WHERE {needed}",
            [one_file(str(path))],
        )
        (dropped,) = connection.execute(
            f"SELECT count(*) FROM read_parquet(?) WHERE NOT ({needed})",
            [one_file(str(path))],
        ).fetchone() or (0,)
    except duckdb.Error:
        raise BadPopulation(
            f"{path} cannot be read: a day is outside INT32, or the file is damaged"
        ) from None
    return [f"{path}: {dropped:,} rows without an account, a value or a day were left out"] if dropped else []


def _numbered(
    connection: duckdb.DuckDBPyConnection,
    names: tuple[str, ...],
    key: str,
    with_activity: bool,
    warnings: list[str],
) -> Population:
    run = connection.execute
    (turned,) = run("SELECT count(*) FROM raw_holdings WHERE last_day < first_day").fetchone() or (0,)
    if turned:
        warnings.append(f"{turned:,} holdings had last_day before first_day: the two were exchanged")
    run("""CREATE TEMP TABLE account_ids AS SELECT provider, account, (row_number() OVER (ORDER BY provider,
        account))::INTEGER AS id FROM (SELECT provider, account FROM raw_holdings UNION SELECT provider, account FROM
        raw_accounts UNION SELECT provider, account FROM raw_truth UNION SELECT provider, account FROM
        raw_confirmed)""")
    types = [str(row[0]) for row in run("SELECT DISTINCT type FROM raw_holdings ORDER BY type").fetchall()]
    run("CREATE TABLE types (type SMALLINT, name VARCHAR, family VARCHAR, \"group\" VARCHAR, slack_days INTEGER, "
        "retention INTEGER)")  # fmt: skip
    for number, name in enumerate(types):
        of = evidence_type(name)
        run("INSERT INTO types VALUES (?, ?, ?, ?, ?, ?)",
            [number, name, of.family, of.group, of.slack_days, of.retention_days])  # fmt: skip
    run(
        f"""CREATE TEMP TABLE hashed AS SELECT raw.provider, ids.id AS account, types.type, {KEYED_HASH} AS value,
        min(least(first_day, last_day)) AS first_day,
        max(greatest(first_day, last_day)) AS last_day
        FROM raw_holdings AS raw JOIN account_ids AS ids USING (provider, account) JOIN types ON types.name = raw.type
        GROUP BY ALL""",
        [key],
    )
    _prune(connection)
    run("""CREATE TABLE accounts AS SELECT ids.provider, ids.id AS account, min(created_day) AS created_day
        FROM raw_accounts JOIN account_ids AS ids USING (provider, account) GROUP BY ALL ORDER BY 1, 2""")
    run("""CREATE TABLE truth AS SELECT ids.provider, ids.id AS account, bool_or(coalesce(hostile, false)) AS hostile,
        min(first_day) AS first_day FROM raw_truth JOIN account_ids AS ids USING (provider, account) GROUP BY ALL""")
    run("""CREATE TABLE confirmed AS SELECT ids.provider, ids.id AS account, min(day) AS day
        FROM raw_confirmed JOIN account_ids AS ids USING (provider, account) GROUP BY ALL""")
    run("""CREATE TABLE activity AS SELECT ids.provider, ids.id AS account, day, bit_or(hours) AS hours
        FROM raw_activity JOIN account_ids AS ids USING (provider, account) GROUP BY ALL""")
    run("CREATE TABLE account_names AS SELECT provider, id AS account, account AS name FROM account_ids")
    for table in ("holdings", "truth", "accounts", "confirmed", "activity"):
        run(f"DROP TABLE raw_{table}")
    (last,) = run("""SELECT max(day) FROM (SELECT max(last_day) AS day FROM holdings UNION ALL SELECT max(day) FROM
        confirmed UNION ALL SELECT max(day) FROM activity)""").fetchone() or (None,)
    days = (last or 0) + 1 if last is not None and last >= 0 else 0
    if days > MOST_DAYS:
        warnings.append(f"the last day is {last:,}: only days 0 to {MOST_DAYS - 1} are run")
        days = MOST_DAYS
    return Population(connection, names, tuple(types), days, with_activity, tuple(warnings))


def _prune(connection: duckdb.DuckDBPyConnection) -> None:
    """Rule 3."""
    connection.execute("""CREATE TEMP TABLE shared AS SELECT type, value FROM hashed GROUP BY type, value
        HAVING count(DISTINCT account) > 1""")
    connection.execute("""CREATE TABLE holdings AS
        SELECT provider, account, type, value, first_day, last_day FROM hashed SEMI JOIN shared USING (type, value)
        UNION ALL
        SELECT provider, account, type, min(value), min(first_day), max(last_day) FROM hashed
        ANTI JOIN shared USING (type, value) GROUP BY provider, account, type""")
    connection.execute("DROP TABLE hashed")
