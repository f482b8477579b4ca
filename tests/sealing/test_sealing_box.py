from __future__ import annotations

import os
import pickle
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt

from tests.sealing.sealing_steps import FEDERATION, WRITERS, header
from tocsin.sealing import box, pepper
from tocsin.sealing.box import (
    BadBox,
    BadPadding,
    BadSeal,
    Purpose,
    SealInfo,
    Tagger,
    TamperedBox,
    WrongTag,
    cover_body,
    open_body,
    seal,
    tags,
)
from tocsin.sealing.pepper import (
    BadPepper,
    Pepper,
    PeriodSecret,
    WrongPepper,
    pepper_commitment,
    period_secret,
    ratchet,
    verify_pepper,
)
from tocsin.tlog import entry

PEPPER = Pepper(bytes(range(32)))
SECRET = period_secret(PEPPER, bytes(64))
INFO = SealInfo(3, 2, 7)
PLACE: dict[str, Any] = {"federation": FEDERATION, "writer": WRITERS[0], "header": header(INFO)}


def sealed(plaintext: bytes = b"content") -> bytes:
    return seal(SECRET, Purpose.REPORT, INFO, **PLACE, plaintext=plaintext, random=os.urandom)


def test_sizes_are_those_of_the_log() -> None:
    assert (box.HEADER_BYTES, box.BODY_BYTES, box.TAG_BYTES, box.NONCE_BYTES, box.BOX_BYTES) == (
        entry.HEADER_BYTES,
        entry.BODY_BYTES,
        entry.TAG_BYTES,
        entry.NONCE_BYTES,
        entry.BOX_BYTES,
    )
    assert len(sealed()) == len(cover_body(os.urandom)) == box.BODY_BYTES
    assert len(header(INFO)) == entry.HEADER_BYTES
    entry.parse_header(header(INFO))


@given(st.binary(max_size=box.CONTENT_BYTES))
def test_what_is_sealed_is_what_opens(content: bytes) -> None:
    body = sealed(content)
    assert open_body(SECRET, Purpose.REPORT, INFO, **PLACE, body=body) == content


@pytest.mark.parametrize("size", [box.CONTENT_BYTES + 1, 70_000])
def test_content_that_does_not_fit_is_refused(size: int) -> None:
    with pytest.raises(BadSeal, match="510"):
        sealed(bytes(size))


@pytest.mark.parametrize("purpose", [purpose for purpose in Purpose if purpose is not Purpose.REPORT])
def test_another_purpose_does_not_open(purpose: Purpose) -> None:
    with pytest.raises(WrongTag):
        open_body(SECRET, purpose, INFO, **PLACE, body=sealed())


@pytest.mark.parametrize(
    "info", [replace(INFO, key_class=4), replace(INFO, epoch=3), replace(INFO, period=8)], ids=str
)
def test_another_class_epoch_or_period_does_not_open(info: SealInfo) -> None:
    with pytest.raises(WrongTag):
        open_body(SECRET, Purpose.REPORT, info, **PLACE, body=sealed())


def test_another_value_or_pepper_or_writer_does_not_open() -> None:
    for secret in (period_secret(PEPPER, b"\x01" * 64), period_secret(ratchet(PEPPER, 1), bytes(64))):
        with pytest.raises(WrongTag):
            open_body(secret, Purpose.REPORT, INFO, **PLACE, body=sealed())
    with pytest.raises(WrongTag):
        open_body(SECRET, Purpose.REPORT, INFO, **{**PLACE, "writer": WRITERS[1]}, body=sealed())


def test_another_header_or_federation_does_not_open() -> None:
    for change in ({"federation": "example.tesu"}, {"header": header(SealInfo(3, 2, 8))}):
        with pytest.raises(TamperedBox):
            open_body(SECRET, Purpose.REPORT, INFO, **{**PLACE, **change}, body=sealed())


def test_a_box_under_another_writers_tag_does_not_open() -> None:
    theirs = tags(SECRET, Purpose.REPORT, INFO, WRITERS[1])
    with pytest.raises(TamperedBox):
        open_body(
            SECRET,
            Purpose.REPORT,
            INFO,
            **{**PLACE, "writer": WRITERS[1]},
            body=theirs + sealed()[box.TAG_BYTES :],
        )


