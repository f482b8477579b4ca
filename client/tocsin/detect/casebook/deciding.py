"""Verdicts: what a person decides about a flag, and what follows.

1. A verdict names an outcome, a reason that fits it, its reviewer and its time. It is written in one transaction with
   the state that follows: an interrupted review loses nothing and decides nothing.
2. Confirmed and rejected count once as many reviewers as the flag needs agree; until then it waits for another one.
   Unsure leaves it to others; later closes it until its day.
3. On a golden flag a verdict measures, and changes nothing.
4. A rejected flag remembers its score: it opens again when that has grown. An appeal opens any decided flag.
5. A whole campaign is decided by two people, after its random sample of 30 was decided flag by flag and
   `campaign_confirmed` of the 30 were confirmed. What is decided so is marked `sampled` and is never shared on.
6. A decision that is final is queued for the member's own systems, once, with the delay that the settings ask for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from tocsin.detect.casebook import history, tables
from tocsin.detect.casebook.book import Casebook
from tocsin.detect.casebook.claiming import Below, check_claim, check_waiting
from tocsin.detect.casebook.errors import BadVerdict, NoSuchCampaign, NoSuchFlag, NotOpen
from tocsin.detect.casebook.flags import (
    OPEN,
    SECOND,
    WAITING,
    Flag,
    flag_of_account,
    flag_of_number,
    read_flag,
)
from tocsin.detect.casebook.settings import CONFIRMED, LATER, OUTCOMES, REJECTED, UNSURE, Reason

SAMPLE = 30
_FLAG, _VERDICT = tables.flag.c, tables.verdict.c
_LONGEST_S = 24 * 3600
"""A decision that took longer was not all spent on it: time per decision counts at most this."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict to be written. `returns`, in unix seconds, is the day of `later`."""

    outcome: str
    reason: str
    reviewer: str
    note: str = ""
    returns: int = 0


def decide(book: Casebook, number: int, decision: Decision, now: int, below: Below) -> Flag:
    """Write a verdict and return the flag as it is then.

    Raises `NoSuchFlag`, `NotYours`, `NotOpen`, `BadVerdict`.
    """
    reason = _checked(book, decision, now)
    with book.database.writing() as connection:
        flag = flag_of_number(connection, number)
        check_claim(flag, decision.reviewer, now)
        measuring = flag.golden and flag.state in {CONFIRMED, REJECTED}
        if not measuring:
            check_waiting(flag, now)
        verdict = _write(connection, flag, decision, reason, now, golden=measuring)
        if measuring:  # rule 3
            connection.execute(
                update(tables.flag).where(_FLAG.no == number).values(claimed_by=None, claimed_until=0)
            )
            history.write(connection, now, decision.reviewer, "decided", number)
        else:
            _follow(book, connection, flag, decision, verdict, now, below)
        return flag_of_number(connection, number)


def appeal(book: Casebook, account: str, who: str, why: str, now: int) -> Flag:
    """Open the decided flag of an account again. Raises `NoSuchFlag`, `NotOpen`."""
    with book.database.writing() as connection:
        flag = flag_of_account(connection, account)
        if flag.state in WAITING:
            raise NotOpen(f"flag {flag.no} is open: it waits for a reviewer")
        connection.execute(
            update(tables.flag)
            .where(_FLAG.no == flag.no)
            .values(
                state=OPEN, round=flag.round + 1, decided=0, returns=0, sampled=False, golden=False,
                claimed_by=None, claimed_until=0, changed=now,
            )
        )  # fmt: skip
        history.write(connection, now, who, "appeal", flag.no)
        if why:
            connection.execute(insert(tables.note).values(flag=flag.no, writer=who, time=now, text=why))
        return flag_of_number(connection, flag.no)


def add_note(book: Casebook, number: int, who: str, text: str, now: int) -> None:
    """Add a note that the whole team reads. Raises `NoSuchFlag`, `BadVerdict`."""
    if not text.strip():
        raise BadVerdict("a note must not be empty")
    with book.database.writing() as connection:
        flag_of_number(connection, number)
        connection.execute(insert(tables.note).values(flag=number, writer=who, time=now, text=text))
        history.write(connection, now, who, "note", number)


def set_golden(book: Casebook, number: int, who: str, now: int) -> Flag:
    """Put a decided flag into the golden set. Raises `NoSuchFlag`, `NotOpen`."""
    with book.database.writing() as connection:
        flag = flag_of_number(connection, number)
        if flag.state not in {CONFIRMED, REJECTED} or flag.sampled:
            raise NotOpen(
                f"flag {number} is {flag.state}: the golden set is made of flags that people decided one by one"
            )
        connection.execute(update(tables.flag).where(_FLAG.no == number).values(golden=True))
        history.write(connection, now, who, "golden", number)
        return flag_of_number(connection, number)


@dataclass(frozen=True, slots=True)
class CampaignState:
    """How far deciding a campaign has come. `decided_now` counts the flags that the last vote decided."""

    campaign: str
    waiting: int
    sample: int
    sample_waiting: int
    sample_confirmed: int
    sample_rejected: int
    votes: tuple[str, ...]
    decided_now: int = 0


