"""Rivals on all providers' raw data in one place, which no member ever sees, written small.

1. Each ranks accounts by one number. Its threshold is the lowest that was 99 % right on the tuning seed.
2. All see one day: what own detectors and the detector's own reviews confirmed up to it, with exact counts and without
   delay. Connected components are a straw man. Rivals that live in the federation: `detection_federated`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Day:
    """One day of a population in numbers: holdings as (account, value) pairs, who is known to be bad, and the truth."""

    account: Whole
    value: Whole
    type: Whole
    provider: Whole
    """Of each account."""
    bad: NDArray[np.bool_]
    """Confirmed by own detectors or reviews so far."""
    hostile: NDArray[np.bool_]
    active_account: Whole
    active_slot: Whole

    @property
    def accounts(self) -> int:
        """How many accounts there are."""
        return len(self.provider)


def synchrotrap(day: Day, fewest: int = 4) -> Scores:
    """Accounts that act in the same hours from the same address, in clusters of similar ones that hold a bad
    account."""
    values = int(day.value.max()) + 1 if len(day.value) else 1
    rare = np.bincount(day.value, minlength=values)
    rows = (rare[day.value] > 1) & (rare[day.value] <= 50)
    slots: dict[int, set[int]] = {}
    for account, slot in zip(day.active_account.tolist(), day.active_slot.tolist(), strict=True):
        slots.setdefault(account, set()).add(slot)
    group: dict[int, list[int]] = {}
    for account, value in zip(day.account[rows].tolist(), day.value[rows].tolist(), strict=True):
        group.setdefault(value, []).append(account)
    best = np.zeros(day.accounts)
    for members in group.values():
        for one in members:
            for other in members:
                if one == other or not day.bad[other]:
                    continue
                mine, theirs = slots.get(one, set()), slots.get(other, set())
                together = len(mine & theirs)
                if together >= fewest:
                    best[one] = max(best[one], together / len(mine | theirs))
    return best


def dense_block(day: Day) -> Scores:
    """FRAUDAR: take away, again and again, what adds least to the density; score by how late an account goes.

    Values weigh 1 ÷ log(5 + holders), as in the paper; confirmed accounts start heavier, which is its side information.
    """
    values = int(day.value.max()) + 1 if len(day.value) else 1
    holders = np.bincount(day.value, minlength=values)
    keep = holders[day.value] > 1
    account, value = day.account[keep], day.value[keep]
    weight = 1 / np.log(5 + holders)
    alive = np.ones(day.accounts, dtype=bool)
    score = np.zeros(day.accounts)
    prior = np.where(day.bad, 2.0, 0.0)
    for step in range(40):
        # In rounds, each taking away the lower part: the order within a round does not change the block by much.
        live = alive[account]
        left = np.bincount(value[live], minlength=values)
        edge = weight[value[live]] * (left[value[live]] > 1)
        degree = np.bincount(account[live], weights=edge, minlength=day.accounts) + prior
        if not alive.any():
            break
        bound = np.quantile(degree[alive], 0.25)
        going = alive & (degree <= bound)
        score[going] = step + degree[going] / (1 + degree.max())
        alive &= ~going
    score[alive] = 50
    return score


def propagation(day: Day, rounds: int = 10, keep: float = 0.85) -> Scores:
    """Seeded label propagation over accounts and values; hubs pass on little. Seeds score without their own label."""
    values = int(day.value.max()) + 1 if len(day.value) else 1
    holders = np.maximum(np.bincount(day.value, minlength=values), 1)
    held = np.maximum(np.bincount(day.account, minlength=day.accounts), 1)
    seed = day.bad / max(1, day.bad.sum())
    mass = seed.copy()
    for _ in range(rounds):
        at_values = np.bincount(day.value, weights=(mass / held)[day.account], minlength=values)
        back = np.bincount(day.account, weights=(at_values / holders)[day.value], minlength=day.accounts)
        mass = keep * back + (1 - keep) * seed
    scores: Scores = mass - (1 - keep) * seed
    return scores


def components(day: Day) -> int:
    """The straw man: how many accounts the largest set that values connect has."""
    parent = np.arange(day.accounts)
    values = int(day.value.max()) + 1 if len(day.value) else 1
    for _ in range(30):
        least = np.full(values, day.accounts)
        np.minimum.at(least, day.value, parent[day.account])
        fresh = parent.copy()
        np.minimum.at(fresh, day.account, least[day.value])
        if (fresh == parent).all():
            break
        parent = fresh
    return int(np.bincount(parent).max())


RIVALS: dict[str, Callable[[Day], Scores]] = {
    "SynchroTrap (pooled)": synchrotrap,
    "dense block (pooled)": dense_block,
    "label propagation (pooled)": propagation,
}


def threshold(scores: Scores, hostile: NDArray[np.bool_], aim: float) -> float:
    """Return the lowest score from which precision reaches the aim (rule 1); infinite where none does."""
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(hostile[order])
    precision = right / np.arange(1, len(order) + 1)
    last_of_tie = np.append(scores[order][1:] != scores[order][:-1], True)
    good = np.flatnonzero((precision >= aim) & last_of_tie & (scores[order] > 0))
    return float(scores[order][good[-1]]) if len(good) else float("inf")
