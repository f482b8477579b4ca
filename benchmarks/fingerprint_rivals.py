"""What others would do with the same accounts: compare single prompts.

1. MinHash-LSH over prompts: 128 permutations of a prompt's shingles in 16 bands of 8 rows, the usual choice for a
   Jaccard index of 0.7; two accounts are linked if a prompt of one and a prompt of the other share a band.
2. An embedding (all-MiniLM-L6-v2): two accounts are linked if any prompt of one and any prompt of the other have a
   cosine of at least a threshold. That is the lowest at which one in a hundred pairs of unrelated templates is linked,
   on the half that thresholds are chosen on. It runs in an environment of its own, where one is named.
3. Both see every prompt in the clear, of both providers.
"""

from __future__ import annotations

import base64
import itertools
import json
import math
import subprocess
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
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


class Embedding:
    """The second rival (rule 2)."""

    def __init__(self, python: Path) -> None:
        self._worker = subprocess.Popen(
            [python, Path(__file__).with_name("embedding_worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._known: dict[str, NDArray[np.float32]] = {}
        self.threshold = 1.0

    def choose(self, accounts: Mapping[str, Account], related: Callable[[str, str], bool]) -> None:
        """Choose the threshold on accounts of templates."""
        found = sorted(
            self.closest(accounts[one], accounts[two])
            for one, two in itertools.combinations(accounts, 2)
            if not related(one, two)
        )
        self.threshold = found[math.ceil(0.99 * len(found)) - 1] + 1e-6

    def linked(self, one: Account, two: Account) -> bool:
        """Say whether any prompt of one account is like any of the other."""
        return self.closest(one, two) >= self.threshold

    def closest(self, one: Account, two: Account) -> float:
        """Return the largest cosine of a prompt of one account and a prompt of the other."""
        mine, others = (
            self._vectors({turn for request in account for turn in request.turns}) for account in (one, two)
        )
        return float((mine @ others.T).max())

    def close(self) -> None:
        """End the worker."""
        assert self._worker.stdin is not None
        self._worker.stdin.close()
        self._worker.wait()

    def _vectors(self, texts: Iterable[str]) -> NDArray[np.float32]:
        wanted = sorted(texts)
        new = [text for text in wanted if text not in self._known]
        if new:
            assert self._worker.stdin is not None
            assert self._worker.stdout is not None
            self._worker.stdin.write(f"{json.dumps(new)}\n")
            self._worker.stdin.flush()
            packed = base64.b64decode(self._worker.stdout.readline())
            vectors = np.frombuffer(packed, "<f4").reshape(len(new), -1)
            self._known.update(zip(new, vectors, strict=True))
        return np.stack([self._known[text] for text in wanted])
