import json
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.tlog.merkle import (
    EMPTY_ROOT,
    MAX_SIZE,
    BadConsistency,
    BadFrontier,
    BadInclusion,
    BadRange,
    Frontier,
    Hash,
    MissingNode,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    parse_hash,
    plan_consistency,
    plan_frontier,
    plan_inclusion,
    verify_consistency,
    verify_inclusion,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "rfc6962.json").read_text())
LEAVES = [leaf_hash(number.to_bytes(2, "big")) for number in range(300)]
SIZES = st.integers(1, len(LEAVES))


def build(size):
    frontier, nodes = Frontier().append(LEAVES[:size])
    return frontier, {(level, index): node for level, index, node in nodes}


ALL = build(len(LEAVES))[1]


def naive_root(leaves):
    """RFC 6962 §2.1 word for word."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return Hash(sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest())


def naive_path(m, leaves):
    """PATH(m, D[n]) of RFC 6962 §2.1.1 word for word."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def flipped(value, bit):
    changed = bytearray(value)
    changed[bit // 8 % len(changed)] ^= 1 << bit % 8
    return bytes(changed)


def hexes(values):
    return [bytes.fromhex(value) for value in values]


def test_all_vectors_are_there():
    assert len(VECTORS["inclusion"]) + len(VECTORS["consistency"]) == 196
    assert sum(v["valid"] for kind in ("inclusion", "consistency") for v in VECTORS[kind]) == 12


@pytest.mark.parametrize("vector", VECTORS["inclusion"], ids=lambda v: v["name"])
def test_inclusion_vector(vector):
    leaf, root = hexes([vector["leaf"], vector["root"]])
    arguments = (vector["index"], vector["size"], leaf, hexes(vector["proof"]), root)
    if vector["valid"]:
        verify_inclusion(*arguments)
    else:
        with pytest.raises(BadInclusion):
            verify_inclusion(*arguments)


@pytest.mark.parametrize("vector", VECTORS["consistency"], ids=lambda v: v["name"])
def test_consistency_vector(vector):
    old_root, new_root = hexes([vector["old_root"], vector["new_root"]])
    arguments = (vector["old_size"], vector["new_size"], old_root, new_root, hexes(vector["proof"]))
    if vector["valid"]:
        verify_consistency(*arguments)
    else:
        with pytest.raises(BadConsistency):
            verify_consistency(*arguments)


def test_hashes_of_the_empty_tree_and_leaf():
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert node_hash(leaf_hash(b""), leaf_hash(b"")) != leaf_hash(leaf_hash(b"") * 2)
    assert Frontier().root() == EMPTY_ROOT


@given(st.lists(st.integers(0, 60), max_size=8))
@settings(max_examples=60, deadline=None)
def test_incremental_append_equals_the_recursive_tree(batches):
    frontier, seen, size = Frontier(), {}, 0
    for batch in batches:
        before = size
        size = min(size + batch, len(LEAVES))
        frontier, completed = frontier.append(LEAVES[before:size])
        for level, index, node in completed:
            assert (level, index) not in seen, "a node is completed once"
            seen[level, index] = node
        assert frontier.size == size
        assert frontier.root() == naive_root(LEAVES[:size])
        assert Frontier.decode(frontier.encode()) == frontier
        assert Frontier.of(size, seen) == frontier
    expected = {(level, index) for level in range(9) for index in range(size >> level)}
    assert set(seen) == expected
    for (level, index), node in seen.items():
        assert node == naive_root(LEAVES[index << level : (index + 1) << level])


@given(SIZES, st.data())
@settings(max_examples=80, deadline=None)
def test_every_inclusion_proof_verifies_and_nothing_near_it_does(size, data):
    index = data.draw(st.integers(0, size - 1))
    plan = plan_inclusion(index, size)
    assert len(set(plan)) == len(plan)
    assert all((at + 1) << level <= size for level, at in plan), "only complete nodes are read"
    proof = inclusion_proof(index, size, {node: ALL[node] for node in plan})
    root = naive_root(LEAVES[:size])
    assert proof == naive_path(index, LEAVES[:size])
    verify_inclusion(index, size, LEAVES[index], proof, root)

    bit = data.draw(st.integers(0, 255))
    refused = [
        (index, size, flipped(LEAVES[index], bit), proof, root),
        (index, size, LEAVES[index], proof, flipped(root, bit)),
        (index, size, LEAVES[index], [*proof, root], root),
        (index, size, LEAVES[index], [root, *proof], root),
        (index - size, size, LEAVES[index], proof, root),
        (index + size, size, LEAVES[index], proof, root),
    ]
    refused += [(other, size, LEAVES[index], proof, root) for other in range(size) if other != index][:40]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        broken = [*proof[:at], flipped(proof[at], bit), *proof[at + 1 :]]
        refused += [
            (index, size, LEAVES[index], broken, root),
            (index, size, LEAVES[index], proof[:-1], root),
            (index, size, LEAVES[index], [step[:31] for step in proof], root),
        ]
    for arguments in refused:
        with pytest.raises(BadInclusion):
            verify_inclusion(*arguments)


@given(SIZES, SIZES, st.data())
@settings(max_examples=80, deadline=None)
def test_every_consistency_proof_verifies_and_nothing_near_it_does(one, other, data):
    old, new = sorted((one, other))
    plan = plan_consistency(old, new)
    assert all((at + 1) << level <= new for level, at in plan), "only complete nodes are read"
    proof = consistency_proof(old, new, {node: ALL[node] for node in plan})
    roots = naive_root(LEAVES[:old]), naive_root(LEAVES[:new])
    verify_consistency(old, new, *roots, proof)

    bit = data.draw(st.integers(0, 255))
    refused = [
        (old, new, flipped(roots[0], bit), roots[1], proof),
        (old, new, roots[0], flipped(roots[1], bit), proof),
        (old, new, *roots, [*proof, roots[1]]),
        (0, new, *roots, proof),
        (new + 1, new, *roots, proof),
        (old, MAX_SIZE + 1, *roots, proof),
    ]
    if old < new:
        refused += [(old, new, roots[1], roots[0], proof), (new, old, *roots, proof)]
        refused += [(size, new, *roots, proof) for size in range(1, new + 1) if size != old][:40]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        broken = [*proof[:at], flipped(proof[at], bit), *proof[at + 1 :]]
        refused += [
            (old, new, *roots, broken),
            (old, new, *roots, proof[:-1]),
            (old, new, *roots, [step + b"\0" for step in proof]),
        ]
    for arguments in refused:
        with pytest.raises(BadConsistency):
            verify_consistency(*arguments)


def test_every_small_tree_completely():
    for new in range(1, 34):
        root = naive_root(LEAVES[:new])
        for index in range(new):
            verify_inclusion(index, new, LEAVES[index], inclusion_proof(index, new, ALL), root)
        for old in range(1, new + 1):
            verify_consistency(old, new, naive_root(LEAVES[:old]), root, consistency_proof(old, new, ALL))


def test_an_all_but_full_tree_is_planned_and_refused_without_overflow():
    assert len(plan_frontier(MAX_SIZE)) == 63
    assert len(plan_inclusion(MAX_SIZE - 1, MAX_SIZE)) == 62
    full = Frontier(MAX_SIZE, (LEAVES[0],) * 63)
    with pytest.raises(BadFrontier, match="2\\^63-1"):
        full.append(LEAVES[:1])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 4), (5, 4), (0, MAX_SIZE + 1)])
