"""Proofs that a member's log showed two histories: as the member's node keeps them, and as files for everybody else.

1. A proof holds against every charter that the writer was a member of: whoever forked may have been removed since, or
   have changed its log key.
2. What the node sends is believed only where it proves a fork of the log that it is said to be of.
3. On disk a proof lies beside the charters, from version 1 on: with the federation's pin that is all anybody needs.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tocsin.charter.document import Charter
from tocsin.client.errors import BadEvidence, NodeMisbehaved
from tocsin.client.evidence import write_files
from tocsin.client.ports import NodeApi
from tocsin.proofs.errors import ProofError
from tocsin.proofs.fork import PrefixFork, SameSizeFork, parse_fork, verify_member_forked

_WORDS = {
    SameSizeFork: "two roots for one size",
    PrefixFork: "a beginning that was replaced",
}


@dataclass(frozen=True, slots=True)
class ProvenFork:
    """A verified proof: whose log, how the two signed checkpoints contradict, their sizes, and the proof itself."""

    writer: bytes
    writer_name: str
    how: str
    sizes: tuple[int, int]
    proof: bytes

    def to_dict(self) -> dict[str, object]:
        """Return {writer, writer_name, how, sizes, proof}; the proof in Base64."""
        return {
            "writer": self.writer.hex(),
            "writer_name": self.writer_name,
            "how": self.how,
            "sizes": list(self.sizes),
            "proof": base64.b64encode(self.proof).decode(),
        }


def prove_fork(proof: bytes, charters: Sequence[Charter]) -> ProvenFork:
    """Verify an encoded proof against verified charters, oldest first. Raises `BadEvidence`."""
    try:
        fork = parse_fork(proof)
        member, first, second = verify_member_forked(fork, charters)
    except ProofError as error:
        raise BadEvidence(f"it does not prove that a log forked: {error}") from None
    return ProvenFork(member.id, member.name, _WORDS[type(fork)], (first.size, second.size), proof)


def fetch_forks(node: NodeApi, charters: Sequence[Charter]) -> list[ProvenFork]:
    """Fetch and verify every proof that the node keeps. Raises `NodeMisbehaved`, `Unavailable`."""
    proofs = []
    for kept in node.forks():
        try:
            proven = prove_fork(kept.proof, charters)
        except BadEvidence as error:
            raise NodeMisbehaved(
                f"its proof that the log of {kept.writer.hex()} forked fails ({error})"
            ) from None
        if proven.writer != kept.writer:
            raise NodeMisbehaved(
                f"its proof that the log of {kept.writer.hex()} forked is of {proven.writer_name}'s"
            )
        proofs.append(proven)
    return proofs


def export_forks(folder: Path, forks: Sequence[ProvenFork], charters: Sequence[bytes]) -> list[Path]:
    """Write `<writer>.fork` of every proof, and the charters, into a new or empty folder; returns the former.

    Raises `FolderUnusable`.
    """
    return write_files(folder, {f"{fork.writer.hex()}.fork": fork.proof for fork in forks}, charters)
