"""A room's content: what is written is read, and nothing else is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt

from tests.sealing.room_steps import ACTIVE, CAMPAIGN, KEY, OTHER, SIGHTING, TODAY, steps
from tocsin.sealing.box import CONTENT_BYTES, Purpose, SealInfo, tags
from tocsin.sealing.label import MAX_LABEL_BYTES, AbuseKind, BadLabel, ContentKind, parse_label
from tocsin.sealing.pepper import Pepper, period_secret
from tocsin.sealing.rooms import (
    PROFILE_BYTES,
    BadRoomEntry,
    CampaignKey,
    RoomEntry,
    RoomStatus,
    decode_profile,
    encode_profile,
    encode_room_entry,
    parse_room_entry,
)

PUBLISHED: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "rooms.json").read_text(encoding="utf-8")
)


@st.composite
def entries(draw: st.DrawFn) -> RoomEntry:
    weeks = sorted(draw(st.tuples(st.integers(0, 65535), st.integers(0, 65535))))
    accounts = draw(st.integers(1, 63))
    names = st.from_regex(r"[a-z0-9]{1,8}([.-][a-z0-9]{1,8})?", fullmatch=True)
    joining = draw(st.dictionaries(names, st.integers(1, 63), max_size=12))
    linked = draw(st.sets(st.binary(min_size=32, max_size=32), max_size=4))
    return RoomEntry(
        kind=draw(st.sampled_from((ContentKind.CAMPAIGN, ContentKind.SIGHTING))),
        abuse=draw(st.sampled_from(AbuseKind)),
        accounts_bucket=accounts,
        exchanges_bucket=draw(st.integers(0, 63)),
        first_week=weeks[0],
        last_week=weeks[1],
        status=draw(st.sampled_from(RoomStatus)),
        confidence=draw(st.integers(0, 100)),
        embargo_day=draw(st.integers(0, TODAY + 30)),
        profile=draw(st.binary(min_size=42, max_size=42)) if accounts > 3 else bytes(42),
        joining=tuple(sorted(joining.items())),
        linked=tuple(CampaignKey(key) for key in sorted(linked)),
    )


@given(entries())
def test_an_entry_reads_as_it_was_written(entry: RoomEntry) -> None:
    encoded = encode_room_entry(entry)
    assert parse_room_entry(encoded, TODAY) == entry
    assert len(encoded) <= MAX_LABEL_BYTES <= CONTENT_BYTES


@given(st.data())
def test_other_bytes_are_refused_or_are_another_entry(data: st.DataObject) -> None:
    raw = bytearray(encode_room_entry(data.draw(st.sampled_from((CAMPAIGN, SIGHTING)))))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    cut = bytes(raw)[: data.draw(st.integers(0, len(raw)))]
    for changed in (bytes(raw), bytes(raw) + b"\0", cut):
        try:
            entry = parse_room_entry(changed, TODAY)
        except BadRoomEntry:
            continue
        assert encode_room_entry(entry) == changed


def test_the_published_bytes() -> None:
    assert steps() == PUBLISHED


@pytest.mark.parametrize("vector", PUBLISHED["vectors"], ids=lambda vector: vector["purpose"])
def test_a_reading_of_the_specification_gives_the_published_bytes(vector: dict[str, Any]) -> None:
    def lp(field: bytes) -> bytes:
        return len(field).to_bytes(2, "big") + field

    def expand(key: bytes, info: bytes) -> bytes:
        return HKDFExpand(SHA256(), 32, info).derive(key)

    key = bytes.fromhex(PUBLISHED["campaign_key"])
    assert expand(key, b"tocsin/1 room")[:8].hex() == PUBLISHED["room"]
    secret = HKDF.extract(SHA256(), bytes.fromhex(PUBLISHED["pepper"]), key)
    assert secret.hex() == PUBLISHED["secret_Z"]
    info = lp(vector["purpose"].encode()) + bytes.fromhex("0009" + "00000001" + "00000009")
    cipher = Cipher(algorithms.AES256(expand(secret, b"tocsin/1 tag" + info)), modes.ECB())
    made = b"".join(cipher.encryptor().update(bytes.fromhex(writer)) for writer in PUBLISHED["writers"])
    assert made.hex() == vector["tags"]
    writer, body = bytes.fromhex(PUBLISHED["writers"][0]), bytes.fromhex(vector["body"])
    bound = lp(PUBLISHED["federation"].encode()) + writer + bytes.fromhex(vector["header"]) + made[:16]
    box = crypto_aead_xchacha20poly1305_ietf_decrypt(
        body[40:], bound, body[16:40], expand(secret, b"tocsin/1 box" + info + writer)
    )
    content = bytes.fromhex(vector["content"])
    assert box == (lp(content) + bytes(512))[:512]


def test_the_layout_by_hand() -> None:
    content = encode_room_entry(CAMPAIGN)
    assert content[:15].hex() == "0103" + "01" + "0f" + "19" + "0b7a" + "0b80" + "01" + "50" + "00005078"
    assert content[15:57] == CAMPAIGN.profile
    assert content[57:] == (
        b"\3"
        + b"\x0cclient.tools\2"
        + b"\x0bpayment.par\x09"
        + b"\x0fprompt.template\4"
        + b"\1"
        + bytes(OTHER)
    )


def test_the_profile_by_hand() -> None:
    busiest = max(ACTIVE)
    levels = [
        0 if not count else 1 if 3 * count <= busiest else 2 if 3 * count <= 2 * busiest else 3
        for count in ACTIVE
    ]
    bits = "".join(f"{level:02b}" for level in levels)
    assert PUBLISHED["profile"] == f"{int(bits, 2):084x}"
    assert list(decode_profile(CAMPAIGN.profile)) == levels


def test_few_accounts_have_no_profile() -> None:
    assert encode_profile(ACTIVE, 9) == bytes(PROFILE_BYTES) != encode_profile(ACTIVE, 10)
    assert encode_profile([0] * 168, 99) == bytes(PROFILE_BYTES)
    with pytest.raises(BadRoomEntry, match="profile"):
        replace(CAMPAIGN, accounts_bucket=3)
    with pytest.raises(BadRoomEntry, match="168 counts"):
        encode_profile([1] * 24, 99)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": ContentKind.REPORT}, "kind"),
        ({"kind": ContentKind.SIGHTING, "accounts_bucket": 0, "profile": bytes(42)}, "accounts_bucket"),
        ({"accounts_bucket": 64}, "accounts_bucket"),
        ({"exchanges_bucket": 64}, "exchanges_bucket"),
        ({"last_week": 2937}, "last_week"),
        ({"confidence": 101}, "confidence"),
        ({"embargo_day": 2**32}, "embargo_day"),
        ({"profile": bytes(41)}, "profile"),
        ({"joining": (("payment.par", 0),)}, "bucket in joining"),
        ({"joining": (("payment.par", 1), ("client.tools", 1))}, "joining"),
        ({"joining": (("payment.par", 1), ("payment.par", 2))}, "joining"),
        ({"joining": (("Payment", 1),)}, "joining"),
        ({"joining": tuple((f"a{number:02}" * 16, 1) for number in range(10))}, "joining"),
        ({"linked": (KEY, KEY)}, "linked"),
        ({"linked": tuple(CampaignKey(bytes([number]) * 32) for number in range(5))}, "linked"),
        ({"linked": tuple(CampaignKey(bytes([number]) * 32) for number in (2, 1))}, "linked"),
    ],
)
def test_what_no_entry_may_say(change: dict[str, Any], field: str) -> None:
    with pytest.raises(BadRoomEntry) as caught:
        replace(CAMPAIGN, **change)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("at", "byte", "field"),
    [
        (0, 2, "version"),
        (1, 1, "kind"),
        (1, 9, "kind"),
        (2, 0, "abuse"),
        (2, 7, "abuse"),
        (9, 0, "status"),
        (9, 5, "status"),
    ],
)
def test_a_number_that_is_not_listed_is_refused(at: int, byte: int, field: str) -> None:
    raw = bytearray(encode_room_entry(CAMPAIGN))
    raw[at] = byte
    with pytest.raises(BadRoomEntry) as caught:
        parse_room_entry(bytes(raw), TODAY)
    assert caught.value.field == field


def test_an_embargo_is_at_most_thirty_days_ahead() -> None:
    for day, refused in ((TODAY + 30, False), (TODAY + 31, True), (0, False), (TODAY - 400, False)):
        encoded = encode_room_entry(replace(CAMPAIGN, embargo_day=day))
        if refused:
            with pytest.raises(BadRoomEntry, match="30 days ahead"):
                parse_room_entry(encoded, TODAY)
        else:
            assert parse_room_entry(encoded, TODAY).embargo_day == day


def test_a_room_entry_is_no_label_and_a_label_no_room_entry() -> None:
    with pytest.raises(BadLabel):
        parse_label(encode_room_entry(CAMPAIGN))


def test_the_two_purposes_have_nothing_in_common() -> None:
    secret, info = period_secret(Pepper(bytes(32)), KEY), SealInfo(9, 1, 9)
    made = {purpose: tags(secret, purpose, info, bytes(16)) for purpose in Purpose}
    assert len(set(made.values())) == len(Purpose)


def test_a_key_is_not_shown() -> None:
    assert repr(KEY) == "CampaignKey(…)"
    assert bytes(OTHER).hex() not in repr(CAMPAIGN)
    assert str(bytes(OTHER)) not in repr(CAMPAIGN)
    with pytest.raises(BadRoomEntry, match="32 bytes"):
        CampaignKey(bytes(31))
