"""One form for every sealed entry: tag ‖ nonce ‖ box, 568 bytes, bound to one writer.

1. info = u16be class ‖ u32be epoch ‖ u32be period. lp(x) is x behind its 2-byte length.
2. tag = AES-256(key = Expand(Z, "tocsin/1 tag" ‖ lp(purpose) ‖ info), writer's id), one block of 16 bytes:
   the tags of all writers come from one ECB call.
3. box = XChaCha20-Poly1305 under Expand(Z, "tocsin/1 box" ‖ lp(purpose) ‖ info ‖ writer's id), with a fresh
   random nonce of 24 bytes and associated data lp(federation) ‖ writer's id ‖ header (48 bytes) ‖ tag.
4. The plaintext is lp(content) and zeros up to 512 bytes; anything but zeros there is refused.
5. A box is opened only under a secret that reproduces its tag, so it never reads differently to two members.
6. A cover entry's body is 568 random bytes. Nobody but its writer can tell it from any other.
"""

import hmac
import struct
from dataclasses import dataclass
from enum import StrEnum

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

from tocsin.oprf.group import Random
from tocsin.oprf.rfc9497 import length_prefixed
from tocsin.sealing.errors import SealingError
from tocsin.sealing.pepper import PeriodSecret, expand

WRITER_BYTES = 16
HEADER_BYTES = 48
TAG_BYTES = 16
NONCE_BYTES = 24
PLAINTEXT_BYTES = 512
CONTENT_BYTES = PLAINTEXT_BYTES - 2
"""The most that one box carries: the padded plaintext less its length."""
BOX_BYTES = PLAINTEXT_BYTES + 16
BODY_BYTES = TAG_BYTES + NONCE_BYTES + BOX_BYTES
MAX_FEDERATION_BYTES = 64

_TAG_LABEL = b"tocsin/1 tag"
_BOX_LABEL = b"tocsin/1 box"
_INFO = struct.Struct(">HII")
_BLOCKS = ECB()  # noqa: S305 - rule 2 asks for a PRF on single, distinct blocks; ECB is only how to call it


class Purpose(StrEnum):
    """What a sealed entry is for; part of every derivation, so that no entry passes for another."""

    REPORT = "report"
    DISPUTE = "dispute"
    CAMPAIGN = "campaign"
    SIGHTING = "sighting"
    RECORD = "record"


class BadSeal(SealingError):
    """What is to be sealed, or how, cannot be: the message names the field, never its content."""


class BadBox(SealingError):
    """A body that does not open. Whatever its writer meant, nothing of it may be used."""


class WrongTag(BadBox):
    """The secret does not reproduce the body's tag: another value, purpose, epoch, period or writer."""


class TamperedBox(BadBox):
    """The tag is right, but the box was made under another header, federation or key, or was changed."""


class BadPadding(BadBox):
    """The box is authentic, but its writer padded it against rule 4."""


@dataclass(frozen=True, slots=True)
class SealInfo:
    """Class (16 bits), epoch and period (32 bits) that a tag and a box belong to. Raises `BadSeal`."""

    key_class: int
    epoch: int
    period: int

    def __post_init__(self) -> None:
        if not 0 <= self.key_class < 2**16:
            raise BadSeal("the class of a sealed entry is an unsigned 16-bit number")
        if not (0 <= self.epoch < 2**32 and 0 <= self.period < 2**32):
            raise BadSeal("epoch and period of a sealed entry are unsigned 32-bit numbers")

    def encode(self) -> bytes:
        """Return the 10 bytes of rule 1."""
        return _INFO.pack(self.key_class, self.epoch, self.period)


class Tagger:
    """The tags of many secrets under the same writers, with everything that does not change computed once.

    `writers` is the members' ids, 16 bytes each, concatenated. Raises `BadSeal`.
    """

    __slots__ = ("_derivation", "_writers")

    def __init__(self, purpose: Purpose, info: SealInfo, writers: bytes) -> None:
        if not writers or len(writers) % WRITER_BYTES:
            raise BadSeal(f"writers are ids of {WRITER_BYTES} bytes, at least one, concatenated")
        # The last byte is the block counter of HKDF-Expand, which `tags` inlines: it runs 10⁶ times in a row.
        self._derivation = _derivation(_TAG_LABEL, purpose, info) + b"\x01"
        self._writers = writers

    def tags(self, secret: PeriodSecret) -> bytes:
        """Return one 16-byte tag per writer, in the writers' order, concatenated."""
        key = hmac.digest(secret, self._derivation, "sha256")
        return Cipher(AES256(key), _BLOCKS).encryptor().update(self._writers)


