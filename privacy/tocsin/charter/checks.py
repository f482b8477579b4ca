"""What one charter must satisfy by itself, each rule with its JSON path.

1. Federation: a DNS name in lower case, at most 64 characters. Version and attempt from 1. issued < expires.
2. Period: number and every number reached before expiry fit u32; its start is not after `issued`; the commitment is
   32 bytes; the pepper is sealed (80 bytes) to every member and to nobody else.
3. Members: 1 to 100, ascending ids of 16 bytes, distinct names; 1 to 8 endpoints each; every public key 32 bytes and
   used once in the whole charter. The security contact is within its limits.
4. Class keys: ascending (class, epoch); 1 ≤ t ≤ c ≤ 7; members only; t commitments; budget, space and retention
   positive; retention at most 53 days, so that with rounding up to a week no entry outlives 60. One name and one
   retention per class. The newest epoch has no `overlap_until`, every older one has. A threshold of 1 is for
   test mode. No public key serves two epochs or classes, and no seat's public share is the identity, the key or
   another seat's.
5. Publishing tick 1 to 3,600 s; snapshot names distinct; policy within its ranges.
"""

import ipaddress
import itertools
import re
from collections.abc import Callable, Sequence
from typing import Literal

from tocsin.charter.canonical_json import MAX_INTEGER
from tocsin.charter.errors import BadCharter
from tocsin.charter.parts import MEMBER_KEYS, ClassKey, Contact, Member, Period, Policy
from tocsin.oprf.group import BadElement, Element
from tocsin.oprf.shares import public_share
from tocsin.oprf.threshold import MAX_COMMITTEE, MEMBER_ID_BYTES

MAX_MEMBERS = 100
MAX_ENDPOINTS = 8
MAX_CLASS_KEYS = 64
MAX_SNAPSHOTS = 32
MAX_NAME_CHARACTERS = 64
MAX_FEDERATION_CHARACTERS = 64
MAX_CA_BYTES = 4096
MAX_EMAIL_CHARACTERS = 254
MAX_CONTACT_KEY_BYTES = 4096
MAX_NOTE_CHARACTERS = 256
MAX_RETENTION_DAYS = 53
MAX_TICK_SECONDS = 3600
MAX_HOPS = 4
MAX_TIME = 253_402_300_799  # the end of the year 9999
MAX_SPACE = 10**80
KEY_BYTES = 32
SEALED_PEPPER_BYTES = 80
Mode = Literal["live", "test"]

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DNS_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z")
_ENDPOINT = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]+):([1-9][0-9]{0,4})\Z")
_CLASS_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\Z")
_SNAPSHOT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_SPACE = re.compile(r"[1-9][0-9]{0,80}\Z")
_EMAIL = re.compile(r"[!-?A-~]+@[!-?A-~]+\Z")
_PHONE = re.compile(r"\+[0-9]{7,15}\Z")
_AGE_RECIPIENT = re.compile(rb"age1[02-9ac-hj-np-z]+\Z")
# RFC 9580 §4.2: the first octet of a public-key packet, tag 6, with an old length of 1 to 4 octets or the new format.
_OPENPGP_STARTS = (b"\x98", b"\x99", b"\x9a", b"\xc6")


def check_federation(name: str) -> None:
    """Check a federation's name, which stands in certificates and origins. Raises `BadCharter`."""
    # M-1.5: a DNS name in lower case, of at most 64 ASCII characters.
    if len(name) > MAX_FEDERATION_CHARACTERS or not _DNS_NAME.match(name):
        raise BadCharter(
            "federation", "$.federation", "must be a lower-case DNS name of at most 64 characters"
        )


def check_times(version: int, attempt: int, issued: int, expires: int) -> None:
    """Check version, attempt and times (rule 1). Raises `BadCharter`."""
    _check_range("$.version", version, 1, MAX_INTEGER)
    _check_range("$.attempt", attempt, 1, 2**32 - 1)
    _check_range("$.issued", issued, 0, MAX_TIME)
    _check_range("$.expires", expires, issued + 1, MAX_TIME)


def check_terms(tick_seconds: int, snapshots: Sequence[str], policy: Policy) -> None:
    """Check what members agreed on beyond keys (rule 5). Raises `BadCharter`."""
    _check_range("$.tick_seconds", tick_seconds, 1, MAX_TICK_SECONDS)
    _check_count("$.snapshots", snapshots, 0, MAX_SNAPSHOTS)
    for at, snapshot in enumerate(snapshots):
        if not _SNAPSHOT_NAME.match(snapshot):
            raise BadCharter("snapshot", f"$.snapshots[{at}]", "must be 1 to 64 letters, digits and . _ -")
    _check_distinct("$.snapshots", snapshots)
    _check_range("$.policy.entries_per_day", policy.entries_per_day, 1, MAX_INTEGER)
    _check_range("$.policy.max_hops", policy.max_hops, 0, MAX_HOPS)


