"""What a reviewer sees: everything that is known about one account, with its values read from the holdings.

1. The casebook has keyed hashes only; a value is shown only where it is asked for, and read from the member's own
   holdings at that moment (M-7.7).
2. A note on a verdict is shown to its writer alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tocsin.detect.casebook.book import Casebook
from tocsin.detect.casebook.campaigns import Join, joins_of, names
from tocsin.detect.casebook.flags import (
    Flag,
    Verdict,
    flag_of_account,
    flag_of_number,
    history_of,
    notes_of,
    verdicts_of,
)
from tocsin.detect.casebook.history import Event


@dataclass(frozen=True, slots=True)
class Dossier:
    """Everything about one account. `values` maps a keyed hash in hex to the value; empty unless asked for."""

    flag: Flag
    campaign_name: str
    verdicts: tuple[Verdict, ...]
    notes: tuple[tuple[str, int, str], ...]
    history: tuple[Event, ...]
    joins: tuple[Join, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    def to_dict(self) -> dict[str, object]:
        """Return the one JSON form of a dossier: the flag's fields, and what hangs on it."""
        return self.flag.to_dict() | {
            "campaign_name": self.campaign_name or None,
            "joined_by": [join.to_dict() for join in self.joins],
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
            "notes": [{"by": writer, "time": time, "text": text} for writer, time, text in self.notes],
            "history": [event.to_dict() for event in self.history],
        } | ({"values": dict(self.values)} if self.values else {})  # fmt: skip


def dossier(book: Casebook, which: str | int, reader: str) -> Dossier:
    """Return what the casebook knows of an account, or of the flag with this number. Raises `NoSuchFlag`."""
    with book.database.reading() as connection:
        flag = (
            flag_of_number(connection, which)
            if isinstance(which, int)
            else flag_of_account(connection, which)
        )
        verdicts = tuple(verdicts_of(connection, flag.no, reader))
        notes = tuple(notes_of(connection, flag.no))
        history = tuple(history_of(connection, flag.no))
        joins = tuple(joins_of(connection, flag.no, flag.campaign))
    return Dossier(flag, names(book).get(flag.campaign or "", ""), verdicts, notes, history, joins)


def values_of(book: Casebook, account: str, source: str) -> dict[str, str]:
    """Read an account's values from the holdings, by keyed hash in hex (rule 1).

    Raises `BadHoldings`, `ExtraMissing`.
    """
    return {book.key_of(type, value).hex(): value for type, value in held_values(account, source)}


def held_values(account: str, source: str) -> list[tuple[str, str]]:
    """Return the (type, value) pairs that an account holds. Raises `BadHoldings`, `ExtraMissing`."""
    from tocsin.detect import holdings
    from tocsin.detect.errors import ExtraMissing

    try:
        import ibis
    except ImportError:
        raise ExtraMissing("ibis-framework") from None
    table: Any = holdings.holdings(holdings.open_table(source, ibis.duckdb.connect()), source)
    rows = table.filter(table.account == account).select("type", "value").distinct().to_pyarrow().to_pydict()
    return sorted(zip(rows["type"], rows["value"], strict=True))
