"""Entries of a member's log: header, leaf, body.

Rules
1. A header is 48 bytes: u8 version = 1 ‖ u8 kind ‖ u16be class ‖ u32be epoch ‖ u32be period ‖
   u32be not_after ‖ 32-byte reference.
2. SEALED (1) has a body and a zero reference; its not_after is not zero.
3. RETRACT (2) has no body; the reference is 24 zero bytes ‖ u64be index of an entry of its own log, lower
   than its own. CHARTER (3) has no body; the reference is SHA-256 of a charter. In both, class, epoch, period
   and not_after are zero: nothing of theirs is erased, and a RETRACT reveals no more than what it takes back.
4. not_after counts whole weeks since 1970-01-01 00:00 UTC; an entry is live while now < not_after · 604,800.
5. A body is 568 bytes: 16-byte tag ‖ 24-byte nonce ‖ 528-byte box.
6. The leaf is header ‖ SHA-256(body), 80 bytes; an entry without a body has SHA-256 of nothing there. A leaf
   stays as it is when its body is erased.
7. Within one publishing tick SEALED entries come first, by tag (ties in the order given), then RETRACTs by
   the index they name, then CHARTERs, so that neighbours tell nothing about each other.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from hmac import compare_digest

from tocsin.tlog.errors import TlogError
from tocsin.tlog.merkle import MAX_SIZE, Hash, leaf_hash

VERSION = 1
HEADER_BYTES = 48
LEAF_BYTES = HEADER_BYTES + 32
REFERENCE_BYTES = 32
TAG_BYTES = 16
NONCE_BYTES = 24
BOX_BYTES = 528
BODY_BYTES = TAG_BYTES + NONCE_BYTES + BOX_BYTES
WEEK_S = 7 * 24 * 3600
NO_REFERENCE = bytes(REFERENCE_BYTES)
NO_BODY_HASH = sha256(b"").digest()

_HEADER = struct.Struct(">BBHIII32s")
_U16, _U32 = 2**16 - 1, 2**32 - 1


class BadHeader(TlogError):
    """A header that breaks rule 1, 2 or 3; the message names the rule's field."""


class BadLeaf(TlogError):
    """Bytes that are not a leaf (rule 6)."""


class BadBody(TlogError):
    """A body of the wrong size, or one that is not what its leaf committed to."""


class Kind(IntEnum):
    """What an entry is, as far as everybody may know."""

    SEALED = 1
    RETRACT = 2
    CHARTER = 3


@dataclass(frozen=True, slots=True)
class Header:
    """The public part of an entry (rules 1 to 3). Raises `BadHeader` for a combination no rule allows.

    `sealed_header`, `retract_header` and `charter_header` build one without naming what is zero.
    """

    kind: Kind
    key_class: int
    epoch: int
    period: int
    not_after: int
    reference: bytes

    def __post_init__(self) -> None:
        if not 0 <= self.key_class <= _U16:
            raise BadHeader("the class of a header is an unsigned 16-bit number")
        if not (0 <= self.epoch <= _U32 and 0 <= self.period <= _U32 and 0 <= self.not_after <= _U32):
            raise BadHeader("epoch, period and not_after of a header are unsigned 32-bit numbers")
        if len(self.reference) != REFERENCE_BYTES:
            raise BadHeader(
                f"the reference of a header is {REFERENCE_BYTES} bytes, got {len(self.reference)}"
            )
        if self.kind is Kind.SEALED:
            if self.reference != NO_REFERENCE:
                raise BadHeader("the reference of a SEALED entry is zero")
            if not self.not_after:
                raise BadHeader("the not_after of a SEALED entry is not zero")
            return
        if self.key_class or self.epoch or self.period or self.not_after:
            raise BadHeader(f"class, epoch, period and not_after of a {self.kind.name} are zero")
        if self.kind is Kind.RETRACT and (any(self.reference[:24]) or self.retracts > MAX_SIZE):
            raise BadHeader("the reference of a RETRACT is an index in its last 8 bytes, at most 2^63-1")

    @property
    def retracts(self) -> int:
        """Index of the entry that a RETRACT takes back; meaningless for other kinds."""
        return int.from_bytes(self.reference[24:], "big")

    def encode(self) -> bytes:
        """Return the 48 bytes of rule 1."""
        return _HEADER.pack(
            VERSION, self.kind, self.key_class, self.epoch, self.period, self.not_after, self.reference
        )

    def is_live(self, now: int) -> bool:
        """Say whether a SEALED entry's body is still kept at `now`, unix seconds (rule 4)."""
        return now < self.not_after * WEEK_S


@dataclass(frozen=True, slots=True)
class SealedBody:
    """The part of a SEALED entry that expires: tag (16 bytes), nonce (24), box (528). Raises `BadBody`."""

    tag: bytes
    nonce: bytes
    box: bytes

    def __post_init__(self) -> None:
        if (len(self.tag), len(self.nonce), len(self.box)) != (TAG_BYTES, NONCE_BYTES, BOX_BYTES):
            raise BadBody(
                f"a body is a tag of {TAG_BYTES}, a nonce of {NONCE_BYTES}, a box of {BOX_BYTES} bytes"
            )

    def encode(self) -> bytes:
        """Return the 568 bytes of rule 5."""
        return self.tag + self.nonce + self.box


