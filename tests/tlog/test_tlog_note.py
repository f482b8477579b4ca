import base64
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.primitives.ed25519 import BadKey, BadSignature, SigningKey, verify_signature
from tocsin.tlog.note import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    BadNote,
    BadNoteSignature,
    Note,
    Signature,
    SignatureType,
    Signer,
    UnknownSignature,
    Verifier,
    WrongSigningKey,
    format_verifier_key,
    parse_note,
    parse_verifier_key,
    sign_note,
    verify_note,
)

# The example of the signed-note specification, and the one of golang.org/x/mod/sumdb/note.
SPECIFICATION = (
    "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZ"
    "XsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n",
)
GO = (
    "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZ"
    "SNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n",
)
GO_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]


def signer(name="a.example", seed=bytes(32), kind=SignatureType.ED25519):
    key = SigningKey(seed)
    return Signer(Verifier(name, kind, key.public_key), key.sign)


@pytest.mark.parametrize(("vkey", "note"), [SPECIFICATION, GO], ids=["c2sp", "go"])
def test_published_notes_verify(vkey, note):
    verifier = parse_verifier_key(vkey)
    parsed = parse_note(note.encode())
    verify_note(parsed, verifier)
    assert parsed.encode() == note.encode()
    assert format_verifier_key(verifier) == vkey


def test_signing_gives_the_published_bytes():
    text, _, _ = GO[1].rpartition("\n\n")
    assert sign_note(f"{text}\n", [signer("PeterNeumann", GO_SEED)]).encode() == GO[1].encode()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "ends in a newline"),
        (b"text\n", "empty line"),
        (b"text\n\n", "at least one signature"),
        (b"text\n\nno signature\n", "line 1"),
        (b"text\n\n\xe2\x80\x94 name AAAAAAA=", "ends in a newline"),
        (b"text\n\n- name AAAAAAA=\n", "line 1"),
        ("text\n\n—  name AAAAAAA=\n".encode(), "line 1"),
        ("text\n\n— na me AAAAAAA=\n".encode(), "line 1"),
        ("text\n\n— na+me AAAAAAA=\n".encode(), "key name"),
        ("text\n\n—  AAAAAAA=\n".encode(), "key name"),
        ("text\n\n— na\u00a0me AAAAAAA=\n".encode(), "key name"),
        ("text\n\n— na\u2028me AAAAAAA=\n".encode(), "key name"),
        ("text\n\n— name AAAAAA==\n".encode(), "no signature behind"),
        ("text\n\n— name AAAAAAB=\n".encode(), "canonical base64"),
        ("text\n\n— name AAAAAAA\n".encode(), "canonical base64"),
        ("text\n\n— name AAAA_AA=\n".encode(), "canonical base64"),
        ("text\n\n— name AAAAAAA=\n— name\n".encode(), "line 2"),
        ("te\txt\n\n— name AAAAAAA=\n".encode(), "character 2"),
        ("text\r\n\n— name AAAAAAA=\n".encode(), "control"),
        ("te\0xt\n\n— name AAAAAAA=\n".encode(), "control"),
        (b"te\xffxt\n\n\xe2\x80\x94 name AAAAAAA=\n", "byte 2"),
        (b"te\xed\xa0\x80xt\n\n\xe2\x80\x94 name AAAAAAA=\n", "UTF-8"),
        (b"x" * (MAX_NOTE_BYTES + 1), "at most"),
        (("text\n\n" + "— name AAAAAAA=\n" * (MAX_SIGNATURES + 1)).encode(), "at most"),
    ],
)
def test_a_malformed_note_is_refused_with_its_reason(data, why):
    with pytest.raises(BadNote, match=why):
        parse_note(data)


def test_the_last_empty_line_separates():
    text = "one\n\ntwo\n\n— name AAAAAAA=\n\n"
    note = sign_note(text, [signer()])
    assert parse_note(note.encode()) == note
    assert note.text == text


@given(st.binary(max_size=200))
def test_hostile_bytes_are_refused_or_round_trip(data):
    try:
        note = parse_note(data)
    except BadNote:
        return
    assert note.encode() == data


@given(
    st.text(st.characters(exclude_categories=["Cs"], min_codepoint=32)),
    st.lists(st.sampled_from(["a", "b.example/c", "ü"]), min_size=1),
)
def test_notes_round_trip(text, names):
    note = sign_note(f"{text}\n", [signer(name) for name in names])
    assert parse_note(note.encode()) == note
    for name in names:
        verify_note(note, signer(name).verifier)


