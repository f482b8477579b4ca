"""How to reach a member's node: one channel's credentials and options, whoever dials.

1. TLS 1.3 both ways (M-8.3): see the package's own rules for 1.2.
2. A dialler trusts the authority of the one member it means to reach, and expects that member's DNS name, whatever
   address the node is reached at (M-8.5). Nothing resolves that name.
3. No proxy stands between: `http_proxy` and its like are for other traffic, and a proxy would learn who talks to whom.
4. A dead connection is noticed within 40 s, and a node that comes back is reached within about a second.
5. An answer is bounded in size before it is parsed.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field

import grpc

from tocsin.wire.names import target_name


@dataclass(frozen=True)
class TlsIdentity:
    """A leaf certificate (PEM) and its private key (PEM, PKCS #8), masked when shown."""

    certificate: bytes
    key: bytes = field(repr=False)


def authorities_pem(authorities: Iterable[bytes]) -> bytes:
    """Return X.509 DER certificates as one PEM file."""
    return "".join(ssl.DER_cert_to_PEM_cert(authority) for authority in authorities).encode()


def channel_credentials(authority: bytes, identity: TlsIdentity) -> grpc.ChannelCredentials:
    """Return a dialler's credentials, which trust one member's authority (X.509 DER) and nobody else."""
    return grpc.ssl_channel_credentials(authorities_pem([authority]), identity.key, identity.certificate)


def channel_options(
    federation: str, member: bytes, *, answer_bytes: int
) -> tuple[tuple[str, str | int], ...]:
    """Return a channel's options for reaching a member's node (rules 2 to 5)."""
    return (
        ("grpc.ssl_target_name_override", target_name(federation, member)),
        ("grpc.enable_http_proxy", 0),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        ("grpc.max_receive_message_length", answer_bytes),
    )
