"""The file of indicators that `tocsin ingest` writes: Parquet, one row for one value of an account in a window.

1. A row is a holding. Columns: account, type, value; exchanges, conversations, first_seen and last_seen (unix seconds),
   all of this value and account in the window; window (its first second); activity (the account's active hours in the
   window, a hexadecimal number of which bit n is hour n). Of a skeleton, conversations are the sampled ones that it was
   found in, exchanges are reckoned from their share, and the times are those of these conversations.
2. A skeleton that is one account's level with bands and another's without is read once, with bands.
3. DuckDB does it on disk where it must, loads no extension, and reads nothing but the named files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING

from tocsin.ingest.parquet import LOCKED, one_file

if TYPE_CHECKING:
    import duckdb

_ROWS = 4_096
"""In a row group, which is held in memory: skeletons are up to 44 KB."""

# One value under the two names that its text may have (PTF2.md §6); digests stand for values, which may be long.
_MACRO = "CREATE TEMP MACRO digest_of(text) AS md5(replace(text, 'ptf2-exact:', 'ptf2:'))"
# Not sorted: rows come account by account, and to sort long values takes more memory than there is.
_WRITE = """
SELECT * FROM read_json(?, format='newline_delimited', columns={
    account: 'VARCHAR', type: 'VARCHAR', value: 'VARCHAR', exchanges: 'BIGINT', conversations: 'BIGINT',
    first_seen: 'BIGINT', last_seen: 'BIGINT', "window": 'BIGINT', activity: 'VARCHAR'})
"""
# A skeleton may have two rows in a window, with bands and without: windows add up, rows do not.
_GATHER = """
CREATE TEMP TABLE gathered AS
WITH each AS (
    SELECT account, type, digest_of(value) AS digest, "window", max(exchanges) AS exchanges,
        min(first_seen) AS first_seen, max(last_seen) AS last_seen, min(file_row_number) AS place,
        min(file_row_number) FILTER (NOT starts_with(value, 'ptf2-exact:')) AS best
    FROM read_parquet(?, file_row_number = true)
    WHERE ? OR account IN (SELECT unnest(?::VARCHAR[]))
    GROUP BY account, type, digest, "window"
)
SELECT min(place) AS place, coalesce(min(best), min(place)) AS best, list_sort(list(DISTINCT account)) AS accounts,
    sum(exchanges) AS exchanges, min(first_seen) AS first_seen, max(last_seen) AS last_seen
FROM each GROUP BY type, digest
"""
_READ = """
SELECT place + 1, type, value, accounts, gathered.exchanges, gathered.first_seen, gathered.last_seen
FROM read_parquet(?, file_row_number = true) AS rows JOIN gathered ON rows.file_row_number = gathered.best
"""


class BadIndicators(ValueError):
    """A file that is no file of indicators; the message names it."""


@dataclass(frozen=True, slots=True)
class Indicator:
    """One value and the accounts that hold it, of those that were asked for. Nothing of a user's is in the repr."""

    row: int
    """Of the first row that holds it, from 1."""
    type: str
    value: str = field(repr=False)
    accounts: tuple[str, ...] = field(repr=False)
    exchanges: int
    first_seen: int
    last_seen: int


def write_indicators(parts: Sequence[Path], out: Path) -> None:
    """Make the Parquet file `out` out of JSON lines.

    The folder of the parts, of which there is one at least, is used for scratch files; it is on the disk of `out`.
    """
    scratch = parts[0].with_name("indicators.parquet")
    with _connected(parts[0].parent) as connection:
        rows = connection.sql(_WRITE, params=[[str(part) for part in parts]])
        rows.write_parquet(str(scratch), compression="zstd", row_group_size=_ROWS)
    scratch.chmod(0o600)
    # A link, unlike a rename, never takes the place of a file that came meanwhile.
    out.hardlink_to(scratch)


def read_indicators(path: Path, accounts: Collection[str] | None = None) -> list[Indicator]:
    """Return every value of the named accounts, or of all, once for all windows. Raises `BadIndicators`."""
    name = one_file(str(path))
    with _reading(path) as connection:
        connection.execute(_GATHER, [name, accounts is None, sorted(accounts or ())])
        rows = connection.execute(_READ, [name]).fetchall()
    return [
        Indicator(int(row[0]), str(row[1]), str(row[2]), tuple(row[3]), int(row[4]), int(row[5]), int(row[6]))
        for row in sorted(rows)
    ]


def accounts_of(path: Path) -> frozenset[str]:
    """Return the accounts of a file of indicators. Raises `BadIndicators`."""
    with _reading(path) as connection:
        rows = connection.execute(
            "SELECT DISTINCT account FROM read_parquet(?)", [one_file(str(path))]
        ).fetchall()
    return frozenset(str(row[0]) for row in rows)


@contextmanager
def _reading(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    duckdb = _duckdb()
    if not path.is_file():
        raise BadIndicators(f"{path} does not exist")
    try:
        # What does not fit into memory is spilled: account ids, so into a folder that nobody else may enter.
        with TemporaryDirectory(prefix="tocsin-") as scratch, _connected(Path(scratch)) as connection:
            yield connection
    except duckdb.OutOfMemoryException:
        raise BadIndicators(
            f"{path}: is too large to be read at once; name fewer accounts with --accounts"
        ) from None
    except duckdb.Error:
        # DuckDB's message may quote values.
        raise BadIndicators(f"{path}: is no file of indicators, such as `tocsin ingest` writes") from None


def _duckdb() -> ModuleType:
    try:
        import duckdb
    except ImportError:
        raise BadIndicators(
            "files of indicators need the extra `detect`: pip install 'tocsin[detect]'"
        ) from None
    return duckdb


def _connected(scratch: Path) -> duckdb.DuckDBPyConnection:
    config = LOCKED | {"threads": 2, "temp_directory": str(scratch / "duckdb")}
    connection: duckdb.DuckDBPyConnection = _duckdb().connect(config=config)
    connection.execute(_MACRO)
    return connection