def tags(secret: PeriodSecret, purpose: Purpose, info: SealInfo, writers: bytes) -> bytes:
    """Return the tags of one secret under several writers (ids concatenated), 16 bytes each, concatenated.

    For many secrets make a `Tagger` once. Raises `BadSeal`.
    """
    return Tagger(purpose, info, writers).tags(secret)


def seal(
    secret: PeriodSecret,
    purpose: Purpose,
    info: SealInfo,
    *,
    federation: str,
    writer: bytes,
    header: bytes,
    plaintext: bytes,
    random: Random,
) -> bytes:
    """Seal up to 510 bytes as a body of 568: tag ‖ nonce ‖ box.

    `writer` is 16 bytes, `header` the entry's 48, `random` gives the nonce. Raises `BadSeal`.
    """
    if len(plaintext) > CONTENT_BYTES:
        raise BadSeal(f"the content of a box is at most {CONTENT_BYTES} bytes, got {len(plaintext)}")
    tag, key, bound = _keys(secret, purpose, info, federation=federation, writer=writer, header=header)
    nonce = random(NONCE_BYTES)
    padded = length_prefixed(plaintext).ljust(PLAINTEXT_BYTES, b"\x00")
    return tag + nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(padded, bound, nonce, key)


def open_body(
    secret: PeriodSecret,
    purpose: Purpose,
    info: SealInfo,
    *,
    federation: str,
    writer: bytes,
    header: bytes,
    body: bytes,
) -> bytes:
    """Return the content of a body that `writer` sealed behind `header` (48 bytes).

    Raises `WrongTag`, `TamperedBox` or `BadPadding`, all `BadBox`; plain `BadBox` for a body that is not 568
    bytes; `BadSeal` where the caller's own arguments are wrong.
    """
    if len(body) != BODY_BYTES:
        raise BadBox(f"a body is {BODY_BYTES} bytes, got {len(body)}")
    tag, key, bound = _keys(secret, purpose, info, federation=federation, writer=writer, header=header)
    # M-5.10: only under a secret that reproduces the tag.
    if not hmac.compare_digest(tag, body[:TAG_BYTES]):
        raise WrongTag("the tag belongs to another value, purpose, class, epoch, period or writer")
    nonce, box = body[TAG_BYTES : TAG_BYTES + NONCE_BYTES], body[TAG_BYTES + NONCE_BYTES :]
    try:
        padded = crypto_aead_xchacha20poly1305_ietf_decrypt(box, bound, nonce, key)
    except CryptoError:
        raise TamperedBox(
            "the box is not what its writer sealed behind this header in this federation"
        ) from None
    length = int.from_bytes(padded[:2], "big")
    # M-5.9: a length, then zeros up to 512 bytes.
    if length > CONTENT_BYTES or any(padded[2 + length :]):
        raise BadPadding("the content of the box is not padded with zeros behind its length")
    return padded[2 : 2 + length]


def cover_body(random: Random) -> bytes:
    """Return the body of a cover entry: 568 random bytes."""
    return random(BODY_BYTES)


def _derivation(label: bytes, purpose: Purpose, info: SealInfo) -> bytes:
    return label + length_prefixed(purpose.encode("ascii")) + info.encode()


def _keys(
    secret: PeriodSecret, purpose: Purpose, info: SealInfo, *, federation: str, writer: bytes, header: bytes
) -> tuple[bytes, bytes, bytes]:
    """Return the tag (16 bytes), the box's key (32 bytes) and its associated data."""
    if len(writer) != WRITER_BYTES:
        raise BadSeal(f"a writer's id is {WRITER_BYTES} bytes, got {len(writer)}")
    if len(header) != HEADER_BYTES:
        raise BadSeal(f"an entry's header is {HEADER_BYTES} bytes, got {len(header)}")
    if not (federation.isascii() and 0 < len(federation) <= MAX_FEDERATION_BYTES):
        raise BadSeal(f"a federation's name is 1 to {MAX_FEDERATION_BYTES} ASCII characters")
    tag = tags(secret, purpose, info, writer)
    key = expand(secret, _derivation(_BOX_LABEL, purpose, info) + writer)
    return tag, key, length_prefixed(federation.encode("ascii")) + writer + header + tag
