"""What is kept of an account in one window: a bounded sample of its conversations (PTF2.md §5).

1. A conversation's place is the first 8 bytes of BLAKE2b of its identifier under the provider's own sampling key, so
   that nobody outside can choose which conversations are looked at.
2. The k conversations with the smallest places are kept. The sample depends on the set of conversations alone: not on
   their order, on repetition, or on how runs were split. Samples merge by the same rule.
3. Of a conversation are kept the shingle hashes of its system prompt and of its first user turn, never the text.
4. Encoded: "ptf2 account" ‖ u8 version = 1 ‖ u16be k ‖ u16be count ‖ count × (u64be place ‖ u32be n ‖ n × u64be system
   hash ‖ u32be m ‖ m × u64be turn hash), places and hashes ascending.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from tocsin.indicators.refusal import IndicatorError

MAX_SAMPLE = 128
KEY_BYTES = 32

_MAGIC = b"ptf2 account\x01"
_HEAD = struct.Struct(">HH")


class BadSample(IndicatorError):
    """Bytes that are no encoded sample, or samples of different k."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation: its place in the order of the sample, and its units as shingle hashes."""

    place: int
    system: frozenset[int]
    turn: frozenset[int]


def place_of(key: bytes, conversation: str) -> int:
    """Return a conversation's place under a sampling key of 32 bytes (rule 1)."""
    return int.from_bytes(
        blake2b(conversation.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest(), "big"
    )


@dataclass(frozen=True, slots=True)
class Sample:
    """The k conversations of an account with the smallest places, ascending (rule 2)."""

    k: int
    conversations: tuple[Conversation, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.k <= MAX_SAMPLE:
            raise BadSample(f"a sample holds 1 to {MAX_SAMPLE} conversations")

    def with_more(self, conversations: Iterable[Conversation]) -> Sample:
        """Return the sample of these conversations and more; of one place the first counts."""
        by_place = {each.place: each for each in conversations}
        by_place |= {each.place: each for each in self.conversations}
        return Sample(self.k, tuple(by_place[place] for place in sorted(by_place)[: self.k]))

    def merged(self, other: Sample) -> Sample:
        """Return the sample of both. Raises `BadSample` where k differs."""
        if other.k != self.k:
            raise BadSample(f"samples of {self.k} and of {other.k} conversations do not merge: use one k")
        return self.with_more(other.conversations)

    def encode(self) -> bytes:
        """Return the bytes of rule 4."""
        parts = [_MAGIC, _HEAD.pack(self.k, len(self.conversations))]
        for each in self.conversations:
            parts.append(each.place.to_bytes(8, "big"))
            for hashes in (each.system, each.turn):
                parts.append(len(hashes).to_bytes(4, "big"))
                parts.append(struct.pack(f">{len(hashes)}Q", *sorted(hashes)))
        return b"".join(parts)


def parse_sample(data: bytes) -> Sample:
    """Return the sample that exactly these bytes encode. Raises `BadSample`."""
    if not data.startswith(_MAGIC) or len(data) < len(_MAGIC) + _HEAD.size:
        raise BadSample("this is no account sample of this version")
    k, count = _HEAD.unpack_from(data, len(_MAGIC))
    at = len(_MAGIC) + _HEAD.size
    found: list[Conversation] = []
    for _ in range(count):
        place, at = int.from_bytes(data[at : at + 8], "big"), at + 8
        system, at = _hashes(data, at)
        turn, at = _hashes(data, at)
        found.append(Conversation(place, system, turn))
    sample = Sample(k, tuple(found))
    # One form for one sample: whatever is cut short, out of order or followed by more encodes differently.
    if count > k or sample.encode() != data or any(a.place >= b.place for a, b in itertools.pairwise(found)):
        raise BadSample("the account sample is damaged")
    return sample


def _hashes(data: bytes, at: int) -> tuple[frozenset[int], int]:
    count, at = int.from_bytes(data[at : at + 4], "big"), at + 4
    end = at + 8 * count
    if end > len(data):
        raise BadSample("the account sample ends too early")
    return frozenset(struct.unpack_from(f">{count}Q", data, at)), end
