"""What a node holds at rest, opened: its keyring, its certificate, its shares of class keys.

1. A file that holds a secret is readable by its owner only, or it is refused; the message gives the command.
2. The keyring holds the seeds `log`, `cosigner` and `node`, the HPKE key `node_hpke` and the TLS key `tls`. Where the
   charter names public keys they must be these keys' own, so that a node never signs what nobody can verify.
3. The certificate is this member's node's, issued by its authority in the charter, valid now, and matches the TLS key.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from tocsin.charter.document import Charter, NotAMember
from tocsin.node.config import PASSPHRASE, ConfigError, NodeConfig
from tocsin.node.rpc.authorize import NotAllowed, Role, verify_leaf
from tocsin.primitives.ed25519 import SigningKey
from tocsin.sealing import hpke
from tocsin.sealing.keyring import KeyringError, Passphrase, Secret, UnlockKey, open_keyring
from tocsin.wire.tls import TlsIdentity

SECRETS = ("log", "cosigner", "node", "node_hpke", "tls")
PASSPHRASE_FILE = "TOCSIN_PASSPHRASE_FILE"  # noqa: S105 - the variable's name
_SECRET_FILE_LIMIT = 1 << 20


@dataclass(frozen=True)
class NodeKeys:
    """The opened keyring. Nothing of it shows in a repr."""

    secrets: Mapping[str, Secret] = field(repr=False)

    @property
    def node_hpke(self) -> bytes:
        """The private key that shares are sealed to."""
        return self.secrets["node_hpke"]

    def tls_key(self) -> PrivateKeyTypes:
        """Return the TLS key. Raises `ConfigError` if it cannot be read."""
        try:
            return serialization.load_der_private_key(self.secrets["tls"], password=None)
        except (ValueError, TypeError):
            raise ConfigError(
                "the keyring's secret `tls` is not a PKCS #8 private key; issue the node's certificate again"
            ) from None


class NodeSigner:
    """The `Signer` port over the keyring's seeds."""

    def __init__(self, keys: NodeKeys) -> None:
        self._log = SigningKey(keys.secrets["log"])
        self._cosigner = SigningKey(keys.secrets["cosigner"])
        self._node = SigningKey(keys.secrets["node"])

    def sign_log(self, message: bytes) -> bytes:
        """Ed25519 by the log key."""
        return self._log.sign(message)

    def sign_cosigner(self, message: bytes) -> bytes:
        """Ed25519 by the cosigner key."""
        return self._cosigner.sign(message)

    def sign_node(self, message: bytes) -> bytes:
        """Ed25519 by the node key."""
        return self._node.sign(message)


def read_file(path: Path, key: str) -> bytes:
    """Read a file that the setting `key` names. Raises `ConfigError`."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file (setting {key!r})") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror} (setting {key!r})") from None


def read_secret_file(path: Path, key: str) -> bytes:
    """Read a file that only its owner may read, who runs this or is root. Raises `ConfigError`."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if os.geteuid() != 0 and status.st_uid not in (os.geteuid(), 0):
                raise ConfigError(
                    f"{path}: belongs to another user (id {status.st_uid}), who could read or replace it; "
                    f"run: chown {os.geteuid()} {path} (setting {key!r})"
                )
            mode = stat.S_IMODE(status.st_mode)
            if mode & 0o077:
                raise ConfigError(
                    f"{path}: others may read it (mode {mode:04o}); run: chmod 600 {path} (setting {key!r})"
                )
            return file.read(_SECRET_FILE_LIMIT + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file (setting {key!r})") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror} (setting {key!r})") from None


def _passphrase() -> Passphrase:
    named = os.environ.get(PASSPHRASE_FILE)
    if named is not None:
        # No check of its mode: containers hand secrets over as files that their only user may read.
        text = read_file(Path(named), PASSPHRASE_FILE).decode("utf-8", "replace").rstrip("\r\n")
    elif os.isatty(0):
        import getpass

        text = getpass.getpass("Passphrase of the node's keyring: ")
    else:
        raise ConfigError(f"the keyring needs a passphrase: name its file in {PASSPHRASE_FILE}")
    try:
        return Passphrase(text)
    except KeyringError as error:
        raise ConfigError(str(error)) from None


