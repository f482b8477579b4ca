"""The pepper of a period and the secrets derived under it (RFC 5869, HKDF with SHA-256).

1. A pepper is 32 random bytes of one federation and one period. Only clients hold it, never a node.
2. After each 30 days the pepper is ratcheted: pepper' = Expand(pepper, "tocsin/1 pepper", 32). It cannot be
   turned back.
3. Z = Extract(salt = pepper of the period, key) opens a sealed entry. The key is the value's output F for a
   report or a dispute, the campaign key for a campaign's entries, the record key for a record.
4. The commitment to a pepper is SHA-256("tocsin/1 pepper" ‖ pepper); every charter states it.
"""

import hashlib
import hmac

from tocsin.primitives.secret import SecretBytes
from tocsin.sealing.errors import SealingError

PERIOD_SECONDS = 30 * 86_400
PEPPER_BYTES = 32

_PEPPER_LABEL = b"tocsin/1 pepper"


class BadPepper(SealingError):
    """A pepper, or a number of ratchet steps, that cannot be; the message never shows the pepper."""


class WrongPepper(SealingError):
    """A pepper that is not the one its charter commits to: another period's, another federation's, or forged."""


class Pepper(SecretBytes):
    """The salt of a period: 32 secret bytes, masked when shown. Raises `BadPepper` for another length."""

    __slots__ = ()

    def __new__(cls, raw: bytes) -> "Pepper":
        """Take 32 bytes as a pepper."""
        if len(raw) != PEPPER_BYTES:
            raise BadPepper(f"a pepper is {PEPPER_BYTES} bytes, got {len(raw)}")
        return super().__new__(cls, raw)


class PeriodSecret(SecretBytes):
    """Z of one key in one period: 32 secret bytes, masked when shown. Only `period_secret` makes one."""

    __slots__ = ()


def expand(secret: bytes, info: bytes) -> bytes:
    """Return HKDF-SHA256-Expand(secret, info, 32): one block of RFC 5869 §2.3, 32 bytes."""
    return hmac.digest(secret, info + b"\x01", "sha256")


def period_secret(pepper: Pepper, key: bytes) -> PeriodSecret:
    """Return Z = HKDF-SHA256-Extract(salt = pepper, key) (RFC 5869 §2.2); K when the key is an output F."""
    return PeriodSecret(hmac.digest(pepper, key, "sha256"))


def ratchet(pepper: Pepper, steps: int) -> Pepper:
    """Return the pepper `steps` periods later. Raises `BadPepper` for a negative number: there is no way back."""
    if steps < 0:
        raise BadPepper("a pepper cannot be ratcheted back: take the one of an older charter")
    for _ in range(steps):
        pepper = Pepper(expand(pepper, _PEPPER_LABEL))
    return pepper


def pepper_commitment(pepper: Pepper) -> bytes:
    """Return SHA-256("tocsin/1 pepper" ‖ pepper), 32 bytes, as charters state it."""
    return hashlib.sha256(_PEPPER_LABEL + pepper).digest()


def verify_pepper(pepper: Pepper, commitment: bytes) -> None:
    """Check a pepper against the commitment (32 bytes) of a charter (M-5.3). Raises `WrongPepper`."""
    if not hmac.compare_digest(pepper_commitment(pepper), commitment):
        raise WrongPepper(
            "the pepper is not the one that the charter commits to: do not sign this charter, and ask whoever "
            "drafted it to seal the right pepper to this member's client key"
        )
