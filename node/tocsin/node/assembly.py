"""Builds a node from its ports: the one place that decides which service works with which.

1. `open_base` builds what it takes to load a charter: the way to the store, and the membership.
2. `assemble` builds every service on that. Nothing runs until somebody calls it: whoever wants a node that publishes
   follows and erases by itself runs `run()` of `publishing`, `following`, `expiring` and `restoring` in `Services`.
3. `build_rpc` puts the services behind the guard of a grpc server that does not listen yet.
4. The product (`process`), tests and benchmarks build nodes here, and nowhere else; no service builds another.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tocsin.node.ops.audit import AuditTrail
from tocsin.node.ops.health import Health
from tocsin.node.ops.process_limits import most_connections
from tocsin.node.ports import Clock, Peers, Shares, Signer, Store
from tocsin.node.rpc.authorize import Gate
from tocsin.node.rpc.guard import Guard
from tocsin.node.rpc.server import Servicers, add_reflection, build_server
from tocsin.node.rpc.servicers import (
    EvaluationServicer,
    LogServicer,
    LookupServicer,
    MembershipServicer,
    PublishingServicer,
)
from tocsin.node.service.checked_clock import CheckedClock
from tocsin.node.service.evaluating import FREE_REPEATS, Evaluating
from tocsin.node.service.expiring import Expiring
from tocsin.node.service.fair_pool import FairPool
from tocsin.node.service.following.schedule import Following, FollowingSettings
from tocsin.node.service.group_commit import GroupCommitWriter
from tocsin.node.service.log_reader import LogReader
from tocsin.node.service.looking_up import LookingUp
from tocsin.node.service.membership import Membership
from tocsin.node.service.notifications import ChangeNotifications
from tocsin.node.service.own_history import OwnHistory
from tocsin.node.service.publishing import Publishing, PublishingSettings
from tocsin.node.service.relaying import SEAT_DEADLINE_S, Relaying
from tocsin.node.service.restoring import Restoring
from tocsin.node.service.status import StatusReporter
from tocsin.node.service.store_gateway import StoreGateway
from tocsin.oprf.group import Random
from tocsin.wire.values import MemberId

if TYPE_CHECKING:
    import grpc


@dataclass(frozen=True)
class Base:
    """A member's store and charters. Close it before the store: it finishes what is queued."""

    member: MemberId
    store: Store
    clock: CheckedClock
    writer: GroupCommitWriter
    gateway: StoreGateway
    membership: Membership

    def close(self) -> None:
        """Write what was acknowledged, then take no more writes. May be called twice."""
        self.writer.close()


@dataclass(frozen=True)
class Settings:
    """What may differ from node to node; `free_repeats` and `seat_deadline_s` differ in tests only."""

    publishing: PublishingSettings = field(default_factory=PublishingSettings)
    following: FollowingSettings = field(default_factory=FollowingSettings)
    free_repeats: float = FREE_REPEATS
    seat_deadline_s: float = SEAT_DEADLINE_S


@dataclass(frozen=True)
class Services:
    """Everything that a node can do, without a network of its own."""

    base: Base
    evaluating: Evaluating
    relaying: Relaying
    publishing: Publishing
    history: OwnHistory
    following: Following
    expiring: Expiring
    restoring: Restoring
    log_reader: LogReader
    looking_up: LookingUp
    status: StatusReporter


@dataclass(frozen=True)
class Rpc:
    """A grpc server that serves `Services`, and what starting and stopping it takes."""

    server: grpc.aio.Server
    guard: Guard
    health: Health


def open_base(
    federation: str, member: MemberId, pin: bytes | None, store: Store, system: Clock, readers: Executor
) -> Base:
    """Build what it takes to load a charter. `pin` is the SHA-256 of charter 1; `readers` runs the store's reads."""
    clock = CheckedClock(system)
    writer = GroupCommitWriter(store, clock)
    gateway = StoreGateway(store, writer, readers)
    membership = Membership(federation, member, pin, gateway, clock)
    return Base(member, store, clock, writer, gateway, membership)


def assemble(
    base: Base,
    *,
    signer: Signer,
    shares: Shares,
    peers: Peers,
    random: Random,
    curve: FairPool,
    settings: Settings = Settings(),
) -> Services:
    """Build every service. `curve` runs multiplications, and the hashing of what peers send."""
    member, membership, gateway, clock = base.member, base.membership, base.gateway, base.clock
    notifications = ChangeNotifications()
    evaluating = Evaluating(
        member, membership, gateway, signer, shares, clock, random, curve, settings.free_repeats
    )
    relaying = Relaying(
        member, membership, evaluating, peers, gateway, clock, curve, settings.seat_deadline_s
    )
    expiring = Expiring(membership, gateway, clock, random)
    restoring = Restoring(membership, gateway, peers, notifications, clock)
    history = OwnHistory(member, membership, gateway, peers, clock, settings.publishing.patience_s)
    publishing = Publishing(
        member, membership, gateway, signer, history, notifications, clock, random, settings.publishing
    )
    following = Following(
        member,
        membership,
        gateway,
        signer,
        peers,
        history,
        notifications,
        clock,
        random,
        curve,
        settings.following,
    )
    return Services(
        base,
        evaluating,
        relaying,
        publishing,
        history,
        following,
        expiring,
        restoring,
        LogReader(gateway, clock),
        LookingUp(member, membership, gateway, notifications, clock, lambda: expiring.expired_week),
        StatusReporter(member, membership, gateway, publishing, history, following),
    )


def build_rpc(
    services: Services,
    random: Random,
    software_version: str,
    *,
    check_shares: Callable[[], object],
    check_certificate: Callable[[], object],
    reflection: bool,
) -> Rpc:
    """Build the server. Call it in the event loop that serves it. The checks raise what is wrong (`health`)."""
    base = services.base
    clock, membership, publishing = base.clock, base.membership, services.publishing
    checks: dict[str, Callable[[], object]] = {
        "store": base.store.healthy,
        "charter": lambda: membership.check_fresh(clock.now()),
        "history": services.history.check,
        "clock": clock.check_agrees,
        "ticks": publishing.check_ticks,
        "shares": check_shares,
        "certificate": check_certificate,
    }
    health = Health(checks)
    audit = AuditTrail(base.writer.submit, clock.now, clock.monotonic)
    gate = Gate(base.member, lambda: membership.charter, clock.now)
    guard = Guard(gate, refused=audit.refused, incident=lambda: random(8).hex())
    server = build_server(
        guard,
        Servicers(
            EvaluationServicer(services.evaluating, services.relaying),
            PublishingServicer(publishing),
            LogServicer(services.log_reader, services.looking_up),
            LookupServicer(services.looking_up),
            MembershipServicer(membership, services.status, software_version),
            health.servicer,
        ),
        most_connections(),
    )
    if reflection:
        add_reflection(server)
    return Rpc(server, guard, health)
