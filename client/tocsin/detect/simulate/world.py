"""Make a world: accounts, what they hold and when they are active, as numbers; the same seed makes the same world.

1. Benign accounts connect from a household, through a carrier's NAT, from an office or through a VPN. Persons may have
   accounts at several providers, with the same contact, card and device. Numbers are recycled, composites collide, TLS
   stacks, tools and templates are popular (`Scenario` has the figures).
2. Operators have pools of cards, SIMs, devices, addresses, domains and templates, and share them among their accounts.
3. `rotating` gives each week's accounts fresh pools, `splitting` deals one pool's accounts over all providers,
   `poisoning` adopts what benign users hold, `informed` does all of these and keeps each value on few accounts.
4. Every draw comes from one generator, in a fixed order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tocsin.detect.simulate.scenario import Scenario

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Whole = NDArray[np.int64]

HOUSEHOLD, NAT, OFFICE, VPN, HOSTILE = range(5)
STRATA = ("household", "carrier NAT", "office", "VPN", "hostile")
_BUCKETS = {"adopt": 40}


@dataclass
class Holdings:
    """Columns of holdings, gathered part by part. A value is a number within its type."""

    account: list[Whole] = field(default_factory=list)
    type: list[str] = field(default_factory=list)
    value: list[Whole] = field(default_factory=list)
    first: list[Whole] = field(default_factory=list)
    last: list[Whole] = field(default_factory=list)

    def add(self, type: str, account: Whole, value: Whole, first: Whole, last: Whole) -> None:
        """Add rows of one type; those whose days are empty are left out."""
        keep = last >= first
        self.type.append(type)
        self.account.append(account[keep])
        self.value.append(value[keep])
        self.first.append(first[keep])
        self.last.append(last[keep])


@dataclass
class World:
    """Accounts by number. `exchanges` are of the whole window, `hours` rows of (account, day, 24 bits)."""

    scenario: Scenario
    provider: Whole
    created: Whole
    first: Whole
    last: Whole
    stratum: Whole
    several: NDArray[np.bool_]
    hostile: NDArray[np.bool_]
    campaign: Whole
    exchanges: Whole
    holdings: Holdings
    confirmed_account: Whole
    confirmed_day: Whole
    active_account: Whole
    active_day: Whole
    active_hours: Whole


def make_world(scenario: Scenario, seed: int) -> World:
    """Return the world of a scenario and a seed."""
    return _Maker(scenario, seed).make()


class _Maker:
    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.of = scenario
        self.random = np.random.default_rng(seed)
        self.benign = max(1, round(scenario.benign * scenario.scale))
        self.bad = round(scenario.hostile * scenario.scale)
        self.count = self.benign + self.bad
        self.holdings = Holdings()
        self.fresh = 1 << 40

    def make(self) -> World:
        of, random, n, b = self.of, self.random, self.count, self.benign
        shares = np.array(of.providers) / sum(of.providers)
        self.provider = random.choice(len(shares), n, p=shares)
        self.created = np.where(
            random.random(n) < of.young, random.integers(-60, of.days, n), random.integers(-1_500, -60, n)
        )
        self.hostile = np.arange(n) >= b
        self.first = np.maximum(self.created, 0)
        self.last = np.full(n, of.days - 1)
        # Benign users come and go: a tenth of them is seen for part of the window only.
        partial = random.random(n) < 0.1
        self.last = np.where(
            partial, np.minimum(self.last, self.first + random.integers(0, of.days, n)), self.last
        )
        self.stratum = np.full(n, HOSTILE)
        self.stratum[:b] = random.choice(
            4,
            b,
            p=[of.households, of.carrier_nat, of.offices, 1 - of.households - of.carrier_nat - of.offices],
        )
        self.person = np.arange(n)
        again = np.flatnonzero((random.random(n) < of.several_providers) & ~self.hostile)
        self.person[again] = random.integers(0, b, len(again))
        self.several = np.zeros(n, dtype=bool)
        self.several[again] = self.several[self.person[again]] = True
        self._benign_network()
        self._benign_person()
        self._tooling(np.arange(b))
        self.campaign = np.full(n, -1)
        self._operators()
        confirmed = self._own_detection()
        active = self._activity()
        exchanges = self._exchanges()
        return World(
            of, self.provider, self.created, self.first, self.last, self.stratum, self.several, self.hostile,
            self.campaign, exchanges, self.holdings, *confirmed, *active,
        )  # fmt: skip

    def _unique(self, count: int) -> Whole:
        values = np.arange(self.fresh, self.fresh + count)
        self.fresh += count
        return values

    def _zipf(self, kinds: int, count: int) -> Whole:
        weights = 1 / np.arange(1, max(1, kinds) + 1) ** self.of.zipf
        drawn: Whole = self.random.choice(len(weights), count, p=weights / weights.sum())
        return drawn

    def _address(self, account: Whole, value: Whole, first: Whole, last: Whole) -> None:
        """An address and its network: 64 of our addresses are one /24, so the network says less."""
        self.holdings.add("net.ipv4", account, value, first, last)
        self.holdings.add("net.ipv4-24", account, value // 24, first, last)

    def _benign_network(self) -> None:
        of, random = self.of, self.random
        accounts = np.arange(self.benign)
        home = accounts[self.stratum[: self.benign] == HOUSEHOLD]
        # A person's other account connects from the same household.
        households = max(1, round(len(home) / of.household_accounts))
        self.household = np.full(self.count, -1)
        self.household[home] = random.integers(0, households, len(home))
        other = home[self.person[home] != home]
        from_home = other[self.household[self.person[other]] >= 0]
        self.household[from_home] = self.household[self.person[from_home]]
        # A household's address lasts for a while, then somebody else has it.
        starts = random.integers(-int(of.address_days), of.days, households)
        pool = self._unique(2 * households)
        self.household_pool, self.household_change = pool, starts
        place = self.household[home]
        before, after = pool[place], pool[households + random.permutation(households)[place]]
        change = starts[place]
        self._address(home, before, self.first[home], np.minimum(self.last[home], change))
        self._address(home, after, np.maximum(self.first[home], change + 1), self.last[home])
        nat = np.repeat(accounts[self.stratum[: self.benign] == NAT], of.nat_addresses)
        exits = max(1, len(nat) // (of.nat_accounts * of.nat_addresses))
        pool = self._unique(exits)
        self._some_days(nat, pool[random.integers(0, exits, len(nat))])
        office = accounts[self.stratum[: self.benign] == OFFICE]
        offices = max(1, len(office) // of.office_accounts)
        self.office = np.full(self.count, -1)
        self.office[office] = self._zipf_even(offices, len(office))
        pool = self._unique(offices)
        self._address(office, pool[self.office[office]], self.first[office], self.last[office])
        self.holdings.add(
            "org.domain", office, pool[self.office[office]], self.first[office], self.last[office]
        )
        vpn = np.repeat(accounts[self.stratum[: self.benign] == VPN], 3)
        pool = self._unique(max(1, round(of.vpn_exits * of.scale)))
        self._some_days(vpn, pool[self._zipf(len(pool), len(vpn))])

    def _zipf_even(self, kinds: int, count: int) -> Whole:
        """Sizes that differ, none of which is most of all: an office of 400 beside many of ten."""
        weights = 1 / np.arange(1, kinds + 1) ** 0.5
        drawn: Whole = self.random.choice(kinds, count, p=weights / weights.sum())
        return drawn

    def _some_days(self, account: Whole, value: Whole) -> None:
        span = np.maximum(self.last[account] - self.first[account] + 1, 1)
        first = self.first[account] + (self.random.random(len(account)) * span).astype(np.int64)
        last = np.minimum(self.last[account], first + self.random.integers(0, 14, len(account)))
        self._address(account, value, first, last)

    def _benign_person(self) -> None:
        of, random = self.of, self.random
        accounts = np.arange(self.benign)
        person = self.person[: self.benign]
        first, last = self.first[: self.benign], self.last[: self.benign]
        has = random.random((6, self.benign))[:, person]
        mail, phone, card, device = (self._unique(self.benign) for _ in range(4))
        self.holdings.add("contact.email", accounts, mail[person], first, last)
        own = accounts[has[0] < of.phones]
        self.holdings.add("contact.phone", own, phone[person[own]], first[own], last[own])
        # A recycled number had another owner in the first half of the window.
        old = own[random.random(len(own)) < of.recycled]
        given = own[random.integers(0, len(own), len(old))]
        middle = np.full(len(old), of.days // 2)
        self.holdings.add("contact.phone", old, phone[person[given]], np.maximum(first[old], 0), middle - 5)
        # A household may share a card and a device.
        together = np.where(
            (self.household[accounts] >= 0) & (random.random(self.benign) < 0.15),
            self.household[accounts],
            -1,
        )
        cards = np.where(together >= 0, together + (1 << 50), card[person])
        devices = np.where((together >= 0) & (has[5] < 0.3), together + (1 << 51), device[person])
        pays = accounts[has[1] < of.payers]
        full = pays[has[2][pays] >= of.composites_only]
        self.holdings.add("payment.par", full, cards[full], first[full], last[full])
        self.holdings.add("payment.composite", pays, self._composite(cards[pays]), first[pays], last[pays])
        own = accounts[has[3] < of.devices]
        self.holdings.add("device.id", own, devices[own], first[own], last[own])

    def _composite(self, card: Whole) -> Whole:
        """BIN, last four digits and expiry: popular BINs make two cards look like one now and then."""
        mixed = card.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # wraps
        bins = np.minimum(mixed % np.uint64(4_000), (mixed >> np.uint64(20)) % np.uint64(4_000)).astype(
            np.int64
        )
        rest = ((mixed >> np.uint64(33)) % np.uint64(10_000 * 60)).astype(np.int64)
        composite: Whole = bins * 1_000_000 + rest
        return composite

    def _tooling(self, accounts: Whole) -> None:
        of, random = self.of, self.random
        first, last = self.first[accounts], self.last[accounts]
        self.holdings.add("net.ja4", accounts, self._zipf(of.tls_stacks, len(accounts)), first, last)
        uses = accounts[random.random(len(accounts)) < of.tools]
        self.holdings.add(
            "client.tools", uses, self._zipf(of.common_tools, len(uses)), self.first[uses], self.last[uses]
        )
        uses = accounts[random.random(len(accounts)) < of.templates]
        popular = random.random(len(uses)) < 0.6
        kinds = max(10, round(of.common_templates * of.scale**0.5))
        values = np.where(popular, self._zipf(kinds, len(uses)), self._unique(len(uses)))
        self.holdings.add("prompt.template", uses, values, self.first[uses], self.last[uses])

    def _operators(self) -> None:
        of, random = self.of, self.random
        sizes = 1 / np.arange(1, of.operators + 1) ** 0.7
        bad = np.arange(self.benign, self.count)
        self.campaign[bad] = random.choice(of.operators, len(bad), p=sizes / sizes.sum())
        # Accounts are made in waves over the window; most in its first two thirds.
        start = np.minimum((random.beta(1.2, 2.0, len(bad)) * of.days).astype(np.int64), of.days - 1)
        self.created[bad], self.first[bad] = start, start
        bought = bad[random.random(len(bad)) < of.bought]
        self.created[bought] = -random.integers(60, 900, len(bought))
        lifetime = 5 + random.gamma(2.0, 12.0, len(bad)).astype(np.int64)
        self.last[bad] = np.minimum(of.days - 1, start + lifetime)
        rotating = of.strategy in ("rotating", "informed")
        thin = 2.5 if of.strategy == "informed" else 1.0
        one = self._unique(1)[0]
        for operator in range(of.operators):
            mine = bad[self.campaign[bad] == operator]
            if not len(mine):
                continue
            if of.strategy in ("splitting", "informed"):
                self.provider[mine] = np.arange(len(mine)) % len(of.providers)
            if of.spread < 1 and random.random() >= of.spread:
                self.provider[mine] = self.provider[mine[0]]
            wave = self.first[mine] // 7 if rotating else np.zeros(len(mine), dtype=np.int64)
            first, last = self.first[mine], self.last[mine]
            self._pool("contact.phone", mine, wave, of.sims_per_hundred * thin)
            self.holdings.add("contact.email", mine, self._unique(len(mine)), first, last)
            self._pool("org.domain", mine, wave, of.domains_per_hundred * thin, share=0.5)
            self._pool("device.id", mine, wave, of.devices_per_hundred * thin, share=0.7)
            if of.payment:
                cards = self._pool("payment.par", mine, wave, of.cards_per_hundred * thin)
                self.holdings.add("payment.composite", mine, self._composite(cards), first, last)
            self._operator_addresses(mine, wave, thin)
            # Tools: an operator uses one stack, and one set of tools that ordinary users have too, or its own.
            stack = np.full(len(mine), self._zipf(of.tls_stacks, 1)[0])
            self.holdings.add("net.ja4", mine, stack, first, last)
            tools = self._zipf(of.common_tools, 1)[0] if of.shared_tools else self._unique(1)[0]
            self.holdings.add("client.tools", mine, np.full(len(mine), tools), first, last)
            if of.one_template:
                self.holdings.add("prompt.template", mine, np.full(len(mine), one), first, last)
            elif of.template and of.public_templates and random.random() < of.public_templates:
                popular = np.full(
                    len(mine), self._zipf(max(10, round(of.common_templates * of.scale**0.5)), 1)[0]
                )
                self.holdings.add("prompt.template", mine, popular, first, last)
            elif of.template:
                kept = mine[random.random(len(mine)) >= of.template_rotation]
                if len(kept):
                    self._pool(
                        "prompt.template", kept, self.first[kept] // 7 * rotating, of.templates_per_hundred
                    )
                gone = np.setdiff1d(mine, kept)
                self.holdings.add(
                    "prompt.template", gone, self._unique(len(gone)), self.first[gone], self.last[gone]
                )
        if of.strategy in ("poisoning", "informed") or of.adopted:
            self._adopt(bad, of.adopted or 0.5)

    def _pool(self, type: str, mine: Whole, wave: Whole, per_hundred: float, share: float = 1.0) -> Whole:
        """Give each account a value of a pool of so many values for a hundred accounts; return the values."""
        size = max(1, round(len(mine) * per_hundred / 100))
        waves = int(wave.max()) + 1
        pool = self._unique(size * waves)
        values: Whole = pool[wave * size + self.random.integers(0, max(1, size), len(mine))]
        has = self.random.random(len(mine)) < share
        self.holdings.add(type, mine[has], values[has], self.first[mine[has]], self.last[mine[has]])
        return values

    def _operator_addresses(self, mine: Whole, wave: Whole, thin: float) -> None:
        of, random = self.of, self.random
        size = max(2, round(len(mine) * of.addresses_per_hundred * thin / 100))
        generations = of.days // of.address_lifetime + 1
        pool = self._unique(size * generations)
        # Residential proxies: the address is a household's too.
        proxies = random.random(len(pool)) < of.proxies
        pool[proxies] = random.choice(self.household_pool, int(proxies.sum()))
        for _ in range(of.addresses_each):
            seat = random.integers(0, size, len(mine))
            for generation in range(generations):
                begin, end = generation * of.address_lifetime, (generation + 1) * of.address_lifetime - 1
                first, last = np.maximum(self.first[mine], begin), np.minimum(self.last[mine], end)
                self._address(mine, pool[generation * size + seat], first, last)

    def _adopt(self, bad: Whole, share: float) -> None:
        """Adopt telephone numbers, devices and templates that benign users hold (given at sign-up, never verified)."""
        random = self.random
        for type in ("contact.phone", "device.id", "prompt.template"):
            adopters = bad[random.random(len(bad)) < share]
            parts = [
                (self.holdings.value[place])
                for place, name in enumerate(self.holdings.type)
                if name == type
                and len(self.holdings.account[place])
                and self.holdings.account[place][0] < self.benign
            ]
            known = np.concatenate(parts)
            few = random.choice(known, max(1, len(adopters) // _BUCKETS["adopt"]))
            values = few[random.integers(0, len(few), len(adopters))]
            self.holdings.add(type, adopters, values, self.first[adopters], self.last[adopters])

    def _own_detection(self) -> tuple[Whole, Whole]:
        of, random = self.of, self.random
        bad = np.arange(self.benign, self.count)
        rate = np.array(of.detected)[self.provider[bad]]
        caught = bad[random.random(len(bad)) < rate]
        day = self.first[caught] + 1 + random.exponential(of.detection_days, len(caught)).astype(np.int64)
        in_time = day <= np.minimum(self.last[caught] + 3, of.days - 1)
        caught, day = caught[in_time], day[in_time]
        wrong = random.integers(0, self.benign, round(len(caught) * of.wrong_labels))
        accounts = [caught, wrong]
        days = [day, np.maximum(self.first[wrong], random.integers(0, of.days, len(wrong)))]
        lies = round(of.lies * of.scale)
        liars = [len(of.providers) - 1 - place for place in range(of.liars)]
        victims = self._victims(liars, lies) if of.collude else None
        for liar in liars:
            accounts_of, days_of = self._lie(
                liar, self._victims([liar], lies) if victims is None else victims
            )
            accounts.append(accounts_of)
            days.append(days_of)
        return np.concatenate(accounts), np.concatenate(days)

    def _victims(self, liars: list[int], count: int) -> Whole:
        others = np.flatnonzero(
            ~np.isin(self.provider[: self.benign], liars) & (self.created[: self.benign] < 0)
        )
        drawn: Whole = self.random.choice(others, min(count, len(others)), replace=False)
        return drawn

    def _lie(self, liar: int, victims: Whole) -> tuple[Whole, Whole]:
        """Innocents of others appear at the liar with all that they hold, and as confirmed: it invents the accounts."""
        invented = np.arange(self.count, self.count + len(victims))
        self.count += len(victims)
        number_of = np.full(self.count, -1)
        number_of[victims] = invented
        for name in ("provider", "created", "first", "last", "stratum", "campaign", "several", "hostile"):
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, old[victims]]))
        self.provider[invented] = liar
        parts = list(zip(self.holdings.type, self.holdings.account, self.holdings.value, self.holdings.first,
                         self.holdings.last, strict=True))  # fmt: skip
        for type, account, value, first, last in parts:
            of_victims = number_of[account] >= 0
            self.holdings.add(
                type, number_of[account[of_victims]], value[of_victims], first[of_victims], last[of_victims]
            )
        return invented, np.full(len(invented), 5)

    def _activity(self) -> tuple[Whole, Whole, Whole]:
        """On about a third of their days, benign users are active in hours of their own; jobs run around the clock."""
        of, random = self.of, self.random
        total = len(self.provider)
        span = np.maximum(self.last - self.first + 1, 0)
        share = np.where(self.hostile, 0.7, 0.3)
        days = np.maximum(1, (span * share).astype(np.int64)) * (span > 0)
        account = np.repeat(np.arange(total), days)
        day = self.first[account] + (random.random(len(account)) * span[account]).astype(np.int64)
        zone = random.integers(0, 24, total)
        hours = np.zeros(len(account), dtype=np.int64)
        for _ in range(3):
            hour = (zone[account] + np.clip(random.normal(14, 4, len(account)), 0, 23).astype(np.int64)) % 24
            hours |= 1 << hour
        robots = (random.random(total) < of.jobs) & ~self.hostile
        hours = np.where(
            robots[account], hours | (1 << (zone[account] % 24)) | (1 << ((zone[account] + 12) % 24)), hours
        )
        schedule = random.integers(0, 24, (of.operators, of.days, 4))
        follows = self.hostile[account] & (random.random(len(account)) < of.synchrony)
        place = np.flatnonzero(follows)
        planned = schedule[self.campaign[account[place]], day[place]]
        hours[place] = (1 << planned).sum(axis=1) | (1 << planned[:, 0])
        return account, day, hours & 0xFFFFFF

    def _exchanges(self) -> Whole:
        of, random = self.of, self.random
        drawn = random.lognormal(3.0, 1.2, len(self.provider)).astype(np.int64) + 1
        bad = np.flatnonzero(self.hostile)
        if len(bad):
            heavy = random.lognormal(0.0, 0.6, len(bad))
            drawn[bad] = (heavy / heavy.sum() * of.hostile_exchanges * of.scale).astype(np.int64) + 1
        return drawn
