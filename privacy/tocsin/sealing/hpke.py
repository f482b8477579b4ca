"""Secrets sealed to one member's key: RFC 9180, base mode, X25519, HKDF-SHA256, ChaCha20-Poly1305.

1. What is sealed is `enc ‖ ciphertext`: 32 bytes, then the plaintext and 16 more. The associated data is empty.
2. `info` names what it is, for whom and where it belongs; sealed for one place, it opens in no other:
   pepper: "tocsin/1 sealed pepper" ‖ lp(federation) ‖ u32be period ‖ member;
   share:  "tocsin/1 sealed share" ‖ lp(federation) ‖ u16be class ‖ u32be epoch ‖ u8 seat ‖ member.
3. The ephemeral key of `seal_to` is drawn by the library from the system: RFC 9180 lets nobody choose it.
"""

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from tocsin.oprf.group import Random
from tocsin.oprf.rfc9497 import length_prefixed
from tocsin.primitives.secret import SecretBytes
from tocsin.sealing.errors import SealingError

KEY_BYTES = 32
MEMBER_BYTES = 16
OVERHEAD_BYTES = 48
"""What sealing adds: the encapsulated key and the authenticator."""

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


class CannotSeal(SealingError):
    """A public key that cannot be sealed to, or a field of `info` out of range; the message names it."""


class CannotOpen(SealingError):
    """Sealed bytes that do not open under this private key and info; nothing secret is in the message."""


class PrivateKey(SecretBytes):
    """An X25519 private key: 32 secret bytes, masked when shown."""

    __slots__ = ()


def generate(random: Random) -> PrivateKey:
    """Return a fresh private key, 32 bytes of `random`."""
    return PrivateKey(random(KEY_BYTES))


def public_key(private_key: bytes) -> bytes:
    """Return the 32-byte public key of a 32-byte private key. Raises `CannotOpen` for another length."""
    return _private(private_key).public_key().public_bytes_raw()


def seal_to(public_key: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Return `enc ‖ ciphertext` that only the private half of `public_key` (32 bytes) opens.

    Raises `CannotSeal` for a key of another length or of small order.
    """
    if len(public_key) != KEY_BYTES:
        raise CannotSeal(f"an X25519 public key is {KEY_BYTES} bytes, got {len(public_key)}")
    try:
        return _SUITE.encrypt(plaintext, X25519PublicKey.from_public_bytes(public_key), info)
    except ValueError:
        raise CannotSeal("the X25519 public key has small order: ask its owner for another") from None


def open_sealed(private_key: bytes, info: bytes, sealed: bytes) -> bytes:
    """Return what was sealed to this key for this `info`. Raises `CannotOpen`."""
    key = _private(private_key)
    if len(sealed) < OVERHEAD_BYTES:
        raise CannotOpen(f"sealed bytes are at least {OVERHEAD_BYTES}, got {len(sealed)}")
    try:
        return _SUITE.decrypt(sealed, key, info)
    except (InvalidTag, ValueError):
        raise CannotOpen(
            "the sealed bytes do not open: they were sealed to another key or for another place, or changed"
        ) from None


def pepper_info(federation: str, period: int, member: bytes) -> bytes:
    """Return the info of a pepper sealed to a member's client key (M-5.4). Raises `CannotSeal`.

    `period` is the charter's own number, which no second pepper gets (M-3.8). The version is left out: the next one
    hands on the same pepper.
    """
    if not 0 <= period < 2**32:
        raise CannotSeal("a period has 32 bits")
    place = struct.pack(">I", period)
    return b"tocsin/1 sealed pepper" + _federation(federation) + place + _member(member)


def share_info(federation: str, key_class: int, epoch: int, seat: int, member: bytes) -> bytes:
    """Return the info of a class-key share sealed to the member at a seat (M-8.2). Raises `CannotSeal`."""
    if not (0 <= key_class < 2**16 and 0 <= epoch < 2**32 and 1 <= seat < 2**8):
        raise CannotSeal("a class has 16 bits, an epoch 32, and a seat is 1 to 255")
    place = struct.pack(">HIB", key_class, epoch, seat)
    return b"tocsin/1 sealed share" + _federation(federation) + place + _member(member)


def _private(raw: bytes) -> X25519PrivateKey:
    if len(raw) != KEY_BYTES:
        raise CannotOpen(f"an X25519 private key is {KEY_BYTES} bytes, got {len(raw)}")
    return X25519PrivateKey.from_private_bytes(raw)


def _federation(federation: str) -> bytes:
    if not (federation.isascii() and 0 < len(federation) <= 64):
        raise CannotSeal("a federation's name is 1 to 64 ASCII characters")
    return length_prefixed(federation.encode("ascii"))


def _member(member: bytes) -> bytes:
    if len(member) != MEMBER_BYTES:
        raise CannotSeal(f"a member's id is {MEMBER_BYTES} bytes, got {len(member)}")
    return member
