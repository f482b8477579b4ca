"""Which accounts a team reviews next.

1. A share of the queue (5 %) is drawn at random, before anything else, from all accounts that anything speaks against:
   thresholds are calibrated on it, so it must not be chosen by score.
2. Then flags, the highest score first; then the best candidates.
3. Accounts that rest on one other member's judgement alone fill at most a fifth of the queue for each such member: a
   liar cannot use up a team's day.
4. What is equal is ordered by account, so that the same round gives the same queue.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tocsin.detect.rules import Rules

Draw = Callable[[Sequence["Waiting"], int], Sequence["Waiting"]]
"""Draws so many of a sequence at random, without repetition."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An account that may be reviewed. `bits` in steps of half a bit; `root` is the one member whose judgement it
    rests on, or None.
    """

    account: Any
    bits: int
    flag: bool
    root: Any = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """An account to review; `random` if it was drawn for calibration."""

    waiting: Waiting
    random: bool


def next_reviews(waiting: Sequence[Waiting], size: int, rules: Rules, draw: Draw) -> list[Chosen]:
    """Return at most `size` accounts to review, in order. `waiting` are accounts that nobody has decided."""
    count = round(size * rules.random_percent / 100) if size >= 10 else 0
    chosen = [Chosen(account, True) for account in draw(waiting, min(count, len(waiting)))] if count else []
    taken = {choice.waiting.account for choice in chosen}
    at_most = max(1, size * rules.reporter_percent // 100)
    ordered = sorted(
        (account for account in waiting if account.flag or account.bits >= rules.candidate),
        key=lambda account: (not account.flag, -account.bits, account.account),
    )
    by_root: Counter[Any] = Counter()
    for account in ordered:
        if len(chosen) >= size:
            break
        if account.account in taken or (account.root is not None and by_root[account.root] >= at_most):
            continue
        by_root[account.root] += account.root is not None
        chosen.append(Chosen(account, False))
    return chosen
