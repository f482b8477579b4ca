"""A federation in one process: real services on a store in memory, a virtual clock, peers that call each other.

Everything but clock, randomness and transport is the product's. A counterparty's malice is put behind the `Peers`
port, as `Wire` hooks, or done with the keys that the counterparty has.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tests.fakes.deterministic import NOW, FakeClock, seeded
from tests.fakes.memory_store import MemoryStore
from tocsin.charter.document import Charter, ClassKey, Member, Period, Policy
from tocsin.charter.envelope import SignedCharter, charter_hash, sign_document
from tocsin.founding.certificates import make_authority
from tocsin.node.assembly import Base, Services, Settings, assemble, open_base
from tocsin.node.ports import PeerError, Store
from tocsin.node.service.checked_clock import CheckedClock
from tocsin.node.service.errors import ServiceError
from tocsin.node.service.fair_pool import FairPool
from tocsin.node.service.following.schedule import FollowingSettings
from tocsin.node.service.publishing import PublishingSettings
from tocsin.oprf import shares, threshold
from tocsin.oprf.group import Scalar, random_scalar
from tocsin.oprf.rfc9497 import Output, blind, finalize
from tocsin.oprf.threshold import Context
from tocsin.primitives.ed25519 import SigningKey
from tocsin.sealing.pepper import Pepper, pepper_commitment
from tocsin.tlog.entry import Entry, parse_body, sealed_header, weeks_after
from tocsin.tlog.merkle import Hash
from tocsin.wire.values import BudgetLeft, MemberId, PartialRequest, SignedPartial, Stored

T = TypeVar("T")

NAME = "fake.test"
DAY = 86_400
RETENTION_DAYS = 49
PUBLISHING = PublishingSettings(patience_s=0.2)
FOLLOWING = FollowingSettings()


def member_id(number: int) -> MemberId:
    """Return the id of member `number`, from 1."""
    return MemberId(bytes([number]) * 16)


@dataclass(frozen=True)
class Keys:
    """A member's private keys: the `Signer` port, and the identity seed for charters."""

    identity: bytes
    log: SigningKey
    cosigner: SigningKey
    node: SigningKey

    def sign_log(self, message: bytes) -> bytes:
        return self.log.sign(message)

    def sign_cosigner(self, message: bytes) -> bytes:
        return self.cosigner.sign(message)

    def sign_node(self, message: bytes) -> bytes:
        return self.node.sign(message)


@functools.cache
def keys_of(number: int) -> Keys:
    """Return the same keys for the same number."""
    random = seeded(f"keys {number}")
    return Keys(random(32), SigningKey(random(32)), SigningKey(random(32)), SigningKey(random(32)))


@functools.cache
def record_of(number: int) -> Member:
    """Return the charter's record of member `number`."""
    keys, random = keys_of(number), seeded(f"record {number}")
    return Member(
        id=member_id(number),
        name=f"Provider {number}",
        endpoints=(f"node{number}.example.test:7443",),
        ca=make_authority(NAME, member_id(number), NOW).der,
        identity=SigningKey(keys.identity).public_key,
        log=keys.log.public_key,
        cosigner=keys.cosigner.public_key,
        node=keys.node.public_key,
        node_hpke=random(32),
        client_hpke=random(32),
    )


