"""Two rivals that live in the federation as the detector does: a shared list with a count rule, logistic regression.

1. Each day every member scores its own accounts from its own confirmed accounts of today and from what others published
   until yesterday: the same values, buckets, retention and delay as the detector's. It flags, its reviewers look at the
   best (as many a day as the detector's), and what they confirm is published.
2. The list scores one for each listed value that an account holds. The regression has two features for each type, the
   number of such values and the logarithm of the most bad holders that one of them has; its weights are fitted to the
   truth of the tuning world.
3. Each has one threshold, the lowest whose flags were 99 % right in the tuning world, as the detector's were fixed on
   worlds that are not reported. Neither has a rule against a member that lies or a value that is common.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tocsin.detect.simulate.population import Population

Whole = NDArray[np.int64]
Scores = NDArray[np.float64]
Rule = Callable[["Rows", Whole], Scores]
"""Scores every account from the bad holders of each of its rows."""
NEVER = 10_000


@dataclass(frozen=True)
class Rows:
    """A population's holdings as parallel arrays of rows, and its accounts by number."""

    account: Whole
    value: Whole
    type: Whole
    first: Whole
    last: Whole
    retention: Whole
    provider: Whole
    """Of each account; -1 for a number that no account has."""
    own_day: Whole
    """Of each account: the day on which its provider's own detector confirms it, or `NEVER`."""
    hostile: NDArray[np.bool_]
    first_day: Whole


@dataclass(frozen=True)
class Found:
    """What a rival found: for each account the day of its flag, or `NEVER`, and how many innocents were reviewed."""

    flag_day: Whole
    reviews_wasted: int


def rows_of(population: Population) -> Rows:
    """Read what a rival may see, and the truth, out of a population."""
    run = population.connection.execute
    held = run("""SELECT account, dense_rank() OVER (ORDER BY type, value) - 1 AS value, type, first_day, last_day,
        retention FROM main.holdings JOIN main.types USING (type)""").fetchnumpy()
    names = run("SELECT account, provider FROM main.account_names").fetchnumpy()
    count = int(names["account"].max()) + 1 if len(names["account"]) else 1
    provider = np.full(count, -1)
    provider[names["account"]] = names["provider"]
    own_day, first_day = np.full(count, NEVER), np.full(count, NEVER)
    hostile = np.zeros(count, dtype=bool)
    known = run("SELECT account, day FROM main.confirmed").fetchnumpy()
    own_day[known["account"]] = known["day"]
    truth = run("SELECT account, hostile, first_day FROM main.truth").fetchnumpy()
    hostile[truth["account"]] = truth["hostile"].astype(bool)
    first_day[truth["account"]] = truth["first_day"]
    names_of_columns = ("account", "value", "type", "first_day", "last_day", "retention")
    account, value, type, first, last, retention = (held[name].astype(np.int64) for name in names_of_columns)
    return Rows(account, value, type, first, last, retention, provider, own_day, hostile, first_day)


def hash_list(rows: Rows, holders: Whole) -> Scores:
    """Rule 2: how many of an account's values are listed."""
    scores: Scores = np.bincount(rows.account[holders > 0], minlength=len(rows.provider)).astype(float)
    return scores


def features(rows: Rows, holders: Whole) -> Scores:
    """Rule 2: for each account and type, how many of its values are listed, and the best of them by its holders."""
    types = int(rows.type.max()) + 1 if len(rows.type) else 1
    made = np.zeros((len(rows.provider), 2 * types))
    hit = holders > 0
    np.add.at(made, (rows.account[hit], rows.type[hit]), 1)
    np.maximum.at(made, (rows.account[hit], types + rows.type[hit]), np.log2(1 + holders[hit]))
    return made


def regression(rows: Rows, holders: Whole, label: NDArray[np.bool_], steps: int = 400) -> Rule:
    """Return the rule of logistic regression, fitted to one day of one world; both classes weigh the same."""
    made = features(rows, holders)
    scale = made.std(axis=0) + 1e-9
    design = np.hstack([made / scale, np.ones((len(made), 1))])
    weight = np.where(label, 0.5 / max(1, label.sum()), 0.5 / max(1, (~label).sum()))
    beta = np.zeros(design.shape[1])
    for _ in range(steps):
        chance = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        beta -= 2.0 * (design.T @ (weight * (chance - label)) + 1e-4 * beta)

    def score(other: Rows, counted: Whole) -> Scores:
        seen = features(other, counted)
        scores: Scores = (seen / scale) @ beta[
            :-1
        ]  # without the constant: an account that matches nothing scores 0
        return scores

    return score


