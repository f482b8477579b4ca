"""Drawing at random, from the bytes of whoever calls: the queue, samples and delays must not be predictable."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Random = Callable[[int], bytes]


class Drawing:
    """Draws from a source of random bytes."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def below(self, limit: int) -> int:
        """Return a whole number from 0 to below `limit`; all but 2⁻⁶⁴ uniform."""
        return int.from_bytes(self._random(16), "big") % limit

    def sample(self, items: Sequence[str], count: int) -> list[str]:
        """Return `count` of the items, without repetition."""
        rest = list(items)
        return [rest.pop(self.below(len(rest))) for _ in range(count)]
