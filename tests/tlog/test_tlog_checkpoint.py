import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.primitives.ed25519 import BadKey, SigningKey
from tocsin.tlog.checkpoint import (
    BadCheckpoint,
    Checkpoint,
    log_origin,
    log_verifier,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
)
from tocsin.tlog.cosignature import (
    BadCosignature,
    add_cosignature,
    cosigned_at,
    cosigner_name,
    cosigner_verifier,
    merge_cosignatures,
    verify_cosignature,
)
from tocsin.tlog.errors import TlogError
from tocsin.tlog.merkle import EMPTY_ROOT, MAX_SIZE, Hash, leaf_hash
from tocsin.tlog.note import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    BadNote,
    BadNoteSignature,
    Note,
    Signature,
    Signer,
    UnknownSignature,
    parse_note,
    sign_note,
)

MEMBER = bytes(range(16))
ORIGIN = log_origin("ring.example", MEMBER)
LOG = SigningKey(bytes(32))
PEER = SigningKey(bytes([7]) * 32)
PEER_NAME = cosigner_name("ring.example", bytes(16))
ROOT = leaf_hash(b"x")
SIGNER = Signer(log_verifier(ORIGIN, LOG.public_key), LOG.sign)
COSIGNER = Signer(cosigner_verifier(PEER_NAME, PEER.public_key), PEER.sign)
ONE_LINE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


def signed(**changes):
    return sign_checkpoint(Checkpoint(**{"origin": ORIGIN, "size": 1, "root": ROOT} | changes), SIGNER)


def test_the_specification_example():
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    checkpoint = parse_checkpoint(text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.root.hex().startswith("0ac5186a")
    assert checkpoint.text() == text


def test_origin():
    assert ORIGIN == "tocsin/ring.example/000102030405060708090a0b0c0d0e0f"
    with pytest.raises(BadCheckpoint, match="16 bytes"):
        log_origin("ring.example", bytes(15))
    for name in ("", "two words", "a/b", "a+b", "a\n", "x" * 65, "é"):
        with pytest.raises(BadCheckpoint, match="federation"):
            log_origin(name, MEMBER)


@given(
    ONE_LINE, st.integers(1, MAX_SIZE), st.binary(min_size=32, max_size=32), st.lists(ONE_LINE, max_size=3)
)
def test_checkpoints_round_trip(origin, size, root, extensions):
    checkpoint = Checkpoint(origin, size, Hash(root), tuple(extensions))
    assert parse_checkpoint(checkpoint.text()) == checkpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "origin\n1\n",
        f"origin\n1\n{'A' * 43}=",
        f"\n1\n{'A' * 43}=\n",
        f"origin\n01\n{'A' * 43}=\n",
        f"origin\n-1\n{'A' * 43}=\n",
        f"origin\n+1\n{'A' * 43}=\n",
        f"origin\n1 \n{'A' * 43}=\n",
        f"origin\n١\n{'A' * 43}=\n",
        f"origin\n{2**63}\n{'A' * 43}=\n",
        f"origin\n{'9' * 5000}\n{'A' * 43}=\n",
        f"origin\n1\n{'A' * 43}\n",
        f"origin\n1\n{'A' * 42}B=\n",
        "origin\n1\nAAAA\n",
        f"origin\n0\n{'A' * 43}=\n",
        f"origin\n1\n{'A' * 43}=\n\n",
        f"origin\n1\n{'A' * 43}=\n\nextension\n",
        f"origin\n1\n{'A' * 43}=\nextension",
    ],
)
def test_a_malformed_checkpoint_is_refused(text):
    with pytest.raises(BadCheckpoint):
        parse_checkpoint(text)


@given(st.text(max_size=100))
def test_hostile_text_is_no_checkpoint(text):
    with pytest.raises(BadCheckpoint):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": ""},
        {"origin": "a\nb"},
        {"size": -1},
        {"size": MAX_SIZE + 1},
        {"size": 0},
        {"root": b"short"},
        {"extensions": ("",)},
        {"extensions": ("a\nb",)},
    ],
)
def test_an_impossible_checkpoint_is_not_built(changes):
    with pytest.raises(BadCheckpoint):
        signed(**changes)


