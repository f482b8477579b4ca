"""Rooms: where the members that see one campaign meet, and what each of them says there.

1. A room is a campaign key of 32 random bytes. Z is derived from it as from an output F; the purposes `campaign` and
   `sighting` give its tags and boxes. CAMPAIGN describes the whole campaign, SIGHTING the writer's own accounts.
2. The content is u8 version = 1 ‖ u8 kind (3 campaign, 4 sighting) ‖ u8 abuse ‖ u8 bucket of accounts ‖ u8 bucket of
   exchanges ‖ u16be first week ‖ u16be last week ‖ u8 status ‖ u8 confidence ‖ u32be embargo day ‖ 42-byte activity
   profile ‖ u8 n ‖ n × (u8 length ‖ type name ‖ u8 bucket of values) ‖ u8 m ‖ m × linked campaign key (32 bytes).
   At most 508 bytes. Nothing may follow. There is no free text.
3. Status: 1 open, 2 acted on, 3 closed, 4 withdrawn. Numbers of abuse, buckets, weeks and confidence are a label's.
4. The embargo day counts from 1970-01-01 UTC, 0 for none, at most 30 days ahead of the reader's day: before it nobody
   acts. It is a request.
5. The profile has 168 hours from Monday 00:00 UTC, 2 bits each, most significant first: 0 for no account active, else
   1, 2 or 3 for up to a third, up to two thirds, and more, of the busiest hour. Below ten accounts it is all zero; a
   reader, who sees buckets, refuses another below eight.
6. Types are ascending and distinct, with buckets that are not 0; at most 4 linked keys, ascending and distinct.
7. A SIGHTING counts at least one account.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import pairwise
from typing import TypeVar

from tocsin.primitives.cursor import Cursor
from tocsin.primitives.secret import SecretBytes
from tocsin.sealing.box import Purpose
from tocsin.sealing.errors import SealingError
from tocsin.sealing.label import (
    CAMPAIGN_KEY_BYTES,
    MAX_BUCKET,
    MAX_LABEL_BYTES,
    MAX_TYPE_BYTES,
    VERSION,
    AbuseKind,
    ContentKind,
    is_type_name,
)
from tocsin.sealing.pepper import expand

PROFILE_HOURS = 168
PROFILE_BYTES = PROFILE_HOURS * 2 // 8
MIN_PROFILE_ACCOUNTS = 10
MAX_LINKED = 4
MAX_EMBARGO_DAYS = 30
ROOM_ID_BYTES = 8

_FIXED = struct.Struct(">BBBBBHHBBI")
_ROOM_LABEL = b"tocsin/1 room"
# The largest bucket whose every count is below ten.
_BUCKET_BELOW_TEN = 3

PURPOSES = {ContentKind.CAMPAIGN: Purpose.CAMPAIGN, ContentKind.SIGHTING: Purpose.SIGHTING}
"""The purpose under which each kind of a room's entry is sealed."""


class RoomStatus(IntEnum):
    """What the writer says about the campaign's state."""

    OPEN = 1
    ACTED_ON = 2
    CLOSED = 3
    WITHDRAWN = 4


class BadRoomEntry(SealingError):
    """A room's entry that breaks a rule; `field` and `rule` say which. Its content is never shown."""

    def __init__(self, field: str, rule: str) -> None:
        self.field = field
        self.rule = rule
        super().__init__(f"{field} of the room's entry is refused: {rule}")


class CampaignKey(SecretBytes):
    """A campaign's key: 32 secret bytes, masked when shown. Raises `BadRoomEntry` for another length."""

    __slots__ = ()

    def __new__(cls, raw: bytes) -> "CampaignKey":
        """Take 32 bytes as a campaign key."""
        if len(raw) != CAMPAIGN_KEY_BYTES:
            raise BadRoomEntry("campaign key", f"must be {CAMPAIGN_KEY_BYTES} bytes, got {len(raw)}")
        return super().__new__(cls, raw)


