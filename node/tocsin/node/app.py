"""The node as a process: the only place that builds things and wires them together.

1. Order of start: settings, libsodium, keyring, store, charter, certificate and shares, services, server. Whatever is
   wrong is told once, as one line on standard error, before the port is open.
2. Standard output gets one JSON line, when the node serves; its log goes to standard error.
3. SIGTERM or SIGINT: NOT_SERVING, no new calls, streams end, calls in flight finish within the grace, what was
   acknowledged is written, exit 0. A second signal cuts the grace short.
4. A new charter, certificate or share file takes effect without a restart.
5. Exit codes: 0 stopped on request; 2 bad settings, keys, charter or a store that is not this node's; 3 the address
   or the database cannot be had; 130 interrupted while starting.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import structlog

import tocsin.node.rpc  # noqa: F401 - settings that grpc reads when it is imported
from tocsin.charter.errors import BadCharter
from tocsin.node import keys as material
from tocsin.node.config import ConfigError, NodeConfig
from tocsin.node.model import MemberId
from tocsin.node.ops import collector, logging
from tocsin.node.ops.audit import AuditTrail
from tocsin.node.ops.health import Health
from tocsin.node.ports import (
    ForeignStore,
    Store,
    StoreError,
    StoreFull,
    StoreInUse,
    StoreTooNew,
    StoreUnavailable,
)
from tocsin.node.rpc.authorize import Gate
from tocsin.node.rpc.credentials import ServerIdentity
from tocsin.node.rpc.guard import Guard
from tocsin.node.rpc.peers import GrpcPeers
from tocsin.node.rpc.server import AddressTaken, Servicers, add_reflection, build_server, listen
from tocsin.node.rpc.servicers import (
    EvaluationServicer,
    LogServicer,
    LookupServicer,
    MembershipServicer,
    PublishingServicer,
)
from tocsin.node.service.errors import ServiceError
from tocsin.node.service.evaluating import Evaluating
from tocsin.node.service.following.schedule import Following, FollowingSettings
from tocsin.node.service.group_commit import GroupCommitWriter
from tocsin.node.service.log_reader import LogReader
from tocsin.node.service.looking_up import LookingUp
from tocsin.node.service.membership import Membership
from tocsin.node.service.notifications import ChangeNotifications
from tocsin.node.service.publishing import OldHistory, Publishing, PublishingSettings
from tocsin.node.service.relaying import Relaying
from tocsin.node.service.status import StatusReporter
from tocsin.node.service.store_gateway import StoreGateway
from tocsin.node.system import SystemClock, system_random
from tocsin.oprf.group import LibsodiumMissing, Scalar, require_libsodium
from tocsin.sealing.keyring import KeyringError

if TYPE_CHECKING:
    import grpc

    from tocsin.charter.document import Charter

READERS = 4
FILES_S = 2.0
RESTART_S = 5.0
NOT_SERVING_S = 0.2
"""How long the node goes on taking calls after it has said NOT_SERVING."""

LAST_BYTES_S = 0.5


def software_version() -> str:
    """Return the installed version of Tocsin."""
    try:
        return version("tocsin")
    except PackageNotFoundError:
        return "unknown"


def run_node(config: NodeConfig) -> int:
    """Run a node until it is told to stop; return the exit code (rule 5)."""
    logging.configure(config.log_level)
    try:
        with ExitStack() as closing:
            node = _build(config, closing)
            collector.tune()
            asyncio.run(node.serve())
    except KeyboardInterrupt:
        return _fail(config, "interrupted", None, 130)
    except (ConfigError, BadCharter, LibsodiumMissing, KeyringError) as error:
        return _fail(config, str(error), error, 2)
    except ServiceError as error:
        return _fail(config, f"{error.reason}: {error}", error, 2)
    except (AddressTaken, StoreUnavailable, StoreFull) as error:
        return _fail(config, str(error), error, 3)
    except (StoreInUse, ForeignStore, StoreTooNew, StoreError) as error:
        return _fail(config, str(error), error, 2)
    return 0


def _fail(config: NodeConfig, message: str, error: BaseException | None, code: int) -> int:
    if config.log_level == "debug" and error is not None:
        structlog.get_logger().debug("start-failed", error=error)
    sys.stderr.write(f"tocsin node: {message}\n")
    return code


def _build(config: NodeConfig, closing: ExitStack) -> Node:
    """Build everything that can be built before there is an event loop (rule 1)."""
    from tocsin.node.storage.open import open_store

    require_libsodium()
    keys = material.open_keys(config)
    clock = SystemClock()
    store = open_store(config.database_url, config.federation, config.member_id)
    closing.callback(store.close)
    writer = GroupCommitWriter(store, clock)
    closing.callback(writer.close)
    readers = closing.enter_context(ThreadPoolExecutor(READERS, "tocsin-reader"))
    curve = closing.enter_context(ThreadPoolExecutor(config.workers or os.cpu_count() or 1, "tocsin-curve"))
    gateway = StoreGateway(store, writer, readers)
    membership = Membership(
        config.federation, MemberId(config.member_id), bytes.fromhex(config.charter_pin), gateway, clock
    )
    charter = membership.load(material.read_charter(config))
    material.check_keys(config, keys, charter)
    identity = ServerIdentity(
        material.load_identity(config, keys, charter, clock.now()),
        [member.ca for member in charter.members],
    )
    shares = dict(material.load_shares(config, keys, charter, clock.now()))
    return Node(config, keys, clock, store, writer, gateway, curve, membership, identity, shares)


@dataclass
class Node:
    """A built node; `serve` runs it until a signal."""

    config: NodeConfig
    keys: material.NodeKeys
    clock: SystemClock
    store: Store
    writer: GroupCommitWriter
    gateway: StoreGateway
    curve: Executor
    membership: Membership
    identity: ServerIdentity
    shares: dict[tuple[int, int, int], Scalar]

    async def serve(self) -> None:
        """Listen, work, and stop on a signal. Raises `AddressTaken`."""
        log = structlog.get_logger()
        member = MemberId(self.config.member_id)
        stopping = _stop_signals()
        peers = GrpcPeers(
            charter=lambda: self.membership.charter,
            identity=lambda: self.identity.identity,
            executor=self.curve,
            monotonic=self.clock.monotonic,
        )
        audit = AuditTrail(self.writer.submit, self.clock.now, self.clock.monotonic)
        gate = Gate(member, lambda: self.membership.charter, self.clock.now)
        guard = Guard(gate, refused=audit.refused, incident=lambda: system_random(8).hex())
        signer = material.NodeSigner(self.keys)
        notifications = ChangeNotifications()
        evaluating = Evaluating(
            member,
            self.membership,
            self.gateway,
            signer,
            self.shares,
            self.clock,
            system_random,
            self.curve,
        )
        relaying = Relaying(member, self.membership, evaluating, peers, self.gateway, self.clock, self.curve)
        publishing = Publishing(
            member,
            self.membership,
            self.gateway,
            signer,
            peers,
            notifications,
            self.clock,
            system_random,
            PublishingSettings(self.config.tick_seconds, self.config.cover_entries),
        )
        following = Following(
            member,
            self.membership,
            self.gateway,
            signer,
            peers,
            publishing,
            notifications,
            self.clock,
            system_random,
            self.curve,
            FollowingSettings(self.config.follow_seconds, self.config.follow_entries),
        )
        looking_up = LookingUp(
            member, self.membership, self.gateway, notifications, self.clock, lambda: publishing.expired_week
        )
        status = StatusReporter(member, self.membership, self.gateway, publishing, following)
        health = Health(
            {
                "store": self.store.healthy,
                "charter": lambda: self.membership.check_fresh(self.clock.now()),
                "history": lambda: _check_history(publishing),
            }
        )
        server = build_server(
            guard,
            Servicers(
                EvaluationServicer(evaluating, relaying, self.curve),
                PublishingServicer(publishing),
                LogServicer(LogReader(self.gateway), looking_up),
                LookupServicer(looking_up),
                MembershipServicer(self.membership, status, software_version()),
                health.servicer,
            ),
        )
        if self.config.reflection:
            add_reflection(server)
        port = listen(server, self.config.listen, self.identity)
        self.membership.subscribe(self._go_by)
        await health.start()
        await server.start()
        tasks = [
            asyncio.create_task(_kept_up(name, run))
            for name, run in (
                ("publishing", publishing.run),
                ("following", following.run),
                ("health", health.run),
                ("files", self._watch_files),
            )
        ]
        address = f"{self.config.listen.rpartition(':')[0]}:{port}"
        print(  # noqa: T201 - rule 2: the one line on standard output
            json.dumps(
                {
                    "event": "serving",
                    "address": address,
                    "federation": self.config.federation,
                    "member": self.config.member,
                    "version": software_version(),
                }
            ),
            flush=True,
        )
        log.info(
            "serving", address=address, charter=self.membership.charter.version, ready=health.problem is None
        )
        try:
            await stopping.wait()
        finally:
            log.info("stopping")
            stopping.clear()
            await self._stop(server, guard, health, stopping)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await peers.close()
            await asyncio.to_thread(self.writer.close)
            log.info("stopped")

    async def _stop(
        self, server: grpc.aio.Server, guard: Guard, health: Health, again: asyncio.Event
    ) -> None:
        await health.stop()
        await asyncio.sleep(NOT_SERVING_S)
        guard.end_streams()
        drained = asyncio.ensure_future(guard.drain())
        hurry = asyncio.ensure_future(again.wait())
        await asyncio.wait(
            {drained, hurry}, timeout=self.config.grace_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for waiting in (drained, hurry):
            waiting.cancel()
        # The grace covers answers that are computed and not sent yet.
        await server.stop(LAST_BYTES_S)

    def _go_by(self, charter: Charter) -> None:
        """Let a new charter take effect: whom the server trusts, and the shares of its class keys."""
        log = structlog.get_logger()
        self.identity.replace_authorities(member.ca for member in charter.members)
        try:
            material.check_keys(self.config, self.keys, charter)
            shares = material.load_shares(self.config, self.keys, charter, self.clock.now())
        except ConfigError as error:
            log.error("charter-needs-attention", charter=charter.version, problem=str(error))
            return
        # The services hold this very mapping.
        for place in self.shares.keys() - shares.keys():
            del self.shares[place]
        self.shares.update(shares)
        log.info("charter-in-force", charter=charter.version)

    async def _watch_files(self) -> None:
        """Notice a new charter or certificate file (rule 4)."""
        log = structlog.get_logger()
        charter_file = self.config.path(self.config.charter)
        certificate = self.config.path(self.config.certificate)
        seen = {path: _stamp(path) for path in (charter_file, certificate)}
        while True:
            await asyncio.sleep(FILES_S)
            for path, before in tuple(seen.items()):
                stamp = _stamp(path)
                if stamp == before:
                    continue
                seen[path] = stamp
                try:
                    if path == charter_file:
                        envelope = material.read_charter(self.config)
                        if envelope is not None:
                            await self.membership.adopt(envelope)
                    else:
                        await asyncio.to_thread(self._rotate)
                except (BadCharter, ConfigError, KeyringError, ServiceError) as error:
                    log.error("file-refused", file=path.name, problem=str(error))

    def _rotate(self) -> None:
        # The keyring is read again, since a new certificate comes with a new key; other keys stay as they were opened.
        keys = material.open_keys(self.config)
        self.identity.replace_identity(
            material.load_identity(self.config, keys, self.membership.charter, self.clock.now())
        )
        structlog.get_logger().info("certificate-rotated")


def _check_history(publishing: Publishing) -> None:
    if publishing.old_history is not None:
        raise OldHistory(publishing.old_history)


def _stamp(path: os.PathLike[str]) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _stop_signals() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


async def _kept_up(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run a task for as long as the node runs: what ends it by surprise is logged, and it begins again."""
    while True:
        try:
            await run()
        except Exception as error:
            structlog.get_logger().error("task-failed", task=name, error=error)
        await asyncio.sleep(RESTART_S)
