"""Every wrong argument is a `TocsinError` that names it; what is right is accepted in every form."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

import tocsin.client
from tests.client.fake_node import FakeFederation
from tests.client.test_client_charters import add
from tests.drafts import report_draft
from tocsin.client import BadArgument, Client, DraftRefused, TocsinError, ValueRefused
from tocsin.client.drafts import label_of
from tocsin.indicators.registry import Observable
from tocsin.sealing.label import AbuseKind, Evidence, Role, Tlp

MAIL = ("contact.email", "mallory@example.com")
NOW = 1_780_000_000  # 2026-05-28
LETTERS: Any = "contact.email=x"


def refused(**fields: Any) -> DraftRefused:
    with pytest.raises(DraftRefused) as caught:
        label_of(7, report_draft(MAIL, **{"first_seen": NOW} | fields), "contact.email", NOW)
    assert caught.value.position == 7
    assert str(caught.value).startswith("report 7: ")
    return caught.value


@pytest.mark.parametrize(
    ("call", "field", "position"),
    [
        (lambda client: client.query(LETTERS), "values", None),
        (lambda client: client.query(None), "values", None),
        (lambda client: client.query([MAIL, "x"]), "value", 1),
        (lambda client: client.query(MAIL), "value", 0),
        (lambda client: client.query([("a", "b", "c")]), "value", 0),
        (lambda client: client.query([(1, "x")]), "type of the value", 0),
        (lambda client: client.query([("contact.email", 7)]), "value", 0),
        (lambda client: client.query([("contact.email", b"x@example.com")]), "value", 0),
        (
            lambda client: client.query([Observable("contact.email", "text")]),
            "canonical bytes of the Observable",
            0,
        ),
        (lambda client: client.check(7), "values", None),
        (lambda client: client.key_of(7), "value", None),
        (lambda client: client.retract([MAIL, None]), "value", 1),
        (lambda client: client.submit([MAIL]), "draft", 0),
        (lambda client: client.submit(report_draft(MAIL)), "drafts", None),
        (lambda client: client.prove("writer", 0), "writer", None),
        (lambda client: client.prove(bytes(16), "0"), "index", None),
        (lambda client: client.verify_log(b"short"), "member", None),
        (lambda client: client.submission("key"), "key", None),
    ],
)
def test_a_wrong_type_names_argument_and_position(
    world: FakeFederation, call: Callable[[Client], object], field: str, position: int | None
) -> None:
    with world.client(0) as client, pytest.raises(BadArgument, match=r"must be .*, got ") as caught:
        call(client)
    assert (caught.value.field, caught.value.position) == (field, position)


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("abuse", 3),
        ("abuse", Role.OPERATOR),
        ("role", None),
        ("tlp", AbuseKind.RESALE),
        ("evidence", 1.0),
        ("legal_basis", b"contract"),
        ("confidence", "80"),
        ("confidence", True),
        ("confidence", None),
        ("first_seen", "2026-05-01"),
        ("first_seen", 1.5),
        ("first_seen", None),
        ("last_seen", timedelta(days=1)),
        ("bad_accounts", 1.0),
        ("bad_accounts", "3"),
        ("exchanges", True),
        ("hops", "0"),
        ("supporting", "yes"),
        ("campaign_key", "0" * 32),
        ("campaign_key", bytes(31)),
        ("rests_on", b"0123456789abcdef"),
        ("rests_on", (bytes(16),)),
        ("writer in rests_on", (("name", 1),)),
        ("index in rests_on", ((bytes(16), "1"),)),
    ],
)
def test_a_wrong_type_in_a_draft_names_field_and_position(
    world: FakeFederation, field: str, given: object
) -> None:
    name = field.rpartition(" ")[2]
    with world.client(0) as client, pytest.raises(BadArgument) as caught:
        client.submit([report_draft(MAIL), replace(report_draft(MAIL), **{name: given})])
    assert (caught.value.field, caught.value.position) == (field, 1)
    assert "position 1" in str(caught.value)


def test_words_stand_for_enums_in_any_case() -> None:
    for abuse, tlp in (
        ("account-farming", "amber-strict"),
        ("ACCOUNT_FARMING", "AMBER+STRICT"),
        ("Account_farming", "Amber_Strict"),
    ):
        draft = report_draft(MAIL, abuse, tlp=tlp, role="Victim", legal_basis="public-task", first_seen=NOW)
        label = label_of(0, draft, "contact.email", NOW)
        assert (label.abuse, label.tlp, label.role) == (
            AbuseKind.ACCOUNT_FARMING,
            Tlp.AMBER_STRICT,
            Role.VICTIM,
        )
    refusal = refused(tlp="purple")
    assert (refusal.field, refusal.rule) == ("tlp", "tlp.word")
    assert "red, amber-strict, amber, green, clear" in str(refusal)


def test_confidence_is_percent_or_a_fraction_and_one_is_not_one_point_zero() -> None:
    for given, percent in ((0, 0), (1, 1), (80, 80), (100, 100), (0.0, 0), (0.8, 80), (0.005, 0), (1.0, 100)):
        draft = report_draft(MAIL, confidence=given, first_seen=NOW)
        assert label_of(0, draft, "contact.email", NOW).confidence == percent, given
    for wrong in (-1, 101, 1.01, 80.0, -0.1, float("nan"), float("inf")):
        assert refused(confidence=wrong).rule == "confidence.range"


def test_a_moment_is_seconds_an_aware_datetime_or_a_day() -> None:
    east = timezone(timedelta(hours=14))
    week = NOW // (7 * 86_400)
    for given in (
        NOW,
        datetime.fromtimestamp(NOW, UTC),
        datetime.fromtimestamp(NOW, east),
        date(2026, 5, 28),
    ):
        label = label_of(0, report_draft(MAIL, first_seen=given), "contact.email", NOW)
        assert (label.first_week, label.last_week) == (week, week), given
    assert refused(first_seen=datetime(2026, 5, 1)).rule == "first-seen.naive"  # noqa: DTZ001 - the mistake under test
    assert refused(first_seen=NOW * 1000).rule == "first-seen.range"
    assert refused(first_seen=-1).rule == "first-seen.range"
    future = refused(first_seen=NOW + 3 * 86_400)
    assert "first_seen (2026-05-31) is in the future; today is 2026-05-28" in str(future)
    order = refused(first_seen=date(2026, 5, 8), last_seen=date(2026, 5, 1))
    assert (order.field, order.rule) == ("last_seen", "last-seen.order")
    assert "last_seen (2026-05-01) is before first_seen (2026-05-08)" in str(order)


def test_rules_of_the_label_name_field_and_position() -> None:
    assert refused(bad_accounts=-1).rule == "bad-accounts.range"
    assert refused(exchanges=2**63).rule == "exchanges.range"
    assert refused(evidence=Evidence.REVIEWED_MATCH, hops=1).rule.startswith("label.")
    assert refused(hops=9).rule == "hops.policy"


def test_confidence_and_first_seen_have_no_default() -> None:
    draft: Any = tocsin.client.ReportDraft
    with pytest.raises(TypeError, match="confidence"):
        draft(MAIL, "resale", first_seen=NOW)
    with pytest.raises(TypeError, match="first_seen"):
        draft(MAIL, "resale", confidence=80)


def test_a_refusal_of_a_value_is_the_clients_and_keeps_its_cause(world: FakeFederation) -> None:
    with world.client(0) as client:
        for value in (
            ("payment.iban", "GB00SECRET"),
            ("no.such", "SECRET"),
            ("contact.email", "\ud800SECRET"),
        ):
            with pytest.raises(ValueRefused) as caught:
                client.key_of(value)
            assert caught.value.__cause__ is not None
            assert "SECRET" not in str(caught.value) + str(caught.value.to_dict())
            assert caught.value.position is None


def test_every_error_is_exported_is_a_tocsin_error_and_survives_pickling() -> None:
    from tocsin.client import errors

    classes = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)
    ]
    assert len(classes) > 20
    for kind in classes:
        assert issubclass(kind, TocsinError)
        assert getattr(tocsin.client, kind.__name__) is kind
    member = bytes(16)
    examples = [
        errors.BadPartial({member: "Aster"}),
        errors.NodeMisbehaved("what"),
        errors.BadArgument("field", "text", 7, 3),
        errors.DraftRefused(1, "tlp", "tlp.word", "wrong"),
        errors.BudgetExhausted("BUDGET_EXHAUSTED", "nothing left"),
        errors.TimedOut(3.0),
        errors.EntryErased(member, "Aster", 4),
        errors.ForkedClient(1, 2),
    ]
    for error in examples:
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.to_dict()) == (type(error), str(error), error.to_dict())
    assert examples[0].to_dict()["culprit"] == "Aster"
    assert examples[1].to_dict()["culprit"] == "your node"


def test_the_package_names_what_it_exports() -> None:
    assert tocsin.client._WHERE.keys() == set(tocsin.client.__all__) == set(dir(tocsin.client))
    for name in tocsin.client.__all__:
        assert getattr(tocsin.client, name).__name__ == name
    with pytest.raises(AttributeError):
        _ = tocsin.client.nothing


def test_a_report_has_no_more_hops_than_the_charter_allows(world: FakeFederation) -> None:
    add(world, policy=replace(world.charter.policy, max_hops=1))
    seen = ((world.homes[1].id, 0),)
    drafts = [
        report_draft(MAIL, AbuseKind.RESALE, evidence=Evidence.REVIEWED_MATCH, rests_on=seen, hops=hops)
        for hops in (1, 2)
    ]
    with world.client(0) as client:
        receipt = client.submit(drafts)
    assert receipt.accepted == 1
    (refusal,) = receipt.refused
    assert isinstance(refusal, DraftRefused)
    assert (refusal.position, refusal.field, refusal.rule) == (1, "hops", "hops.policy")
