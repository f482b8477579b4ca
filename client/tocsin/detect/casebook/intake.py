"""From a round of detection into the casebook: flags and candidates, each with its explanation.

1. An account has one flag for ever. A round updates its score, evidence and explanation; taking the same round twice
   changes nothing.
2. A rejected flag stays closed until its score has grown by `rules.reopen`; then it is open again, and verdicts from
   before no longer count.
3. A confirmed flag whose reviewers went by the match alone is opened again when its score falls below the threshold:
   what it rested on was retracted.
4. An undecided flag that the round no longer scores is gone; it comes back by itself if a later round scores it.
5. A share of what nobody would queue is drawn at random beside it: thresholds are calibrated on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from tocsin.detect.casebook import history, tables
from tocsin.detect.casebook.book import Casebook
from tocsin.detect.casebook.flags import GONE, OPEN, SECOND, Flag, read_flag
from tocsin.detect.casebook.settings import CONFIRMED, LATER, REJECTED, UNSURE
from tocsin.detect.explaining import Explanation, Reason
from tocsin.detect.rules import Rules, in_bits

DETECTOR = "detector"
"""Who the history names for what a round of detection did."""
_FLAG = tables.flag.c


@dataclass(frozen=True, slots=True)
class RestsOn:
    """An entry of another member's log: its writer's id (16 bytes) and name, its index, its label's hops, whether
    somebody disputes it, and with whom it may be shared (0 if unknown).
    """

    writer: bytes
    writer_name: str
    entry: int
    hops: int
    disputed: bool = False
    tlp: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class Scored:
    """What a round says of one account. `root` is the one member whose judgement it rests on, if it is one; `entries`
    are the reports of each (type, value); `known` if the member's own list has it as confirmed.
    """

    explanation: Explanation
    abuse: int
    root: str | None = None
    random: bool = False
    entries: Mapping[tuple[str, str], tuple[RestsOn, ...]] = field(default_factory=dict)
    known: bool = False

    @property
    def account(self) -> str:
        """The account's id."""
        return self.explanation.account

    @property
    def bits(self) -> int:
        """Its score, in steps of half a bit."""
        return self.explanation.bits

    @property
    def flagged(self) -> bool:
        """Whether it is a flag; else it is a candidate, or below."""
        return self.explanation.flag


@dataclass(frozen=True, slots=True)
class Taken:
    """What taking a round changed."""

    new: int = 0
    updated: int = 0
    reopened: int = 0
    gone: int = 0


def take(book: Casebook, scored: Iterable[Scored], run: int, rules: Rules, now: int) -> Taken:
    """Write what a round found. A round that was taken before, or is older than the last one, changes nothing."""
    new = updated = reopened = 0
    with book.database.writing() as connection:
        if run <= connection.execute(select(tables.meta.c.run)).scalar_one():
            return Taken()
        known = {
            row.account: read_flag(row)
            for row in connection.execute(select(tables.flag).where(_FLAG.account.is_not(None)))
        }
        seen: dict[str, bool] = {}
        for account in scored:
            seen[account.account] = account.known
            flag = known.get(account.account)
            if flag is None:
                _add(book, connection, account, now)
                new += 1
                continue
            updated += 1
            reopened += _update(book, connection, flag, account, rules, now)
        gone = 0
        for flag in known.values():
            if flag.account not in seen and flag.state in (OPEN, SECOND, UNSURE, LATER):
                gone += 1
                connection.execute(
                    update(tables.flag).where(_FLAG.no == flag.no).values(state=GONE, changed=now)
                )
                history.write(connection, now, DETECTOR, "gone", flag.no)
            elif flag.account not in seen and flag.state == CONFIRMED and _reopen(connection, flag, 0, rules):
                reopened += 1
                _open_again(connection, flag, "evidence was retracted", now, bits=0)
        _mark(connection, seen, run)
        connection.execute(update(tables.meta).values(run=run))
    return Taken(new, updated, reopened, gone)


def _mark(connection: Connection, seen: Mapping[str, bool], run: int) -> None:
    """Say which flags the round scored, and which of them the member's own list has as confirmed."""
    connection.execute(update(tables.flag).values(known=False))
    marks = [{"of": account, "known_now": known} for account, known in seen.items()]
    if marks:
        connection.execute(
            update(tables.flag)
            .where(_FLAG.account == bindparam("of"))
            .values(run=run, known=bindparam("known_now") & (_FLAG.state != CONFIRMED)),
            marks,
        )


def votes_needed(book: Casebook, account: Scored) -> int:
    """Return how many reviewers must agree: two where a type or the score asks for it."""
    settings = book.settings
    types = {reason.type for reason in account.explanation.reasons}
    by_bits = settings.second_reviewer_bits and in_bits(account.bits) >= settings.second_reviewer_bits
    return 2 if by_bits or types & set(settings.second_reviewer_types) else 1


