"""Times as logs write them."""

from __future__ import annotations

from typing import Any

import pytest

from tocsin.ingest.exchange import BadExchange
from tocsin.ingest.times import time_of

TEN = 1_789_898_400.0  # 2026-09-20 10:00 UTC


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2026-09-20 10:00:00.123456 UTC", TEN + 0.123456),
        ("2026-09-20T10:00:00.123456789Z", TEN + 0.123456),
        ("2026-09-20T10:00:00,5Z", TEN + 0.5),
        ("2026-09-20T12:00:00+0200", TEN),
        ("2026-09-20T10:00Z", TEN),
        ("2026-09-20", TEN - 36_000),
        ("1789898400", TEN),
        ("1789898400.5", TEN + 0.5),
        ("1789898400123", TEN + 0.123),
        (1_789_898_400, TEN),
        (1_789_898_400_123_456, TEN + 0.123456),
        ("20/Sep/2026:12:00:00 +0200", TEN),
        ("[20/Sep/2026:10:00:00 +0000]", TEN),
        ("Sun, 20 Sep 2026 10:00:00 GMT", TEN),
        ("Sun Sep 20 2026 12:00:00 GMT+0200 (Central European Summer Time)", TEN),
        ("/Date(1789898400123)/", TEN + 0.123),
        ("2026-09-20 12:00:00.123 +0200 CEST m=+0.1", TEN + 0.123),  # Go
        ("2026-09-20T12:00:00+02:00[Europe/Rome]", TEN),  # Java
        ("2026-09-20T10:00:00Z[UTC]", TEN),
        ("2026/09/20 10:00:00", TEN),
        ("20260920100000", TEN),
        ("9/20/2026, 10:00:00.123 AM", TEN + 0.123),  # Azure's portal
        ("9/20/2026 12:30:00 AM", TEN - 34_200),
        ("9/20/2026, 12:30:00 PM", TEN + 9_000),
        ("Sep 20, 2026 @ 10:00:00.123", TEN + 0.123),  # Kibana
        ("Sep 20, 2026, 10:00:00 PM", TEN + 43_200),
        ("1.7898984e+09", TEN),
        ({"_seconds": 1_789_898_400, "_nanoseconds": 500_000_000}, TEN + 0.5),
        ({"$date": "2026-09-20T10:00:00Z"}, TEN),
        ({"$date": {"$numberLong": "1789898400000"}}, TEN),
        ({"seconds": "1789898400", "nanos": 500_000_000}, TEN + 0.5),
    ],
)
def test_common_forms(value: Any, seconds: float) -> None:
    assert time_of(value, "t") == pytest.approx(seconds, abs=1e-5)


@pytest.mark.parametrize(
    "value",
    [
        "now",
        "1.5",
        "10:00",
        "2026-13-01",
        "",
        None,
        True,
        -1,
        {},
        [],
        "9" * 90,
        10**400,
        {"seconds": 10**400},
        float("nan"),
    ],
)
def test_what_is_no_time(value: Any) -> None:
    with pytest.raises(BadExchange, match="t is neither"):
        time_of(value, "t")


def test_a_stated_unit_that_cannot_be_is_told() -> None:
    with pytest.raises(BadExchange, match='milliseconds: say time_unit = "ms"'):
        time_of(1_789_898_400_123, "t", 1.0)
