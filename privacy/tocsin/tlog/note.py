"""Signed notes and verifier keys (C2SP signed-note, https://c2sp.org/signed-note@v1.0.0).

Rules
1. A note is text ending in a newline, an empty line, and one or more signature lines
   `— <name> <base64(key id ‖ signature)>`; the last empty line is where the signatures begin.
2. All of it is UTF-8 without control characters below U+0020 but the newline; base64 is canonical.
3. A key name is not empty and holds no Unicode space and no plus.
4. key id = SHA-256(name ‖ 0x0A ‖ type ‖ public key)[:4]; name and id together say which key signed.
5. A line of an unknown key is ignored, but it must be well formed. Every line of a known key must verify.
6. A note is at most 128 KiB and 256 signatures.
7. A verifier key is `<name>+<key id in hex>+<base64(type ‖ public key)>`, and its id must be the right one.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256

from tocsin.primitives.ed25519 import PUBLIC_KEY_BYTES, BadKey, BadSignature, Sign, verify_signature
from tocsin.tlog.errors import TlogError

MAX_NOTE_BYTES = 128 * 1024
MAX_SIGNATURES = 256
KEY_ID_BYTES = 4

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_VKEY = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)", re.ASCII)


class BadNote(TlogError):
    """Bytes that are not a signed note, or a field that could not stand in one."""


class UnknownSignature(TlogError):
    """The note is well formed, but the key that must have signed it did not."""


class BadNoteSignature(TlogError):
    """A signature line of a known key that does not verify."""


class WrongSigningKey(TlogError):
    """A private key that does not belong to the public key it signs for."""


class SignatureType(IntEnum):
    """The signature type identifiers that Tocsin uses (signed-note, "Signature types")."""

    ED25519 = 0x01
    COSIGNATURE_V1 = 0x04


@dataclass(frozen=True, slots=True)
class Verifier:
    """Who may sign: a key name, what the signature means, and an Ed25519 public key (32 bytes).

    Raises `BadNote` for a name that cannot stand in a note, `BadKey` for a key of another length.
    """

    name: str
    kind: SignatureType
    public_key: bytes
    key_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if len(self.public_key) != PUBLIC_KEY_BYTES:
            raise BadKey(f"an Ed25519 public key is {PUBLIC_KEY_BYTES} bytes, got {len(self.public_key)}")
        seed = self.name.encode() + b"\n" + bytes([self.kind]) + self.public_key
        object.__setattr__(self, "key_id", sha256(seed).digest()[:KEY_ID_BYTES])


@dataclass(frozen=True, slots=True)
class Signer:
    """A verifier with the power to sign for it."""

    verifier: Verifier
    sign: Sign = field(repr=False)


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: who claims to have signed (name, 4-byte key id), and the signature's bytes."""

    name: str
    key_id: bytes
    blob: bytes

    def by(self, verifier: Verifier) -> bool:
        """Say whether the line claims to be of that key (rule 4), which does not prove it."""
        return self.name == verifier.name and self.key_id == verifier.key_id


@dataclass(frozen=True, slots=True)
class Note:
    """A well-formed note. Its text may not be used before a signature is verified."""

    text: str
    signatures: tuple[Signature, ...]

    def encode(self) -> bytes:
        """Return the bytes of the note; `parse_note` reads them back."""
        lines = (
            f"— {line.name} {base64.b64encode(line.key_id + line.blob).decode()}\n"
            for line in self.signatures
        )
        return f"{self.text}\n{''.join(lines)}".encode()


def parse_note(data: bytes) -> Note:
    """Read a signed note without trusting it; raise `BadNote` (rules 1, 2, 3, 5, 6)."""
    if len(data) > MAX_NOTE_BYTES:
        raise BadNote(f"a note is at most {MAX_NOTE_BYTES} bytes, got {len(data)}")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadNote(f"a note is UTF-8, byte {error.start} is not") from None
    _check_characters(whole)
    if not whole.endswith("\n"):
        raise BadNote("a note ends in a newline")
    blank = whole.rfind("\n\n")
    if blank < 0:
        raise BadNote("a note has an empty line between its text and its signatures")
    lines = whole[blank + 2 : -1].split("\n")
    if lines == [""]:
        raise BadNote("a note has at least one signature line")
    if len(lines) > MAX_SIGNATURES:
        raise BadNote(f"a note has at most {MAX_SIGNATURES} signatures, got {len(lines)}")
    signatures = tuple(_parse_signature(line, number) for number, line in enumerate(lines, 1))
    return Note(whole[: blank + 1], signatures)


