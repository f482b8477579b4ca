"""Campaigns keep their ids while they grow, merge and split, and hubs join nobody."""

from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tocsin.detect.campaigns import (
    JoiningValue,
    Memory,
    connected,
    find_campaigns,
    identify,
)

ACCOUNTS = [f"a{number}" for number in range(9)]
VALUES = [f"v{number}" for number in range(6)]


def value(key: str, *accounts: str, hub: bool = False) -> JoiningValue:
    return JoiningValue("contact.email", key, frozenset(accounts), hub=hub)


class Campaigns(RuleBasedStateMachine):
    """Values come to join accounts and cease to; after each step the ids must follow the accounts."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory()
        self.holders: dict[str, set[str]] = {key: set() for key in VALUES}
        self.hubs: set[str] = set()
        self.now: dict[str, frozenset[str]] = {}
        self.ever: dict[str, set[str]] = {}

    @rule(key=st.sampled_from(VALUES), account=st.sampled_from(ACCOUNTS))
    def join(self, key: str, account: str) -> None:
        self.holders[key] ^= {account}
        self.step()

    @rule(key=st.sampled_from(VALUES))
    def retract(self, key: str) -> None:
        self.holders[key] = set()
        self.step()

    @rule(key=st.sampled_from(VALUES))
    def become_or_cease_to_be_a_hub(self, key: str) -> None:
        self.hubs ^= {key}
        self.step()

    def step(self) -> None:
        values = [value(key, *accounts, hub=key in self.hubs) for key, accounts in self.holders.items()]
        groups = connected(values)
        before = self.now
        self.now, self.memory = identify(self.memory, groups)
        assert set(map(frozenset, self.reached())) == set(groups) == set(self.now.values())
        for id, accounts in before.items():
            # A campaign goes on under its id wherever a group is made of it alone, in most of it.
            heirs = [group for group in groups if group & accounts]
            only = [
                group
                for group in heirs
                if all(not group & other for name, other in before.items() if name != id)
            ]
            if heirs and only == heirs:
                assert self.now[id] in heirs
                assert len(self.now[id] & accounts) == max(len(group & accounts) for group in heirs)
        for group in groups:
            parents = {id: accounts for id, accounts in before.items() if group & accounts}
            alone = all(
                not accounts & other for accounts in parents.values() for other in groups if other != group
            )
            if parents and alone:
                most = max(len(accounts & group) for accounts in parents.values())
                kept = next(id for id, now in self.now.items() if now == group)
                assert len(parents[kept] & group) == most
        for id, group in self.now.items():
            if id in before:
                assert group & before[id]
            else:
                assert id not in self.ever
            self.ever.setdefault(id, set()).update(group)

    def reached(self) -> list[set[str]]:
        """The connected sets again, by walking."""
        left = {account for key in VALUES for account in self.holders[key]}
        sets = []
        while left:
            start = min(left)
            seen, queue = {start}, deque([start])
            while queue:
                account = queue.popleft()
                for key, accounts in self.holders.items():
                    if account in accounts and key not in self.hubs:
                        queue.extend(accounts - seen)
                        seen |= accounts
            left -= seen
            if len(seen) > 1:
                sets.append(seen)
        return sets

    @invariant()
    def every_account_is_in_one_campaign(self) -> None:
        assert sum(map(len, self.now.values())) == len(set().union(*self.now.values())) if self.now else True


TestCampaigns = Campaigns.TestCase
TestCampaigns.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_a_campaign_splits_when_what_joined_it_is_retracted_and_keeps_its_days() -> None:
    joined = [value("x", "a", "b", "c"), value("bridge", "c", "d"), value("y", "d", "e")]
    [one], memory = find_campaigns(Memory(), joined, frozenset("a"), 100)
    assert (one.id, one.accounts, one.confirmed) == ("C1", frozenset("abcde"), frozenset("a"))
    assert one.joining() == {"contact.email": 3}
    parts, memory = find_campaigns(memory, [joined[0], joined[2]], frozenset("a"), 107)
    assert {part.id: part.accounts for part in parts} == {"C1": frozenset("abc"), "C2": frozenset("de")}
    assert [part.values[0].since for part in parts] == [100, 100]
    [again], memory = find_campaigns(memory, joined, frozenset("a"), 110)
    assert again.id == "C1"
    assert {entry.key: entry.since for entry in again.values} == {"x": 100, "bridge": 110, "y": 100}
    apart, _ = find_campaigns(memory, [joined[2]], frozenset(), 111)
    assert [part.id for part in apart] == ["C1"]


def test_a_hub_is_shown_and_joins_nobody() -> None:
    values = [value("x", "a", "b"), value("y", "c", "d"), value("vpn", "a", "b", "c", "d", hub=True)]
    campaigns, _ = find_campaigns(Memory(), values, frozenset(), 1)
    assert [campaign.accounts for campaign in campaigns] == [frozenset("ab"), frozenset("cd")]
    assert [[hub.key for hub in campaign.hubs] for campaign in campaigns] == [["vpn"], ["vpn"]]
    assert "vpn" not in str(campaigns[0].to_dict()) + repr(campaigns)
