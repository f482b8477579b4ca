"""A signed indicator as three small files: the entry, a C2SP tlog-proof, and the charter.

Rules
1. An entry file is `tocsin/1 entry\\n` ‖ header ‖ body (no body where the kind has none).
2. A proof file is a C2SP tlog-proof (https://c2sp.org/tlog-proof): the line `c2sp.org/tlog-proof@v1`, at most
   one line `extra <base64>`, a line `index <decimal>`, one line of base64 for each hash of the inclusion
   proof, an empty line, and the checkpoint's signed note byte for byte. The extra data proves nothing.
3. The pair proves that the log of `origin` holds the entry at that index if the checkpoint carries that log's
   signature and the proof leads from the entry's leaf to its root. Origin and key come from a charter that
   the caller has verified, never from these files.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.charter.document import Charter, Member
from tocsin.primitives.cursor import Cursor
from tocsin.proofs.errors import BadProofFile, NotProven
from tocsin.tlog.checkpoint import SignedCheckpoint, log_origin, open_checkpoint, parse_checkpoint
from tocsin.tlog.entry import HEADER_BYTES, Entry, check_reference, parse_entry
from tocsin.tlog.errors import TlogError
from tocsin.tlog.merkle import HASH_BYTES, MAX_SIZE, Hash, verify_inclusion
from tocsin.tlog.note import MAX_NOTE_BYTES, BadNote, decode_base64, parse_note

ENTRY_MAGIC = b"tocsin/1 entry\n"
PROOF_LINE = "c2sp.org/tlog-proof@v1"
MAX_EXTRA_BYTES = 64 * 1024
MAX_PROOF_HASHES = 63
MAX_PROOF_BYTES = MAX_NOTE_BYTES + 128 * 1024

_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class TlogProof:
    """A parsed tlog-proof, nothing of it verified; `hashes` run from the leaf's sibling upwards."""

    index: int
    hashes: tuple[Hash, ...]
    note: bytes
    extra: bytes | None = None


def encode_entry_file(entry: Entry) -> bytes:
    """Write an entry file (rule 1)."""
    return ENTRY_MAGIC + entry.header.encode() + entry.body_bytes()


def parse_entry_file(data: bytes) -> Entry:
    """Read an entry file. Raises `BadProofFile`."""
    cursor = Cursor(data, BadProofFile)
    cursor.expect("first line", ENTRY_MAGIC)
    try:
        return parse_entry(cursor.take("header", HEADER_BYTES), cursor.rest())
    except TlogError as error:
        raise BadProofFile("entry", str(error)) from error


def encode_tlog_proof(
    index: int, proof: Sequence[Hash], signed_checkpoint: bytes, extra: bytes | None = None
) -> bytes:
    """Write a tlog-proof (rule 2); `signed_checkpoint` is the note's bytes. Raises `BadProofFile`."""
    data = b"".join(
        [
            f"{PROOF_LINE}\n".encode(),
            b"" if extra is None else b"extra " + base64.b64encode(extra) + b"\n",
            f"index {index}\n".encode(),
            *(base64.b64encode(step) + b"\n" for step in proof),
            b"\n",
            signed_checkpoint,
        ]
    )
    parse_tlog_proof(data)
    return data


def parse_tlog_proof(data: bytes) -> TlogProof:
    """Read a tlog-proof without trusting it; raise `BadProofFile`."""
    if len(data) > MAX_PROOF_BYTES:
        raise BadProofFile("size", f"a tlog-proof is at most {MAX_PROOF_BYTES} bytes, got {len(data)}")
    head, blank, note = bytes(data).partition(b"\n\n")
    if not blank or not note:
        raise BadProofFile("checkpoint", "a tlog-proof has an empty line and then a checkpoint")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise BadProofFile("head", "must be ASCII up to the empty line") from None
    if lines.pop(0) != PROOF_LINE:
        raise BadProofFile("line 1", f"must be {PROOF_LINE}")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = _base64(lines.pop(0).removeprefix("extra "), "extra line")
        if len(extra) > MAX_EXTRA_BYTES:
            raise BadProofFile("extra line", f"at most {MAX_EXTRA_BYTES} bytes allowed")
    index = _INDEX.fullmatch(lines.pop(0)) if lines else None
    if index is None or int(index[1]) >= MAX_SIZE:
        raise BadProofFile("index", "a line 'index <decimal>' must come before the hashes")
    if len(lines) > MAX_PROOF_HASHES:
        raise BadProofFile("hashes", f"at most {MAX_PROOF_HASHES} allowed, got {len(lines)}")
    hashes = tuple(_hash(line, number) for number, line in enumerate(lines))
    return TlogProof(int(index[1]), hashes, note, extra)


def verify_entry(entry: Entry, tlog_proof: TlogProof, origin: str, log_key: bytes) -> SignedCheckpoint:
    """Check that the log of `origin` holds `entry` at the proof's index (rule 3; M-6.22); return the checkpoint.

    `log_key` is the member's 32-byte log key of a verified charter. Raises `NotProven`, also for a RETRACT of a later
    entry.
    """
    try:
        signed = open_checkpoint(tlog_proof.note, origin, log_key)
        head = signed.checkpoint
        verify_inclusion(tlog_proof.index, head.size, entry.leaf_hash(), tlog_proof.hashes, head.root)
        check_reference(entry.header, tlog_proof.index)
    except TlogError as error:
        raise NotProven(str(error)) from error
    return signed


def verify_member_published(
    entry: Entry, tlog_proof: TlogProof, charter: Charter
) -> tuple[Member, SignedCheckpoint]:
    """Return the member that published the entry, by a verified charter's log keys (M-6.22). Raises `NotProven`."""
    try:
        origin = parse_checkpoint(parse_note(tlog_proof.note).text).origin
    except TlogError as error:
        raise NotProven(str(error)) from None
    for member in charter.members:
        if log_origin(charter.federation, member.id) == origin:
            return member, verify_entry(entry, tlog_proof, origin, member.log)
    raise NotProven("the checkpoint is of a log that no member of the charter has")


def _hash(line: str, number: int) -> Hash:
    step = _base64(line, f"hash {number}")
    if len(step) != HASH_BYTES:
        raise BadProofFile(f"hash {number}", f"must be {HASH_BYTES} bytes, got {len(step)}")
    return Hash(step)


def _base64(text: str, field: str) -> bytes:
    try:
        return decode_base64(text, field)
    except BadNote as error:
        raise BadProofFile(field, str(error)) from None
