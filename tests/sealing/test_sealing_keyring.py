from __future__ import annotations

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt

from tests.sealing.sealing_steps import seeded
from tocsin.sealing import keyring
from tocsin.sealing.keyring import (
    Argon2Cost,
    BadKeyring,
    KeyringError,
    Passphrase,
    Secret,
    UnlockKey,
    WrongPassphrase,
    open_keyring,
    seal_keyring,
)

KEY = UnlockKey(bytes(range(32)))
CHEAP = Argon2Cost(passes=1, memory_kib=8)
PHRASE = Passphrase("correct horse battery staple", CHEAP)
SECRETS = {"log": b"\x01" * 32, "node": b"\x02" * 32, "tls": b"\x03" * 138, "empty": b""}


@given(
    st.dictionaries(
        st.text(st.characters(max_codepoint=127), min_size=1, max_size=64),
        st.binary(max_size=100),
        max_size=6,
    )
)
def test_secrets_come_back_under_a_key_and_a_passphrase(secrets: dict[str, bytes]) -> None:
    for unlock in (KEY, PHRASE):
        assert open_keyring(seal_keyring(secrets, unlock, os.urandom), unlock) == secrets


def test_opened_secrets_are_masked() -> None:
    opened = open_keyring(seal_keyring(SECRETS, KEY, os.urandom), KEY)
    assert all(isinstance(secret, Secret) for secret in opened.values())
    assert "x01" not in repr(opened)
    assert f"{opened['log']}" == "Secret(…)"
    assert "horse" not in repr(PHRASE)
    assert repr(KEY) == str(KEY) == "UnlockKey(…)"


def test_nothing_of_the_secrets_is_in_the_file() -> None:
    sealed = seal_keyring(SECRETS, KEY, os.urandom)
    assert b"log" not in sealed.replace(b"tocsin/1 keyring", b"")
    assert b"\x01" * 4 not in sealed


@pytest.mark.parametrize(
    ("sealed_with", "opened_with"),
    [
        (KEY, UnlockKey(bytes(32))),
        (PHRASE, Passphrase("correct horse battery stapler")),
        (KEY, PHRASE),
        (PHRASE, KEY),
    ],
)
def test_the_wrong_unlock_is_told_from_damage(
    sealed_with: keyring.Unlock, opened_with: keyring.Unlock
) -> None:
    with pytest.raises(WrongPassphrase) as caught:
        open_keyring(seal_keyring(SECRETS, sealed_with, os.urandom), opened_with)
    assert "horse" not in str(caught.value)


@pytest.mark.parametrize("unlock", [KEY, PHRASE])
def test_every_changed_byte_and_every_cut_is_damage(unlock: keyring.Unlock) -> None:
    sealed = seal_keyring({"a": b"secret"}, unlock, os.urandom)
    for at in range(len(sealed)):
        with pytest.raises(BadKeyring):
            open_keyring(sealed[:at] + bytes([sealed[at] ^ 0x40]) + sealed[at + 1 :], unlock)
        with pytest.raises(BadKeyring):
            open_keyring(sealed[:at], unlock)


@given(st.binary(max_size=200))
def test_hostile_bytes_raise_keyring_errors(tail: bytes) -> None:
    file = b"tocsin/1 keyring" + tail
    for data in (tail, file, file + hashlib.sha256(file).digest()):
        for unlock in (KEY, PHRASE):
            with pytest.raises(KeyringError):
                open_keyring(data, unlock)


@pytest.mark.parametrize(("passes", "memory"), [(1, 2**32 - 1), (2**32 - 1, 8), (0, 8), (1, 7), (17, 8)])
def test_a_file_cannot_ask_for_much_memory_or_time(
    passes: int, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tocsin.sealing.keyring.argon2id.kdf", lambda *_, **__: pytest.fail("Argon2id was started")
    )
    file = b"tocsin/1 keyring\x02" + passes.to_bytes(4, "big") + memory.to_bytes(4, "big") + bytes(80)
    with pytest.raises(BadKeyring, match="Argon2id"):
        open_keyring(file + hashlib.sha256(file).digest(), PHRASE)


def test_a_rehashed_change_still_does_not_open() -> None:
    file = bytearray(seal_keyring(SECRETS, KEY, os.urandom)[:-32])
    file[-1] ^= 1
    with pytest.raises(WrongPassphrase):
        open_keyring(bytes(file) + hashlib.sha256(file).digest(), KEY)


def test_a_passphrase_is_the_same_however_it_was_typed() -> None:
    sealed = seal_keyring(SECRETS, Passphrase("Caf\u00e9", CHEAP), os.urandom)
    assert open_keyring(sealed, Passphrase("Cafe\u0301")) == SECRETS


def test_what_cannot_be_sealed_is_refused() -> None:
    for secrets in ({"": b""}, {"é": b""}, {"n" * 65: b""}, {"big": bytes(65_536)}):
        with pytest.raises(BadKeyring):
            seal_keyring(secrets, KEY, os.urandom)
    with pytest.raises(BadKeyring):
        seal_keyring({f"s{number}": bytes(65_535) for number in range(17)}, KEY, os.urandom)
    for text in ("", "x" * 1025, "\ud800"):
        with pytest.raises(BadKeyring):
            Passphrase(text)
    with pytest.raises(BadKeyring):
        UnlockKey(bytes(31))


def test_a_keyring_is_what_the_rules_say() -> None:
    sealed = seal_keyring({"b": b"2", "a": b"1"}, KEY, seeded("keyring"))
    again = seal_keyring({"a": b"1", "b": b"2"}, KEY, seeded("keyring"))
    assert sealed == again
    assert sealed[:17] == b"tocsin/1 keyring\x01"
    assert len(sealed) == 17 + 24 + (2 + 2 * (2 + 1 + 2 + 1) + 16) + 32


@pytest.mark.parametrize(
    "contents",
    [b"", b"\x00\x01", b"\x00\x00x", b"\x00\x01\x00\x01a\x00\x05b", b"\x00\x01\x00\x01\xff\x00\x00"]
    + [b"\x00\x02" + name + b"\x00\x00\x00\x01a\x00\x00" for name in (b"\x00\x01b", b"\x00\x01a")],
    ids=["empty", "count", "trailing", "short", "not ASCII", "descending", "repeated"],
)
def test_authentic_but_malformed_contents_are_refused(contents: bytes) -> None:
    header, nonce = b"tocsin/1 keyring\x01", bytes(24)
    file = header + nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(contents, header, nonce, bytes(KEY))
    with pytest.raises(BadKeyring):
        open_keyring(file + hashlib.sha256(file).digest(), KEY)
