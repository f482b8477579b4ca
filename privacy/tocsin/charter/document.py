"""The charter's document: what it says, its RFC 8785 JSON, and what one document alone must satisfy.

1. The JSON has exactly the keys of the dataclasses below. Bytes are lower-case hexadecimal, times unix seconds,
   `smallest_space` a decimal string (it exceeds what JSON keeps exact), `period.sealed` an object from member id.
2. Members stand in ascending order of id, class keys in ascending order of class, then epoch. Seat i of a
   committee is its i-th item, from 1, each another member.
3. Whatever has been constructed or parsed satisfies `checks`. Signatures and succession are `rules`' matter, CA
   certificates `authority`'s.
4. At most 1 MiB.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tocsin.charter import checks
from tocsin.charter.canonical_json import Field, canonical, check_canonical, read_json, unhex
from tocsin.charter.errors import BadCharter, NotAMember, UnknownClass, UnknownEpoch
from tocsin.charter.parts import CONTACT_KEYS, MEMBER_KEYS, ClassKey, Contact, Member, Period, Policy
from tocsin.oprf import shares, threshold
from tocsin.oprf.group import BadElement, decode_elements
from tocsin.oprf.threshold import Context

__all__ = [
    "LOOK_BACK_SECONDS",
    "MAX_DOCUMENT_BYTES",
    "PERIOD_SECONDS",
    "BadCharter",
    "Charter",
    "ClassKey",
    "Contact",
    "Member",
    "Mode",
    "NotAMember",
    "Period",
    "Policy",
    "UnknownClass",
    "UnknownEpoch",
    "parse_charter",
    "read_member",
]

PERIOD_SECONDS = 30 * 86_400
LOOK_BACK_SECONDS = 60 * 86_400
"""How far back look-ups go: no entry lives longer."""
MAX_DOCUMENT_BYTES = 1 << 20

Mode = checks.Mode


@dataclass(frozen=True)
class Charter:
    """A charter that satisfies every rule that it can satisfy by itself. Raises `BadCharter`."""

    federation: str
    version: int
    attempt: int
    mode: Mode
    issued: int
    expires: int
    period: Period
    members: tuple[Member, ...]
    classes: tuple[ClassKey, ...]
    tick_seconds: int
    snapshots: tuple[str, ...]
    policy: Policy

    def __post_init__(self) -> None:
        checks.check_federation(self.federation)
        checks.check_times(self.version, self.attempt, self.issued, self.expires)
        checks.check_members(self.members)
        ids = frozenset(self._by_id)
        checks.check_period(self.period, ids, self.issued, lambda: self.last_period)
        checks.check_classes(self.classes, ids, self.mode)
        checks.check_terms(self.tick_seconds, self.snapshots, self.policy)
        if len(self._encoded) > MAX_DOCUMENT_BYTES:
            raise BadCharter("size", "$", f"a charter is at most {MAX_DOCUMENT_BYTES} bytes")

    @cached_property
    def _by_id(self) -> Mapping[bytes, Member]:
        return {member.id: member for member in self.members}

    @cached_property
    def _by_epoch(self) -> Mapping[tuple[int, int], ClassKey]:
        return {(key.key_class, key.epoch): key for key in self.classes}

    @cached_property
    def _encoded(self) -> bytes:
        return canonical(
            {
                "federation": self.federation,
                "version": self.version,
                "attempt": self.attempt,
                "mode": self.mode,
                "issued": self.issued,
                "expires": self.expires,
                "period": {
                    "number": self.period.number,
                    "start": self.period.start,
                    "commitment": self.period.commitment.hex(),
                    "sealed": {member.hex(): pepper.hex() for member, pepper in self.period.sealed.items()},
                },
                "members": [member.json() for member in self.members],
                "classes": [key.json() for key in self.classes],
                "tick_seconds": self.tick_seconds,
                "snapshots": self.snapshots,
                "policy": {
                    "entries_per_day": self.policy.entries_per_day,
                    "max_hops": self.policy.max_hops,
                },
            }
        )

    def member(self, id: bytes) -> Member:
        """Return the member with a 16-byte id. Raises `NotAMember`."""
        if id not in self._by_id:
            raise NotAMember(
                "member", "$.members", f"no member of version {self.version} has the id {id.hex()}"
            )
        return self._by_id[id]

    def class_key(self, key_class: int, epoch: int) -> ClassKey:
        """Return the key of a class and epoch, live or not. Raises `UnknownClass` or `UnknownEpoch`."""
        key = self._by_epoch.get((key_class, epoch))
        if key is not None:
            return key
        if any(key.key_class == key_class for key in self.classes):
            raise UnknownEpoch(
                "epoch", "$.classes", f"class {key_class} has no epoch {epoch} in this charter"
            )
        raise UnknownClass("class", "$.classes", f"this charter has no key for class {key_class}")

    def context(self, key: ClassKey, seat: int, caller: bytes, quorum: Sequence[int]) -> Context:
        """Return what one partial evaluation is bound to (SPEC.md §4.4): a class key, a seat, the 16-byte caller.

        The evaluator is the member in that seat; `quorum` is S, t distinct seats in ascending order. Raises `BadQuorum`
        for a seat or a quorum that this committee does not have (M-4.8).
        """
        shares.check_quorum(quorum, len(key.committee), key.threshold, seat)
        return Context(
            federation=self.federation,
            key_class=key.key_class,
            epoch=key.epoch,
            committee_hash=key.committee_hash,
            seat=seat,
            evaluator=key.committee[seat - 1],
            caller=caller,
            quorum=tuple(quorum),
        )

    def live_classes(self, key_class: int, now: int) -> tuple[ClassKey, ...]:
        """Return the epochs of a class that are evaluated at `now`, newest first. Raises `UnknownClass`."""
        every = [key for key in self.classes if key.key_class == key_class]
        if not every:
            raise UnknownClass("class", "$.classes", f"this charter has no key for class {key_class}")
        return tuple(key for key in reversed(every) if key.is_live(now))

    def period_at(self, now: int) -> int:
        """Return the period of a moment: number + ⌊(now − start) / 30 days⌋, never before the charter's own."""
        return self.period.number + max(0, now - self.period.start) // PERIOD_SECONDS

    def live_periods(self, now: int) -> range:
        """Return every period of the last 60 days under this charter's pepper.

        Periods of a pepper before it belong to an earlier charter: see `eras.live_peppers`.
        """
        return range(self.period_at(now - LOOK_BACK_SECONDS), self.period_at(now) + 1)

    @property
    def last_period(self) -> int:
        """The highest period that this charter reaches before it expires."""
        return self.period_at(self.expires - 1)

    def encode(self) -> bytes:
        """Return the document: RFC 8785 JSON, what is signed."""
        return self._encoded


