"""casebook.toml: where the database is, which reasons a verdict may give, and who must look twice.

1. A casebook is a folder with `casebook.toml`, `casebook.key` and, unless another database is named, `casebook.db`.
2. What the file does not say keeps its default; an unknown key is refused by name.
3. The key makes the keyed hashes of values. It is a file of its own, so a copy of the database cannot be searched for a
   value by guessing; every member of a team needs the same file.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tocsin.detect.casebook.errors import BadSettings, NoCasebook

CONFIRMED, REJECTED, UNSURE, LATER = "confirmed", "rejected", "unsure", "later"
OUTCOMES = (CONFIRMED, REJECTED, UNSURE, LATER)
FILE, KEY_FILE, DATABASE_FILE = "casebook.toml", "casebook.key", "casebook.db"
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason that a reviewer may give for some outcomes. `matched`: the match with others' reports is all there is,
    so the account's values are never shared on.
    """

    name: str
    outcomes: tuple[str, ...]
    text: str
    matched: bool = False


DEFAULT_REASONS = (
    Reason("own-evidence", (CONFIRMED,), "the account's own conduct shows it"),
    Reason("payment", (CONFIRMED,), "stolen or repeatedly refused means of payment"),
    Reason("identity", (CONFIRMED,), "false or resold identity"),
    Reason("match-only", (CONFIRMED,), "only what other members reported", matched=True),
    Reason("known-customer", (REJECTED,), "a customer that we know"),
    Reason("shared-value", (REJECTED,), "the value is shared by many"),
    Reason("reassigned", (REJECTED,), "the value belonged to someone else before"),
    Reason("ordinary-use", (REJECTED,), "nothing in the account's conduct fits"),
    Reason("not-enough", (UNSURE, LATER), "not enough to decide"),
    Reason("asked-customer", (LATER,), "waiting for an answer"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What casebook.toml says. Raises `BadSettings`."""

    folder: Path
    database: str = ""
    """URL; by default casebook.db in the folder."""
    holdings: str = ""
    """File or table of holdings that values are shown from."""
    claim_minutes: int = 30
    """A flag that was given to a reviewer is free again after so long."""
    second_reviewer_types: tuple[str, ...] = ()
    """A verdict on a flag with evidence of one of these types needs two people."""
    second_reviewer_bits: int = 0
    """A verdict on a flag of at least so many bits needs two people; 0 for never."""
    golden_percent: int = 5
    """Share of what a reviewer is given that is drawn from the golden set."""
    campaign_confirmed: int = 29
    """Confirmations among a campaign's sample of 30 that deciding the whole campaign needs."""
    share_agreement: int = 80
    """Percent of pairs of verdicts that must agree before confirmed accounts' values are shared on."""
    share_pairs: int = 10
    """How many pairs of verdicts that takes."""
    share_holders: int = 50
    """A value that more of the member's accounts hold is not shared on."""
    delay_minutes: int = 0
    """Least delay between a verdict and its output."""
    delay_spread_minutes: int = 0
    """A random delay up to this is added, so that timing does not show what gave an account away."""
    webhook: str = ""
    """https URL of a system of the member's own that `tocsin review send` delivers decisions to."""
    webhook_secret: str = ""
    """File with the webhook's secret (`whsec_…`), seen from the folder."""
    webhook_ca: str = ""
    """File with the certificate authority of the webhook's server, where the system's do not know it."""
    reasons: tuple[Reason, ...] = field(default=DEFAULT_REASONS)

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise BadSettings(f"{name} must be a whole number from {low} to {high}")
        names = [reason.name for reason in self.reasons]
        if len(set(names)) != len(names):
            raise BadSettings("two reasons have the same name")
        for outcome in OUTCOMES:
            if not any(outcome in reason.outcomes for reason in self.reasons):
                raise BadSettings(f"no reason is for the outcome {outcome}: add one")
        if not any(reason.matched for reason in self.reasons):
            raise BadSettings(
                "one reason must have matched = true: for accounts that only the match speaks against"
            )

    def reason(self, name: str) -> Reason | None:
        """Return the reason of this name."""
        return next((reason for reason in self.reasons if reason.name == name), None)

    def reasons_for(self, outcome: str) -> tuple[Reason, ...]:
        """Return the reasons that fit an outcome."""
        return tuple(reason for reason in self.reasons if outcome in reason.outcomes)


_RANGES = (
    ("claim_minutes", 1, 7 * 24 * 60), ("second_reviewer_bits", 0, 1_000), ("golden_percent", 0, 50),
  ("campaign_confirmed", 1, 30), ("share_agreement", 50, 100), ("share_pairs", 1, 10_000),
  ("share_holders", 1, 1_000_000),
    ("delay_minutes", 0, 30 * 24 * 60), ("delay_spread_minutes", 0, 30 * 24 * 60),
)  # fmt: skip
_TEXTS = ("database", "holdings", "webhook", "webhook_secret", "webhook_ca")
_KNOWN = {setting.name for setting in fields(Settings)} - {"folder"}


def load_settings(folder: Path) -> Settings:
    """Read the casebook.toml of a folder. Raises `NoCasebook`, `BadSettings`, OSError."""
    path = folder / FILE
    if not path.is_file():
        raise NoCasebook(
            f"{folder} holds no casebook: name its folder with --casebook, or make one with `tocsin review init`"
        )
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path} is not TOML: {error}") from None
    if unknown := sorted(given.keys() - _KNOWN):
        raise BadSettings(f"{path} has unknown keys {', '.join(unknown)}: use {', '.join(sorted(_KNOWN))}")
    try:
        return Settings(folder, **{name: _read(name, value) for name, value in given.items()})
    except BadSettings as error:
        raise BadSettings(f"{path}: {error}") from None


def _read(name: str, value: Any) -> Any:
    if name in _TEXTS:
        if not isinstance(value, str):
            raise BadSettings(f"{name} must be text")
        return value
    if name == "second_reviewer_types":
        return _texts(name, value)
    if name == "reasons":
        if not isinstance(value, list):
            raise BadSettings("reasons must be [[reasons]] tables")
        return tuple(map(_reason, value))
    return value


def _reason(value: Any) -> Reason:
    if not isinstance(value, dict) or not {"name", "outcomes"} <= set(value) <= {
        "name",
        "outcomes",
        "text",
        "matched",
    }:
        raise BadSettings("a reason has name, outcomes and, if wanted, text and matched, and nothing else")
    outcomes = _texts("outcomes", value["outcomes"])
    if not outcomes or not set(outcomes) <= set(OUTCOMES):
        raise BadSettings(f"the outcomes of a reason must be some of {', '.join(OUTCOMES)}")
    name, matched = value["name"], value.get("matched", False)
    if not isinstance(name, str) or not name or not isinstance(matched, bool):
        raise BadSettings("a reason's name must be text, its `matched` true or false")
    return Reason(name, outcomes, str(value.get("text", "")), matched)


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise BadSettings(f"{name} must be a list of texts")
    return tuple(value)


TEMPLATE = """\
# The casebook of a team: which database, which reasons, who must look twice. Everything here has a default.

# database = "postgresql://casebook@db.example/casebook"   # by default casebook.db here; password in ~/.pgpass
# holdings = "indicators.parquet"                          # where values are read from when a flag is shown
# claim_minutes = 30            # a flag given to one reviewer is free again after this
# second_reviewer_types = ["payment.par"]
# second_reviewer_bits = 25     # from so many bits on, two people must agree
# golden_percent = 5
# share_agreement = 80          # percent of pairs of verdicts that agree, from which `tocsin review share` works
# share_pairs = 10              # and how many pairs that takes
# share_holders = 50            # values that more accounts hold are not shared on
# delay_minutes = 60            # least delay between a verdict and its output
# delay_spread_minutes = 600    # plus a random part of this
# webhook = "https://hooks.example.com/abuse"   # where `tocsin review send` delivers decisions
# webhook_secret = "webhook.secret"             # file that holds whsec_ and the Base64 of 24 to 64 bytes, mode 600
# webhook_ca = "ca.pem"                         # only for a certificate that the system does not know

# Reasons of your own replace the whole list. One must have matched = true: it is for accounts that only other
# members' reports speak against, whose values are never shared on.
# [[reasons]]
# name = "own-evidence"
# outcomes = ["confirmed"]
# text = "the account's own conduct shows it"
"""
