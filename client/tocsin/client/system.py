"""The system's clock and randomness; the only module of the client that reads them."""

from __future__ import annotations

import os
import time


def now() -> int:
    """Return unix seconds."""
    return int(time.time())  # noqa: TID251  this is the one module that may


def monotonic() -> float:
    """Return seconds since some fixed moment; never goes back."""
    return time.monotonic()


def random_bytes(size: int) -> bytes:
    """Return `size` bytes from the system's cryptographic generator (M-1.7)."""
    return os.urandom(size)


def pause(seconds: float) -> None:
    """Sleep."""
    time.sleep(seconds)
