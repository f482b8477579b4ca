"""Small reads and writes around a run: distinct values to ask about, a file of signals, a file of verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path

from tocsin.detect import holdings as own
from tocsin.detect.calibrating import Judged
from tocsin.detect.errors import BadHoldings, ExtraMissing
from tocsin.detect.holdings import SIGNAL_COLUMNS, open_table
from tocsin.detect.matching import Signal
from tocsin.detect.rules import HALF

_CHUNK = 10_000
_SIGNAL_TYPES = (
    "VARCHAR", "VARCHAR", "VARCHAR", "VARCHAR", "TINYINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT", "INTEGER", "INTEGER",
    "BIGINT", "VARCHAR", "BIGINT", "BIGINT",
)  # fmt: skip


def distinct_values(source: str) -> Iterator[tuple[str, str]]:
    """Yield each (type, value) of a source of holdings once. Raises `BadHoldings`, `ExtraMissing`."""
    try:
        import ibis
    except ImportError:
        raise ExtraMissing("ibis-framework") from None
    local = ibis.duckdb.connect()
    table = own.holdings(open_table(source, local), source).select("type", "value").distinct()
    if table.get_backend() is local:
        # Ibis 12 reads batches by a call that DuckDB 2 no longer has.
        rows = local.con.execute(ibis.to_sql(table, dialect="duckdb"))
        while chunk := rows.fetchmany(_CHUNK):
            yield from chunk
        return
    for batch in table.to_pyarrow_batches():
        columns = batch.to_pydict()
        yield from zip(columns["type"], columns["value"], strict=True)


def write_signals(signals: Sequence[Signal], out: Path) -> None:
    """Write signals as Parquet, readable by their owner alone."""
    import duckdb

    columns = ", ".join(f"{name} {type}" for name, type in zip(SIGNAL_COLUMNS, _SIGNAL_TYPES, strict=True))
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE signals ({columns})")
        if signals:
            marks = ", ".join("?" for _ in SIGNAL_COLUMNS)
            connection.executemany(
                f"INSERT INTO signals VALUES ({marks})", [astuple(signal) for signal in signals]
            )
        out.touch(mode=0o600, exist_ok=False)
        connection.sql("SELECT * FROM signals").write_parquet(str(out))


def read_verdicts(source: str) -> list[Judged]:
    """Read verdicts: account, day, confirmed, random, bits, and campaign where there is one. Raises `BadHoldings`."""
    import ibis

    table = open_table(source, ibis.duckdb.connect())
    columns = {column.lower() for column in table.columns}
    if missing := sorted({"day", "confirmed", "random", "bits"} - columns):
        raise BadHoldings(f"{source} has no column {', '.join(missing)}")
    rows = table.to_pyarrow().to_pydict()
    campaigns = rows.get("campaign") or [None] * len(rows["day"])
    return [
        Judged(
            round(bits * HALF),
            int(day),
            bool(confirmed),
            bool(random),
            None if campaign is None else str(campaign),
        )
        for bits, day, confirmed, random, campaign in zip(
            rows["bits"], rows["day"], rows["confirmed"], rows["random"], campaigns, strict=True
        )
    ]
