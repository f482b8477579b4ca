"""Write a world as a population's folder (`population` reads it), with `strata.parquet` for what only a simulation
knows.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tocsin.detect.errors import ExtraMissing
from tocsin.detect.simulate.world import STRATA, World

if TYPE_CHECKING:
    import duckdb


def write_population(world: World, out: Path) -> None:
    """Write one folder for each provider; `out` must not exist. Raises OSError, `ExtraMissing`."""
    try:
        import duckdb
    except ImportError:
        raise ExtraMissing("duckdb") from None
    of = world.scenario
    out.mkdir(parents=True)
    with duckdb.connect(config={"threads": 2, "memory_limit": "3GB"}) as connection:
        _tables(connection, world)
        joined = of.joined or len(of.providers)
        for number in range(joined):
            folder = out / f"provider-{number + 1}"
            folder.mkdir()
            for name, query in _QUERIES.items():
                connection.sql(query.format(number=number)).write_parquet(str(folder / f"{name}.parquet"))


_QUERIES = {
    "holdings": """SELECT 'a' || account AS account, type, type || ':' || value AS value, first_day::INTEGER AS
        first_day, last_day::INTEGER AS last_day, exchanges::BIGINT AS exchanges, (exchanges // 4 + 1)::BIGINT AS
        conversations FROM holdings JOIN accounts USING (account) WHERE provider = {number}""",
    "accounts": """SELECT 'a' || account AS account, created::INTEGER AS created_day FROM accounts
        WHERE provider = {number}""",
    "truth": """SELECT 'a' || account AS account, hostile, campaign::INTEGER AS campaign, first::INTEGER AS first_day
        FROM accounts WHERE provider = {number}""",
    "confirmed": """SELECT 'a' || account AS account, min(day)::INTEGER AS day FROM confirmed JOIN accounts USING
        (account) WHERE provider = {number} GROUP BY account""",
    "activity": """SELECT 'a' || account AS account, day::INTEGER AS day, bit_or(hours)::INTEGER AS hours FROM activity
        JOIN accounts USING (account) WHERE provider = {number} GROUP BY ALL""",
    "strata": """SELECT 'a' || account AS account, stratum, several, last::INTEGER AS last_day, exchanges
        FROM accounts WHERE provider = {number}""",
}


def _tables(connection: duckdb.DuckDBPyConnection, world: World) -> None:
    import pyarrow as pa

    held = world.holdings
    names = sorted(set(held.type))
    lengths = [len(part) for part in held.account]
    type_numbers = np.repeat([names.index(name) for name in held.type], lengths)
    connection.register("holdings_numbers", pa.table({
        "account": np.concatenate(held.account), "number": type_numbers, "value": np.concatenate(held.value),
        "first_day": np.concatenate(held.first), "last_day": np.concatenate(held.last),
    }))  # fmt: skip
    connection.register("type_names", pa.table({"number": np.arange(len(names)), "type": names}))
    connection.execute("""CREATE VIEW holdings AS SELECT account, type, value, min(first_day) AS first_day,
        max(last_day) AS last_day FROM holdings_numbers JOIN type_names USING (number) GROUP BY account, type, value""")
    count = len(world.provider)
    connection.register("accounts", pa.table({
        "account": np.arange(count), "provider": world.provider, "created": world.created, "first": world.first,
        "last": world.last, "stratum": np.array(STRATA)[world.stratum], "several": world.several,
        "hostile": world.hostile, "campaign": world.campaign, "exchanges": world.exchanges,
    }))  # fmt: skip
    connection.register(
        "confirmed", pa.table({"account": world.confirmed_account, "day": world.confirmed_day})
    )
    connection.register("activity", pa.table({
        "account": world.active_account, "day": world.active_day, "hours": world.active_hours,
    }))  # fmt: skip
