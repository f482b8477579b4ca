"""What others would do with the same accounts: compare single prompts.

1. MinHash-LSH over prompts: 128 permutations of a prompt's shingles in 16 bands of 8 rows, the usual choice for a
   Jaccard index of 0.7; two accounts are linked if a prompt of one and a prompt of the other share a band. It sees
   every prompt in the clear, of both providers.
"""

from __future__ import annotations

from functools import lru_cache

from prompt_accounts import SHINGLER, Account

from tocsin.indicators.ptf2.bands import permutations

_BANDS, _ROWS = 16, 8
_MASK = (1 << 64) - 1


def minhash_lsh(one: Account, two: Account) -> bool:
    """Say whether any prompt of one account is like any of the other."""
    mine, others = (
        {band for request in account for turn in request.turns for band in _lsh(turn)}
        for account in (one, two)
    )
    return bool(mine & others)


@lru_cache(maxsize=1 << 15)
def _lsh(prompt: str) -> frozenset[tuple[int, ...]]:
    hashes = SHINGLER.hashes(prompt)
    if not hashes:
        return frozenset()
    rows = [
        min([((a * shingle + b) & _MASK) >> 32 for shingle in hashes])
        for a, b in permutations(_BANDS * _ROWS)
    ]
    return frozenset((band, *rows[band * _ROWS : (band + 1) * _ROWS]) for band in range(_BANDS))
