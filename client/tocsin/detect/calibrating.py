"""The flag threshold, chosen from verdicts.

1. Only verdicts on accounts that were drawn at random count: those that were chosen by score say nothing of the others.
2. The threshold is chosen on the earlier part of the time and half of the campaigns, and checked on what is left: later
   days, other campaigns. Two accounts of one campaign never stand on both sides.
3. A threshold is taken if even the lower end of the 90 % interval (Wilson) of its precision reaches the aim. Where
   verdicts are too few for that, the default stays, and the result says how many are missing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.detect.rules import Rules

_Z = 1.645


@dataclass(frozen=True, slots=True)
class Judged:
    """One verdict: the score at the time (steps of half a bit), the day, and the campaign if the account is in one."""

    bits: int
    day: int
    confirmed: bool
    random: bool
    campaign: str | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """What a threshold would have meant for the verdicts of one side of the split."""

    threshold: int
    flagged: int
    confirmed: int
    least_precision: float
    recall: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """The threshold to use, the curve that it was chosen from, and how it did on what was kept apart."""

    threshold: int
    chosen: bool
    curve: tuple[Point, ...]
    kept_apart: Point
    verdicts: int
    missing: int


def calibrate(verdicts: Sequence[Judged], rules: Rules, aim: float = 0.99) -> Calibration:
    """Choose a threshold (rules 1 to 3). `aim` is the precision that it must reach."""
    drawn = [verdict for verdict in verdicts if verdict.random]
    days = sorted(verdict.day for verdict in drawn)
    split = days[len(days) // 2] if days else 0
    earlier = [verdict for verdict in drawn if verdict.day < split and _chosen_half(verdict)]
    later = [
        verdict
        for verdict in drawn
        if verdict.day >= split and not (verdict.campaign and _chosen_half(verdict))
    ]
    curve = tuple(_point(earlier, threshold) for threshold in range(rules.min_weight, 2 * rules.flag + 1))
    reached = [point for point in curve if point.flagged and point.least_precision >= aim]
    threshold = reached[0].threshold if reached else rules.flag
    # With no error at all, the interval's lower end is n ÷ (n + z²).
    needed = math.ceil(aim * _Z**2 / (1 - aim))
    at_flag = _point(earlier, rules.flag)
    return Calibration(
        threshold, bool(reached), curve, _point(later, threshold), len(drawn),
        0 if reached else max(0, needed - at_flag.confirmed),
    )  # fmt: skip


def _chosen_half(verdict: Judged) -> bool:
    """Rule 2. A campaign falls on one side by its own name, so that it stays there from run to run."""
    if verdict.campaign is None:
        return True
    return hashlib.sha256(verdict.campaign.encode()).digest()[0] % 2 == 0


def _point(verdicts: Sequence[Judged], threshold: int) -> Point:
    flagged = [verdict for verdict in verdicts if verdict.bits >= threshold]
    confirmed = sum(verdict.confirmed for verdict in flagged)
    bad = sum(verdict.confirmed for verdict in verdicts)
    return Point(
        threshold, len(flagged), confirmed, _wilson(confirmed, len(flagged)), confirmed / bad if bad else 0.0
    )


def _wilson(right: int, of: int) -> float:
    if not of:
        return 0.0
    share, z2 = right / of, _Z**2
    middle = share + z2 / (2 * of)
    return (middle - _Z * math.sqrt(share * (1 - share) / of + z2 / (4 * of**2))) / (1 + z2 / of)