def draw_sample(book: Casebook, campaign: str, who: str, now: int, below: Below) -> CampaignState:
    """Draw, once, the random sample of 30 waiting flags that stands for a campaign.

    Raises `NoSuchCampaign`, `NoSuchFlag`.
    """
    with book.database.writing() as connection:
        _campaign(connection, campaign)
        if not _sample(connection, campaign):
            numbers = _waiting_of(connection, campaign)
            sample = [numbers.pop(below(len(numbers))) for _ in range(min(SAMPLE, len(numbers)))]
            if not sample:
                raise NoSuchFlag(f"no flag of campaign {campaign} waits for a decision")
            connection.execute(
                insert(tables.campaign_sample), [{"campaign": campaign, "flag": number} for number in sample]
            )
            history.write(
                connection, now, who, "campaign sample", None, {"campaign": campaign, "size": len(sample)}
            )
        return _campaign_state(connection, campaign)


def decide_campaign(
    book: Casebook, campaign: str, decision: Decision, now: int, below: Below
) -> CampaignState:
    """Vote to decide what is left of a campaign; the second person's same vote decides it (rule 5).

    Raises `NoSuchCampaign`, `NotOpen`, `BadVerdict`.
    """
    reason = _checked(book, decision, now)
    if decision.outcome not in {CONFIRMED, REJECTED}:
        raise BadVerdict("a campaign can be confirmed or rejected")
    with book.database.writing() as connection:
        _campaign(connection, campaign)
        state = _campaign_state(connection, campaign)
        _check_sample(book, state, decision)
        vote = tables.campaign_vote.c
        connection.execute(
            delete(tables.campaign_vote).where(vote.campaign == campaign, vote.reviewer == decision.reviewer)
        )
        connection.execute(
            insert(tables.campaign_vote).values(
                campaign=campaign,
                reviewer=decision.reviewer,
                outcome=decision.outcome,
                reason=decision.reason,
                time=now,
            )
        )
        detail: dict[str, object] = {"campaign": campaign, "outcome": decision.outcome}
        history.write(connection, now, decision.reviewer, "campaign vote", None, detail)
        agreed = connection.execute(
            select(func.count())
            .select_from(tables.campaign_vote)
            .where(vote.campaign == campaign, vote.outcome == decision.outcome)
        ).scalar_one()
        if agreed < 2:
            return _campaign_state(connection, campaign)
        numbers = _waiting_of(connection, campaign)
        for number in numbers:
            flag = flag_of_number(connection, number)
            verdict = _write(connection, flag, decision, reason, now, golden=False, sampled=True)
            connection.execute(update(tables.flag).where(_FLAG.no == number).values(sampled=True))
            _finish(book, connection, flag, decision, verdict, now, below)
        connection.execute(delete(tables.campaign_vote).where(vote.campaign == campaign))
        connection.execute(
            delete(tables.campaign_sample).where(tables.campaign_sample.c.campaign == campaign)
        )
        left = _campaign_state(connection, campaign)
        return CampaignState(
            campaign,
            left.waiting,
            state.sample,
            0,
            state.sample_confirmed,
            state.sample_rejected,
            (),
            len(numbers),
        )


def _checked(book: Casebook, decision: Decision, now: int) -> Reason:
    if decision.outcome not in OUTCOMES:
        raise BadVerdict(f"the outcome must be one of {', '.join(OUTCOMES)}")
    fitting = book.settings.reasons_for(decision.outcome)
    reason = next((reason for reason in fitting if reason.name == decision.reason), None)
    if reason is None:
        names = ", ".join(reason.name for reason in fitting)
        raise BadVerdict(
            f"the reason of {decision.outcome} must be one of {names} (casebook.toml lists them)"
        )
    if not decision.reviewer.strip():
        raise BadVerdict("a verdict needs its reviewer: give --by NAME")
    if (decision.outcome == LATER) != (decision.returns > 0):
        raise BadVerdict("give the day of return with `later`, and only with it: --until YYYY-MM-DD")
    if decision.outcome == LATER and decision.returns <= now:
        raise BadVerdict("the day of return must be in the future")
    return reason


def _write(
    connection: Connection,
    flag: Flag,
    decision: Decision,
    reason: Reason,
    now: int,
    *,
    golden: bool,
    sampled: bool = False,
) -> int:
    began = flag.claimed_at if flag.claimed_by == decision.reviewer else now
    return int(
        connection.execute(
            insert(tables.verdict).values(
                flag=flag.no, round=flag.round, outcome=decision.outcome, reason=reason.name, matched=reason.matched,
                note=decision.note, reviewer=decision.reviewer, time=now, seconds=min(max(0, now - began), _LONGEST_S),
                bits=flag.bits, golden=golden, random=flag.random, sampled=sampled, root=flag.root,
            ).returning(_VERDICT.no)
        ).scalar_one()
    )  # fmt: skip


