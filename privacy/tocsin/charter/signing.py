"""Ed25519 (RFC 8032) signatures by members' identity keys.

1. A signature is over domain ‖ 0x1f ‖ document, so that one of a charter never passes for one of a card.
2. A private key is its 32-byte seed. Nothing here keeps, returns or shows it.
"""

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import CryptoError

SIGNATURE_BYTES = 64
SEED_BYTES = 32

_SEPARATOR = b"\x1f"


class BadSeed(ValueError):
    """A signing seed that is not 32 bytes."""


def sign(domain: bytes, document: bytes, seed: bytes) -> bytes:
    """Return the 64-byte signature of a document in a domain. Raises `BadSeed`."""
    if len(seed) != SEED_BYTES:
        raise BadSeed(f"an Ed25519 seed is {SEED_BYTES} bytes, got {len(seed)}")
    _, secret = crypto_sign_seed_keypair(bytes(seed))
    return crypto_sign(domain + _SEPARATOR + document, secret)[:SIGNATURE_BYTES]


def public_key(seed: bytes) -> bytes:
    """Return the 32-byte public key of a seed. Raises `BadSeed`."""
    if len(seed) != SEED_BYTES:
        raise BadSeed(f"an Ed25519 seed is {SEED_BYTES} bytes, got {len(seed)}")
    return crypto_sign_seed_keypair(bytes(seed))[0]


def bears_out(domain: bytes, document: bytes, signature: bytes, key: bytes) -> bool:
    """Say whether a key bears a signature out: a question asked of several keys, so the caller does the refusing."""
    try:
        crypto_sign_open(signature + domain + _SEPARATOR + document, key)
    except CryptoError:
        return False
    return True
