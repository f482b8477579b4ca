"""A writer of many wrong slots costs its readers a few tries, and hides nobody."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence

import pytest

from tests.client.fake_node import FakeFederation
from tests.client.templates import BANDS, template
from tests.client.test_client_bands import MAIL, lying, report
from tests.drafts import report_draft
from tocsin.client.results import Problem
from tocsin.client.templates import records
from tocsin.indicators.registry import Observable
from tocsin.oprf.group import Random, Scalar
from tocsin.oprf.shares import combine_shares
from tocsin.sealing import record
from tocsin.sealing.label import AbuseKind
from tocsin.sealing.record import MAX_TRIES, Record, make_record

ALIKE = [
    template(f"asked {size} {number}", "a", places=places)
    for size in (6, 5)
    for number, places in enumerate(itertools.combinations(range(BANDS), size))
]
"""Templates that reach 7 sets of slots of one ref: C(6, 3) + 6 · C(5, 3) = 80 subsets."""


pytestmark = pytest.mark.usefixtures("few_bands")


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[frozenset[int]]:
    """The bands of each subset of shares that is combined."""
    found: list[frozenset[int]] = []

    def noting(shares: Mapping[int, Scalar]) -> Scalar:
        found.append(frozenset(shares))
        return combine_shares(shares)

    monkeypatch.setattr(record, "combine_shares", noting)
    return found


def scattered(monkeypatch: pytest.MonkeyPatch, right: Sequence[int]) -> None:
    """Let every share of a record that is not at one of these bands be another record's, each of one of its own."""

    def make(bands: int, threshold: int, random: Random) -> Record:
        honest = make_record(bands, threshold, random)
        shares = tuple(
            honest.shares[x - 1] if x in right else make_record(bands, threshold, random).shares[x - 1]
            for x in range(1, bands + 1)
        )
        return Record(honest.key, honest.ref, shares)

    monkeypatch.setattr(records, "make_record", make)


def wrong(number: int) -> list[Observable]:
    return [template(f"wrong {place}", "a") for place in range(number)]


LAST = tuple(place + 1 for place in list(record._subsets(BANDS, 3))[-1])


@pytest.mark.parametrize("right", [(), LAST])
def test_the_tries_of_a_writer_are_bounded_whether_its_records_open_at_last_or_not(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch, tried: list[frozenset[int]], right: Sequence[int]
) -> None:
    report(world, 2, template("a"), confidence=5)
    with monkeypatch.context() as patched:
        scattered(patched, right)
        report(world, 1, *wrong(8))
    with world.client(0) as client:
        result = client.query(ALIKE)
    honest = [match for match in result.matches if match.writer == world.homes[2].id]
    assert len(honest) == len(ALIKE)
    # The honest writer's at the first try each; of the other's those that gave a key come on top.
    assert MAX_TRIES <= len(tried) - len(honest) <= MAX_TRIES + 8 * len(ALIKE)
    assert {problem.writer for problem in result.problems} == {world.homes[1].id}
    assert sum("its other bands were skipped" in problem.what for problem in result.problems) == 1


def test_what_was_tried_for_a_template_is_not_tried_again_for_one_that_reaches_the_same(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch, tried: list[frozenset[int]]
) -> None:
    with monkeypatch.context() as patched:
        scattered(patched, ())
        report(world, 1, *wrong(2))
    with world.client(0) as client:
        result = client.query([template(f"asked {number}", "a") for number in range(20)])
    assert len(tried) == 2 * 20
    assert {problem.what for problem in result.problems} == {
        "its bands open no record: the shares give no key of their ref"
    }


def test_an_honest_writer_is_never_blamed_however_many_templates_reach_it(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch, tried: list[frozenset[int]]
) -> None:
    monkeypatch.setattr(record.Tries, "__init__", lambda tries: setattr(tries, "left", 1))
    report(world, 1, *[template(f"right {number}", "a") for number in range(8)])
    with world.client(0) as client:
        result = client.query(ALIKE)
    assert result.problems == ()
    assert len(tried) == len(result.matches) == 8 * len(ALIKE)


def test_watching_tells_once_what_is_written_again(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, problems = world.node(0), list[Problem]()
    with world.client(0, node) as client:
        client.query([MAIL, template("asked", "a")])
        stop = threading.Event()
        matches = client.watch(stop, on_problem=problems.append)
        writer, seen = world.node(1), 0
        for _ in range(3):
            with monkeypatch.context() as patched, world.client(1, writer) as reporter:
                lying(patched, (1, 2, 3, 4))
                reporter.submit([report_draft(value, AbuseKind.RESALE) for value in (MAIL, template("a"))])
            writer.tick()
            if node.streams:
                node.feed(node.streams[-1], writer.member, seen)
            seen = world.logs[writer.member].frontier.size
            assert next(matches).type == "contact.email"
        stop.set()
        assert list(matches) == []
    assert [problem.writer for problem in problems] == [writer.member]
