"""Timestamped cosignatures of checkpoints (C2SP tlog-cosignature, Ed25519, `cosignature/v1`).

Rules
1. A cosigner signs `cosignature/v1\\ntime <t>\\n` and the whole text of the checkpoint.
2. Its signature line holds u64be t ‖ the 64-byte signature; t is POSIX seconds, at most 2^63−1.
3. It says: at time t this was the largest consistent tree that the cosigner knew of this log. Freshness is
   read from it; whether t is too old or in the future is for the caller, who has a clock.
4. Every line of a known cosigner must verify; the latest time counts. Cosigning again replaces the line.
5. Notes of one text from two sources are merged line by line: a known cosigner's latest line that verifies is
   kept, its others are dropped, and nothing that a stranger added to the second note is taken over. A note that
   would grow past what can be read back is refused.
6. A member's cosigner is named `tocsin/<federation>/<member id in hex>/cosigner`.
"""

from __future__ import annotations

from collections.abc import Iterable

from tocsin.primitives.ed25519 import SIGNATURE_BYTES
from tocsin.tlog.checkpoint import log_origin
from tocsin.tlog.errors import TlogError
from tocsin.tlog.note import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    BadNote,
    BadNoteSignature,
    Note,
    Signature,
    SignatureType,
    Signer,
    Verifier,
    parse_note,
    require_kind,
    sign_checked,
    signatures_of,
    verify_line,
)

MAX_TIME = 2**63 - 1


class BadCosignature(TlogError):
    """A cosignature with an impossible time or of the wrong size."""


def cosigner_name(federation: str, member_id: bytes) -> str:
    """Name a member's cosigner (rule 6); `member_id` is 16 bytes. Raises `BadCheckpoint`."""
    return f"{log_origin(federation, member_id)}/cosigner"


def cosigner_verifier(name: str, public_key: bytes) -> Verifier:
    """Return the key that cosignatures of `name` are verified with."""
    return Verifier(name, SignatureType.COSIGNATURE_V1, public_key)


def add_cosignature(note_bytes: bytes, signer: Signer, now: int) -> bytes:
    """Return the note with the signer's cosignature of time `now` (unix seconds) as its last line.

    The caller has verified the checkpoint and its consistency first: that is what a cosignature states.
    Raises `BadNote`, `BadCosignature`, and `WrongSigningKey` for a private key that is not the public key's.
    """
    require_kind(signer.verifier, SignatureType.COSIGNATURE_V1)
    if not 0 <= now <= MAX_TIME:
        raise BadCosignature("the time of a cosignature is 0 to 2^63-1 seconds since 1970")
    note = parse_note(note_bytes)
    others = tuple(line for line in note.signatures if not line.by(signer.verifier))
    if len(others) >= MAX_SIGNATURES:
        raise BadNote(f"a note has at most {MAX_SIGNATURES} signatures; this one is full")
    blob = now.to_bytes(8, "big") + sign_checked(signer, _message(note, now))
    line = Signature(signer.verifier.name, signer.verifier.key_id, blob)
    return _fitting(Note(note.text, (*others, line)))


def verify_cosignature(note_bytes: bytes, name: str, public_key: bytes) -> int:
    """Return the latest time at which the cosigner vouched for the note's checkpoint, in unix seconds.

    Raises `BadNote`, `UnknownSignature`, `BadCosignature`, `BadNoteSignature`.
    """
    return cosigned_at(parse_note(note_bytes), cosigner_verifier(name, public_key))


def cosigned_at(note: Note, verifier: Verifier) -> int:
    """Do what `verify_cosignature` does for a note that is parsed already."""
    require_kind(verifier, SignatureType.COSIGNATURE_V1)
    return max(_verify_line(note, line, verifier) for line in signatures_of(note, verifier))


def merge_cosignatures(note_bytes: bytes, other_bytes: bytes, cosigners: Iterable[Verifier]) -> bytes:
    """Return the first note with what the second knows of these cosigners (rule 5).

    Raises `BadNote`, or `BadCosignature` if the two notes have different texts.
    """
    note, other = parse_note(note_bytes), parse_note(other_bytes)
    if note.text != other.text:
        raise BadCosignature("cosignatures are merged between notes of one text only")
    known = tuple(cosigners)
    kept = [line for line in note.signatures if not any(line.by(cosigner) for cosigner in known)]
    for cosigner in known:
        require_kind(cosigner, SignatureType.COSIGNATURE_V1)
        latest = _latest(note, (*note.signatures, *other.signatures), cosigner)
        if latest is not None:
            kept.append(latest)
    if len(kept) > MAX_SIGNATURES:
        raise BadNote(f"a note has at most {MAX_SIGNATURES} signatures; the merged one has {len(kept)}")
    return _fitting(Note(note.text, tuple(kept)))


def _fitting(note: Note) -> bytes:
    data = note.encode()
    if len(data) > MAX_NOTE_BYTES:
        raise BadNote(
            f"a note is at most {MAX_NOTE_BYTES} bytes; with its cosignatures this one has {len(data)}"
        )
    return data


def _latest(note: Note, lines: Iterable[Signature], cosigner: Verifier) -> Signature | None:
    times: dict[Signature, int] = {}
    for line in lines:
        if line.by(cosigner) and line not in times:
            try:
                times[line] = _verify_line(note, line, cosigner)
            except (BadCosignature, BadNoteSignature):
                continue  # a relay may have damaged it; the line is dropped, not the note
    return max(times, key=times.__getitem__, default=None)


def _verify_line(note: Note, line: Signature, verifier: Verifier) -> int:
    if len(line.blob) != 8 + SIGNATURE_BYTES:
        raise BadCosignature(f"a cosignature is {8 + SIGNATURE_BYTES} bytes, got {len(line.blob)}")
    time = int.from_bytes(line.blob[:8], "big")
    if time > MAX_TIME:
        raise BadCosignature("the time of a cosignature is at most 2^63-1")
    verify_line(verifier, _message(note, time), line.blob[8:])
    return time


def _message(note: Note, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{note.text}".encode()
