"""Disputes: what may be disputed, who sees it, renewal, correction, withdrawal and the limit of a day."""

from __future__ import annotations

import pytest

from tests.client.fake_node import FakeFederation, FakeNode
from tests.client.test_client_flow import IBAN, MAIL, report
from tests.drafts import report_draft
from tocsin.client import DisputeDraft, disputing, system
from tocsin.client.disputed import disputed_entries
from tocsin.client.errors import BadArgument, DraftRefused
from tocsin.client.results import Match
from tocsin.detect.matching import signals_of
from tocsin.sealing.label import Dispute, DisputeReason


def seen_by(world: FakeFederation, number: int) -> list[Match]:
    with world.client(number) as client:
        return list(client.query([MAIL]).matches)


def dispute(world: FakeFederation, number: int, node: FakeNode, *entries: tuple[bytes, int]) -> None:
    with world.client(number, node) as client:
        receipt = client.dispute([DisputeDraft(MAIL, "shared-by-many", entries)])
    assert (receipt.accepted, receipt.refused) == (1, ())
    node.tick()


def test_a_dispute_is_shown_beside_the_report_and_marks_its_signal(world: FakeFederation) -> None:
    report(world, 1, MAIL)
    (match,) = seen_by(world, 2)
    dispute(world, 2, world.node(2), (match.writer, match.index))
    matches = seen_by(world, 0)
    (said,) = [found.label for found in matches if isinstance(found.label, Dispute)]
    assert said == Dispute("contact.email", ((match.writer, match.index),), DisputeReason.SHARED_BY_MANY)
    assert disputed_entries(matches) == {(matches[0].key, match.writer, match.index)}
    signals, _, _ = signals_of([(*MAIL, found) for found in matches])
    assert [signal.disputed for signal in signals] == [1]


def test_a_corrected_report_is_not_disputed_and_a_dispute_without_target_is_not_shown(
    world: FakeFederation,
) -> None:
    """M-7.14"""
    node = report(world, 1, MAIL)
    (match,) = seen_by(world, 2)
    dispute(world, 2, world.node(2), (match.writer, match.index))
    with world.client(1, node) as client:
        client.submit([report_draft(MAIL, "resale", confidence=10)])
    node.tick()
    matches = seen_by(world, 0)
    assert disputed_entries(matches) == set()
    assert [isinstance(found.label, Dispute) for found in matches] == [False]
    with world.client(1, node) as client:
        client.retract([MAIL])
    node.tick()
    assert seen_by(world, 0) == []


def test_a_renewed_dispute_follows_the_renewed_report_and_ends_with_it(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M-7.14"""
    reporter = report(world, 1, MAIL)
    (match,) = seen_by(world, 2)
    node = world.node(2)
    dispute(world, 2, node, (match.writer, match.index))
    later = system.now() + 31 * 86_400
    monkeypatch.setattr("tocsin.client.system.now", lambda: later)
    with world.client(1, reporter) as client:
        assert client.renew().accepted == 1
    reporter.tick()
    before = seen_by(world, 0)
    newest = max(found.index for found in before if found.writer == match.writer)
    assert newest > match.index
    assert (match.key, match.writer, newest) in {
        (match.key, *found[1:]) for found in disputed_entries(before)
    }
    with world.client(2, node) as client:
        assert client.renew().accepted == 1
    node.tick()
    labels = [found.label for found in seen_by(world, 0) if isinstance(found.label, Dispute)]
    assert labels[-1].disputed == ((match.writer, newest),)


def test_a_dispute_whose_report_was_retracted_is_not_renewed(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M-7.14"""
    reporter = report(world, 1, MAIL)
    (match,) = seen_by(world, 2)
    node = world.node(2)
    dispute(world, 2, node, (match.writer, match.index))
    with world.client(1, reporter) as client:
        client.retract([MAIL])
    reporter.tick()
    later = system.now() + 31 * 86_400
    monkeypatch.setattr("tocsin.client.system.now", lambda: later)
    with world.client(2, node) as client:
        assert client.renew().accepted == 0


def test_retracting_takes_a_dispute_back(world: FakeFederation) -> None:
    report(world, 1, MAIL)
    (match,) = seen_by(world, 2)
    node = world.node(2)
    dispute(world, 2, node, (match.writer, match.index))
    with world.client(2, node) as client:
        assert client.retract([MAIL]).accepted == 1
    node.tick()
    assert [isinstance(found.label, Dispute) for found in seen_by(world, 0)] == [False]


def test_only_live_reports_of_the_value_can_be_disputed(world: FakeFederation) -> None:
    report(world, 1, MAIL)
    (match,) = seen_by(world, 2)
    entry = (match.writer, match.index)
    with world.client(2) as client:
        receipt = client.dispute([
            DisputeDraft(IBAN, "reassigned", [entry]),
            DisputeDraft(MAIL, "reassigned", [(match.writer, match.index + 1)]),
            DisputeDraft(MAIL, "reassigned", []),
        ])  # fmt: skip
        assert receipt.accepted == 0
        assert sorted(refusal.position for refusal in receipt.refused) == [0, 1, 2]
        with pytest.raises(BadArgument):
            client.dispute([MAIL])  # type: ignore[list-item] # what a caller may get wrong


def test_disputes_are_limited_by_the_day(world: FakeFederation, monkeypatch: pytest.MonkeyPatch) -> None:
    report(world, 1, MAIL)
    (match,) = seen_by(world, 2)
    monkeypatch.setattr(disputing, "MAX_DISPUTES_A_DAY", 1)
    node = world.node(2)
    dispute(world, 2, node, (match.writer, match.index))
    with world.client(2, node) as client, pytest.raises(DraftRefused, match="at most 1 disputes a day"):
        client.dispute([DisputeDraft(MAIL, "other", [(match.writer, match.index)])])
