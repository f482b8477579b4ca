from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proofs.histories import KEY, ONE, ORIGIN, OTHER, SIGNER
from tocsin.primitives.ed25519 import SigningKey
from tocsin.proofs.entry import (
    MAX_EXTRA_BYTES,
    MAX_PROOF_BYTES,
    encode_entry_file,
    encode_tlog_proof,
    parse_entry_file,
    parse_tlog_proof,
    verify_entry,
)
from tocsin.proofs.errors import BadProofFile, NotProven, ProofError
from tocsin.tlog.checkpoint import Checkpoint, log_origin, sign_checkpoint
from tocsin.tlog.entry import Entry, retract_header
from tocsin.tlog.merkle import Frontier, Hash, inclusion_proof


def proof_file(index=3, size=12, extra=None):
    return encode_tlog_proof(index, inclusion_proof(index, size, ONE.nodes), ONE.note(size), extra)


def test_a_proof_file_is_the_specification_format():
    lines = proof_file(extra=b"abc").decode().split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra YWJj", "index 3"]
    assert lines[3:8].count("") == 1
    assert lines[8] == ORIGIN
    assert proof_file().startswith(b"c2sp.org/tlog-proof@v1\nindex 3\n")


@given(st.integers(0, 11), st.data(), st.one_of(st.none(), st.binary(max_size=50)))
def test_evidence_round_trips_and_verifies(index, data, extra):
    size = data.draw(st.integers(index + 1, 12))
    entry = parse_entry_file(encode_entry_file(ONE.entries[index]))
    proof = parse_tlog_proof(proof_file(index, size, extra))
    assert entry == ONE.entries[index]
    assert (proof.index, proof.extra, proof.note) == (index, extra, ONE.note(size))
    head = verify_entry(entry, proof, ORIGIN, KEY.public_key).checkpoint
    assert head.size == size


def test_evidence_of_one_thing_is_no_evidence_of_another():
    entry, proof = ONE.entries[3], parse_tlog_proof(proof_file())
    with pytest.raises(NotProven):
        verify_entry(ONE.entries[4], proof, ORIGIN, KEY.public_key)
    with pytest.raises(NotProven):
        verify_entry(OTHER.entries[3], proof, ORIGIN, KEY.public_key)
    with pytest.raises(NotProven):
        verify_entry(entry, replace(proof, index=4), ORIGIN, KEY.public_key)
    with pytest.raises(NotProven):
        verify_entry(entry, replace(proof, note=OTHER.note(12)), ORIGIN, KEY.public_key)
    with pytest.raises(NotProven):
        verify_entry(entry, proof, ORIGIN, SigningKey(bytes([1]) * 32).public_key)
    with pytest.raises(NotProven):
        verify_entry(entry, proof, log_origin("ring.example", bytes([1]) * 16), KEY.public_key)


def test_a_retract_of_a_later_entry_is_no_evidence():
    late = Entry(retract_header(7))
    frontier, _ = Frontier().append([late.leaf_hash()])
    note = sign_checkpoint(Checkpoint(ORIGIN, 1, frontier.root()), SIGNER)
    proof = parse_tlog_proof(encode_tlog_proof(0, [], note))
    with pytest.raises(NotProven, match="not lower"):
        verify_entry(late, proof, ORIGIN, KEY.public_key)


@given(st.integers(0), st.integers(0, 7))
def test_no_flipped_bit_of_a_proof_file_verifies_another_claim(at, bit):
    raw = bytearray(proof_file())
    raw[at % len(raw)] ^= 1 << bit
    with pytest.raises(ProofError):
        verify_entry(ONE.entries[3], parse_tlog_proof(bytes(raw)), ORIGIN, KEY.public_key)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"c2sp.org/tlog-proof@v1\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 0\n",
        b"c2sp.org/tlog-proof@v1\nindex 0\n\n",
        b"c2sp.org/tlog-proof@v2\nindex 0\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 00\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex -1\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 9223372036854775807\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 0\n!\n\nnote",
        b"c2sp.org/tlog-proof@v1\nextra A\nindex 0\n\nnote",
        b"c2sp.org/tlog-proof@v1\nextra AAAA\nextra AAAA\nindex 0\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 0\nextra AAAA\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex \xb2\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 0\n" + (b"A" * 43 + b"=\n") * 64 + b"\nnote",
        b"x" * (MAX_PROOF_BYTES + 1),
    ],
)
def test_a_malformed_proof_file_is_refused(data):
    with pytest.raises(BadProofFile):
        parse_tlog_proof(data)


def test_an_encoder_makes_no_file_that_its_parser_refuses():
    with pytest.raises(BadProofFile):
        encode_tlog_proof(-1, [], b"note")
    with pytest.raises(BadProofFile):
        encode_tlog_proof(0, [Hash(b"short")], b"note")
    with pytest.raises(BadProofFile):
        encode_tlog_proof(0, [], b"note", bytes(MAX_EXTRA_BYTES + 1))


@given(st.binary(max_size=200))
def test_hostile_bytes_are_no_file(data):
    for parse in (parse_tlog_proof, parse_entry_file):
        with pytest.raises(ProofError):
            parse(data)


@given(st.integers(0), st.integers(0, 7))
def test_a_damaged_entry_file_is_a_named_error_or_no_proof(at, bit):
    raw = bytearray(encode_entry_file(ONE.entries[3]))
    raw[at % len(raw)] ^= 1 << bit
    with pytest.raises(ProofError):
        verify_entry(parse_entry_file(bytes(raw)), parse_tlog_proof(proof_file()), ORIGIN, KEY.public_key)


@pytest.mark.parametrize(
    "data",
    [
        b"tocsin/1 entry",
        b"tocsin/1 entry\n",
        encode_entry_file(ONE.entries[0])[:-1],
        encode_entry_file(ONE.entries[0]) + b"x",
        encode_entry_file(ONE.entries[11]) + b"x",
        encode_entry_file(ONE.entries[0])[: 15 + 48],
    ],
)
def test_a_malformed_entry_file_is_refused(data):
    with pytest.raises(BadProofFile):
        parse_entry_file(data)
