"""Which shingles of an account come in several of its texts, found without hashing all of them.

1. Only shingles of 4 conversations or more can be in a skeleton (P-4.1), and most come in fewer. So shingles are
   compared by keys of 64 bits, computed for many texts at once, and only those that come often are hashed (P-3.2).
2. No rule of PTF2.md §2 looks beyond white space: the tokens of a text are those of its parts between spaces, in order.
   In a part of ASCII letters and punctuation they are the runs of letters; any other part goes through `tokens`.
3. Equal shingles have equal keys. Two that differ have one key with a chance of 2^-64, under constants that nobody
   outside knows: an account of a million shingles, a thousand of them frequent, would meet that once in 10^10.
4. Keys never leave the process. Texts are worked on 4 MiB at a time, and what is remembered of parts is bounded.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from tocsin.indicators.ptf2.normalising import MAX_TOKENS, clip, tokens
from tocsin.indicators.ptf2.shingles import WORDS
from tocsin.indicators.ptf2.skeleton import MIN_SUPPORT
from tocsin.indicators.snapshot_files import Snapshots

Keys: TypeAlias = NDArray[np.uint64]
_Places: TypeAlias = NDArray[np.int64]
_Number = TypeVar("_Number", bound=np.integer[Any])

_BATCH_BYTES = 4 << 20
_MAX_KNOWN = 1 << 17
_MAX_KNOWN_BYTES = 8 << 20
_WORD = 8

_APART, _LETTER, _SPACE, _OTHER = range(4)
_SPACES = b"\t\n\v\f\r\x1c\x1d\x1e\x1f "


def _kind(byte: int) -> int:
    if byte in _SPACES:
        return _SPACE
    character = chr(byte)
    if byte >= 0x80 or not character.isprintable() or character.isdigit() or character == "@":
        return _OTHER
    return _LETTER if character.isalpha() else _APART


_KINDS = bytes(map(_kind, range(256)))
"""Of each byte of UTF-8; a part with an `_OTHER` in it is left to `tokens` (rule 2)."""
_MASK = (1 << 64) - 1
_UPPER = 12
_SHIFT = np.uint64(64 - _UPPER)
_LOW_BYTES = np.array([(1 << 8 * count) - 1 for count in range(_WORD + 1)], np.uint64)


class _Parts(dict[bytes, int]):
    """The numbers of parts that `tokens` is for, and their tokens, of part n from `limits[n]` to `limits[n + 1]`."""

    def __init__(self, hash_of: Callable[[bytes], int], snapshots: Snapshots) -> None:
        super().__init__()
        self._hash_of, self._snapshots = hash_of, snapshots
        self.tokens: list[str] = []
        self.hashes, self.limits = array("Q"), array("q", (0,))
        self.size = 0
        """Bytes of all parts."""

    def __missing__(self, part: bytes) -> int:
        found = tokens(part.decode("utf-8", "surrogatepass"), self._snapshots)
        self.tokens += found
        self.hashes.extend(self._hash_of(token.encode()) for token in found)
        self.limits.append(len(self.tokens))
        self.size += len(part)
        number = self[part] = len(self.limits) - 2
        return number


class _Batch(NamedTuple):
    """The tokens of several texts: `data[start:end]` in lower case, or `others[~end]` where the end is negative."""

    data: bytes
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]
    others: list[str]

    def tokens(self, places: _Places) -> list[str]:
        return [
            self.others[~end] if end < 0 else self.data[start:end].decode().lower()
            for start, end in zip(self.starts[places].tolist(), self.ends[places].tolist(), strict=True)
        ]


class Keyed(NamedTuple):
    """The keys of a text's shingles, in their order; and where its tokens are."""

    keys: Keys
    batch: _Batch
    first: int

    def shingles(self, places: _Places) -> list[str]:
        """Return shingles by their places among the keys, which are ascending."""
        wanted = _distinct((places[:, None] + np.arange(WORDS)).ravel())
        words = self.batch.tokens(self.first + wanted)
        return [" ".join(words[at : at + WORDS]) for at in np.searchsorted(wanted, places).tolist()]