def test_open_gives_what_was_signed():
    raw = signed(extensions=("more",))
    opened = open_checkpoint(raw, ORIGIN, LOG.public_key)
    assert opened.checkpoint == Checkpoint(ORIGIN, 1, ROOT, ("more",))
    assert opened.raw == raw == opened.note.encode()
    empty = open_checkpoint(signed(size=0, root=EMPTY_ROOT), ORIGIN, LOG.public_key)
    assert empty.checkpoint.size == 0


def test_open_refuses_another_log_and_another_key():
    other = log_origin("ring.example", bytes(16))
    with pytest.raises(UnknownSignature):
        open_checkpoint(signed(), other, LOG.public_key)
    with pytest.raises(UnknownSignature):
        open_checkpoint(signed(), ORIGIN, PEER.public_key)
    with pytest.raises(BadCheckpoint, match="another log"):
        sign_checkpoint(Checkpoint(other, 1, ROOT), SIGNER)
    confused = sign_note(Checkpoint(other, 1, ROOT).text(), [SIGNER]).encode()
    with pytest.raises(BadCheckpoint, match="another origin"):
        open_checkpoint(confused, ORIGIN, LOG.public_key)


@given(st.integers(0), st.integers(0, 7))
def test_no_flipped_bit_opens(at, bit):
    raw = bytearray(signed())
    raw[at % len(raw)] ^= 1 << bit
    with pytest.raises(TlogError):
        open_checkpoint(bytes(raw), ORIGIN, LOG.public_key)


def test_a_signed_text_that_is_no_checkpoint_is_refused():
    with pytest.raises(BadCheckpoint):
        open_checkpoint(sign_note("hello\n", [SIGNER]).encode(), ORIGIN, LOG.public_key)


def test_cosignature_is_the_specification_message():
    raw = add_cosignature(signed(), COSIGNER, 1679315147)
    line = parse_note(raw).signatures[-1]
    assert line.name == PEER_NAME == f"tocsin/ring.example/{'00' * 16}/cosigner"
    text = Checkpoint(ORIGIN, 1, ROOT).text()
    by_hand = PEER.sign(b"cosignature/v1\ntime 1679315147\n" + text.encode())
    assert line.blob == (1679315147).to_bytes(8, "big") + by_hand
    assert verify_cosignature(raw, PEER_NAME, PEER.public_key) == 1679315147
    open_checkpoint(raw, ORIGIN, LOG.public_key)


def test_cosigning_again_replaces_and_others_stay():
    third = SigningKey(bytes([9]) * 32)
    other = Signer(cosigner_verifier("third", third.public_key), third.sign)
    raw = add_cosignature(add_cosignature(add_cosignature(signed(), COSIGNER, 5), other, 6), COSIGNER, 7)
    note = parse_note(raw)
    assert [line.name for line in note.signatures] == [ORIGIN, "third", PEER_NAME]
    assert verify_cosignature(raw, PEER_NAME, PEER.public_key) == 7
    assert cosigned_at(note, other.verifier) == 6


def test_the_latest_of_several_lines_counts_and_all_must_verify():
    early, late = (parse_note(add_cosignature(signed(), COSIGNER, time)) for time in (5, 9))
    lines = (*early.signatures, late.signatures[-1])
    assert cosigned_at(Note(early.text, lines), COSIGNER.verifier) == 9
    forged = Signature(lines[-1].name, lines[-1].key_id, (10).to_bytes(8, "big") + lines[-1].blob[8:])
    with pytest.raises(BadNoteSignature):
        cosigned_at(Note(early.text, (*lines, forged)), COSIGNER.verifier)


@pytest.mark.parametrize("blob", [b"x", bytes(71), bytes(73), b"\x80" + bytes(71)])
def test_a_malformed_cosignature_is_refused(blob):
    note = parse_note(signed())
    line = Signature(PEER_NAME, COSIGNER.verifier.key_id, blob)
    with pytest.raises(BadCosignature):
        cosigned_at(Note(note.text, (line,)), COSIGNER.verifier)


