"""The way back of a node that signed with a clock that was ahead (docs/operating.md)."""

from __future__ import annotations

from tocsin.node.errors import NodeError
from tocsin.node.ports import Store

BEHIND_S = 600


class NothingToReset(NodeError):
    """The store knows no time that is more than 10 minutes ahead of the clock."""


def reset_clock(store: Store, now: int) -> int:
    """Make the store forget times after `now`, unix seconds; return by how many seconds it was ahead.

    The node signs its newest tree again at its next tick. The node must be stopped: the store's lock sees to that.
    Raises `NothingToReset` and the store's errors.
    """
    with store.write() as transaction:
        ahead = transaction.seen_time() - now
        if ahead <= BEHIND_S:
            raise NothingToReset(
                f"the database is {ahead} s ahead of this clock; up to {BEHIND_S} s need no reset"
            )
        transaction.reset_time(now)
    return ahead
