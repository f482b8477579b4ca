"""Erases the bodies that have expired, of every log, and those of quarantined logs, in pieces (M-6.18, M-6.20).

1. A week turns for all members in the same second. Each begins ten minutes later, when by every honest clock it has
   turned, and up to ten more, drawn once: they do not all write at once, and none erases what a peer holds to be live.
2. A piece is one transaction, of `MOST` bodies or as many fewer as take `PIECE_S`; after it the other writes have as
   long as it took. Memory does not grow with what is due.
3. It goes by the checked clock, and only while that is sure. Whether the node may sign makes no difference.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

from tocsin.node.ports import Snapshot, StoreError, Transaction
from tocsin.node.service.checked_clock import AGREE_S, CheckedClock
from tocsin.node.service.errors import ServiceError
from tocsin.node.service.membership import Membership
from tocsin.node.service.store_gateway import StoreGateway
from tocsin.oprf.group import Random
from tocsin.tlog.entry import WEEK_S
from tocsin.wire.values import MemberId

FEWEST, MOST = 100, 2_000
PIECE_S = 0.1
LOOK_S = 10.0
SPREAD_S = 600


class Expiring:
    """The erasing of one node. `run` it, or `erase` what is due at once."""

    def __init__(
        self, membership: Membership, gateway: StoreGateway, clock: CheckedClock, random: Random
    ) -> None:
        self._membership = membership
        self._gateway = gateway
        self._clock = clock
        self._delay = AGREE_S + int.from_bytes(random(2), "big") % SPREAD_S
        self._week = 0
        self._emptied: frozenset[MemberId] = frozenset()
        self._piece = FEWEST

    @property
    def expired_week(self) -> int:
        """The week up to which this process has erased every body, 0 before it did so first."""
        return self._week

    async def run(self) -> None:
        """Erase at each turn of a week until cancelled (rule 1)."""
        while True:
            # The store says itself why it takes nothing; what is due stays due.
            with suppress(ServiceError, StoreError):
                await self.erase((self._clock.now() - self._delay) // WEEK_S)
            await asyncio.sleep(LOOK_S)

    async def erase(self, week: int | None = None) -> int:
        """Erase what has expired by a week, by now if not given, and what quarantined logs hold; return how many.

        Nothing is erased while the clock is not sure enough. Raises the store's refusals.
        """
        week, erased = self._clock.now() // WEEK_S if week is None else week, 0
        alone = not self._membership.others()
        quarantined = await self._gateway.read(_quarantined)
        while (week > self._week or quarantined != self._emptied) and self._clock.may_erase(alone=alone):
            began = self._clock.monotonic()
            most = self._piece
            piece = await self._gateway.write_alone(partial(_expire, week=week, most=most))
            erased += piece
            if piece < most:
                self._week, self._emptied = max(week, self._week), quarantined
                break
            took = self._clock.monotonic() - began
            self._piece = max(FEWEST, min(MOST, int(most * PIECE_S / max(took, 0.001)), 2 * most))
            await asyncio.sleep(took)
        return erased


def _quarantined(snapshot: Snapshot) -> frozenset[MemberId]:
    return frozenset(member for member in snapshot.members() if snapshot.tip(member).quarantined)


def _expire(transaction: Transaction, week: int, most: int) -> int:
    return transaction.expire(week, most)