def open_keys(config: NodeConfig) -> NodeKeys:
    """Open the keyring. Raises `ConfigError`."""
    path = config.path(config.keyring)
    data = read_secret_file(path, "keyring")
    try:
        unlock = (
            _passphrase()
            if config.unlock == PASSPHRASE
            else UnlockKey(read_secret_file(config.path(config.unlock), "unlock"))
        )
        secrets = open_keyring(data, unlock)
    except KeyringError as error:
        raise ConfigError(f"{path}: {error}") from None
    missing = [name for name in SECRETS if name not in secrets]
    if missing:
        raise ConfigError(
            f"{path}: holds no secret named {', '.join(missing)}; is it another part's keyring?"
        )
    return NodeKeys({name: secrets[name] for name in SECRETS})


def read_charter(config: NodeConfig) -> bytes | None:
    """Read the charter file, or return None where there is none: the store may know one. Raises `ConfigError`."""
    path = config.path(config.charter)
    return read_file(path, "charter") if path.exists() else None


def check_keys(config: NodeConfig, keys: NodeKeys, charter: Charter) -> None:
    """Check rule 2 against the charter in force. Raises `ConfigError`."""
    try:
        member = charter.member(config.member_id)
    except NotAMember:
        raise ConfigError(
            f"member {config.member} (setting 'member') is not in charter version {charter.version} of "
            f"{charter.federation}"
        ) from None
    public = {name: SigningKey(keys.secrets[name]).public_key for name in SECRETS[:3]}
    public["node_hpke"] = hpke.public_key(keys.node_hpke)
    stated = {
        "log": member.log,
        "cosigner": member.cosigner,
        "node": member.node,
        "node_hpke": member.node_hpke,
    }
    for name, key in stated.items():
        if public[name] != key:
            raise ConfigError(
                f"{config.path(config.keyring)}: its key {name!r} is not the one that charter version "
                f"{charter.version} names for member {config.member}"
            )


def valid_until(identity: TlsIdentity) -> int:
    """Return the unix second after which a node's own certificate is not valid."""
    return int(x509.load_pem_x509_certificate(identity.certificate).not_valid_after_utc.timestamp())


def check_validity(identity: TlsIdentity, now: int) -> None:
    """Raise `ConfigError` once the certificate in use has expired."""
    if now > valid_until(identity):
        raise ConfigError(
            "the node's certificate has expired: peers refuse it; issue a new one with the member's authority"
        )


def load_identity(config: NodeConfig, keys: NodeKeys, charter: Charter, now: int) -> TlsIdentity:
    """Read the node's certificate and check rule 3. Raises `ConfigError`."""
    path = config.path(config.certificate)
    pem = read_file(path, "certificate")
    try:
        leaf = x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise ConfigError(f"{path}: not a PEM certificate") from None
    try:
        subject = verify_leaf(leaf, charter)
    except NotAllowed as error:
        raise ConfigError(f"{path}: {error}") from None
    if (subject.member, subject.role) != (config.member_id, Role.NODE):
        raise ConfigError(
            f"{path}: is of member {subject.member.hex()}'s {subject.role}, not of member {config.member}'s node"
        )
    key = keys.tls_key()
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(encoding, form) != leaf.public_key().public_bytes(encoding, form):
        raise ConfigError(f"{path}: does not belong to the TLS key in the keyring")
    if now > leaf.not_valid_after_utc.timestamp():
        raise ConfigError(
            f"{path}: expired on {leaf.not_valid_after_utc:%Y-%m-%d}; issue a new one with the member's authority"
        )
    if now < leaf.not_valid_before_utc.timestamp():
        raise ConfigError(
            f"{path}: is valid from {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC; correct the system clock"
        )
    return TlsIdentity(
        certificate=leaf.public_bytes(serialization.Encoding.PEM),
        key=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
