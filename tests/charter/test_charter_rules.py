from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.charter.charter_drafts import (
    DAY,
    NOW,
    YEAR,
    authority,
    certificate,
    class_key,
    dealt,
    draft,
    member,
    period,
    seed,
    signed,
)
from tocsin.charter import rules
from tocsin.charter.document import PERIOD_SECONDS, Charter, Member
from tocsin.charter.envelope import SignedCharter, charter_hash, merge_signatures, sign_document
from tocsin.charter.eras import ADOPTION_SECONDS, Adopted, live_peppers, readable_keys
from tocsin.charter.rules import check_fresh, conflict, quorum, verify_founding, verify_next

FOUNDING = draft()
FOUNDED = verify_founding(signed(FOUNDING, [1, 2, 3]), charter_hash(FOUNDING.encode()), NOW)


def successor(current: Charter, members: Sequence[Member] | None = None, **changes: Any) -> Charter:
    """Return a next version that obeys every rule, with a fresh pepper where one is due."""
    chosen = current.members if members is None else tuple(sorted(members, key=lambda member: member.id))
    version = current.version + 1
    fresh = {member.id: member.client_hpke for member in chosen} != {
        member.id: member.client_hpke for member in current.members
    }
    issued = changes.get("issued", current.issued + DAY)
    pepper = period(chosen, f"pepper {version}", current.last_period + 1, issued) if fresh else current.period
    committee = [int.from_bytes(member.id, "big") for member in chosen][:7]
    keys = tuple(
        class_key(committee, t=min(2, len(committee)), epoch=key.epoch, overlap_until=key.overlap_until)
        for key in current.classes
    )
    fields = {"version": version, "issued": issued, "members": chosen, "period": pepper, "classes": keys}
    return replace(current, **{**fields, **changes})


@pytest.mark.parametrize(
    ("n", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 4), (6, 4), (7, 5), (10, 7), (100, 67)]
)
def test_quorum(n: int, needed: int) -> None:
    assert quorum(n) == needed
    # Two quorums share more members than may be faulty; at n = 3 that is one member, and f is 0.
    assert 2 * needed - n > (n - 1) // 3


def test_a_founding_charter_needs_every_member() -> None:
    with pytest.raises(rules.NotEnoughSignatures) as caught:
        verify_founding(signed(FOUNDING, [1, 2]), None, NOW)
    assert caught.value.signers == {member(1).id, member(2).id}
    assert verify_founding(signed(FOUNDING, [1, 2, 3]), None, NOW) == FOUNDING


def test_a_founding_charter_is_the_pinned_one() -> None:
    with pytest.raises(rules.WrongPin):
        verify_founding(signed(FOUNDING, [1, 2, 3]), charter_hash(b"another"), NOW)
    second = successor(FOUNDING)
    with pytest.raises(rules.Skipped):
        verify_founding(signed(second, [1, 2, 3]), charter_hash(second.encode()), NOW)


def test_signatures_must_be_somebodys() -> None:
    document = FOUNDING.encode()
    stranger = ((9).to_bytes(16, "big"), sign_document(document, seed(9)))
    forged = (member(1).id, sign_document(document, seed(2)))
    of_another = (member(1).id, sign_document(successor(FOUNDING).encode(), seed(1)))
    for wrong in (stranger, forged, of_another):
        others = [pair for pair in signed(FOUNDING, [1, 2, 3]).signatures if pair[0] != wrong[0]]
        with pytest.raises(rules.BadCharterSignature) as caught:
            verify_founding(SignedCharter(document, (*others, wrong)), None, NOW)
        assert wrong[0].hex() in str(caught.value)


def test_the_next_version_needs_a_quorum_of_the_old_and_of_the_new() -> None:
    verify_next(FOUNDED, signed(successor(FOUNDED), [1, 3]), NOW + DAY)
    with pytest.raises(rules.NotEnoughSignatures) as caught:
        verify_next(FOUNDED, signed(successor(FOUNDED), [2]), NOW + DAY)
    assert caught.value.rule == "quorum-of-old"
    # One of the old stays; the new members alone are a quorum of the new, not of the old.
    replaced = successor(FOUNDED, [member(1), member(4), member(5)])
    with pytest.raises(rules.NotEnoughSignatures) as caught:
        verify_next(FOUNDED, signed(replaced, [1, 4, 5]), NOW + DAY)
    assert caught.value.rule == "quorum-of-old"
    with pytest.raises(rules.NotEnoughSignatures) as caught:
        verify_next(FOUNDED, signed(replaced, [1, 2, 3]), NOW + DAY)
    assert caught.value.rule == "quorum-of-new"
    verify_next(FOUNDED, signed(replaced, [1, 2, 4]), NOW + DAY)


