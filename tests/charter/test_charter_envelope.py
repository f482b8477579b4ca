from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from tests.charter.charter_drafts import authority, certificate, draft, member, seed, signed
from tocsin.charter.authority import check_authorities, parse_authority
from tocsin.charter.card import MemberCard, parse_card, sign_card
from tocsin.charter.envelope import (
    SignedCharter,
    charter_hash,
    merge_signatures,
    parse_envelope,
    sign_document,
)
from tocsin.charter.errors import BadAuthority, BadCharter, BadCharterSignature
from tocsin.primitives.ed25519 import BadKey

CHARTER = draft()


def test_an_envelope_reads_as_it_was_written() -> None:
    envelope = signed(CHARTER, [3, 1, 2])
    assert parse_envelope(envelope.encode()) == envelope
    assert [member_id[-1] for member_id, _ in envelope.signatures] == [1, 2, 3]
    root = json.loads(envelope.encode())
    assert base64.b64decode(root["charter"]) == CHARTER.encode()
    assert root["signatures"][0]["member"] == member(1).id.hex()
    assert len(charter_hash(CHARTER.encode())) == 32


@given(st.binary(max_size=200))
def test_hostile_envelopes_raise_bad_charter(raw: bytes) -> None:
    for call in (parse_envelope, parse_card):
        with pytest.raises(BadCharter):
            call(raw)


@pytest.mark.parametrize(
    "signatures",
    [
        [{"member": "00" * 16, "signature": "A"}],
        [{"member": "00" * 16, "signature": "AAAA"}],
        [{"member": "00" * 15, "signature": base64.b64encode(bytes(64)).decode()}],
        [{"member": "00" * 16, "signature": base64.b64encode(bytes(64)).decode()}] * 2,
        [{"member": "00" * 16, "signature": 5}],
        [{"member": "00" * 16}],
        [
            {"member": "01" * 16, "signature": base64.b64encode(bytes(64)).decode()},
            {"member": "00" * 16, "signature": base64.b64encode(bytes(64)).decode()},
        ],
        [{"member": "00" * 16, "signature": base64.b64encode(bytes([n]) * 64).decode()} for n in range(3)],
    ],
    ids=["base64", "short", "member", "twice", "type", "missing", "order", "three keys"],
)
def test_malformed_signatures_are_refused(signatures: list[dict[str, Any]]) -> None:
    with pytest.raises(BadCharter):
        parse_envelope(rfc8785.dumps({"charter": "AAAA", "signatures": signatures}))


def test_signatures_of_one_document_merge() -> None:
    both = merge_signatures(signed(CHARTER, [2]), signed(CHARTER, [1, 2]))
    assert both == signed(CHARTER, [1, 2])
    with pytest.raises(BadCharter):
        merge_signatures(both, signed(draft(tick_seconds=61), [3]))


def test_a_signing_seed_has_32_bytes() -> None:
    with pytest.raises(BadKey):
        sign_document(b"x", bytes(31))


def test_an_empty_or_oversize_document_is_refused() -> None:
    for document in (b"", bytes((1 << 20) + 1)):
        with pytest.raises(BadCharter):
            SignedCharter(document, ())


def test_a_card_reads_as_it_was_signed() -> None:
    card = sign_card(member(1), seed(1))
    assert parse_card(card.encode()) == card
    assert card.member == member(1)


def test_a_card_that_another_key_signed_or_that_was_changed_is_refused() -> None:
    with pytest.raises(BadCharterSignature):
        sign_card(member(1), seed(2))
    raw = sign_card(member(1), seed(1)).encode()
    with pytest.raises(BadCharterSignature):
        parse_card(raw.replace(b"Provider 1", b"Provider 9"))
    # A signature over a charter is none over a card.
    with pytest.raises(BadCharterSignature):
        MemberCard(member(1), sign_document(rfc8785.dumps(member(1).json()), seed(1)))


KEY = ec.generate_private_key(ec.SECP256R1())
IDENTIFIER = (x509.SubjectKeyIdentifier.from_public_key(KEY.public_key()), False)


def _usage(sign: bool) -> tuple[x509.KeyUsage, bool]:
    return x509.KeyUsage(True, False, False, False, False, sign, True, False, False), True


@pytest.mark.parametrize(
    ("der", "rule"),
    [
        (b"garbage", "x509"),
        (authority("trailing")[1] + b"\x00", "x509"),
        (authority("other curve", "p384")[1], "ca-key"),
        (
            certificate(KEY, "not a CA", extensions=[(x509.BasicConstraints(False, None), True), IDENTIFIER]),
            "ca-flag",
        ),
        (
            certificate(
                KEY, "not critical", extensions=[(x509.BasicConstraints(True, 0), False), IDENTIFIER]
            ),
            "ca-flag",
        ),
        (certificate(KEY, "no constraints", extensions=[IDENTIFIER]), "ca-flag"),
        (certificate(KEY, "no identifier", extensions=[(x509.BasicConstraints(True, 0), True)]), "ca-flag"),
        (
            certificate(
                KEY,
                "cannot sign",
                extensions=[(x509.BasicConstraints(True, 0), True), IDENTIFIER, _usage(False)],
            ),
            "ca-flag",
        ),
        (certificate(KEY, "signed by another", signer=authority("another")[0]), "self-signed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_rule_of_a_ca_certificate(der: bytes, rule: str) -> None:
    with pytest.raises(BadAuthority) as caught:
        parse_authority(der, "$.members[0].ca")
    assert caught.value.rule == rule
    assert caught.value.path == "$.members[0].ca"


def test_a_ca_that_may_sign_is_accepted() -> None:
    extensions = [(x509.BasicConstraints(True, 0), True), IDENTIFIER, _usage(True)]
    parse_authority(certificate(KEY, "sound", extensions=extensions), "$")


def test_subject_identifier_and_key_belong_to_one_member_only() -> None:
    first = authority("CA 1")[0]
    digest = x509.SubjectKeyIdentifier.from_public_key(first.public_key()).digest
    twins = {
        "subject": certificate(KEY, "CA 1"),
        "identifier": certificate(KEY, "CA twin", identifier=digest),
        "key": certificate(first, "CA twin", identifier=b"another identifier"),
    }
    for what, der in twins.items():
        members = (member(1), member(2).__class__(**{**vars(member(2)), "ca": der}), member(3))
        with pytest.raises(BadAuthority) as caught:
            check_authorities(draft(members=members))
        assert (caught.value.rule, caught.value.path) == ("ca-distinct", "$.members[1].ca")
        assert what.split()[-1] in str(caught.value)
    check_authorities(CHARTER)
