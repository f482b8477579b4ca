"""When which member's log is followed.

1. Every member has at most one exchange under way; the exchanges of the others do not wait for it.
2. Between two exchanges lies the charter's tick, or what the settings say, give or take a quarter: nodes that started
   together do not ask together.
3. A member that does not answer is asked again after a pause that doubles, up to five minutes.
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
from tocsin.node.service.following.fetching import MOST_PER_STEP, Fetching, Progress
from tocsin.node.service.membership import Membership
from tocsin.node.service.notifications import ChangeNotifications
from tocsin.node.service.publishing import Publishing
from tocsin.node.service.store_gateway import StoreGateway
from tocsin.oprf.group import Random
from tocsin.tlog.errors import TlogError
from tocsin.wire.values import MemberId

LONGEST_PAUSE_S = 300.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class FollowingSettings:
    """How often and how much. `follow_seconds` None means the charter's tick, `most_per_step` None 250,000 entries."""

    follow_seconds: float | None = None
    most_per_step: int | None = None


@dataclass
class Peer:
    """How the last exchanges with a member went."""

    progress: Progress = field(default_factory=Progress)
    problem: str = ""
    consecutive_failures: int = 0
    not_before: float = 0.0  # monotonic


class Following:
    """Exchanges with every other member, each in its own time."""

    def __init__(
        self,
        member: MemberId,
        membership: Membership,
        gateway: StoreGateway,
        signer: Signer,
        peers: Peers,
        publishing: Publishing,
        notifications: ChangeNotifications,
        clock: Clock,
        random: Random,
        verifying: Executor,
        settings: FollowingSettings,
    ) -> None:
        most_per_step = settings.most_per_step or MOST_PER_STEP
        self._fetching = Fetching(
            member,
            membership,
            gateway,
            signer,
            peers,
            publishing,
            notifications,
            clock,
            verifying,
            most_per_step,
        )
        self._membership = membership
        self._clock = clock
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
                for member in self._membership.others():
                    task = under_way.get(member)
                    if task is not None and not task.done():
                        continue
                    if self._clock.monotonic() >= self.peer(member).not_before:
                        under_way[member] = asyncio.create_task(self.round(member))
                await asyncio.sleep(self._seconds() * self._jitter())
        finally:
            for task in under_way.values():
                task.cancel()
            await asyncio.gather(*under_way.values(), return_exceptions=True)

    async def round(self, member: MemberId) -> None:
        """Do one exchange with a member. What went wrong is kept in `peer(member).problem`, never raised."""
        peer = self.peer(member)
        try:
            problem = "; ".join(await self._fetching.exchange(member, peer.progress))
        except PeerError as error:
            peer.consecutive_failures += 1
            pause = min(LONGEST_PAUSE_S, self._seconds() * 2 ** min(peer.consecutive_failures, 12))
            peer.not_before = self._clock.monotonic() + pause * self._jitter()
            self._report(member, peer, str(error))
            return
        except (NodeError, TlogError, NotAMember) as error:
            problem = f"{type(error).__name__}: {error}"
        peer.consecutive_failures, peer.not_before = 0, 0.0
        self._report(member, peer, problem)

    def _seconds(self) -> float:
        return self._settings.follow_seconds or self._membership.charter.tick_seconds

    def _jitter(self) -> float:
        return 0.75 + self._random(1)[0] / 510  # 0.75 to 1.25

    def _report(self, member: MemberId, peer: Peer, problem: str) -> None:
        if problem and problem != peer.problem:
            _log.warning("following-failed", member=member.hex(), problem=problem)
        peer.problem = problem