def known_holders(rows: Rows, bad_today: NDArray[np.bool_], bad_before: NDArray[np.bool_], day: int) -> Whole:
    """Return for each row how many bad holders of its value the account's provider knows, itself left out (rule 1)."""
    members = int(rows.provider.max()) + 1
    values = int(rows.value.max()) + 1 if len(rows.value) else 1
    of_member = rows.provider[rows.account]
    key = rows.value * members + of_member
    own = bad_today[rows.account] & (rows.first <= day)
    mine = np.bincount(key[own], minlength=values * members)
    published = (
        bad_before[rows.account]
        & (rows.first < day)
        & (np.minimum(rows.last, day - 1) >= day - 1 - rows.retention - 6)
    )
    exact = np.bincount(key[published], minlength=values * members)
    middle = np.where(
        exact > 0, (3 * 2 ** np.floor(np.log2(np.maximum(exact, 1))).astype(np.int64) - 1) // 2, 0
    )
    everywhere = middle.reshape(values, members).sum(axis=1)
    holders: Whole = mine[key] - own + everywhere[rows.value] - middle[key]
    return np.where(rows.first <= day, holders, 0)


def live(rows: Rows, rule: Rule, cutoff: float, reviews: int, days: int) -> Found:
    """Run the days (rule 1). Simulated reviewers read the truth, as the detector's do."""
    count = len(rows.provider)
    flag_day, bad_day = np.full(count, NEVER), rows.own_day.copy()
    judged = np.zeros(count, dtype=bool)
    wasted = 0
    for day in range(days):
        scores = rule(rows, known_holders(rows, bad_day <= day, bad_day < day, day))
        raised = ((scores >= cutoff) | ((scores > 0) & (bad_day <= day))) & (flag_day == NEVER)
        # A rejected account that is flagged later has been flagged all the same.
        flag_day[raised] = day
        for member in range(int(rows.provider.max()) + 1):
            waiting = np.flatnonzero((rows.provider == member) & (scores > 0) & ~judged & (bad_day > day))
            chosen = waiting[np.argsort(-scores[waiting], kind="stable")][:reviews]
            judged[chosen] = True
            right = chosen[rows.hostile[chosen]]
            wasted += len(chosen) - len(right)
            bad_day[right] = day
            flag_day[right] = np.minimum(flag_day[right], day)
    return Found(flag_day, wasted)


def judged_by(rows: Rows, found: Found, day: int, liars: Sequence[int]) -> tuple[float, float, int]:
    """Return recall and precision by a day, and false flags; a liar's own accounts harm nobody else."""
    flagged = (found.flag_day <= day) & (rows.provider >= 0)
    false = flagged & ~rows.hostile & ~np.isin(rows.provider, list(liars))
    right, active = flagged & rows.hostile, rows.hostile & (rows.first_day <= day)
    raised = int(right.sum()) + int(false.sum())
    return (
        float((right & active).sum() / max(1, active.sum())), 1 - int(false.sum()) / raised if raised else 1.0,
        int(false.sum()),
    )  # fmt: skip


def tuned_rules(rows: Rows, reviews: int, day: int) -> dict[str, tuple[Rule, float]]:
    """Fix both rivals on the tuning world (rule 3)."""
    counts = {float(count): live(rows, hash_list, count, reviews, day + 1) for count in range(1, 13)}
    found: dict[str, tuple[Rule, float]] = {"shared list": (hash_list, _lowest(rows, counts, day))}
    known = counts[found["shared list"][1]] if found["shared list"][1] in counts else counts[12.0]
    bad = (rows.own_day <= day) | ((known.flag_day < day) & rows.hostile)
    holders = known_holders(rows, bad, bad, day)
    fitted = regression(rows, holders, rows.hostile & (rows.first_day <= day))
    scores = fitted(rows, holders)
    cutoffs = np.unique(np.quantile(scores[rows.hostile & (scores > 0)], np.linspace(0.02, 0.98, 13)))
    runs = {float(cutoff): live(rows, fitted, float(cutoff), reviews, day + 1) for cutoff in cutoffs}
    found["logistic regression"] = fitted, _lowest(rows, runs, day)
    return found


def _lowest(rows: Rows, runs: dict[float, Found], day: int) -> float:
    good = [cutoff for cutoff, found in runs.items() if judged_by(rows, found, day, ())[1] >= 0.99]
    return min(good, default=float("inf"))
