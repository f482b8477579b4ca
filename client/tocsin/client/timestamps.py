"""Unix seconds and weeks as ISO 8601, always UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

_EPOCH = date(1970, 1, 1)
LAST = 253_402_300_799
"""The last second of the year 9999, the last that ISO dates reach."""


def iso_time(seconds: int) -> str | None:
    """Return `2026-06-05T12:00:00Z`; None for 0, which stands for never."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else None


def iso_day(seconds: int) -> str:
    """Return the day of a moment, `2026-06-05`."""
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def day_of(days: int) -> str | None:
    """Return the day that is so many days after 1970-01-01; None for 0, which stands for none."""
    return (_EPOCH + timedelta(days=min(days, LAST // 86_400))).isoformat() if days else None


def week_bounds(first: int, last: int) -> tuple[str, str]:
    """Return the first day of one week and the last day of another. Weeks count from 1970-01-01, a Thursday."""
    return (
        (_EPOCH + timedelta(weeks=first)).isoformat(),
        (_EPOCH + timedelta(weeks=last, days=6)).isoformat(),
    )
