"""Reviewing: who gets what, when a verdict is final, second reviewers, the golden set, whole campaigns."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.detect.casebook.scored import NOW, never, opened, scored, taken
from tocsin.detect.casebook import measuring
from tocsin.detect.casebook.book import Casebook
from tocsin.detect.casebook.campaigns import update_campaigns
from tocsin.detect.casebook.claiming import claim, claim_next, release
from tocsin.detect.casebook.deciding import (
    Decision,
    appeal,
    decide,
    decide_campaign,
    draw_sample,
    set_golden,
)
from tocsin.detect.casebook.errors import BadVerdict, NotOpen, NotYours
from tocsin.detect.casebook.flags import Flag, flag_of_account, list_flags
from tocsin.detect.rules import DEFAULT

YES, NO = ("confirmed", "own-evidence"), ("rejected", "known-customer")


@pytest.fixture
def book(tmp_path: Path) -> Casebook:
    return opened(tmp_path / "casebook")


def following(book: Casebook, who: str, now: int = NOW, campaign: str = "") -> Flag:
    flag = claim_next(book, who, DEFAULT, now, never, campaign=campaign)
    assert flag is not None
    return flag


def judge(book: Casebook, flag: Flag, who: str, outcome: tuple[str, str], now: int = NOW) -> Flag:
    return decide(book, flag.no, Decision(*outcome, who), now, never)


def state(book: Casebook, account: str) -> str:
    with book.database.reading() as connection:
        return flag_of_account(connection, account).state


def test_flags_come_first_then_the_highest_score(book: Casebook) -> None:
    taken(book, scored("low", 31), scored("candidate", 28, flagged=False), scored("high", 40))
    order = []
    while (flag := claim_next(book, "ann", DEFAULT, NOW, never)) is not None:
        order.append(flag.account)
        judge(book, flag, "ann", YES)
    assert order == ["high", "low", "candidate"]


def test_a_flag_is_given_to_one_person_and_the_same_again_to_that_person(book: Casebook) -> None:
    taken(book, scored("a1"), scored("a2"))
    first, second = following(book, "ann"), following(book, "bea")
    assert first.no != second.no
    assert following(book, "ann").no == first.no
    assert claim_next(book, "cem", DEFAULT, NOW, never) is None
    with pytest.raises(NotYours, match="with ann for at most 30 more minutes"):
        judge(book, first, "bea", YES)


def test_a_claim_ends_by_itself(book: Casebook) -> None:
    taken(book, scored("a1"))
    first = following(book, "ann")
    later = NOW + book.settings.claim_minutes * 60
    assert claim_next(book, "bea", DEFAULT, later - 1, never) is None
    assert following(book, "bea", later).no == first.no
    with pytest.raises(NotYours):
        judge(book, first, "ann", YES, later)
    assert release(book, "bea", later) == 1
    assert judge(book, first, "ann", YES, later).state == "confirmed"


def test_two_verdicts_on_one_flag_are_not_taken(book: Casebook) -> None:
    taken(book, scored("a1"))
    judge(book, following(book, "ann"), "ann", YES)
    with pytest.raises(NotOpen, match="is confirmed"):
        decide(book, 1, Decision(*NO, "bea"), NOW, never)
    with pytest.raises(NotOpen):
        claim(book, 1, "bea", NOW)


def test_outcome_reason_reviewer_and_day_must_fit(book: Casebook) -> None:
    taken(book, scored("a1"))
    for decision, said in (
        (Decision("banned", "x", "ann"), "outcome must be one of"),
        (Decision("confirmed", "known-customer", "ann"), "reason of confirmed must be one of own-evidence"),
        (Decision(*YES, " "), "--by NAME"),
        (Decision("later", "asked-customer", "ann"), "--until"),
        (Decision(*YES, "ann", returns=NOW + 1), "--until"),
        (Decision("later", "asked-customer", "ann", returns=NOW - 1), "in the future"),
    ):
        with pytest.raises(BadVerdict, match=said):
            decide(book, 1, decision, NOW, never)
    assert state(book, "a1") == "open"


def test_unsure_leaves_a_flag_to_others(book: Casebook) -> None:
    taken(book, scored("a1"))
    judge(book, following(book, "ann"), "ann", ("unsure", "not-enough"))
    assert claim_next(book, "ann", DEFAULT, NOW, never) is None
    assert judge(book, following(book, "bea"), "bea", YES).state == "confirmed"


@pytest.mark.parametrize("settings", ['second_reviewer_types = ["payment.par"]', "second_reviewer_bits = 20"])
def test_a_second_reviewer_is_required_by_type_or_score(tmp_path: Path, settings: str) -> None:
    book = opened(tmp_path / "casebook", settings + "\ngolden_percent = 0")
    taken(book, scored("a1", 40, types=("payment.par",)))
    assert judge(book, following(book, "ann"), "ann", YES).state == "second"
    assert claim_next(book, "ann", DEFAULT, NOW, never) is None
    # The second disagrees, so a third decides.
    assert judge(book, following(book, "bea"), "bea", NO).state == "second"
    assert judge(book, following(book, "cem"), "cem", NO).state == "rejected"


def test_one_member_fills_at_most_a_fifth_of_the_queue_while_anything_else_waits(book: Casebook) -> None:
    taken(
        book,
        *(scored(f"liar{number:02}", 40, root="Liar") for number in range(20)),
        *(scored(f"other{number:02}", 31) for number in range(16)),
    )
    given = []
    for _ in range(20):
        flag = following(book, "ann")
        given.append(flag.account)
        judge(book, flag, "ann", YES)
    assert sum(account.startswith("liar") for account in given) == 4
    for _ in range(16):
        judge(book, following(book, "ann"), "ann", YES)
    assert claim_next(book, "ann", DEFAULT, NOW, never) is None


def test_a_share_of_the_queue_is_drawn_at_random_and_marked(book: Casebook) -> None:
    taken(book, scored("high", 40), scored("low", 13, flagged=False))
    # No golden flag; a random case; the second of those waiting.
    draws = iter([99, DEFAULT.random_percent - 1, 1])
    flag = claim_next(book, "ann", DEFAULT, NOW, lambda limit: next(draws))
    assert flag is not None
    assert (flag.account, flag.random) == ("low", True)
    judge(book, flag, "ann", NO)
    with book.database.reading() as connection:
        assert [verdict.random for verdict in measuring.judged(connection)] == [True]


def test_the_golden_set_measures_agreement_and_changes_nothing(tmp_path: Path) -> None:
    book = opened(tmp_path / "casebook", "golden_percent = 50")
    taken(book, scored("a1"), scored("a2"))
    for _ in range(2):
        judge(book, following(book, "ann"), "ann", YES)
    set_golden(book, 1, "ann", NOW)
    set_golden(book, 2, "ann", NOW)

    def golden(limit: int) -> int:
        return 0

    verdicts = [YES, NO]
    for verdict in verdicts:
        flag = claim_next(book, "bea", DEFAULT, NOW, golden)
        assert flag is not None
        judge(book, flag, "bea", verdict)
    assert claim_next(book, "bea", DEFAULT, NOW, golden) is None
    assert (state(book, "a1"), state(book, "a2")) == ("confirmed", "confirmed")
    with book.database.reading() as connection:
        agreement = measuring.agreement(connection)
    assert (agreement.pairs, agreement.agreeing, agreement.percent) == (2, 1, 50.0)


def test_time_and_yield_are_recorded(book: Casebook) -> None:
    taken(book, scored("a1"), scored("a2"), scored("a3"))
    for took, outcome in ((30, YES), (90, YES), (60, NO)):
        judge(book, following(book, "ann"), "ann", outcome, NOW + took)
    with book.database.reading() as connection:
        assert measuring.paces(connection) == [measuring.Pace("ann", 3, 60)]
        assert measuring.yields(connection) == [measuring.Yield("Alder", 2, 1)]


def test_trust_in_one_member_needs_twenty_verdicts_of_which_85_percent_confirm(book: Casebook) -> None:
    taken(book, *(scored(f"a{number:02}", 30, root="Alder") for number in range(20)))
    for number in range(20):
        judge(book, following(book, "ann"), "ann", NO if number < 3 else YES)
        with book.database.reading() as connection:
            assert measuring.trusted(connection, DEFAULT) == (
                frozenset({"Alder"}) if number == 19 else frozenset()
            )


def campaign_of(book: Casebook, size: int) -> None:
    accounts = [f"c{number:02}" for number in range(size)]
    taken(book, *map(scored, accounts), scored("other", value="+15550199"))
    [found] = update_campaigns(book, NOW)
    assert (found.id, found.accounts) == ("C1", frozenset(accounts))


def decide_sample(book: Casebook, confirmed: int) -> None:
    number = 0
    while (flag := claim_next(book, "ann", DEFAULT, NOW, never, campaign="C1")) is not None:
        judge(book, flag, "ann", YES if number < confirmed else NO)
        number += 1
    assert number == 30


def test_a_campaign_is_decided_by_two_people_after_its_sample(book: Casebook) -> None:
    campaign_of(book, 50)
    vote = Decision(*YES, "ann")
    with pytest.raises(NotOpen, match="draw the random sample first"):
        decide_campaign(book, "C1", vote, NOW, never)
    drawn = draw_sample(book, "C1", "ann", NOW, never)
    assert (drawn.sample, drawn.sample_waiting) == (30, 30)
    assert draw_sample(book, "C1", "bea", NOW, lambda limit: 0) == drawn
    with pytest.raises(NotOpen, match="30 of 30 flags of the sample are undecided"):
        decide_campaign(book, "C1", vote, NOW, never)
    decide_sample(book, 29)
    assert decide_campaign(book, "C1", vote, NOW, never).decided_now == 0
    assert decide_campaign(book, "C1", vote, NOW, never).decided_now == 0, "one person voted twice"
    assert decide_campaign(book, "C1", Decision(*YES, "bea"), NOW, never).decided_now == 20
    with book.database.reading() as connection:
        flags = list_flags(connection, NOW, campaign="C1")
    assert sum(flag.sampled for flag in flags) == 20
    assert sum(flag.state == "confirmed" for flag in flags) == 49
    assert state(book, "other") == "open"


def test_a_sample_that_does_not_support_the_outcome_decides_nothing(book: Casebook) -> None:
    campaign_of(book, 40)
    draw_sample(book, "C1", "ann", NOW, never)
    decide_sample(book, 28)
    with pytest.raises(NotOpen, match="28 of 30 flags of the sample are confirmed, 29 are needed"):
        decide_campaign(book, "C1", Decision(*YES, "bea"), NOW, never)


def test_a_member_is_muted_by_the_teams_own_verdicts_alone_and_until_they_change(book: Casebook) -> None:
    taken(book, *(scored(f"a{number}", root="Alder") for number in range(10)))
    for number in range(10):
        with book.database.reading() as connection:
            assert measuring.muted(connection, DEFAULT) == {}
            flag = flag_of_account(connection, f"a{number}")
        claim(book, flag.no, "ann", NOW)
        judge(book, flag, "ann", YES if number < 2 else NO)
    with book.database.reading() as connection:
        assert measuring.muted(connection, DEFAULT) == {"Alder": measuring.Yield("Alder", 2, 8)}
        assert measuring.trusted(connection, DEFAULT) == frozenset()
    appeal(book, "a9", "bea", "", NOW)
    with book.database.reading() as connection:
        assert measuring.muted(connection, DEFAULT) == {}
