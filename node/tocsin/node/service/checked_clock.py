"""The node's time: the system's clock for as long as the monotonic clock and the other members bear it out (M-6.25).

1. `now` is the wall clock while that goes on as the monotonic clock says, within 10 minutes. A clock that jumps further
   is not followed: `now` goes on from where it was, by the monotonic clock.
2. Members tell their time with what they show each round. The time taken for right is one that at least half of those
   heard lately agree with, within 10 minutes: first the one the node goes by, then that of the wall clock.
3. Until a first member agrees, and while most contradict, the time is unsure: `check` raises, and who signs or erases
   asks it first. One voice alone does not overturn a time that others confirmed.
4. A node that hears nobody erases after an hour, by its own clock: what is due must not stay for lack of a witness.
   A member without others goes by its own clock from the start.
"""

from __future__ import annotations

from tocsin.node.ports import Clock
from tocsin.node.service.errors import NotReady
from tocsin.wire.values import MemberId

AGREE_S = 600
HEARD_S = 3_600.0
"""How long a member's word counts, and how long a node that hears nobody waits before it erases."""


class ClockUnsure(NotReady):
    """Other members' clocks contradict this node's, or none has been heard yet; nothing is signed until they agree."""


class CheckedClock:
    """The `Clock` port, checked. It is read from any thread and told from the event loop's."""

    def __init__(self, system: Clock) -> None:
        self._system = system
        self._started = system.monotonic()
        self._offset = system.now() - self._started  # of the time the node goes by, to the monotonic clock
        self._confirmed = False
        self._problem: str | None = None
        self._heard: dict[MemberId, tuple[float, float]] = {}  # when, and that member's offset

    def now(self) -> int:
        """Return unix seconds (rule 1)."""
        return self._system.now() if self._steady() else int(self._system.monotonic() + self._offset)

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes back."""
        return self._system.monotonic()

    @property
    def confirmed(self) -> bool:
        """Whether another member agrees with the time the node goes by."""
        return self._confirmed

    @property
    def problem(self) -> str | None:
        """What an operator has to correct, None for nothing."""
        if self._problem is not None or self._steady():
            return self._problem
        ahead = self._system.now() - self.now()
        return f"the system clock jumped by {ahead} s; the node goes on by the monotonic clock: correct the clock"

    def heard(self, member: MemberId, time: int) -> None:
        """Take what another member's clock says, unix seconds (rule 2)."""
        now = self._system.monotonic()
        self._heard[member] = now, time - now
        offsets = [offset for when, offset in self._heard.values() if now - when <= HEARD_S]
        wall = self._system.now() - now
        going, agree = self._agreeing(offsets, self._offset), self._agreeing(offsets, wall)
        if 2 * going >= len(offsets) or (self._confirmed and len(offsets) == 1):
            self._confirmed, self._problem = True, None
            if abs(wall - self._offset) <= AGREE_S and 2 * agree >= len(offsets):
                self._offset = wall
        elif 2 * agree >= len(offsets):
            self._offset, self._confirmed, self._problem = wall, True, None
        else:
            ahead = wall - sorted(offsets)[len(offsets) // 2]
            self._confirmed = False
            self._problem = (
                f"the system clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} other members' "
                "clocks; correct it. Nothing is signed or erased until then"
            )

    def check_agrees(self) -> None:
        """Raise `ClockUnsure` while other members contradict this node's clock."""
        if self._problem is not None:
            raise ClockUnsure(self._problem)

    def check(self, *, alone: bool) -> None:
        """Raise `ClockUnsure` unless the time is confirmed (rule 3), or there is no other member: `alone`."""
        self.check_agrees()
        if not self._confirmed and not alone:
            raise ClockUnsure(
                "no other member has confirmed this node's clock yet; that takes one that answers"
            )

    def may_erase(self, *, alone: bool) -> bool:
        """Say whether the time is sure enough to erase by (rule 4)."""
        if self._confirmed or alone:
            return self._problem is None
        lonely = self._problem is None and self._steady()
        return lonely and self._system.monotonic() - self._started >= HEARD_S

    def _steady(self) -> bool:
        return abs(self._system.now() - self._system.monotonic() - self._offset) <= AGREE_S

    @staticmethod
    def _agreeing(offsets: list[float], offset: float) -> int:
        return sum(abs(other - offset) <= AGREE_S for other in offsets)
