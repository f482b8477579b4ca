"""Named secrets at rest, encrypted as a whole under a key file or a passphrase.

1. A keyring is header ‖ nonce (24 bytes) ‖ box ‖ SHA-256 of all before. The header is "tocsin/1 keyring" ‖ u8
   method, and for method 2 also u32be passes ‖ u32be KiB of memory ‖ 16-byte salt.
2. Method 1 takes a 32-byte key as it is; method 2 takes Argon2id (RFC 9106) of the passphrase's NFC in UTF-8.
3. The box is XChaCha20-Poly1305 of u16be count ‖ count × (lp(name) ‖ lp(secret)), names ascending; associated data
   is the header.
4. What a file asks of Argon2id is bounded before any memory is taken.
5. A file whose hash is right and whose box does not open was given the wrong key or passphrase; one whose hash is
   wrong is damaged. The hash covers ciphertext only and is no protection: the box is.
"""

import hashlib
import hmac
import itertools
import struct
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id

from tocsin.oprf.group import Random
from tocsin.oprf.rfc9497 import length_prefixed
from tocsin.primitives.cursor import Cursor
from tocsin.primitives.secret import SecretBytes
from tocsin.sealing.errors import SealingError

UNLOCK_KEY_BYTES = 32
MAX_KEYRING_BYTES = 1 << 20
MAX_PASSES = 16
MIN_MEMORY_KIB = 8
MAX_MEMORY_KIB = 1 << 20
MAX_PASSPHRASE_BYTES = 1024

_MAGIC = b"tocsin/1 keyring"
_KEY_FILE, _PASSPHRASE = 1, 2
_ARGON2 = struct.Struct(">II16s")
_SALT_BYTES = 16
_NONCE_BYTES = 24
_HASH_BYTES = 32
_FAULTY = "the keyring's contents are malformed: it was sealed by faulty software"


class KeyringError(SealingError):
    """A keyring that was not opened or sealed; no secret, name or passphrase is in the message."""


class BadKeyring(KeyringError):
    """Not a keyring, a damaged one, or contents that do not fit into one."""


class WrongPassphrase(KeyringError):
    """The passphrase or the unlock key is not the one that this keyring was sealed with."""


class Secret(SecretBytes):
    """One secret of a keyring, masked when shown."""

    __slots__ = ()


class UnlockKey(SecretBytes):
    """32 random bytes from a file that only its owner may read. Raises `BadKeyring` for another length."""

    __slots__ = ()

    def __new__(cls, raw: bytes) -> "UnlockKey":
        """Take 32 bytes as an unlock key."""
        if len(raw) != UNLOCK_KEY_BYTES:
            raise BadKeyring(f"an unlock key is {UNLOCK_KEY_BYTES} bytes, got {len(raw)}")
        return super().__new__(cls, raw)


@dataclass(frozen=True, slots=True)
class Argon2Cost:
    """What one try of a passphrase costs. The default: 3 passes over 256 MiB. Raises `BadKeyring`."""

    passes: int = 3
    memory_kib: int = 256 * 1024

    def __post_init__(self) -> None:
        if not (1 <= self.passes <= MAX_PASSES and MIN_MEMORY_KIB <= self.memory_kib <= MAX_MEMORY_KIB):
            raise BadKeyring(
                f"Argon2id takes 1 to {MAX_PASSES} passes over {MIN_MEMORY_KIB} to {MAX_MEMORY_KIB} KiB here"
            )


@dataclass(frozen=True, slots=True)
class Passphrase:
    """A passphrase, never shown; `cost` is used when sealing only. Raises `BadKeyring` if empty or too long."""

    text: str = field(repr=False)
    cost: Argon2Cost = field(default=Argon2Cost(), repr=False)

    def __post_init__(self) -> None:
        try:
            length = len(_normalised(self.text))
        except UnicodeEncodeError:
            raise BadKeyring("a passphrase is Unicode text without lone surrogates") from None
        if not 0 < length <= MAX_PASSPHRASE_BYTES:
            raise BadKeyring(f"a passphrase is 1 to {MAX_PASSPHRASE_BYTES} bytes of UTF-8")


Unlock = UnlockKey | Passphrase


