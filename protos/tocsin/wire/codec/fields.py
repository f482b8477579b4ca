"""Fields that occur in many messages. Each function raises `Malformed` naming `field`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

from tocsin.oprf.group import ELEMENT_BYTES, BadElement, Element, decode_elements
from tocsin.oprf.threshold import COMMITTEE_HASH_BYTES, MAX_COMMITTEE, MEMBER_ID_BYTES
from tocsin.tlog.errors import TlogError
from tocsin.tlog.merkle import Hash, parse_hash
from tocsin.wire.errors import Malformed
from tocsin.wire.limits import IDEMPOTENCY_KEY_BYTES, MAX_ELEMENTS, MAX_INDEX
from tocsin.wire.reasons import Reason
from tocsin.wire.values import MemberId

_Item = TypeVar("_Item")


def parse_bytes(raw: bytes, length: int, field: str) -> bytes:
    """Take bytes of one length."""
    if len(raw) != length:
        raise Malformed(f"{field} must be {length} bytes, got {len(raw)}", field)
    return raw


def parse_member(raw: bytes, field: str) -> MemberId:
    """Take 16 bytes for a member id."""
    return MemberId(parse_bytes(raw, MEMBER_ID_BYTES, field))


def parse_committee_hash(raw: bytes) -> bytes:
    """Take 32 bytes for a committee's hash."""
    return parse_bytes(raw, COMMITTEE_HASH_BYTES, "committee_hash")


def parse_idempotency_key(raw: bytes) -> bytes:
    """Take 16 bytes for an idempotency key."""
    if len(raw) != IDEMPOTENCY_KEY_BYTES:
        raise Malformed(
            f"idempotency_key must be {IDEMPOTENCY_KEY_BYTES} random bytes, got {len(raw)}",
            "idempotency_key",
            Reason.INVALID_IDEMPOTENCY_KEY,
        )
    return raw


def parse_class(number: int, field: str) -> int:
    """Take a number below 65,536 for a key class."""
    if number >= 2**16:
        raise Malformed(f"{field} must be below 65,536, got {number}", field)
    return number


def parse_index(number: int, field: str) -> int:
    """Take a number for an index or a size of a log: at most 2^63-1, what any store holds."""
    if number > MAX_INDEX:
        raise Malformed(f"{field} must be below 2^63", field)
    return number


def parse_indices(numbers: Sequence[int], field: str) -> tuple[int, ...]:
    """Take ascending indices of a log, none twice."""
    if numbers:
        parse_index(max(numbers), field)
    if any(second <= first for first, second in pairwise(numbers)):
        raise Malformed(f"{field} must be ascending", field)
    return tuple(numbers)


def at_most(items: Sequence[_Item], limit: int, field: str) -> Sequence[_Item]:
    """Take a sequence up to a limit."""
    if len(items) > limit:
        raise Malformed(f"{field} must be at most {limit:,}, got {len(items):,}", field)
    return items


def parse_elements(raw: Sequence[bytes], field: str) -> list[Element]:
    """Decode a batch of 1 to 4,096 elements (M-4.3): about 5 µs each."""
    if not 1 <= len(raw) <= MAX_ELEMENTS:
        raise Malformed(
            f"{field} must be 1 to {MAX_ELEMENTS:,} elements, got {len(raw):,}",
            field,
            Reason.TOO_MANY_ELEMENTS,
        )
    for index, element in enumerate(raw):
        if len(element) != ELEMENT_BYTES:
            raise Malformed(
                f"{field}[{index}] must be {ELEMENT_BYTES} bytes, got {len(element)}",
                f"{field}[{index}]",
                Reason.INVALID_ELEMENT,
            )
    try:
        return decode_elements(raw)
    except BadElement as error:
        raise Malformed(str(error), f"{field}[{error.index}]", Reason.INVALID_ELEMENT) from None


def parse_quorum(raw: Sequence[int], field: str) -> tuple[int, ...]:
    """Take distinct seats in ascending order, each in 1..7, at least one."""
    within = 1 <= len(raw) <= MAX_COMMITTEE and all(1 <= seat <= MAX_COMMITTEE for seat in raw)
    if not within or any(second <= first for first, second in pairwise(raw)):
        raise Malformed(
            f"{field} must be 1 to {MAX_COMMITTEE} distinct seats of 1 to {MAX_COMMITTEE}, ascending",
            field,
            Reason.INVALID_QUORUM,
        )
    return tuple(raw)


def parse_seat(seat: int, quorum: Sequence[int], field: str) -> int:
    """Take a seat of the quorum."""
    if seat not in quorum:
        raise Malformed(f"{field} must be a seat of the quorum, got {seat}", field, Reason.INVALID_QUORUM)
    return seat


def parse_hashes(raw: Sequence[bytes], limit: int, field: str) -> tuple[Hash, ...]:
    """Take the hashes of a proof."""
    try:
        return tuple(parse_hash(step) for step in at_most(raw, limit, field))
    except TlogError as error:
        raise Malformed(f"{field}: {error}", field) from None