@given(st.integers(0, box.BODY_BYTES * 8 - 1))
def test_any_changed_bit_is_noticed(bit: int) -> None:
    body = bytearray(sealed())
    body[bit // 8] ^= 1 << bit % 8
    with pytest.raises(WrongTag if bit < box.TAG_BYTES * 8 else TamperedBox):
        open_body(SECRET, Purpose.REPORT, INFO, **PLACE, body=bytes(body))


@given(st.binary(max_size=600))
def test_hostile_bodies_raise_bad_box(body: bytes) -> None:
    with pytest.raises(BadBox):
        open_body(SECRET, Purpose.REPORT, INFO, **PLACE, body=body)


@pytest.mark.parametrize(
    "padded", [b"\x01\xff" + bytes(510), b"\x00\x01ab" + bytes(508), b"\xff\xff" + bytes(510)], ids=repr
)
def test_an_authentic_box_with_foreign_padding_is_refused(padded: bytes) -> None:
    tag = tags(SECRET, Purpose.REPORT, INFO, WRITERS[0])
    key = pepper.expand(SECRET, b"tocsin/1 box" + b"\x00\x06report" + INFO.encode() + WRITERS[0])
    bound = b"\x00\x0c" + FEDERATION.encode() + WRITERS[0] + header(INFO) + tag
    nonce = bytes(24)
    body = tag + nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(padded, bound, nonce, key)
    with pytest.raises(BadPadding):
        open_body(SECRET, Purpose.REPORT, INFO, **PLACE, body=body)


def test_two_boxes_of_one_content_share_the_tag_alone() -> None:
    first, second = sealed(), sealed()
    assert first[:16] == second[:16]
    assert first[16:40] != second[16:40]
    assert first[40:] != second[40:]


@given(st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=10))
def test_tags_in_one_call_are_those_of_each_writer(writers: list[bytes]) -> None:
    together = tags(SECRET, Purpose.REPORT, INFO, b"".join(writers))
    assert together == b"".join(tags(SECRET, Purpose.REPORT, INFO, writer) for writer in writers)
    assert together == Tagger(Purpose.REPORT, INFO, b"".join(writers)).tags(SECRET)


@pytest.mark.parametrize(
    "wrong",
    [{"writer": bytes(15)}, {"header": bytes(47)}, {"federation": ""}, {"federation": "x" * 65}],
    ids=str,
)
def test_wrong_arguments_name_their_field(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadSeal):
        open_body(SECRET, Purpose.REPORT, INFO, **{**PLACE, **wrong}, body=bytes(568))


def test_infos_and_writers_out_of_range_are_refused() -> None:
    for numbers in ((-1, 0, 0), (2**16, 0, 0), (0, 2**32, 0), (0, 0, -1)):
        with pytest.raises(BadSeal):
            SealInfo(*numbers)
    for writers in (b"", bytes(17)):
        with pytest.raises(BadSeal):
            tags(SECRET, Purpose.REPORT, INFO, writers)


def test_secrets_are_masked() -> None:
    for secret in (PEPPER, SECRET, ratchet(PEPPER, 1)):
        for shown in (repr(secret), str(secret), f"{secret}", repr([secret]), f"{secret!r}"):
            assert secret.hex()[:8] not in shown
            assert "\\x" not in shown
    assert isinstance(pickle.loads(pickle.dumps(SECRET)), PeriodSecret)


def test_peppers_ratchet_forward_only() -> None:
    assert ratchet(PEPPER, 5) == ratchet(ratchet(PEPPER, 2), 3) != PEPPER
    with pytest.raises(BadPepper):
        ratchet(PEPPER, -1)
    for length in (0, 31, 33):
        with pytest.raises(BadPepper):
            Pepper(bytes(length))


def test_a_pepper_is_checked_against_its_commitment() -> None:
    verify_pepper(PEPPER, pepper_commitment(PEPPER))
    with pytest.raises(WrongPepper):
        verify_pepper(ratchet(PEPPER, 1), pepper_commitment(PEPPER))
    assert pepper.PERIOD_SECONDS == 30 * 24 * 3600
