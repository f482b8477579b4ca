"""What the client needs of its own node, declared where it is used.

1. Synchronous, called from several threads at once.
2. Every byte string below was parsed by the adapter: the right length, decoded elements, well-formed entries. What
   is not well formed raises `NodeMisbehaved` there. Nothing below is verified yet.
3. An adapter raises `Unavailable` where the pipe failed and `RefusedByNode` where the node said no.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tocsin.oprf.group import Element
from tocsin.oprf.threshold import PartialEvaluation
from tocsin.tlog.entry import Leaf, SealedBody
from tocsin.tlog.merkle import Hash


@dataclass(frozen=True, slots=True)
class SignedPartial:
    """One evaluator's part as relayed: who says it is whose, what was computed, and the evaluator's signature."""

    seat: int
    evaluator: bytes
    quorum: tuple[int, ...]
    partial: PartialEvaluation
    budget_left: int
    time: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class BudgetLeft:
    """What the member may still ask of one seat."""

    key_class: int
    epoch: int
    seat: int
    evaluator: bytes
    limit: int
    left: int


@dataclass(frozen=True, slots=True)
class Budgets:
    """Every evaluator's answer, and the ids of those that gave none."""

    budgets: tuple[BudgetLeft, ...]
    unreachable: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class WireEntry:
    """An entry as it is sent: encoded header (48 bytes) and body (568 bytes)."""

    header: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Durable. How many entries it covers, and whether the node had acknowledged the same request before."""

    count: int
    repeated: bool


@dataclass(frozen=True, slots=True)
class Submission:
    """What became of a submission: its indices once all of it is in a checkpoint."""

    sequenced: bool
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TagHit:
    """The live indices under one tag, ascending. Positions are those of the request."""

    group: int
    position: int
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A leaf and, unless it was erased or has none, its body, which is the one the leaf commits to."""

    leaf: Leaf
    body: SealedBody | None


@dataclass(frozen=True, slots=True)
class ProvenEntry:
    """An entry, where it is claimed to be, and the hashes that are claimed to prove it."""

    writer: bytes
    index: int
    entry: LogEntry
    hashes: tuple[Hash, ...]


@dataclass(frozen=True, slots=True)
class ProvenEntries:
    """Entries in the order asked, and the signed note of each writer's checkpoint."""

    entries: tuple[ProvenEntry, ...]
    checkpoints: Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class NewTags:
    """New live sealed entries of one log; `next_index` is where its cursor stands afterwards."""

    writer: bytes
    indices: tuple[int, ...]
    tags: bytes
    next_index: int
    caught_up: bool


@dataclass(frozen=True, slots=True)
class LogCheckpoint:
    """The newest signed note that the node holds of a log."""

    writer: bytes
    note: bytes
    quarantined: bool


@dataclass(frozen=True, slots=True)
class KeptFork:
    """A proof that the node keeps, encoded, that a log showed two histories."""

    writer: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class LogStatus:
    """How the node stands with one log."""

    writer: bytes
    size: int
    checkpoint_time: int
    last_reached: int
    quarantined: bool
    problem: str


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """Who the node is and how it stands with every other member."""

    member: bytes
    software_version: str
    charter_version: int
    waiting: int
    logs: tuple[LogStatus, ...]


class TagStream(Protocol):
    """An open stream of new tags."""

    def __iter__(self) -> Iterator[NewTags]:
        """Yield until cancelled; raise `Unavailable` when the connection ends."""

    def cancel(self) -> None:
        """End the stream from any thread; its iteration then stops."""


class NodeApi(Protocol):
    """The member's own node."""

    def evaluate(
        self,
        key_class: int,
        epoch: int,
        committee_hash: bytes,
        blinded: Sequence[Element],
        complaints: Sequence[SignedPartial],
    ) -> list[SignedPartial]:
        """Relay a batch to a quorum; t partials of one quorum, if the node is honest."""

    def budgets(self) -> Budgets:
        """Ask every evaluator what is left."""

    def submit(self, idempotency_key: bytes, entries: Sequence[WireEntry]) -> Acknowledged:
        """Store at most 1,000 entries durably, once per key."""

    def retract(self, idempotency_key: bytes, tags: bytes) -> Acknowledged:
        """Retract everything under at most 1,000 concatenated tags of the own log, once per key."""

    def submission(self, idempotency_key: bytes) -> Submission | None:
        """Say what became of a submission; None for an unknown key."""

    def look_up(self, groups: Sequence[tuple[bytes, bytes]]) -> list[TagHit]:
        """Look up (writer, concatenated tags), at most 50,000 tags in all."""

    def proven_entries(self, locations: Sequence[tuple[bytes, int]]) -> ProvenEntries:
        """Fetch at most 256 entries by (writer, index) with proofs."""

    def watch_tags(self, cursor: Mapping[bytes, int], newest_period: int) -> TagStream:
        """Open the stream of new tags from the next index wanted of each log."""

    def charters(self, first_version: int) -> list[bytes]:
        """Signed envelopes from a version on, ascending, at most 16; none for an unknown version."""

    def status(self) -> NodeStatus:
        """Who the node is and how it stands."""

    def checkpoints(self) -> list[LogCheckpoint]:
        """The newest checkpoint of every log the node holds."""

    def forks(self) -> list[KeptFork]:
        """Every proof of a fork that the node keeps."""

    def entries(self, writer: bytes, start: int, limit: int) -> list[LogEntry]:
        """Entries of a log from an index on, at most 1,000."""

    def close(self) -> None:
        """Close the channel."""
