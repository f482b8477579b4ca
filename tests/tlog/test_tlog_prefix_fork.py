"""Forks between checkpoints of different sizes, proven by a consistency proof of the other history."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.tlog.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    log_origin,
    log_verifier,
    open_checkpoint,
    sign_checkpoint,
)
from tocsin.tlog.ed25519 import SigningKey
from tocsin.tlog.fork import NotProven, PrefixFork, encode_fork, parse_fork, prefix_fork_of, verify_fork
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
from tocsin.tlog.note import Signer

KEY = SigningKey(bytes(range(32)))
ORIGIN = log_origin("fed.example", bytes(16))


def tree(leaves: list[bytes]) -> tuple[Frontier, dict[tuple[int, int], Hash]]:
    frontier, nodes = Frontier().append([leaf_hash(leaf) for leaf in leaves])
    return frontier, {(level, index): value for level, index, value in nodes}


def signed(frontier: Frontier) -> SignedCheckpoint:
    signer = Signer(log_verifier(ORIGIN, KEY.public_key), KEY.sign)
    note = sign_checkpoint(Checkpoint(ORIGIN, frontier.size, frontier.root()), signer)
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
    with pytest.raises(BadConsistency):
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
