"""Who a member is on the wire: its TLS identities, its charter, and what a channel to its node needs."""

from __future__ import annotations

import grpc
from cryptography.hazmat.primitives import serialization

from tocsin.charter.document import Charter, parse_charter
from tocsin.charter.envelope import parse_envelope
from tocsin.founding.members import open_part
from tocsin.localnet.federation import Home
from tocsin.wire.names import target_name
from tocsin.wire.tls import TlsIdentity, channel_credentials


def charter_of(home: Home) -> Charter:
    """Read the charter that a member's node works under."""
    return parse_charter(parse_envelope((home.folder / "node" / "charter.json").read_bytes()).document)


def identity_of(home: Home, part: str) -> TlsIdentity:
    """Return the certificate and key of a member's `node` or `client`."""
    key = serialization.load_der_private_key(open_part(home.folder, part)["tls"], password=None)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return TlsIdentity((home.folder / part / f"{part}.crt").read_bytes(), pem)


def credentials_to(
    charter: Charter, to: bytes, identity: TlsIdentity
) -> tuple[grpc.ChannelCredentials, list[tuple[str, str]]]:
    """Return what a channel to a member's node needs: credentials, and options that check its name."""
    options = [("grpc.ssl_target_name_override", target_name(charter.federation, to))]
    return channel_credentials(charter.member(to).ca, identity), options
