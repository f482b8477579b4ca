"""The keys and names of the members' logs as a charter gives them."""

from __future__ import annotations

from tocsin.charter.document import Charter, Member
from tocsin.node.ports import Signer as NodeSigner
from tocsin.tlog.checkpoint import SignedCheckpoint, log_origin, log_verifier, open_checkpoint
from tocsin.tlog.cosignature import cosigned_at, cosigner_name, cosigner_verifier
from tocsin.tlog.note import Note, Signer, Verifier, parse_note
from tocsin.wire.values import MemberId


def open_note(charter: Charter, origin: MemberId, note: bytes) -> SignedCheckpoint:
    """Open a checkpoint of a member's log under its log key; raises `TlogError`."""
    member = charter.member(origin)
    return open_checkpoint(note, log_origin(charter.federation, origin), member.log)


def is_signed(charter: Charter, origin: MemberId, note: bytes) -> bool:
    """Say whether a note that was verified once is by the log key of this charter, not by that of an earlier one."""
    verifier = log_verifier_of(charter, origin)
    return any(line.by(verifier) for line in parse_note(note).signatures)


def log_verifier_of(charter: Charter, origin: MemberId) -> Verifier:
    """Return the key that a member's checkpoints are verified with."""
    return log_verifier(log_origin(charter.federation, origin), charter.member(origin).log)


def cosigner_of(charter: Charter, member: Member) -> Verifier:
    """Return the key that a member's cosignatures are verified with."""
    return cosigner_verifier(cosigner_name(charter.federation, member.id), member.cosigner)


def member_cosigners(charter: Charter) -> list[Verifier]:
    """Return every member's key for cosignatures."""
    return [cosigner_of(charter, member) for member in charter.members]


def origin_time(charter: Charter, origin: MemberId, note: Note) -> int:
    """Return when the origin itself last vouched for the checkpoint, unix seconds; raises `TlogError`."""
    return cosigned_at(note, cosigner_of(charter, charter.member(origin)))


def log_signer(charter: Charter, member: MemberId, signer: NodeSigner) -> Signer:
    """Return the signer of this node's own checkpoints."""
    return Signer(log_verifier_of(charter, member), signer.sign_log)


def cosigner(charter: Charter, member: MemberId, signer: NodeSigner) -> Signer:
    """Return the signer of this node's cosignatures."""
    return Signer(cosigner_of(charter, charter.member(member)), signer.sign_cosigner)
