"""A piece of evidence in a folder, verifiable offline by anybody who has the federation's pin.

1. `entry` is the entry file, `proof` the C2SP tlog-proof with the checkpoint, `charter-<version>.json` each signed
   charter from version 1 to the one the log key was taken from, `about.json` what a reader may want to know first.
2. Verifying trusts nothing in the folder but the charters that follow from the pin: the log's owner is read from the
   checkpoint's origin and must be a member, and the log key comes from the newest charter.
3. It proves that the owner published the sealed entry. What the entry says stays sealed: only a holder of the value
   can open it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tocsin.charter.chain import verify_chain
from tocsin.charter.document import Charter
from tocsin.charter.envelope import SignedCharter, charter_hash, parse_envelope
from tocsin.charter.errors import BadCharter
from tocsin.client.arguments import fixed_bytes, whole_number
from tocsin.client.errors import (
    BadEvidence,
    EntryErased,
    FolderUnusable,
    NodeMisbehaved,
    UnknownMember,
)
from tocsin.client.matching import freshness
from tocsin.client.ports import NodeApi
from tocsin.client.results import ProofFiles, key_class_name
from tocsin.client.timestamps import iso_time
from tocsin.proofs.entry import (
    encode_entry_file,
    encode_tlog_proof,
    parse_entry_file,
    parse_tlog_proof,
    verify_entry,
    verify_member_published,
)
from tocsin.proofs.errors import ProofError
from tocsin.proofs.verify import Finding, verify_proof
from tocsin.tlog.checkpoint import log_origin
from tocsin.tlog.entry import Entry
from tocsin.tlog.errors import TlogError

_MAX_FILE = 2 * 1024 * 1024
_MAX_CHARTERS = 10_000


@dataclass(frozen=True, slots=True)
class VerifiedEvidence:
    """What a folder of evidence proves: the entry at `index` of `writer`'s log. Times are unix seconds."""

    federation: str
    writer: bytes
    writer_name: str
    index: int
    tree_size: int
    kind: str
    key_class: int
    epoch: int
    period: int
    checkpoint_time: int
    charter_version: int

    def to_dict(self) -> dict[str, object]:
        """Return every field under its name, with the key class by name under `class`."""
        return {
            "federation": self.federation,
            "writer": self.writer.hex(),
            "writer_name": self.writer_name,
            "index": self.index,
            "tree_size": self.tree_size,
            "kind": self.kind,
            "class": key_class_name(self.key_class),
            "epoch": self.epoch,
            "period": self.period,
            "checkpoint_time": iso_time(self.checkpoint_time),
            "charter_version": self.charter_version,
        }


def fetch_proof(node: NodeApi, charter: Charter, writer: bytes, index: int) -> ProofFiles:
    """Fetch and verify one entry of a member's log.

    Raises `UnknownMember`, `EntryErased`, `NodeMisbehaved`, `RefusedByNode`, `Unavailable`.
    """
    fixed_bytes("writer", writer, 16)
    whole_number("index", index)
    member = next((member for member in charter.members if member.id == writer), None)
    if member is None:
        raise UnknownMember(writer)
    answer = node.proven_entries([(writer, index)])
    if len(answer.entries) != 1 or (
        answer.entries[0].writer,
        answer.entries[0].stored.index,
    ) != (writer, index):
        raise NodeMisbehaved("other entries than were requested")
    proven = answer.entries[0]
    header, body = proven.stored.entry.header, proven.stored.entry.body
    try:
        entry = Entry(header, body)
    except TlogError as error:
        raise EntryErased(writer, member.name, index) from error
    try:
        files = ProofFiles(
            encode_entry_file(entry),
            encode_tlog_proof(index, proven.hashes, answer.checkpoints.get(writer, b"")),
        )
        verify_entry(entry, parse_tlog_proof(files.proof), log_origin(charter.federation, writer), member.log)
    except ProofError as error:
        raise NodeMisbehaved(f"its proof of entry {index} in {member.name}'s log fails ({error})") from None
    return files


def export_evidence(
    folder: Path, files: ProofFiles, charters: Sequence[bytes], *, writer: bytes, name: str, index: int
) -> None:
    """Write a piece of evidence into a new or empty folder. Raises `FolderUnusable`."""
    pin = charter_hash(parse_envelope(charters[0]).document)
    about = {"writer": writer.hex(), "writer_name": name, "index": index, "charter_pin": pin.hex()}
    described = json.dumps(about, indent=2).encode() + b"\n"
    write_files(folder, {"entry": files.entry, "proof": files.proof, "about.json": described}, charters)


