"""What a sealed request survives, what is dropped, and what a receipt counts."""

from __future__ import annotations

import pytest

from tests.client.fake_node import FakeFederation
from tests.drafts import report_draft
from tocsin.client import system
from tocsin.client.errors import BudgetExhausted, RefusedByNode, SubmissionLost, Unavailable
from tocsin.sealing.label import AbuseKind
from tocsin.wire.values import Acknowledged

MAIL = ("contact.email", "mallory@example.com")
OTHER = ("contact.email", "other@example.com")


@pytest.mark.parametrize(
    "reason",
    ["INTERNAL", "CHARTER_EXPIRED", "EXPIRED_CERTIFICATE", "NOT_A_MEMBER", "TOO_MANY_CALLS", "STORE_FULL"],
)
def test_a_refusal_that_may_pass_leaves_the_request_in_the_outbox(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    node = world.node(1)

    def refuse(*_: object) -> Acknowledged:
        raise RefusedByNode(reason, "not now")

    with world.client(1, node) as client:
        with monkeypatch.context() as patch:
            patch.setattr(node, "submit", refuse)
            with pytest.raises(RefusedByNode, match=reason):
                client.submit([report_draft(MAIL, AbuseKind.RESALE)])
        assert client.status().outbox == 1
        assert client.flush().accepted == 1
    assert len(node.requests) == 1


def test_a_refusal_of_the_content_drops_the_request_and_frees_what_waits_behind(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = world.node(1)

    def refuse(*_: object) -> Acknowledged:
        raise RefusedByNode("EXPIRED_ENTRY", "too late")

    with world.client(1, node) as client:
        with monkeypatch.context() as patch:
            patch.setattr(node, "submit", refuse)
            with pytest.raises(SubmissionLost, match="EXPIRED_ENTRY"):
                client.submit([report_draft(MAIL, AbuseKind.RESALE)])
        assert client.status().outbox == 0


def test_a_retraction_is_never_too_old(world: FakeFederation, monkeypatch: pytest.MonkeyPatch) -> None:
    node = world.node(1)
    with world.client(1, node) as client:
        client.submit([report_draft(MAIL, AbuseKind.RESALE)])
        node.tick()
        lost = node.retract

        def down(*_: object) -> Acknowledged:
            raise Unavailable("gone")

        monkeypatch.setattr(node, "retract", down)
        with pytest.raises(Unavailable):
            client.retract([MAIL])
        monkeypatch.setattr(node, "retract", lost)
        later = system.now() + 9 * 86_400
        monkeypatch.setattr("tocsin.client.system.now", lambda: later)
        assert client.flush().accepted == 1


def test_a_receipt_counts_its_own_call_only(world: FakeFederation) -> None:
    node = world.node(1)
    with world.client(1, node) as client:
        client.query([MAIL, OTHER])
        node.lose_answers = 1
        with pytest.raises(Unavailable):
            client.submit([report_draft(MAIL, AbuseKind.RESALE)])
        receipt = client.retract([OTHER])
    assert receipt.accepted == 0
    assert len(receipt.submissions) == 1
    assert len(node.requests) == 3


def test_what_the_vault_knows_is_retracted_without_any_budget(world: FakeFederation) -> None:
    node = world.node(1)
    with world.client(1, node) as client:
        client.submit([report_draft(MAIL, AbuseKind.RESALE)])
        node.tick()
        node.budget = 0
        with pytest.raises(BudgetExhausted):
            client.retract([MAIL, OTHER])
        node.tick()
    with world.client(0) as holder:
        assert holder.query([MAIL]).matches == ()


def test_a_lost_answer_is_retried_with_the_same_bytes_and_one_effect(world: FakeFederation) -> None:
    node = world.node(1)
    node.lose_answers = 1
    with world.client(1, node) as client:
        with pytest.raises(Unavailable):
            client.submit([report_draft(MAIL, AbuseKind.RESALE)])
        assert client.status().outbox == 1
    with world.client(1, node) as client:
        assert client.flush().accepted == 1
        assert client.status().outbox == 0
    assert node.requests[0] == node.requests[1]
    node.tick()
    assert len(world.logs[node.member].entries) == 1


def test_an_outbox_that_waited_too_long_is_dropped_loudly(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = world.node(1)
    with world.client(1, node) as client:
        client.query([MAIL])
        node.down = True
        with pytest.raises(Unavailable):
            client.submit([report_draft(MAIL, AbuseKind.RESALE)])
        node.down = False
        later = system.now() + 7 * 86_400
        monkeypatch.setattr("tocsin.client.system.now", lambda: later)
        with pytest.raises(SubmissionLost, match="report or retract again"):
            client.flush()
        assert client.status().outbox == 0
