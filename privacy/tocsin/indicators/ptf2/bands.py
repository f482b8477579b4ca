"""MinHash bands of a skeleton: nearly equal skeletons share some (PTF2.md §6).

1. Row i permutes 64-bit hashes: h → (a_i · h + b_i) mod 2^64, upper 32 bits; a_i (made odd) and b_i are the first and
   second 8 bytes, big-endian, of SHA-256("ptf2-perm" ‖ u16 i). Of two hashes the one with the smaller permuted value
   comes first; of equal ones the smaller hash.
2. Band j (from 1) is rows (j − 1)·r … j·r − 1. Its values are, row by row, the hash that comes first among those that
   no earlier row of the band took: so a band is always r different shingles, never as easy to guess as one.
3. Two skeletons share a band if all its values are equal.
4. How many bands, of how many rows, and how many of them must agree, belongs to a type of band: a skeleton has the
   bands of one type, by what it is a skeleton of and how large it is.
5. No library's hash is used: a release of one would change every token.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Banding:
    """What belongs to one type of band (rule 4)."""

    type: str
    of: str
    """The type of the skeletons that have them."""
    bands: int
    """b: how many bands a skeleton has."""
    rows: int
    """r: how many minimum shingles a band is made of."""
    threshold: int
    """τ: how many bands of one skeleton must agree before anything opens."""
    least: int
    """A smaller skeleton has none of these bands: its rows would repeat a handful of shingles."""


@cache
def permutations(rows: int) -> tuple[tuple[int, int], ...]:
    """Return (a, b) of the first `rows` rows (rule 1)."""
    digests = [sha256(b"ptf2-perm" + row.to_bytes(2, "big")).digest() for row in range(rows)]
    return tuple(
        (int.from_bytes(digest[:8], "big") | 1, int.from_bytes(digest[8:16], "big")) for digest in digests
    )


def minima(shingles: Iterable[int], bands: int, rows: int) -> list[tuple[int, ...]]:
    """Return the values of each band, the first band first (rule 2). There are at least `rows` shingles."""
    ordered = sorted(shingles)
    scale = permutations(bands * rows)
    made = []
    for band in range(bands):
        left, values = ordered, []
        for a, b in scale[band * rows : (band + 1) * rows]:
            ranks = [((a * shingle + b) & _MASK) >> 32 for shingle in left]
            first = ranks.index(min(ranks))
            values.append(left[first])
            left = left[:first] + left[first + 1 :]
        made.append(tuple(values))
    return made


TEMPLATE_BAND = "prompt.template-band"
SHORT_BAND = "prompt.template-short-band"
SYSTEM_BAND = "client.system-band"

LONG = Banding(TEMPLATE_BAND, "prompt.template", bands=160, rows=2, threshold=3, least=32)
SHORT = Banding(SHORT_BAND, "prompt.template", bands=32, rows=2, threshold=3, least=12)
SYSTEM = Banding(SYSTEM_BAND, "client.system", bands=64, rows=3, threshold=3, least=16)

BANDINGS: dict[str, Banding] = {banding.type: banding for banding in (LONG, SHORT, SYSTEM)}
"""Every type of band by its name."""