def test_an_identity_key_changes_with_signatures_of_old_and_new() -> None:
    changed = successor(FOUNDED, [member(1, generation=1), member(2), member(3)])
    with_new, with_old = signed(changed, [1], generation=1), signed(changed, [1])
    two = signed(changed, [2])
    for half, rule_name in ((with_new, "quorum-of-old"), (with_old, "quorum-of-new")):
        with pytest.raises(rules.NotEnoughSignatures) as caught:
            verify_next(FOUNDED, merge_signatures(half, two), NOW + DAY)
        assert caught.value.rule == rule_name
    verify_next(FOUNDED, merge_signatures(with_new, with_old, two), NOW + DAY)


def test_it_never_goes_back() -> None:
    second = verify_next(FOUNDED, signed(successor(FOUNDED), [1, 2]), NOW + DAY)
    everyone = [1, 2, 3]
    for charter, error in (
        (FOUNDING, rules.RolledBack),
        (successor(FOUNDED, tick_seconds=61), rules.RolledBack),
        (replace(successor(second), version=4), rules.Skipped),
        (replace(successor(second), federation="other.test"), rules.ForeignFederation),
        (replace(successor(second), mode="live"), rules.ForeignFederation),
        (successor(second, issued=NOW), rules.RolledBack),
        (successor(second, expires=NOW + YEAR - 1), rules.ExpiresEarlier),
    ):
        with pytest.raises(error):
            verify_next(second, signed(charter, everyone), NOW + 9 * DAY)


def test_expiry() -> None:
    check_fresh(FOUNDED, NOW)
    check_fresh(FOUNDED, NOW + YEAR - 1)
    with pytest.raises(rules.Expired):
        check_fresh(FOUNDED, NOW + YEAR)
    # An expired charter can still be succeeded, and a chain may pass through expired versions.
    late = verify_next(FOUNDED, signed(successor(FOUNDED), [1, 2]), NOW + 2 * YEAR)
    fresh = successor(late, issued=NOW + 2 * YEAR, expires=NOW + 3 * YEAR)
    check_fresh(verify_next(late, signed(fresh, [1, 2]), NOW + 2 * YEAR), NOW + 2 * YEAR)


def test_a_charter_from_the_future_is_refused() -> None:
    with pytest.raises(rules.NotYetValid):
        verify_founding(signed(FOUNDING, [1, 2, 3]), None, NOW - 601)
    verify_founding(signed(FOUNDING, [1, 2, 3]), None, NOW - 600)
    with pytest.raises(rules.NotYetValid):
        verify_next(FOUNDED, signed(successor(FOUNDED), [1, 2]), NOW)
    with pytest.raises(rules.NotYetValid):
        check_fresh(FOUNDED, NOW - 601)


@pytest.mark.parametrize(
    "members",
    [
        [member(1), member(2), member(3), member(4)],
        [member(1), member(2)],
        [member(1), member(2), member(3, client=1)],
    ],
    ids=["join", "leave", "client key"],
)
def test_a_change_of_readers_needs_a_fresh_pepper_and_number(members: list[Member]) -> None:
    charter = successor(FOUNDED, members)
    signers = [1, 2, 4] if len(members) == 4 else [1, 2]
    verify_next(FOUNDED, signed(charter, signers), NOW + DAY)
    kept = period(members, "pepper 1", charter.period.number, charter.issued)
    with pytest.raises(rules.PepperKept):
        verify_next(FOUNDED, signed(replace(charter, period=kept), signers), NOW + DAY)
    reused = replace(charter.period, number=FOUNDED.last_period)
    with pytest.raises(rules.PeriodReused):
        verify_next(FOUNDED, signed(replace(charter, period=reused), signers), NOW + DAY)


@pytest.mark.parametrize(
    "change",
    [{"number": 2}, {"start": NOW - DAY}, {"commitment": bytes(32)}],
    ids=lambda change: next(iter(change)),
)
def test_other_versions_leave_the_period(change: dict[str, Any]) -> None:
    charter = successor(FOUNDED)
    changed = replace(charter, period=replace(charter.period, **change))
    with pytest.raises(rules.PeriodChanged):
        verify_next(FOUNDED, signed(changed, [1, 2]), NOW + DAY)
    # Sealed anew, for another version binds other bytes, the pepper is the same.
    resealed = replace(charter.period, sealed={member.id: bytes(80) for member in charter.members})
    verify_next(FOUNDED, signed(replace(charter, period=resealed), [1, 2]), NOW + DAY)


