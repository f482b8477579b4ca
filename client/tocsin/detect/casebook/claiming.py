"""Who reviews what: one flag is given to one reviewer, and a claim ends by itself.

1. A reviewer who holds a claim gets the same flag again: after Ctrl-C or a crash nothing is lost.
2. Flags come before candidates, the highest score first. At random, in `rules.random_percent` of cases, any waiting
   account is given instead: thresholds are calibrated on those.
3. Accounts that rest on one other member's judgement alone are at most `rules.reporter_percent` of the last twenty
   given out for each such member, as long as anything else waits.
4. A reviewer never gets a flag that they already voted on in this round.
5. In `golden_percent` of cases a reviewer gets a decided flag of the golden set that they have not judged yet. It looks
   like any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, func, select, update

from tocsin.detect.casebook import history, tables
from tocsin.detect.casebook.book import Casebook
from tocsin.detect.casebook.errors import NotOpen, NotYours
from tocsin.detect.casebook.flags import WAITING, Flag, flag_of_number, is_waiting, read_flag
from tocsin.detect.casebook.settings import LATER
from tocsin.detect.rules import Rules

Below = Callable[[int], int]
"""Draws a whole number from 0 to below its argument."""
_FLAG, _VERDICT = tables.flag.c, tables.verdict.c
_WINDOW = 20


def claim_next(
    book: Casebook,
    reviewer: str,
    rules: Rules,
    now: int,
    below: Below,
    *,
    campaign: str = "",
    but: frozenset[int] = frozenset(),
) -> Flag | None:
    """Give a reviewer the next flag, none of `but`; None where nothing waits. `campaign` keeps to its sample."""
    with book.database.writing() as connection:
        mine = connection.execute(
            select(tables.flag).where(
                _FLAG.claimed_by == reviewer, _FLAG.claimed_until > now, _FLAG.account.is_not(None)
            )
        ).first()
        if mine is not None:  # rule 1
            return read_flag(mine)
        free = ((_FLAG.claimed_by.is_(None)) | (_FLAG.claimed_until <= now)) & _FLAG.no.not_in(but)
        if campaign:
            sample = tables.campaign_sample.c
            free &= _FLAG.no.in_(select(sample.flag).where(sample.campaign == campaign))
        elif (golden := _golden(book, connection, reviewer, free, below)) is not None:
            return _claim(book, connection, golden, reviewer, now)
        waiting = _waiting(connection, reviewer, free, now)
        number = _chosen(connection, waiting, rules, below)
        return None if number is None else _claim(book, connection, number, reviewer, now)


def claim(book: Casebook, number: int, reviewer: str, now: int) -> Flag:
    """Give a reviewer one flag. Raises `NoSuchFlag`, `NotYours`, `NotOpen`."""
    with book.database.writing() as connection:
        flag = flag_of_number(connection, number)
        check_claim(flag, reviewer, now)
        check_waiting(flag, now)
        return _claim(book, connection, number, reviewer, now)


def release(book: Casebook, reviewer: str, now: int) -> int:
    """Return what a reviewer holds to the queue; returns how many flags."""
    with book.database.writing() as connection:
        held = connection.execute(
            select(_FLAG.no).where(_FLAG.claimed_by == reviewer, _FLAG.claimed_until > now)
        ).scalars()
        numbers = list(held)
        for number in numbers:
            connection.execute(
                update(tables.flag).where(_FLAG.no == number).values(claimed_by=None, claimed_until=0)
            )
            history.write(connection, now, reviewer, "released", number)
        return len(numbers)


def check_claim(flag: Flag, reviewer: str, now: int) -> None:
    """Raise `NotYours` where somebody else holds the flag."""
    if flag.claimed_by not in {None, reviewer} and flag.claimed_until > now:
        minutes = max(1, (flag.claimed_until - now + 59) // 60)
        raise NotYours(
            f"flag {flag.no} is with {flag.claimed_by} for at most {minutes} more minutes: take another, or ask them"
        )


def check_waiting(flag: Flag, now: int) -> None:
    """Raise `NotOpen` where the flag waits for nobody."""
    if flag.state in WAITING or (flag.state == LATER and flag.returns <= now) or flag.golden:
        return
    if flag.state == LATER:
        raise NotOpen(
            f"flag {flag.no} was put off: it returns by itself, or reopen it with `tocsin account --appeal`"
        )
    raise NotOpen(f"flag {flag.no} is {flag.state}: `tocsin account ID --appeal` opens it again")


def _claim(book: Casebook, connection: Connection, number: int, reviewer: str, now: int) -> Flag:
    until = now + book.settings.claim_minutes * 60
    connection.execute(
        update(tables.flag)
        .where(_FLAG.no == number)
        .values(claimed_by=reviewer, claimed_at=now, claimed_until=until)
    )
    history.write(connection, now, reviewer, "claimed", number)
    return flag_of_number(connection, number)


def _waiting(connection: Connection, reviewer: str, free: Any, now: int) -> list[Any]:
    voted = select(_VERDICT.flag).where(
        _VERDICT.reviewer == reviewer,
        _VERDICT.flag == _FLAG.no,
        _VERDICT.round == _FLAG.round,
        ~_VERDICT.golden,
    )
    put_off = (_FLAG.state == LATER) & (_FLAG.returns <= now)  # comes back to whoever put it off, too
    return list(
        connection.execute(
            select(_FLAG.no, _FLAG.root)
            .where(is_waiting(now), free, put_off | ~voted.exists())
            .order_by(_FLAG.flagged.desc(), _FLAG.bits.desc(), _FLAG.account)
        )
    )


def _chosen(connection: Connection, waiting: Sequence[Any], rules: Rules, below: Below) -> int | None:
    if not waiting:
        return None
    if below(100) < rules.random_percent:  # rule 2
        number: int = waiting[below(len(waiting))].no
        connection.execute(update(tables.flag).where(_FLAG.no == number).values(random=True))
        return number
    history_row = tables.history.c
    given = connection.execute(
        select(_FLAG.root)
        .join(tables.history, history_row.flag == _FLAG.no)
        .where(history_row.what == "claimed")
        .order_by(history_row.no.desc())
        .limit(_WINDOW - 1)
    ).scalars()
    by_root = Counter(root for root in given if root is not None)
    at_most = max(1, _WINDOW * rules.reporter_percent // 100)
    for row in waiting:  # rule 3
        if row.root is None or by_root[row.root] < at_most:
            return int(row.no)
    return int(waiting[0].no)


def _golden(book: Casebook, connection: Connection, reviewer: str, free: Any, below: Below) -> int | None:
    if below(100) >= book.settings.golden_percent:
        return None
    judged = select(_VERDICT.flag).where(_VERDICT.reviewer == reviewer)
    numbers = connection.execute(
        select(_FLAG.no)
        .where(_FLAG.golden, free, _FLAG.account.is_not(None), _FLAG.no.not_in(judged))
        .order_by(_FLAG.no)
    ).scalars()
    choices = list(numbers)
    return choices[below(len(choices))] if choices else None


def waiting_count(connection: Connection, now: int) -> int:
    """Return how many flags wait, claimed or not."""
    return connection.execute(
        select(func.count()).select_from(tables.flag).where(is_waiting(now))
    ).scalar_one()
