"""Forks, proven by two roots of one size or by a consistency proof of the other history."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proofs.histories import KEY, ONE, ORIGIN, OTHER, SIGNER
from tocsin.primitives.ed25519 import SigningKey
from tocsin.proofs.errors import BadProofFile, NotProven, ProofError
from tocsin.proofs.fork import (
    MAGIC,
    PrefixFork,
    SameSizeFork,
    encode_fork,
    fork_of,
    parse_fork,
    prefix_fork_of,
    verify_fork,
)
from tocsin.tlog.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    log_origin,
    log_verifier,
    open_checkpoint,
    sign_checkpoint,
)
from tocsin.tlog.merkle import (
    BadConsistency,
    Frontier,
    Hash,
    claimed_power_root,
    claimed_root,
    consistency_proof,
    leaf_hash,
    verify_consistency,
)
from tocsin.tlog.note import Signer, sign_note


def tree(leaves: list[bytes]) -> tuple[Frontier, dict[tuple[int, int], Hash]]:
    frontier, nodes = Frontier().append([leaf_hash(leaf) for leaf in leaves])
    return frontier, {(level, index): value for level, index, value in nodes}


def signed(frontier: Frontier) -> SignedCheckpoint:
    note = sign_checkpoint(Checkpoint(ORIGIN, frontier.size, frontier.root()), SIGNER)
    return open_checkpoint(note, ORIGIN, KEY.public_key)


def history(size: int, changed: int | None = None) -> list[bytes]:
    return [b"other" if index == changed else b"leaf %d" % index for index in range(size)]


@given(st.integers(1, 70), st.integers(1, 70), st.data())
def test_a_larger_tree_that_begins_otherwise_is_a_portable_proof(
    old: int, more: int, data: st.DataObject
) -> None:
    changed = data.draw(st.integers(0, old - 1))
    shown, _ = tree(history(old, changed))
    larger, nodes = tree(history(old + more))
    prefix, _ = tree(history(old))
    proof = tuple(consistency_proof(old, old + more, nodes))
    fork = prefix_fork_of(signed(shown), signed(larger), prefix.root(), proof)
    read = parse_fork(encode_fork(fork))
    assert read == fork
    assert isinstance(read, PrefixFork)
    verify_fork(read, ORIGIN, KEY.public_key)


def test_an_honest_log_cannot_be_accused() -> None:
    small, _ = tree(history(5))
    large, nodes = tree(history(9))
    proof = tuple(consistency_proof(5, 9, nodes))
    with pytest.raises(NotProven):
        prefix_fork_of(signed(small), signed(large), small.root(), proof)
    with pytest.raises(NotProven):
        prefix_fork_of(signed(small), signed(large), leaf_hash(b"made up"), proof)
    with pytest.raises(NotProven):
        prefix_fork_of(signed(large), signed(small), small.root(), proof)


@given(st.integers(1, 70), st.integers(1, 70))
def test_the_root_of_the_smaller_tree_is_read_from_proofs(old: int, more: int) -> None:
    prefix, _ = tree(history(old))
    larger, nodes = tree(history(old + more))
    if old & (old - 1) == 0:
        root = claimed_power_root(old, nodes[(0, 0)], consistency_proof(1, old + more, nodes))
        with pytest.raises(BadConsistency):
            claimed_root(old, old + more, consistency_proof(old, old + more, nodes))
    else:
        root = claimed_root(old, old + more, consistency_proof(old, old + more, nodes))
    assert root == prefix.root()
    verify_consistency(old, old + more, root, larger.root(), consistency_proof(old, old + more, nodes))


def test_two_roots_of_one_size_are_a_portable_proof() -> None:
    fork = fork_of(ONE.opened(9), OTHER.opened(9))
    kept = parse_fork(encode_fork(fork))
    assert kept == fork
    verify_fork(kept, ORIGIN, KEY.public_key)
    with pytest.raises(NotProven):
        verify_fork(kept, ORIGIN, SigningKey(bytes([1]) * 32).public_key)


def test_two_notes_that_fit_together_prove_no_fork() -> None:
    for first, second in (
        (ONE.note(9), ONE.note(9)),
        (ONE.note(9), ONE.note(10)),
        (ONE.note(3), OTHER.note(3)),
    ):
        with pytest.raises(NotProven):
            verify_fork(SameSizeFork(first, second), ORIGIN, KEY.public_key)
    with pytest.raises(NotProven):
        fork_of(ONE.opened(9), OTHER.opened(10))


def test_fork_of_two_logs_is_none() -> None:
    key = SigningKey(bytes([5]) * 32)
    origin = log_origin("ring.example", bytes([5]) * 16)
    raw = sign_checkpoint(
        Checkpoint(origin, 9, leaf_hash(b"")), Signer(log_verifier(origin, key.public_key), key.sign)
    )
    with pytest.raises(NotProven, match="two logs"):
        fork_of(ONE.opened(9), open_checkpoint(raw, origin, key.public_key))


@given(st.integers(0), st.integers(0, 7), st.integers(0))
def test_a_damaged_fork_is_a_named_error_or_no_proof(at: int, bit: int, end: int) -> None:
    proof = tuple(consistency_proof(9, 12, OTHER.nodes))
    prefix = prefix_fork_of(ONE.opened(9), OTHER.opened(12), OTHER.opened(9).checkpoint.root, proof)
    for fork in (prefix, fork_of(ONE.opened(9), OTHER.opened(9))):
        raw = bytearray(encode_fork(fork))
        with pytest.raises(BadProofFile):
            parse_fork(bytes(raw[: end % len(raw)]))
        raw[at % len(raw)] ^= 1 << bit
        with pytest.raises(ProofError):
            verify_fork(parse_fork(bytes(raw)), ORIGIN, KEY.public_key)


@given(st.binary(max_size=200))
def test_hostile_bytes_are_no_fork(data: bytes) -> None:
    with pytest.raises(BadProofFile):
        parse_fork(data)


@pytest.mark.parametrize(
    "data",
    [
        MAGIC,
        MAGIC + b"\x01" + bytes(7),
        MAGIC + b"\x01" + bytes(9),
        MAGIC + b"\x04" + bytes(8),
        MAGIC + b"\x00" + bytes(8),
        MAGIC + b"\x01\xff\xff\xff\xff",
        MAGIC + b"\x02" + bytes(8 + 8 + 32),
        MAGIC + b"\x03" + bytes(8) + b"\x00",
        MAGIC + b"\x04" + bytes(8 + 32) + bytes([65]) + bytes(65 * 32),
    ],
)
def test_a_malformed_fork_is_refused(data: bytes) -> None:
    with pytest.raises(BadProofFile):
        parse_fork(data)


def test_a_proof_too_long_to_be_read_is_not_written() -> None:
    with pytest.raises(BadProofFile):
        encode_fork(PrefixFork(b"", b"", leaf_hash(b""), (leaf_hash(b""),) * 65))


def test_a_signed_note_that_is_no_checkpoint_proves_nothing() -> None:
    for note in (b"", sign_note("hello\n", [SIGNER]).encode()):
        with pytest.raises(NotProven):
            verify_fork(parse_fork(encode_fork(SameSizeFork(note, note))), ORIGIN, KEY.public_key)
