"""A chain is verified step by step from the pin, and ends at the first version that does not follow."""

from dataclasses import replace

import pytest

from tests.charter.charter_drafts import DAY, NOW, class_key, draft, signed
from tests.charter.test_charter_rules import successor
from tocsin.charter.chain import verify_chain, verify_step
from tocsin.charter.envelope import charter_hash
from tocsin.charter.errors import KeyUsedTwice, Skipped, WrongPin

FIRST = draft()
SECOND = successor(FIRST)
ENVELOPES = (signed(FIRST, [1, 2, 3]), signed(SECOND, [1, 2]))
PIN = charter_hash(FIRST.encode())


def test_every_version_follows_from_the_pin() -> None:
    assert verify_chain(ENVELOPES, PIN, NOW + DAY) == (FIRST, SECOND)
    assert verify_chain((), PIN, NOW) == ()
    assert verify_step([FIRST], ENVELOPES[1], None, NOW + DAY) == SECOND


def test_a_chain_may_begin_at_any_pinned_version() -> None:
    assert verify_chain(ENVELOPES[1:], charter_hash(SECOND.encode()), NOW + DAY) == (SECOND,)
    with pytest.raises(WrongPin):
        verify_chain(ENVELOPES, charter_hash(SECOND.encode()), NOW + DAY)


def test_a_key_that_was_dropped_does_not_come_back_under_another_epoch_or_class() -> None:
    old = class_key([1, 2, 3], epoch=1, overlap_until=NOW + 2 * DAY)
    second = successor(FIRST, classes=(old, class_key([1, 2, 3], epoch=2)))
    third = successor(second, classes=(class_key([1, 2, 3], epoch=2),))
    assert verify_step([FIRST, second], signed(third, [1, 2]), None, NOW + 3 * DAY) == third
    newest = replace(class_key([1, 2, 3], epoch=2), overlap_until=NOW + 9 * DAY)
    for again in (
        (newest, class_key([1, 2, 3], epoch=3, commitments=old.commitments)),
        (
            class_key([1, 2, 3], epoch=2),
            class_key([1, 2, 3], key_class=5, name="ipv4", commitments=old.commitments),
        ),
    ):
        fourth = successor(third, classes=again)
        with pytest.raises(KeyUsedTwice, match="class 1, epoch 1"):
            verify_step([FIRST, second, third], signed(fourth, [1, 2]), None, NOW + 4 * DAY)


def test_another_pin_or_a_gap_breaks_the_chain() -> None:
    with pytest.raises(WrongPin):
        verify_chain(ENVELOPES, charter_hash(b"another"), NOW + DAY)
    with pytest.raises(WrongPin):
        verify_chain(ENVELOPES[1:], PIN, NOW + DAY)
    third = successor(SECOND, version=4)
    with pytest.raises(Skipped):
        verify_chain((*ENVELOPES, signed(third, [1, 2])), PIN, NOW + 2 * DAY)
