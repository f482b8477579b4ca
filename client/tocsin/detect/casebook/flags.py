"""Flags as they are read: one, or a list of them, with everything that is known about an account.

1. Bits are steps of half a bit inside and bits in what is shown.
2. A claim counts only until it ends; LATER returns by itself when its day has come.
3. An account that the member's own list has as confirmed waits for no review.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, or_, select

from tocsin.detect.casebook import history, tables
from tocsin.detect.casebook.errors import NoSuchFlag
from tocsin.detect.casebook.settings import CONFIRMED, LATER, REJECTED, UNSURE
from tocsin.detect.rules import in_bits

OPEN, SECOND, GONE, FORGOTTEN = "open", "second", "gone", "forgotten"
"""States of a flag beside the outcomes: waits for a reviewer, waits for a second one, no longer scored, forgotten."""
WAITING = (OPEN, SECOND, UNSURE)
"""States in which a flag may be given to a reviewer; LATER joins them on its day."""
STATES = (*WAITING, LATER, CONFIRMED, REJECTED, GONE)
_FLAG, _VERDICT, _NOTE = tables.flag.c, tables.verdict.c, tables.note.c


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag or candidate. `bits` in steps of half a bit; `explanation` as `tocsin.detect.casebook.intake` wrote it."""

    no: int
    account: str
    state: str
    flagged: bool
    random: bool
    golden: bool
    sampled: bool
    abuse: int
    bits: int
    closed_bits: int
    root: str | None
    campaign: str | None
    explanation: dict[str, Any]
    first_time: int
    changed: int
    decided: int
    returns: int
    round: int
    votes_needed: int
    claimed_by: str | None
    claimed_at: int
    claimed_until: int
    run: int
    known: bool

    def to_dict(self) -> dict[str, object]:
        """Return the one JSON form of a flag. Whether it is golden is not in it: reviewers must not know."""
        return {
            "flag": self.no, "account": self.account, "state": self.state,
            "kind": "flag" if self.flagged else "candidate", "known": self.known,
            "random": self.random, "sampled": self.sampled,
            "abuse": abuse_name(self.abuse), "bits": in_bits(self.bits), "rests_on_one_member": self.root,
            "campaign": self.campaign, "explanation": self.explanation, "first_time": self.first_time,
            "changed": self.changed, "decided": self.decided or None, "returns": self.returns or None,
            "votes_needed": self.votes_needed, "claimed_by": self.claimed_by,
            "claimed_until": self.claimed_until or None,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a person decided about a flag; the note stays with its writer."""

    reviewer: str
    outcome: str
    reason: str
    matched: bool
    time: int
    seconds: int
    round: int
    note: str = ""

    def to_dict(self) -> dict[str, object]:
        """Return the one JSON form of a verdict."""
        return {
            "reviewer": self.reviewer, "outcome": self.outcome, "reason": self.reason, "matched": self.matched,
            "time": self.time, "seconds": self.seconds, "round": self.round, "note": self.note,
        }  # fmt: skip


def abuse_name(number: int) -> str:
    """Return the name of a kind of abuse, as labels write it."""
    from tocsin.sealing.label import AbuseKind

    return next((kind.name.lower().replace("_", "-") for kind in AbuseKind if kind == number), str(number))


def read_flag(row: Any) -> Flag:
    """Make a flag of a row of its table."""
    values = dict(row._mapping)
    values["explanation"] = json.loads(values["explanation"])
    return Flag(**values)


def flag_of_account(connection: Connection, account: str) -> Flag:
    """Return the flag of an account. Raises `NoSuchFlag`."""
    row = connection.execute(select(tables.flag).where(_FLAG.account == account)).first()
    if row is None:
        raise NoSuchFlag(
            "the casebook has nothing about this account: check the id, or run `tocsin detect run` first"
        )
    return read_flag(row)


def flag_of_number(connection: Connection, number: int) -> Flag:
    """Return a flag by its number. Raises `NoSuchFlag`."""
    row = connection.execute(
        select(tables.flag).where(_FLAG.no == number, _FLAG.account.is_not(None))
    ).first()
    if row is None:
        raise NoSuchFlag(f"there is no flag {number}: `tocsin flags` lists them")
    return read_flag(row)


def is_waiting(now: int) -> Any:
    """The condition that a flag may be reviewed (rule 2), whoever has claimed it."""
    return and_(
        _FLAG.account.is_not(None),
        ~_FLAG.known,
        or_(_FLAG.state.in_(WAITING), and_(_FLAG.state == LATER, _FLAG.returns <= now)),
    )


def list_flags(
    connection: Connection, now: int, *, state: str = "", campaign: str = "", reviewer: str = "", type: str = "",
    reporter: str = "", least_bits: int = 0, limit: int = 100,
) -> list[Flag]:  # fmt: skip
    """Return flags, flagged before candidates, the highest score first. An empty filter lets everything pass.

    `state` is one of `STATES`, or `waiting`; `reviewer` has claimed the flag; `type` is one of its evidence; `reporter`
    is the name of a member that reported some of it.
    """
    query: Select[Any] = select(tables.flag).where(_FLAG.account.is_not(None), _FLAG.bits >= least_bits)
    if state == "waiting":
        query = query.where(is_waiting(now))
    elif state:
        query = query.where(_FLAG.state == state)
    if campaign:
        query = query.where(_FLAG.campaign == campaign)
    if reviewer:
        query = query.where(_FLAG.claimed_by == reviewer, _FLAG.claimed_until > now)
    if type:
        query = query.where(
            _FLAG.no.in_(select(tables.evidence.c.flag).where(tables.evidence.c.type == type))
        )
    if reporter:
        resting = tables.resting.c
        query = query.where(_FLAG.no.in_(select(resting.flag).where(resting.writer_name == reporter)))
    query = query.order_by(_FLAG.flagged.desc(), _FLAG.bits.desc(), _FLAG.account).limit(limit)
    return [read_flag(row) for row in connection.execute(query)]


def verdicts_of(connection: Connection, flag: int, reader: str) -> list[Verdict]:
    """Return a flag's verdicts, oldest first; notes only where `reader` wrote them."""
    rows = connection.execute(
        select(
            _VERDICT.reviewer, _VERDICT.outcome, _VERDICT.reason, _VERDICT.matched, _VERDICT.time, _VERDICT.seconds,
            _VERDICT.round, _VERDICT.note,
        )
        .where(_VERDICT.flag == flag)
        .order_by(_VERDICT.no)
    )  # fmt: skip
    return [Verdict(*row[:-1], note=row.note if row.reviewer == reader else "") for row in rows]


def notes_of(connection: Connection, flag: int) -> list[tuple[str, int, str]]:
    """Return (writer, time, text) of the team's notes on a flag, oldest first."""
    rows = connection.execute(
        select(_NOTE.writer, _NOTE.time, _NOTE.text).where(_NOTE.flag == flag).order_by(_NOTE.no)
    )
    return [(writer, time, text) for writer, time, text in rows]


def history_of(connection: Connection, flag: int) -> list[history.Event]:
    """Return what happened to a flag, oldest first."""
    return history.events(connection, flag)