def test_a_cosignature_holds_for_its_checkpoint_and_time_only():
    raw = add_cosignature(signed(), COSIGNER, 5)
    line = parse_note(raw).signatures[-1]
    grown = parse_note(signed(size=2))
    with pytest.raises(BadNoteSignature):
        cosigned_at(Note(grown.text, (line,)), COSIGNER.verifier)
    with pytest.raises(UnknownSignature):
        verify_cosignature(signed(), PEER_NAME, PEER.public_key)
    with pytest.raises(UnknownSignature):
        verify_cosignature(raw, PEER_NAME, LOG.public_key)


def test_merging_keeps_the_latest_line_of_each_known_cosigner():
    third = SigningKey(bytes([9]) * 32)
    other = Signer(cosigner_verifier("third", third.public_key), third.sign)
    mine = add_cosignature(add_cosignature(signed(), COSIGNER, 5), other, 8)
    theirs = add_cosignature(add_cosignature(signed(), COSIGNER, 7), other, 6)
    known = [COSIGNER.verifier, other.verifier]
    for merged in (merge_cosignatures(mine, theirs, known), merge_cosignatures(theirs, mine, known)):
        note = parse_note(merged)
        assert [cosigned_at(note, cosigner) for cosigner in known] == [7, 8]
        assert len(note.signatures) == 3
        open_checkpoint(merged, ORIGIN, LOG.public_key)


def test_merging_takes_nothing_forged_and_nothing_of_strangers():
    mine, theirs = signed(), parse_note(add_cosignature(signed(), COSIGNER, 7))
    forged = Signature(PEER_NAME, COSIGNER.verifier.key_id, (9).to_bytes(8, "big") + bytes(64))
    short = Signature(PEER_NAME, COSIGNER.verifier.key_id, b"short")
    stranger = Signature("stranger", b"abcd", b"line")
    poisoned = Note(theirs.text, (forged, short, stranger, *theirs.signatures)).encode()
    merged = merge_cosignatures(mine, poisoned, [COSIGNER.verifier])
    assert merged == theirs.encode()
    assert merge_cosignatures(mine, poisoned, []) == mine
    with pytest.raises(BadCosignature, match="one text"):
        merge_cosignatures(mine, signed(size=2), [COSIGNER.verifier])
    with pytest.raises(BadKey):
        merge_cosignatures(mine, mine, [SIGNER.verifier])


@pytest.mark.parametrize("time", [-1, 2**63])
def test_an_impossible_time_is_not_signed(time):
    with pytest.raises(BadCosignature):
        add_cosignature(signed(), COSIGNER, time)


def test_a_log_key_does_not_cosign_and_a_full_note_takes_no_more():
    with pytest.raises(BadKey):
        add_cosignature(signed(), SIGNER, 5)
    note = parse_note(signed())
    full = Note(note.text, note.signatures * MAX_SIGNATURES).encode()
    with pytest.raises(BadNote, match="full"):
        add_cosignature(full, COSIGNER, 5)


def nearly_full(room):
    """The log's note with so many bytes left below the limit, filled by an extension line."""
    empty = len(signed(extensions=("x",)))
    made = signed(extensions=("x" * (MAX_NOTE_BYTES - room - empty + 1),))
    assert len(made) == MAX_NOTE_BYTES - room
    return made


def test_a_cosignature_that_has_no_room_is_refused():
    # Nobody could read the note that came out.
    with pytest.raises(BadNote, match="131072"):
        add_cosignature(nearly_full(room=100), COSIGNER, 1)
    parse_note(add_cosignature(nearly_full(room=400), COSIGNER, 1))


def test_a_merge_that_has_no_room_is_refused():
    text = nearly_full(room=300)
    key = SigningKey(bytes([8]) * 32)
    other = Signer(
        cosigner_verifier(cosigner_name("ring.example", bytes([8]) * 16), key.public_key), key.sign
    )
    first, second = (add_cosignature(text, cosigner, 1) for cosigner in (COSIGNER, other))
    with pytest.raises(BadNote, match="131072"):
        merge_cosignatures(first, second, [COSIGNER.verifier, other.verifier])
