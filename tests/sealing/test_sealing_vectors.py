"""Our published vectors: the code gives them, and so does a second implementation from the libraries alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt

from tests.sealing.sealing_steps import steps
from tocsin.sealing import pepper

PUBLISHED: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "sealing.json").read_text(encoding="utf-8")
)


def test_every_step_gives_the_published_bytes() -> None:
    assert steps() == PUBLISHED


def _lp(field: bytes) -> bytes:
    return len(field).to_bytes(2, "big") + field


@pytest.mark.parametrize("vector", PUBLISHED["vectors"], ids=lambda vector: vector["type"])
def test_a_reading_of_the_specification_gives_the_published_bytes(vector: dict[str, Any]) -> None:
    def expand(secret: bytes, info: bytes) -> bytes:
        return HKDFExpand(SHA256(), 32, info).derive(secret)

    pepper = bytes.fromhex(PUBLISHED["pepper"])
    for _ in range(vector["ratchet_steps"]):
        pepper = expand(pepper, b"tocsin/1 pepper")
    assert pepper.hex() == vector["pepper"]
    secret = HKDF.extract(SHA256(), pepper, bytes.fromhex(vector["output_F"]))
    assert secret.hex() == vector["secret_K"]
    info = _lp(vector["purpose"].encode())
    info += vector["class"].to_bytes(2, "big") + vector["epoch"].to_bytes(4, "big")
    info += vector["period"].to_bytes(4, "big")
    cipher = Cipher(algorithms.AES256(expand(secret, b"tocsin/1 tag" + info)), modes.ECB())
    tags = b"".join(cipher.encryptor().update(bytes.fromhex(writer)) for writer in PUBLISHED["writers"])
    assert tags.hex() == vector["tags"]

    body, writer = bytes.fromhex(vector["body"]), bytes.fromhex(vector["writer"])
    bound = _lp(PUBLISHED["federation"].encode()) + writer + bytes.fromhex(vector["header"]) + tags[:16]
    opened = crypto_aead_xchacha20poly1305_ietf_decrypt(
        body[40:], bound, body[16:40], expand(secret, b"tocsin/1 box" + info + writer)
    )
    label = bytes.fromhex(vector["label"])
    assert opened == (_lp(label) + bytes(512))[:512]


@pytest.mark.parametrize("vector", PUBLISHED["records"], ids=lambda vector: str(vector["bands"]))
def test_a_reading_of_the_specification_gives_the_published_records(vector: dict[str, Any]) -> None:
    def expand(secret: bytes, info: bytes) -> bytes:
        return HKDFExpand(SHA256(), 32, info).derive(secret)

    order = 2**252 + 27742317777372353535851937790883648493
    coefficients = [
        int.from_bytes(bytes.fromhex(coefficient), "little") for coefficient in vector["coefficients"]
    ]
    assert len(coefficients) == vector["threshold"]
    shares = [
        sum(coefficient * x**degree for degree, coefficient in enumerate(coefficients)) % order
        for x in range(1, vector["bands"] + 1)
    ]
    assert [share.to_bytes(32, "little").hex() for share in shares] == vector["shares"]
    key = coefficients[0].to_bytes(32, "little")
    assert key.hex() == vector["record_key"]
    assert expand(key, b"tocsin/1 ref")[:16].hex() == vector["ref"]

    secret = HKDF.extract(SHA256(), bytes.fromhex(PUBLISHED["pepper"]), key)
    assert secret.hex() == vector["secret_Z"]
    info = (
        _lp(b"record") + b"\0\x0a" + vector["epoch"].to_bytes(4, "big") + vector["period"].to_bytes(4, "big")
    )
    cipher = Cipher(algorithms.AES256(expand(secret, b"tocsin/1 tag" + info)), modes.ECB())
    tags = b"".join(cipher.encryptor().update(bytes.fromhex(writer)) for writer in PUBLISHED["writers"])
    assert tags.hex() == vector["tags"]
    writer, body = bytes.fromhex(PUBLISHED["writers"][0]), bytes.fromhex(vector["body"])
    bound = _lp(PUBLISHED["federation"].encode()) + writer + bytes.fromhex(vector["header"]) + tags[:16]
    opened = crypto_aead_xchacha20poly1305_ietf_decrypt(
        body[40:], bound, body[16:40], expand(secret, b"tocsin/1 box" + info + writer)
    )
    label = bytes.fromhex(vector["label"])
    assert opened == (_lp(label) + bytes(512))[:512]
    assert label[:18] == b"\1\5\x0fprompt.template"

    start = b"\1\6\x14prompt.template-band\1" + bytes.fromhex(vector["ref"])
    for name, x in (("band_1", 1), ("band_last", vector["bands"])):
        assert bytes.fromhex(vector[name]) == start + bytes([x]) + bytes.fromhex(vector["shares"][x - 1])


def test_extract_and_expand_follow_rfc_5869() -> None:
    # RFC 5869, test case 1: 32 bytes are its output's first block.
    secret = pepper.period_secret(
        pepper.Pepper(bytes.fromhex("000102030405060708090a0b0c").ljust(32, b"\x00")), b"\x0b" * 22
    )
    # A salt of 13 bytes and one padded with zeros to 32 are the same HMAC key.
    assert secret.hex() == "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"
    okm = pepper.expand(secret, bytes.fromhex("f0f1f2f3f4f5f6f7f8f9"))
    assert okm.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
