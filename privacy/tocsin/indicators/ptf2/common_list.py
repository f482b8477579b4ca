"""Shingles that half the world uses: a list with how surprising each is (PTF2.md §7).

1. A list's file is "ptf2 common" ‖ a newline ‖ u8 length and name (ASCII) ‖ u8 bits of what is not on it ‖ u32be
   count ‖ count × (the first 6 bytes of a shingle's hash ‖ u8 bits), ascending ‖ SHA-256 of all before.
2. Bits are the surprisal of a shingle, −log2 of its share of all shingles counted, rounded down, 255 at most.
3. A list is known by the first 8 bytes of that SHA-256. Tokens made under different lists never compare (P-7.6).
"""

from __future__ import annotations

import itertools
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib.resources import files
from math import log2

from tocsin.indicators.refusal import IndicatorError

ENTRY_BYTES = 7
MIN_ABSENT_BITS = 15
"""What is not on a list counts for at least this much: a list is never all there is."""

_MAGIC = b"ptf2 common\n"
_KEY = 6
_NAME = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*\Z")
_TRUNCATE = 8 * (8 - _KEY)
_LEAST_WIDTH = 16
_SPARSE = 8


class BadCommonList(IndicatorError):
    """Bytes that are no list of common shingles; the message says what is wrong with them."""


@dataclass(frozen=True, slots=True)
class CommonList:
    """A list of common shingles. `parse_common_list` makes one."""

    name: str
    id: bytes
    """8 bytes; part of every token (rule 3)."""
    absent_bits: int
    _keys: array[int] = field(repr=False)
    """The first 48 bits of each hash, ascending."""
    _bits: bytes = field(repr=False)
    _present: bytes = field(repr=False)
    """By the first bits of a hash: 1 where the list may have it. Most shingles are on no list, and are out so."""
    _shift: int = field(repr=False)

    def __len__(self) -> int:
        return len(self._bits)

    def bits(self, shingle: int) -> int | None:
        """Return the surprisal of a shingle's hash, or None where it is not on the list."""
        if not self._present[shingle >> self._shift]:
            return None
        wanted = shingle >> _TRUNCATE
        place = bisect_left(self._keys, wanted)
        return self._bits[place] if place < len(self._keys) and self._keys[place] == wanted else None

    def listed(self, shingles: Iterable[int]) -> list[int]:
        """Return the surprisals of those shingles that are on the list."""
        present, shift = self._present, self._shift
        likely = [shingle for shingle in shingles if present[shingle >> shift]]
        return [bits for shingle in likely if (bits := self.bits(shingle)) is not None]


def build_common_list(name: str, counts: Mapping[int, int], least: int) -> bytes:
    """Return the file of a list of the shingles that were counted `least` times or more. Raises `BadCommonList`."""
    if not (_NAME.match(name) and len(name) <= 64):
        raise BadCommonList("a list's name is 1 to 64 of a-z, 0-9, inner dots and hyphens")
    total = sum(counts.values())
    kept: dict[bytes, int] = {}
    for shingle, count in counts.items():
        if count >= least:
            key = (shingle >> _TRUNCATE).to_bytes(_KEY, "big")
            bits = min(255, int(log2(total / count)))
            kept[key] = min(bits, kept.get(key, 255))
    absent = min(255, max(MIN_ABSENT_BITS, int(log2(total + 1))))
    head = _MAGIC + bytes([len(name)]) + name.encode() + bytes([absent]) + len(kept).to_bytes(4, "big")
    body = head + b"".join(key + bytes([kept[key]]) for key in sorted(kept))
    return body + sha256(body).digest()


def parse_common_list(data: bytes) -> CommonList:
    """Return the list that exactly these bytes encode. Raises `BadCommonList`."""
    if not data.startswith(_MAGIC):
        raise BadCommonList("this is no list of common shingles: make one with `tocsin fingerprint common`")
    body, digest = data[:-32], data[-32:]
    if sha256(body).digest() != digest:
        raise BadCommonList("the list of common shingles is damaged or cut short: take a fresh copy")
    at = len(_MAGIC) + 1 + data[len(_MAGIC)]
    name = data[len(_MAGIC) + 1 : at].decode("ascii", "replace")
    entries = body[at + 5 :]
    count = int.from_bytes(body[at + 1 : at + 5], "big")
    keys = array(
        "Q",
        (
            int.from_bytes(entries[place : place + _KEY], "big")
            for place in range(0, len(entries), ENTRY_BYTES)
        ),
    )
    if not _NAME.match(name) or len(entries) != count * ENTRY_BYTES or not _ascending(keys):
        raise BadCommonList("the list of common shingles breaks its own format")
    width = max(_LEAST_WIDTH, (_SPARSE * count).bit_length())
    present = bytearray(1 << width)
    for key in keys:
        present[key >> 8 * _KEY - width] = 1
    return CommonList(
        name, digest[:8], body[at], keys, entries[_KEY::ENTRY_BYTES], bytes(present), 64 - width
    )


@cache
def shipped(name: str) -> CommonList:
    """Return the list of that name that this release ships."""
    return parse_common_list((files("tocsin.indicators") / "snapshots" / f"{name}.ptfc").read_bytes())


def _ascending(keys: Iterable[int]) -> bool:
    return all(one < two for one, two in itertools.pairwise(keys))
