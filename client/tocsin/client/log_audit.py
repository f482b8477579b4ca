"""Verify a whole log as the member's node has it: signature, every leaf, root, and that it only grew.

1. The checkpoint must carry the log's signature, under the key of the client's verified charter.
2. The tree is recomputed from every leaf; a body that is there must be the one its leaf commits to.
3. What was verified before must be a beginning of it: size and root are kept in the vault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tocsin.charter.document import Charter
from tocsin.client.arguments import fixed_bytes
from tocsin.client.errors import NodeMisbehaved, PeerMisbehaved, Unavailable, UnknownMember
from tocsin.client.matching import freshness
from tocsin.client.ports import NodeApi
from tocsin.client.timestamps import iso_time
from tocsin.client.vault import Vault
from tocsin.tlog.checkpoint import log_origin, open_checkpoint
from tocsin.tlog.entry import Kind, check_reference
from tocsin.tlog.errors import TlogError
from tocsin.tlog.merkle import Frontier
from tocsin.wire.limits import MAX_ENTRIES
from tocsin.wire.values import LogCheckpoint


@dataclass(frozen=True, slots=True)
class LogReport:
    """A verified log: sizes by kind of entry, and its freshest cosignature (unix seconds)."""

    writer: bytes
    writer_name: str
    size: int
    root: bytes
    sealed: int
    bodies: int
    retractions: int
    charters: int
    checkpoint_time: int
    verified_before: int

    def to_dict(self) -> dict[str, object]:
        """Return every field under its name."""
        return {
            "writer": self.writer.hex(),
            "writer_name": self.writer_name,
            "size": self.size,
            "root": self.root.hex(),
            "sealed": self.sealed,
            "bodies": self.bodies,
            "retractions": self.retractions,
            "charters": self.charters,
            "checkpoint_time": iso_time(self.checkpoint_time),
            "verified_before": self.verified_before,
        }


def audit_log(
    node: NodeApi, vault: Vault, charter: Charter, member: bytes, progress: Callable[[int], None] | None
) -> LogReport:
    """Read and verify one member's log.

    Raises `UnknownMember`, `PeerMisbehaved`, `NodeMisbehaved`, `Unavailable`.
    """
    fixed_bytes("member", member, 16)
    who = next((known for known in charter.members if known.id == member), None)
    if who is None:
        raise UnknownMember(member)
    checkpoints: dict[bytes, LogCheckpoint] = {log.writer: log for log in node.checkpoints()}
    newest = checkpoints.get(member)
    if newest is None and member not in vault.heads():
        raise Unavailable(f"your node could not read {who.name}'s log yet; `tocsin status` says why")
    if newest is None:
        raise NodeMisbehaved(f"{who.name}'s log, which was verified before, is gone")
    if newest.quarantined:
        raise PeerMisbehaved(
            member,
            who.name,
            "it signed two histories of its log; your node keeps the proof (`tocsin log forks`)",
        )
    try:
        signed = open_checkpoint(newest.note, log_origin(charter.federation, member), who.log)
    except TlogError as error:
        raise NodeMisbehaved(f"the checkpoint of {who.name}'s log is not that log's ({error})") from None
    size = signed.checkpoint.size
    old_size, old_root = vault.heads().get(member, (0, b""))
    if old_size > size:
        raise NodeMisbehaved(f"{who.name}'s log has {size} entries, but {old_size} were verified before")
    frontier = Frontier()
    counts = dict.fromkeys(Kind, 0)
    bodies = 0
    while frontier.size < size:
        limit = min(MAX_ENTRIES, size - frontier.size)
        if frontier.size < old_size:
            limit = min(limit, old_size - frontier.size)
        page = node.entries(member, frontier.size, limit)[:limit]
        if not page:
            raise NodeMisbehaved(f"{who.name}'s log ends at {frontier.size}, its checkpoint says {size}")
        for offset, stored in enumerate(page):
            counts[stored.entry.header.kind] += 1
            bodies += stored.entry.body is not None
            try:
                check_reference(stored.entry.header, frontier.size + offset)
            except TlogError as error:
                raise PeerMisbehaved(member, who.name, str(error)) from None
        frontier, _ = frontier.append([stored.leaf_hash() for stored in page])
        if frontier.size == old_size and frontier.root() != old_root:
            raise NodeMisbehaved(
                f"the first {old_size} entries of {who.name}'s log are not those verified before"
            )
        if progress is not None:
            progress(len(page))
    if frontier.root() != signed.checkpoint.root:
        raise NodeMisbehaved(f"the entries it holds of {who.name}'s log do not lead to the signed root")
    vault.keep_head(member, size, frontier.root())
    return LogReport(
        writer=member,
        writer_name=who.name,
        size=size,
        root=bytes(frontier.root()),
        sealed=counts[Kind.SEALED],
        bodies=bodies,
        retractions=counts[Kind.RETRACT],
        charters=counts[Kind.CHARTER],
        checkpoint_time=freshness(charter, signed),
        verified_before=old_size,
    )
