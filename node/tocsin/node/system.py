"""The one module of the node that reads the system's clock and its random source."""

from __future__ import annotations

import os
import time


class SystemClock:
    """The `Clock` port on the operating system's clocks."""

    def now(self) -> int:
        """Return unix seconds."""
        return int(time.time())  # noqa: TID251 - this is the module the rule points to

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes back."""
        return time.monotonic()


def system_random(count: int) -> bytes:
    """Return `count` bytes of the operating system's cryptographic random source (M-1.7)."""
    return os.urandom(count)