def test_an_epoch_keeps_its_key_and_a_new_key_takes_a_higher_epoch() -> None:
    replaced = successor(FOUNDED, classes=(class_key([1, 2, 3], commitments=dealt("another", 3, 2)),))
    with pytest.raises(rules.KeyReplaced):
        verify_next(FOUNDED, signed(replaced, [1, 2]), NOW + DAY)
    # Reshared to another committee and threshold, the key is the same.
    reshared = successor(FOUNDED, classes=(class_key([3, 1, 2], t=3),))
    verify_next(FOUNDED, signed(reshared, [1, 2]), NOW + DAY)
    lower = class_key([1, 2, 3], epoch=0, overlap_until=NOW + YEAR)
    with pytest.raises(rules.EpochReused):
        verify_next(FOUNDED, signed(successor(FOUNDED, classes=(lower, *FOUNDED.classes)), [1, 2]), NOW + DAY)
    old = class_key([1, 2, 3], epoch=1, overlap_until=NOW + YEAR)
    both = successor(FOUNDED, classes=(old, class_key([1, 2, 3], epoch=2)))
    verify_next(FOUNDED, signed(both, [1, 2]), NOW + DAY)


def test_a_ca_is_checked_when_a_charter_is_verified() -> None:
    twin = replace(member(2), ca=certificate(authority("CA 2")[0], "CA 1"))
    with pytest.raises(rules.BadAuthority):
        verify_founding(signed(draft(members=(member(1), twin, member(3))), [1, 2, 3]), None, NOW)
    with pytest.raises(rules.BadAuthority):
        verify_next(FOUNDED, signed(successor(FOUNDED, [member(1), twin, member(3)]), [1, 3]), NOW + DAY)


def test_two_documents_of_one_version_are_shown() -> None:
    first = signed(successor(FOUNDED), [1, 2])
    second = signed(successor(FOUNDED, tick_seconds=61), [2, 3])
    with pytest.raises(rules.TwoCharters) as caught:
        conflict(first, second)
    assert (caught.value.version, caught.value.members) == (2, (member(2).id,))
    # Neither the same document, nor another version or federation, nor a document that nobody known signed.
    conflict(first, signed(successor(FOUNDED), [3]))
    conflict(first, signed(FOUNDING, [1, 2, 3]))
    conflict(first, signed(replace(successor(FOUNDED, tick_seconds=61), federation="other.test"), [2, 3]))
    forged = SignedCharter(second.document, ((member(2).id, bytes(64)),))
    conflict(first, forged)


def test_a_removed_member_that_signed_two_documents_is_shown_too() -> None:
    first = signed(successor(FOUNDED, [member(1), member(2)]), [1, 3, 2])
    second = signed(successor(FOUNDED, [member(2), member(1)], tick_seconds=61), [3])
    conflict(first, second)
    with pytest.raises(rules.TwoCharters) as caught:
        conflict(first, second, FOUNDED)
    assert caught.value.members == (member(3).id,)


