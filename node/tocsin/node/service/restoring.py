"""Fetches again the bodies that were erased too early, by a clock that was ahead (M-6.25).

1. The store knows up to which week bodies were erased. If that week has not come yet, and the clock is sure, every log
   is gone through, from its end to its start.
2. A body is taken from any member that has it, the log's origin first, where its hash is the one in the leaf. What a
   RETRACT in the log names is never taken back: going backwards, the RETRACT comes first.
3. Nobody having it is no fault: what is not found stays away. The week is put right when every log was gone through.
"""

from __future__ import annotations

import asyncio
from functools import partial
from hashlib import sha256

import structlog

from tocsin.node.ports import PeerError, Peers, Snapshot, StoreError, Transaction
from tocsin.node.service.checked_clock import CheckedClock
from tocsin.node.service.errors import ServiceError
from tocsin.node.service.membership import Membership
from tocsin.node.service.notifications import ChangeNotifications
from tocsin.node.service.store_gateway import StoreGateway
from tocsin.tlog.entry import WEEK_S, Kind
from tocsin.wire.limits import MAX_ENTRIES
from tocsin.wire.values import MemberId, Stored

LOOK_S = 10.0

_log = structlog.get_logger(__name__)


class Restoring:
    """The restoring of one node. `run` it, or `restore` at once."""

    def __init__(
        self,
        membership: Membership,
        gateway: StoreGateway,
        peers: Peers,
        notifications: ChangeNotifications,
        clock: CheckedClock,
    ) -> None:
        self._membership = membership
        self._gateway = gateway
        self._peers = peers
        self._notifications = notifications
        self._clock = clock

    async def run(self) -> None:
        """Look now and then whether something was erased too early, until cancelled."""
        while True:
            try:
                await self.restore()
            except (ServiceError, StoreError) as error:
                _log.warning("restoring-failed", problem=str(error))
            await asyncio.sleep(LOOK_S)

    async def restore(self) -> int:
        """Fetch again what was erased too early; return how many bodies. Raises the store's refusals."""
        try:
            self._clock.check(alone=False)
        except ServiceError:
            return 0
        week = self._clock.now() // WEEK_S
        erased, members = await self._gateway.read(
            lambda snapshot: (snapshot.erased_week(), snapshot.members())
        )
        if erased <= week:
            return 0
        restored = 0
        for origin in members:
            restored += await self._log_of(origin, week)
        await self._gateway.write(lambda transaction: transaction.set_erased_week(week))
        _log.warning("bodies-restored", count=restored)
        if restored:
            self._notifications.notify()
        return restored

    async def _log_of(self, origin: MemberId, week: int) -> int:
        tip = await self._gateway.read(lambda snapshot: snapshot.tip(origin))
        if tip.quarantined:
            return 0
        restored, end, retracted = 0, tip.size, set[int]()
        while end > 0:
            start = max(0, end - MAX_ENTRIES)
            kept = await self._gateway.read(partial(_entries, origin=origin, start=start, end=end))
            retracted |= {
                stored.entry.header.retracts for stored in kept if stored.entry.header.kind is Kind.RETRACT
            }
            lost = [
                stored
                for stored in kept
                if stored.entry.header.kind is Kind.SEALED
                and stored.entry.body is None
                and stored.entry.header.not_after > week
                and stored.index not in retracted
            ]
            if lost:
                restored += await self._page(origin, start, end - start, lost)
            end = start
        return restored

    async def _page(self, origin: MemberId, start: int, count: int, lost: list[Stored]) -> int:
        missing = {stored.index: stored for stored in lost}
        restored = 0
        others = self._membership.others()
        for peer in sorted(others, key=lambda member: member != origin):
            try:
                shown = await self._peers.entries(peer, origin, start, count)
            except PeerError:
                continue
            found = [stored for stored in shown if _is_body_of(stored, missing.get(stored.index))]
            if found:
                await self._gateway.write_alone(partial(_restore, origin=origin, found=found))
            restored += len(found)
            for stored in found:
                del missing[stored.index]
            if not missing:
                break
        return restored


def _entries(snapshot: Snapshot, origin: MemberId, start: int, end: int) -> list[Stored]:
    return snapshot.entries(origin, start, end - start)


def _restore(transaction: Transaction, origin: MemberId, found: list[Stored]) -> None:
    transaction.restore(origin, found)


def _is_body_of(shown: Stored, lost: Stored | None) -> bool:
    if lost is None or shown.entry.body is None:
        return False
    matches = sha256(shown.entry.body.encode()).digest() == lost.body_hash
    return matches and shown.entry.header == lost.entry.header