class Wire:
    """One node's `Peers`: calls the other nodes' services. `down` are silent; hooks may change what comes back."""

    def __init__(self, federation: Federation, me: MemberId, clock: CheckedClock) -> None:
        self._federation = federation
        self._me = me
        self._clock = clock
        self.down: set[MemberId] = set()
        self.evaluated: Callable[[MemberId, PartialRequest, SignedPartial], SignedPartial] | None = None
        self.shown: Callable[[MemberId, dict[MemberId, bytes]], dict[MemberId, bytes]] | None = None
        self.on_the_way: Callable[[MemberId, list[bytes]], list[bytes]] | None = None
        self.sent: Callable[[MemberId, list[Stored]], list[Stored]] | None = None
        self.asked: list[tuple[MemberId, tuple[int, ...]]] = []

    async def evaluate(self, member: MemberId, request: PartialRequest) -> SignedPartial:
        self.asked.append((member, request.quorum))
        node = self._node(member)
        signed = await _refusing(member, node.evaluating.evaluate(self._me, request))
        return self.evaluated(member, request, signed) if self.evaluated else signed

    async def budgets(self, member: MemberId) -> list[BudgetLeft]:
        return await _refusing(member, self._node(member).evaluating.budgets(self._me))

    async def checkpoints(self, member: MemberId) -> dict[MemberId, bytes]:
        reader = self._node(member).log_reader
        listed = await _refusing(member, reader.checkpoints())
        self._clock.heard(member, reader.time())
        notes = {head.writer: head.note for head in listed}
        return self.shown(member, notes) if self.shown else notes

    async def entries(self, member: MemberId, writer: MemberId, start: int, limit: int) -> list[Stored]:
        sent = await _refusing(member, self._node(member).log_reader.entries(writer, start, limit))
        return self.sent(member, sent) if self.sent else sent

    async def intermediate_checkpoints(self, member: MemberId, after: int, limit: int) -> list[bytes]:
        reader = self._node(member).log_reader
        notes = await _refusing(member, reader.intermediate_checkpoints(after, limit))
        return self.on_the_way(member, notes) if self.on_the_way else notes

    async def consistency(
        self, member: MemberId, writer: MemberId, old_size: int, new_size: int
    ) -> list[Hash]:
        return await _refusing(member, self._node(member).log_reader.consistency(writer, old_size, new_size))

    async def charters(self, member: MemberId, first_version: int) -> list[bytes]:
        return await _refusing(member, self._node(member).membership.charters(first_version))

    def _node(self, member: MemberId) -> Node:
        if member in self.down:
            raise PeerError(member, "UNREACHABLE")
        return self._federation.served_by(self._me, member)


async def _refusing(member: MemberId, call: Awaitable[T]) -> T:
    try:
        return await call
    except ServiceError as error:
        raise PeerError(member, error.reason, error.message) from None


class DealtShares:
    """The `Shares` port on the shares that the tests' dealer made."""

    def __init__(self, held: Mapping[tuple[int, int, int], Scalar]) -> None:
        self._held = held

    def share(self, key_class: int, epoch: int, seat: int) -> Scalar | None:
        return self._held.get((key_class, epoch, seat))


@dataclass
class Node:
    """One member's node, assembled as the product assembles it."""

    keys: Keys
    wire: Wire
    services: Services

    def __post_init__(self) -> None:
        services, base = self.services, self.services.base
        self.id, self.store, self.gateway, self.membership = (
            base.member,
            base.store,
            base.gateway,
            base.membership,
        )
        self.evaluating, self.relaying = services.evaluating, services.relaying
        self.publishing, self.following = services.publishing, services.following
        self.log_reader, self.looking_up = services.log_reader, services.looking_up
        self.status, self.history = services.status, services.history
        self.restoring = services.restoring
        self.expiring, self.clock = services.expiring, base.clock


@dataclass
class Federation:
    """Members 1 to n, one class key with committee 1 to c."""

    clock: FakeClock
    executor: FairPool
    charter: Charter
    envelope: SignedCharter
    secret: Scalar
    shares: Sequence[Scalar]
    nodes: dict[MemberId, Node] = field(default_factory=dict)
    faces: dict[tuple[MemberId, MemberId], Node] = field(default_factory=dict)
    """(asker, member) → another node that answers the asker in the member's name: two histories."""
    opened: list[Base] = field(default_factory=list)

    def __getitem__(self, number: int) -> Node:
        return self.nodes[member_id(number)]

    def served_by(self, asker: MemberId, member: MemberId) -> Node:
        return self.faces.get((asker, member), self.nodes[member])

    def open_node(
        self,
        number: int,
        store: Store | None = None,
        publishing: PublishingSettings = PUBLISHING,
        following: FollowingSettings = FOLLOWING,
        free_repeats: float = 16_384.0,
        clock: FakeClock | None = None,
    ) -> Node:
        """Start a member's services on a store; they are not put in place of its node."""
        me, keys = member_id(number), keys_of(number)
        store = store if store is not None else MemoryStore(NAME, me)
        pin = charter_hash(self.envelope.document)
        base = open_base(NAME, me, pin, store, clock or self.clock, self.executor)
        self.opened.append(base)
        base.membership.load(self.envelope.encode())
        wire = Wire(self, me, base.clock)
        held = {
            (key.key_class, key.epoch, seat): self.shares[seat - 1]
            for key in self.charter.classes
            for seat in key.seats_of(me)
        }
        services = assemble(
            base,
            signer=keys,
            shares=DealtShares(held),
            peers=wire,
            random=seeded(f"node {number} {len(self.opened)}"),
            curve=self.executor,
            settings=Settings(publishing, following, free_repeats, seat_deadline_s=2.0),
        )
        return Node(keys, wire, services)

    async def tick_all(self) -> None:
        """Let a tick's time pass and every node publish."""
        self.clock.advance(self.charter.tick_seconds)
        for node in self.nodes.values():
            await node.publishing.tick()

    async def erase_all(self) -> None:
        """Let every node erase what has expired."""
        for node in self.nodes.values():
            await node.expiring.erase()

    async def follow_all(self) -> None:
        """Do one round between every two members."""
        for node in self.nodes.values():
            for other in self.nodes:
                if other != node.id:
                    await node.following.round(other)

    def entry(self, tag: bytes, days: int = RETENTION_DAYS) -> Entry:
        """Return a sealed entry under a tag whose box holds nothing that could be opened."""
        now = self.clock.now()
        header = sealed_header(1, 1, self.charter.period_at(now), weeks_after(now, days * DAY))
        return Entry(header, parse_body(tag + seeded(f"box {tag.hex()} {now}")(552)))


