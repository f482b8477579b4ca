"""A clock that moves when told, and a random source that repeats itself."""

from __future__ import annotations

import hashlib

from tocsin.oprf.group import Random

NOW = 1_785_000_000


class FakeClock:
    """The `Clock` port; wall time and monotonic time are moved apart or together."""

    def __init__(self, now: int = NOW) -> None:
        self.wall = now
        self.steady = 1_000.0

    def now(self) -> int:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def turn_to(self, time: int) -> None:
        """Let time pass until then."""
        self.advance(time - self.wall)

    def advance(self, seconds: int) -> None:
        self.wall += seconds
        self.steady += seconds


def seeded(seed: str) -> Random:
    """Return a random source that gives the same bytes for the same seed and calls."""
    state = hashlib.sha256(seed.encode()).digest()
    count = 0

    def random(length: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_256(state + count.to_bytes(8, "big")).digest(length)

    return random
