"""How this node stands with itself and with every other member."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.node.model import MemberId
from tocsin.node.ports import Reading
from tocsin.node.service.following import Following
from tocsin.node.service.membership import Membership
from tocsin.node.service.publishing import Publishing
from tocsin.node.service.storing import Storing


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


class Standing:
    """Gathers the status from the services that know it."""

    def __init__(
        self,
        member: MemberId,
        membership: Membership,
        storing: Storing,
        publishing: Publishing,
        following: Following,
    ) -> None:
        self._member = member
        self._membership = membership
        self._storing = storing
        self._publishing = publishing
        self._following = following

    async def status(self) -> NodeStatus:
        """Return the status of this moment. Raises `CannotStore`."""

        def look(reading: Reading) -> tuple[int, list[LogStatus]]:
            members = {MemberId(member.id) for member in self._membership.charter.members}
            return reading.waiting(), [
                self._log(reading, member) for member in sorted(members | set(reading.members()))
            ]

        waiting, logs = await self._storing.read(look)
        return NodeStatus(self._member, self._membership.charter.version, waiting, logs)

    def _log(self, reading: Reading, member: MemberId) -> LogStatus:
        tip = reading.tip(member)
        if member == self._member:
            reached, problem = 0, self._publishing.problem or ""
        else:
            peer = self._following.peer(member)
            reached, problem = peer.last_reached, peer.problem
        return LogStatus(member, tip.size, tip.time, reached, tip.quarantined, problem)
