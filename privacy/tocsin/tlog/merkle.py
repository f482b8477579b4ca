"""The Merkle tree of RFC 6962 §2.1, growing from the right.

Rules
1. The hash of a leaf is SHA-256(0x00 ‖ leaf); of an inner node SHA-256(0x01 ‖ left ‖ right); of an empty
   tree SHA-256 of nothing.
2. A tree of n > 1 leaves splits at the largest power of two smaller than n.
3. A *complete node* `(level, index)` covers exactly the leaves `index·2^level … (index+1)·2^level − 1`.
   Once those leaves exist it never changes, so it may be stored for ever; level 0 is the leaf hashes.
4. Every hash that a proof or a root needs is a complete node, or a fold from the right of complete nodes.
   So making a proof is two steps: *plan* (which nodes) and *compute* (from those nodes), and a store can
   read the plan in one query.
5. A proof is accepted only if it has exactly the hashes that the sizes call for, each 32 bytes, and leads to
   the root. Nothing is consistent with an empty tree: a consistency claim from size 0 is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import repeat
from typing import NewType, cast

from tocsin.tlog.errors import TlogError

Hash = NewType("Hash", bytes)
"""A SHA-256 hash of RFC 6962: 32 bytes."""

Node = tuple[int, int]
"""Coordinates of a complete node: `(level, index)`."""

HASH_BYTES = 32
MAX_SIZE = 2**63 - 1  # M-1.9
"""The largest tree: what a signed 64-bit column holds."""

EMPTY_ROOT = Hash(sha256(b"").digest())
"""The root of a tree without leaves (rule 1)."""


class BadInclusion(TlogError):
    """An inclusion proof does not prove that the leaf is at that index of that tree."""


class BadConsistency(TlogError):
    """A consistency proof does not prove that the smaller tree is a prefix of the larger."""


class BadFrontier(TlogError):
    """Bytes or fields that are not the right edge of any tree."""


class BadRange(TlogError):
    """An index or a size outside the tree it is asked of."""


class MissingNode(LookupError):
    """A planned node is missing: the store lost it, or it was written by another version."""


def leaf_hash(leaf: bytes) -> Hash:
    """Hash one leaf (RFC 6962 §2.1)."""
    return Hash(sha256(b"\x00" + leaf).digest())


def node_hash(left: Hash, right: Hash) -> Hash:
    """Hash two neighbouring subtrees (RFC 6962 §2.1)."""
    return Hash(sha256(b"\x01" + left + right).digest())


def parse_hash(data: bytes) -> Hash:
    """Take 32 bytes for a hash; raise `BadRange` on any other length."""
    if len(data) != HASH_BYTES:
        raise BadRange(f"a tree hash is {HASH_BYTES} bytes, got {len(data)}")
    return Hash(bytes(data))


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a tree: all that appending needs.

    `roots` are the roots of the perfect subtrees that `size` splits into, largest (leftmost) first, one for
    each 1 bit of `size`. Raises `BadFrontier` if they do not fit.
    """

    size: int = 0
    roots: tuple[Hash, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_SIZE:
            raise BadFrontier(f"a tree has 0 to 2^63-1 leaves, not {self.size}")
        if len(self.roots) != self.size.bit_count():
            raise BadFrontier(
                f"{self.size} leaves make {self.size.bit_count()} perfect subtrees, got {len(self.roots)}"
            )
        if any(len(root) != HASH_BYTES for root in self.roots):
            raise BadFrontier(f"every subtree root is {HASH_BYTES} bytes")

    @classmethod
    def of(cls, size: int, nodes: Mapping[Node, Hash]) -> Frontier:
        """Rebuild the edge of the tree of `size` leaves from the nodes of `plan_frontier(size)`."""
        return cls(size, tuple(_take(nodes, node) for node in plan_frontier(size)))

    @classmethod
    def decode(cls, data: bytes) -> Frontier:
        """Read `encode()`'s form; raise `BadFrontier` on anything else."""
        if len(data) < 8 or (len(data) - 8) % HASH_BYTES:
            raise BadFrontier(f"a frontier is 8 bytes and whole hashes, got {len(data)} bytes")
        roots = (Hash(data[at : at + HASH_BYTES]) for at in range(8, len(data), HASH_BYTES))
        return cls(int.from_bytes(data[:8], "big"), tuple(roots))

    def encode(self) -> bytes:
        """`u64be size ‖ roots`, 8 + 32·popcount(size) bytes."""
        return self.size.to_bytes(8, "big") + b"".join(self.roots)

    def root(self) -> Hash:
        """Return the root hash of the whole tree."""
        return _fold(self.roots) if self.roots else EMPTY_ROOT

    def append(self, leaf_hashes: Sequence[Hash]) -> tuple[Frontier, list[tuple[int, int, Hash]]]:
        """Add leaves; return the new edge and every node this completes, as `(level, index, hash)`.

        The nodes come level by level, level 0 (the leaves themselves) first, each by rising index. Raises
        `BadFrontier` for a leaf hash that is not 32 bytes or a tree grown past 2^63−1.
        """
        if any(len(leaf) != HASH_BYTES for leaf in leaf_hashes):
            raise BadFrontier(f"every leaf hash is {HASH_BYTES} bytes")
        size = self.size + len(leaf_hashes)
        if size > MAX_SIZE:
            raise BadFrontier("a tree has at most 2^63-1 leaves")
        edge = dict(zip(_levels(self.size), self.roots, strict=True))
        completed: list[tuple[int, int, Hash]] = []
        level, start, fresh = 0, self.size, list(leaf_hashes)
        while fresh:
            completed.extend(zip(repeat(level), range(start, start + len(fresh)), fresh, strict=False))
            if start & 1:
                fresh.insert(0, edge.pop(level))
                start -= 1
            if len(fresh) & 1:
                edge[level] = fresh[-1]
            pairs = zip(fresh[::2], fresh[1::2], strict=False)
            fresh = cast("list[Hash]", [sha256(b"\x01" + left + right).digest() for left, right in pairs])
            level, start = level + 1, start >> 1
        return Frontier(size, tuple(edge[at] for at in _levels(size))), completed


def plan_frontier(size: int) -> list[Node]:
    """Name the complete nodes that make up the right edge of the tree of `size` leaves."""
    if not 0 <= size <= MAX_SIZE:
        raise BadRange(f"a tree has 0 to 2^63-1 leaves, not {size}")
    return _cover(0, size)


def plan_inclusion(index: int, size: int) -> list[Node]:
    """Name the complete nodes that `inclusion_proof(index, size, …)` reads; at most 2·64."""
    return [node for span in _inclusion_spans(index, size) for node in _cover(*span)]


def plan_consistency(old: int, new: int) -> list[Node]:
    """Name the complete nodes that `consistency_proof(old, new, …)` reads; at most 2·64."""
    return [node for span in _consistency_spans(old, new) for node in _cover(*span)]


def inclusion_proof(index: int, size: int, nodes: Mapping[Node, Hash]) -> list[Hash]:
    """Compute PATH(index, D[size]) of RFC 6962 §2.1.1, the leaf's sibling first.

    Raises `BadRange` unless `0 ≤ index < size`, `MissingNode` if a node of the plan is not in `nodes`.
    """
    return [_fold([_take(nodes, node) for node in _cover(*span)]) for span in _inclusion_spans(index, size)]


def consistency_proof(old: int, new: int, nodes: Mapping[Node, Hash]) -> list[Hash]:
    """Compute PROOF(old, D[new]) of RFC 6962 §2.1.2; empty if the sizes are equal.

    Raises `BadRange` unless `0 < old ≤ new`, `MissingNode` if a node of the plan is not in `nodes`.
    """
    return [_fold([_take(nodes, node) for node in _cover(*span)]) for span in _consistency_spans(old, new)]


def verify_inclusion(index: int, size: int, leaf: Hash, proof: Sequence[Hash], root: Hash) -> None:
    """Check that `leaf` (its hash) is at `index` of the tree with that size and root (RFC 9162 §2.1.3.2).

    Raises `BadInclusion`.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise BadInclusion(f"index {index} is not in a tree of {size} leaves")
    if len(leaf) != HASH_BYTES or any(len(step) != HASH_BYTES for step in proof):
        raise BadInclusion(f"a leaf hash and every hash of its proof are {HASH_BYTES} bytes")
    wanted = len(_inclusion_spans(index, size))
    if len(proof) != wanted:
        raise BadInclusion(f"leaf {index} of {size} takes {wanted} hashes to prove, got {len(proof)}")
    at, last, computed = index, size - 1, leaf
    for step in proof:
        if at & 1 or at == last:
            computed = node_hash(step, computed)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            computed = node_hash(computed, step)
        at, last = at >> 1, last >> 1
    if computed != root:
        raise BadInclusion(f"the proof of leaf {index} of {size} does not lead to the root")


def verify_consistency(
    old_size: int, new_size: int, old_root: Hash, new_root: Hash, proof: Sequence[Hash]
) -> None:
    """Check that the tree of `old_size` is a prefix of that of `new_size` (RFC 9162 §2.1.4.2).

    Raises `BadConsistency`; always if `old_size` is 0, where there is nothing to be consistent with (rule 5).
    """
    if not 0 < old_size <= new_size <= MAX_SIZE:
        raise BadConsistency(f"no tree of {new_size} leaves can be shown to extend one of {old_size}")
    if any(len(step) != HASH_BYTES for step in proof):
        raise BadConsistency(f"every hash of a proof is {HASH_BYTES} bytes")
    wanted = len(_consistency_spans(old_size, new_size))
    if len(proof) != wanted:
        raise BadConsistency(f"from {old_size} to {new_size} leaves takes {wanted} hashes, got {len(proof)}")
    if old_size == new_size:
        if old_root != new_root:
            raise BadConsistency(f"two different roots for {old_size} leaves")
        return
    at, last, steps = old_size - 1, new_size - 1, list(proof)
    while at & 1:
        at, last = at >> 1, last >> 1
    # A power of two has its root as the first step, which the proof leaves out because the verifier has it.
    first = old_root if at == 0 else steps.pop(0)
    older = newer = first
    for step in steps:
        if at & 1 or at == last:
            older, newer = node_hash(step, older), node_hash(step, newer)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            newer = node_hash(newer, step)
        at, last = at >> 1, last >> 1
    if older != old_root:
        raise BadConsistency(f"the proof does not lead to the root of the smaller tree ({old_size} leaves)")
    if newer != new_root:
        raise BadConsistency(f"the proof does not lead to the root of the larger tree ({new_size} leaves)")


def claimed_root(old_size: int, new_size: int, proof: Sequence[Hash]) -> Hash:
    """Return the root that a consistency proof claims for the first `old_size` leaves; it proves nothing alone.

    Followed by `verify_consistency` with that root, it shows the root of the smaller tree to anyone who trusts the
    larger one only. A proof from a power of two leaves that root out: raises `BadConsistency` for one, and for a
    proof of another length than the sizes call for. Use `claimed_power_root` there.
    """
    if not 0 < old_size < new_size <= MAX_SIZE or old_size & (old_size - 1) == 0:
        raise BadConsistency(
            f"a proof from {old_size} to {new_size} leaves claims no root for the smaller tree"
        )
    if len(proof) != len(_consistency_spans(old_size, new_size)):
        raise BadConsistency(f"a proof from {old_size} to {new_size} leaves has another number of hashes")
    at, last = old_size - 1, new_size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    root = proof[0]
    for step in proof[1:]:
        if at & 1 or at == last:
            root = node_hash(step, root)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        at, last = at >> 1, last >> 1
    return root


def claimed_power_root(old_size: int, first_leaf: Hash, proof_from_one: Sequence[Hash]) -> Hash:
    """Return the root of the first `old_size` leaves, a power of two, as a consistency proof from size 1 claims it.

    Raises `BadConsistency` if the proof is too short or `old_size` is not a power of two.
    """
    levels = old_size.bit_length() - 1
    if old_size != 1 << levels or len(proof_from_one) < levels:
        raise BadConsistency(f"this proof from one leaf claims no root for {old_size} leaves")
    root = first_leaf
    for step in proof_from_one[:levels]:
        root = node_hash(root, step)
    return root


Span = tuple[int, int]


def _inclusion_spans(index: int, size: int) -> list[Span]:
    if not 0 <= index < size <= MAX_SIZE:
        raise BadRange(f"index {index} is not in a tree of {size} leaves")
    spans: list[Span] = []
    start, end = 0, size
    while end - start > 1:
        middle = _split(start, end)
        if index < middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    return spans[::-1]


def _consistency_spans(old: int, new: int) -> list[Span]:
    if not 0 < old <= new <= MAX_SIZE:
        raise BadRange(f"no tree of {new} leaves can be shown to extend one of {old}")
    spans: list[Span] = []
    start, end = 0, new
    while end != old:
        middle = _split(start, end)
        if old <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    if start:  # RFC 6962's flag b: the old root itself is left out only while it is a whole subtree
        spans.append((start, end))
    return spans[::-1]


def _split(start: int, end: int) -> int:
    return start + (1 << ((end - start - 1).bit_length() - 1))


def _cover(start: int, end: int) -> list[Node]:
    nodes: list[Node] = []
    for level in _levels(end - start):
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def _levels(size: int) -> Iterator[int]:
    return (level for level in range(size.bit_length() - 1, -1, -1) if size >> level & 1)


def _fold(hashes: Sequence[Hash]) -> Hash:
    folded = hashes[-1]
    for left in reversed(hashes[:-1]):
        folded = node_hash(left, folded)
    return folded


def _take(nodes: Mapping[Node, Hash], node: Node) -> Hash:
    try:
        return nodes[node]
    except KeyError:
        raise MissingNode(f"node {node[1]} of level {node[0]} was planned but is missing") from None
