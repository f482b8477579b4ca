"""TLS (SPEC.md §8): 1.3 both ways, every member's own authority, certificates that can be rotated.

1. That 1.2 handshakes fail is arranged in this package's `__init__`, and checked on each call by `authorize`.
2. A server asks `ServerIdentity` for its certificate and the authorities it trusts at every new connection; a new
   charter or a rotated certificate takes effect there while open connections go on.
3. A dialler trusts the authority of the one member it means to reach, and expects that member's DNS name.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

import grpc


@dataclass(frozen=True)
class TlsIdentity:
    """A leaf certificate (PEM) and its private key (PEM, PKCS #8), masked when shown."""

    certificate: bytes
    key: bytes = field(repr=False)


def target_name(federation: str, member: bytes) -> str:
    """Return the DNS name that a member's node certificate carries, and its dialler expects."""
    return f"{member.hex()}.node.{federation}"


def _pem(authorities: Iterable[bytes]) -> bytes:
    return "".join(ssl.DER_cert_to_PEM_cert(ca) for ca in authorities).encode()


class ServerIdentity:
    """What a server shows and whom it trusts, replaceable while it serves; safe to use from any thread."""

    def __init__(self, identity: TlsIdentity, authorities: Iterable[bytes]) -> None:
        self._lock = threading.Lock()
        self._identity = identity
        self._authorities = tuple(authorities)
        self._fresh = False

    @property
    def identity(self) -> TlsIdentity:
        """What is shown at present."""
        with self._lock:
            return self._identity

    def replace_identity(self, identity: TlsIdentity) -> None:
        """Show another certificate from the next connection on."""
        with self._lock:
            self._identity, self._fresh = identity, True

    def replace_authorities(self, authorities: Iterable[bytes]) -> None:
        """Trust these members' authorities (X.509 DER) from the next connection on."""
        with self._lock:
            self._authorities, self._fresh = tuple(authorities), True

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(self._identity.key, self._identity.certificate)], _pem(self._authorities)
        )

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        with self._lock:
            if not self._fresh:
                return None
            self._fresh = False
            return self._configuration()

    def credentials(self) -> grpc.ServerCredentials:
        """Build the credentials of one server; it then follows every replacement."""
        with self._lock:
            initial = self._configuration()
            self._fresh = False
        return grpc.dynamic_ssl_server_credentials(
            initial,
            self._fetch,  # type: ignore[arg-type] # None means no change; the stubs forget it
            require_client_authentication=True,
        )


def channel_credentials(authority: bytes, identity: TlsIdentity) -> grpc.ChannelCredentials:
    """Build a dialler's credentials, which trust one member's authority (X.509 DER) and nobody else."""
    return grpc.ssl_channel_credentials(_pem([authority]), identity.key, identity.certificate)
