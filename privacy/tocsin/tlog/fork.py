"""Proof that a log showed two histories, for whoever has the log's key and nothing else.

Rules
1. Two checkpoints of one origin, both signed by its log key, prove a fork if they have the same size and
   different roots (SAME_SIZE), or if inclusion proofs show two different leaves at one index, one under each
   root (SAME_LEAF), or if a consistency proof shows that the larger tree begins with a tree of the smaller
   checkpoint's size and another root (PREFIX). No honest log can produce any of them.
2. A consistency proof that fails proves nothing to a third party: anybody can break a proof. What a follower
   saw in that case is kept as an `Inconsistency`: a reason to stop following and to ask other members for the
   checkpoint they hold of the same size. It is never passed on as a proof.
3. On the wire and on disk a fork is `tocsin/1 fork\\n` ‖ u8 kind ‖ u32be length ‖ note, twice, and for
   SAME_LEAF u64be index ‖ two of (32-byte leaf hash ‖ u8 count ‖ count hashes). For an inconsistency the
   kind is 3 and one u8 count ‖ count hashes follows; for PREFIX, kind 4, the 32-byte root and then the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.tlog.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint
from tocsin.tlog.errors import TlogError
from tocsin.tlog.merkle import HASH_BYTES, BadConsistency, Hash, verify_consistency, verify_inclusion
from tocsin.tlog.note import MAX_NOTE_BYTES

FORK_MAGIC = b"tocsin/1 fork\n"
MAX_PATH = 64  # the longest consistency proof below 2^63 leaves: 63 splits and the first subtree

_SAME_SIZE, _SAME_LEAF, _INCONSISTENT, _PREFIX = 1, 2, 3, 4


class BadForkFile(TlogError):
    """Bytes that are not an encoded fork (rule 3)."""


class NotProven(TlogError):
    """The two checkpoints may belong to one honest log."""


@dataclass(frozen=True, slots=True)
class PlacedLeaf:
    """A leaf hash and its inclusion proof under one of the two roots."""

    leaf: Hash
    proof: tuple[Hash, ...]


@dataclass(frozen=True, slots=True)
class SameSizeFork:
    """Two signed notes of one size with different roots."""

    first: bytes
    second: bytes


@dataclass(frozen=True, slots=True)
class SameLeafFork:
    """Two signed notes, and at one index a different leaf under each."""

    first: bytes
    second: bytes
    index: int
    first_leaf: PlacedLeaf
    second_leaf: PlacedLeaf


@dataclass(frozen=True, slots=True)
class PrefixFork:
    """Two signed notes, the smaller tree first, and another root for its size that the larger tree begins with."""

    first: bytes
    second: bytes
    root: Hash
    proof: tuple[Hash, ...]


ForkProof = SameSizeFork | SameLeafFork | PrefixFork


@dataclass(frozen=True, slots=True)
class Inconsistency:
    """Two signed notes, older first, and the consistency proof that failed between them (rule 2)."""

    first: bytes
    second: bytes
    proof: tuple[Hash, ...]


def fork_of(first: SignedCheckpoint, second: SignedCheckpoint) -> SameSizeFork:
    """Make a proof of two opened checkpoints; raise `NotProven` if the two alone do not contradict."""
    proof = SameSizeFork(first.raw, second.raw)
    if first.checkpoint.origin != second.checkpoint.origin:
        raise NotProven("the checkpoints are of two logs")
    _check_same_size(first.checkpoint, second.checkpoint)
    return proof


def prefix_fork_of(
    smaller: SignedCheckpoint, larger: SignedCheckpoint, root: Hash, proof: tuple[Hash, ...]
) -> PrefixFork:
    """Make the proof of a fork from checkpoints of two sizes and the root that the larger has for the smaller size.

    Raises `NotProven` or `BadConsistency` if they prove none.
    """
    if smaller.checkpoint.origin != larger.checkpoint.origin:
        raise NotProven("the checkpoints are of two logs")
    _check_prefix(smaller.checkpoint, larger.checkpoint, root, proof)
    return PrefixFork(smaller.raw, larger.raw, root, proof)


def verify_fork(proof: ForkProof, origin: str, log_key: bytes) -> None:
    """Check that the log of `origin` forked (rule 1); `log_key` is its 32-byte key of a verified charter.

    Raises `BadNote`, `UnknownSignature`, `BadSignature`, `BadCheckpoint` if it did not sign both checkpoints,
    `BadInclusion` or `BadConsistency` for a leaf or a prefix that is not there, `NotProven` if nothing contradicts.
    """
    first = open_checkpoint(proof.first, origin, log_key).checkpoint
    second = open_checkpoint(proof.second, origin, log_key).checkpoint
    if isinstance(proof, SameSizeFork):
        _check_same_size(first, second)
        return
    if isinstance(proof, PrefixFork):
        _check_prefix(first, second, proof.root, proof.proof)
        return
    for head, placed in ((first, proof.first_leaf), (second, proof.second_leaf)):
        verify_inclusion(proof.index, head.size, placed.leaf, placed.proof, head.root)
    if proof.first_leaf.leaf == proof.second_leaf.leaf:
        raise NotProven(f"both trees hold the same leaf at index {proof.index}")


def verify_inconsistency(seen: Inconsistency, origin: str, log_key: bytes) -> None:
    """Check that both notes are the log's and the kept proof fails between them: no proof of a fork (rule 2).

    Raises what `open_checkpoint` raises, or `NotProven` if the consistency proof holds.
    """
    first = open_checkpoint(seen.first, origin, log_key).checkpoint
    second = open_checkpoint(seen.second, origin, log_key).checkpoint
    try:
        verify_consistency(first.size, second.size, first.root, second.root, seen.proof)
    except BadConsistency:
        return
    raise NotProven("the consistency proof holds: the larger tree extends the smaller")


def encode_fork(fork: ForkProof | Inconsistency) -> bytes:
    """Write a fork (rule 3)."""
    kind, rest = _kind_and_rest(fork)
    notes = b"".join(len(note).to_bytes(4, "big") + note for note in (fork.first, fork.second))
    return FORK_MAGIC + bytes([kind]) + notes + rest


def parse_fork(data: bytes) -> ForkProof | Inconsistency:
    """Read a fork without trusting it; raise `BadForkFile`."""
    reader = _Reader(bytes(data))
    if reader.take(len(FORK_MAGIC)) != FORK_MAGIC:
        raise BadForkFile("a fork begins with the line 'tocsin/1 fork'")
    kind = reader.number(1)
    first, second = reader.note(), reader.note()
    fork: ForkProof | Inconsistency
    if kind == _SAME_SIZE:
        fork = SameSizeFork(first, second)
    elif kind == _SAME_LEAF:
        index = reader.number(8)
        fork = SameLeafFork(first, second, index, reader.placed_leaf(), reader.placed_leaf())
    elif kind == _INCONSISTENT:
        fork = Inconsistency(first, second, reader.path())
    elif kind == _PREFIX:
        fork = PrefixFork(first, second, Hash(reader.take(HASH_BYTES)), reader.path())
    else:
        raise BadForkFile(f"kind {kind} of a fork is none of 1, 2, 3, 4")
    reader.end()
    return fork


def _check_same_size(first: Checkpoint, second: Checkpoint) -> None:
    if first.size != second.size:
        raise NotProven("two checkpoints of different sizes contradict each other only through a leaf")
    if first.root == second.root:
        raise NotProven("the two checkpoints have the same size and the same root")


def _check_prefix(smaller: Checkpoint, larger: Checkpoint, root: Hash, proof: tuple[Hash, ...]) -> None:
    if not smaller.size < larger.size:
        raise NotProven("the first checkpoint of such a proof is the smaller one")
    verify_consistency(smaller.size, larger.size, root, larger.root, proof)
    if root == smaller.root:
        raise NotProven("the larger tree extends the smaller")


def _kind_and_rest(fork: ForkProof | Inconsistency) -> tuple[int, bytes]:
    if isinstance(fork, SameSizeFork):
        return _SAME_SIZE, b""
    if isinstance(fork, Inconsistency):
        return _INCONSISTENT, _encode_path(fork.proof)
    if isinstance(fork, PrefixFork):
        return _PREFIX, fork.root + _encode_path(fork.proof)
    leaves = (placed.leaf + _encode_path(placed.proof) for placed in (fork.first_leaf, fork.second_leaf))
    return _SAME_LEAF, fork.index.to_bytes(8, "big") + b"".join(leaves)


def _encode_path(path: tuple[Hash, ...]) -> bytes:
    if len(path) > MAX_PATH:
        raise BadForkFile(f"a proof has at most {MAX_PATH} hashes, got {len(path)}")
    return bytes([len(path)]) + b"".join(path)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        if len(piece) != size:
            raise BadForkFile(f"a fork ends early: {size} bytes wanted at byte {self._at}, {len(piece)} left")
        self._at += size
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def note(self) -> bytes:
        size = self.number(4)
        if size > MAX_NOTE_BYTES:
            raise BadForkFile(f"a note is at most {MAX_NOTE_BYTES} bytes, the fork holds one of {size}")
        return self.take(size)

    def path(self) -> tuple[Hash, ...]:
        count = self.number(1)
        if count > MAX_PATH:
            raise BadForkFile(f"a proof has at most {MAX_PATH} hashes, got {count}")
        return tuple(Hash(self.take(HASH_BYTES)) for _ in range(count))

    def placed_leaf(self) -> PlacedLeaf:
        return PlacedLeaf(Hash(self.take(HASH_BYTES)), self.path())

    def end(self) -> None:
        if self._at != len(self._data):
            raise BadForkFile(f"a fork ends at byte {self._at}, {len(self._data) - self._at} bytes follow")
