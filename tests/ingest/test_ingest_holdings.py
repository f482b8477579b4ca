"""Which accounts hold what was matched: grouped by account and value, the closest of a template, strongest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tocsin.client import Match
from tocsin.ingest.holdings import HeldMatches, by_account
from tocsin.sealing.label import AbuseKind, Evidence, LegalBasis, Report, Role, Tlp

TEMPLATE = "prompt.template"


def label(confidence: int = 80, abuse: AbuseKind = AbuseKind.RESALE, accounts: int = 1) -> Report:
    return Report(
        type=TEMPLATE,
        tlp=Tlp.AMBER,
        abuse=abuse,
        role=Role.OPERATOR,
        bad_accounts_bucket=accounts,
        exchanges_bucket=0,
        first_week=2900,
        last_week=2900,
        evidence=Evidence.OWN_DETECTION,
        rests_on=(),
        hops=0,
        confidence=confidence,
        campaign_key=None,
        legal_basis=LegalBasis.LEGITIMATE_INTEREST,
    )


def match(index: int, bands: int = 0, **more: Any) -> Match:
    made = {"type": TEMPLATE, "writer": b"a", "writer_name": "A", "index": index, "label": label()}
    return Match(**(made | {"checkpoint_time": 0, "bands": bands, "positions": (1,)} | more))


def indices(groups: Sequence[HeldMatches]) -> list[list[int]]:
    return [[held.index for held in group.matches] for group in groups]


def grouped(*matches: Match, accounts: Sequence[Sequence[str]] = ((), (), ())) -> list[HeldMatches]:
    return by_account(accounts, matches)


def test_of_a_template_the_equal_one_comes_before_similar_ones_and_more_bands_before_fewer() -> None:
    assert indices(grouped(match(1, 47), match(2, 96), match(3, 5))) == [[2]]
    assert indices(grouped(match(1, 96), match(2, 0), match(3, 96))) == [[2]]
    assert indices(grouped(match(1, 0), match(2, 0))) == [[1]]


def test_what_another_writer_says_or_something_else_is_said_stays() -> None:
    other_writer, other_label = match(2, 96, writer=b"b"), match(3, 96, label=label(81))
    assert indices(grouped(match(1, 9), other_writer, other_label)) == [[3, 2, 1]]
    assert indices(grouped(match(1, 9), match(4, 96, positions=(2,)))) == [[4], [1]]


def test_other_types_are_shown_one_by_one() -> None:
    assert indices(grouped(match(1, type="payment.iban"), match(2, type="payment.iban"))) == [[1, 2]]


def test_a_value_is_named_by_each_account_that_holds_it_and_an_account_once_for_a_value() -> None:
    held = match(1, type="net.ipv4", key=b"k", positions=(0, 2))
    groups = grouped(held, accounts=(("a", "b"), (), ("a",)))
    assert [(group.account, group.positions) for group in groups] == [("a", (0, 2)), ("b", (0,))]


def test_the_strongest_group_comes_first() -> None:
    unsure = match(1, type="net.ipv4", key=b"1", positions=(0,), label=label(20))
    sure = match(2, type="net.ipv4", key=b"2", positions=(1,), label=label(90))
    surer = match(3, type="net.ipv4", key=b"2", positions=(1,), label=label(90, accounts=4))
    assert indices(grouped(unsure, sure, surer)) == [[3, 2], [1]]


def test_the_groups_of_an_account_stay_together() -> None:
    strong = match(1, type="net.ipv4", key=b"1", positions=(0,), label=label(90))
    middle = match(2, type="net.ipv4", key=b"2", positions=(1,), label=label(60))
    weak = match(3, type="net.ipv4", key=b"3", positions=(2,), label=label(20))
    groups = grouped(weak, middle, strong, accounts=(("a",), ("b",), ("a",)))
    assert [(group.account, group.positions) for group in groups] == [("a", (0,)), ("a", (2,)), ("b", (1,))]
    assert indices(grouped(weak, middle, strong)) == [[1], [2], [3]]
