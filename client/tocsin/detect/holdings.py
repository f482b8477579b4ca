"""A member's own tables, read in place: holdings, accounts, confirmed accounts, verdicts and signals.

1. A source is a file (Parquet, CSV, JSON lines, or text with one account a line) or a table that Ibis can open:
   `postgresql://user@host/database#schema.table`, or the URL of any warehouse of Ibis whose driver is installed. A
   password belongs into the driver's own place, never into a URL.
2. Holdings have account, type, value and first and last seen, as unix seconds, times or dates (`first_seen`,
   `last_seen`), or as days since 1970 (`first_day`, `last_day`). What detection does not use is not read.
3. Rows without an account, type or value are left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tocsin.detect.errors import BadHoldings, ExtraMissing

if TYPE_CHECKING:
    from ibis.backends import BaseBackend
    from ibis.expr.types import IntegerColumn, Table

_DAY = 86_400
SIGNAL_COLUMNS = (
    "type", "value", "reporter", "root", "abuse", "accounts", "hops", "confidence", "disputed", "first_day", "last_day",
    "total", "writer", "entry", "tlp",
)  # fmt: skip


def open_table(source: str, local: BaseBackend) -> Table:
    """Return the table that a source names. Raises `BadHoldings`, `ExtraMissing`."""
    try:
        import ibis
    except ImportError:
        raise ExtraMissing("ibis-framework") from None
    if "://" not in source:
        return _file(Path(source), local)
    url, _, name = source.partition("#")
    if not name:
        raise BadHoldings(f"{_without_secrets(url)} names no table: write URL#schema.table")
    *schema, table = name.split(".")
    try:
        backend = ibis.connect(url)
        return backend.table(table, database=schema[0] if schema else None)
    except ImportError:
        scheme = url.partition("://")[0]
        raise ExtraMissing(f"the driver for {scheme} (ibis-framework[{scheme}])") from None
    except Exception as error:
        # Drivers raise whatever they like, and some quote the URL with its password.
        raise BadHoldings(
            f"{_without_secrets(url)}#{name} cannot be opened ({type(error).__name__}): "
            "check the URL and the table's name"
        ) from None


def holdings(table: Table, name: str) -> Table:
    """Return account, type, value (text), first_day and last_day. Raises `BadHoldings`, naming the column."""
    columns = _columns(table, name, ("account", "type", "value"))
    days = {day: _day(table, columns, day, name) for day in ("first", "last")}
    kept = table.filter(
        table[columns["account"]].notnull(),
        table[columns["type"]].notnull(),
        table[columns["value"]].notnull(),
    )
    texts = {text: kept[columns[text]].cast("string") for text in ("account", "type", "value")}
    return kept.select(**texts, first_day=days["first"].cast("int32"), last_day=days["last"].cast("int32"))


def accounts(table: Table, name: str, today: int) -> Table:
    """Return account and age_days, from `created_day` or `created` (unix seconds, time or date)."""
    columns = _columns(table, name, ("account",))
    created = _day(table, columns, "created", name)
    return table.select(
        account=table[columns["account"]].cast("string"), age_days=(today - created).cast("int64")
    )


def marked(table: Table, name: str, state: int) -> Table:
    """Return account, state and abuse of accounts that were judged; abuse is 1, distillation, where there is no such
    column.
    """
    import ibis

    columns = _columns(table, name, ("account",))
    abuse = table[columns["abuse"]] if "abuse" in columns else ibis.literal(1)
    return table.select(
        account=table[columns["account"]].cast("string"),
        state=ibis.literal(state, "int8"),
        abuse=abuse.cast("int8"),
    ).distinct()


def signals(table: Table, name: str) -> Table:
    """Return the signals of a file that `tocsin detect match` wrote, or that has the same columns.

    One that was delivered twice counts once.
    """
    _columns(table, name, SIGNAL_COLUMNS)
    return table.select(*SIGNAL_COLUMNS).distinct()


def _file(path: Path, local: BaseBackend) -> Table:
    if not path.is_file():
        raise BadHoldings(f"{path} does not exist")
    import duckdb

    from tocsin.ingest.parquet import one_file

    try:
        match path.suffix.lower():
            case ".csv":
                return local.read_csv(one_file(str(path)))
            case ".jsonl" | ".ndjson":
                return local.read_json(one_file(str(path)), format="newline_delimited")
            case ".txt":
                one_column = {
                    "header": False,
                    "columns": {"account": "VARCHAR"},
                    "delim": "\x1f",
                    "quote": "",
                }
                return local.read_csv(one_file(str(path)), **one_column)
        return local.read_parquet(one_file(str(path)))
    except duckdb.Error:
        raise BadHoldings(
            f"{path} cannot be read as its name says: .csv with a header, .jsonl, .txt with one account a line, "
            "anything else Parquet"
        ) from None


def _columns(table: Table, name: str, needed: tuple[str, ...]) -> dict[str, str]:
    columns = {column.lower(): column for column in table.columns}
    if missing := [column for column in needed if column not in columns]:
        raise BadHoldings(f"{name} has no column {', '.join(missing)}: it has {', '.join(columns) or 'none'}")
    return columns


def _day(table: Table, columns: dict[str, str], which: str, name: str) -> IntegerColumn:
    """Rule 2: days since 1970."""
    if day := columns.get(f"{which}_day"):
        return table[day].cast("int32")
    seen = columns.get(f"{which}_seen") or columns.get(which)
    if seen is None:
        raise BadHoldings(f"{name} has no column {which}_seen or {which}_day")
    column: Any = table[seen]
    if column.type().is_integer():
        return (column // _DAY).cast("int32")
    if column.type().is_date():
        column = column.cast("timestamp")
    if column.type().is_timestamp():
        return (column.epoch_seconds() // _DAY).cast("int32")
    raise BadHoldings(f"{name}: column {seen} must be unix seconds, a time or a date, got {column.type()}")


def _without_secrets(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"
