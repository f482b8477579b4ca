"""Wakes whoever waits for a change of the logs, without saying which.

One counter per node. A waiter names the count it has seen, so a change between two waits is never missed.
It belongs to the event loop's thread.
"""

from __future__ import annotations

import asyncio


class ChangeNotifications:
    """A counter that can be awaited."""

    def __init__(self) -> None:
        self._count = 0
        self._event = asyncio.Event()

    @property
    def count(self) -> int:
        """How many changes there were."""
        return self._count

    def notify(self) -> None:
        """Count one change and wake every waiter."""
        self._count += 1
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def wait(self, seen: int) -> int:
        """Return the count as soon as it is not `seen`."""
        while self._count == seen:
            await self._event.wait()
        return self._count