def check_member(member: Member, path: str) -> None:
    """Check one member's own fields; `path` is where it stands. Raises `BadCharter`."""
    # M-1.4: 16 bytes.
    _check_length(f"{path}.id", member.id, MEMBER_ID_BYTES)
    name = member.name
    if not (0 < len(name) <= MAX_NAME_CHARACTERS and name.isprintable() and name == name.strip()):
        raise BadCharter(
            "name",
            f"{path}.name",
            f"must be 1 to {MAX_NAME_CHARACTERS} printable characters without outer spaces",
        )
    _check_count(f"{path}.endpoints", member.endpoints, 1, MAX_ENDPOINTS)
    for at, endpoint in enumerate(member.endpoints):
        _check_endpoint(endpoint, f"{path}.endpoints[{at}]")
    _check_distinct(f"{path}.endpoints", member.endpoints)
    if not 0 < len(member.ca) <= MAX_CA_BYTES:
        raise BadCharter("size", f"{path}.ca", f"a CA certificate is 1 to {MAX_CA_BYTES} bytes of DER")
    for name in MEMBER_KEYS:
        _check_length(f"{path}.{name}", getattr(member, name), KEY_BYTES)
    _check_distinct(path, [getattr(member, name) for name in MEMBER_KEYS])
    check_contact(member.contact, f"{path}.contact")


def check_contact(contact: Contact, path: str) -> None:
    """Check a security contact (M-3.16), each part of which may be empty. Raises `BadCharter`."""
    if contact.email and not (len(contact.email) <= MAX_EMAIL_CHARACTERS and _EMAIL.match(contact.email)):
        raise BadCharter(
            "email",
            f"{path}.email",
            f"must be local@domain of at most {MAX_EMAIL_CHARACTERS} printable ASCII characters, no spaces",
        )
    if contact.phone and not _PHONE.match(contact.phone):
        raise BadCharter("phone", f"{path}.phone", "must be a plus and 7 to 15 digits")
    if len(contact.key) > MAX_CONTACT_KEY_BYTES:
        raise BadCharter("size", f"{path}.key", f"must have at most {MAX_CONTACT_KEY_BYTES:,} bytes")
    if contact.key and not (contact.key.startswith(_OPENPGP_STARTS) or _AGE_RECIPIENT.match(contact.key)):
        raise BadCharter(
            "contact-key", f"{path}.key", "must be an OpenPGP public key without armour, or an age recipient"
        )
    note = contact.note
    if len(note) > MAX_NOTE_CHARACTERS or not note.isprintable():
        raise BadCharter(
            "note", f"{path}.note", f"must have at most {MAX_NOTE_CHARACTERS} printable characters"
        )


def parse_mode(text: str) -> Mode:
    """Return the mode that a text names. Raises `BadCharter`."""
    if text == "live":
        return "live"
    if text == "test":
        return "test"
    raise BadCharter("mode", "$.mode", 'must be "live" or "test"')


def parse_space(text: str, path: str) -> int:
    """Return the number that a decimal string stands for. Raises `BadCharter`."""
    if not _SPACE.match(text):
        raise BadCharter("decimal", path, "must be a positive decimal number in a string, at most 81 digits")
    return int(text)


def _check_endpoint(endpoint: str, path: str) -> None:
    parts = _ENDPOINT.match(endpoint)
    detail = 'must be "host:port": a lower-case DNS name, an IPv4 address or an IPv6 address in brackets'
    if parts is None or int(parts[2]) > 65_535:
        raise BadCharter("endpoint", path, detail)
    host = parts[1]
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise BadCharter("endpoint", path, detail) from None
    elif len(host) > 253 or not _DNS_NAME.match(host):
        raise BadCharter("endpoint", path, detail)


def check_members(members: Sequence[Member]) -> None:
    """Check the members, each and against one another (rule 3; M-3.10, M-8.1). Raises `BadCharter`."""
    _check_count("$.members", members, 1, MAX_MEMBERS)
    for at, member in enumerate(members):
        check_member(member, f"$.members[{at}]")
    if any(first.id >= second.id for first, second in itertools.pairwise(members)):
        raise BadCharter("order", "$.members", "members must be in ascending order of id, each once")
    _check_distinct("$.members", [member.name.casefold() for member in members])
    _check_distinct("$.members", [getattr(member, name) for member in members for name in MEMBER_KEYS])


def check_period(
    period: Period, members: frozenset[bytes], issued: int, last_period: Callable[[], int]
) -> None:
    """Check the period (rule 2). `last_period` is asked once number and start are known to be in range.

    Raises `BadCharter`.
    """
    _check_range("$.period.start", period.start, 0, issued)
    _check_range("$.period.number", period.number, 0, 2**32 - 1)
    if last_period() >= 2**32:
        raise BadCharter(
            "range", "$.period.number", "the charter would reach a period that has more than 32 bits"
        )
    _check_length("$.period.commitment", period.commitment, KEY_BYTES)
    if set(period.sealed) != members:
        raise BadCharter(
            "sealed-to", "$.period.sealed", "the pepper must be sealed to every member and nobody else"
        )
    for pepper in period.sealed.values():
        _check_length("$.period.sealed", pepper, SEALED_PEPPER_BYTES)