def write_files(folder: Path, files: Mapping[str, bytes], charters: Sequence[bytes]) -> list[Path]:
    """Write files of proofs, and the charters that they need, into a new or empty folder; returns the former.

    Raises `FolderUnusable`.
    """
    paths = [folder / name for name in files]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FolderUnusable(
                f"{folder} is not empty; name a new folder, existing files are never overwritten"
            )
        for version, envelope in enumerate(charters, 1):
            (folder / f"charter-{version}.json").write_bytes(envelope)
        for path, content in zip(paths, files.values(), strict=True):
            path.write_bytes(content)
    except OSError as error:
        raise FolderUnusable(f"{folder}: cannot be written ({error.strerror})") from error
    return paths


def verify_kept(
    proofs: Mapping[str, bytes], charters: Sequence[bytes], pin: bytes, now: int
) -> list[Finding]:
    """Say what proofs of any kind but entries show, by name, under signed charters from version 1 on.

    `pin` is the hash of charter version 1, `now` unix seconds. Raises `BadEvidence`.
    """
    try:
        chain = list(verify_chain([parse_envelope(envelope) for envelope in charters], pin, now))
    except BadCharter as error:
        raise BadEvidence(f"the charters do not follow from the pin: {error}") from None
    findings = []
    for name, proof in proofs.items():
        try:
            findings.append(verify_proof(proof, chain))
        except ProofError as error:
            raise BadEvidence(f"{name}: does not prove what it claims: {error}") from None
    return findings


def verify_evidence(folder: Path, pin: bytes, now: int) -> VerifiedEvidence:
    """Verify a folder of evidence offline; `pin` is the hash of charter version 1, known from elsewhere.

    Raises `BadEvidence`, and `FolderUnusable` where a file is missing.
    """
    charter = _read_charters(folder, pin, now)[-1]
    try:
        entry = parse_entry_file(_read_file(folder / "entry"))
        proof = parse_tlog_proof(_read_file(folder / "proof"))
        member, signed = verify_member_published(entry, proof, charter)
    except ProofError as error:
        raise BadEvidence(f"{folder}: does not prove what it claims: {error}") from None
    return VerifiedEvidence(
        federation=charter.federation,
        writer=member.id,
        writer_name=member.name,
        index=proof.index,
        tree_size=signed.checkpoint.size,
        kind=entry.header.kind.name.lower(),
        key_class=entry.header.key_class,
        epoch=entry.header.epoch,
        period=entry.header.period,
        checkpoint_time=freshness(charter, signed),
        charter_version=charter.version,
    )


def verify_proof_file(path: Path, pin: bytes, now: int) -> Finding:
    """Say what a proof of any kind proves, offline. The charters lie beside it, and the entry beside a tlog-proof.

    `pin` is the hash of charter version 1, `now` unix seconds. Raises `BadEvidence`, and `FolderUnusable` where a file
    is missing.
    """
    charters = _read_charters(path.parent, pin, now)
    entry = path.with_name("entry")
    entry_file = _read_file(entry) if path.name == "proof" and entry.exists() else None
    try:
        return verify_proof(_read_file(path), charters, entry_file)
    except ProofError as error:
        raise BadEvidence(f"{path}: does not prove what it claims: {error}") from None


def finding_dict(finding: Finding) -> dict[str, object]:
    """Return what a proof shows, JSON-ready: ids in hex, times in ISO 8601."""
    return {
        "kind": finding.kind.value,
        "accuses": finding.accuses,
        "statement": finding.statement,
        "members": [{"id": member.id.hex(), "name": member.name} for member in finding.members],
        "times": [iso_time(time) for time in finding.times],
        **finding.details,
    }


def _read_charters(folder: Path, pin: bytes, now: int) -> list[Charter]:
    """Return the charters of a folder of evidence from version 1 on, verified from the pin.

    Raises `BadEvidence`, and `FolderUnusable` where the first is missing.
    """
    envelopes: list[SignedCharter] = []
    for version in range(1, _MAX_CHARTERS):
        path = folder / f"charter-{version}.json"
        if envelopes and not path.exists():
            break
        try:
            envelopes.append(parse_envelope(_read_file(path)))
        except BadCharter as error:
            raise BadEvidence(f"{path}: {error}") from None
    try:
        return list(verify_chain(envelopes, pin, now))
    except BadCharter as error:
        raise BadEvidence(f"{folder}: its charters do not follow from the pin: {error}") from None


def _read_file(path: Path) -> bytes:
    """Read one file of evidence. Raises `FolderUnusable` where it is missing, `BadEvidence` where it is too large."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise FolderUnusable(
            f"{path}: cannot be read ({error.strerror}); evidence is a folder of several files"
        ) from error
    if len(data) > _MAX_FILE:
        raise BadEvidence(f"{path}: is larger than any file of evidence")
    return data
