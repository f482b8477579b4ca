"""The label inside a box: what a holder of the value reads. Compact, versioned, strict.

1. Every label starts u8 version = 1 ‖ u8 kind ‖ u8 length ‖ type name (1 to 64 of `a-z 0-9 . -`, ASCII).
2. REPORT goes on: u8 TLP ‖ u8 abuse ‖ u8 role ‖ u8 bucket of bad accounts ‖ u8 bucket of exchanges ‖ u16be first
   week ‖ u16be last week ‖ u8 evidence ‖ u8 hops ‖ u8 confidence ‖ u8 legal basis ‖ u8 flags ‖ campaign key (32
   bytes, there if flags is 1; flags is 0 or 1) ‖ u8 count ‖ count × (16-byte writer ‖ u64be index).
3. DISPUTE goes on: u8 reason ‖ u8 count ‖ count × (16-byte writer ‖ u64be index). RECORD goes on as REPORT does.
4. A bucket is 0 for none, else b with 2^(b−1) ≤ n < 2^b, at most 63. Weeks are whole weeks since 1970-01-01 UTC,
   the first not after the last. Confidence is 0 to 100.
5. `own-detection` rests on no entry and has 0 hops; `reviewed-match` rests on 1 to 16 entries and has 1 to 4 hops.
   The entries, and those disputed (1 to 8), are distinct. A dispute names entries, so a corrected report is not
   disputed.
6. Nothing may follow, and every number that this table does not list is refused:

   | field       | numbers |
   |-------------|---------|
   | kind        | 1 report, 2 dispute, 3 campaign, 4 sighting, 5 record, 6 band |
   | TLP         | 1 red, 2 amber+strict, 3 amber, 4 green, 5 clear |
   | abuse       | 1 distillation, 2 account-farming, 3 resale, 4 payment-fraud, 5 jailbreak-service, 6 other |
   | role        | 1 operator, 2 victim |
   | evidence    | 1 own-detection, 2 reviewed-match |
   | legal basis | 1 legitimate-interest, 2 legal-obligation, 3 contract, 4 public-task, 5 not-personal-data |
   | reason      | 1 own-customer-verified, 2 shared-by-many, 3 reassigned, 4 wrong-value, 5 other |

7. Kinds 3 and 4 are a room's (`tocsin.sealing.rooms`), and a band has no label (`tocsin.sealing.record`). Each reader
   takes its own kinds alone: `parse_label` reports and disputes, `parse_record` records.
8. A campaign key is carried here whatever the type; whether a type may stand alone is its reader's to check.
"""

import re
import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeVar

from tocsin.primitives.cursor import Cursor
from tocsin.sealing.errors import SealingError

VERSION = 1
MAX_LABEL_BYTES = 508
MAX_TYPE_BYTES = 64
MAX_RESTS_ON = 16
MAX_DISPUTED = 8
MAX_HOPS = 4
MAX_BUCKET = 63
CAMPAIGN_KEY_BYTES = 32

_WRITER_BYTES = 16
_TYPE_NAME = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*\Z")
_REPORT = struct.Struct(">BBBBBHHBBBBB")
_REST = struct.Struct(">16sQ")


class ContentKind(IntEnum):
    """What a sealed entry is; the first number inside its box."""

    REPORT = 1
    DISPUTE = 2
    CAMPAIGN = 3
    SIGHTING = 4
    RECORD = 5
    BAND = 6


class Tlp(IntEnum):
    """With whom the reader may share what it read (FIRST's Traffic Light Protocol 2.0)."""

    RED = 1
    AMBER_STRICT = 2
    AMBER = 3
    GREEN = 4
    CLEAR = 5


class AbuseKind(IntEnum):
    """What the reporter saw being done."""

    DISTILLATION = 1
    ACCOUNT_FARMING = 2
    RESALE = 3
    PAYMENT_FRAUD = 4
    JAILBREAK_SERVICE = 5
    OTHER = 6


class Role(IntEnum):
    """Whose value it is: the abuser's own, or a victim's whose card or address was used."""

    OPERATOR = 1
    VICTIM = 2


class Evidence(IntEnum):
    """What a report is based on."""

    OWN_DETECTION = 1
    REVIEWED_MATCH = 2


class LegalBasis(IntEnum):
    """Why the reporter may share it (the words of GDPR article 6, where personal data is concerned)."""

    LEGITIMATE_INTEREST = 1
    LEGAL_OBLIGATION = 2
    CONTRACT = 3
    PUBLIC_TASK = 4
    NOT_PERSONAL_DATA = 5


class DisputeReason(IntEnum):
    """Why a member holds a report to be wrong."""

    OWN_CUSTOMER_VERIFIED = 1
    SHARED_BY_MANY = 2
    REASSIGNED = 3
    WRONG_VALUE = 4
    OTHER = 5


