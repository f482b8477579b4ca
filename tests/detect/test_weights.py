"""The arithmetic of a weight, checked against real logarithms, and the rules that need no engine."""

from __future__ import annotations

import math
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.detect.calibrating import Judged, calibrate
from tocsin.detect.errors import BadRules
from tocsin.detect.evidence_types import ALWAYS, evidence_type
from tocsin.detect.review_order import Waiting, next_reviews
from tocsin.detect.rules import DEFAULT, Rules
from tocsin.detect.weights import UNITS, scaled_totals


@pytest.fixture(scope="module")
def weigh() -> Any:
    """The product's expression of one ratio and its steps, compiled for DuckDB."""
    import ibis

    from tocsin.detect.weights import _ratio, _steps

    table = ibis.table({"k": "int64", "total": "int64", "holders": "int64", "accounts": "int64"}, name="made")
    ratio = table.select(ratio=_ratio(table.k, table.total, table.holders, table.accounts))
    sql = str(ibis.to_sql(ratio.select(steps=_steps(ratio.ratio, DEFAULT)), dialect="duckdb"))
    connection = duckdb.connect()

    def steps(k: int, total: int, holders: int, accounts: int) -> int:
        connection.execute(
            "CREATE OR REPLACE TABLE made (k BIGINT, total BIGINT, holders BIGINT, accounts BIGINT)"
        )
        connection.execute("INSERT INTO made VALUES (?, ?, ?, ?)", [k, total, holders, accounts])
        (found,) = connection.execute(sql).fetchone() or (None,)
        return int(found)

    return steps


@settings(max_examples=60, deadline=None)
@given(
    bad=st.integers(0, 10**5),
    more=st.integers(0, 10**6),
    holders=st.integers(0, 10**7),
    others=st.integers(1, 10**8),
)
def test_a_weight_is_the_logarithm_rounded_down_to_half_a_bit(
    weigh: Any, bad: int, more: int, holders: int, others: int
) -> None:
    total, accounts = bad + more, holders + others
    q = (max(1, holders) + 0.5) / (accounts + 1)
    exact = 2 * (math.log2((bad + q) / (total + 1)) - math.log2(q))
    found = weigh(bad * UNITS, total, holders, accounts)
    assert 0 <= found <= 28
    if 0.001 < exact % 1 < 0.999:
        assert found == min(28, max(0, math.floor(exact)))


def test_a_value_that_everybody_holds_weighs_nothing(weigh: Any) -> None:
    assert weigh(50 * UNITS, 50, 10_000, 10_000) == 0


def test_a_reporter_of_more_than_three_times_the_median_is_scaled_down() -> None:
    totals = {("a", "t"): 10, ("b", "t"): 12, ("c", "t"): 1_000, ("c", "u"): 7}
    assert sorted(scaled_totals(totals, {"t": 11}, DEFAULT)) == [
        ("a", "t", 10, 10), ("b", "t", 12, 12), ("c", "t", 1_000, 33), ("c", "u", 7, 7),
    ]  # fmt: skip


def test_types_of_one_observation_are_one_family() -> None:
    families = {
        name: evidence_type(name).family
        for name in ("net.ipv4", "net.ipv4-24", "contact.email", "org.domain")
    }
    assert (
        families["net.ipv4"] == families["net.ipv4-24"] != families["contact.email"] == families["org.domain"]
    )
    assert evidence_type("payment.par").group == evidence_type("device.id").group == "person"
    assert (evidence_type("payment.new").slack_days, evidence_type("contact.phone").slack_days) == (
        ALWAYS,
        28,
    )
    assert evidence_type("opaque").group == "opaque"


def waiting(count: int, root: str | None = None, start: int = 0, **more: Any) -> list[Waiting]:
    bits, flag = more.get("bits", 20), more.get("flag", False)
    return [Waiting(f"{root or 'own'}{n:04}", bits, flag, root) for n in range(start, start + count)]


def test_no_reporter_fills_more_than_a_fifth_of_the_queue() -> None:
    queue = next_reviews(
        waiting(500, "liar", bits=28) + waiting(100), 100, DEFAULT, lambda rows, count: rows[-count:]
    )
    by_score = [choice.waiting.root for choice in queue if not choice.random]
    assert by_score.count("liar") == 20
    assert len(queue) == 100


def test_flags_come_before_better_candidates_and_5_percent_are_random() -> None:
    rows = waiting(50, bits=40) + waiting(10, "x", bits=30, flag=True)
    queue = next_reviews(rows, 40, DEFAULT, lambda rows, count: rows[:count])
    assert [choice.random for choice in queue[:2]] == [True, True]
    assert all(choice.waiting.flag for choice in queue[2:10])
    assert len({choice.waiting.account for choice in queue}) == 40


def test_two_accounts_of_one_campaign_never_stand_on_both_sides() -> None:
    drawn = [Judged(20, day, True, True, "campaign-a") for day in range(100)]
    found = calibrate(drawn, DEFAULT)
    sides = [found.curve[0].flagged, found.kept_apart.flagged]
    assert sorted(sides)[0] == 0
    assert sorted(sides)[1] > 0


@pytest.mark.parametrize(
    "wrong", [{"flag": 5}, {"random_percent": 101}, {"groups": -1}, {"disputed_divisor": 0}]
)
def test_thresholds_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(BadRules):
        Rules(**wrong)
