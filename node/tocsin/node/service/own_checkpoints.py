"""The checkpoints of this member's own log: the newest, and those on the way to it (M-6.6, M-6.7, M-6.23).

1. The origin cosigns each: that says when it vouched for it.
2. At every multiple of `STEP_ENTRIES` one is kept for good, signed in the transaction that appends the entry before it.
   A follower that is behind goes from one to the next.
3. Under a charter that gives this member another log or cosigner key, what is kept is signed again with the new key:
   the same trees, vouched for at the same times.
"""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.charter.document import Charter
from tocsin.node.model import Intermediate
from tocsin.node.ports import Signer, Transaction
from tocsin.node.service.log_keys import cosigner, cosigner_of, is_signed, log_signer
from tocsin.tlog.checkpoint import Checkpoint, sign_checkpoint
from tocsin.tlog.cosignature import add_cosignature
from tocsin.tlog.merkle import Frontier, Hash, plan_frontier
from tocsin.tlog.note import parse_note
from tocsin.wire.limits import STEP_ENTRIES
from tocsin.wire.values import MemberId

MOST_RESIGNED = 1_000
"""How many kept checkpoints one transaction looks through."""

Keys = tuple[bytes, bytes]
"""Log and cosigner key of a charter."""


class OwnCheckpoints:
    """Signs this member's checkpoints. Used by one tick at a time."""

    def __init__(self, member: MemberId, signer: Signer) -> None:
        self._member = member
        self._signer = signer
        self._keys: Keys | None = None  # which the kept ones were found to be signed by
        self._looked: tuple[Keys, int] | None = None  # by which, and up to which size, they are so far

    def sign(self, charter: Charter, frontier: Frontier, time: int) -> bytes:
        """Return a checkpoint of this tree, signed and cosigned (rule 1)."""
        own = log_signer(charter, self._member, self._signer)
        checkpoint = Checkpoint(own.verifier.name, frontier.size, frontier.root())
        # M-6.7: the origin cosigns its own checkpoints.
        note = sign_checkpoint(checkpoint, own)
        return add_cosignature(note, cosigner(charter, self._member, self._signer), time)

    def extend(
        self, charter: Charter, frontier: Frontier, leaves: Sequence[Hash], time: int
    ) -> tuple[Frontier, list[tuple[int, int, Hash]], list[Intermediate]]:
        """Append leaves; return the new frontier, the nodes they complete and the checkpoints to keep (rule 2)."""
        nodes: list[tuple[int, int, Hash]] = []
        kept: list[Intermediate] = []
        at = 0
        while at < len(leaves):
            # M-6.23: a checkpoint at every multiple.
            end = at + STEP_ENTRIES - frontier.size % STEP_ENTRIES
            frontier, completed = frontier.append(leaves[at:end])
            nodes += completed
            at = end
            if frontier.size % STEP_ENTRIES == 0:
                kept.append(Intermediate(frontier.size, time, self.sign(charter, frontier, time)))
        return frontier, nodes, kept

    def sign_again(self, transaction: Transaction, charter: Charter) -> bool:
        """Sign with this charter's keys what is kept under others (rule 3); say whether more is left to look through.

        If its transaction fails, `forget`.
        """
        record = charter.member(self._member)
        keys = (record.log, record.cosigner)
        if self._keys == keys:
            return False
        after = self._looked[1] if self._looked is not None and self._looked[0] == keys else 0
        kept = transaction.intermediates(after, MOST_RESIGNED)
        verifier = cosigner_of(charter, record)
        stale = [
            checkpoint
            for checkpoint in kept
            if not checkpoint.note
            or not is_signed(charter, self._member, checkpoint.note)
            or not any(line.by(verifier) for line in parse_note(checkpoint.note).signatures)
        ]
        transaction.save_intermediates([self._again(transaction, charter, one) for one in stale])
        if len(kept) < MOST_RESIGNED:
            self._keys, self._looked = keys, None
            return False
        self._looked = keys, kept[-1].size
        return True

    def forget(self) -> None:
        """Look through everything again: a commit may have failed."""
        self._keys = self._looked = None

    def _again(self, transaction: Transaction, charter: Charter, kept: Intermediate) -> Intermediate:
        frontier = Frontier.of(kept.size, transaction.nodes(self._member, plan_frontier(kept.size)))
        return Intermediate(kept.size, kept.time, self.sign(charter, frontier, kept.time))
