"""A chain is verified step by step from the pin, and ends at the first version that does not follow."""

import pytest

from tests.charter.charter_drafts import DAY, NOW, draft, signed
from tests.charter.test_charter_rules import successor
from tocsin.charter.chain import verify_chain, verify_step
from tocsin.charter.envelope import charter_hash
from tocsin.charter.errors import Skipped, WrongPin

FIRST = draft()
SECOND = successor(FIRST)
ENVELOPES = (signed(FIRST, [1, 2, 3]), signed(SECOND, [1, 2]))
PIN = charter_hash(FIRST.encode())


def test_every_version_follows_from_the_pin() -> None:
    assert verify_chain(ENVELOPES, PIN, NOW + DAY) == (FIRST, SECOND)
    assert verify_chain((), PIN, NOW) == ()
    assert verify_step(FIRST, ENVELOPES[1], None, NOW + DAY) == SECOND


def test_another_pin_or_a_gap_breaks_the_chain() -> None:
    with pytest.raises(WrongPin):
        verify_chain(ENVELOPES, charter_hash(b"another"), NOW + DAY)
    with pytest.raises(WrongPin):
        verify_chain(ENVELOPES[1:], PIN, NOW + DAY)
    third = successor(SECOND, version=4)
    with pytest.raises(Skipped):
        verify_chain((*ENVELOPES, signed(third, [1, 2])), PIN, NOW + 2 * DAY)
