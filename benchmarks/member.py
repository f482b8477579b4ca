"""A member's services without its network: built from its own folder exactly as its node builds them.

For what the network has no part in. Nothing here is a stand-in but `Blank`, peers that have heard of nothing yet.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from tocsin.indicators.registry import KeyClass
from tocsin.localnet.federation import Home
from tocsin.node.assembly import Base, Services, Settings, assemble, open_base
from tocsin.node.config import NodeConfig, load_config
from tocsin.node.keys import NodeKeys, NodeSigner, open_keys, read_charter
from tocsin.node.ops import collector
from tocsin.node.ports import PeerError, Peers, Store
from tocsin.node.service.checked_clock import CheckedClock
from tocsin.node.service.fair_pool import FairPool
from tocsin.node.service.publishing import PublishingSettings
from tocsin.node.shares import FileShares
from tocsin.node.storage.open import open_store
from tocsin.node.system import SystemClock, system_random
from tocsin.tlog.entry import BODY_BYTES, Entry, parse_body, sealed_header, weeks_after
from tocsin.wire.values import MemberId

T = TypeVar("T")
DAY_S = 86_400


class Blank:
    """The `Peers` of a new federation: they agree with this node's clock and hold no log, and that is all they say."""

    def __init__(self, clock: CheckedClock) -> None:
        self._clock = clock

    async def checkpoints(self, member: MemberId) -> dict[MemberId, bytes]:
        """No log is known."""
        self._clock.heard(member, self._clock.now())
        return {}

    async def _refuse(self, member: MemberId, *_: object) -> NoReturn:
        raise PeerError(member, "UNREACHABLE")

    evaluate = budgets = entries = intermediate_checkpoints = consistency = charters = _refuse


@dataclass(frozen=True)
class Member:
    """A member's services. `run` runs what they do on an event loop of its own."""

    config: NodeConfig
    keys: NodeKeys
    base: Base
    curve: FairPool
    loop: asyncio.AbstractEventLoop
    services: Services

    @property
    def id(self) -> MemberId:
        """The member's id."""
        return self.base.member

    @property
    def store(self) -> Store:
        """The member's store."""
        return self.base.store

    def with_peers(self, peers: Peers) -> Services:
        """Return services on the same store whose peers are others."""
        return _assemble(self.config, self.keys, self.base, self.curve, peers)

    def run(self, work: Coroutine[object, object, T]) -> T:
        """Run a coroutine to its end."""
        return self.loop.run_until_complete(work)

    def publish(self, batches: Sequence[Sequence[Entry]]) -> None:
        """Submit batches one after the other, each durable before the next, then tick until nothing waits."""
        publishing = self.services.publishing
        for batch in batches:
            self.run(publishing.submit(os.urandom(16), batch))
        while self.run(publishing.tick()).appended:
            with self.store.read() as snapshot:
                if not snapshot.waiting():
                    return


@contextmanager
def opened(home: Home, url: str | None = None) -> Iterator[Member]:
    """Open a member's services on its own database, or on the one that `url` names."""
    config = load_config(home.folder / "node")
    with ExitStack() as closing:
        closing.callback(gc.unfreeze)
        keys, clock, member = open_keys(config), SystemClock(), MemberId(config.member_id)
        store = open_store(url or config.database_url, config.federation, member)
        closing.callback(store.close)
        readers = closing.enter_context(ThreadPoolExecutor(4))
        curve = closing.enter_context(FairPool(2))
        base = open_base(config.federation, member, bytes.fromhex(config.charter_pin), store, clock, readers)
        closing.callback(base.close)
        base.membership.load(read_charter(config))
        loop = asyncio.new_event_loop()
        closing.callback(loop.close)
        services = _assemble(config, keys, base, curve, Blank(base.clock))
        # What a node does within seconds of its start.
        loop.run_until_complete(services.history.compare())
        loop.run_until_complete(services.expiring.erase())
        collector.tune()
        yield Member(config, keys, base, curve, loop, services)


def _assemble(config: NodeConfig, keys: NodeKeys, base: Base, curve: FairPool, peers: Peers) -> Services:
    return assemble(
        base,
        signer=NodeSigner(keys),
        shares=FileShares(config, keys),
        peers=peers,
        random=system_random,
        curve=curve,
        settings=Settings(PublishingSettings(tick_seconds=60)),
    )


def sealed_entries(charter_period: int, now: int, count: int) -> list[Entry]:
    """Return entries as clients make them: to a node every sealed body is random bytes."""
    key_class = KeyClass.CONTACT
    header = sealed_header(
        int(key_class), 1, charter_period, weeks_after(now, key_class.retention_days * DAY_S)
    )
    return [Entry(header, parse_body(os.urandom(BODY_BYTES))) for _ in range(count)]


def batches_of(entries: Sequence[Entry], size: int) -> list[Sequence[Entry]]:
    """Cut entries into batches."""
    return [entries[start : start + size] for start in range(0, len(entries), size)]
