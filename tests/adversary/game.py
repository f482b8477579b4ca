"""Guessing games: what an adversary is asked, and when its answers are better than guesses.

1. A game is at least 200 trials of one coin each. Only the harness sees the coin before the adversary has answered.
2. An adversary that only guesses wins half of them; 200 trials stay within 5 standard deviations (65 to 135 wins) but
   for one run in 1.7 million. Always wrong is as telling as always right, so the bound is two-sided.
3. A game counts as won from 95 % on: that is asked of the weakened variant.
4. Coins are drawn from SHA-256 over a seed, so a harness repeats; the product's own randomness is the system's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

TRIALS = 200


class Coins:
    """Coins that repeat under a seed."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode()
        self._drawn = 0

    def flip(self) -> int:
        """Return 0 or 1."""
        self._drawn += 1
        return hashlib.sha256(self._seed + self._drawn.to_bytes(8, "big")).digest()[0] & 1

    def flips(self, count: int) -> list[int]:
        """Return `count` coins."""
        return [self.flip() for _ in range(count)]


@dataclass(frozen=True)
class Game:
    """A game that was played."""

    wins: int
    trials: int

    @property
    def guessed(self) -> bool:
        """Whether the adversary did no better, and no worse, than guessing (rule 2)."""
        return 4 * (2 * self.wins - self.trials) ** 2 <= 4 * 25 * self.trials

    @property
    def won(self) -> bool:
        """Whether the adversary has broken the promise (rule 3)."""
        return self.wins >= 0.95 * self.trials


def score(guesses: Sequence[int], coins: Sequence[int]) -> Game:
    """Count an adversary's right answers."""
    assert len(guesses) == len(coins) >= TRIALS
    return Game(sum(guess == coin for guess, coin in zip(guesses, coins, strict=True)), len(coins))


@dataclass(frozen=True)
class Stump:
    """The best single feature and threshold of a training set: simple, and enough for any leak by size or count."""

    feature: int
    threshold: float
    above: int

    def guess(self, features: Sequence[float]) -> int:
        """Answer a trial."""
        return self.above if features[self.feature] > self.threshold else 1 - self.above


def learn(training: Sequence[tuple[Sequence[float], int]]) -> Stump:
    """Learn from trials whose coin the adversary is told."""
    best, right = Stump(0, 0.0, 1), -1
    for feature in range(len(training[0][0])):
        values = sorted({features[feature] for features, _ in training})
        for low, high in pairwise(values) if len(values) > 1 else [(values[0], values[0])]:
            for above in (0, 1):
                stump = Stump(feature, (low + high) / 2, above)
                found = sum(stump.guess(features) == coin for features, coin in training)
                if found > right:
                    best, right = stump, found
    return best
