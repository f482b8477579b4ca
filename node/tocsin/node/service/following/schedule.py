"""When which member's log is followed.

1. Every member has at most one exchange under way; the exchanges of the others do not wait for it.
2. Between two exchanges lies the charter's tick, or what the settings say, give or take a quarter: nodes that started
   together do not ask together. A log that is behind goes on at once.
3. A member that does not answer is asked again at the next round, however long it was away.
4. What is wrong with a member is kept in `peer(member).problem` and logged when it changes; it stops nobody else.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from dataclasses import dataclass, field

import structlog

from tocsin.charter.document import NotAMember
from tocsin.node.errors import NodeError
from tocsin.node.ports import Clock, PeerError, Peers, Signer
from tocsin.node.service.following.fetching import Fetching, Progress
from tocsin.node.service.membership import Membership
from tocsin.node.service.notifications import ChangeNotifications
from tocsin.node.service.own_history import OwnHistory
from tocsin.node.service.store_gateway import StoreGateway
from tocsin.oprf.group import Random
from tocsin.tlog.errors import TlogError
from tocsin.wire.values import MemberId

MEMBERS_S = 1.0
"""How soon a member that a charter brings is followed."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class FollowingSettings:
    """How often. `follow_seconds` None means the charter's tick."""

    follow_seconds: float | None = None


@dataclass
class Peer:
    """How the last exchanges with a member went."""

    progress: Progress = field(default_factory=Progress)
    problem: str = ""


class Following:
    """Exchanges with every other member, each in its own time."""

    def __init__(
        self,
        member: MemberId,
        membership: Membership,
        gateway: StoreGateway,
        signer: Signer,
        peers: Peers,
        history: OwnHistory,
        notifications: ChangeNotifications,
        clock: Clock,
        random: Random,
        verifying: Executor,
        settings: FollowingSettings,
    ) -> None:
        self._fetching = Fetching(
            member, membership, gateway, signer, peers, history, notifications, clock, verifying
        )
        self._membership = membership
        self._random = random
        self._settings = settings
        self._peers: dict[MemberId, Peer] = {}

    def peer(self, member: MemberId) -> Peer:
        """Return how it went with a member so far."""
        return self._peers.setdefault(member, Peer())

    async def run(self) -> None:
        """Exchange with everybody until cancelled (rule 1)."""
        under_way: dict[MemberId, asyncio.Task[None]] = {}
        try:
            while True:
                others = set(self._membership.others())
                for member in others - set(under_way):
                    under_way[member] = asyncio.create_task(self._keep_up(member))
                for member in set(under_way) - others:
                    under_way.pop(member).cancel()
                await asyncio.sleep(MEMBERS_S)
        finally:
            for task in under_way.values():
                task.cancel()
            await asyncio.gather(*under_way.values(), return_exceptions=True)

    async def _keep_up(self, member: MemberId) -> None:
        while True:
            await self.round(member)
            if not self.peer(member).progress.behind:
                await asyncio.sleep(self._seconds() * self._jitter())

    async def round(self, member: MemberId) -> None:
        """Do one exchange with a member. What went wrong is kept in `peer(member).problem`, never raised."""
        peer = self.peer(member)
        peer.progress.behind = False
        try:
            problem = "; ".join(await self._fetching.exchange(member, peer.progress))
        except PeerError as error:
            problem = str(error)
        except (NodeError, TlogError, NotAMember) as error:
            problem = f"{type(error).__name__}: {error}"
        self._report(member, peer, problem)

    def _seconds(self) -> float:
        return self._settings.follow_seconds or self._membership.charter.tick_seconds

    def _jitter(self) -> float:
        return 0.75 + self._random(1)[0] / 510  # 0.75 to 1.25

    def _report(self, member: MemberId, peer: Peer, problem: str) -> None:
        if problem and problem != peer.problem:
            _log.warning("following-failed", member=member.hex(), problem=problem)
        peer.problem = problem
