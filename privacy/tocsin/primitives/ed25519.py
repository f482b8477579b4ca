"""Ed25519 (RFC 8032 §5.1): the product's only implementation, by the libsodium that PyNaCl brings.

1. A private key is its 32-byte seed; it never shows in a repr, and nothing here returns it.
2. A public key is 32 bytes, a signature R ‖ S is 64.
3. A signature holds where `S·B − SHA-512(R ‖ A ‖ message)·A` encodes to exactly R, without the cofactor. S not below
   the group's order, a key A that is of small order or not canonical, and an R of small order are refused (M-1.8).
4. Signing is a function from message to signature, so that a key can live in another process or a device.
"""

from __future__ import annotations

from collections.abc import Callable

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

Sign = Callable[[bytes], bytes]
"""Message to 64-byte Ed25519 signature."""

PUBLIC_KEY_BYTES = 32
SEED_BYTES = 32
SIGNATURE_BYTES = 64


class BadKey(ValueError):
    """Not an Ed25519 key: the wrong number of bytes, or a key kept for another use."""


class BadSignature(ValueError):
    """A signature that does not verify for this message under this public key."""


class SigningKey:
    """An Ed25519 private key, from its 32-byte seed; `sign` is a `Sign`. Raises `BadKey`."""

    __slots__ = ("_secret", "public_key")

    public_key: bytes

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise BadKey(f"an Ed25519 seed is {SEED_BYTES} bytes, got {len(seed)}")
        self.public_key, self._secret = crypto_sign_seed_keypair(bytes(seed))

    def __repr__(self) -> str:
        return "SigningKey(…)"

    def __reduce__(self) -> str:
        raise BadKey("a private key cannot be copied or pickled")

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of `message`."""
        return crypto_sign(message, self._secret)[:SIGNATURE_BYTES]


def verify_signature(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Verify an Ed25519 signature by rule 3 (M-1.8). Raises `BadKey` or `BadSignature`."""
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise BadKey(f"an Ed25519 public key is {PUBLIC_KEY_BYTES} bytes, got {len(public_key)}")
    if len(signature) != SIGNATURE_BYTES:
        raise BadSignature(f"an Ed25519 signature is {SIGNATURE_BYTES} bytes, got {len(signature)}")
    try:
        crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        raise BadSignature("the signature does not verify under this public key") from None
