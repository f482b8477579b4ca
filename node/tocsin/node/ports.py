"""What the services need from outside, declared where it is used.

1. Time and randomness come through `Clock` and the `Random` of the pure core; nothing else reads them.
2. `Store` is synchronous and is called from threads. Reads may run beside each other and beside one write; a read sees
   one consistent state, never half of a write.
3. There is one write transaction at a time. Once `Store.write()` has left without an exception it is durable:
   it survives SIGKILL and power loss. With an exception nothing of it happened.
4. Anything the store cannot do raises `StoreFull`, `StoreUnavailable` or the named error of the method; a caller that
   must charge or acknowledge and gets one of these has charged and acknowledged nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from tocsin.node.errors import AtFault, NodeError
from tocsin.node.model import (
    Append,
    Charge,
    Charged,
    Intermediate,
    LiveTags,
    LogTip,
    Pending,
    PendingRetraction,
)
from tocsin.oprf.group import Scalar
from tocsin.tlog.entry import Entry
from tocsin.tlog.merkle import Hash
from tocsin.wire.values import (
    Acknowledged,
    BudgetLeft,
    MemberId,
    PartialRequest,
    SignedPartial,
    Stored,
    SubmissionStatus,
    TagHit,
)


class StoreError(NodeError):
    """The root of what a store can answer instead of doing what it was asked."""


class StoreUnavailable(StoreError):
    """The database did not answer, or lost the connection; the transaction did not happen."""

    exit_code = 3


class StoreDamaged(StoreUnavailable):
    """The database is not whole any more; nothing more is written until it was restored and the node restarted."""


class StoreFull(StoreError):
    """The disk is full; the transaction did not happen, reads go on."""

    exit_code = 3


class StoreInUse(StoreError):
    """Another process sequences this log; the message names the lock."""


class ForeignStore(StoreError):
    """The database belongs to another federation or member; the message names both."""


class StoreTooNew(StoreError):
    """The schema is of a later release than this program."""


class BudgetExhausted(StoreError):
    """The charge does not fit what is left; nothing was charged."""

    def __init__(self, left: int, asked: int) -> None:
        super().__init__(f"{asked} evaluations asked, {left} left")
        self.left = left
        self.asked = asked


class IdempotencyConflict(StoreError):
    """The idempotency key was used before with other content."""


class WrongStart(StoreError):
    """An append that does not begin where the stored log ends."""


class Clock(Protocol):
    """Wall and monotonic time."""

    def now(self) -> int:
        """Unix seconds."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""


class Signer(Protocol):
    """The node's own signing keys. The keys never leave the adapter."""

    def sign_log(self, message: bytes) -> bytes:
        """Ed25519 by the log key (checkpoints)."""

    def sign_cosigner(self, message: bytes) -> bytes:
        """Ed25519 by the cosigner key (cosignatures)."""

    def sign_node(self, message: bytes) -> bytes:
        """Ed25519 by the node key (partial evaluations)."""


class Shares(Protocol):
    """This node's secret shares of class keys.

    A call sees the shares of one moment: an adapter that learns of a new charter or file replaces all of them at once.
    """

    def share(self, key_class: int, epoch: int, seat: int) -> Scalar | None:
        """The share of one seat of a class key, None where this node holds none."""


class PeerError(AtFault):
    """Another member's node did not do what it was asked.

    `reason` is the `Reason` it gave, or this node's `Conclusion`.
    """

    def __init__(self, member: MemberId, reason: str, message: str = "") -> None:
        super().__init__(member, f"{member.hex()}: {reason}{': ' + message if message else ''}")
        self.reason = reason


class Peers(Protocol):
    """The other members' nodes. Every call has a deadline, verifies whom it talks to and raises only `PeerError`.

    Answers are parsed (lengths, canonical encodings) but not judged: signatures and proofs are the caller's to verify.
    """

    async def evaluate(self, member: MemberId, request: PartialRequest) -> SignedPartial:
        """Ask one seat for its part."""

    async def budgets(self, member: MemberId) -> list[BudgetLeft]:
        """What is left for this member on the seats of that evaluator."""

    async def checkpoints(self, member: MemberId) -> dict[MemberId, bytes]:
        """The newest signed note of every log that node holds."""

    async def intermediate_checkpoints(self, member: MemberId, after: int, limit: int) -> list[bytes]:
        """Signed notes of that member's own log at the multiples of `STEP_ENTRIES` above a size, ascending."""

    async def entries(self, member: MemberId, writer: MemberId, start: int, limit: int) -> list[Stored]:
        """Up to `limit` entries of a log from `start` on."""

    async def consistency(
        self, member: MemberId, writer: MemberId, old_size: int, new_size: int
    ) -> list[Hash]:
        """RFC 6962 consistency proof as that node computes it."""

    async def charters(self, member: MemberId, first_version: int) -> list[bytes]:
        """Signed charter envelopes from a version on."""