class BadLabel(SealingError):
    """A label that breaks a rule; `field` and `rule` say which. The label's content is never shown."""

    def __init__(self, field: str, rule: str) -> None:
        self.field = field
        self.rule = rule
        super().__init__(f"{field} of the label is refused: {rule}")


@dataclass(frozen=True, slots=True)
class Report:
    """A report's label (rules 2, 4, 5). Raises `BadLabel`. The campaign key, a secret, is not in the `repr`."""

    type: str
    tlp: Tlp
    abuse: AbuseKind
    role: Role
    bad_accounts_bucket: int
    exchanges_bucket: int
    first_week: int
    last_week: int
    evidence: Evidence
    rests_on: tuple[tuple[bytes, int], ...]
    hops: int
    confidence: int
    campaign_key: bytes | None = field(repr=False)
    legal_basis: LegalBasis

    def __post_init__(self) -> None:
        _check_type(self.type)
        _check_range("bad_accounts_bucket", self.bad_accounts_bucket, 0, MAX_BUCKET)
        _check_range("exchanges_bucket", self.exchanges_bucket, 0, MAX_BUCKET)
        _check_range("first_week", self.first_week, 0, 2**16 - 1)
        _check_range("last_week", self.last_week, self.first_week, 2**16 - 1)
        _check_range("confidence", self.confidence, 0, 100)
        # M-5.14: own-detection rests on nothing; reviewed-match on 1 to 16 entries, 1 to 4 hops away.
        if self.evidence is Evidence.OWN_DETECTION:
            _check_range("hops", self.hops, 0, 0)
            _check_range("count of rests_on", len(self.rests_on), 0, 0)
        else:
            _check_range("hops", self.hops, 1, MAX_HOPS)
            _check_range("count of rests_on", len(self.rests_on), 1, MAX_RESTS_ON)
        _check_entries("rests_on", self.rests_on)
        if self.campaign_key is not None and len(self.campaign_key) != CAMPAIGN_KEY_BYTES:
            raise BadLabel("campaign_key", f"it is {CAMPAIGN_KEY_BYTES} bytes")


@dataclass(frozen=True, slots=True)
class Dispute:
    """A dispute's label: which entries about this value are disputed, as (writer, index), and why (rules 3 and 5).

    Raises `BadLabel`.
    """

    type: str
    disputed: tuple[tuple[bytes, int], ...]
    reason: DisputeReason

    def __post_init__(self) -> None:
        _check_type(self.type)
        _check_range("count of disputed", len(self.disputed), 1, MAX_DISPUTED)
        _check_entries("disputed", self.disputed)


def bucket(n: int) -> int:
    """Return the bucket of a count (M-5.13): 0 for 0, else b with 2^(b−1) ≤ n < 2^b. Raises `BadLabel`."""
    _check_range("count", n, 0, 2**MAX_BUCKET - 1)
    return n.bit_length()


def bucket_range(b: int) -> tuple[int, int]:
    """Return the least and the greatest count that a bucket stands for. Raises `BadLabel`."""
    _check_range("bucket", b, 0, MAX_BUCKET)
    return (0, 0) if b == 0 else (2 ** (b - 1), 2**b - 1)


def encode_label(label: Report | Dispute) -> bytes:
    """Return the bytes of rules 1 to 3, at most 508."""
    if isinstance(label, Dispute):
        return (
            _start(ContentKind.DISPUTE, label.type)
            + bytes([label.reason, len(label.disputed)])
            + b"".join(_REST.pack(writer, index) for writer, index in label.disputed)
        )
    return _start(ContentKind.REPORT, label.type) + _encode_report(label)


def encode_record(label: Report) -> bytes:
    """Return the bytes of a record, which says what its report says (rules 1 and 2), at most 508."""
    return _start(ContentKind.RECORD, label.type) + _encode_report(label)


def _start(kind: ContentKind, type: str) -> bytes:
    name = type.encode("ascii")
    return bytes([VERSION, kind, len(name)]) + name


def _encode_report(label: Report) -> bytes:
    fixed = _REPORT.pack(
        label.tlp,
        label.abuse,
        label.role,
        label.bad_accounts_bucket,
        label.exchanges_bucket,
        label.first_week,
        label.last_week,
        label.evidence,
        label.hops,
        label.confidence,
        label.legal_basis,
        label.campaign_key is not None,
    )
    return (
        fixed
        + (label.campaign_key or b"")
        + bytes([len(label.rests_on)])
        + b"".join(_REST.pack(writer, index) for writer, index in label.rests_on)
    )


