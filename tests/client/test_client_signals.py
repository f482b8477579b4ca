"""From matches to signals: what a bucket stands for when a receiver counts."""

from __future__ import annotations

import pytest

from tests.client.fake_node import FakeFederation
from tests.client.test_client_flow import MAIL
from tests.drafts import report_draft
from tocsin.detect.matching import signals_of


@pytest.mark.parametrize(
    ("count", "counted"), [(1, 1), (2, 2), (3, 2), (4, 5), (7, 5), (8, 11), (1_000, 767)]
)
def test_counts_and_totals_are_taken_at_the_middle_of_their_buckets(
    world: FakeFederation, count: int, counted: int
) -> None:
    node = world.node(1)
    with world.client(1, node) as client:
        client.submit([report_draft(MAIL, "resale", bad_accounts=count)])
    node.tick()
    with world.client(0) as client:
        matches = client.query([MAIL]).matches
    ((signal,), _) = signals_of([(*MAIL, match) for match in matches])
    assert (signal.accounts, signal.total) == (counted, counted)