class Snapshot(Protocol):
    """One consistent view of the store."""

    def members(self) -> list[MemberId]:
        """Whose logs have a tip here."""

    def tip(self, member: MemberId) -> LogTip:
        """Where the log stands; an empty log for a member not seen yet."""

    def entries(self, member: MemberId, start: int, limit: int) -> list[Stored]:
        """Entries in order of index, without gaps."""

    def entries_at(self, member: MemberId, indices: Sequence[int]) -> dict[int, Stored]:
        """The entries at these indices; absent ones are left out."""

    def nodes(self, member: MemberId, places: Iterable[tuple[int, int]]) -> dict[tuple[int, int], Hash]:
        """Stored complete nodes of the tree by (level, index)."""

    def intermediates(self, after: int, limit: int) -> list[Intermediate]:
        """Intermediate checkpoints of this member's own log above a size, ascending."""

    def retracts_due(self, member: MemberId) -> int | None:
        """The size by which the RETRACT of every entry that came without its body is due; None where none did."""

    def overdue(self, member: MemberId, week: int) -> int | None:
        """The lowest index, live after `week`, without its body and without the RETRACT that was due by now."""

    def look_up(self, groups: Sequence[tuple[MemberId, bytes]]) -> list[TagHit]:
        """Live sealed entries under concatenated 16-byte tags, per writer."""

    def newest(self, groups: Sequence[tuple[MemberId, bytes]], most: int) -> list[TagHit]:
        """As `look_up`, of each tag the `most` highest indices. Cost grows with the tags asked only."""

    def new_tags(self, member: MemberId, start: int, limit: int, newest_period: int) -> LiveTags:
        """Live sealed entries from `start` on, stopping before an entry of a period newer than `newest_period`."""

    def pending(self, limit: int) -> list[Pending]:
        """Acknowledged entries not sequenced yet, in order of acknowledgement."""

    def pending_retractions(self) -> list[PendingRetraction]:
        """Acknowledged retractions not carried out yet, in order."""

    def waiting(self) -> int:
        """How many entries are pending."""

    def submission(self, idempotency_key: bytes) -> SubmissionStatus | None:
        """What became of a submission or retraction; None for an unknown key."""

    def budget_used(self, caller: MemberId) -> Mapping[tuple[int, int, int], int]:
        """Evaluations charged to a caller by (class, epoch, seat)."""

    def charter(self, version: int) -> bytes | None:
        """The signed envelope of a version."""

    def forks(self) -> list[tuple[MemberId, bytes]]:
        """Proofs that an origin signed two histories."""

    def audit(self, limit: int) -> list[tuple[int, str, str, bytes]]:
        """The newest audit records first: (unix seconds, kind, detail, evidence)."""

    def proofs(self, kind: str, limit: int) -> list[bytes]:
        """The newest evidence of one kind of audit record first, whatever else was recorded since."""

    def erased_week(self) -> int:
        """The week up to which bodies were erased, 0 for none."""

    def seen_time(self) -> int:
        """The latest unix second any write recorded: what a clock may not fall far behind."""


class Transaction(Snapshot, Protocol):
    """A write transaction; it also reads what it wrote."""

    def savepoint(self) -> AbstractContextManager[None]:
        """What runs inside is undone alone if it raises."""

    def charge(self, charge: Charge, now: int) -> Charged:
        """Count evaluations once per (seat, batch). Raises BudgetExhausted."""

    def forget_epochs(self, live: Iterable[tuple[int, int]]) -> None:
        """Drop batch identities and counters of (class, epoch) pairs that are no longer live."""

    def submit(
        self, idempotency_key: bytes, digest: bytes, entries: Sequence[Entry], now: int
    ) -> Acknowledged:
        """Store entries for the next tick, once per key. Raises IdempotencyConflict."""

    def retract(self, idempotency_key: bytes, digest: bytes, tags: Sequence[bytes], now: int) -> Acknowledged:
        """Store a retraction for the next tick, once per key. Raises IdempotencyConflict."""

    def append(self, step: Append) -> None:
        """Entries, tree nodes, frontier, checkpoint and erasures of one log. Raises WrongStart."""

    def save_checkpoint(self, member: MemberId, checkpoint: bytes, time: int) -> None:
        """Replace the note of a log whose size and root did not change (more cosignatures)."""

    def save_intermediates(self, checkpoints: Sequence[Intermediate]) -> None:
        """Keep intermediate checkpoints of this member's own log, in place of those of the same size."""

    def expire(self, week: int, most: int) -> int:
        """Erase up to `most` bodies with not_after ≤ week, of every log, or of quarantined logs; returns how many."""

    def restore(self, member: MemberId, entries: Sequence[Stored]) -> None:
        """Put bodies back that were erased; the caller has compared them with their leaves."""

    def set_erased_week(self, week: int) -> None:
        """Correct the week up to which bodies count as erased."""

    def reset_time(self, now: int) -> None:
        """Forget times after `now` of this member's own; its checkpoints lose their signatures until the next tick."""

    def quarantine(self, member: MemberId, proof: bytes, now: int) -> None:
        """Keep the proof and mark the log."""

    def save_charter(self, version: int, envelope: bytes, now: int) -> None:
        """Store a charter; the caller has verified it."""

    def record(self, kind: str, detail: str, evidence: bytes, now: int) -> None:
        """Append an audit record. `detail` and `evidence` hold no value, tag or key."""


class Store(Protocol):
    """A node's durable state, bound to one federation and member when it is opened."""

    def read(self) -> AbstractContextManager[Snapshot]:
        """One consistent view."""

    def write(self) -> AbstractContextManager[Transaction]:
        """The one write transaction; durable when it is left without an exception."""

    def healthy(self) -> None:
        """Raise StoreUnavailable or StoreFull if a write could not be made now."""

    def close(self) -> None:
        """Release locks and connections."""
