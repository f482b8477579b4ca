"""The thresholds of detection: one frozen value, safe by default, read from a TOML file where a member wants others.

1. Bits are kept as whole numbers of half a bit (`HALF`), so that every engine adds up the same.
2. An unknown key, or a threshold out of its range, is refused by name.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path

from tocsin.detect.errors import BadRules

HALF = 2
"""Steps in a bit: a weight of 15 bits is 30."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Every threshold of weights, scores, flags and the queue. Bits are in steps of half a bit. Raises `BadRules`."""

    established_days: int = 60
    """An account counts as innocent, for how common a value is, from this age on."""
    max_weight: int = 28
    """The most that one value may weigh, and the most that one family of values may add."""
    min_weight: int = 2
    """A value that weighs less is dropped."""
    flag: int = 30
    """Score from which an account is flagged."""
    candidate: int = 12
    """Score from which an account may be queued for review."""
    groups: int = 2
    """Independent groups of evidence that a flag needs: network, person, tooling, behaviour."""
    one_judgement: int = 16
    """The most that one other member's judgement may add to what is left without it."""
    firm_total: int = 5
    """Bad accounts that must be known of a type before its values can flag; below, they only make candidates."""
    rest_tenths: int = 3
    """Tenths that the second and later values of a family count."""
    volume_ratio: int = 3
    """A reporter with more bad accounts than this many times the median is scaled down to it."""
    disputed_divisor: int = 4
    """A disputed report counts this many times less."""
    rejections: int = 3
    """Rejected holders from which a value is switched off, if they are also this many times the confirmed ones."""
    hub_per_mille: int = 5
    """A value that more of the established accounts hold (in thousandths) is a hub: shown, and it joins nobody."""
    hub_holders: int = 50
    """A value with fewer established holders is never a hub."""
    trust_verdicts: int = 20
    """Verdicts on accounts that rest on one reporter alone, before its judgement may flag alone."""
    trust_percent: int = 85
    """Share of those verdicts that must be confirmations."""
    mute_verdicts: int = 10
    """Verdicts on accounts that rest on one member alone, before it can be muted."""
    mute_percent: int = 80
    """Share of those verdicts, if they are rejections, from which all that the member says weighs nothing."""
    reopen: int = 6
    """A rejected account stays closed until its score has grown by this much."""
    random_percent: int = 5
    """Share of the review queue that is drawn at random, to calibrate on."""
    reporter_percent: int = 20
    """The most of the queue that accounts resting on one reporter alone may fill."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1_000_000:
                raise BadRules(f"{field.name} must be a whole number from 0 to 1,000,000")
        if self.disputed_divisor < 1 or self.volume_ratio < 1:
            raise BadRules("disputed_divisor and volume_ratio must be at least 1")
        if not 0 < self.candidate <= self.flag:
            raise BadRules("candidate must be above 0 and not above flag")
        for name in ("trust_percent", "mute_percent", "random_percent", "reporter_percent"):
            if getattr(self, name) > 100:
                raise BadRules(f"{name} must be a whole number from 0 to 100")


DEFAULT = Rules()


def load_rules(path: Path) -> Rules:
    """Read thresholds from a TOML file; keys that are absent keep their default. Raises `BadRules`, OSError."""
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise BadRules(f"{path} is not TOML: write lines such as `flag = 30`") from None
    known = {field.name for field in fields(Rules)}
    if unknown := sorted(given.keys() - known):
        raise BadRules(f"{path} has unknown keys {', '.join(unknown)}: use {', '.join(sorted(known))}")
    try:
        return replace(DEFAULT, **given)
    except BadRules as error:
        raise BadRules(f"{path}: {error}") from None


def in_bits(steps: int) -> float:
    """Return steps of half a bit as bits."""
    return steps / HALF
