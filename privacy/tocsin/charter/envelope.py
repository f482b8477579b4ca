"""A charter as it travels: the document, opaque, and signatures over exactly its bytes.

1. {"charter": base64, "signatures": [{"member": hex, "signature": base64}, …]} in RFC 8785 JSON; signatures in
   ascending order of member, then signature; at most 1.5 MiB.
2. A signature is Ed25519 over "tocsin/1 charter" ‖ 0x1f ‖ document, by the member's identity key.
3. A member appears once, or twice where it changes its identity key: once by the old, once by the new.
4. The charter's hash, which is pinned and logged, is SHA-256 of the document alone.
"""

import base64
import binascii
import hashlib
from collections import Counter
from dataclasses import dataclass

from tocsin.charter import signing
from tocsin.charter.canonical_json import Field, canonical, check_canonical, read_json
from tocsin.charter.checks import MAX_MEMBERS
from tocsin.charter.document import MAX_DOCUMENT_BYTES
from tocsin.charter.errors import BadCharter
from tocsin.oprf.threshold import MEMBER_ID_BYTES
from tocsin.primitives.ed25519 import SIGNATURE_BYTES

DOMAIN = b"tocsin/1 charter"
MAX_ENVELOPE_BYTES = 3 << 19
# Members of the old version and of the new one, each with an old and a new key.
MAX_SIGNATURES = 4 * MAX_MEMBERS


@dataclass(frozen=True)
class SignedCharter:
    """A document and its signatures `(member id, 64 bytes)`, not verified yet; put in order. Raises `BadCharter`."""

    document: bytes
    signatures: tuple[tuple[bytes, bytes], ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.document) <= MAX_DOCUMENT_BYTES:
            raise BadCharter("size", "$.charter", f"a document is 1 to {MAX_DOCUMENT_BYTES} bytes")
        if len(self.signatures) > MAX_SIGNATURES:
            raise BadCharter("count", "$.signatures", f"at most {MAX_SIGNATURES} signatures are allowed")
        ordered = tuple(sorted(self.signatures))
        for at, (member, signature) in enumerate(ordered):
            if len(member) != MEMBER_ID_BYTES or len(signature) != SIGNATURE_BYTES:
                raise BadCharter("length", f"$.signatures[{at}]", "a member is 16 bytes and a signature 64")
        per_member = Counter(member for member, _ in ordered)
        if len(set(ordered)) != len(ordered) or any(count > 2 for count in per_member.values()):
            raise BadCharter(
                "distinct", "$.signatures", "a member signs once with each of two identity keys at most"
            )
        object.__setattr__(self, "signatures", ordered)

    def encode(self) -> bytes:
        """Return the envelope of rule 1."""
        return canonical(
            {
                "charter": base64.b64encode(self.document).decode("ascii"),
                "signatures": [
                    {"member": member.hex(), "signature": base64.b64encode(signature).decode("ascii")}
                    for member, signature in self.signatures
                ],
            }
        )


def parse_envelope(data: bytes) -> SignedCharter:
    """Return the signed charter in an envelope (M-3.3); nothing is verified. Raises `BadCharter`."""
    root = read_json(data, MAX_ENVELOPE_BYTES).members("charter", "signatures")
    signatures = []
    for entry in root["signatures"].items(MAX_SIGNATURES):
        fields = entry.members("member", "signature")
        signatures.append((fields["member"].hex(), _base64(fields["signature"])))
    signed = SignedCharter(_base64(root["charter"]), tuple(signatures))
    check_canonical(data, signed.encode())
    return signed


def charter_hash(document: bytes) -> bytes:
    """Return SHA-256 of a document, 32 bytes: what is pinned out of band and logged by whoever signs."""
    return hashlib.sha256(document).digest()


def sign_document(document: bytes, seed: bytes) -> bytes:
    """Return a member's 64-byte signature of a document; `seed` is its identity key's. Raises `BadKey`."""
    return signing.sign(DOMAIN, document, seed)


def merge_signatures(first: SignedCharter, *others: SignedCharter) -> SignedCharter:
    """Return one document with the signatures of all. Raises `BadCharter` where the documents differ."""
    signatures = set(first.signatures)
    for other in others:
        if other.document != first.document:
            raise BadCharter(
                "one-document",
                "$.charter",
                "the envelopes hold different documents: sign and merge one of them",
            )
        signatures.update(other.signatures)
    return SignedCharter(first.document, tuple(signatures))


def _base64(place: Field) -> bytes:
    try:
        return base64.b64decode(place.text(), validate=True)
    except (binascii.Error, ValueError):
        if isinstance(place.value, str):
            raise BadCharter("base64", place.path, "it is base64 (RFC 4648 §4) with padding") from None
        raise