def _follow(
    book: Casebook,
    connection: Connection,
    flag: Flag,
    decision: Decision,
    verdict: int,
    now: int,
    below: Below,
) -> None:
    free: dict[str, Any] = {"claimed_by": None, "claimed_until": 0, "changed": now}
    if decision.outcome == UNSURE:
        state = SECOND if flag.state == SECOND else UNSURE
        connection.execute(update(tables.flag).where(_FLAG.no == flag.no).values(state=state, **free))
    elif decision.outcome == LATER:
        connection.execute(
            update(tables.flag)
            .where(_FLAG.no == flag.no)
            .values(state=LATER, returns=decision.returns, **free)
        )
    else:
        agreed = connection.execute(
            select(func.count(_VERDICT.reviewer.distinct())).where(
                _VERDICT.flag == flag.no, _VERDICT.round == flag.round, _VERDICT.outcome == decision.outcome,
                ~_VERDICT.golden,
            )
        ).scalar_one()  # fmt: skip
        if agreed >= flag.votes_needed:
            _finish(book, connection, flag, decision, verdict, now, below)
            return
        connection.execute(update(tables.flag).where(_FLAG.no == flag.no).values(state=SECOND, **free))
    detail: dict[str, object] = {"outcome": decision.outcome, "reason": decision.reason}
    history.write(connection, now, decision.reviewer, "decided", flag.no, detail)


def _finish(
    book: Casebook,
    connection: Connection,
    flag: Flag,
    decision: Decision,
    verdict: int,
    now: int,
    below: Below,
) -> None:
    """The decision is final: close the flag and queue it for the member's own systems (rules 4 and 6)."""
    connection.execute(
        update(tables.flag)
        .where(_FLAG.no == flag.no)
        .values(
            state=decision.outcome, decided=now, closed_bits=flag.bits, returns=0, claimed_by=None, claimed_until=0,
            changed=now,
        )
    )  # fmt: skip
    settings = book.settings
    spread = settings.delay_spread_minutes * 60
    due = now + settings.delay_minutes * 60 + (below(spread + 1) if spread else 0)
    connection.execute(
        insert(tables.delivery).values(
            name=f"{flag.no}-{flag.round}-{verdict}",
            verdict=verdict,
            flag=flag.no,
            due=due,
            attempts=0,
            delivered=0,
        )
    )
    detail: dict[str, object] = {"outcome": decision.outcome, "reason": decision.reason, "final": True}
    history.write(connection, now, decision.reviewer, "decided", flag.no, detail)


def _campaign(connection: Connection, campaign: str) -> None:
    known = connection.execute(select(tables.campaign.c.id).where(tables.campaign.c.id == campaign)).first()
    if known is None:
        raise NoSuchCampaign(f"there is no campaign {campaign}: `tocsin campaigns list` shows them")


def _waiting_of(connection: Connection, campaign: str) -> list[int]:
    rows = connection.execute(
        select(_FLAG.no)
        .where(
            _FLAG.campaign == campaign,
            _FLAG.account.is_not(None),
            _FLAG.state.in_((*WAITING, LATER)),
            ~_FLAG.known,
        )
        .order_by(_FLAG.no)
    )
    return list(rows.scalars())


def _sample(connection: Connection, campaign: str) -> list[Flag]:
    sample = tables.campaign_sample.c
    rows = connection.execute(
        select(tables.flag)
        .join(tables.campaign_sample, sample.flag == _FLAG.no)
        .where(sample.campaign == campaign, _FLAG.account.is_not(None))
    )
    return [read_flag(row) for row in rows]


def _campaign_state(connection: Connection, campaign: str) -> CampaignState:
    sample = _sample(connection, campaign)
    vote = tables.campaign_vote.c
    votes = connection.execute(
        select(vote.reviewer).where(vote.campaign == campaign).order_by(vote.time, vote.reviewer)
    ).scalars()
    return CampaignState(
        campaign,
        len(_waiting_of(connection, campaign)),
        len(sample),
        sum(flag.state not in {CONFIRMED, REJECTED} for flag in sample),
        sum(flag.state == CONFIRMED for flag in sample),
        sum(flag.state == REJECTED for flag in sample),
        tuple(votes),
    )


def _check_sample(book: Casebook, state: CampaignState, decision: Decision) -> None:
    if not state.sample:
        raise NotOpen(f"draw the random sample first: tocsin review campaign {state.campaign} --sample")
    if state.sample_waiting:
        raise NotOpen(
            f"{state.sample_waiting} of {state.sample} flags of the sample are undecided: "
            f"tocsin review --campaign {state.campaign}"
        )
    agreeing = state.sample_confirmed if decision.outcome == CONFIRMED else state.sample_rejected
    # A campaign smaller than the sample needs the same share of it.
    needed = -(-book.settings.campaign_confirmed * state.sample // SAMPLE)
    if agreeing < needed:
        raise NotOpen(
            f"{agreeing} of {state.sample} flags of the sample are {decision.outcome}, {needed} are needed: "
            "decide the rest flag by flag"
        )
