"""What a simulated world is made of: one frozen value, read from a TOML file that can be edited.

1. Every number has a default, below, fixed before the detector was tuned. `benchmarks/detection_assumptions.toml` has
   the frozen copy, with sources and the values that each is swept over.
2. A file says only what it changes. An unknown key or a value out of range is refused by name.

Sources of the benign world: carriers put tens to hundreds of subscribers behind one address (Richter et al., "A
Multi-perspective Analysis of Carrier-Grade NAT Deployment", IMC 2016); a few VPN exits carry most VPN users (Zipf:
Khan et al., IMC 2018); about 35 million US numbers change hands a year, roughly a tenth (FCC 18-177); user agents and
TLS stacks are Zipf-distributed with a few hundred covering nearly all traffic (Anderson & McGrew, "TLS Beyond the
Browser", IMC 2019); the average household has 2.5 members (US Census). What the campaign looks like is its only
public case: 25,000 accounts and 28.8 million exchanges in 45 days. Pools and habits of operators are assumptions.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from tocsin.detect.errors import BadScenario

Strategy = str
STRATEGIES = ("fixed", "rotating", "splitting", "poisoning", "informed")


@dataclass(frozen=True, slots=True)
class Scenario:
    """Numbers of a world. Shares are from 0 to 1; sizes are at scale 1. Raises `BadScenario`."""

    name: str = "default"
    scale: float = 0.1
    days: int = 45
    benign: int = 1_000_000
    hostile: int = 25_000
    hostile_exchanges: int = 28_800_000
    providers: tuple[float, ...] = (0.40, 0.25, 0.18, 0.12, 0.05)
    """Shares of the accounts; the first `joined` of them, by size, share signals."""
    joined: int = 0
    """How many providers are members, the largest first; 0 for all. The others are left out of the folder."""
    late: int = 0
    """Members (the smallest) that neither read nor publish before `join_day`."""
    join_day: int = 0

    young: float = 0.25
    """Benign accounts created within 60 days before, or during, the window."""
    several_providers: float = 0.08
    """Benign accounts of a person who has one at another provider, with the same contact, card and device."""
    households: float = 0.55
    carrier_nat: float = 0.20
    offices: float = 0.15
    """Where benign accounts connect from; the rest uses VPNs."""
    household_accounts: float = 1.6
    nat_accounts: int = 300
    nat_addresses: int = 4
    office_accounts: int = 40
    vpn_exits: int = 3_000
    zipf: float = 1.1
    address_days: float = 30.0
    """Mean days until a household's address changes."""
    phones: float = 0.6
    recycled: float = 0.02
    """Benign telephone numbers that had another owner within the window."""
    payers: float = 0.35
    composites_only: float = 0.4
    """Payers of whose card only the composite is known."""
    devices: float = 0.4
    tools: float = 0.15
    templates: float = 0.25
    common_templates: int = 3_000
    common_tools: int = 200
    tls_stacks: int = 300
    jobs: float = 0.02
    """Benign accounts that run scheduled jobs around the clock."""

    operators: int = 8
    strategy: Strategy = "fixed"
    spread: float = 1.0
    """Operators that work at several providers; each of the others keeps to one."""
    payment: bool = True
    template: bool = True
    template_rotation: float = 0.0
    """Hostile accounts whose template is theirs alone."""
    one_template: bool = False
    """One template on all hostile accounts, which no ordinary user has."""
    public_templates: float = 0.0
    """Operators whose only template is a popular one that ordinary users have too."""
    shared_tools: bool = True
    """Clients share their tools with ordinary users."""
    cards_per_hundred: float = 12.0
    sims_per_hundred: float = 25.0
    devices_per_hundred: float = 35.0
    addresses_per_hundred: float = 30.0
    domains_per_hundred: float = 4.0
    templates_per_hundred: float = 1.0
    addresses_each: int = 3
    """Addresses that a hostile account uses."""
    address_lifetime: int = 45
    """Days after which an operator's address is given up."""
    bought: float = 0.05
    """Hostile accounts that are aged accounts, bought from ordinary users with their history."""
    proxies: float = 0.3
    """Operator addresses that are an ordinary household's (residential proxies)."""
    adopted: float = 0.0
    """Hostile accounts that adopt values which benign users hold, to poison them."""
    synchrony: float = 0.6
    """Share of a hostile account's active hours that follow the operator's schedule."""

    detected: tuple[float, ...] = (0.10, 0.12, 0.06, 0.15, 0.08)
    """Hostile accounts that each provider's own detector ever confirms."""
    detection_days: float = 9.0
    """Mean days from an account's first day until its provider's own detector confirms it."""
    wrong_labels: float = 0.005
    """Confirmed accounts that are innocent, as a share of the rightly confirmed."""
    liars: int = 0
    """Members (the smallest) that report innocents."""
    lies: int = 5_000
    """Innocents of other members whose values each liar claims to have confirmed, at scale 1."""
    collude: bool = False
    """All liars report the same innocents."""
    reviews: int = 100
    """Reviews a day and provider, at scale 1."""
    missed: float = 0.0
    wrong: float = 0.0
    """Error rates of reviewers."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not 0 <= value <= 1e9:
                raise BadScenario(f"{field.name} must not be negative")
            if isinstance(value, int) and value < 0:
                raise BadScenario(f"{field.name} must not be negative")
        if self.strategy not in STRATEGIES:
            raise BadScenario(f"strategy must be one of {', '.join(STRATEGIES)}")
        if not 0.0001 <= self.scale <= 10:
            raise BadScenario("scale must be from 0.0001 to 10")
        if not 1 <= self.days <= 365:
            raise BadScenario("days must be from 1 to 365")
        if not self.providers or len(self.providers) != len(self.detected) or not self.operators:
            raise BadScenario(
                "providers and detected must have one share for each provider, and operators be 1 at least"
            )
        if max(self.joined, self.late) > len(self.providers) or self.liars >= len(self.providers):
            raise BadScenario("joined, late and liars must fit the number of providers")
        for name in _SHARES:
            if getattr(self, name) > 1:
                raise BadScenario(f"{name} is a share: at most 1")

    @property
    def join_days(self) -> tuple[int, ...]:
        """The day from which each member reads and publishes, the largest member first."""
        members = self.joined or len(self.providers)
        return (0,) * (members - min(self.late, members)) + (self.join_day,) * min(self.late, members)


_SHARES = (
    "young", "several_providers", "households", "carrier_nat", "offices", "phones", "recycled", "payers",
    "composites_only", "devices", "tools", "templates", "jobs", "template_rotation", "bought", "proxies", "adopted",
    "synchrony", "wrong_labels", "spread", "public_templates", "missed", "wrong",
)  # fmt: skip


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file. Raises `BadScenario`, OSError."""
    try:
        given: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise BadScenario(f"{path} is not TOML: write lines such as `payment = false`") from None
    types = {field.name: type(getattr(Scenario(), field.name)) for field in fields(Scenario)}
    if unknown := sorted(given.keys() - types):
        raise BadScenario(f"{path} has unknown keys {', '.join(unknown)}; docs/simulation.md lists them")
    values: dict[str, Any] = {"name": path.stem}
    for name, value in given.items():
        wanted = types[name]
        if (
            wanted is tuple
            and isinstance(value, list)
            and all(isinstance(share, int | float) for share in value)
        ):
            values[name] = tuple(float(share) for share in value)
        elif wanted is float and isinstance(value, int | float) and not isinstance(value, bool):
            values[name] = float(value)
        elif type(value) is wanted:
            values[name] = value
        else:
            raise BadScenario(f"{path}: {name} must be {_NAMES[wanted]}")
    try:
        return replace(Scenario(), **values)
    except BadScenario as error:
        raise BadScenario(f"{path}: {error}") from None


_NAMES: dict[type, str] = {
    str: "text", int: "a whole number", float: "a number", bool: "true or false", tuple: "a list of numbers",
}  # fmt: skip
