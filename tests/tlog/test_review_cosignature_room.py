"""Whoever adds to a note gives back a note: one that its cosigners made too large could be read by nobody."""

from __future__ import annotations

import pytest

from tocsin.primitives.ed25519 import SigningKey
from tocsin.tlog.checkpoint import Checkpoint, log_origin, log_verifier, sign_checkpoint
from tocsin.tlog.cosignature import add_cosignature, cosigner_name, cosigner_verifier, merge_cosignatures
from tocsin.tlog.merkle import EMPTY_ROOT
from tocsin.tlog.note import MAX_NOTE_BYTES, BadNote, Signer, parse_note

ORIGIN = log_origin("example.test", bytes(16))
LOG = SigningKey(bytes(32))


def cosigner(number: int) -> Signer:
    key = SigningKey(bytes([number]) * 32)
    name = cosigner_name("example.test", bytes([number]) * 16)
    return Signer(cosigner_verifier(name, key.public_key), key.sign)


def note(room: int) -> bytes:
    """Return a log's note that leaves so many bytes below the limit, filled by an extension line."""
    signer = Signer(log_verifier(ORIGIN, LOG.public_key), LOG.sign)
    empty = len(sign_checkpoint(Checkpoint(ORIGIN, 0, EMPTY_ROOT, ("x",)), signer))
    filler = "x" * (MAX_NOTE_BYTES - room - empty + 1)
    made = sign_checkpoint(Checkpoint(ORIGIN, 0, EMPTY_ROOT, (filler,)), signer)
    assert len(made) == MAX_NOTE_BYTES - room
    return made


def test_a_cosignature_that_has_no_room_is_refused() -> None:
    full = note(room=100)
    with pytest.raises(BadNote, match="131072"):
        add_cosignature(full, cosigner(1), 1)
    parse_note(add_cosignature(note(room=400), cosigner(1), 1))


def test_a_merge_that_has_no_room_is_refused() -> None:
    text = note(room=300)
    first, second = (add_cosignature(text, cosigner(number), 1) for number in (1, 2))
    with pytest.raises(BadNote, match="131072"):
        merge_cosignatures(first, second, [cosigner(1).verifier, cosigner(2).verifier])
