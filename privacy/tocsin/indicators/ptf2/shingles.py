"""Shingles of three tokens and their hashes (PTF2.md §3).

1. A shingle is three tokens in a row with one space between two of them.
2. Its hash is the first 8 bytes of SHA-256("ptf2" ‖ 0x1f ‖ shingle in UTF-8), a big-endian integer.
3. A prompt is the set of its shingles' hashes: neither order nor repetition counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from struct import Struct

from tocsin.indicators.ptf2.normalising import Tokeniser
from tocsin.indicators.snapshot_files import Snapshots

WORDS = 3

_PREFIX = sha256(b"ptf2\x1f")
_FIRST = Struct(">Q").unpack_from
# Templates repeat their shingles: most are found here. Bounded, and emptied as a whole when it is full.
_MAX_KNOWN = 1 << 18


class _Hashes(dict[str, int]):
    """Hashes by their shingle, found once."""

    def __missing__(self, shingle: str) -> int:
        if len(self) >= _MAX_KNOWN:
            self.clear()
        hashed = self[shingle] = shingle_hash(shingle)
        return hashed


class Shingler:
    """Turns prompts into sets of shingle hashes, and remembers the words and the hashes it has met."""

    def __init__(self, snapshots: Snapshots) -> None:
        self._tokeniser = Tokeniser(snapshots)
        self.hash_of: Callable[[str], int] = _Hashes().__getitem__
        """The hash of a shingle (rule 2)."""

    def hashes(self, text: str) -> frozenset[int]:
        """Return the hashes of a prompt's shingles (rule 3)."""
        return frozenset(map(self.hash_of, set(shingles(self._tokeniser.tokens(text)))))


def shingles(words: Sequence[str]) -> Iterator[str]:
    """Return the shingles of tokens in order (rule 1); none where there are fewer than three tokens."""
    return map(" ".join, zip(words, words[1:], words[2:], strict=False))


def shingle_hash(shingle: str) -> int:
    """Return the 64-bit hash of a shingle (rule 2)."""
    digest = _PREFIX.copy()
    digest.update(shingle.encode())
    hashed: int = _FIRST(digest.digest())[0]
    return hashed