def test_unknown_signatures_are_ignored_and_a_missing_one_is_named():
    known, stranger = signer("known"), signer("stranger", bytes([1]) * 32)
    both = sign_note("text\n", [stranger, known])
    garbled = Note(both.text, (Signature("stranger", b"abcd", b"?"), *both.signatures))
    verify_note(parse_note(garbled.encode()), known.verifier)
    with pytest.raises(UnknownSignature, match=known.verifier.key_id.hex()):
        verify_note(sign_note("text\n", [stranger]), known.verifier)


def test_the_same_name_with_another_key_is_unknown():
    note = sign_note("text\n", [signer("name", bytes([1]) * 32)])
    with pytest.raises(UnknownSignature):
        verify_note(note, signer("name").verifier)


@pytest.mark.parametrize("blob", [b"", b"x" * 63, b"x" * 64, b"x" * 65])
def test_every_line_of_a_known_key_must_verify(blob):
    good = sign_note("text\n", [signer()])
    bad = Signature(good.signatures[0].name, good.signatures[0].key_id, blob)
    for lines in ((bad,), (*good.signatures, bad), (bad, *good.signatures)):
        with pytest.raises(BadNoteSignature):
            verify_note(Note(good.text, lines), signer().verifier)


def test_a_changed_text_is_refused():
    note = sign_note("text\n", [signer()])
    with pytest.raises(BadNoteSignature):
        verify_note(Note("Text\n", note.signatures), signer().verifier)


def test_a_key_kept_for_cosigning_signs_and_verifies_no_note():
    cosigner = signer(kind=SignatureType.COSIGNATURE_V1)
    with pytest.raises(BadKey, match="COSIGNATURE_V1"):
        sign_note("text\n", [cosigner])
    with pytest.raises(BadKey, match="COSIGNATURE_V1"):
        verify_note(sign_note("text\n", [signer()]), cosigner.verifier)


@pytest.mark.parametrize("text", ["", "no newline", "ta\tb\n", "sur\ud800rogate\n"])
def test_a_text_that_no_note_can_carry_is_not_signed(text):
    with pytest.raises(BadNote):
        sign_note(text, [signer()])


def test_a_note_needs_a_signer_and_a_signer_its_own_key():
    with pytest.raises(BadNote):
        sign_note("text\n", [])
    mixed = Signer(signer().verifier, SigningKey(bytes([1]) * 32).sign)
    with pytest.raises(WrongSigningKey, match=r"a\.example does not belong"):
        sign_note("text\n", [mixed])


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/bar+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+BekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U0=",
        "exa mple+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ],
)
def test_a_malformed_verifier_key_is_refused(vkey):
    with pytest.raises(BadNote):
        parse_verifier_key(vkey)


@given(st.text(max_size=80))
def test_hostile_text_is_refused_or_round_trips(text):
    try:
        verifier = parse_verifier_key(text)
    except BadNote:
        return
    assert format_verifier_key(verifier) == text


def test_key_ids_differ_by_type():
    key = SigningKey(bytes(32)).public_key
    plain, cosigning = (Verifier("name", kind, key) for kind in SignatureType)
    assert plain.key_id != cosigning.key_id
    assert parse_verifier_key(format_verifier_key(cosigning)) == cosigning


def test_keys_are_masked_and_of_one_length():
    key = SigningKey(bytes(range(32)))
    shown = f"{key!r} {key} {Signer(signer().verifier, key.sign)!r}"
    assert bytes(range(32)).hex() not in shown
    assert "SigningKey(…)" in shown
    with pytest.raises(BadKey):
        pickle.dumps(key)
    with pytest.raises(BadKey):
        SigningKey(bytes(31))
    with pytest.raises(BadKey):
        Verifier("name", SignatureType.ED25519, bytes(33))
    with pytest.raises(BadKey):
        verify_signature(bytes(31), b"", bytes(64))


def test_rfc_8032_vector_and_small_order_key():
    key = SigningKey(bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"))
    assert key.public_key.hex() == "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"
    verify_signature(key.public_key, b"\xaf\x82", key.sign(b"\xaf\x82"))
    assert (
        key.sign(b"\xaf\x82")
        .hex()
        .startswith("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac")
    )
    with pytest.raises(BadSignature):
        verify_signature(bytes([1]) + bytes(31), b"anything", bytes([1]) + bytes(63))
