"""Token buckets: how often a caller may ask for what is free (M-4.23).

A bucket holds at most `capacity` tokens and gains `per_second`; what is asked for is counted in elements, since that is
what it costs. Full buckets are forgotten, so callers that stay within their rate leave nothing behind.
"""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.node.ports import Clock
from tocsin.wire.values import MemberId

MOST_BUCKETS = 1_024


@dataclass
class _Bucket:
    tokens: float
    at: float


class RateLimit:
    """One token bucket for each caller. It belongs to the event loop's thread."""

    def __init__(self, capacity: float, per_second: float, clock: Clock) -> None:
        self._capacity = capacity
        self._per_second = per_second
        self._clock = clock
        self._buckets: dict[MemberId, _Bucket] = {}

    def allows(self, caller: MemberId) -> bool:
        """Say whether a token is left without taking it."""
        return self._filled(caller).tokens >= 1

    def take(self, caller: MemberId, amount: int = 1) -> bool:
        """Take so many tokens; False, taking none, where fewer are left."""
        bucket = self._filled(caller)
        if bucket.tokens < amount:
            return False
        bucket.tokens -= amount
        self._buckets[caller] = bucket
        return True

    def owe(self, caller: MemberId, amount: int) -> None:
        """Take so many tokens for what has been done already, also where fewer are left."""
        bucket = self._filled(caller)
        bucket.tokens -= amount
        self._buckets[caller] = bucket

    def _filled(self, caller: MemberId) -> _Bucket:
        now = self._clock.monotonic()
        if len(self._buckets) > MOST_BUCKETS:
            self._buckets = {
                member: bucket
                for member, bucket in self._buckets.items()
                if bucket.tokens + (now - bucket.at) * self._per_second < self._capacity
            }
        bucket = self._buckets.get(caller)
        if bucket is None:
            return _Bucket(self._capacity, now)
        tokens = min(self._capacity, bucket.tokens + (now - bucket.at) * self._per_second)
        return _Bucket(tokens, now)
