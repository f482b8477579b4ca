"""The time limit of the call that runs now, and whether its caller cancelled it.

1. A call without a timeout has no limit of its own; each request to the node still has that of the transport.
2. Whatever works for the call looks here between requests: threads that it starts run in a copy of its context.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from tocsin.client import system
from tocsin.client.errors import BadArgument, Cancelled, TimedOut


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a call must end, in seconds of `system.monotonic` (None for never), and the event that cancels it."""

    seconds: float | None = None
    at: float | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)

    def left(self) -> float | None:
        """Return the seconds left; None for no limit. Raises `TimedOut`, `Cancelled`."""
        if self.cancelled.is_set():
            raise Cancelled("the call was cancelled; what was done by then is kept: call again")
        if self.seconds is None or self.at is None:
            return None
        rest = self.at - system.monotonic()
        if rest <= 0:
            raise TimedOut(self.seconds)
        return rest


_current: ContextVar[Deadline | None] = ContextVar("tocsin_deadline", default=None)


@contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """Limit what runs inside. Raises `BadArgument` for what is no positive number of seconds."""
    outer = _current.get()
    if seconds is None:
        yield
        return
    given: object = seconds
    if isinstance(given, bool) or not isinstance(given, int | float) or not given > 0:
        raise BadArgument("timeout", "a positive number of seconds or None", given)
    cancelled = outer.cancelled if outer is not None else threading.Event()
    token = _current.set(Deadline(float(seconds), system.monotonic() + seconds, cancelled))
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def cancellable() -> Iterator[threading.Event]:
    """Yield an event that cancels what runs inside, in this thread or another with a copy of this context."""
    deadline = Deadline()
    token = _current.set(deadline)
    try:
        yield deadline.cancelled
    finally:
        _current.reset(token)


def check() -> None:
    """Go on if the running call may. Raises `TimedOut`, `Cancelled`."""
    limited(0.0)


def limited(seconds: float) -> float:
    """Return the seconds that one request of the running call may take, `seconds` at most. Raises as `check` does."""
    current = _current.get()
    left = current.left() if current is not None else None
    return seconds if left is None else min(seconds, left)
