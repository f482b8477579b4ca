"""MinHash bands of a skeleton: nearly equal skeletons share some (PTF2.md §6).

1. Row i permutes 64-bit hashes: h → (a_i · h + b_i) mod 2^64, upper 32 bits; a_i (made odd) and b_i are the first and
   second 8 bytes, big-endian, of SHA-256("ptf2-perm" ‖ u16 i). Of two hashes the one with the smaller permuted value
   comes first; of equal ones the smaller hash.
2. Band j (from 1) is rows (j − 1)·r … j·r − 1. Its values are, row by row, the hash that comes first among those that
   no earlier row of the band took: so a band is always r different shingles, never as easy to guess as one.
3. Two skeletons share a band if all its values are equal.
4. No library's hash is used: a release of one would change every token.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from hashlib import sha256

BANDS = 96
"""b: how many bands a skeleton has."""
ROWS = 2
"""r: how many minimum shingles a band is made of."""
BAND_THRESHOLD = 3
"""τ: how many bands of one skeleton must agree before anything opens."""
MIN_SHINGLES = 32
"""A smaller skeleton has no bands: its rows would repeat a handful of shingles."""

_MASK = (1 << 64) - 1


@cache
def permutations(rows: int) -> tuple[tuple[int, int], ...]:
    """Return (a, b) of the first `rows` rows (rule 1)."""
    digests = [sha256(b"ptf2-perm" + row.to_bytes(2, "big")).digest() for row in range(rows)]
    return tuple((int.from_bytes(each[:8], "big") | 1, int.from_bytes(each[8:16], "big")) for each in digests)


def minima(shingles: Iterable[int], bands: int = BANDS, rows: int = ROWS) -> list[tuple[int, ...]]:
    """Return the values of each band, the first band first (rule 2). There are at least `rows` shingles."""
    ordered = sorted(shingles)
    scale = permutations(bands * rows)
    found = []
    for band in range(bands):
        left, values = ordered, []
        for a, b in scale[band * rows : (band + 1) * rows]:
            first = min(left, key=lambda shingle, a=a, b=b: ((a * shingle + b) & _MASK) >> 32)  # type: ignore[misc]  # bound here
            values.append(first)
            left = [each for each in left if each != first]
        found.append(tuple(values))
    return found
