"""Records and bands: what lets a holder of τ of a skeleton's b bands find its report, and a holder of fewer nothing.

1. A record's key is the 32-byte encoding of a random scalar. ref = first 16 bytes of Expand(record key,
   "tocsin/1 ref"). The key is shared with threshold τ over seats 1..b (RFC 9591 appendix C); seat x is band x.
2. Key, ref and shares are fresh for each record.
3. The content of a band's report is u8 version = 1 ‖ u8 kind = 6 ‖ u8 length ‖ type name ‖ u8 count ‖ count ×
   (16-byte ref ‖ u8 x ‖ 32-byte share): 1 to 8 slots, newest first, no (ref, x) twice, x of 1..b, every share
   canonical and not 0. Nothing may follow. Nothing of the label is in it.
4. Shares combine only within one writer and one ref, and only if the key that they give has that ref. Where more
   than τ are at hand, a wrong one does not hide the key: other subsets are tried, until 256 gave none. Several refs
   may share that bound (`Tries`): honest shares need no second try, so whoever fills boxes with others pays for it.
"""

import hmac
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tocsin.oprf.group import SCALAR_BYTES, BadScalar, Random, Scalar, decode_scalar, random_scalar
from tocsin.oprf.shares import combine_shares, split
from tocsin.primitives.cursor import Cursor
from tocsin.primitives.secret import SecretBytes
from tocsin.sealing.errors import SealingError
from tocsin.sealing.label import MAX_TYPE_BYTES, VERSION, ContentKind
from tocsin.sealing.pepper import expand

REF_BYTES = 16
MAX_SLOTS = 8
MAX_BANDS = 160
MAX_TRIES = 256
SLOT_BYTES = REF_BYTES + 1 + SCALAR_BYTES

_REF_LABEL = b"tocsin/1 ref"


class BadBand(SealingError):
    """The content of a band's box that breaks rule 3; the message says which part, and shows none of it."""


class BadRecord(SealingError):
    """Shares that give no key of their ref: their writer dealt them wrongly, or they are too few."""


class RecordKey(SecretBytes):
    """A record's key: 32 secret bytes, masked when shown. Only `make_record` and `combine` make one."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class BandSlot:
    """One record's share at one band: 16-byte ref, x from 1, the secret share. Raises `BadBand`."""

    ref: bytes
    x: int
    share: Scalar = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.ref) != REF_BYTES:
            raise BadBand(f"a ref is {REF_BYTES} bytes")
        if not 1 <= self.x <= MAX_BANDS:
            raise BadBand(f"a band's number is 1 to {MAX_BANDS}")


@dataclass
class Tries:
    """How many more subsets that give no key may be tried (rule 4)."""

    left: int = MAX_TRIES


@dataclass(frozen=True, slots=True)
class Record:
    """A fresh record: its key, its ref, and one share per band, band 1 first."""

    key: RecordKey
    ref: bytes
    shares: tuple[Scalar, ...] = field(repr=False)

    def slot(self, x: int) -> BandSlot:
        """Return the slot that band x gets."""
        return BandSlot(self.ref, x, self.shares[x - 1])


def ref_of(key: bytes) -> bytes:
    """Return the 16-byte ref of a record key (rule 1)."""
    return expand(key, _REF_LABEL)[:REF_BYTES]


def make_record(bands: int, threshold: int, random: Random) -> Record:
    """Make a record for `bands` bands of which any `threshold` give its key, fresh in everything (M-5.19).

    `random` is asked for 64 bytes, `threshold` times. Raises `BadQuorum` unless 1 ≤ threshold ≤ bands ≤ 255.
    """
    while True:
        key = random_scalar(random)
        shares = split(key, bands, threshold, random).shares
        # A share of 0, one chance in 2^252 a band, would break rule 3.
        if not any(hmac.compare_digest(share, bytes(SCALAR_BYTES)) for share in shares):
            return Record(RecordKey(key), ref_of(key), shares)


