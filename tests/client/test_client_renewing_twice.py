"""Renewing what was just renewed: one entry a value and period, also before the node's tick."""

from __future__ import annotations

import pytest

from tests.client.fake_node import FakeFederation, FakeNode
from tests.client.test_client_flow import IBAN, MAIL, report
from tests.drafts import report_draft
from tocsin.client import system
from tocsin.client.errors import RefusedByNode, SubmissionLost, Unavailable
from tocsin.sealing.label import AbuseKind, Report
from tocsin.wire.values import Acknowledged


@pytest.fixture
def node(world: FakeFederation, monkeypatch: pytest.MonkeyPatch) -> FakeNode:
    """Two values reported a period ago."""
    reported = report(world, 1, MAIL, IBAN)
    later = system.now() + 31 * 86_400
    monkeypatch.setattr("tocsin.client.system.now", lambda: later)
    return reported


def size(world: FakeFederation, node: FakeNode) -> int:
    node.tick()
    return len(world.logs[node.member].entries)


def test_before_the_tick_it_renews_nothing_twice(world: FakeFederation, node: FakeNode) -> None:
    for expected in (2, 0):
        with world.client(1, node) as client:
            assert client.renew().accepted == expected
    assert size(world, node) == 4


def test_what_waits_in_the_outbox_is_sent_and_not_sealed_again(world: FakeFederation, node: FakeNode) -> None:
    with world.client(1, node) as client:
        node.lose_answers = 1
        with pytest.raises(Unavailable):
            client.renew()
        assert client.renew().submissions == ()
        assert client.status().outbox == 0
    assert size(world, node) == 4


def test_an_old_label_never_overtakes_a_new_report_of_the_same_tick(
    world: FakeFederation, node: FakeNode
) -> None:
    with world.client(1, node) as client:
        client.submit([report_draft(MAIL, AbuseKind.RESALE, confidence=1)])
        assert client.renew().accepted == 1
    node.tick()
    with world.client(0) as client:
        labels = {match.index: match.label for match in client.query([MAIL]).matches}
    newest = labels[max(labels)]
    assert isinstance(newest, Report)
    assert newest.confidence == 1


def test_a_renewal_that_was_lost_is_made_again(
    world: FakeFederation, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Acknowledged:
        raise RefusedByNode("EXPIRED_ENTRY", "too late")

    with world.client(1, node) as client:
        with monkeypatch.context() as patch:
            patch.setattr(node, "submit", refuse)
            with pytest.raises(SubmissionLost):
                client.renew()
        assert client.renew().accepted == 2


def test_the_next_period_renews_again(
    world: FakeFederation, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.client(1, node) as client:
        assert client.renew().accepted == 2
        node.tick()
        later = system.now() + 31 * 86_400
        monkeypatch.setattr("tocsin.client.system.now", lambda: later)
        assert client.renew().accepted == 2