def test_an_index_outside_the_tree_is_refused(index, size):
    with pytest.raises(BadRange):
        plan_inclusion(index, size)


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 3), (4, 3), (-1, 3), (1, MAX_SIZE + 1)])
def test_a_size_outside_the_tree_is_refused(old, new):
    with pytest.raises(BadRange):
        plan_consistency(old, new)


@pytest.mark.parametrize("size", [-1, MAX_SIZE + 1])
def test_a_frontier_of_an_impossible_size_is_refused(size):
    with pytest.raises(BadRange):
        plan_frontier(size)
    with pytest.raises(BadFrontier):
        Frontier(size)


def test_a_node_that_the_store_lost_is_named():
    with pytest.raises(MissingNode, match="node 1 of level 1"):
        inclusion_proof(0, 4, {(0, 1): LEAVES[1]})


@given(st.binary(max_size=200))
def test_hostile_bytes_are_no_frontier(data):
    try:
        frontier = Frontier.decode(data)
    except BadFrontier:
        return
    assert frontier.encode() == data


def test_a_leaf_hash_of_another_length_is_refused():
    with pytest.raises(BadFrontier):
        Frontier().append([Hash(b"short")])
    with pytest.raises(BadFrontier):
        Frontier(1, (Hash(b"short"),))
    with pytest.raises(BadRange):
        parse_hash(bytes(31))
    assert parse_hash(bytes(32)) == bytes(32)
