"""Screening, reporting, retracting, renewing and watching against an honest node."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from tests.client.fake_node import FakeFederation, FakeNode
from tests.drafts import report_draft
from tocsin.client import Client, system
from tocsin.client.errors import BudgetExhausted, ValuesRefused
from tocsin.sealing.label import AbuseKind, Report, bucket

MAIL = ("contact.email", "mallory@example.com")
IBAN = ("payment.iban", "GB82 WEST 1234 5698 7654 32")


def report(world: FakeFederation, number: int, *values: tuple[str, str], **fields: object) -> FakeNode:
    node = world.node(number)
    with world.client(number, node) as client:
        receipt = client.submit([report_draft(value, AbuseKind.RESALE, **fields) for value in values])  # type: ignore[arg-type] # a double takes what the port takes
        assert receipt.accepted == len(values)
    node.tick()
    return node


def test_a_holder_finds_what_others_reported_and_nobody_else_does(world: FakeFederation) -> None:
    report(world, 1, MAIL, bad_accounts=40)
    report(world, 2, MAIL, IBAN)
    with world.client(0) as client:
        result = client.query(
            [("contact.email", "Mallory@Example.com"), ("contact.email", "bob@example.com"), IBAN]
        )
        assert {(match.writer_name, match.type, match.positions) for match in result.matches} == {
            (world.homes[1].name, "contact.email", (0,)),
            (world.homes[2].name, "contact.email", (0,)),
            (world.homes[2].name, "payment.iban", (2,)),
        }
        label = next(match.label for match in result.matches if match.writer == world.homes[1].id)
        assert isinstance(label, Report)
        assert label.abuse is AbuseKind.RESALE
        assert label.bad_accounts_bucket == bucket(40)
        assert all(match.checkpoint_time for match in result.matches)
        assert (result.evaluated, result.from_vault, result.problems) == (3, 0, ())
        assert "mallory" not in repr(result).lower()


def test_own_reports_are_no_matches(world: FakeFederation) -> None:
    report(world, 0, MAIL)
    with world.client(0) as client:
        assert client.query([MAIL]).matches == ()


def test_asking_again_is_free_in_another_process_too(world: FakeFederation) -> None:
    node = world.node(0)
    for expected in (2, 0):
        with world.client(0, node) as client:
            result = client.query([MAIL, IBAN, MAIL])
            assert (result.queried, result.evaluated) == (3, expected)
    assert node.evaluated == 2


def test_bad_values_are_named_by_position_and_the_others_go_on(world: FakeFederation) -> None:
    report(world, 1, MAIL)
    with world.client(0) as client:
        values = [("payment.iban", "GB00SECRETVALUE"), MAIL, ("no.such", "SECRETVALUE")]
        result = client.query(values, skip_refused=True)
        assert [refusal.position for refusal in result.refused] == [0, 2]
        assert len(result.matches) == 1
        assert "SECRETVALUE" not in repr(result) + str(result.refused) + str(result.to_dict())
        assert [refusal.position for refusal in client.check([MAIL, ("no.such", "x")])] == [1]
        # A value that was not screened must not pass for one that nobody reported.
        with pytest.raises(ValuesRefused, match="2 of 3 values were refused") as caught:
            client.query(values)
        assert len(caught.value.refused) == 2
        assert caught.value.partial is not None
        assert [match.values for match in caught.value.partial.matches] == [(MAIL,)]
        assert "SECRETVALUE" not in str(caught.value) + str(caught.value.to_dict())


def test_batches_in_flight_give_the_same_outputs(world: FakeFederation) -> None:
    values = [("contact.email", f"user{number}@example.com") for number in range(50)]
    report(world, 1, values[7], values[33])
    with world.client(0) as client:
        client._session.evaluator._batch_size = 6
        result = client.query(values)
        assert sorted(match.positions for match in result.matches) == [(7,), (33,)]
        assert result.evaluated == 50


def test_what_was_paid_for_is_kept_when_the_budget_ends(world: FakeFederation) -> None:
    node = world.node(0)
    node.budget = 20
    values = [("contact.email", f"user{number}@example.com") for number in range(30)]
    with world.client(0, node) as client:
        client._session.evaluator._batch_size = 10
        with pytest.raises(BudgetExhausted):
            client.query(values)
        node.budget = None
        assert client.query(values).evaluated == 10


def test_the_highest_index_counts(world: FakeFederation) -> None:
    node = report(world, 1, MAIL, confidence=10)
    with world.client(1, node) as client:
        client.submit([report_draft(MAIL, AbuseKind.RESALE, confidence=90)])
    node.tick()
    with world.client(0) as client:
        (match,) = client.query([MAIL]).matches
    assert isinstance(match.label, Report)
    assert (match.index, match.label.confidence) == (1, 90)


def test_retracting_takes_a_report_back(world: FakeFederation) -> None:
    node = report(world, 1, MAIL, IBAN)
    with world.client(1, node) as client:
        assert client.retract([MAIL]).accepted == 1
        assert client.retract([("contact.email", "never@example.com")]).accepted == 0
    node.tick()
    with world.client(0) as client:
        assert [match.type for match in client.query([MAIL, IBAN]).matches] == ["payment.iban"]


def test_drafts_that_the_rules_refuse_are_named_and_the_rest_goes_on(world: FakeFederation) -> None:
    node = world.node(1)
    with world.client(1, node) as client:
        receipt = client.submit(
            [
                report_draft(MAIL, AbuseKind.RESALE, campaign_key=bytes(32)),
                report_draft(("payment.composite", "41111111|1234|2712"), AbuseKind.RESALE),
                report_draft(MAIL, AbuseKind.RESALE, confidence=101),
                report_draft(("payment.iban", "nonsense"), AbuseKind.RESALE),
                report_draft(IBAN, AbuseKind.RESALE),
            ]
        )
    assert [(refusal.position, refusal.rule) for refusal in receipt.refused] == [
        (0, "campaign-key.alone"),
        (1, "composite.alone"),
        (2, "confidence.range"),
        (3, "iban.form"),
    ]
    assert receipt.accepted == 1


def test_renewing_seals_again_in_the_new_period_only_what_is_live(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = report(world, 1, MAIL, IBAN)
    other = world.node(1)
    with world.client(1, node) as client:
        assert client.renew().accepted == 0
        # As another client of the same member would: in the log, not in this client's vault.
        client.retract([IBAN])
        client._session.vault.mark_reported(1, [client.key_of(IBAN)])
        node.tick()
        later = system.now() + 31 * 86_400
        monkeypatch.setattr("tocsin.client.system.now", lambda: later)
        assert client.renew().accepted == 1
        node.tick()
        assert client.renew().accepted == 0
    assert other is not node
    newest = world.logs[node.member].entries[-1]
    assert newest is not None
    assert newest.header.period == world.charter.period.number + 1
    with world.client(0) as client:
        assert {match.index for match in client.query([MAIL]).matches} >= {3}


def test_one_client_serves_several_threads(world: FakeFederation) -> None:
    report(world, 1, MAIL)
    found: list[int] = []
    with world.client(0) as client:

        def ask(number: int) -> None:
            values = [MAIL, ("contact.email", f"user{number}@example.com")]
            found.append(len(client.query(values).matches))

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [1] * 6


def test_nothing_secret_is_in_a_repr(world: FakeFederation) -> None:
    with world.client(0) as client:
        client.query([MAIL])
        standing = client._session.charter(system.now())
        shown = (
            repr(client)
            + repr(client._session.vault)
            + repr(standing)
            + repr(report_draft(MAIL, AbuseKind.RESALE))
        )
    pepper = next(iter(standing.peppers.values()))
    assert bytes(pepper).hex() not in shown
    assert "mallory" not in shown


def test_the_own_node_learns_no_value_and_no_output(world: FakeFederation) -> None:
    """What leaves the client is blinded anew each time: two clients' batches for one value have nothing in common."""
    seen: list[bytes] = []

    class Noting(FakeNode):
        def evaluate(self, *arguments: object) -> list[object]:  # type: ignore[override] # a double takes what the port takes
            seen.extend(arguments[3])  # type: ignore[arg-type] # a double takes what the port takes
            return super().evaluate(*arguments)  # type: ignore[arg-type, return-value] # a double takes what the port takes

    for number in (0, 1):
        with world.client(number, Noting(world, world.homes[number].id)) as client:
            client.query([MAIL])
    assert len(set(seen)) == len(seen) == 2


def test_a_query_of_nothing_asks_nothing(world: FakeFederation) -> None:
    node = world.node(0)
    with world.client(0, node) as client:
        result = client.query([])
    assert replace(result, matches=()) == result
    assert node.evaluated == 0
    assert isinstance(client, Client)


def test_every_result_is_json_and_holds_no_value(world: FakeFederation) -> None:
    report(world, 1, MAIL)
    with world.client(0) as client:
        result = client.query([MAIL, ("payment.iban", "nonsense")], skip_refused=True)
        (match,) = result.matches
        shown = [
            result,
            match.evidence,
            client.submit([report_draft(IBAN), report_draft(MAIL, confidence=101)]),
            client.submission(bytes(16)) or result,
            client.budget(),
            client.status(),
            client.verify_log(world.homes[1].id),
            client.prove(match.writer, match.index),
        ]
    text = json.dumps([part.to_dict() for part in shown])
    assert "mallory" not in text
    assert "nonsense" not in text
    found = match.to_dict()
    assert (found["kind"], found["similar"], found["positions"]) == ("report", None, [0])
    assert (found["bad_accounts"], found["confidence"]) == ({"min": 1, "max": 1}, 80)