def parse_charter(document: bytes) -> Charter:
    """Return the charter that exactly these bytes encode. Raises `BadCharter`, with the JSON path and the rule."""
    root = read_json(document, MAX_DOCUMENT_BYTES).members(*_CHARTER)
    period = root["period"].members(*_PERIOD)
    policy = root["policy"].members(*_POLICY)
    mode = root["mode"].text()
    charter = Charter(
        federation=root["federation"].text(),
        version=root["version"].integer(),
        attempt=root["attempt"].integer(),
        mode=checks.parse_mode(mode),
        issued=root["issued"].integer(),
        expires=root["expires"].integer(),
        period=Period(
            number=period["number"].integer(),
            start=period["start"].integer(),
            commitment=period["commitment"].hex(),
            sealed={
                unhex(key, sealed.path): sealed.hex()
                for key, sealed in period["sealed"].entries(checks.MAX_MEMBERS)
            },
        ),
        members=tuple(read_member(member) for member in root["members"].items(checks.MAX_MEMBERS)),
        classes=tuple(_read_class(key) for key in root["classes"].items(checks.MAX_CLASS_KEYS)),
        tick_seconds=root["tick_seconds"].integer(),
        snapshots=tuple(name.text() for name in root["snapshots"].items(checks.MAX_SNAPSHOTS)),
        policy=Policy(
            entries_per_day=policy["entries_per_day"].integer(), max_hops=policy["max_hops"].integer()
        ),
    )
    check_canonical(document, charter.encode())
    return charter


def read_member(place: Field) -> Member:
    """Return the member that a field holds, its ranges unchecked. Raises `BadCharter`."""
    fields = place.members("id", "name", "endpoints", "ca", *MEMBER_KEYS, "contact")
    contact = fields["contact"].members(*CONTACT_KEYS)
    return Member(
        id=fields["id"].hex(),
        name=fields["name"].text(),
        endpoints=tuple(endpoint.text() for endpoint in fields["endpoints"].items(checks.MAX_ENDPOINTS)),
        ca=fields["ca"].hex(),
        **{name: fields[name].hex() for name in MEMBER_KEYS},
        contact=Contact(
            email=contact["email"].text(),
            phone=contact["phone"].text(),
            key=contact["key"].hex(),
            note=contact["note"].text(),
        ),
    )


def _read_class(place: Field) -> ClassKey:
    fields = place.members(*_CLASS)
    try:
        commitments = decode_elements(
            [commitment.hex() for commitment in fields["commitments"].items(threshold.MAX_COMMITTEE)]
        )
    except BadElement as error:
        path = f"{place.path}.commitments[{error.index}]"
        raise BadCharter("commitment", path, f"must be a ristretto255 element ({error.rule})") from None
    until = fields["overlap_until"]
    return ClassKey(
        key_class=fields["key_class"].integer(),
        name=fields["name"].text(),
        epoch=fields["epoch"].integer(),
        threshold=fields["threshold"].integer(),
        committee=tuple(seat.hex() for seat in fields["committee"].items(threshold.MAX_COMMITTEE)),
        commitments=tuple(commitments),
        budget=fields["budget"].integer(),
        smallest_space=checks.parse_space(fields["smallest_space"].text(), fields["smallest_space"].path),
        retention_days=fields["retention_days"].integer(),
        overlap_until=None if until.value is None else until.integer(),
    )


_CHARTER = (
    "federation",
    "version",
    "attempt",
    "mode",
    "issued",
    "expires",
    "period",
    "members",
    "classes",
    "tick_seconds",
    "snapshots",
    "policy",
)
_PERIOD = ("number", "start", "commitment", "sealed")
_POLICY = ("entries_per_day", "max_hops")
_CLASS = (
    "key_class",
    "name",
    "epoch",
    "threshold",
    "committee",
    "commitments",
    "budget",
    "smallest_space",
    "retention_days",
    "overlap_until",
)
