"""Checkpoints of a log (C2SP tlog-checkpoint, https://c2sp.org/tlog-checkpoint@v1.0.0).

Rules
1. The text is three lines or more, none empty: origin, size, root; what follows are opaque extension lines.
2. The size is ASCII decimal without leading zeroes, at most 2^63−1; the root is base64 of 32 bytes.
3. A size of 0 has the empty tree's root.
4. The log's key name is its origin; a checkpoint counts only behind a plain Ed25519 signature of that key.
5. A member's origin is `tocsin/<federation>/<member id in hex>`.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from tocsin.tlog.errors import TlogError
from tocsin.tlog.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE, Hash
from tocsin.tlog.note import (
    BadNote,
    Note,
    SignatureType,
    Signer,
    Verifier,
    decode_base64,
    parse_note,
    sign_note,
    verify_note,
)

MEMBER_ID_BYTES = 16

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_FEDERATION = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)


class BadCheckpoint(TlogError):
    """A text that is not a checkpoint, or a checkpoint of another log."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: the log's origin, its number of leaves and root hash. Raises `BadCheckpoint`."""

    origin: str
    size: int
    root: Hash
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for line in (self.origin, *self.extensions):
            if not line or "\n" in line:
                raise BadCheckpoint("the origin and each extension of a checkpoint are one line, not empty")
        if not 0 <= self.size <= MAX_SIZE:
            raise BadCheckpoint(f"a tree has 0 to 2^63-1 leaves, not {self.size}")
        if len(self.root) != HASH_BYTES:
            raise BadCheckpoint(f"the root of a checkpoint is {HASH_BYTES} bytes, got {len(self.root)}")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise BadCheckpoint("a checkpoint of an empty tree has a root that is not the empty tree's")

    def text(self) -> str:
        """Write the note text, its final newline included (rule 1)."""
        root = base64.b64encode(self.root).decode()
        return "".join(f"{line}\n" for line in (self.origin, str(self.size), root, *self.extensions))


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint behind a verified signature of its log, with the note it came in.

    `raw` is the note byte for byte, so that it can be passed on; `note` is the same, parsed, with the
    cosignatures that have not been verified.
    """

    checkpoint: Checkpoint
    note: Note
    raw: bytes


def log_origin(federation: str, member_id: bytes) -> str:
    """Name a member's log (rule 5); `member_id` is 16 bytes. Raises `BadCheckpoint`."""
    if _FEDERATION.fullmatch(federation) is None:
        raise BadCheckpoint("a federation's name is 1 to 64 letters, digits, dots and hyphens")
    if len(member_id) != MEMBER_ID_BYTES:
        raise BadCheckpoint(f"a member id is {MEMBER_ID_BYTES} bytes, got {len(member_id)}")
    return f"tocsin/{federation}/{member_id.hex()}"


def log_verifier(origin: str, public_key: bytes) -> Verifier:
    """Return the key that checkpoints of `origin` are verified with (rule 4)."""
    return Verifier(origin, SignatureType.ED25519, public_key)


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint, which nobody need have signed; raise `BadCheckpoint`."""
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() or not all(lines):
        raise BadCheckpoint("a checkpoint is three lines or more, each ending in a newline and none empty")
    if _DECIMAL.fullmatch(lines[1]) is None:
        raise BadCheckpoint("line 2 of a checkpoint is its size in decimal, without leading zeroes")
    try:
        root = decode_base64(lines[2], "line 3 of a checkpoint, its root,")
    except BadNote as error:
        raise BadCheckpoint(str(error)) from None
    return Checkpoint(lines[0], int(lines[1]), Hash(root), tuple(lines[3:]))


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> bytes:
    """Sign a checkpoint as its log; return the note.

    Raises `BadCheckpoint` if the signer is named for another log, `WrongSigningKey` if its private key does not
    belong to its public key.
    """
    if signer.verifier.name != checkpoint.origin:
        raise BadCheckpoint("a log signs checkpoints of its own origin only; the signer is another log's")
    return sign_note(checkpoint.text(), [signer]).encode()


def open_checkpoint(note_bytes: bytes, origin: str, log_public_key: bytes) -> SignedCheckpoint:
    """Read a checkpoint of `origin` and check its log's signature.

    Raises `BadNote`, `UnknownSignature`, `BadNoteSignature` or `BadCheckpoint`.
    """
    note = parse_note(note_bytes)
    verify_note(note, log_verifier(origin, log_public_key))
    checkpoint = parse_checkpoint(note.text)
    if checkpoint.origin != origin:
        raise BadCheckpoint("the log signed a checkpoint that names another origin in its first line")
    return SignedCheckpoint(checkpoint, note, bytes(note_bytes))