def parse_label(data: bytes) -> Report | Dispute:
    """Return the report or dispute that exactly these bytes encode. Raises `BadLabel`, naming field and rule."""
    kind, name, cursor = _opened(data)
    label: Report | Dispute
    if kind is ContentKind.REPORT:
        label = _parse_report(name, cursor)
    elif kind is ContentKind.DISPUTE:
        reason = _member(cursor, "reason", DisputeReason)
        count = cursor.count("count of disputed", 1, MAX_DISPUTED)
        entries = [
            (cursor.take("disputed", _WRITER_BYTES), cursor.number("disputed", 8)) for _ in range(count)
        ]
        label = Dispute(name, tuple(entries), reason)
    else:
        raise BadLabel("kind", f"must be a report or a dispute, got {kind.name.lower()}")
    cursor.end()
    return label


def parse_record(data: bytes) -> Report:
    """Return the label of the record that exactly these bytes encode. Raises `BadLabel`, naming field and rule."""
    kind, name, cursor = _opened(data)
    if kind is not ContentKind.RECORD:
        raise BadLabel("kind", f"must be a record, got {kind.name.lower()}")
    label = _parse_report(name, cursor)
    cursor.end()
    return label


def _opened(data: bytes) -> tuple[ContentKind, str, Cursor]:
    # M-5.12: at most 508 bytes.
    if len(data) > MAX_LABEL_BYTES:
        raise BadLabel("length", f"a label is at most {MAX_LABEL_BYTES} bytes, got {len(data)}")
    cursor = Cursor(data, BadLabel)
    if cursor.number("version", 1) != VERSION:
        raise BadLabel("version", f"this software reads version {VERSION}: update it")
    kind = _member(cursor, "kind", ContentKind)
    raw_name = cursor.prefixed("type", 1, MAX_TYPE_BYTES)
    if not raw_name.isascii():
        raise BadLabel("type", _TYPE_RULE)
    name = raw_name.decode("ascii")
    _check_type(name)
    return kind, name, cursor


def _parse_report(name: str, cursor: Cursor) -> Report:
    tlp = _member(cursor, "tlp", Tlp)
    abuse = _member(cursor, "abuse", AbuseKind)
    role = _member(cursor, "role", Role)
    bad_accounts, exchanges = cursor.number("bad_accounts_bucket", 1), cursor.number("exchanges_bucket", 1)
    first_week = cursor.number("first_week", 2)
    last_week = cursor.number("last_week", 2)
    evidence = _member(cursor, "evidence", Evidence)
    hops, confidence = cursor.number("hops", 1), cursor.number("confidence", 1)
    legal_basis = _member(cursor, "legal_basis", LegalBasis)
    flags = cursor.number("flags", 1)
    # M-1.6: no number that is not listed.
    if flags not in (0, 1):
        raise BadLabel("flags", "only 0 and 1 are defined")
    campaign_key = cursor.take("campaign_key", CAMPAIGN_KEY_BYTES) if flags else None
    rests = [
        (cursor.take("rests_on", _WRITER_BYTES), cursor.number("rests_on", 8))
        for _ in range(cursor.count("count of rests_on", 1, MAX_RESTS_ON))
    ]
    return Report(
        type=name,
        tlp=tlp,
        abuse=abuse,
        role=role,
        bad_accounts_bucket=bad_accounts,
        exchanges_bucket=exchanges,
        first_week=first_week,
        last_week=last_week,
        evidence=evidence,
        rests_on=tuple(rests),
        hops=hops,
        confidence=confidence,
        campaign_key=campaign_key,
        legal_basis=legal_basis,
    )


_Number = TypeVar("_Number", bound=IntEnum)
_TYPE_RULE = f"1 to {MAX_TYPE_BYTES} of a-z, 0-9, inner dots and hyphens"


def _member(cursor: Cursor, field: str, numbers: type[_Number]) -> _Number:
    number = cursor.number(field, 1)
    try:
        return numbers(number)
    except ValueError:
        raise BadLabel(field, f"its number {number} is not defined") from None


def is_type_name(name: str) -> bool:
    """Say whether a text can be a type's name: 1 to 64 of a-z, 0-9, inner dots and hyphens."""
    return 0 < len(name) <= MAX_TYPE_BYTES and _TYPE_NAME.match(name) is not None


def _check_type(name: str) -> None:
    if not is_type_name(name):
        raise BadLabel("type", _TYPE_RULE)


def _check_range(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        allowed = f"{low}" if low == high else f"{low} to {high}"
        raise BadLabel(field, f"must be {allowed}")


def _check_entries(field: str, entries: tuple[tuple[bytes, int], ...]) -> None:
    for writer, index in entries:
        if len(writer) != _WRITER_BYTES:
            raise BadLabel(field, f"a member's id is {_WRITER_BYTES} bytes")
        _check_range(f"index in {field}", index, 0, 2**63 - 1)
    if len(set(entries)) != len(entries):
        raise BadLabel(field, "no entry is named twice")
