"""Reads the logs that this node holds, for other members' nodes and its own client.

1. Entries and proofs are of the newest checkpoint at most: what is not signed is never shown.
2. A quarantined log is still shown, marked: other members need its checkpoint, entries and proofs to convict its
   origin themselves. Entries with proofs of inclusion, which matches rest on, are refused (`known_tip`).
"""

from __future__ import annotations

from tocsin.node.model import LogTip
from tocsin.node.ports import Clock, Snapshot
from tocsin.node.service.errors import LogQuarantined, OutOfRange, UnknownLog
from tocsin.node.service.store_gateway import StoreGateway
from tocsin.tlog.merkle import Hash, consistency_proof, plan_consistency
from tocsin.wire.limits import MAX_ENTRIES, MAX_STEPS
from tocsin.wire.values import KeptFork, LogCheckpoint, MemberId, Stored


def held_tip(snapshot: Snapshot, writer: MemberId) -> LogTip:
    """Return the tip of a log that this node holds. Raises `UnknownLog`."""
    tip = snapshot.tip(writer)
    if not tip.checkpoint:
        raise UnknownLog(f"this node holds no log of {writer.hex()}", "writer")
    return tip


def known_tip(snapshot: Snapshot, writer: MemberId) -> LogTip:
    """Return the tip of a log that matches may rest on (M-6.20). Raises `UnknownLog`, `LogQuarantined`."""
    tip = held_tip(snapshot, writer)
    if tip.quarantined:
        raise LogQuarantined(
            f"{writer.hex()} signed two histories of its log; ListForks has the proof", "writer"
        )
    return tip


class LogReader:
    """Read-only views of the stored logs."""

    def __init__(self, gateway: StoreGateway, clock: Clock) -> None:
        self._gateway = gateway
        self._clock = clock

    def time(self) -> int:
        """Return this node's time, unix seconds, for other members to compare theirs with."""
        return self._clock.now()

    async def checkpoints(self) -> list[LogCheckpoint]:
        """Return the newest checkpoint of every log here."""

        def look(snapshot: Snapshot) -> list[LogCheckpoint]:
            tips = ((member, snapshot.tip(member)) for member in snapshot.members())
            return [
                LogCheckpoint(member, tip.checkpoint, tip.quarantined)
                for member, tip in tips
                if tip.checkpoint
            ]

        return await self._gateway.read(look)

    async def intermediate_checkpoints(self, after: int, limit: int) -> list[bytes]:
        """Return up to `limit`, 64 at most, checkpoints of the own log at multiples of `STEP_ENTRIES` above a size."""
        most = max(0, min(limit, MAX_STEPS))
        kept = await self._gateway.read(lambda snapshot: snapshot.intermediates(after, most))
        return [checkpoint.note for checkpoint in kept]

    async def entries(self, writer: MemberId, start: int, limit: int) -> list[Stored]:
        """Return up to `limit`, 1,000 at most, entries from `start` on; none at the end of the log.

        Raises `UnknownLog` or `OutOfRange`.
        """

        def look(snapshot: Snapshot) -> list[Stored]:
            size = held_tip(snapshot, writer).size
            if not 0 <= start <= size:
                raise OutOfRange(f"the log has {size} entries, {start} is beyond its end", "start")
            return snapshot.entries(writer, start, max(0, min(limit, MAX_ENTRIES, size - start)))

        return await self._gateway.read(look)

    async def consistency(self, writer: MemberId, old_size: int, new_size: int) -> list[Hash]:
        """Return the RFC 6962 consistency proof between two sizes; raises as `entries` does."""

        def look(snapshot: Snapshot) -> list[Hash]:
            size = held_tip(snapshot, writer).size
            if not 0 < old_size <= new_size <= size:
                raise OutOfRange(f"sizes must be 1 ≤ old ≤ new ≤ {size}", "new_size")
            nodes = snapshot.nodes(writer, plan_consistency(old_size, new_size))
            return consistency_proof(old_size, new_size, nodes)

        return await self._gateway.read(look)

    async def forks(self) -> list[KeptFork]:
        """Return every proof that an origin signed two histories."""
        kept = await self._gateway.read(lambda snapshot: snapshot.forks())
        return [KeptFork(writer, proof) for writer, proof in kept]
