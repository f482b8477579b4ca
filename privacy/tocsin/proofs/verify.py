"""One answer to "what does this file prove?", for every kind of portable proof.

1. The kind is read from the first line; nothing else of the file is believed before it is verified.
2. Keys come from charters that the caller verified from its pin, never from the proof.
3. A finding names members and what they did, in words that can be shown; it accuses nobody of anything that the proof
   does not show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from tocsin.charter.document import Charter, Member, parse_charter
from tocsin.proofs import bad_partial, entry, fork, two_charters
from tocsin.proofs.errors import BadProofFile
from tocsin.tlog.cosignature import cosigned_at, cosigner_name, cosigner_verifier
from tocsin.tlog.errors import TlogError
from tocsin.tlog.note import parse_note


class ProofKind(StrEnum):
    """What a file proves."""

    ENTRY = "entry"
    FORK = "fork"
    BAD_PARTIAL = "bad-partial"
    TWO_CHARTERS = "two-charters"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a verified proof shows.

    `members` published the entry, or are the culprits of every other kind. `statement` says it in one sentence.
    `times` are the unix seconds that the proof itself states, ascending, none where it states none. `details` are the
    kind's own numbers and ids.
    """

    kind: ProofKind
    members: tuple[Member, ...]
    statement: str
    times: tuple[int, ...]
    details: Mapping[str, int | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "details", MappingProxyType(dict(self.details)))

    @property
    def accuses(self) -> bool:
        """Whether the members are culprits; an entry accuses nobody."""
        return self.kind is not ProofKind.ENTRY


def verify_proof(data: bytes, charters: Sequence[Charter], entry_file: bytes | None = None) -> Finding:
    """Return what a file proves under verified charters, ascending from version 1.

    `entry_file` is the entry that a tlog-proof is of; other kinds need none. Raises `BadProofFile` or `NotProven`.
    """
    if data.startswith(entry.PROOF_LINE.encode()):
        if entry_file is None:
            raise BadProofFile("entry", "a tlog-proof proves an entry: name the entry file beside it")
        return _entry(entry_file, data, charters[-1])
    if data.startswith(fork.MAGIC):
        return _fork(data, charters)
    if data.startswith(bad_partial.MAGIC):
        return _bad_partial(data, charters)
    if data.startswith(two_charters.MAGIC):
        return _two_charters(data, charters)
    raise BadProofFile("first line", "it is of no kind of proof that this release knows")


def _entry(entry_file: bytes, data: bytes, charter: Charter) -> Finding:
    published = entry.parse_entry_file(entry_file)
    proof = entry.parse_tlog_proof(data)
    member, signed = entry.verify_member_published(published, proof, charter)
    header = published.header
    return Finding(
        ProofKind.ENTRY,
        (member,),
        f"{member.name} published entry {proof.index} of its log",
        _dated(charter, member, proof.note),
        {
            "index": proof.index,
            "tree_size": signed.checkpoint.size,
            "entry_kind": header.kind.name.lower(),
            "key_class": header.key_class,
            "epoch": header.epoch,
            "period": header.period,
            "charter_version": charter.version,
        },
    )


def _fork(data: bytes, charters: Sequence[Charter]) -> Finding:
    proof = fork.parse_fork(data)
    member, first, second = fork.verify_member_forked(proof, charters)
    how = "two roots for one size"
    if isinstance(proof, fork.PrefixFork):
        how = "a beginning that was replaced"
    times = {
        time
        for charter in charters
        if member in charter.members
        for note in (proof.first, proof.second)
        for time in _dated(charter, member, note)
    }
    return Finding(
        ProofKind.FORK,
        (member,),
        f"{member.name} signed two histories of its log: {how}",
        tuple(sorted(times)),
        {"how": how, "first_size": first.size, "second_size": second.size},
    )


def _bad_partial(data: bytes, charters: Sequence[Charter]) -> Finding:
    proof = bad_partial.parse_bad_partial(data)
    charter = bad_partial.verify_bad_partial(proof, charters)
    context = proof.context
    member = charter.member(context.evaluator)
    return Finding(
        ProofKind.BAD_PARTIAL,
        (member,),
        f"{member.name} signed an evaluation whose proof fails",
        (proof.signed.time,),
        {
            "key_class": context.key_class,
            "epoch": context.epoch,
            "seat": context.seat,
            "caller": context.caller.hex(),
            "elements": len(proof.blinded),
        },
    )


def _two_charters(data: bytes, charters: Sequence[Charter]) -> Finding:
    proof = two_charters.parse_two_charters(data)
    document, ids = two_charters.verify_two_charters(proof, charters)
    other = parse_charter(proof.second.document)
    known = {member.id: member for charter in charters for member in charter.members}
    members = tuple(known[id] for id in ids)
    return Finding(
        ProofKind.TWO_CHARTERS,
        members,
        f"{', '.join(member.name for member in members)} signed two charters of version {document.version}",
        tuple(sorted({document.issued, other.issued})),
        {"version": document.version},
    )


def _dated(charter: Charter, member: Member, note: bytes) -> tuple[int, ...]:
    """Return when the log's own cosigner vouched for the checkpoint, where it did."""
    cosigner = cosigner_verifier(cosigner_name(charter.federation, member.id), member.cosigner)
    try:
        return (cosigned_at(parse_note(note), cosigner),)
    except TlogError:
        return ()
