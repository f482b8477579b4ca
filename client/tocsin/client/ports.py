"""What the client needs of its member's node, declared where it is used.

1. Synchronous, called from several threads at once.
2. Every byte string below was parsed by the adapter: the right length, decoded elements, well-formed entries. What
   is not well formed raises `NodeMisbehaved` there. Nothing below is verified yet.
3. An adapter raises `Unavailable` where the pipe failed and `RefusedByNode` where the node said no.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from tocsin.oprf.group import Element
from tocsin.wire.values import (
    Acknowledged,
    Budgets,
    KeptFork,
    LogCheckpoint,
    NewTags,
    NodeStatus,
    ProvenEntries,
    SignedPartial,
    Stored,
    SubmissionStatus,
    TagHit,
    WireEntry,
)


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

    def submission(self, idempotency_key: bytes) -> SubmissionStatus | None:
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
        """Which node answers and what it knows of every log."""

    def checkpoints(self) -> list[LogCheckpoint]:
        """The newest checkpoint of every log the node holds."""

    def forks(self) -> list[KeptFork]:
        """Every proof of a fork that the node keeps."""

    def entries(self, writer: bytes, start: int, limit: int) -> list[Stored]:
        """Entries of a log from an index on, at most 1,000."""

    def close(self) -> None:
        """Close the channel."""
