"""Campaigns in the casebook: who takes part, ids through growth, merging and splitting, and what is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.detect.casebook.scored import DAY, NOW, never, opened, scored, taken
from tocsin.detect.campaigns import Campaign
from tocsin.detect.casebook import history
from tocsin.detect.casebook.book import Casebook
from tocsin.detect.casebook.campaigns import campaign_of_id, set_room, update_campaigns
from tocsin.detect.casebook.deciding import Decision, decide
from tocsin.detect.casebook.errors import NoSuchCampaign
from tocsin.detect.casebook.flags import flag_of_account
from tocsin.detect.casebook.forgetting import forget
from tocsin.detect.casebook.intake import Scored
from tocsin.detect.explaining import Explanation, Reason


@pytest.fixture
def book(tmp_path: Path) -> Casebook:
    return opened(tmp_path / "casebook")


def holder(account: str, *values: str, flagged: bool = True, known: bool = False, hubs: str = "") -> Scored:
    """An account with these values, which are one letter each."""
    reasons = tuple(
        Reason("contact.phone", value, "phone", "person", 20, 200, True, 0, ("Alder",), 0, 400, value in hubs)
        for value in values
    )
    explanation = Explanation(account, 32 if flagged else 20, flagged, ("person",), reasons, (), ())
    return Scored(explanation, 1, None, False, {}, known)


def judge(book: Casebook, account: str, outcome: str, reason: str) -> None:
    with book.database.reading() as connection:
        number = flag_of_account(connection, account).no
    decide(book, number, Decision(outcome, reason, "ann"), NOW, never)


def shape(campaigns: tuple[Campaign, ...]) -> Mapping[str, str]:
    return {campaign.id: "".join(sorted(campaign.accounts)) for campaign in campaigns}


def events(book: Casebook, what: str) -> list[dict[str, object]]:
    with book.database.reading() as connection:
        return [
            event.to_dict()["detail"]
            for event in history.all_events(connection)
            if (event.what, event.flag) == (what, None)
        ]


def test_flagged_and_confirmed_accounts_take_part_and_no_others(book: Casebook) -> None:
    taken(
        book, holder("a", "x"), holder("b", "x"), holder("c", "x", flagged=False), holder("d", "x"),
        holder("e", "x", flagged=False, known=True), holder("f", "x", flagged=False),
    )  # fmt: skip
    judge(book, "c", "confirmed", "own-evidence")
    judge(book, "d", "rejected", "known-customer")
    [found] = update_campaigns(book, NOW)
    assert (found.accounts, found.confirmed) == (frozenset("abce"), frozenset("ce"))
    judge(book, "f", "confirmed", "own-evidence")
    assert shape(update_campaigns(book, NOW)) == {"C1": "abcef"}


def test_ids_and_days_last_through_growth_merge_and_split(book: Casebook) -> None:
    taken(book, holder("a", "x"), holder("b", "x"), holder("c", "y"), holder("d", "y"), holder("e", "y"))
    assert shape(update_campaigns(book, NOW)) == {"C1": "ab", "C2": "cde"}
    taken(book, *(holder(account, "x", *"z"[account != "b" :]) for account in "ab"), holder("f", "x"),
          holder("c", "y", "z"), holder("d", "y"), holder("e", "y"), run=2)  # fmt: skip
    [merged] = update_campaigns(book, NOW + DAY)
    assert (merged.id, merged.accounts) == ("C2", frozenset("abcdef"))
    assert sorted((len(value.accounts), value.since) for value in merged.values) == [
        (2, NOW // DAY + 1), (3, NOW // DAY), (3, NOW // DAY),
    ]  # fmt: skip
    assert events(book, "campaigns merged") == [{"campaign": "C2", "from": ["C1"]}]
    assert events(book, "campaign ended") == [{"campaign": "C1", "into": ["C2"]}]
    # The report of z is retracted.
    taken(
        book,
        *(holder(account, "x") for account in "abf"),
        *(holder(account, "y") for account in "cde"),
        run=3,
    )
    assert shape(update_campaigns(book, NOW + 2 * DAY)) == {"C2": "abf", "C3": "cde"}
    assert events(book, "campaign")[-1] == {"accounts": 3, "campaign": "C3", "from": ["C2"]}
    assert history.verify(book.database) > 0


def test_a_retracted_report_splits_confirmed_accounts_too(book: Casebook) -> None:
    taken(book, *(holder(account, "x") for account in "ab"))
    for account in "ab":
        judge(book, account, "confirmed", "own-evidence")
    assert shape(update_campaigns(book, NOW)) == {"C1": "ab"}
    taken(book, run=2)
    assert update_campaigns(book, NOW) == ()
    with pytest.raises(NoSuchCampaign, match="there is no campaign C1 now"):
        campaign_of_id(book, "C1", NOW)
    taken(book, *(holder(account, "x") for account in "cd"), run=3)
    assert shape(update_campaigns(book, NOW)) == {"C2": "cd"}, "an id is never given again"


def test_a_hub_is_shown_and_joins_nobody(book: Casebook) -> None:
    pairs = {"a": "xh", "b": "xh", "c": "yh", "d": "yh", "e": "h"}
    taken(book, *(holder(account, *values, hubs="h") for account, values in pairs.items()))
    campaigns = update_campaigns(book, NOW)
    assert shape(campaigns) == {"C1": "ab", "C2": "cd"}
    assert [len(campaign.hubs) for campaign in campaigns] == [1, 1]


def test_a_room_and_a_name_stay_and_a_second_look_changes_nothing(book: Casebook) -> None:
    taken(book, holder("a", "x"), holder("b", "x"))
    update_campaigns(book, NOW)
    set_room(book, "C1", "aabb", "ann", NOW)
    before = history.verify(book.database)
    assert campaign_of_id(book, "C1", NOW + DAY).room == "aabb"
    assert campaign_of_id(book, "C1", NOW + DAY).since == NOW // DAY
    assert history.verify(book.database) == before


def test_a_forgotten_account_leaves_its_campaign(book: Casebook) -> None:
    taken(book, *(holder(account, "x") for account in "abc"))
    update_campaigns(book, NOW)
    forget(book, "b", "ann", NOW)
    assert shape(update_campaigns(book, NOW)) == {"C1": "ac"}


def test_an_account_of_the_members_own_list_waits_for_no_review(book: Casebook) -> None:
    from tocsin.detect.casebook.claiming import claim_next
    from tocsin.detect.rules import DEFAULT

    taken(book, holder("a", "x", known=True))
    assert claim_next(book, "ann", DEFAULT, NOW, never) is None
    taken(book, holder("a", "x"), run=2)
    assert claim_next(book, "ann", DEFAULT, NOW, never) is not None


def test_scored_without_a_list_is_not_known(book: Casebook) -> None:
    taken(book, scored("a"))
    with book.database.reading() as connection:
        assert flag_of_account(connection, "a").known is False
