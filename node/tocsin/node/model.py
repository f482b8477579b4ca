"""What services and store say to each other, besides what `tocsin.wire.values` has: never wire messages, never rows.

Every `bytes` field below is already parsed: the right length, and trusted to be what its name says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tocsin.tlog.entry import Entry
from tocsin.tlog.merkle import Frontier, Hash
from tocsin.wire.values import MemberId, Stored

KEPT_BATCHES = 4_096
"""How many batches of one caller at one seat a store remembers, the newest (M-4.22)."""


@dataclass(frozen=True)
class Charge:
    """A request to count `amount` evaluations against `limit`, once per batch identity."""

    caller: MemberId
    key_class: int
    epoch: int
    seat: int
    batch: bytes  # SHA-512, 64 bytes
    amount: int
    limit: int


@dataclass(frozen=True)
class Charged:
    """The budget after a charge; `repeated` where the batch had been charged before and cost nothing now."""

    left: int
    repeated: bool


@dataclass(frozen=True)
class Pending:
    """An acknowledged entry that waits for its tick. `order` is the order of acknowledgement."""

    order: int
    submission: bytes  # idempotency key
    position: int  # in the submission
    entry: Entry


@dataclass(frozen=True)
class PendingRetraction:
    """Tags whose entries, acknowledged before `order`, are to be retracted at the next tick.

    `waits_for` entries under them were not sequenced yet when it was acknowledged.
    """

    order: int
    submission: bytes
    tags: tuple[bytes, ...]
    waits_for: int = 0


@dataclass(frozen=True)
class LogTip:
    """How far this store holds a log."""

    frontier: Frontier
    checkpoint: bytes  # C2SP signed note with every cosignature known; empty for a log with no checkpoint yet
    time: int  # unix seconds: freshest cosignature seen on it
    quarantined: bool = False
    paced_until: int = 0  # unix microseconds: when all that was appended will have been allowed (`Allowance`)

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self.frontier.size


@dataclass(frozen=True)
class Intermediate:
    """A checkpoint of the own log at a multiple of `STEP_ENTRIES`, kept for followers that are behind."""

    size: int
    time: int  # unix seconds: when this node vouched for it first
    note: bytes


@dataclass(frozen=True)
class LiveTags:
    """Live sealed entries of one log from `start` on; `next_index` is where the next read goes on."""

    indices: tuple[int, ...]
    tags: bytes  # 16 bytes each, in the order of `indices`
    next_index: int


@dataclass(frozen=True)
class Append:
    """Everything one tick, or one step of following, commits: all of it or nothing.

    `erase` are the indices of this log whose bodies go with it (targets of RETRACT entries). `assigned` maps
    a submission's idempotency key and position to the index given, for the node's own log only.
    """

    member: MemberId
    start: int  # must equal the stored size
    entries: Sequence[Stored]
    nodes: Sequence[tuple[int, int, Hash]]
    frontier: Frontier
    checkpoint: bytes
    time: int
    erase: Sequence[int] = ()
    assigned: Mapping[tuple[bytes, int], int] = field(default_factory=dict)
    completed_retractions: Sequence[bytes] = ()  # idempotency keys of retractions done in this tick
    paced_until: int = 0  # see `LogTip`
    intermediates: Sequence[Intermediate] = ()  # of the node's own log only
    awaited: Sequence[
        tuple[int, int]
    ] = ()  # (index, not_after) of what came without a body: a RETRACT is due …
    awaited_by: int = 0  # … before the log has this size
