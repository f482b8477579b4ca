"""What a node's services speak of: plain values, never wire messages and never rows.

Every `bytes` field below is already parsed: the right length, and trusted to be what its name says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NewType

from tocsin.oprf.group import Element
from tocsin.oprf.threshold import PartialEvaluation
from tocsin.tlog.entry import Entry, Header, SealedBody
from tocsin.tlog.merkle import Frontier, Hash, leaf_hash

MemberId = NewType("MemberId", bytes)
"""16 random bytes, never reused."""


@dataclass(frozen=True)
class SignedPartial:
    """One evaluator's part as it travels: what it computed, the budget it says is left, and a signature."""

    seat: int
    evaluator: MemberId
    quorum: tuple[int, ...]
    partial: PartialEvaluation
    budget_left: int
    time: int  # unix seconds by the evaluator's clock
    signature: bytes  # Ed25519, 64 bytes


@dataclass(frozen=True)
class PartialRequest:
    """What one seat of a quorum is asked to evaluate."""

    key_class: int
    epoch: int
    committee_hash: bytes
    quorum: tuple[int, ...]
    seat: int
    blinded: Sequence[Element]


@dataclass(frozen=True)
class BudgetLeft:
    """What a member may still ask of one seat."""

    key_class: int
    epoch: int
    seat: int
    evaluator: MemberId
    limit: int
    left: int


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
class Acknowledged:
    """A durable submission or retraction: how many entries it covers, and whether it was a repetition."""

    count: int
    repeated: bool


@dataclass(frozen=True)
class SubmissionStatus:
    """What became of a submission or retraction: whether all of it is in a checkpoint, and the indices it got.

    `indices` are in the order of the submission and empty while anything of it waits. A retraction that covered nothing
    is sequenced without any.
    """

    sequenced: bool
    indices: list[int]


@dataclass(frozen=True)
class Pending:
    """An acknowledged entry that waits for its tick. `order` is the order of acknowledgement."""

    order: int
    submission: bytes  # idempotency key
    position: int  # in the submission
    entry: Entry


@dataclass(frozen=True)
class PendingRetraction:
    """Tags whose entries, acknowledged before `order`, are to be retracted at the next tick."""

    order: int
    submission: bytes
    tags: tuple[bytes, ...]


@dataclass(frozen=True)
class LogTip:
    """Where a log stands in this store."""

    frontier: Frontier
    checkpoint: bytes  # C2SP signed note with every cosignature known; empty for a log with no checkpoint yet
    time: int  # unix seconds: freshest cosignature seen on it
    quarantined: bool = False

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self.frontier.size


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left of an entry: its header for ever, its body until it expires or is retracted.

    A whole `Entry` can stand wherever a `Kept` can; a SEALED entry without its body is only ever a `Kept`.
    """

    header: Header
    body: SealedBody | None


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry at its place. `body_hash` stays when the body is erased (`entry.body is None`)."""

    index: int
    entry: Entry | Kept
    body_hash: bytes

    def leaf_hash(self) -> Hash:
        """Return the hash of the leaf in the tree, which does not change when the body is erased."""
        return leaf_hash(self.entry.header.encode() + self.body_hash)


@dataclass(frozen=True)
class TagHit:
    """Every live index of a tag in one writer's log, ascending. Positions are those of the request."""

    group: int
    position: int
    indices: tuple[int, ...]


@dataclass(frozen=True)
class NewTags:
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
