"""What peers hold of this member's log, compared with its own store (M-6.12).

1. Before its first tick the node asks its peers what they hold of its log, and it goes on listening. If a peer has a
   larger or a different tree behind this log's signature, this store is an old copy or another process has signed:
   the node refuses to sign until a person has looked.
2. What this log's key did not sign is ignored.
3. How far each peer has followed is what it showed last, kept for `status`.
"""

from __future__ import annotations

import asyncio

import structlog

from tocsin.charter.document import Charter
from tocsin.node.ports import Clock, PeerError, Peers, Snapshot, Transaction
from tocsin.node.service.errors import NotReady
from tocsin.node.service.log_keys import member_cosigners, open_note
from tocsin.node.service.membership import Membership
from tocsin.node.service.store_gateway import StoreGateway
from tocsin.tlog.checkpoint import Checkpoint
from tocsin.tlog.cosignature import merge_cosignatures
from tocsin.tlog.errors import TlogError
from tocsin.tlog.merkle import Frontier, plan_frontier
from tocsin.wire.values import MemberId

PATIENCE_S = 15.0

_log = structlog.get_logger(__name__)


class OldHistory(NotReady):
    """Peers hold more, or something else, of this member's log than its store does."""


class OwnHistory:
    """Compares this member's log with what peers show of it. `patience_s` bounds the first comparison."""

    def __init__(
        self,
        member: MemberId,
        membership: Membership,
        gateway: StoreGateway,
        peers: Peers,
        clock: Clock,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._member = member
        self._membership = membership
        self._gateway = gateway
        self._peers = peers
        self._clock = clock
        self._patience_s = patience_s
        self._compared = False
        self._problem: str | None = None
        self._held: dict[MemberId, int] = {}

    @property
    def problem(self) -> str | None:
        """Why this node must not sign, None if it may."""
        return self._problem

    def held_by(self, peer: MemberId) -> int:
        """Return how many entries of this log a peer showed last (rule 3), 0 if it has shown none."""
        return self._held.get(peer, 0)

    def check(self) -> None:
        """Raise `OldHistory` if this node must not sign until a person has looked (rule 1)."""
        if self._problem is not None:
            raise OldHistory(self._problem)

    async def compare(self) -> None:
        """Compare this member's log with what peers hold of it, once (rule 1); after this the node may sign.

        Returns when every peer answered, or when at least one did and `patience_s` have passed. Raises
        `OldHistory` if a peer holds more or something else, `NotReady` if no peer could be asked.
        """
        self.check()
        if self._compared:
            return
        others = self._membership.others()

        async def ask(peer: MemberId) -> bool:
            try:
                notes = await self._peers.checkpoints(peer)
            except PeerError:
                return False
            if self._member in notes:
                await self.seen_at_peer(peer, notes[self._member])
            return True

        tasks = [asyncio.create_task(ask(peer)) for peer in others]
        if tasks:
            done, late = await asyncio.wait(tasks, timeout=self._patience_s)
            for task in late:
                task.cancel()
            self.check()
            if not any(task.result() for task in done):
                raise NotReady(
                    "no other member's node could be asked for its copy of this node's log, which must be compared "
                    "before anything is signed; publishing goes on by itself as soon as one answers"
                )
        self._compared = True

    async def seen_at_peer(self, peer: MemberId, note: bytes) -> None:
        """Judge a note of this member's log that a peer holds, and take over the cosignatures it brings (rule 2)."""
        charter = self._membership.charter
        try:
            shown = open_note(charter, self._member, note).checkpoint
        except TlogError:
            _log.warning("unsigned-checkpoint-shown", peer=peer.hex())
            return
        self._held[peer] = shown.size
        problem = await self._gateway.read(lambda snapshot: _conflict(snapshot, self._member, peer, shown))
        if problem is not None and self._problem is None:
            self._problem = problem
            now = self._clock.now()
            _log.error("publishing-stopped", problem=problem)
            await self._gateway.write(
                lambda transaction: transaction.record("old-history", problem, note, now)
            )
        if problem is None:
            await self._gateway.write(
                lambda transaction: _take_cosignatures(transaction, charter, self._member, note)
            )


def _conflict(snapshot: Snapshot, member: MemberId, peer: MemberId, shown: Checkpoint) -> str | None:
    tip = snapshot.tip(member)
    # M-6.12: where peers hold a larger or another tree of this log, nothing is signed.
    if shown.size > tip.size:
        return (
            f"{peer.hex()} holds a checkpoint of {shown.size} entries that this log signed, but this store has "
            f"{tip.size}: it is an old copy, or another process signed with this log's key. Restore the newest "
            "copy of the database; nothing is signed until then"
        )
    nodes = snapshot.nodes(member, plan_frontier(shown.size))
    if Frontier.of(shown.size, nodes).root() != shown.root:
        return (
            f"{peer.hex()} holds another history of the first {shown.size} entries of this log, signed by its key: "
            "this store went on from an old copy, or another process signed with this log's key. Nothing is signed "
            "until the other members know and the log key is replaced"
        )
    return None


def _take_cosignatures(transaction: Transaction, charter: Charter, member: MemberId, note: bytes) -> None:
    tip = transaction.tip(member)
    try:
        merged = merge_cosignatures(tip.checkpoint, note, member_cosigners(charter))
    except TlogError:
        return  # of an older checkpoint of this log: nothing to take over
    if merged != tip.checkpoint:
        transaction.save_checkpoint(member, merged, tip.time)
