from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from tocsin.sealing.hpke import (
    OVERHEAD_BYTES,
    CannotOpen,
    CannotSeal,
    generate,
    open_sealed,
    pepper_info,
    public_key,
    seal_to,
    share_info,
)

RFC = {
    name: bytes.fromhex(value)
    for name, value in json.loads(
        (Path(__file__).parents[1] / "vectors" / "sealing-hpke.json").read_text(encoding="utf-8")
    ).items()
    if name != "source"
}
PRIVATE = generate(os.urandom)
MEMBER = bytes(range(16))


def test_rfc_9180_appendix_a_2_1() -> None:
    assert public_key(RFC["private_key"]) == RFC["public_key"]
    cipher = ChaCha20Poly1305(RFC["key"])
    # The RFC's own ciphertext fixes key and nonce; ours has no associated data, so it is made from them.
    assert cipher.encrypt(RFC["base_nonce"], RFC["plaintext"], RFC["aad"]) == RFC["ciphertext"]
    sealed = RFC["enc"] + cipher.encrypt(RFC["base_nonce"], RFC["plaintext"], b"")
    assert open_sealed(RFC["private_key"], RFC["info"], sealed) == RFC["plaintext"]


@given(st.binary(max_size=200), st.binary(max_size=80))
def test_what_is_sealed_opens(info: bytes, plaintext: bytes) -> None:
    sealed = seal_to(public_key(PRIVATE), info, plaintext)
    assert len(sealed) == len(plaintext) + OVERHEAD_BYTES
    assert open_sealed(PRIVATE, info, sealed) == plaintext


def test_another_key_info_or_byte_does_not_open() -> None:
    sealed = seal_to(public_key(PRIVATE), b"info", b"secret")
    attempts = [(generate(os.urandom), b"info", sealed), (PRIVATE, b"infp", sealed)]
    attempts += [
        (PRIVATE, b"info", sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :])
        for at in range(len(sealed))
    ]
    for key, info, raw in attempts:
        with pytest.raises(CannotOpen):
            open_sealed(key, info, raw)


@given(st.binary(max_size=120))
def test_hostile_bytes_raise_cannot_open(raw: bytes) -> None:
    with pytest.raises(CannotOpen):
        open_sealed(PRIVATE, b"", raw)


def test_small_order_and_wrong_lengths_are_refused() -> None:
    for key in (bytes(32), b"\x01" + bytes(31), bytes(31), bytes(33)):
        with pytest.raises(CannotSeal):
            seal_to(key, b"", b"")
    with pytest.raises(CannotOpen):
        open_sealed(bytes(31), b"", bytes(48))
    with pytest.raises(CannotOpen):
        open_sealed(PRIVATE, b"", bytes(48))


def test_infos_differ_in_every_field() -> None:
    infos = [
        pepper_info("a.test", 2, MEMBER),
        pepper_info("b.test", 2, MEMBER),
        pepper_info("a.test", 3, MEMBER),
        pepper_info("a.test", 2, bytes(16)),
        share_info("a.test", 1, 2, 3, MEMBER),
        share_info("b.test", 1, 2, 3, MEMBER),
        share_info("a.test", 2, 2, 3, MEMBER),
        share_info("a.test", 1, 3, 3, MEMBER),
        share_info("a.test", 1, 2, 4, MEMBER),
        share_info("a.test", 1, 2, 3, bytes(16)),
    ]
    assert len(set(infos)) == len(infos)
    assert infos[0].hex() == (
        b"tocsin/1 sealed pepper".hex() + "0006" + b"a.test".hex() + "00000002" + MEMBER.hex()
    )


@pytest.mark.parametrize(
    ("federation", "period", "member"),
    [("", 1, MEMBER), ("a", -1, MEMBER), ("a", 2**32, MEMBER), ("a", 1, b"")],
)
def test_pepper_infos_out_of_range_are_refused(federation: str, period: int, member: bytes) -> None:
    with pytest.raises(CannotSeal):
        pepper_info(federation, period, member)


@pytest.mark.parametrize(("federation", "seat"), [("a", 0), ("a", 256), ("é", 1)])
def test_share_infos_out_of_range_are_refused(federation: str, seat: int) -> None:
    with pytest.raises(CannotSeal):
        share_info(federation, 1, 1, seat, MEMBER)


def test_a_private_key_is_masked() -> None:
    assert repr(PRIVATE) == str(PRIVATE) == f"{PRIVATE}" == "PrivateKey(…)"
