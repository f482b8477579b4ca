"""Values of a member's holdings beside their keyed hashes in the casebook, for what needs the values themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tocsin.detect import holdings
from tocsin.detect.casebook.book import Casebook
from tocsin.detect.casebook.shared import Place
from tocsin.detect.errors import ExtraMissing


@dataclass(frozen=True, slots=True)
class HeldValue:
    """A value, how many accounts hold it, and the first and last day, since 1970, on which some did."""

    value: str = field(repr=False)
    accounts: int
    first_day: int
    last_day: int


@dataclass(frozen=True, slots=True)
class Held:
    """Values by place, and the places of each account that was asked for."""

    values: Mapping[Place, HeldValue]
    places: Mapping[str, Sequence[Place]]


def held_by(book: Casebook, source: str, accounts: Collection[str], others: Collection[Place]) -> Held:
    """Read what these accounts hold, and values at other places, of whatever account.

    Raises `BadHoldings`, `ExtraMissing`.
    """
    try:
        import ibis
    except ImportError:
        raise ExtraMissing("ibis-framework") from None
    table: Any = holdings.holdings(holdings.open_table(source, ibis.duckdb.connect()), source)
    mine = table.filter(table.account.isin(sorted(accounts))).select("account", "type", "value").distinct()
    rows = mine.to_pyarrow().to_pydict()
    places: dict[str, list[Place]] = defaultdict(list)
    values: dict[Place, HeldValue] = {}
    for account, type, value in zip(rows["account"], rows["type"], rows["value"], strict=True):
        places[account].append((type, book.key_of(type, value)))
    wanted = {place for found in places.values() for place in found} | set(others)
    # Of other accounts only types that are wanted are read: their values are known here by keyed hashes alone.
    kept = table.filter(table.type.isin(sorted({type for type, _ in wanted})))
    if not others:
        kept = kept.semi_join(mine, ["type", "value"])
    summed = kept.group_by("type", "value").aggregate(
        accounts=kept.account.nunique(), first_day=kept.first_day.min(), last_day=kept.last_day.max()
    )
    rows = summed.to_pyarrow().to_pydict()
    for type, value, count, first, last in zip(
        *(rows[name] for name in ("type", "value", "accounts", "first_day", "last_day")), strict=True
    ):
        if (place := (type, book.key_of(type, value))) in wanted:
            values[place] = HeldValue(value, count, first, last)
    return Held(values, places)
