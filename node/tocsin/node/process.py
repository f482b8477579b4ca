"""The node as a process: start, serve, watch its files, stop.

1. Order of start: settings, libsodium, keyring, store, charter, certificate and shares, services, server. What is
   wrong is reported once, as one line on standard error, before the port is open.
2. Standard output gets one JSON line, when the node serves; its log goes to standard error.
3. SIGTERM or SIGINT: NOT_SERVING, no new calls, streams end, calls in flight finish within the grace period, what was
   acknowledged is written, exit 0. A second signal cuts the grace period short.
4. A new charter, certificate or share file takes effect without a restart.
5. Exit codes: 0 stopped on request; 2 bad settings, keys, charter or a store that is not this node's; 3 the address
   or the database is not available; 130 interrupted while starting.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import structlog

import tocsin.wire  # noqa: F401 - sets what grpc reads when it is imported
from tocsin.charter.document import Charter
from tocsin.charter.errors import BadCharter
from tocsin.node import keys as material
from tocsin.node.assembly import Base, Rpc, Settings, assemble, build_rpc, open_base
from tocsin.node.config import ConfigError, NodeConfig
from tocsin.node.errors import NodeError
from tocsin.node.ops import collector, logging, process_limits
from tocsin.node.rpc.credentials import ServerIdentity
from tocsin.node.rpc.peers import GrpcPeers
from tocsin.node.rpc.server import AddressTaken, listen
from tocsin.node.service.fair_pool import FairPool
from tocsin.node.service.following.schedule import FollowingSettings
from tocsin.node.service.publishing import PublishingSettings
from tocsin.node.shares import FileShares
from tocsin.node.system import SystemClock, system_random
from tocsin.oprf.group import LibsodiumMissing, require_libsodium
from tocsin.sealing.keyring import KeyringError
from tocsin.wire.values import MemberId

READER_THREADS = 4
FILES_S = 2.0
RESTART_S = 5.0
WARNED_DAYS = 30
DAY_S = 86_400
NOT_SERVING_S = 0.2
"""How long the node still takes calls after it has said NOT_SERVING."""

LAST_BYTES_S = 0.5

_log = structlog.get_logger(__name__)


def software_version() -> str:
    """Return the installed version of Tocsin."""
    try:
        return version("tocsin")
    except PackageNotFoundError:
        return "unknown"


def run_node(config: NodeConfig) -> int:
    """Run a node until a signal stops it; return the exit code (rule 5)."""
    logging.configure(config.log_level)
    process_limits.set_limits()
    try:
        with ExitStack() as closing:
            node = _build(config, closing)
            collector.tune()
            asyncio.run(node.serve())
    except KeyboardInterrupt:
        return _fail(config, "interrupted", None, 130)
    except AddressTaken as error:
        return _fail(config, str(error), error, 3)
    except NodeError as error:
        return _fail(config, str(error), error, error.exit_code)
    except (BadCharter, LibsodiumMissing, KeyringError) as error:
        return _fail(config, str(error), error, 2)
    return 0


def _fail(config: NodeConfig, message: str, error: BaseException | None, code: int) -> int:
    if config.log_level == "debug" and error is not None:
        _log.debug("start-failed", error=error)
    sys.stderr.write(f"tocsin node: {message}\n")
    return code


def _build(config: NodeConfig, closing: ExitStack) -> Node:
    """Build everything that can be built before there is an event loop (rule 1)."""
    from tocsin.node.storage.open import open_store

    require_libsodium()
    keys = material.open_keys(config)
    clock, member = SystemClock(), MemberId(config.member_id)
    store = open_store(config.database_url, config.federation, member)
    closing.callback(store.close)
    readers = closing.enter_context(ThreadPoolExecutor(READER_THREADS, "tocsin-reader"))
    curve = closing.enter_context(FairPool(config.workers or os.cpu_count() or 1))
    base = open_base(config.federation, member, bytes.fromhex(config.charter_pin), store, clock, readers)
    closing.callback(base.close)
    charter = base.membership.load(material.read_charter(config))
    material.check_keys(config, keys, charter)
    identity = ServerIdentity(
        material.load_identity(config, keys, charter, clock.now()),
        [record.ca for record in charter.members],
    )
    shares = FileShares(config, keys)
    shares.load(charter, clock.now())
    _report_shares(shares)
    return Node(config, keys, base, curve, identity, shares)


@dataclass
class Node:
    """A node that can serve; `serve` runs it until a signal."""

    config: NodeConfig
    keys: material.NodeKeys
    base: Base
    curve: FairPool
    identity: ServerIdentity
    shares: FileShares

    async def serve(self) -> None:
        """Listen, work, and stop on a signal. Raises `AddressTaken`."""
        stopping = _stop_signals()
        membership = self.base.membership
        peers = GrpcPeers(
            charter=lambda: membership.charter,
            identity=lambda: self.identity.identity,
            executor=self.curve,
            monotonic=self.base.clock.monotonic,
            heard=self.base.clock.heard,
        )
        services = assemble(
            self.base,
            signer=material.NodeSigner(self.keys),
            shares=self.shares,
            peers=peers,
            random=system_random,
            curve=self.curve,
            settings=Settings(
                PublishingSettings(self.config.tick_seconds, self.config.cover_entries),
                FollowingSettings(self.config.follow_seconds),
            ),
        )
        rpc = build_rpc(
            services,
            system_random,
            software_version(),
            check_shares=self.shares.check,
            check_certificate=lambda: material.check_validity(self.identity.identity, self.base.clock.now()),
            reflection=self.config.reflection,
        )
        port = listen(rpc.server, self.config.listen, self.identity)
        membership.subscribe(self._apply_charter)
        await rpc.health.start()
        await rpc.server.start()
        tasks = [
            asyncio.create_task(_kept_up(name, run))
            for name, run in (
                ("publishing", services.publishing.run),
                ("following", services.following.run),
                ("expiry", services.expiring.run),
                ("restoring", services.restoring.run),
                ("health", rpc.health.run),
                ("files", self._watch_files),
                ("validity", self._watch_expiry),
                ("descriptors", process_limits.watch_descriptors),
            )
        ]
        self._announce(port, rpc.health.problem)
        try:
            await stopping.wait()
        finally:
            _log.info("stopping")
            stopping.clear()
            await self._stop(rpc, stopping)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await peers.close()
            await asyncio.to_thread(self.base.close)
            _log.info("stopped")

    def _announce(self, port: int, problem: str | None) -> None:
        address = f"{self.config.listen.rpartition(':')[0]}:{port}"
        serving = {
            "event": "serving",
            "address": address,
            "federation": self.config.federation,
            "member": self.config.member,
            "version": software_version(),
        }
        print(json.dumps(serving), flush=True)  # noqa: T201 - rule 2: the one line on standard output
        _log.info("serving", address=address, charter=self.base.membership.charter.version, problem=problem)

    async def _stop(self, rpc: Rpc, second_signal: asyncio.Event) -> None:
        await rpc.health.stop()
        await asyncio.sleep(NOT_SERVING_S)
        rpc.guard.end_streams()
        drained = asyncio.ensure_future(rpc.guard.drain())
        hurried = asyncio.ensure_future(second_signal.wait())
        await asyncio.wait(
            {drained, hurried}, timeout=self.config.grace_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for waiting in (drained, hurried):
            waiting.cancel()
        # The grace period covers answers that are computed and not sent yet.
        await rpc.server.stop(LAST_BYTES_S)

    def _apply_charter(self, charter: Charter) -> None:
        """Apply a new charter: whom the server trusts, and the shares of its class keys."""
        self.identity.replace_authorities(record.ca for record in charter.members)
        try:
            material.check_keys(self.config, self.keys, charter)
        except ConfigError as error:
            _log.error("charter-needs-attention", charter=charter.version, problem=str(error))
            return
        self.shares.load(charter, self.base.clock.now())
        _report_shares(self.shares)
        _log.info("charter-in-force", charter=charter.version)

    async def _watch_files(self) -> None:
        """Notice new charter, certificate and share files (rule 4)."""
        # The certificate and its key may arrive in any order, seconds apart: what does not fit yet is refused, and read
        # again when the other one comes.
        certificate = self.config.path(self.config.certificate)
        watched: list[tuple[Path, Callable[[], Awaitable[object]]]] = [
            (self.config.path(self.config.charter), self._read_charter),
            (certificate, lambda: asyncio.to_thread(self._read_certificate)),
            (self.config.path(self.config.keyring), lambda: asyncio.to_thread(self._read_certificate)),
            (self.config.path(self.config.shares), lambda: asyncio.to_thread(self._read_shares)),
        ]
        stamps = {path: _stamp(path) for path, _ in watched}
        while True:
            await asyncio.sleep(FILES_S)
            for path, read in watched:
                stamp = _stamp(path)
                if stamp == stamps[path]:
                    continue
                stamps[path] = stamp
                try:
                    await read()
                except (BadCharter, KeyringError, NodeError) as error:
                    _log.error("file-refused", file=path.name, problem=str(error))

    async def _read_charter(self) -> None:
        envelope = material.read_charter(self.config)
        if envelope is not None:
            await self.base.membership.adopt(envelope)

    def _read_certificate(self) -> None:
        # The keyring is read again, since a new certificate comes with a new key; other keys stay as they were opened.
        keys = material.open_keys(self.config)
        charter, now = self.base.membership.charter, self.base.clock.now()
        self.identity.replace_identity(material.load_identity(self.config, keys, charter, now))
        _log.info("certificate-rotated")

    def _read_shares(self) -> None:
        charter = self.base.membership.charter
        self.shares.load(charter, self.base.clock.now())
        _report_shares(self.shares)
        _log.info("shares-loaded", charter=charter.version)

    async def _watch_expiry(self) -> None:
        """Warn once a day from 30 days before the certificate or the charter expires."""
        while True:
            now, charter = self.base.clock.now(), self.base.membership.charter
            left = material.valid_until(self.identity.identity) - now
            if left < WARNED_DAYS * DAY_S:
                _log.warning("certificate-expires", days=left // DAY_S)
            left = charter.expires - now
            if left < WARNED_DAYS * DAY_S:
                _log.warning("charter-expires", charter=charter.version, days=left // DAY_S)
            await asyncio.sleep(DAY_S)


def _report_shares(shares: FileShares) -> None:
    for problem in shares.problems:
        _log.error("share-missing", problem=problem)


def _stamp(path: Path) -> tuple[object, ...]:
    """Return what changes when a file is replaced, or any file of a folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return tuple(_file_stamp(file) for file in files)


def _file_stamp(path: Path) -> tuple[str, int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return path.name, status.st_ino, status.st_size, status.st_mtime_ns


def _stop_signals() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


async def _kept_up(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run a task for as long as the node runs: what ends it unexpectedly is logged, and it starts again."""
    while True:
        try:
            await run()
        except Exception as error:
            _log.error("task-failed", task=name, error=error)
        await asyncio.sleep(RESTART_S)