def check_classes(classes: Sequence[ClassKey], members: frozenset[bytes], mode: Mode) -> None:
    """Check the class keys, each and against one another (rule 4). Raises `BadCharter`."""
    _check_count("$.classes", classes, 0, MAX_CLASS_KEYS)
    for at, key in enumerate(classes):
        _check_class(key, f"$.classes[{at}]", members, mode)
    for at, (older, newer) in enumerate(itertools.pairwise(classes)):
        path = f"$.classes[{at}]"
        if (older.key_class, older.epoch) >= (newer.key_class, newer.epoch):
            raise BadCharter(
                "order", path, "class keys must be in ascending order of class and epoch, each once"
            )
        if (older.name == newer.name) != (older.key_class == newer.key_class):
            raise BadCharter("name", f"{path}.name", "a class must have one name, and a name one class")
        if older.key_class != newer.key_class:
            continue
        if older.retention_days != newer.retention_days:
            raise BadCharter(
                "retention", f"{path}.retention_days", "all epochs of a class must have one retention"
            )
        if older.overlap_until is None:
            raise BadCharter("overlap", f"{path}.overlap_until", "an older epoch says until when it overlaps")
    newest = {key.key_class: (at, key) for at, key in enumerate(classes)}
    for at, key in newest.values():
        if key.overlap_until is not None:
            raise BadCharter(
                "overlap", f"$.classes[{at}].overlap_until", "the newest epoch of a class has none"
            )
    _check_distinct("$.classes", [key.name for _, key in newest.values()])
    # M-3.17: a key serves one class and epoch.
    _check_distinct("$.classes", [key.public_key for key in classes])


def _check_class(key: ClassKey, path: str, members: frozenset[bytes], mode: Mode) -> None:
    _check_range(f"{path}.key_class", key.key_class, 1, 2**16 - 1)
    if len(key.name) > 32 or not _CLASS_NAME.match(key.name):
        raise BadCharter("name", f"{path}.name", "must be 1 to 32 of a-z, 0-9 and inner hyphens")
    _check_range(f"{path}.epoch", key.epoch, 0, 2**32 - 1)
    # M-4.6: 1 ≤ t ≤ c ≤ 7, each seat held by another member.
    _check_count(f"{path}.committee", key.committee, 1, MAX_COMMITTEE)
    # M-3.17: in live mode no single seat holds a whole key.
    _check_range(f"{path}.threshold", key.threshold, 1 if mode == "test" else 2, len(key.committee))
    for at, member in enumerate(key.committee):
        if member not in members:
            raise BadCharter("members-only", f"{path}.committee[{at}]", "every seat is held by a member")
    # One evaluator per seat: a quorum of t seats is then t members, which is what the threshold promises.
    _check_distinct(f"{path}.committee", key.committee)
    _check_count(f"{path}.commitments", key.commitments, key.threshold, key.threshold)
    for at, commitment in enumerate(key.commitments):
        if not isinstance(commitment, Element):
            raise BadCharter(
                "commitment", f"{path}.commitments[{at}]", "must be a decoded ristretto255 element"
            )
    _check_public_shares(key, path)
    _check_range(f"{path}.budget", key.budget, 1, MAX_INTEGER)
    _check_range(f"{path}.smallest_space", key.smallest_space, 1, MAX_SPACE)
    _check_range(f"{path}.retention_days", key.retention_days, 1, MAX_RETENTION_DAYS)
    if key.overlap_until is not None:
        _check_range(f"{path}.overlap_until", key.overlap_until, 0, MAX_TIME)


def _check_public_shares(key: ClassKey, path: str) -> None:
    # M-3.17. With t = 1 every share is the key itself.
    if key.threshold == 1:
        return
    try:
        held = {
            key.public_key,
            *(public_share(key.commitments, seat + 1) for seat in range(len(key.committee))),
        }
    except BadElement:
        held = set()
    if len(held) != 1 + len(key.committee):
        raise BadCharter(
            "public-share",
            f"{path}.commitments",
            "a seat's public share must be neither the identity, nor the key, nor another seat's: make the key again",
        )


def _check_range(path: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise BadCharter("range", path, f"must be {low} to {high}, got {value}")


def _check_length(path: str, value: bytes, length: int) -> None:
    if len(value) != length:
        raise BadCharter("length", path, f"must be {length} bytes, got {len(value)}")


def _check_count(path: str, items: Sequence[object], low: int, high: int) -> None:
    if not low <= len(items) <= high:
        wanted = f"{low}" if low == high else f"{low} to {high}"
        raise BadCharter("count", path, f"must have {wanted} items, got {len(items)}")


def _check_distinct(path: str, items: Sequence[object]) -> None:
    if len(set(items)) != len(items):
        raise BadCharter("distinct", path, "each name, key, endpoint and snapshot must be used once")
