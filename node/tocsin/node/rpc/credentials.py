"""A server's side of TLS: its own certificate, whom it trusts, and both replaceable while it serves.

1. That 1.2 handshakes fail is arranged by `tocsin.wire`, and checked on each call by `authorize` (M-8.6).
2. A server asks `ServerIdentity` for its certificate and the authorities it trusts at every new connection; a new
   charter or a rotated certificate takes effect there while open connections go on.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from tocsin.wire.tls import TlsIdentity, authorities_pem  # isort: skip # before grpc, which reads what it sets
import grpc


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
            [(self._identity.key, self._identity.certificate)], authorities_pem(self._authorities)
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
