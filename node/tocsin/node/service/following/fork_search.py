"""Compares a checkpoint that somebody shows with the copy of that log here.

1. Same size: same root, or the origin has forked.
2. Shown smaller: the root that our copy had at that size, or the origin has forked. Our own tree proves it.
3. Shown larger: whoever shows it gives a consistency proof from our size. If it holds, the origin may be ahead. If it
   leads to the shown root from another root than ours, the origin has forked, and that very proof shows it.
4. A proof that holds for no root proves nothing: the shower is refused and nobody is accused.
"""

from __future__ import annotations

from tocsin.node.model import LogTip
from tocsin.node.ports import Peers, Snapshot
from tocsin.node.service.following.batch_verifier import OriginAtFault
from tocsin.node.service.store_gateway import StoreGateway
from tocsin.proofs.errors import NotProven
from tocsin.proofs.fork import ForkProof, fork_of, prefix_fork_of
from tocsin.tlog.checkpoint import SignedCheckpoint
from tocsin.tlog.merkle import (
    BadConsistency,
    Frontier,
    Hash,
    claimed_power_root,
    claimed_root,
    consistency_proof,
    plan_consistency,
    plan_frontier,
    verify_consistency,
)
from tocsin.wire.values import MemberId


async def find_fork(
    gateway: StoreGateway,
    peers: Peers,
    shower: MemberId,
    origin: MemberId,
    ours: SignedCheckpoint,
    shown: SignedCheckpoint,
) -> ForkProof | None:
    """Return the proof that the origin forked, None if the two checkpoints fit together.

    `ours` is the checkpoint stored here, both are opened. Raises `OriginAtFault` by rule 4, and `PeerError`.
    """
    held, seen = ours.checkpoint, shown.checkpoint
    if seen.size == 0 or held.size == 0 or (seen.size, seen.root) == (held.size, held.root):
        return None
    if seen.size == held.size:
        return fork_of(ours, shown)
    if seen.size < held.size:
        return await gateway.read(lambda snapshot: _smaller(snapshot, origin, ours, shown))
    proof = await peers.consistency(shower, origin, held.size, seen.size)
    try:
        verify_consistency(held.size, seen.size, held.root, seen.root, proof)
    except BadConsistency:
        return await _larger(peers, shower, origin, ours, shown, tuple(proof))
    return None


def root_at(snapshot: Snapshot, origin: MemberId, tip: LogTip, size: int) -> Hash:
    """Return the root that our copy of a log had at `size`, which is not above its size now."""
    if size == tip.size:
        return tip.frontier.root()
    return Frontier.of(size, snapshot.nodes(origin, plan_frontier(size))).root()


def _smaller(
    snapshot: Snapshot, origin: MemberId, ours: SignedCheckpoint, shown: SignedCheckpoint
) -> ForkProof | None:
    old, new = shown.checkpoint.size, ours.checkpoint.size
    root = root_at(snapshot, origin, snapshot.tip(origin), old)
    if root == shown.checkpoint.root:
        return None
    nodes = snapshot.nodes(origin, plan_consistency(old, new))
    return prefix_fork_of(shown, ours, root, tuple(consistency_proof(old, new, nodes)))


async def _larger(
    peers: Peers,
    shower: MemberId,
    origin: MemberId,
    ours: SignedCheckpoint,
    shown: SignedCheckpoint,
    proof: tuple[Hash, ...],
) -> ForkProof:
    old, new = ours.checkpoint.size, shown.checkpoint.size
    try:
        if old & (old - 1):
            root = claimed_root(old, new, proof)
        else:
            # A proof from a power of two leaves the smaller root out; one from the first leaf holds it.
            first = await peers.entries(shower, origin, 0, 1)
            if not first:
                raise BadConsistency("the shower does not show the first entry")
            root = claimed_power_root(
                old, first[0].leaf_hash(), await peers.consistency(shower, origin, 1, new)
            )
        return prefix_fork_of(ours, shown, root, proof)
    except (BadConsistency, NotProven) as error:
        raise OriginAtFault(
            f"{shower.hex()} shows {new} entries of the log of {origin.hex()}, which do not extend the {old} "
            f"held here, and no proof of it ({error})"
        ) from error