def sign_charter(charter: Charter, numbers: Sequence[int]) -> SignedCharter:
    """Return a charter signed by these members."""
    document = charter.encode()
    return SignedCharter(
        document, tuple((member_id(n), sign_document(document, keys_of(n).identity)) for n in numbers)
    )


@contextmanager
def founded(
    members: int = 3, c: int = 3, t: int = 2, budget: int = 100_000, per_day: int = 1_000_000
) -> Iterator[Federation]:
    """Found a federation and start every node."""
    random = seeded("founding")
    secret = random_scalar(random)
    dealt = shares.split(secret, c, t, random)
    ids = [member_id(number) for number in range(1, members + 1)]
    key = ClassKey(
        key_class=1,
        name="payment",
        epoch=1,
        threshold=t,
        committee=tuple(ids[:c]),
        commitments=dealt.commitments,
        budget=budget,
        smallest_space=10**18,
        retention_days=RETENTION_DAYS,
        overlap_until=None,
    )
    pepper = Pepper(random(32))
    charter = Charter(
        federation=NAME,
        version=1,
        attempt=1,
        mode="test",
        issued=NOW - DAY,
        expires=NOW + 365 * DAY,
        period=Period(1, NOW - DAY, pepper_commitment(pepper), {id: random(80) for id in ids}),
        members=tuple(record_of(number) for number in range(1, members + 1)),
        classes=(key,),
        tick_seconds=60,
        snapshots=("email-rules-2",),
        policy=Policy(entries_per_day=per_day, max_hops=4),
    )
    envelope = sign_charter(charter, range(1, members + 1))
    with FairPool(2) as executor:
        federation = Federation(FakeClock(), executor, charter, envelope, secret, dealt.shares)
        try:
            for number in range(1, members + 1):
                federation.nodes[member_id(number)] = federation.open_node(number)
            yield federation
        finally:
            for base in federation.opened:
                base.close()


def successor(federation: Federation, signers: Sequence[int], **notifications: object) -> SignedCharter:
    """Return version 2 with these changes, signed by these members."""
    charter = replace(federation.charter, version=federation.charter.version + 1, **notifications)  # type: ignore[arg-type] # the changes are fields of a charter
    return sign_charter(charter, signers)


def context_of(federation: Federation, caller: MemberId, signed: SignedPartial) -> Context:
    """Return what a partial of this caller's must be bound to."""
    key = federation.charter.classes[0]
    return Context(
        NAME, 1, 1, key.committee_hash, signed.seat, key.committee[signed.seat - 1], caller, signed.quorum
    )


def evaluate(
    federation: Federation, node: Node, inputs: Sequence[bytes], seed: str = "blinding"
) -> tuple[list[Output], list[SignedPartial]]:
    """Do what a client does: blind, ask the own node, verify every partial, combine, finalize; complain of none."""
    key = federation.charter.classes[0]
    blindings, blinded = blind(inputs, seeded(seed))
    partials = asyncio.run(node.relaying.evaluate(1, 1, key.committee_hash, blinded))
    contexts = [context_of(federation, node.id, signed) for signed in partials]
    threshold.check_contexts(contexts)
    for context, signed in zip(contexts, partials, strict=True):
        threshold.verify(key.commitments, context, blinded, signed.partial)
    combined = threshold.combine([signed.partial for signed in partials])
    return finalize(blindings, combined), partials
