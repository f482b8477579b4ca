"""From matches to signals: what a bucket stands for when a receiver counts."""

from __future__ import annotations

import pytest

from tests.client.fake_node import FakeFederation, FakeNode
from tests.client.test_client_flow import MAIL
from tests.drafts import report_draft
from tocsin.client.results import Match
from tocsin.detect.matching import Matched, ask, signals_of


@pytest.mark.parametrize(
    ("count", "counted"), [(1, 1), (2, 2), (3, 2), (4, 5), (7, 5), (8, 11), (1_000, 767)]
)
def test_counts_and_totals_are_taken_at_the_middle_of_their_buckets(
    world: FakeFederation, count: int, counted: int
) -> None:
    node = world.node(1)
    with world.client(1, node) as client:
        client.submit([report_draft(MAIL, "resale", bad_accounts=count)])
    node.tick()
    with world.client(0) as client:
        matches = client.query([MAIL]).matches
    ((signal,), _, _) = signals_of([(*MAIL, match) for match in matches])
    assert (signal.accounts, signal.total) == (counted, counted)


def shared_on(world: FakeFederation, node: FakeNode, number: int, *rests_on: Match, **more: object) -> Match:
    """A member's report of the address, shared on after matches; as another member sees it."""
    with world.client(number, node) as client:
        entries = tuple((match.writer, match.index) for match in rests_on)
        said = {"evidence": "reviewed-match", "rests_on": entries, "hops": 1} if entries else {}
        assert client.submit([report_draft(MAIL, "resale", **said, **more)]).refused == ()
    node.tick()
    with world.client(0) as client:
        return next(match for match in client.query([MAIL]).matches if match.writer == world.homes[number].id)


def asked(world: FakeFederation) -> Matched:
    with world.client(0) as client:
        return ask(client, [MAIL])


def test_what_rests_on_a_retracted_report_is_no_signal_to_the_end_of_the_chain(world: FakeFederation) -> None:
    borealis, cinder = world.node(1), world.node(2)
    first = shared_on(world, borealis, 1)
    shared_on(world, cinder, 2, first)
    found = asked(world)
    assert {(signal.hops, signal.root) for signal in found.signals} == {(0, "Borealis"), (1, "Borealis")}
    with world.client(1, borealis) as client:
        client.retract([MAIL])
    borealis.tick()
    # Cinder is away and has taken nothing back.
    found = asked(world)
    assert (found.signals, found.unwound) == ((), 1)
    # Its own detection, or another member's report, keeps it.
    shared_on(world, cinder, 2)
    assert [signal.hops for signal in asked(world).signals] == [0]


def test_two_reports_that_rest_on_each_other_are_no_signal(world: FakeFederation) -> None:
    borealis, cinder = world.node(1), world.node(2)
    second = shared_on(world, cinder, 2, shared_on(world, borealis, 1))
    # What Borealis says now rests on Cinder's report, which rests on what Borealis said before.
    shared_on(world, borealis, 1, second)
    found = asked(world)
    assert (found.signals, found.unwound) == ((), 2)
    shared_on(world, borealis, 1)
    assert {(signal.hops, signal.root) for signal in asked(world).signals} == {
        (0, "Borealis"),
        (1, "Borealis"),
    }