@dataclass(frozen=True, slots=True)
class RoomEntry:
    """What one member says in a room (rules 2 to 7). Raises `BadRoomEntry`. Linked keys are not in the `repr`.

    `accounts_bucket` and `exchanges_bucket` are buckets of M-5.13; `first_week` and `last_week` whole weeks since
    1970-01-01 UTC; `embargo_day` days since then, 0 for none; `profile` 42 bytes; `joining` pairs of a type's name and
    the bucket of how many values of it join the campaign.
    """

    kind: ContentKind
    abuse: AbuseKind
    accounts_bucket: int
    exchanges_bucket: int
    first_week: int
    last_week: int
    status: RoomStatus
    confidence: int
    embargo_day: int = 0
    profile: bytes = bytes(PROFILE_BYTES)
    joining: tuple[tuple[str, int], ...] = ()
    linked: tuple[CampaignKey, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.kind not in PURPOSES:
            raise BadRoomEntry("kind", "must be a campaign or a sighting")
        # M-5.29: without a confirmed account there is no sighting.
        least = 1 if self.kind is ContentKind.SIGHTING else 0
        _check_range("accounts_bucket", self.accounts_bucket, least, MAX_BUCKET)
        _check_range("exchanges_bucket", self.exchanges_bucket, 0, MAX_BUCKET)
        _check_range("first_week", self.first_week, 0, 2**16 - 1)
        _check_range("last_week", self.last_week, self.first_week, 2**16 - 1)
        _check_range("confidence", self.confidence, 0, 100)
        _check_range("embargo_day", self.embargo_day, 0, 2**32 - 1)
        if len(self.profile) != PROFILE_BYTES:
            raise BadRoomEntry("profile", f"must be {PROFILE_BYTES} bytes, got {len(self.profile)}")
        # M-5.27: a profile of few accounts would describe persons.
        if self.accounts_bucket <= _BUCKET_BELOW_TEN and any(self.profile):
            raise BadRoomEntry("profile", f"must be zero below {MIN_PROFILE_ACCOUNTS} accounts")
        self._check_joining()
        self._check_linked()
        if len(encode_room_entry(self)) > MAX_LABEL_BYTES:
            raise BadRoomEntry("joining", f"an entry is at most {MAX_LABEL_BYTES} bytes: name fewer types")

    def _check_joining(self) -> None:
        for name, bucket in self.joining:
            if not is_type_name(name):
                raise BadRoomEntry("joining", "a type's name is as in a label")
            _check_range("bucket in joining", bucket, 1, MAX_BUCKET)
        if any(first >= second for (first, _), (second, _) in pairwise(self.joining)):
            raise BadRoomEntry("joining", "types must be ascending, each once")

    def _check_linked(self) -> None:
        if len(self.linked) > MAX_LINKED:
            raise BadRoomEntry("linked", f"at most {MAX_LINKED} campaigns are linked, got {len(self.linked)}")
        if any(bytes(first) >= bytes(second) for first, second in pairwise(self.linked)):
            raise BadRoomEntry("linked", "keys must be ascending, each once")


def room_id(key: CampaignKey) -> bytes:
    """Return the 8 bytes by which people name a room: the start of Expand(campaign key, "tocsin/1 room")."""
    return expand(key, _ROOM_LABEL)[:ROOM_ID_BYTES]


def encode_profile(active: Sequence[int], accounts: int) -> bytes:
    """Return the 42 bytes of a profile: `active[h]` accounts are active in hour h of the week, of `accounts` in all.

    All zero below ten accounts (M-5.27). Raises `BadRoomEntry` unless there are 168 counts of 0 or more.
    """
    if len(active) != PROFILE_HOURS or min(active) < 0:
        raise BadRoomEntry("profile", f"must be {PROFILE_HOURS} counts of 0 or more")
    busiest = max(active)
    if accounts < MIN_PROFILE_ACCOUNTS or not busiest:
        return bytes(PROFILE_BYTES)
    packed = 0
    for count in active:
        # Rounded up: 1 for up to a third of the busiest hour, 2 for up to two thirds.
        packed = packed << 2 | -(-3 * count // busiest)
    return packed.to_bytes(PROFILE_BYTES, "big")


def decode_profile(profile: bytes) -> tuple[int, ...]:
    """Return the 168 levels, 0 to 3, of a 42-byte profile, from Monday 00:00 UTC."""
    packed = int.from_bytes(profile, "big")
    return tuple(packed >> 2 * (PROFILE_HOURS - 1 - hour) & 3 for hour in range(PROFILE_HOURS))


def check_embargo(day: int, today: int) -> None:
    """Check an embargo day, both in days since 1970-01-01 UTC (M-5.28). Raises `BadRoomEntry`."""
    if day > today + MAX_EMBARGO_DAYS:
        raise BadRoomEntry("embargo_day", f"must be at most {MAX_EMBARGO_DAYS} days ahead")


def encode_room_entry(entry: RoomEntry) -> bytes:
    """Return the content of a room's entry (rule 2), at most 508 bytes."""
    fixed = _FIXED.pack(
        VERSION,
        entry.kind,
        entry.abuse,
        entry.accounts_bucket,
        entry.exchanges_bucket,
        entry.first_week,
        entry.last_week,
        entry.status,
        entry.confidence,
        entry.embargo_day,
    )
    joining = b"".join(bytes([len(name)]) + name.encode("ascii") + bytes([n]) for name, n in entry.joining)
    return (
        fixed
        + entry.profile
        + bytes([len(entry.joining)])
        + joining
        + bytes([len(entry.linked)])
        + b"".join(entry.linked)
    )


def parse_room_entry(data: bytes, today: int) -> RoomEntry:
    """Return the entry that exactly these bytes encode (M-5.26); `today` is in days since 1970-01-01 UTC.

    Raises `BadRoomEntry`, naming field and rule.
    """
    if len(data) > MAX_LABEL_BYTES:
        raise BadRoomEntry("length", f"an entry is at most {MAX_LABEL_BYTES} bytes, got {len(data)}")
    cursor = Cursor(data, BadRoomEntry)
    if cursor.number("version", 1) != VERSION:
        raise BadRoomEntry("version", f"this software reads version {VERSION}: update it")
    kind = _number(cursor, "kind", ContentKind)
    abuse = _number(cursor, "abuse", AbuseKind)
    accounts, exchanges = cursor.number("accounts_bucket", 1), cursor.number("exchanges_bucket", 1)
    first_week, last_week = cursor.number("first_week", 2), cursor.number("last_week", 2)
    status = _number(cursor, "status", RoomStatus)
    confidence, embargo_day = cursor.number("confidence", 1), cursor.number("embargo_day", 4)
    check_embargo(embargo_day, today)
    profile = cursor.take("profile", PROFILE_BYTES)
    joining = tuple(_read_joining(cursor) for _ in range(cursor.number("count of joining", 1)))
    linked = tuple(
        CampaignKey(cursor.take("linked", CAMPAIGN_KEY_BYTES))
        for _ in range(cursor.count("count of linked", 1, MAX_LINKED))
    )
    cursor.end()
    return RoomEntry(
        kind,
        abuse,
        accounts,
        exchanges,
        first_week,
        last_week,
        status,
        confidence,
        embargo_day,
        profile,
        joining,
        linked,
    )


def _read_joining(cursor: Cursor) -> tuple[str, int]:
    name = cursor.prefixed("joining", 1, MAX_TYPE_BYTES)
    # Latin-1 takes every byte; the entry's own check then refuses a name that is none.
    return name.decode("latin-1"), cursor.number("bucket in joining", 1)


_Number = TypeVar("_Number", bound=IntEnum)


def _number(cursor: Cursor, field: str, numbers: type[_Number]) -> _Number:
    number = cursor.number(field, 1)
    try:
        return numbers(number)
    except ValueError:
        # M-1.6: no number that is not listed.
        raise BadRoomEntry(field, f"its number {number} is not defined") from None


def _check_range(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise BadRoomEntry(field, f"must be {low} to {high}")
