"""Rivals of the detector, written small, over the same populations, seeds, days and reviewers.

1. Each rival ranks accounts by one number. It raises as many flags as its own threshold says; the threshold is
   tuned, like
   the detector's, on another seed: the lowest that reaches the aimed precision there.
2. All rivals see the confirmed accounts of all members on the day itself, with exact counts: more than a member
   ever sees,
   and a day earlier. The first two use them as a shared list would; the others need all providers' raw data in one
   place.
   Connected components are a straw man.
3. All see one day: confirmed accounts, verdicts of the detector's own queue, and holdings up to it.
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


def hash_list(day: Day) -> Scores:
    """A plain shared list: every value of a confirmed account is on it; an account scores one for each that it
    holds."""
    listed = np.unique(day.value[day.bad[day.account]])
    hit = np.isin(day.value, listed)
    counts: Scores = np.bincount(day.account[hit], minlength=day.accounts).astype(float)
    return counts


def matches(day: Day) -> NDArray[np.float64]:
    """For each account and type: how many of its values confirmed accounts hold, and the best of them by their
    number."""
    values = int(day.value.max()) + 1 if len(day.value) else 1
    bad_holders = np.bincount(day.value[day.bad[day.account]], minlength=values)
    # An account that is bad itself may not count as its own evidence.
    others = bad_holders[day.value] - day.bad[day.account]
    types = int(day.type.max()) + 1 if len(day.type) else 1
    features = np.zeros((day.accounts, 2 * types))
    hit = others > 0
    np.add.at(features, (day.account[hit], day.type[hit]), 1)
    np.maximum.at(features, (day.account[hit], types + day.type[hit]), np.log2(1 + others[hit]))
    return features


def regression(day: Day, steps: int = 300) -> Scores:
    """Logistic regression on the matches, fitted to the confirmed accounts against all others."""
    features = matches(day)
    scale = features.std(axis=0) + 1e-9
    design = np.hstack([features / scale, np.ones((len(features), 1))])
    label = day.bad.astype(float)
    weight = np.where(day.bad, 0.5 / max(1, day.bad.sum()), 0.5 / max(1, (~day.bad).sum()))
    beta = np.zeros(design.shape[1])
    for _ in range(steps):
        chance = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        beta -= 2.0 * (design.T @ (weight * (chance - label)) + 1e-4 * beta)
    scores: Scores = design @ beta
    return scores


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
    "shared list": hash_list,
    "logistic regression": regression,
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
