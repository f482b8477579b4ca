"""How this node stands with itself and with every other member."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.node.model import MemberId
from tocsin.node.ports import Snapshot
from tocsin.node.service.following.schedule import Following
from tocsin.node.service.membership import Membership
from tocsin.node.service.publishing import Publishing
from tocsin.node.service.store_gateway import StoreGateway


@dataclass(frozen=True)
class LogStatus:
    """Where one log stands; `last_reached` is 0 for the own log and for a member never reached."""

    writer: MemberId
    size: int
    checkpoint_time: int
    last_reached: int
    quarantined: bool
    problem: str


@dataclass(frozen=True)
class NodeStatus:
    """What `GetStatus` answers, but for the version of the software."""

    member: MemberId
    charter_version: int
    waiting: int
    logs: list[LogStatus]


class StatusReporter:
    """Gathers the status from the services that know it."""

    def __init__(
        self,
        member: MemberId,
        membership: Membership,
        gateway: StoreGateway,
        publishing: Publishing,
        following: Following,
    ) -> None:
        self._member = member
        self._membership = membership
        self._gateway = gateway
        self._publishing = publishing
        self._following = following

    async def status(self) -> NodeStatus:
        """Return the status of this moment. Raises `CannotStore`."""

        def look(snapshot: Snapshot) -> tuple[int, list[LogStatus]]:
            members = {MemberId(member.id) for member in self._membership.charter.members}
            return snapshot.waiting(), [
                self._log(snapshot, member) for member in sorted(members | set(snapshot.members()))
            ]

        waiting, logs = await self._gateway.read(look)
        return NodeStatus(self._member, self._membership.charter.version, waiting, logs)

    def _log(self, snapshot: Snapshot, member: MemberId) -> LogStatus:
        tip = snapshot.tip(member)
        if member == self._member:
            reached, problem = 0, self._publishing.problem or ""
        else:
            peer = self._following.peer(member)
            reached, problem = peer.last_reached, peer.problem
        return LogStatus(member, tip.size, tip.time, reached, tip.quarantined, problem)
