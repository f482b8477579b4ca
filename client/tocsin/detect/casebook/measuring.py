"""What a team's verdicts measure: agreement, time, yield by reporter, and what detection learns from them.

1. Agreement: over every flag and round that two people judged as confirmed or rejected, the share of pairs that agree.
   Golden flags count, verdicts on a campaign as a whole do not.
2. Yield by reporter: of the final verdicts on flags with a report of that member, how many were confirmations.
3. A member's judgement is trusted to flag alone after `rules.trust_verdicts` final verdicts on flags that rested on it
   alone, of which `rules.trust_percent` confirmed.
4. Hits by type: an account counts once for each type that was reported; verdicts by sample do not count.
5. A decision is reversed when a later final one about the same account has another outcome.
6. A member is muted after `rules.mute_verdicts` final verdicts on flags that rested on it alone, of which
   `rules.mute_percent` rejected. Only the team's own verdicts count: others' disputes cannot mute anybody. A verdict
   that is reversed counts as what it is now.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import combinations

from sqlalchemy import Connection, select

from tocsin.detect.casebook import history, tables
from tocsin.detect.casebook.settings import CONFIRMED, REJECTED
from tocsin.detect.rules import Rules

_FLAG, _VERDICT = tables.flag.c, tables.verdict.c


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many pairs of verdicts on one flag by two people there are, and how many agree."""

    pairs: int
    agreeing: int

    @property
    def percent(self) -> float | None:
        """Return the share of pairs that agree; None without any."""
        return 100 * self.agreeing / self.pairs if self.pairs else None


@dataclass(frozen=True, slots=True)
class Yield:
    """Final verdicts on flags that a member's reports spoke for."""

    reporter: str
    confirmed: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Pace:
    """A reviewer's verdicts and the median seconds from claim to verdict."""

    reviewer: str
    verdicts: int
    median_seconds: float


@dataclass(frozen=True, slots=True)
class FinalVerdict:
    """A final verdict, as detection and calibration read it. `bits` in steps of half a bit, `day` since 1970."""

    account: str
    abuse: int
    confirmed: bool
    day: int
    bits: int
    random: bool
    campaign: str | None


def agreement(connection: Connection) -> Agreement:
    """Measure agreement (rule 1)."""
    by_flag: dict[tuple[int, int], dict[str, str]] = defaultdict(dict)
    rows = connection.execute(
        select(_VERDICT.flag, _VERDICT.round, _VERDICT.reviewer, _VERDICT.outcome)
        .where(_VERDICT.outcome.in_((CONFIRMED, REJECTED)), ~_VERDICT.sampled)
        .order_by(_VERDICT.no)
    )
    for flag, round, reviewer, outcome in rows:
        by_flag[flag, round].setdefault(reviewer, outcome)
    pairs = [pair for outcomes in by_flag.values() for pair in combinations(outcomes.values(), 2)]
    return Agreement(len(pairs), sum(one == other for one, other in pairs))


def yields(connection: Connection) -> list[Yield]:
    """Return every reporter's yield (rule 2), by name."""
    resting = tables.resting.c
    rows = connection.execute(
        select(resting.writer_name, _FLAG.state, _FLAG.no)
        .join(tables.flag, resting.flag == _FLAG.no)
        .where(_FLAG.state.in_((CONFIRMED, REJECTED)), ~_FLAG.sampled)
        .distinct()
    )
    counts: dict[str, dict[str, int]] = defaultdict(lambda: {CONFIRMED: 0, REJECTED: 0})
    for name, state, _ in rows:
        counts[name][state] += 1
    return [Yield(name, count[CONFIRMED], count[REJECTED]) for name, count in sorted(counts.items())]


def paces(connection: Connection) -> list[Pace]:
    """Return every reviewer's pace, by name; verdicts without a claim have no time and do not count."""
    seconds: dict[str, list[int]] = defaultdict(list)
    rows = connection.execute(
        select(_VERDICT.reviewer, _VERDICT.seconds).where(~_VERDICT.sampled, _VERDICT.seconds > 0)
    )
    for reviewer, took in rows:
        seconds[reviewer].append(took)
    return [Pace(name, len(took), statistics.median(took)) for name, took in sorted(seconds.items())]


