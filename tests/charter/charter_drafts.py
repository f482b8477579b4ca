"""Members, drafts and signatures for the charter's tests: real keys and CAs, made once."""

from __future__ import annotations

import datetime
import functools
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tocsin.charter.document import Charter, ClassKey, Contact, Member, Period, Policy
from tocsin.charter.envelope import SignedCharter, sign_document
from tocsin.oprf import group, shares
from tocsin.primitives.ed25519 import SigningKey

NOW = 1_785_000_000
YEAR = 365 * 86_400
DAY = 86_400
FEDERATION = "example.test"


def material(name: str, length: int = 32) -> bytes:
    """Return bytes that belong to a name."""
    return hashlib.shake_256(name.encode()).digest(length)


@functools.cache
def authority(name: str, curve: str = "p256") -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    """Return a CA's key and self-signed certificate."""
    key = ec.generate_private_key(ec.SECP256R1() if curve == "p256" else ec.SECP384R1())
    return key, certificate(key, name)


def certificate(
    key: ec.EllipticCurvePrivateKey,
    name: str,
    *,
    signer: ec.EllipticCurvePrivateKey | None = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] | None = None,
    identifier: bytes | None = None,
) -> bytes:
    """Return a certificate in DER: a sound CA unless told otherwise."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1)
    builder = builder.not_valid_before(start).not_valid_after(start + datetime.timedelta(days=3650))
    known = (
        x509.SubjectKeyIdentifier(identifier)
        if identifier
        else x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    )
    for extension, critical in extensions or (
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (known, False),
    ):
        builder = builder.add_extension(extension, critical)
    return builder.sign(signer or key, hashes.SHA256()).public_bytes(Encoding.DER)


def seed(number: int, generation: int = 0) -> bytes:
    """Return the identity seed of a member; each generation is another key."""
    return material(f"identity {number} {generation}")


@functools.cache
def member(number: int, *, generation: int = 0, client: int = 0) -> Member:
    """Return member `number`, with another identity key per generation and another client key per `client`."""
    return Member(
        id=number.to_bytes(16, "big"),
        name=f"Provider {number}",
        endpoints=(f"node{number}.example.test:7443",),
        ca=authority(f"CA {number}")[1],
        identity=SigningKey(seed(number, generation)).public_key,
        log=material(f"log {number}"),
        cosigner=material(f"cosigner {number}"),
        node=material(f"node {number}"),
        node_hpke=material(f"node_hpke {number}"),
        client_hpke=material(f"client_hpke {number} {client}"),
        contact=Contact(
            f"abuse@provider{number}.example", f"+4930123450{number}", b"age1qqqsyqcy", "24 hours"
        ),
    )


@functools.cache
def dealt(name: str, c: int, t: int) -> tuple[group.Element, ...]:
    """Return the commitments of the key with this name, dealt anew whenever c or t differ."""
    secret = group.hash_to_scalar(name.encode(), b"charter tests")
    return shares.split(secret, c, t, lambda length: material(f"{name} {c} {t}", length)).commitments


def class_key(committee: Iterable[int], *, t: int = 2, epoch: int = 1, **changes: Any) -> ClassKey:
    """Return a key of class 1 held by these members."""
    seats = tuple(number.to_bytes(16, "big") for number in committee)
    key = ClassKey(
        key_class=1,
        name="payment",
        epoch=epoch,
        threshold=t,
        committee=seats,
        commitments=dealt(
            f"epoch {epoch}"
            if (other := changes.get("key_class", 1)) == 1
            else f"class {other} epoch {epoch}",
            len(seats),
            t,
        ),
        budget=100_000,
        smallest_space=10**18,
        retention_days=49,
        overlap_until=None,
    )
    return replace(key, **changes)


def period(members: Iterable[Member], pepper: str, number: int, start: int) -> Period:
    """Return a period whose pepper has this name."""
    return Period(number, start, material(pepper), {member.id: material(pepper, 80) for member in members})


def draft(numbers: Iterable[int] = (1, 2, 3), **changes: Any) -> Charter:
    """Return version 1 of a federation of these members."""
    members = tuple(member(number) for number in sorted(numbers))
    fields: dict[str, Any] = {
        "federation": FEDERATION,
        "version": 1,
        "attempt": 1,
        "mode": "test",
        "issued": NOW,
        "expires": NOW + YEAR,
        "period": period(members, "pepper 1", 1, NOW),
        "members": members,
        "classes": (class_key([int.from_bytes(member.id, "big") for member in members][:7]),),
        "tick_seconds": 60,
        "snapshots": ("email-rules-2",),
        "policy": Policy(entries_per_day=100_000, max_hops=4),
    }
    return Charter(**{**fields, **changes})


def signed(charter: Charter, numbers: Iterable[int], generation: int = 0) -> SignedCharter:
    """Return a charter with the signatures of these members."""
    document = charter.encode()
    return SignedCharter(
        document,
        tuple(
            (number.to_bytes(16, "big"), sign_document(document, seed(number, generation)))
            for number in numbers
        ),
    )