def seal_keyring(secrets: Mapping[str, bytes], unlock: Unlock, random: Random) -> bytes:
    """Return the file that holds these secrets (names 1 to 64 ASCII characters). Raises `BadKeyring`."""
    contents = len(secrets).to_bytes(2, "big")
    for name in sorted(secrets):
        if not (name.isascii() and 0 < len(name) <= 64) or len(secrets[name]) > 65_535:
            raise BadKeyring("a secret has a name of 1 to 64 ASCII characters and at most 65,535 bytes")
        contents += length_prefixed(name.encode("ascii")) + length_prefixed(secrets[name])
    if isinstance(unlock, UnlockKey):
        header = _MAGIC + bytes([_KEY_FILE])
        key = bytes(unlock)
    else:
        salt = random(_SALT_BYTES)
        header = _MAGIC + bytes([_PASSPHRASE])
        header += _ARGON2.pack(unlock.cost.passes, unlock.cost.memory_kib, salt)
        key = _stretch(unlock, unlock.cost, salt)
    nonce = random(_NONCE_BYTES)
    file = header + nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(contents, header, nonce, key)
    if len(file) + _HASH_BYTES > MAX_KEYRING_BYTES:
        raise BadKeyring(f"a keyring is at most {MAX_KEYRING_BYTES} bytes")
    return file + hashlib.sha256(file).digest()


def open_keyring(data: bytes, unlock: Unlock) -> dict[str, Secret]:
    """Return the secrets of a keyring by name. Raises `BadKeyring` or `WrongPassphrase`."""
    if len(data) > MAX_KEYRING_BYTES:
        raise BadKeyring(f"a keyring is at most {MAX_KEYRING_BYTES} bytes")
    file, digest = data[:-_HASH_BYTES], data[-_HASH_BYTES:]
    if len(file) <= len(_MAGIC) or not file.startswith(_MAGIC):
        raise BadKeyring("this is not a Tocsin keyring, or its beginning is damaged")
    if not hmac.compare_digest(hashlib.sha256(file).digest(), digest):
        raise BadKeyring("the keyring is damaged or cut short: restore it from a backup")
    method, body = file[len(_MAGIC)], len(_MAGIC) + 1
    if method == _KEY_FILE:
        if not isinstance(unlock, UnlockKey):
            raise WrongPassphrase("this keyring opens with its unlock key file, not with a passphrase")
        key = bytes(unlock)
    elif method == _PASSPHRASE:
        if not isinstance(unlock, Passphrase):
            raise WrongPassphrase("this keyring opens with its passphrase, not with a key file")
        if len(file) < body + _ARGON2.size:
            raise BadKeyring("the keyring ends inside its header")
        passes, memory_kib, salt = _ARGON2.unpack(file[body : body + _ARGON2.size])
        body += _ARGON2.size
        key = _stretch(unlock, Argon2Cost(passes, memory_kib), salt)
    else:
        raise BadKeyring("the keyring was sealed by a method that this software does not know: update it")
    header, nonce, box = file[:body], file[body : body + _NONCE_BYTES], file[body + _NONCE_BYTES :]
    if len(nonce) != _NONCE_BYTES:
        raise BadKeyring("the keyring ends before its box")
    try:
        contents = crypto_aead_xchacha20poly1305_ietf_decrypt(box, header, nonce, key)
    except CryptoError:
        raise WrongPassphrase(
            "the keyring does not open: wrong passphrase or key file (the file itself is undamaged)"
        ) from None
    return _parse_contents(contents)


def _normalised(text: str) -> bytes:
    return unicodedata.normalize("NFC", text).encode()


def _stretch(passphrase: Passphrase, cost: Argon2Cost, salt: bytes) -> bytes:
    return argon2id.kdf(
        UNLOCK_KEY_BYTES,
        _normalised(passphrase.text),
        salt,
        opslimit=cost.passes,
        memlimit=cost.memory_kib * 1024,
    )


def _parse_contents(contents: bytes) -> dict[str, Secret]:
    cursor = Cursor(contents, lambda field, rule: BadKeyring(f"{_FAULTY} ({field}: {rule})"))
    names: list[bytes] = []
    secrets: dict[str, Secret] = {}
    for _ in range(cursor.number("count", 2)):
        name = cursor.prefixed("name", 2, MAX_KEYRING_BYTES)
        if not name.isascii():
            raise BadKeyring("a name in the keyring is not ASCII")
        names.append(name)
        secrets[name.decode("ascii")] = Secret(cursor.prefixed("secret", 2, MAX_KEYRING_BYTES))
    cursor.end()
    if any(first >= second for first, second in itertools.pairwise(names)):
        raise BadKeyring(f"{_FAULTY} (names are not ascending)")
    return secrets
