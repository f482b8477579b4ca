"""Signatures by members' identity keys, each in a domain of its own.

A signature is Ed25519 over domain ‖ 0x1f ‖ document (M-3.2, M-3.14), so that one of a charter never passes for one of a
card.
"""

from tocsin.primitives.ed25519 import BadSignature, SigningKey, verify_signature

_SEPARATOR = b"\x1f"


def sign(domain: bytes, document: bytes, seed: bytes) -> bytes:
    """Return the 64-byte signature of a document in a domain; `seed` is the key's 32 bytes. Raises `BadKey`."""
    return SigningKey(seed).sign(domain + _SEPARATOR + document)


def is_signed_by(key: bytes, domain: bytes, document: bytes, signature: bytes) -> bool:
    """Say whether a signature verifies under a key: asked of several keys in turn, so the caller refuses."""
    try:
        verify_signature(key, domain + _SEPARATOR + document, signature)
    except BadSignature:
        return False
    return True
