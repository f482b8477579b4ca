"""A circuit breaker: a peer that does not answer is not asked again and again.

1. Closed: calls go through. `FAILURES` failures in a row open it.
2. Open: calls fail at once, until the pause is over.
3. Half open: one call goes through as a probe. Success closes the circuit; failure opens it for twice the pause, up to
   `LONGEST_S`.
4. Only silence counts as a failure: unreachable, or no answer within the deadline. A refusal is an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

FAILURES = 3
FIRST_PAUSE_S = 1.0
LONGEST_S = 60.0


class State(Enum):
    """The three states of rules 1 to 3."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Circuit:
    """One peer's circuit, by a monotonic clock in seconds. It belongs to one thread."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._failures = 0
        self._pause = FIRST_PAUSE_S
        self._until = 0.0
        self.state = State.CLOSED

    def admits(self) -> bool:
        """Say whether a call may go out now; in half-open only the first may."""
        if self.state is State.CLOSED:
            return True
        if self.state is State.OPEN and self._monotonic() >= self._until:
            self.state = State.HALF_OPEN
            return True
        return False

    def succeeded(self) -> None:
        """Count an answer."""
        self.state = State.CLOSED
        self._failures = 0
        self._pause = FIRST_PAUSE_S

    def failed(self) -> None:
        """Count a silence."""
        self._failures += 1
        if self.state is State.HALF_OPEN:
            self._pause = min(self._pause * 2, LONGEST_S)
        elif self._failures < FAILURES:
            return
        self.state = State.OPEN
        self._until = self._monotonic() + self._pause

    def abandoned(self) -> None:
        """Take back a call that its caller cancelled: it says nothing about the peer."""
        if self.state is State.HALF_OPEN:
            self.state = State.OPEN
