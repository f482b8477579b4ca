"""What a charter is made of: members, its period, class keys, policy. Plain values; `checks` has their rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType

from tocsin.charter.canonical_json import JsonValue
from tocsin.oprf import threshold
from tocsin.oprf.group import Element

MEMBER_KEYS = ("identity", "log", "cosigner", "node", "node_hpke", "client_hpke")
CONTACT_KEYS = ("email", "phone", "key", "note")


@dataclass(frozen=True)
class Contact:
    """Whom to call about a campaign; each part may be empty. `key` is a binary OpenPGP key or an age recipient."""

    email: str = ""
    phone: str = ""
    key: bytes = b""
    note: str = ""

    def json(self) -> dict[str, JsonValue]:
        """Return the contact as the document's JSON writes it."""
        return {"email": self.email, "phone": self.phone, "key": self.key.hex(), "note": self.note}


@dataclass(frozen=True)
class Member:
    """One member: 16-byte id, name, endpoints "host:port", CA certificate (DER), six 32-byte public keys, contact."""

    id: bytes
    name: str
    endpoints: tuple[str, ...]
    ca: bytes
    identity: bytes
    log: bytes
    cosigner: bytes
    node: bytes
    node_hpke: bytes
    client_hpke: bytes
    contact: Contact = Contact()

    def json(self) -> dict[str, JsonValue]:
        """Return the member as the document's JSON writes it."""
        return {
            "id": self.id.hex(),
            "name": self.name,
            "endpoints": self.endpoints,
            "ca": self.ca.hex(),
            **{name: getattr(self, name).hex() for name in MEMBER_KEYS},
            "contact": self.contact.json(),
        }


@dataclass(frozen=True)
class Period:
    """The charter's own period: u32 number, start, pepper commitment (32 bytes), pepper sealed per member id."""

    number: int
    start: int
    commitment: bytes
    sealed: Mapping[bytes, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sealed", MappingProxyType(dict(self.sealed)))


@dataclass(frozen=True)
class ClassKey:
    """One key epoch of one class: t Feldman commitments, the committee by seat, its budget and its entries' life.

    `budget` is evaluations per member, per seat. `overlap_until` is None for the newest epoch of its class, for an
    older one the time until which it is still evaluated.
    """

    key_class: int
    name: str
    epoch: int
    threshold: int
    committee: tuple[bytes, ...]
    commitments: tuple[Element, ...]
    budget: int
    smallest_space: int
    retention_days: int
    overlap_until: int | None

    @cached_property
    def committee_hash(self) -> bytes:
        """`threshold.committee_hash` of the committee and its commitments, 32 bytes."""
        return threshold.committee_hash(self.committee, self.commitments)

    @property
    def public_key(self) -> Element:
        """Y, the public key of this class and epoch."""
        return self.commitments[0]

    def seats_of(self, member: bytes) -> tuple[int, ...]:
        """Return the seats that a member holds, ascending, from 1; none for a member off the committee."""
        return tuple(seat for seat, holder in enumerate(self.committee, start=1) if holder == member)

    def is_live(self, now: int) -> bool:
        """Say whether this epoch is evaluated at `now`."""
        return self.overlap_until is None or now < self.overlap_until

    def coverage(self, corrupted: int) -> Fraction | None:
        """Return how much of the smallest space a member that corrupted f seats can search in this epoch.

        Q·(c − f)/(t − f) ÷ smallest space; None where f ≥ t, for then there is no bound.
        """
        if corrupted >= self.threshold:
            return None
        bound = Fraction(self.budget * (len(self.committee) - corrupted), self.threshold - corrupted)
        return bound / self.smallest_space

    def json(self) -> dict[str, JsonValue]:
        """Return the class key as the document's JSON writes it."""
        return {
            "key_class": self.key_class,
            "name": self.name,
            "epoch": self.epoch,
            "threshold": self.threshold,
            "committee": [member.hex() for member in self.committee],
            "commitments": [commitment.hex() for commitment in self.commitments],
            "budget": self.budget,
            "smallest_space": str(self.smallest_space),
            "retention_days": self.retention_days,
            "overlap_until": self.overlap_until,
        }


@dataclass(frozen=True)
class Policy:
    """What members agreed on beyond keys: entries a member may append per day, and hops a report may have come."""

    entries_per_day: int
    max_hops: int