def encode_band(type: str, slots: Sequence[BandSlot]) -> bytes:
    """Return the content of a band's box (rule 3). Raises `BadBand`."""
    _check(type.encode("ascii"), slots)
    packed = b"".join(slot.ref + bytes([slot.x]) + slot.share for slot in slots)
    return _start(type) + bytes([len(slots)]) + packed


def parse_band(data: bytes, type: str, bands: int) -> tuple[BandSlot, ...]:
    """Return the slots that exactly these bytes encode (M-5.20) for a type of `bands` bands. Raises `BadBand`."""
    cursor = Cursor(data, lambda field, rule: BadBand(f"{field} of a band's box: {rule}"))
    cursor.expect(f"version {VERSION}, kind {int(ContentKind.BAND)} and type {type}", _start(type))
    slots = tuple(_parse_slot(cursor, bands) for _ in range(cursor.count("count of slots", 1, MAX_SLOTS)))
    cursor.end()
    _check(type.encode("ascii"), slots)
    return slots


def combine(slots: Sequence[BandSlot], threshold: int, tries: Tries | None = None) -> RecordKey:
    """Return the key of the record that these slots of one ref, all by one writer, are of (rule 4; M-5.23).

    Subsets that give no key are taken from `tries`. Raises `BadRecord`.
    """
    tries = Tries() if tries is None else tries
    refs = {slot.ref for slot in slots}
    if len(refs) != 1:
        raise BadRecord("shares combine only within one ref")
    (ref,) = refs
    distinct = sorted({(slot.x, bytes(slot.share)): slot for slot in slots}.items())
    if len({x for (x, _), _ in distinct}) < threshold:
        raise BadRecord(f"a record is opened by {threshold} of its bands")
    for places in _subsets(len(distinct), threshold):
        if tries.left <= 0:
            break
        chosen = [distinct[place][1] for place in places]
        shares = {slot.x: slot.share for slot in chosen}
        if len(shares) == threshold:
            key = combine_shares(shares)
            if hmac.compare_digest(ref_of(key), ref):
                return RecordKey(key)
        tries.left -= 1
    raise BadRecord("the shares give no key of their ref")


def _start(type: str) -> bytes:
    name = type.encode("ascii")
    return bytes([VERSION, ContentKind.BAND, len(name)]) + name


def _subsets(count: int, size: int) -> Iterator[tuple[int, ...]]:
    """Yield subsets of `size` places of `count`, those first that together leave out every place soonest."""
    seen: set[tuple[int, ...]] = set()
    strided = (
        tuple(sorted({(start + step * place) % count for place in range(size)}))
        for step in range(1, count)
        for start in range(count)
    )
    whole = iter([tuple(range(count))] if count == size else [])
    for subset in itertools.chain(whole, strided, itertools.combinations(range(count), size)):
        if len(subset) == size and subset not in seen:
            seen.add(subset)
            yield subset


def _parse_slot(cursor: Cursor, bands: int) -> BandSlot:
    ref, x = cursor.take("ref", REF_BYTES), cursor.number("x", 1)
    if not 1 <= x <= bands:
        raise BadBand(f"a band's number is 1 to {bands}")
    try:
        share = decode_scalar(cursor.take("share", SCALAR_BYTES))
    except BadScalar:
        raise BadBand("a share is not a canonical scalar other than 0") from None
    return BandSlot(ref, x, share)


def _check(name: bytes, slots: Sequence[BandSlot]) -> None:
    if not 0 < len(name) <= MAX_TYPE_BYTES:
        raise BadBand(f"a type's name has 1 to {MAX_TYPE_BYTES} bytes")
    if not 1 <= len(slots) <= MAX_SLOTS:
        raise BadBand(f"a band's box holds 1 to {MAX_SLOTS} slots")
    if len({(slot.ref, slot.x) for slot in slots}) != len(slots):
        raise BadBand("no slot is given twice")