def _add(book: Casebook, connection: Connection, account: Scored, now: int) -> None:
    number = connection.execute(
        insert(tables.flag).values(
            account=account.account, state=OPEN, flagged=account.flagged, random=account.random, golden=False,
            sampled=False, abuse=account.abuse, bits=account.bits, closed_bits=0, root=account.root, campaign=None,
            explanation=_explanation(book, account), first_time=now, changed=now, decided=0, returns=0, round=1,
            votes_needed=votes_needed(book, account), claimed_by=None, claimed_at=0, claimed_until=0,
            run=0, known=False,
        ).returning(_FLAG.no)
    ).scalar_one()  # fmt: skip
    _write_evidence(book, connection, number, account)
    what = "flagged" if account.flagged else "candidate"
    history.write(connection, now, DETECTOR, what, number, {"bits": in_bits(account.bits)})


def _update(
    book: Casebook, connection: Connection, flag: Flag, account: Scored, rules: Rules, now: int
) -> bool:
    explanation = _explanation(book, account)
    if (account.bits, account.flagged) != (flag.bits, flag.flagged) or json.loads(
        explanation
    ) != flag.explanation:
        connection.execute(
            update(tables.flag).where(_FLAG.no == flag.no).values(
                flagged=account.flagged, abuse=account.abuse, bits=account.bits, root=account.root,
                explanation=explanation, changed=now, votes_needed=max(flag.votes_needed, votes_needed(book, account)),
            )
        )  # fmt: skip
        connection.execute(delete(tables.evidence).where(tables.evidence.c.flag == flag.no))
        connection.execute(delete(tables.resting).where(tables.resting.c.flag == flag.no))
        _write_evidence(book, connection, flag.no, account)
        if account.bits != flag.bits:
            detail: dict[str, object] = {"bits": in_bits(account.bits), "before": in_bits(flag.bits)}
            history.write(connection, now, DETECTOR, "score", flag.no, detail)
    if flag.state == GONE:
        connection.execute(update(tables.flag).where(_FLAG.no == flag.no).values(state=OPEN))
        history.write(connection, now, DETECTOR, "back", flag.no)
    elif _reopen(connection, flag, account.bits, rules):
        why = "evidence grew" if flag.state == REJECTED else "evidence was retracted"
        _open_again(connection, flag, why, now, bits=account.bits)
        return True
    return False


def _reopen(connection: Connection, flag: Flag, bits: int, rules: Rules) -> bool:
    if flag.state == REJECTED:  # rule 2
        return bits >= flag.closed_bits + rules.reopen
    if flag.state != CONFIRMED or bits >= rules.flag or flag.bits < rules.flag:
        return False
    verdict = tables.verdict.c
    matched = connection.execute(
        select(verdict.matched).where(verdict.flag == flag.no, verdict.round == flag.round, ~verdict.golden)
    ).scalars()
    return any(matched)  # rule 3


def _open_again(connection: Connection, flag: Flag, why: str, now: int, *, bits: int) -> None:
    connection.execute(
        update(tables.flag)
        .where(_FLAG.no == flag.no)
        .values(
            state=OPEN,
            round=flag.round + 1,
            decided=0,
            claimed_by=None,
            claimed_until=0,
            changed=now,
            bits=bits,
        )
    )
    history.write(connection, now, DETECTOR, "reopened", flag.no, {"why": why})


def _explanation(book: Casebook, account: Scored) -> str:
    """What the casebook keeps of an explanation: keyed hashes in place of values."""
    reasons = [
        {
            "type": reason.type, "value_key": book.key_of(reason.type, reason.value).hex(), "family": reason.family,
            "group": reason.group, "bits": in_bits(reason.weight), "counts": reason.counts / 20, "own": reason.own,
            "reporters": list(reason.reporters), "disputed": _disputed(account, reason), "holders": reason.holders,
            "established": reason.established, "hub": reason.hub,
        }
        for reason in account.explanation.reasons
    ]  # fmt: skip
    return json.dumps({
        "groups": list(account.explanation.groups), "reasons": reasons,
        "missing": list(account.explanation.missing), "would_end": list(account.explanation.would_end),
    })  # fmt: skip


def _disputed(account: Scored, reason: Reason) -> list[str]:
    """The members whose report of this value somebody disputes."""
    entries = account.entries.get((reason.type, reason.value), ())
    return sorted({entry.writer_name for entry in entries if entry.disputed})


def _write_evidence(book: Casebook, connection: Connection, flag: int, account: Scored) -> None:
    evidence, resting = [], []
    for reason in account.explanation.reasons:
        key = book.key_of(reason.type, reason.value)
        evidence.append({
            "flag": flag, "type": reason.type, "value_key": key, "weight": reason.weight, "own": reason.own,
            "hub": reason.hub,
        })  # fmt: skip
        resting += [
            {
                "flag": flag, "type": reason.type, "value_key": key, "writer": entry.writer, "entry": entry.entry,
                "writer_name": entry.writer_name, "hops": entry.hops, "tlp": entry.tlp,
            }
            for entry in account.entries.get((reason.type, reason.value), ())
        ]  # fmt: skip
    if evidence:
        connection.execute(insert(tables.evidence), evidence)
    if resting:
        connection.execute(insert(tables.resting), resting)