@dataclass(frozen=True, slots=True)
class Leaf:
    """What stays in the log for ever: the header and the 32-byte hash of the body (rule 6).

    Raises `BadLeaf`.
    """

    header: Header
    body_hash: bytes

    def __post_init__(self) -> None:
        if len(self.body_hash) != 32:
            raise BadLeaf(f"the body hash of a leaf is 32 bytes, got {len(self.body_hash)}")
        if (self.header.kind is Kind.SEALED) == (self.body_hash == NO_BODY_HASH):
            raise BadLeaf("the body hash of a leaf is SHA-256 of nothing exactly where its kind has no body")

    def encode(self) -> bytes:
        """Return the 80 bytes that are hashed into the tree."""
        return self.header.encode() + self.body_hash

    def hash(self) -> Hash:
        """Return the leaf's hash in the tree."""
        return leaf_hash(self.encode())

    def open_body(self, body: bytes) -> SealedBody:
        """Take `body` for this leaf's; raise `BadBody` if it is not what the leaf committed to."""
        parsed = parse_body(body)
        if not compare_digest(sha256(body).digest(), self.body_hash):
            raise BadBody("the body is not the one that the leaf committed to")
        return parsed


@dataclass(frozen=True, slots=True)
class Entry:
    """A whole entry: a header, and a body exactly if it is SEALED. Raises `BadBody`."""

    header: Header
    body: SealedBody | None = None

    def __post_init__(self) -> None:
        if (self.header.kind is Kind.SEALED) != (self.body is not None):
            raise BadBody(
                f"a {self.header.kind.name} entry and its body do not go together: only SEALED has one"
            )

    def body_bytes(self) -> bytes:
        """Return the encoded body, empty for an entry without one."""
        return self.body.encode() if self.body is not None else b""

    def leaf(self) -> bytes:
        """Return the 80 bytes that are hashed into the tree (rule 6)."""
        return self.header.encode() + sha256(self.body_bytes()).digest()

    def leaf_hash(self) -> Hash:
        """Return the hash of `leaf()` in the tree."""
        return leaf_hash(self.leaf())


def sealed_header(key_class: int, epoch: int, period: int, not_after: int) -> Header:
    """Build the header of a SEALED entry; raise `BadHeader`."""
    return Header(Kind.SEALED, key_class, epoch, period, not_after, NO_REFERENCE)


def retract_header(index: int) -> Header:
    """Build the header of a RETRACT of the entry at `index` of the same log; raise `BadHeader`."""
    if not 0 <= index <= MAX_SIZE:
        raise BadHeader("a RETRACT names an index of 0 to 2^63-1")
    return Header(Kind.RETRACT, 0, 0, 0, 0, index.to_bytes(REFERENCE_BYTES, "big"))


def charter_header(charter_hash: bytes) -> Header:
    """Build the header of a CHARTER entry from the SHA-256 of the charter signed; raise `BadHeader`."""
    return Header(Kind.CHARTER, 0, 0, 0, 0, charter_hash)


def parse_header(data: bytes) -> Header:
    """Read 48 bytes (M-6.1); raise `BadHeader`, naming the field that breaks a rule."""
    if len(data) != HEADER_BYTES:
        raise BadHeader(f"a header is {HEADER_BYTES} bytes, got {len(data)}")
    version, kind, key_class, epoch, period, not_after, reference = _HEADER.unpack(data)
    if version != VERSION:
        raise BadHeader(f"this release reads headers of version {VERSION}, got version {version}")
    try:
        known = Kind(kind)
    except ValueError:
        raise BadHeader(f"kind {kind} of a header is none of 1, 2, 3") from None
    return Header(known, key_class, epoch, period, not_after, reference)


def parse_body(data: bytes) -> SealedBody:
    """Read the 568 bytes of a SEALED entry's body; raise `BadBody`."""
    if len(data) != BODY_BYTES:
        raise BadBody(f"a body is {BODY_BYTES} bytes, got {len(data)}")
    data = bytes(data)
    nonce_end = TAG_BYTES + NONCE_BYTES
    return SealedBody(data[:TAG_BYTES], data[TAG_BYTES:nonce_end], data[nonce_end:])


def parse_leaf(data: bytes) -> Leaf:
    """Read the 80 bytes of a leaf; raise `BadLeaf` or `BadHeader`."""
    if len(data) != LEAF_BYTES:
        raise BadLeaf(f"a leaf is {LEAF_BYTES} bytes, got {len(data)}")
    return Leaf(parse_header(data[:HEADER_BYTES]), bytes(data[HEADER_BYTES:]))


def parse_entry(header: bytes, body: bytes) -> Entry:
    """Read an entry from its parts, `body` empty where the kind has none; raise `BadHeader`, `BadBody`."""
    return Entry(parse_header(header), parse_body(body) if body else None)


def check_reference(header: Header, index: int) -> None:
    """Check that a RETRACT at `index` names a lower index (rule 3; M-6.3); raise `BadHeader`.

    That the entry it names is one that can be retracted is for whoever holds the log.
    """
    if header.kind is Kind.RETRACT and header.retracts >= index:
        raise BadHeader(f"the RETRACT at index {index} names index {header.retracts}, which is not lower")


def weeks_after(now: int, retention_s: int) -> int:
    """Return the not_after of an entry written at `now` and kept for `retention_s` seconds, rounded up."""
    return -(-(now + retention_s) // WEEK_S)


def tick_key(entry: Entry) -> tuple[int, bytes]:
    """Return the sort key of rule 7; sort with a stable sort, from the order of acknowledgement."""
    return entry.header.kind, entry.body.tag if entry.body is not None else entry.header.reference


def in_tick_order(entries: Iterable[Entry]) -> list[Entry]:
    """Put what one tick publishes in order (rule 7; M-6.11)."""
    return sorted(entries, key=tick_key)
