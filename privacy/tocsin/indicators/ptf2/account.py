"""What is kept of an account in one window: a bounded sample of its conversations (PTF2.md §5).

1. A conversation's place is the first 8 bytes of BLAKE2b of its identifier under the provider's own sampling key, so
   that nobody outside can choose which conversations are looked at.
2. The k conversations with the smallest places are kept. The sample depends on the set of conversations alone: not on
   their order, on repetition, or on how runs were split. Samples merge by the same rule.
3. Of a conversation are kept the shingle hashes of its system prompt and those of its user turns, the first and a later
   one together, never the text.
4. Encoded: "ptf2 account" ‖ u8 version = 1 ‖ u16be k ‖ u16be s ‖ s × hashes ‖ u16be count ‖ count × (u64be place ‖
   u16be number, from 0, of its system prompt among the s different ones ‖ hashes), hashes being u32be n ‖ n × u64be.
   Places and hashes are ascending; system prompts stand in the order in which conversations name them first.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import blake2b

from tocsin.indicators.refusal import IndicatorError

MAX_SAMPLE = 512
KEY_BYTES = 32

_MAGIC = b"ptf2 account\x01"
_U16 = struct.Struct(">H")


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
        by_place = {conversation.place: conversation for conversation in conversations}
        by_place |= {conversation.place: conversation for conversation in self.conversations}
        return Sample(self.k, tuple(by_place[place] for place in sorted(by_place)[: self.k]))

    def merged(self, other: Sample) -> Sample:
        """Return the sample of both. Raises `BadSample` where k differs."""
        if other.k != self.k:
            raise BadSample(f"samples of {self.k} and of {other.k} conversations do not merge: use one k")
        return self.with_more(other.conversations)

    def without(self, places: Collection[int]) -> Sample:
        """Return the sample without the conversations at these places."""
        if not places:
            return self
        return Sample(self.k, tuple(one for one in self.conversations if one.place not in places))

    def encode(self) -> bytes:
        """Return the bytes of rule 4."""
        systems = list(dict.fromkeys(conversation.system for conversation in self.conversations))
        numbers = {system: number for number, system in enumerate(systems)}
        parts = [_MAGIC, _U16.pack(self.k), _U16.pack(len(systems)), *map(_packed, systems)]
        parts.append(_U16.pack(len(self.conversations)))
        for conversation in self.conversations:
            parts.append(conversation.place.to_bytes(8, "big") + _U16.pack(numbers[conversation.system]))
            parts.append(_packed(conversation.turn))
        return b"".join(parts)


def parse_sample(data: bytes) -> Sample:
    """Return the sample that exactly these bytes encode. Raises `BadSample`."""
    if not data.startswith(_MAGIC):
        raise BadSample("this is no account sample of this version")
    systems: list[frozenset[int]] = []
    conversations: list[Conversation] = []
    try:
        k, at = _number(data, len(_MAGIC))
        count, at = _number(data, at)
        for _ in range(count):
            system, at = _hashes(data, at)
            systems.append(system)
        count, at = _number(data, at)
        for _ in range(count):
            place, at = int.from_bytes(data[at : at + 8], "big"), at + 8
            number, at = _number(data, at)
            turn, at = _hashes(data, at)
            conversations.append(Conversation(place, systems[number], turn))
    except (struct.error, IndexError):
        raise BadSample("the account sample ends too early") from None
    sample = Sample(k, tuple(conversations))
    ascending = all(one.place < two.place for one, two in itertools.pairwise(conversations))
    # One form for one sample: whatever is cut short, out of order or followed by more encodes differently.
    if count > k or not ascending or sample.encode() != data:
        raise BadSample("the account sample is damaged")
    return sample


def _number(data: bytes, at: int) -> tuple[int, int]:
    number: int = _U16.unpack_from(data, at)[0]
    return number, at + _U16.size


def _packed(hashes: Collection[int]) -> bytes:
    return struct.pack(f">I{len(hashes)}Q", len(hashes), *sorted(hashes))


def _hashes(data: bytes, at: int) -> tuple[frozenset[int], int]:
    count, at = int.from_bytes(data[at : at + 4], "big"), at + 4
    if at + 8 * count > len(data):
        raise IndexError
    return frozenset(struct.unpack_from(f">{count}Q", data, at)), at + 8 * count
