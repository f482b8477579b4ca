"""Plans a tick: the order of what waits, and how much of it one transaction takes (M-6.11).

1. At most `most_per_tick` entries are put in order at once: sealed entries by tag, those of one tag in the order of
   acknowledgement, then CHARTERs. Cover entries are ordered among them.
2. Nothing but this log's ticks changes what waits, so it is read and ordered before the transaction that appends it,
   and what is left of it is appended by the next ones.
3. Only small submissions are appended in parts: to assign the indices of a part of a large one rewrites the rest of it.
4. No more entries are taken than the log may still grow by; then what is left is not due (M-6.24).
5. Where a retraction waits, everything is laid out within one transaction, which sees all that the retraction covers.
"""

from __future__ import annotations

from collections.abc import Callable

from tocsin.node.model import Pending
from tocsin.node.ports import Snapshot, Transaction
from tocsin.node.service.tick.sequencing import Sequenced, retractions_due, sequence
from tocsin.tlog.entry import Entry, tick_key
from tocsin.wire.values import MemberId

Cover = Callable[[], list[Entry]]
"""Makes the cover entries of a tick."""

_SMALL_SUBMISSION = 4  # entries


class TickPlan:
    """The plan of one log's ticks. Used by one tick at a time."""

    def __init__(self, member: MemberId, most_per_tick: int, most_submissions: int) -> None:
        self._member = member
        self._most_per_tick = most_per_tick
        self._most_submissions = most_submissions
        self._ordered: list[Pending | Entry] = []
        self._small = False  # it may be appended in parts
        self._more = False  # more waits than was ordered …
        self._paced = False  # … because the log may not grow by more now

    @property
    def ordered(self) -> bool:
        """Whether something in order is left to append."""
        return bool(self._ordered)

    def order(self, snapshot: Snapshot, cover: Cover, allowed: int) -> None:
        """Order what waits (rules 1, 2 and 4), unless a retraction waits (rule 5)."""
        if snapshot.pending_retractions():
            return
        pending, _ = self._read(snapshot, allowed)
        due: list[Pending | Entry] = [*pending, *(() if self._paced else cover())]
        self._ordered = sorted(due, key=lambda waiting: tick_key(_entry(waiting)))
        self._small = len(pending) <= _SMALL_SUBMISSION * len({waiting.submission for waiting in pending})

    def lay_out(
        self, transaction: Transaction, start: int, cover: Cover, allowed: int
    ) -> tuple[Sequenced, int]:
        """Lay out what one transaction takes, from index `start` on; also return how much of the order that is."""
        if self._ordered:
            part = self._ordered[: self._part()]
            pending = [waiting for waiting in part if isinstance(waiting, Pending)]
            fresh = [entry for entry in part if isinstance(entry, Entry)]
            return sequence(start, pending, fresh, (), {}), len(part)
        pending, first_waiting = self._read(transaction, allowed)
        retractions = retractions_due(transaction.pending_retractions(), first_waiting)
        tags = sorted({tag for retraction in retractions for tag in retraction.tags})
        hits = transaction.look_up([(self._member, b"".join(tags))]) if tags else []
        live = {tags[hit.position]: hit.indices for hit in hits}
        return sequence(start, pending, () if self._paced else cover(), retractions, live), 0

    def more_after(self, taken: int) -> bool:
        """Say whether more is due once so much of the order is appended."""
        return taken < len(self._ordered) or (self._more and not self._paced)

    def appended(self, taken: int) -> None:
        """Forget so much of the order: it is durable."""
        del self._ordered[:taken]

    def forget(self) -> None:
        """Forget the order: a commit that failed may have taken effect, so what waits must be read again."""
        self._ordered.clear()

    def _read(self, snapshot: Snapshot, allowed: int) -> tuple[list[Pending], int | None]:
        """Return what is due now, and the order of the first entry that is left for later."""
        most = min(self._most_per_tick, allowed)
        pending = snapshot.pending(most + 1)
        self._more = len(pending) > most
        self._paced = self._more and allowed < self._most_per_tick
        return pending[:most], pending[most].order if self._more else None

    def _part(self) -> int:
        if not self._small:
            return len(self._ordered)
        seen: set[bytes] = set()
        for at, waiting in enumerate(self._ordered):
            if isinstance(waiting, Pending):
                seen.add(waiting.submission)
            if len(seen) > self._most_submissions:
                return at
        return len(self._ordered)


def _entry(due: Pending | Entry) -> Entry:
    return due.entry if isinstance(due, Pending) else due