def test_live_peppers_cover_sixty_days_across_a_fresh_pepper() -> None:
    month = PERIOD_SECONDS
    second = successor(FOUNDED, issued=NOW + 100 * DAY)
    joined = [*second.members, member(4)]
    third = successor(second, joined, issued=NOW + 110 * DAY)
    # By its own clock the reader adopted each a day after it was issued: that day counts.
    chain = [Adopted(charter, charter.issued + DAY) for charter in (FOUNDED, second, third)]
    (only,) = live_peppers(chain[:2], NOW + 100 * DAY)
    assert (only.charter, only.periods) == (second, range(2, 5))
    newest, older = live_peppers(chain, NOW + 112 * DAY)
    assert newest.charter is third
    assert newest.periods == range(third.period.number, third.period.number + 1)
    assert older.charter is second
    assert older.periods == range(1 + 52 * DAY // month, 1 + 112 * DAY // month + 1)
    ended = third.issued + DAY + ADOPTION_SECONDS
    assert len(live_peppers(chain, ended + 60 * DAY - 1)) == 2
    assert len(live_peppers(chain, ended + 60 * DAY)) == 1


def test_a_backdated_charter_ends_no_era_before_it_was_adopted() -> None:
    # Signed slowly, or on purpose: issued a day after its predecessor, adopted a year later.
    joined = successor(FOUNDED, [*FOUNDED.members, member(4)])
    adopted = NOW + YEAR
    chain = [Adopted(FOUNDED, NOW), Adopted(joined, adopted)]
    newest, older = live_peppers(chain, adopted + ADOPTION_SECONDS - 1)
    assert (newest.charter, older.charter) == (joined, FOUNDED)
    assert len(live_peppers(chain, adopted + ADOPTION_SECONDS + 60 * DAY - 1)) == 2


def test_an_epoch_that_is_over_is_read_until_its_last_entry_has_expired() -> None:
    old = class_key([1, 2, 3], epoch=1, overlap_until=NOW + 7 * DAY)
    second = successor(FOUNDED, classes=(old, class_key([1, 2, 3], epoch=2)), issued=NOW)
    third = successor(second, classes=(class_key([1, 2, 3], epoch=2),), issued=NOW)
    overlap = [Adopted(FOUNDED, NOW), Adopted(second, NOW)]
    assert [key.epoch for key in readable_keys(overlap, 1, NOW + 67 * DAY - 1)] == [2, 1]
    assert [key.epoch for key in readable_keys(overlap, 1, NOW + 67 * DAY)] == [2]
    # An overlap whose end lay in the past when it was adopted ends with the adoption.
    late = [Adopted(FOUNDED, NOW), Adopted(second, NOW + 30 * DAY)]
    assert [key.epoch for key in readable_keys(late, 1, NOW + 90 * DAY - 1)] == [2, 1]
    assert [key.epoch for key in readable_keys(late, 1, NOW + 90 * DAY)] == [2]
    # Dropped by a charter before its overlap was over, it ends when that one was adopted.
    dropped = [*overlap, Adopted(third, NOW + 2 * DAY)]
    assert [key.epoch for key in readable_keys(dropped, 1, NOW + 62 * DAY - 1)] == [2, 1]
    assert [key.epoch for key in readable_keys(dropped, 1, NOW + 62 * DAY)] == [2]
    assert readable_keys(dropped, 9, NOW) == ()


def test_an_epoch_that_is_over_is_not_opened_again() -> None:
    old = class_key([1, 2, 3], epoch=1, overlap_until=NOW + 5 * DAY)
    second = successor(FOUNDED, classes=(old, class_key([1, 2, 3], epoch=2)))
    for until, issued, refused in (
        (NOW + 9 * DAY, NOW + 5 * DAY, True),
        (NOW + 5 * DAY, NOW + 5 * DAY, False),
        (NOW + 4 * DAY, NOW + 5 * DAY, False),
        (NOW + 9 * DAY, NOW + 5 * DAY - 1, False),
    ):
        longer = replace(old, overlap_until=until)
        third = successor(second, classes=(longer, class_key([1, 2, 3], epoch=2)), issued=issued)
        if refused:
            with pytest.raises(rules.EpochReopened):
                verify_next(second, signed(third, [1, 2]), issued)
        else:
            assert verify_next(second, signed(third, [1, 2]), issued) == third


def test_a_threshold_does_not_fall_within_an_epoch() -> None:
    three = draft(classes=(class_key([1, 2, 3], t=3),))
    founded = verify_founding(signed(three, [1, 2, 3]), None, NOW)
    fewer = successor(founded, classes=(class_key([1, 2, 3], t=2),))
    with pytest.raises(rules.ThresholdLowered):
        verify_next(founded, signed(fewer, [1, 2]), NOW + DAY)


def test_withdrawn_attempts_convict_nobody() -> None:
    first = signed(successor(FOUNDED), [1, 2])
    again = signed(successor(FOUNDED, attempt=2, tick_seconds=61), [2, 3])
    conflict(first, again)
    assert rules.signers_of_both(first, again, [FOUNDED]) == ()


def test_any_version_can_be_pinned() -> None:
    second = successor(FOUNDED)
    pin = charter_hash(second.encode())
    assert rules.verify_pinned(signed(second, [1, 2]), pin, NOW + DAY) == second
    with pytest.raises(rules.NotEnoughSignatures):
        rules.verify_pinned(signed(second, [1]), pin, NOW + DAY)
    with pytest.raises(rules.WrongPin):
        rules.verify_pinned(signed(second, [1, 2]), bytes(32), NOW + DAY)
    with pytest.raises(rules.NotYetValid):
        rules.verify_pinned(signed(second, [1, 2]), pin, NOW)
    # Version 1 needs every member's signature, pinned or not.
    with pytest.raises(rules.NotEnoughSignatures):
        rules.verify_pinned(signed(FOUNDING, [1, 2]), charter_hash(FOUNDING.encode()), NOW)


def test_a_class_does_not_go_and_come_back() -> None:
    # It could come back with another key, and with fresh budgets (M-3.9).
    gone = replace(FOUNDED, version=2, classes=())
    with pytest.raises(rules.EpochDropped):
        verify_next(FOUNDED, signed(gone, [1, 2]), NOW + DAY)


def test_the_newest_epoch_does_not_go_and_come_back() -> None:
    old = class_key([1, 2, 3], epoch=1, overlap_until=NOW + YEAR)
    both = replace(FOUNDED, version=2, classes=(old, class_key([1, 2, 3], epoch=2)))
    verify_next(FOUNDED, signed(both, [1, 2]), NOW + DAY)
    without = replace(both, version=3, classes=(class_key([1, 2, 3], epoch=1),))
    with pytest.raises(rules.EpochDropped):
        verify_next(both, signed(without, [1, 2]), NOW + DAY)
    # An older epoch may go once it is over, and the newest one be succeeded.
    for epoch in (2, 3):
        later = replace(both, version=3, classes=(class_key([1, 2, 3], epoch=epoch),))
        verify_next(both, signed(later, [1, 2]), NOW + DAY)


class Succession(RuleBasedStateMachine):
    """A federation lives through valid versions; at every point each kind of invalid one is refused."""

    @initialize()
    def found(self) -> None:
        self.chain = [FOUNDED]
        self.used: set[int] = set()

    @property
    def current(self) -> Charter:
        return self.chain[-1]

    def numbers(self, charter: Charter) -> list[int]:
        return [int.from_bytes(member.id, "big") for member in charter.members]

    def everyone(self, charter: Charter) -> SignedCharter:
        return signed(charter, sorted({*self.numbers(self.current), *self.numbers(charter)}))

    def adopt(self, charter: Charter, data: st.DataObject) -> None:
        old, new = self.numbers(self.current), self.numbers(charter)
        few_old = data.draw(st.permutations(old))[: quorum(len(old))]
        few_new = data.draw(st.permutations(new))[: quorum(len(new))]
        envelope = signed(charter, sorted({*few_old, *few_new}))
        self.chain.append(verify_next(self.current, envelope, charter.issued))

    @rule(data=st.data(), tick=st.integers(1, 3600), days=st.integers(0, 90))
    def change_policy(self, data: st.DataObject, tick: int, days: int) -> None:
        issued = self.current.issued + days * DAY
        self.adopt(
            successor(
                self.current,
                tick_seconds=tick,
                issued=issued,
                expires=max(self.current.expires, issued + YEAR),
            ),
            data,
        )

    @precondition(lambda self: len(self.current.members) < 6)
    @rule(data=st.data())
    def join(self, data: st.DataObject) -> None:
        taken = self.numbers(self.current)
        newcomer = data.draw(st.sampled_from([number for number in range(1, 9) if number not in taken]))
        self.adopt(successor(self.current, [*self.current.members, member(newcomer)]), data)

    @precondition(lambda self: len(self.current.members) > 2)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        leaver = data.draw(st.sampled_from(self.current.members))
        self.adopt(
            successor(self.current, [member for member in self.current.members if member != leaver]), data
        )

    @rule(data=st.data())
    def too_few_sign(self, data: st.DataObject) -> None:
        numbers = self.numbers(self.current)
        few = data.draw(st.permutations(numbers))[: quorum(len(numbers)) - 1]
        charter = successor(self.current)
        with pytest.raises(rules.NotEnoughSignatures):
            verify_next(self.current, signed(charter, few), charter.issued)

    @rule(data=st.data())
    def go_back(self, data: st.DataObject) -> None:
        old = data.draw(st.sampled_from(self.chain))
        with pytest.raises(rules.RolledBack):
            verify_next(self.current, self.everyone(old), self.current.issued)

    @rule()
    def skip(self) -> None:
        charter = replace(successor(self.current), version=self.current.version + 2)
        with pytest.raises(rules.Skipped):
            verify_next(self.current, self.everyone(charter), charter.issued)

    @rule(pepper_too=st.booleans())
    def leave_without_a_fresh_period(self, pepper_too: bool) -> None:
        members = self.current.members[1:] or (member(8),)
        charter = successor(self.current, members)
        name = "another pepper" if not pepper_too else None
        number = self.current.period.number
        wrong = (
            replace(charter.period, commitment=self.current.period.commitment)
            if name is None
            else period(members, name, number, charter.issued)
        )
        with pytest.raises(rules.PepperKept if name is None else rules.PeriodReused):
            verify_next(self.current, self.everyone(replace(charter, period=wrong)), charter.issued)

    @invariant()
    def no_period_number_has_two_peppers(self) -> None:
        peppers: dict[int, bytes] = {}
        for charter in self.chain:
            for number in {charter.period.number, charter.last_period}:
                assert peppers.setdefault(number, charter.period.commitment) == charter.period.commitment


Succession.TestCase.settings = settings(max_examples=12, stateful_step_count=12, deadline=None)
TestSuccession = Succession.TestCase
