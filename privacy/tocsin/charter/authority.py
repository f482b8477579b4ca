"""The CA certificate of each member, checked when a charter is verified.

1. X.509 version 3 in DER, nothing behind it. CA flag set in a critical basicConstraints; keyUsage, where there is
   one, allows signing certificates.
2. The key is ECDSA P-256 and the certificate is signed with it (self-signed, RFC 5280 §3.2).
3. Subject, subject key identifier and key are each of one member only, for the RPC library picks the issuer of a
   leaf by them.
4. Validity dates are TLS's to check, at each handshake.
"""

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tocsin.charter.document import Charter
from tocsin.charter.errors import BadAuthority


def parse_authority(der: bytes, path: str) -> x509.Certificate:
    """Return the CA certificate that rules 1 and 2 accept; `path` is where it stands. Raises `BadAuthority`."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        extensions = certificate.extensions
        key = certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension):
        raise BadAuthority("x509", path, "must be an X.509 certificate in DER") from None
    if certificate.version is not x509.Version.v3 or certificate.public_bytes(Encoding.DER) != der:
        raise BadAuthority("x509", path, "must be one X.509 version 3 certificate in DER and nothing else")
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise BadAuthority("ca-key", path, "a CA's key must be ECDSA on the curve P-256")
    try:
        constraints = extensions.get_extension_for_class(x509.BasicConstraints)
        extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound as error:
        raise BadAuthority("ca-flag", path, f"the extension {error.oid._name} is missing") from None
    if not (constraints.critical and constraints.value.ca):
        raise BadAuthority("ca-flag", path, "its basicConstraints must be critical and say that it is a CA")
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    if usage is not None and not usage.key_cert_sign:
        raise BadAuthority("ca-flag", path, "its keyUsage does not allow it to sign certificates")
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        raise BadAuthority("self-signed", path, "a CA certificate must be signed with its own key") from None
    return certificate


def check_authorities(charter: Charter) -> None:
    """Check every member's CA certificate, alone and against the others (rule 3). Raises `BadAuthority`."""
    seen: dict[tuple[str, bytes], int] = {}
    for at, member in enumerate(charter.members):
        path = f"$.members[{at}].ca"
        certificate = parse_authority(member.ca, path)
        identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        subject = certificate.subject.public_bytes()
        for what, value in (("subject", subject), ("subject key identifier", identifier), ("key", key)):
            other = seen.setdefault((what, value), at)
            if other != at:
                raise BadAuthority(
                    "ca-distinct", path, f"its {what} is also that of $.members[{other}].ca: issue another CA"
                )
