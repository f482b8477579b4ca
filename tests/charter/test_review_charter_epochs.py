"""A class and its newest epoch stay, or an epoch could come back with another key, and with fresh budgets (M-3.9)."""

from dataclasses import replace

import pytest

from tests.charter.charter_drafts import DAY, NOW, YEAR, class_key, draft, signed
from tocsin.charter import rules
from tocsin.charter.document import Charter, ClassKey
from tocsin.charter.rules import verify_next

FOUNDING = draft()


def successor(current: Charter, *, classes: tuple[ClassKey, ...]) -> Charter:
    return replace(current, version=current.version + 1, classes=classes)


def test_a_class_does_not_go_and_come_back() -> None:
    gone = successor(FOUNDING, classes=())
    with pytest.raises(rules.EpochDropped):
        verify_next(FOUNDING, signed(gone, [1, 2]), NOW + DAY)


def test_the_newest_epoch_does_not_go_and_come_back() -> None:
    old = class_key([1, 2, 3], epoch=1, overlap_until=NOW + YEAR)
    both = successor(FOUNDING, classes=(old, class_key([1, 2, 3], epoch=2)))
    verify_next(FOUNDING, signed(both, [1, 2]), NOW + DAY)
    without = successor(both, classes=(class_key([1, 2, 3], epoch=1),))
    with pytest.raises(rules.EpochDropped):
        verify_next(both, signed(without, [1, 2]), NOW + DAY)
    # An older epoch may go once it is over, and the newest one be succeeded.
    verify_next(both, signed(successor(both, classes=(class_key([1, 2, 3], epoch=2),)), [1, 2]), NOW + DAY)
    verify_next(both, signed(successor(both, classes=(class_key([1, 2, 3], epoch=3),)), [1, 2]), NOW + DAY)
