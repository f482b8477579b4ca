"""Of matches in which a writer says the same of one template, an analyst is shown the closest."""

from __future__ import annotations

from typing import Any

from tocsin.cli.query import closest
from tocsin.client.results import Match


def match(index: int, bands: int, **more: Any) -> Match:
    made = {"type": "prompt.template", "writer": b"a", "writer_name": "A", "index": index, "label": "bad"}
    return Match(**(made | {"checkpoint_time": 0, "bands": bands, "positions": (1,)} | more))


def indices(*matches: Match) -> list[int]:
    return [each.index for each in closest(matches, lambda each: each.positions)]


def test_an_equal_one_comes_before_similar_ones_and_more_bands_before_fewer() -> None:
    assert indices(match(1, 47), match(2, 96), match(3, 5)) == [2]
    assert indices(match(1, 96), match(2, 0), match(3, 96)) == [2]
    assert indices(match(1, 0), match(2, 0)) == [1]


def test_what_another_writer_says_or_what_is_said_of_something_else_stays() -> None:
    others = ({"writer": b"b"}, {"label": "worse"}, {"positions": (2,)})
    assert indices(match(1, 9), *(match(2 + at, 96, **other) for at, other in enumerate(others))) == [
        1,
        2,
        3,
        4,
    ]


def test_other_types_are_shown_each() -> None:
    assert indices(match(1, 0, type="payment.iban"), match(2, 0, type="payment.iban")) == [1, 2]
