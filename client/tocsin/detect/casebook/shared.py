"""What the casebook keeps of values that were shared on, and which accounts allow it.

1. A row is written before its report is sent, with time 0, and gets its time once the node has the report.
2. Values are keyed hashes; the holdings have the values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select, update

from tocsin.detect.casebook import history, tables
from tocsin.detect.casebook.settings import CONFIRMED
from tocsin.detect.unwinding import EntryId
from tocsin.sealing.label import Tlp

Place = tuple[str, bytes]
"""A type of value and the keyed hash of one."""
_FLAG, _VERDICT, _RESTING = tables.flag.c, tables.verdict.c, tables.resting.c
_SHARED, _ON = tables.shared.c, tables.shared_on.c


@dataclass(frozen=True, slots=True)
class Resting:
    """Another member's report that an account rests on."""

    id: EntryId
    hops: int
    tlp: Tlp


@dataclass(frozen=True, slots=True)
class Confirmed:
    """An account whose values may be shared on. `known`: the member's own list has it as confirmed, too."""

    flag: int
    account: str
    abuse: int
    known: bool
    resting: frozenset[Resting]


@dataclass(frozen=True, slots=True)
class SharedRow:
    """A value of an account that is shared on; `sent` once the node has the report."""

    no: int
    flag: int
    place: Place
    sent: bool
    rests_on: frozenset[EntryId]


def confirmed_accounts(connection: Connection) -> list[Confirmed]:
    """Return the accounts that people confirmed one by one, for reasons that no match gave."""
    matched = (
        select(_VERDICT.flag)
        .join(tables.flag, _FLAG.no == _VERDICT.flag)
        .where(
            _VERDICT.round == _FLAG.round, _VERDICT.outcome == CONFIRMED, _VERDICT.matched, ~_VERDICT.golden
        )
    )
    flags = connection.execute(
        select(_FLAG.no, _FLAG.account, _FLAG.abuse, _FLAG.known)
        .where(_FLAG.state == CONFIRMED, _FLAG.account.is_not(None), ~_FLAG.sampled, _FLAG.no.not_in(matched))
        .order_by(_FLAG.no)
    ).all()
    resting: dict[int, set[Resting]] = defaultdict(set)
    for flag, writer, entry, hops, tlp in connection.execute(
        select(_RESTING.flag, _RESTING.writer, _RESTING.entry, _RESTING.hops, _RESTING.tlp)
    ):
        marked = Tlp(tlp) if tlp in set(Tlp) else Tlp.RED
        resting[flag].add(Resting((writer, entry), hops, marked))
    return [
        Confirmed(no, account, abuse, known, frozenset(resting[no])) for no, account, abuse, known in flags
    ]


def shared_rows(connection: Connection) -> list[SharedRow]:
    """Return every value that is shared on, or about to be."""
    on: dict[int, set[EntryId]] = defaultdict(set)
    for shared, writer, entry in connection.execute(select(_ON.shared, _ON.writer, _ON.entry)):
        on[shared].add((writer, entry))
    rows = connection.execute(
        select(_SHARED.no, _SHARED.flag, _SHARED.type, _SHARED.value_key, _SHARED.time)
        .where(_SHARED.withdrawn == 0)
        .order_by(_SHARED.no)
    )
    return [
        SharedRow(no, flag, (type, key), time > 0, frozenset(on[no])) for no, flag, type, key, time in rows
    ]


def note_planned(connection: Connection, place: Place, flags: Iterable[int]) -> None:
    """Write that a value of these flags is about to be shared on (rule 1)."""
    known = {
        flag for (flag,) in connection.execute(select(_SHARED.flag).where(_at(place), _SHARED.withdrawn == 0))
    }
    for flag in sorted(set(flags) - known):
        connection.execute(
            insert(tables.shared).values(flag=flag, type=place[0], value_key=place[1], time=0, withdrawn=0)
        )


def note_sent(
    connection: Connection, place: Place, flags: Iterable[int], rests_on: Iterable[EntryId], now: int
) -> None:
    """Write that the node has the report of a value: of these flags alone, resting on these entries alone."""
    flags, rests_on = set(flags), list(rests_on)
    rows = connection.execute(
        select(_SHARED.no, _SHARED.flag, _SHARED.time).where(_at(place), _SHARED.withdrawn == 0)
    ).all()
    for no, flag, time in rows:
        connection.execute(delete(tables.shared_on).where(_ON.shared == no))
        if flag not in flags:
            connection.execute(update(tables.shared).where(_SHARED.no == no).values(withdrawn=now))
            continue
        connection.execute(update(tables.shared).where(_SHARED.no == no).values(time=time or now))
        for writer, entry in rests_on:
            connection.execute(insert(tables.shared_on).values(shared=no, writer=writer, entry=entry))


def note_withdrawn(connection: Connection, place: Place, now: int) -> None:
    """Write that the report of a value was taken back; one that was never sent leaves nothing."""
    unsent = select(_SHARED.no).where(_at(place), _SHARED.time == 0)
    connection.execute(delete(tables.shared_on).where(_ON.shared.in_(unsent)))
    connection.execute(delete(tables.shared).where(_at(place), _SHARED.time == 0))
    connection.execute(update(tables.shared).where(_at(place), _SHARED.withdrawn == 0).values(withdrawn=now))


def note_act(connection: Connection, who: str, shared: int, withdrawn: int, now: int) -> None:
    """Write into the history who shared on, and took back, how many values."""
    history.write(connection, now, who, "shared on", None, {"values": shared, "withdrawn": withdrawn})


def _at(place: Place) -> ColumnElement[bool]:
    return and_(_SHARED.type == place[0], _SHARED.value_key == place[1])