def sign_note(text: str, signers: Sequence[Signer]) -> Note:
    """Sign `text` with plain Ed25519 keys; raise `BadNote` for a text that no note can carry.

    Raises `WrongSigningKey` if a signer's answer does not verify under its own public key.
    """
    _check_characters(text)
    if not text.endswith("\n"):
        raise BadNote("the text of a note ends in a newline")
    if not signers:
        raise BadNote("a note has at least one signature line")
    return Note(text, tuple(_sign_text(text, signer) for signer in signers))


def verify_note(note: Note, verifier: Verifier) -> None:
    """Check that this plain Ed25519 key signed the note's text.

    Raises `UnknownSignature` if no line is of this key, `BadNoteSignature` if any line that is does not verify (M-6.9).
    """
    require_kind(verifier, SignatureType.ED25519)
    for line in signatures_of(note, verifier):
        verify_line(verifier, note.text.encode(), line.blob)


def verify_line(verifier: Verifier, message: bytes, signature: bytes) -> None:
    """Check one signature of a known key; raise `BadNoteSignature` naming the key."""
    try:
        verify_signature(verifier.public_key, message, signature)
    except BadSignature:
        raise BadNoteSignature(f"a signature line of {verifier.name} does not verify under its key") from None


def signatures_of(note: Note, verifier: Verifier) -> list[Signature]:
    """Return the lines that claim to be of this key, one at least; raise `UnknownSignature`."""
    lines = [line for line in note.signatures if line.by(verifier)]
    if not lines:
        raise UnknownSignature(
            f"the note has no signature of {verifier.name} with key id {verifier.key_id.hex()}"
        )
    return lines


def require_kind(verifier: Verifier, kind: SignatureType) -> None:
    """Refuse a key that is kept for another kind of signature; raise `BadKey`."""
    if verifier.kind is not kind:
        raise BadKey(f"{verifier.name} is a key for {verifier.kind.name}, not for {kind.name}")


def format_verifier_key(verifier: Verifier) -> str:
    """Write a verifier key (rule 7)."""
    material = base64.b64encode(bytes([verifier.kind]) + verifier.public_key).decode()
    return f"{verifier.name}+{verifier.key_id.hex()}+{material}"


def parse_verifier_key(vkey: str) -> Verifier:
    """Read a verifier key of one of the types in `SignatureType`; raise `BadNote` (rule 7)."""
    parts = _VKEY.fullmatch(vkey)
    if parts is None:
        raise BadNote("a verifier key is <name>+<8 hex digits>+<base64>")
    material = decode_base64(parts[3], "the key of a verifier key")
    if len(material) != 1 + PUBLIC_KEY_BYTES or material[0] not in set(SignatureType):
        raise BadNote("a verifier key holds an Ed25519 key of type 0x01 or 0x04")
    verifier = Verifier(parts[1], SignatureType(material[0]), material[1:])
    if verifier.key_id.hex() != parts[2]:
        raise BadNote("the id in a verifier key is not the id of its name, type and key")
    return verifier


def check_key_name(name: str) -> None:
    """Refuse a name that cannot stand in a signature line; raise `BadNote` (rules 2, 3)."""
    if not name or "+" in name or any(character.isspace() for character in name):
        raise BadNote("a key name is not empty and has neither spaces nor plus signs")
    _check_characters(name)


def decode_base64(text: str, what: str) -> bytes:
    """Decode canonical base64 (RFC 4648 §4, padded, no stray bits); raise `BadNote` naming `what`."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if base64.b64encode(data).decode() != text:
        raise BadNote(f"{what} is not canonical base64")
    return data


def sign_checked(signer: Signer, message: bytes) -> bytes:
    """Sign, and refuse to let out what does not verify under the signer's own public key.

    A key file that does not belong to the charter's public key would otherwise be noticed only by peers.
    """
    signature = signer.sign(message)
    try:
        verify_signature(signer.verifier.public_key, message, signature)
    except BadSignature:
        raise WrongSigningKey(
            f"the private key that signs for {signer.verifier.name} does not belong to its public key"
        ) from None
    return signature


def _sign_text(text: str, signer: Signer) -> Signature:
    require_kind(signer.verifier, SignatureType.ED25519)
    return Signature(signer.verifier.name, signer.verifier.key_id, sign_checked(signer, text.encode()))


def _check_characters(text: str) -> None:
    control = _CONTROL.search(text)
    if control is not None:
        raise BadNote(f"a note has no control characters, character {control.start()} is one")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadNote(f"a note is UTF-8, character {error.start} cannot be") from None


def _parse_signature(line: str, number: int) -> Signature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—":
        raise BadNote(f"signature line {number} is not '— <name> <base64>'")
    check_key_name(parts[1])
    blob = decode_base64(parts[2], f"the signature in line {number}")
    if len(blob) <= KEY_ID_BYTES:
        raise BadNote(f"signature line {number} has no signature behind its key id")
    return Signature(parts[1], blob[:KEY_ID_BYTES], blob[KEY_ID_BYTES:])
