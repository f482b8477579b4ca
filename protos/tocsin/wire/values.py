"""What client and node say to each other, as plain values.

1. Every `bytes` field is parsed: the right length, canonical elements, well-formed entries. Nothing is verified: who
   signed what, and whether it is true, is for whoever receives it.
2. Times are unix seconds. Positions and groups are those of the request.
3. A sequence that is part of a value is a tuple, so that values compare and do not change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import NewType

from tocsin.oprf.group import Element
from tocsin.oprf.threshold import PartialEvaluation
from tocsin.tlog.entry import BadBody, Entry, Header, Leaf, SealedBody
from tocsin.tlog.merkle import Hash, leaf_hash

MemberId = NewType("MemberId", bytes)
"""16 random bytes, never reused."""


# -- evaluation


@dataclass(frozen=True, slots=True)
class SignedPartial:
    """One evaluator's part as it travels: what it computed, the budget it says is left, and a signature."""

    seat: int
    evaluator: MemberId
    quorum: tuple[int, ...]
    partial: PartialEvaluation
    budget_left: int
    time: int  # by the evaluator's clock
    signature: bytes  # Ed25519, 64 bytes


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """A client's batch for its member's node, with the bad partials of an earlier answer to it."""

    key_class: int
    epoch: int
    committee_hash: bytes
    blinded: Sequence[Element]
    complaints: Sequence[SignedPartial] = ()


@dataclass(frozen=True, slots=True)
class PartialRequest:
    """What one seat of a quorum is asked to evaluate."""

    key_class: int
    epoch: int
    committee_hash: bytes
    quorum: tuple[int, ...]
    seat: int
    blinded: Sequence[Element]


@dataclass(frozen=True, slots=True)
class BudgetLeft:
    """What a member may still ask of one seat."""

    key_class: int
    epoch: int
    seat: int
    evaluator: MemberId
    limit: int
    left: int


@dataclass(frozen=True, slots=True)
class Budgets:
    """What the evaluators say is left for this member, and the ids of those that did not answer."""

    budgets: tuple[BudgetLeft, ...]
    unreachable: tuple[MemberId, ...]


# -- publishing


@dataclass(frozen=True, slots=True)
class WireEntry:
    """An entry as a client sends it: encoded header (48 bytes) and body (568 bytes)."""

    header: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A durable submission or retraction: how many entries it covers, and whether it was a repetition."""

    count: int
    repeated: bool


@dataclass(frozen=True, slots=True)
class SubmissionStatus:
    """What became of a submission or retraction: whether all of it is in a checkpoint, and the indices it got.

    `indices` are in the order of the submission and empty while anything of it waits. A retraction that covered nothing
    is sequenced without any.
    """

    sequenced: bool
    indices: tuple[int, ...]


# -- look-up


@dataclass(frozen=True, slots=True)
class TagHit:
    """The live indices of a tag in one writer's log, ascending; the 64 highest where there are more."""

    group: int
    position: int
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NewTags:
    """New live sealed entries of one log; `next_index` is where its cursor is afterwards."""

    writer: MemberId
    indices: tuple[int, ...]
    tags: bytes  # 16 bytes each, in the order of `indices`
    next_index: int
    caught_up: bool  # nothing more waited in any log when this was sent


# -- logs


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

    def check_leaf(self) -> None:
        """Check that the leaf can be one, and that a body is the one it commits to. Raises `BadLeaf`, `BadBody`."""
        leaf, body = Leaf(self.entry.header, self.body_hash), self.entry.body
        if body is not None and not compare_digest(sha256(body.encode()).digest(), leaf.body_hash):
            raise BadBody("the body is not the one that the leaf committed to")


@dataclass(frozen=True, slots=True)
class ProvenEntry:
    """An entry of a log, and the hashes, leaf to root, that are claimed to prove it is in the newest checkpoint."""

    writer: MemberId
    stored: Stored
    hashes: tuple[Hash, ...]


@dataclass(frozen=True, slots=True)
class ProvenEntries:
    """Entries in the order asked, and the signed note of the newest checkpoint of each writer that occurs."""

    entries: tuple[ProvenEntry, ...]
    checkpoints: Mapping[bytes, bytes]  # by writer


@dataclass(frozen=True, slots=True)
class LogCheckpoint:
    """The newest signed note that a node holds of a log, with the cosignatures it knows."""

    writer: MemberId
    note: bytes
    quarantined: bool


@dataclass(frozen=True, slots=True)
class KeptFork:
    """A proof that a node keeps, encoded, that a log showed two histories."""

    writer: MemberId
    proof: bytes


# -- membership


@dataclass(frozen=True, slots=True)
class LogStatus:
    """Where one log is; `last_reached` is 0 for the node's own log and for a member never reached.

    `holds` is how many entries of the node's own log the writer's node showed last, 0 for the own log.
    """

    writer: MemberId
    size: int
    checkpoint_time: int
    last_reached: int
    quarantined: bool
    problem: str
    holds: int = 0


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """Which node answers and what it knows of every log."""

    member: MemberId
    software_version: str
    charter_version: int
    waiting: int  # entries acknowledged and not sequenced yet
    logs: tuple[LogStatus, ...]
