"""A member's own certificate authority and the two leaves it issues (SPEC.md §8).

1. Keys are P-256: the RPC library takes no Ed25519, and with our cipher suites a P-256 leaf works in TLS 1.3 only.
2. A CA's subject names its federation and its member, so no two CAs share a subject or a key identifier.
3. A node's leaf carries its SPIFFE id and the DNS name that the dialler checks; a client's carries its SPIFFE id alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tocsin.wire.names import target_name

CA_DAYS = 3650
LEAF_DAYS = 397
_SKEW = timedelta(hours=1)


class LeafRole(StrEnum):
    """Who a leaf speaks for."""

    NODE = "node"
    CLIENT = "client"


@dataclass(frozen=True)
class Issued:
    """A certificate with its private key (PKCS #8, DER), which stays out of every repr."""

    certificate: x509.Certificate
    private_key: bytes = field(repr=False)

    @property
    def der(self) -> bytes:
        """The certificate in DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        """The certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def spiffe_id(federation: str, member: bytes, role: LeafRole) -> str:
    """The URI that names a member's node or client in its certificate."""
    return f"spiffe://{federation}/{member.hex()}/{role}"


def make_authority(federation: str, member: bytes, now: int) -> Issued:
    """A self-signed CA for one member, valid for ten years from `now` (unix seconds)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, federation),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Tocsin member {member.hex()}"),
        ]
    )
    certificate = (
        _builder(subject, subject, key.public_key(), now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Issued(certificate, _private_bytes(key))


def federation_of(authority: bytes) -> str | None:
    """The federation that a member's CA (DER) was made for; None where it names none, or several."""
    try:
        names = x509.load_der_x509_certificate(authority).subject.get_attributes_for_oid(
            NameOID.ORGANIZATION_NAME
        )
    except ValueError:
        return None
    return str(names[0].value) if len(names) == 1 else None


def issue_leaf(
    authority: Issued, federation: str, member: bytes, role: LeafRole, now: int, days: int = LEAF_DAYS
) -> Issued:
    """A leaf for the member's node or client, valid for `days` from `now` (unix seconds)."""
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(spiffe_id(federation, member, role))]
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if role is LeafRole.NODE:
        names.append(x509.DNSName(target_name(federation, member)))
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
    issuer_key = serialization.load_der_private_key(authority.private_key, password=None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise TypeError("a member's CA key is a P-256 key")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{role} {member.hex()}")])
    certificate = (
        _builder(subject, authority.certificate.subject, key.public_key(), now, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.certificate.public_key()),  # type: ignore[arg-type] # our CA keys are P-256
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())
    )
    return Issued(certificate, _private_bytes(key))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: int, days: int
) -> x509.CertificateBuilder:
    start = datetime.fromtimestamp(now, UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - _SKEW)
        .not_valid_after(start + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _private_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
