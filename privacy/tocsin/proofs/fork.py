"""Proof that a log showed two histories, for whoever has the log's key and nothing else.

Rules
1. Two checkpoints of one origin, both signed by its log key, prove a fork if they have the same size and different
   roots (SAME_SIZE), or if a consistency proof shows that the larger tree begins with a tree of the smaller
   checkpoint's size and another root (PREFIX). No honest log can produce either.
2. A consistency proof that fails proves nothing to a third party: anybody can break a proof.
3. On the wire and on disk a fork is `tocsin/1 fork\n` ‖ u8 kind ‖ u32 length ‖ note, twice, the smaller tree's first;
   for PREFIX the 32-byte root, u8 count and count hashes follow (M-6.21). Kinds 2 and 3 are not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.charter.document import Charter, Member
from tocsin.primitives.cursor import Cursor
from tocsin.proofs.errors import BadProofFile, NotProven
from tocsin.tlog.checkpoint import Checkpoint, SignedCheckpoint, log_origin, open_checkpoint, parse_checkpoint
from tocsin.tlog.errors import TlogError
from tocsin.tlog.merkle import HASH_BYTES, BadConsistency, Hash, verify_consistency
from tocsin.tlog.note import MAX_NOTE_BYTES, parse_note

MAGIC = b"tocsin/1 fork\n"
MAX_PATH = 64  # the longest consistency proof below 2^63 leaves: 63 splits and the first subtree
SAME_SIZE, PREFIX = 1, 4


@dataclass(frozen=True, slots=True)
class SameSizeFork:
    """Two signed notes of one size with different roots."""

    first: bytes
    second: bytes


@dataclass(frozen=True, slots=True)
class PrefixFork:
    """Two signed notes, the smaller tree first, and another root for its size that the larger tree begins with."""

    first: bytes
    second: bytes
    root: Hash
    proof: tuple[Hash, ...]


ForkProof = SameSizeFork | PrefixFork


def fork_of(first: SignedCheckpoint, second: SignedCheckpoint) -> SameSizeFork:
    """Make a proof of two opened checkpoints. Raises `NotProven` if the two alone do not contradict."""
    if first.checkpoint.origin != second.checkpoint.origin:
        raise NotProven("the checkpoints are of two logs")
    _check_same_size(first.checkpoint, second.checkpoint)
    return SameSizeFork(first.raw, second.raw)


def prefix_fork_of(
    smaller: SignedCheckpoint, larger: SignedCheckpoint, root: Hash, proof: tuple[Hash, ...]
) -> PrefixFork:
    """Make the proof of a fork from checkpoints of two sizes and the root that the larger has for the smaller size.

    Raises `NotProven`.
    """
    if smaller.checkpoint.origin != larger.checkpoint.origin:
        raise NotProven("the checkpoints are of two logs")
    _check_prefix(smaller.checkpoint, larger.checkpoint, root, proof)
    return PrefixFork(smaller.raw, larger.raw, root, proof)


def encode_fork(fork: ForkProof) -> bytes:
    """Write a fork (rule 3). Raises `BadProofFile` for more than 64 hashes."""
    kind, rest = SAME_SIZE, b""
    if isinstance(fork, PrefixFork):
        if len(fork.proof) > MAX_PATH:
            raise BadProofFile("hashes", f"at most {MAX_PATH} allowed, got {len(fork.proof)}")
        kind, rest = PREFIX, fork.root + bytes([len(fork.proof)]) + b"".join(fork.proof)
    notes = b"".join(len(note).to_bytes(4, "big") + note for note in (fork.first, fork.second))
    return MAGIC + bytes([kind]) + notes + rest


def parse_fork(data: bytes) -> ForkProof:
    """Read a fork without trusting it (M-6.21). Raises `BadProofFile`."""
    cursor = Cursor(data, BadProofFile)
    cursor.expect("first line", MAGIC)
    kind = cursor.number("kind", 1)
    if kind not in (SAME_SIZE, PREFIX):
        raise BadProofFile("kind", f"must be {SAME_SIZE} or {PREFIX}, got {kind}")
    first, second = (cursor.prefixed(f"{which} note", 4, MAX_NOTE_BYTES) for which in ("first", "second"))
    fork: ForkProof = SameSizeFork(first, second)
    if kind == PREFIX:
        root = Hash(cursor.take("root", HASH_BYTES))
        count = cursor.count("hashes", 1, MAX_PATH)
        fork = PrefixFork(
            first, second, root, tuple(Hash(cursor.take("hashes", HASH_BYTES)) for _ in range(count))
        )
    cursor.end()
    return fork


def verify_fork(proof: ForkProof, origin: str, log_key: bytes) -> tuple[Checkpoint, Checkpoint]:
    """Check that the log of `origin` forked (rule 1); return the two checkpoints.

    `log_key` is its 32-byte key of a verified charter. Raises `NotProven`, also where the log signed neither.
    """
    try:
        first = open_checkpoint(proof.first, origin, log_key).checkpoint
        second = open_checkpoint(proof.second, origin, log_key).checkpoint
    except TlogError as error:
        raise NotProven(str(error)) from error
    if isinstance(proof, SameSizeFork):
        _check_same_size(first, second)
    else:
        _check_prefix(first, second, proof.root, proof.proof)
    return first, second


def verify_member_forked(
    proof: ForkProof, charters: Sequence[Charter]
) -> tuple[Member, Checkpoint, Checkpoint]:
    """Return the member whose log forked, and the two checkpoints.

    It may have been removed or have changed its log key since, so every verified charter counts, the newest first.
    Raises `NotProven`.
    """
    try:
        origin = parse_checkpoint(parse_note(proof.first).text).origin
    except TlogError as error:
        raise NotProven(str(error)) from None
    failure: NotProven | None = None
    for charter in reversed(charters):
        for member in charter.members:
            if log_origin(charter.federation, member.id) == origin:
                try:
                    return member, *verify_fork(proof, origin, member.log)
                except NotProven as error:
                    failure = failure or error
    raise failure or NotProven("it is of a log that no member of the federation has or had")


def _check_same_size(first: Checkpoint, second: Checkpoint) -> None:
    if first.size != second.size:
        raise NotProven("two checkpoints of different sizes contradict each other only through a proof")
    if first.root == second.root:
        raise NotProven("the two checkpoints have the same size and the same root")


def _check_prefix(smaller: Checkpoint, larger: Checkpoint, root: Hash, proof: tuple[Hash, ...]) -> None:
    if not smaller.size < larger.size:
        raise NotProven("the first checkpoint of such a proof is the smaller one")
    try:
        verify_consistency(smaller.size, larger.size, root, larger.root, proof)
    except BadConsistency as error:
        raise NotProven(str(error)) from error
    if root == smaller.root:
        raise NotProven("the larger tree extends the smaller")