def judged(connection: Connection) -> list[FinalVerdict]:
    """Return every final verdict on an account that is not forgotten."""
    rows = connection.execute(
        select(
            _FLAG.account,
            _FLAG.abuse,
            _FLAG.state,
            _FLAG.decided,
            _FLAG.closed_bits,
            _FLAG.random,
            _FLAG.campaign,
        )
        .where(_FLAG.state.in_((CONFIRMED, REJECTED)), _FLAG.account.is_not(None))
        .order_by(_FLAG.no)
    )
    return [
        FinalVerdict(account, abuse, state == CONFIRMED, decided // 86_400, bits, random, campaign)
        for account, abuse, state, decided, bits, random, campaign in rows
    ]


def trusted(connection: Connection, rules: Rules) -> frozenset[str]:
    """Return the members whose judgement may flag alone (rule 3)."""
    return frozenset(
        root
        for root, (confirmed, rejected) in _by_root(connection).items()
        if confirmed + rejected >= rules.trust_verdicts
        and confirmed * 100 >= (confirmed + rejected) * rules.trust_percent
    )


def muted(connection: Connection, rules: Rules) -> dict[str, Yield]:
    """Return the members whose reports weigh nothing, with the verdicts that say so (rule 6)."""
    return {
        root: Yield(root, confirmed, rejected)
        for root, (confirmed, rejected) in sorted(_by_root(connection).items())
        if confirmed + rejected >= rules.mute_verdicts
        and rejected * 100 >= (confirmed + rejected) * rules.mute_percent
    }


def _by_root(connection: Connection) -> dict[str, tuple[int, int]]:
    """Return how many accounts that rest on one member alone were confirmed and rejected, by that member."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    rows = connection.execute(
        select(_FLAG.root, _FLAG.state).where(
            _FLAG.root.is_not(None), _FLAG.state.in_((CONFIRMED, REJECTED)), ~_FLAG.sampled
        )
    )
    for root, state in rows:
        counts[str(root)][state] += 1
    return {root: (states[CONFIRMED], states[REJECTED]) for root, states in counts.items()}


def hits(connection: Connection) -> dict[str, Counter[str]]:
    """Return, by type, final verdicts one by one on accounts that a report of that type spoke against (rule 4)."""
    rows = connection.execute(
        select(tables.resting.c.type, _FLAG.no, _FLAG.state)
        .join(tables.flag, _FLAG.no == tables.resting.c.flag)
        .where(_FLAG.state.in_((CONFIRMED, REJECTED)), ~_FLAG.sampled)
        .distinct()
    )
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for type, _, state in rows:
        counts[type][state] += 1
    return counts


def reversals(connection: Connection) -> tuple[int, dict[str, int]]:
    """Return how many final decisions there were, and how often which outcome was replaced by another (rule 5)."""
    last: dict[int, str] = {}
    decisions, replaced = 0, Counter[str]()
    for event in history.all_events(connection):
        if event.what != "decided" or event.flag is None:
            continue
        detail = json.loads(event.detail)
        if not detail.get("final"):
            continue
        decisions += 1
        before = last.get(event.flag)
        if before is not None and before != detail["outcome"]:
            replaced[before] += 1
        last[event.flag] = detail["outcome"]
    return decisions, dict(sorted(replaced.items()))


def shared_on(connection: Connection) -> list[tuple[str, int, int]]:
    """Return type, time and time of withdrawal (0 for none) of every value that was shared on, one for each account."""
    shared = tables.shared.c
    rows = connection.execute(
        select(shared.type, shared.time, shared.withdrawn).where(shared.time > 0).order_by(shared.no)
    )
    return [(type, time, withdrawn) for type, time, withdrawn in rows]