class Keyer:
    """Computes the keys of texts. Keys of one sampling key are the same in each process."""

    def __init__(self, key: bytes, snapshots: Snapshots) -> None:
        secret = blake2b(b"tocsin shingle keys", key=key, digest_size=8 * (2 + WORDS)).digest()
        numbers = [int.from_bytes(secret[at : at + 8], "big") | 1 for at in range(0, len(secret), 8)]
        self._first = np.uint64(numbers[0])
        self._factor, *self._by_word = map(np.uint64, numbers[1:])
        self._snapshots = snapshots
        self._parts = _Parts(self._hash, snapshots)

    def keyed(self, texts: Sequence[str]) -> list[Keyed]:
        """Return the keys of each text (rules 1 to 4)."""
        found: list[Keyed] = []
        batch: list[bytes] = []
        size = 0
        for text in texts:
            data = clip(text).encode("utf-8", "surrogatepass")
            if batch and size + len(data) > _BATCH_BYTES:
                found += self._batch(batch)
                batch, size = [], 0
            batch.append(data)
            size += len(data)
        return found + self._batch(batch)

    def _batch(self, texts: list[bytes]) -> list[Keyed]:
        # A line end keeps texts apart; those behind the last text may be read past its end.
        data = b"\n".join(texts) + bytes(_WORD)
        kinds, at, others = self._others(data)
        starts, ends = _runs(kinds)
        hashed = self._hashed(data.lower(), starts, ends - starts)
        if len(others):
            places = np.searchsorted(starts, at)
            starts = np.insert(starts, places, at)
            ends = np.insert(ends, places, ~others)
            hashed = np.insert(hashed, places, np.frombuffer(self._parts.hashes, np.uint64)[others])
        limits = np.searchsorted(starts, np.cumsum([len(text) + 1 for text in texts])).tolist()
        batch = _Batch(data, starts.astype(np.int32), ends.astype(np.int32), self._parts.tokens)
        by_shingle = self._by_shingle(hashed)
        return [
            Keyed(by_shingle[first : max(first, min(last, first + MAX_TOKENS) - WORDS + 1)], batch, first)
            for first, last in zip([0, *limits], limits, strict=False)
        ]

    def _others(self, data: bytes) -> tuple[NDArray[np.uint8], _Places, _Places]:
        """Return the kinds of bytes, `_APART` in the parts that `tokens` is for; where their tokens are, and which."""
        if len(self._parts.tokens) > _MAX_KNOWN or self._parts.size > _MAX_KNOWN_BYTES:
            self._parts = _Parts(self._hash, self._snapshots)
        marked = bytearray(data.translate(_KINDS))
        marked[-_WORD:] = bytes(_WORD)
        kinds = np.frombuffer(marked, np.uint8)
        spaces = np.flatnonzero(kinds == _SPACE)
        parts = _distinct(np.searchsorted(spaces, np.flatnonzero(kinds == _OTHER)))
        begins = np.concatenate(([0], spaces + 1))[parts]
        ends = np.append(spaces, len(data) - _WORD)[parts]
        found = [data[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
        numbers = np.fromiter(map(self._parts.__getitem__, found), np.int64, len(found))
        kinds[_ranges(begins, ends - begins)] = _APART
        limits = np.frombuffer(self._parts.limits, np.int64)
        first, counts = limits[numbers], limits[numbers + 1] - limits[numbers]
        return kinds, np.repeat(begins, counts), _ranges(first, counts)

    def _hash(self, token: bytes) -> int:
        """The same as `_hashed`, of one token."""
        factor, hashed = int(self._factor), int(self._first)
        for at in range(0, len(token), _WORD):
            hashed = (hashed + int.from_bytes(token[at : at + _WORD], "little")) & _MASK
            hashed = ((hashed ^ hashed >> 32) * factor) & _MASK
            hashed ^= hashed >> 29
        return hashed

    def _hashed(self, data: bytes, starts: _Places, sizes: _Places) -> Keys:
        """Hash tokens eight bytes at a time."""
        words = np.ndarray((len(data) - _WORD + 1,), np.dtype("<u8"), data, 0, (1,))
        hashed = self._mixed(self._first + (words[starts] & _LOW_BYTES[np.minimum(sizes, _WORD)]))
        longer = np.flatnonzero(sizes > _WORD)
        done = _WORD
        while len(longer):
            rest = np.minimum(sizes[longer] - done, _WORD)
            word = words[starts[longer] + done] & _LOW_BYTES[rest]
            hashed[longer] = self._mixed(hashed[longer] + word)
            done += _WORD
            longer = longer[sizes[longer] > done]
        return hashed

    def _mixed(self, values: Keys) -> Keys:
        values ^= values >> np.uint64(32)
        values *= self._factor
        values ^= values >> np.uint64(29)
        return values

    def _by_shingle(self, hashed: Keys) -> Keys:
        count = max(0, len(hashed) - WORDS + 1)
        keys = np.zeros(count, np.uint64)
        for word, factor in enumerate(self._by_word):
            keys += hashed[word : word + count] * factor
        return keys


def _ranges(begins: _Places, sizes: _Places) -> _Places:
    """Return the numbers of all ranges, one range after the other."""
    return np.repeat(begins - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())


def _runs(kinds: NDArray[np.uint8]) -> tuple[_Places, _Places]:
    """Return where each run of letters begins and ends. The last byte is no letter."""
    letters = kinds == _LETTER
    edges = np.flatnonzero(letters[1:] != letters[:-1]) + 1
    if len(letters) and letters[0]:
        edges = np.concatenate(([0], edges))
    return edges[::2], edges[1::2]


class Unit(NamedTuple):
    """What counts as one: a conversation's texts of one type, and how many conversations have exactly these."""

    texts: tuple[Keyed, ...]
    times: int


def repeated(units: Sequence[Unit], hash_of: Callable[[str], int]) -> list[frozenset[int]]:
    """Return of each unit the hashes of those of its shingles that 4 units or more have (P-4.1)."""
    often = _often(units)
    if not len(often):
        return [frozenset()] * len(units)
    texts = [text for unit in units for text in unit.texts]
    begins = list(itertools.accumulate((len(text.keys) for text in texts), initial=0))
    at, which = _among(often, np.concatenate([text.keys for text in texts]))
    first = np.zeros(len(often), np.int64)
    first[which[::-1]] = at[::-1]
    hashes = _hashes(texts, begins, first, hash_of)
    # One after the other: the shingles of a unit begin where those of its first text do.
    limits = np.searchsorted(at, [begins[number] for number in _first_texts(units)]).tolist()
    return [
        frozenset(map(hashes.__getitem__, which[begin:end].tolist()))
        for begin, end in itertools.pairwise(limits)
    ]


def _often(units: Sequence[Unit]) -> Keys:
    """Return the keys that 4 units or more have, ascending."""
    counted: list[Keys] = []
    for unit in units:
        keys = _distinct(np.concatenate([text.keys for text in unit.texts]))
        counted += [keys] * min(unit.times, MIN_SUPPORT)
    ordered = np.sort(np.concatenate(counted))
    others = MIN_SUPPORT - 1
    return _distinct(ordered[others:][ordered[others:] == ordered[: len(ordered) - others]])


def _hashes(
    texts: Sequence[Keyed], begins: Sequence[int], places: _Places, hash_of: Callable[[str], int]
) -> list[int]:
    """Return the hashes of the shingles at these places of all texts together."""
    hashes = [0] * len(places)
    order = np.argsort(places)
    limits = np.searchsorted(places[order], begins).tolist()
    for text, begin, (first, last) in zip(texts, begins, itertools.pairwise(limits), strict=False):
        if first < last:
            numbers = order[first:last]
            shingles = text.shingles(places[numbers] - begin)
            for number, shingle in zip(numbers.tolist(), shingles, strict=True):
                hashes[number] = hash_of(shingle)
    return hashes


def _first_texts(units: Sequence[Unit]) -> list[int]:
    return list(itertools.accumulate((len(unit.texts) for unit in units), initial=0))


def _distinct(keys: NDArray[_Number]) -> NDArray[_Number]:
    ordered = np.sort(keys)
    new = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    return ordered[new]


def _among(wanted: Keys, keys: Keys) -> tuple[_Places, _Places]:
    """Return where among `keys` those that are wanted stand, and the place of each in `wanted`, which is ascending."""
    # Most are not wanted, and most of those are told by their upper bits alone.
    present = np.zeros(1 << _UPPER, np.bool_)
    present[wanted >> _SHIFT] = True
    likely = np.flatnonzero(present[keys >> _SHIFT])
    which = np.minimum(np.searchsorted(wanted, keys[likely]), len(wanted) - 1)
    exact = wanted[which] == keys[likely]
    return likely[exact], which[exact]
