"""Reports the state of this member's log and of every other member's, as this node sees them."""

from __future__ import annotations

from tocsin.node.ports import Snapshot
from tocsin.node.service.following.schedule import Following
from tocsin.node.service.membership import Membership
from tocsin.node.service.own_history import OwnHistory
from tocsin.node.service.publishing import Publishing
from tocsin.node.service.store_gateway import StoreGateway
from tocsin.wire.values import LogStatus, MemberId, NodeStatus


class StatusReporter:
    """Gathers the status from the services that know it."""

    def __init__(
        self,
        member: MemberId,
        membership: Membership,
        gateway: StoreGateway,
        publishing: Publishing,
        history: OwnHistory,
        following: Following,
    ) -> None:
        self._member = member
        self._membership = membership
        self._gateway = gateway
        self._publishing = publishing
        self._history = history
        self._following = following

    async def status(self, software_version: str) -> NodeStatus:
        """Return the status of this moment. Raises `CannotStore`."""

        def look(snapshot: Snapshot) -> tuple[int, tuple[LogStatus, ...]]:
            members = {MemberId(member.id) for member in self._membership.charter.members}
            return snapshot.waiting(), tuple(
                self._log(snapshot, member) for member in sorted(members | set(snapshot.members()))
            )

        waiting, logs = await self._gateway.read(look)
        return NodeStatus(self._member, software_version, self._membership.charter.version, waiting, logs)

    def _log(self, snapshot: Snapshot, member: MemberId) -> LogStatus:
        tip = snapshot.tip(member)
        if member == self._member:
            reached, problem = 0, self._publishing.problem or ""
        else:
            peer = self._following.peer(member)
            reached, problem = peer.progress.last_reached, peer.problem
        holds = self._history.held_by(member)
        return LogStatus(member, tip.size, tip.time, reached, tip.quarantined, problem, holds)
