"""A query that cannot be finished still tells what it found: matches that were paid for are never hidden."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from tests.cli.session import RESALE, Session, terminal
from tests.client.fake_node import FakeFederation
from tests.client.test_client_flow import IBAN, MAIL, report
from tocsin.client.errors import BadPartial, BudgetExhausted, TocsinError, Unavailable
from tocsin.client.results import QueryResult
from tocsin.wire.values import TagHit

__all__ = ["terminal"]

OTHERS = [("contact.email", f"user{number}@example.com") for number in range(8)]


def partial_of(error: TocsinError) -> QueryResult:
    assert error.partial is not None
    return error.partial


def places(result: QueryResult) -> list[tuple[int, ...]]:
    return [match.positions for match in result.matches]


def test_a_used_up_budget_hides_no_match_among_what_was_paid_for(world: FakeFederation) -> None:
    report(world, 1, MAIL, OTHERS[0], OTHERS[7])
    node = world.node(0)
    with world.client(0, node) as client:
        client.query([OTHERS[7]])
        node.budget, client._session.evaluator._batch_size, client._session.evaluator._in_flight = 3, 2, 1
        with pytest.raises(BudgetExhausted) as caught:
            client.query([MAIL, *OTHERS])
        found = partial_of(caught.value)
        # Two were paid for, one was kept, and the other six were not screened.
        assert places(found) == [(0,), (1,), (8,)]
        assert (found.queried, found.evaluated, found.from_vault) == (3, 2, 1)
        node.budget = None
        assert client.query([MAIL, *OTHERS]).evaluated == 6


def test_what_later_chunks_have_in_the_vault_is_found_too(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(world, 1, MAIL)
    node = world.node(0)
    monkeypatch.setattr("tocsin.client.querying.CHUNK", 2)
    with world.client(0, node) as client:
        client.query([MAIL])
        node.budget = 1
        with pytest.raises(BudgetExhausted) as caught:
            client.query([*OTHERS[:5], MAIL, ("payment.iban", "nonsense")])
    found = partial_of(caught.value)
    assert places(found) == [(5,)]
    assert [refusal.position for refusal in found.refused] == [6]


def test_a_lost_quorum_hides_no_match_of_the_vault_and_is_asked_once(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(world, 1, MAIL)
    node = world.node(0)
    asked: list[object] = []

    def lost(*arguments: object) -> object:
        asked.append(arguments)
        raise Unavailable("no quorum")

    monkeypatch.setattr("tocsin.client.querying.CHUNK", 1)
    with world.client(0, node) as client:
        client.query([MAIL])
        monkeypatch.setattr(node, "evaluate", lost)
        with pytest.raises(Unavailable, match="no quorum") as caught:
            client.query([*OTHERS[:2], IBAN, MAIL])
    assert places(partial_of(caught.value)) == [(3,)]
    assert len(asked) == 1


def test_a_convicted_evaluator_hides_no_match_of_the_vault(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(world, 1, MAIL)
    culprit = world.homes[2]

    def convicted(*_: object) -> object:
        raise BadPartial({culprit.id: culprit.name})

    with world.client(0) as client:
        client.query([MAIL])
        monkeypatch.setattr(client._session.evaluator, "_batch", convicted)
        with pytest.raises(BadPartial) as caught:
            client.query([MAIL, OTHERS[0]])
    assert places(partial_of(caught.value)) == [(0,)]


def test_a_node_that_goes_away_between_chunks_hides_no_earlier_match(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(world, 1, MAIL)
    node = world.node(0)

    look_up, looked_up = node.look_up, []

    def gone_after_the_first(groups: Sequence[tuple[bytes, bytes]]) -> list[TagHit]:
        looked_up.append(groups)
        node.down = len(looked_up) > 1
        return look_up(groups)

    monkeypatch.setattr(node, "look_up", gone_after_the_first)
    monkeypatch.setattr("tocsin.client.querying.CHUNK", 1)
    with world.client(0, node) as client, pytest.raises(Unavailable) as caught:
        client.query([MAIL, IBAN])
    assert places(partial_of(caught.value)) == [(0,)]
    assert "mallory" not in repr(caught.value) + repr(caught.value.partial)


def test_other_errors_carry_nothing(world: FakeFederation) -> None:
    node = world.node(0)
    node.down = True
    with world.client(0, node) as client, pytest.raises(Unavailable) as caught:
        client.retract([MAIL])
    assert caught.value.partial is None


def test_the_command_prints_what_was_found_and_fails_as_the_error_says(terminal: Session) -> None:
    terminal(1, "submit", "contact.email=mallory@example.com", *RESALE)
    assert terminal(0, "query", "contact.email=mallory@example.com")[0] == 0
    terminal.node(0).budget = 1
    asked = ("contact.email=bob@example.com", "contact.email=mallory@example.com")
    code, out, err = terminal(0, "query", *asked)
    assert code == 4
    assert "a match is a lead, not a verdict" in out
    assert out.startswith("1 value screened, 1 match; it was checked before; no budget used")
    assert "BUDGET_EXHAUSTED" in err
    code, out, err = terminal(0, "query", *asked, "--json")
    found = json.loads(out)
    assert (code, found["complete"], len(found["matches"])) == (4, False, 1)
    assert (found["queried"], found["evaluated"], found["from_vault"]) == (1, 0, 1)
    terminal.node(0).budget = None
    assert json.loads(terminal(0, "query", *asked, "--json")[1])["complete"] is True


def test_the_command_prints_nothing_where_nothing_was_screened(terminal: Session) -> None:
    terminal.node(0).budget = 0
    code, out, err = terminal(0, "query", "contact.email=bob@example.com", "--json")
    assert (code, out) == (4, "")
    assert "BUDGET_EXHAUSTED" in err
