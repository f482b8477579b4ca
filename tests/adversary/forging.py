"""Forging matches: what a member's own node, or who holds the value too, can put before a client.

1. `ForgingNode` stands between a client and its real node and invents entries: it answers each look-up with a hit in
   Aster's log that is not there, and each reading of it with an entry of its own making.
2. Its forger may have the value's output F and the pepper (a holder of the value colludes); then tag and box are what
   Aster itself would have made. Without, the box is random.
3. What it never has is Aster's log key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from tests.adversary.scene import Scene
from tocsin.client import Client
from tocsin.client.ports import NodeApi
from tocsin.client.system import now, random_bytes
from tocsin.founding.members import open_part
from tocsin.indicators.registry import KeyClass
from tocsin.localnet.federation import Home
from tocsin.oprf.rfc9497 import Output
from tocsin.primitives.ed25519 import SigningKey
from tocsin.sealing.box import BODY_BYTES, TAG_BYTES, Purpose, SealInfo, seal, tags
from tocsin.sealing.pepper import period_secret
from tocsin.tlog.checkpoint import Checkpoint, log_origin, log_verifier
from tocsin.tlog.entry import parse_body, sealed_header, weeks_after
from tocsin.tlog.merkle import Hash, leaf_hash, node_hash
from tocsin.tlog.note import Note, Signature
from tocsin.wire.values import Kept, ProvenEntries, ProvenEntry, Stored, TagHit


@dataclass(frozen=True)
class Forger:
    """Who invents entries of `victim` in the name of `home`, knowing a value's output or not."""

    scene: Scene
    home: Home
    victim: Home
    key_class: KeyClass
    output: Output | None
    label: bytes

    def entry(self, tag: bytes) -> Stored:
        """Make an entry of the victim's for a tag that was asked for."""
        info = self.scene.info(self.key_class)
        header = sealed_header(info.key_class, info.epoch, info.period, weeks_after(now(), 86_400))
        body = tag + random_bytes(BODY_BYTES - TAG_BYTES)
        if self.output is not None and self._tag(info) == tag:
            body = self.body(header.encode(), self.victim.id)
        leaf_body = parse_body(body)
        return Stored(INDEX, Kept(header, leaf_body), sha256(body).digest())

    def body(self, header: bytes, writer: bytes) -> bytes:
        """Seal the label under the value's secret, as the victim would."""
        assert self.output is not None
        info = self.scene.info(self.key_class)
        return seal(
            period_secret(self.scene.pepper(self.home), self.output),
            Purpose.REPORT,
            info,
            federation=self.scene.charter.federation,
            writer=writer,
            header=header,
            plaintext=self.label,
            random=random_bytes,
        )

    def _tag(self, info: SealInfo) -> bytes:
        assert self.output is not None
        secret = period_secret(self.scene.pepper(self.home), self.output)
        return tags(secret, Purpose.REPORT, info, self.victim.id)

    def own_checkpoint(self, origin_of: Home, root: Hash, size: int) -> bytes:
        """Sign a tree head of anybody's log with the forger's own log key, under the key id that is expected there."""
        origin = log_origin(self.scene.charter.federation, origin_of.id)
        expected = log_verifier(origin, self.scene.charter.member(origin_of.id).log)
        text = Checkpoint(origin, size, root).text()
        signature = SigningKey(open_part(self.home.folder, "node")["log"]).sign(text.encode())
        return Note(text, (Signature(origin, expected.key_id, signature),)).encode()

    def own_tree(self, origin_of: Home, entry: Stored) -> tuple[tuple[Hash, ...], bytes]:
        """Build a tree of two with the entry at index 1: its proof, and the tree's head as above."""
        other = leaf_hash(random_bytes(80))
        root = node_hash(other, entry.leaf_hash())
        return (other,), self.own_checkpoint(origin_of, root, 2)


Answer = tuple[tuple[Hash, ...], bytes]
"""A proof and a checkpoint."""

Way = Callable[[Forger, NodeApi, Stored, int], Answer]
"""Makes them for a forged entry and the index that it is claimed for."""


def _true_answer(forger: Forger, node: NodeApi, index: int) -> Answer:
    answer = node.proven_entries([(forger.victim.id, index)])
    return answer.entries[0].hashes, answer.checkpoints[forger.victim.id]


def without_a_proof(forger: Forger, node: NodeApi, entry: Stored, index: int) -> Answer:
    """The true checkpoint, and no proof at all."""
    _, checkpoint = _true_answer(forger, node, index)
    return (), checkpoint


def with_another_entry_s_proof(forger: Forger, node: NodeApi, entry: Stored, index: int) -> Answer:
    """The true checkpoint, and the true proof of what is really at that index."""
    return _true_answer(forger, node, index)


def with_a_leaf_that_was_a_node(forger: Forger, node: NodeApi, entry: Stored, index: int) -> Answer:
    """The true checkpoint, and the true proof with a step made up so that the forged leaf would have a neighbour."""
    hashes, checkpoint = _true_answer(forger, node, index)
    return (node_hash(entry.leaf_hash(), hashes[0]), *hashes[1:]), checkpoint


def with_a_tree_of_its_own(forger: Forger, node: NodeApi, entry: Stored, index: int) -> Answer:
    """A tree that holds the forged entry, under a checkpoint of the victim's origin that the forger signed."""
    return forger.own_tree(forger.victim, entry)


def with_a_checkpoint_of_its_own_log(forger: Forger, node: NodeApi, entry: Stored, index: int) -> Answer:
    """A tree that holds the forged entry, under a good checkpoint of the forger's own log."""
    return forger.own_tree(forger.home, entry)


TRUE_CHECKPOINT: tuple[Way, ...] = (without_a_proof, with_another_entry_s_proof, with_a_leaf_that_was_a_node)
OWN_CHECKPOINT: tuple[Way, ...] = (with_a_tree_of_its_own, with_a_checkpoint_of_its_own_log)
INDEX = 1


class ForgingNode:
    """A node that answers look-ups with entries of its own making, and everything else as the real one."""

    def __init__(self, real: NodeApi, forger: Forger, way: Way) -> None:
        self._real = real
        self._forger = forger
        self._way = way
        self._invented = b""
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def look_up(self, groups: Sequence[tuple[bytes, bytes]]) -> list[TagHit]:
        """Say that the newest report asked of the victim's log is there."""
        self.asked += 1
        for group, (writer, joined) in enumerate(groups):
            if writer == self._forger.victim.id:
                self._invented = joined[:TAG_BYTES]
                return [TagHit(group, 0, (INDEX,))]
        return []

    def proven_entries(self, locations: Sequence[tuple[bytes, int]]) -> ProvenEntries:
        """Prove the invention as well as it can be."""
        assert list(locations) == [(self._forger.victim.id, INDEX)]
        entry = self._forger.entry(self._invented)
        hashes, checkpoint = self._way(self._forger, self._real, entry, INDEX)
        proven = ProvenEntry(self._forger.victim.id, entry, hashes)
        return ProvenEntries((proven,), {self._forger.victim.id: checkpoint})


@contextmanager
def behind(client: Client, node: Any) -> Iterator[None]:
    """Put a node of the adversary's between a client and its own."""
    real, evaluator = client._session.node, client._session.evaluator
    client._session.node = node
    evaluator._node = node
    try:
        yield
    finally:
        client._session.node = real
        evaluator._node = real
