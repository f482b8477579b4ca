from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.tlog.checkpoint import (
    BadCheckpoint,
    Checkpoint,
    log_origin,
    log_verifier,
    open_checkpoint,
    sign_checkpoint,
)
from tocsin.tlog.ed25519 import SigningKey
from tocsin.tlog.entry import BadBody, BadHeader, Entry, SealedBody, retract_header, sealed_header
from tocsin.tlog.errors import TlogError
from tocsin.tlog.evidence import (
    MAX_EXTRA_BYTES,
    MAX_PROOF_BYTES,
    BadEntryFile,
    BadProofFile,
    encode_entry,
    encode_tlog_proof,
    parse_entry_file,
    parse_tlog_proof,
    verify_entry,
)
from tocsin.tlog.fork import (
    FORK_MAGIC,
    BadForkFile,
    Inconsistency,
    NotProven,
    PlacedLeaf,
    SameLeafFork,
    SameSizeFork,
    encode_fork,
    fork_of,
    parse_fork,
    verify_fork,
    verify_inconsistency,
)
from tocsin.tlog.merkle import (
    BadInclusion,
    Frontier,
    Hash,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
)
from tocsin.tlog.note import Signer, UnknownSignature, sign_note

ORIGIN = log_origin("ring.example", bytes(16))
KEY = SigningKey(bytes(32))
SIGNER = log_verifier(ORIGIN, KEY.public_key)


class History:
    """One telling of a log: entries 0 to n−1, of which each member of a fork has its own."""

    def __init__(self, first_byte, count=11):
        self.entries = [
            Entry(
                sealed_header(1, 1, 1, 2900),
                SealedBody(bytes([first_byte if n == 3 else n]) * 16, bytes(24), bytes(528)),
            )
            for n in range(count)
        ]
        self.entries.append(Entry(retract_header(4)))
        self.hashes = [entry.leaf_hash() for entry in self.entries]
        self.nodes = {(level, at): node for level, at, node in Frontier().append(self.hashes)[1]}

    def note(self, size):
        root = Frontier.of(size, self.nodes).root()
        return sign_checkpoint(Checkpoint(ORIGIN, size, root), Signer(SIGNER, KEY.sign))

    def opened(self, size):
        return open_checkpoint(self.note(size), ORIGIN, KEY.public_key)

    def placed(self, index, size):
        return PlacedLeaf(self.hashes[index], tuple(inclusion_proof(index, size, self.nodes)))


ONE, OTHER = History(3), History(200)


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
    entry = parse_entry_file(encode_entry(ONE.entries[index]))
    proof = parse_tlog_proof(proof_file(index, size, extra))
    assert entry == ONE.entries[index]
    assert (proof.index, proof.extra, proof.note) == (index, extra, ONE.note(size))
    head = verify_entry(entry, proof, ORIGIN, KEY.public_key).checkpoint
    assert head.size == size


def test_evidence_of_one_thing_is_no_evidence_of_another():
    entry, proof = ONE.entries[3], parse_tlog_proof(proof_file())
    with pytest.raises(BadInclusion):
        verify_entry(ONE.entries[4], proof, ORIGIN, KEY.public_key)
    with pytest.raises(BadInclusion):
        verify_entry(OTHER.entries[3], proof, ORIGIN, KEY.public_key)
    with pytest.raises(BadInclusion):
        verify_entry(entry, replace(proof, index=4), ORIGIN, KEY.public_key)
    with pytest.raises(BadInclusion):
        verify_entry(entry, replace(proof, note=OTHER.note(12)), ORIGIN, KEY.public_key)
    with pytest.raises(UnknownSignature):
        verify_entry(entry, proof, ORIGIN, SigningKey(bytes([1]) * 32).public_key)
    with pytest.raises(UnknownSignature):
        verify_entry(entry, proof, log_origin("ring.example", bytes([1]) * 16), KEY.public_key)


def test_a_retract_of_a_later_entry_is_no_evidence():
    late = Entry(retract_header(7))
    frontier, _ = Frontier().append([late.leaf_hash()])
    note = sign_checkpoint(Checkpoint(ORIGIN, 1, frontier.root()), Signer(SIGNER, KEY.sign))
    proof = parse_tlog_proof(encode_tlog_proof(0, [], note))
    with pytest.raises(BadHeader, match="not lower"):
        verify_entry(late, proof, ORIGIN, KEY.public_key)


@given(st.integers(0), st.integers(0, 7))
def test_no_flipped_bit_of_a_proof_file_verifies_another_claim(at, bit):
    raw = bytearray(proof_file())
    raw[at % len(raw)] ^= 1 << bit
    with pytest.raises(TlogError):
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
    for parse in (parse_tlog_proof, parse_entry_file, parse_fork):
        with pytest.raises(TlogError):
            parse(data)


@given(st.integers(0), st.integers(0, 7), st.integers(0))
def test_a_damaged_fork_or_entry_file_is_a_named_error_or_no_proof(at, bit, end):
    same_leaf = SameLeafFork(ONE.note(9), OTHER.note(12), 3, ONE.placed(3, 9), OTHER.placed(3, 12))
    for fork in (same_leaf, fork_of(ONE.opened(9), OTHER.opened(9))):
        raw = bytearray(encode_fork(fork))
        with pytest.raises(BadForkFile):
            parse_fork(bytes(raw[: end % len(raw)]))
        raw[at % len(raw)] ^= 1 << bit
        with pytest.raises(TlogError):
            verify_fork(parse_fork(bytes(raw)), ORIGIN, KEY.public_key)
    raw = bytearray(encode_entry(ONE.entries[3]))
    raw[at % len(raw)] ^= 1 << bit
    with pytest.raises(TlogError):
        verify_entry(parse_entry_file(bytes(raw)), parse_tlog_proof(proof_file()), ORIGIN, KEY.public_key)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"tocsin/1 entry", BadEntryFile),
        (b"tocsin/1 entry\n", BadHeader),
        (encode_entry(ONE.entries[0])[:-1], BadBody),
        (encode_entry(ONE.entries[0]) + b"x", BadBody),
        (encode_entry(ONE.entries[11]) + b"x", BadBody),
        (encode_entry(ONE.entries[0])[: 15 + 48], BadBody),
    ],
)
def test_a_malformed_entry_file_is_refused(data, error):
    with pytest.raises(error):
        parse_entry_file(data)


def test_two_roots_of_one_size_are_a_portable_proof():
    fork = fork_of(ONE.opened(9), OTHER.opened(9))
    kept = parse_fork(encode_fork(fork))
    assert kept == fork
    verify_fork(kept, ORIGIN, KEY.public_key)
    with pytest.raises(UnknownSignature):
        verify_fork(kept, ORIGIN, SigningKey(bytes([1]) * 32).public_key)


def test_an_honest_log_is_never_proven_to_fork():
    for first, second in (
        (ONE.note(9), ONE.note(9)),
        (ONE.note(9), ONE.note(10)),
        (ONE.note(3), OTHER.note(3)),
    ):
        with pytest.raises(NotProven):
            verify_fork(SameSizeFork(first, second), ORIGIN, KEY.public_key)
    with pytest.raises(NotProven):
        fork_of(ONE.opened(9), OTHER.opened(10))
    same = SameLeafFork(ONE.note(9), ONE.note(12), 3, ONE.placed(3, 9), ONE.placed(3, 12))
    with pytest.raises(NotProven):
        verify_fork(same, ORIGIN, KEY.public_key)
    invented = replace(same, second_leaf=PlacedLeaf(leaf_hash(b"invented"), same.second_leaf.proof))
    with pytest.raises(BadInclusion):
        verify_fork(invented, ORIGIN, KEY.public_key)


def test_two_leaves_at_one_index_prove_a_fork_across_sizes():
    fork = SameLeafFork(ONE.note(9), OTHER.note(12), 3, ONE.placed(3, 9), OTHER.placed(3, 12))
    kept = parse_fork(encode_fork(fork))
    assert kept == fork
    verify_fork(kept, ORIGIN, KEY.public_key)


def test_fork_of_two_logs_is_none():
    key = SigningKey(bytes([5]) * 32)
    origin = log_origin("ring.example", bytes([5]) * 16)
    raw = sign_checkpoint(
        Checkpoint(origin, 9, leaf_hash(b"")), Signer(log_verifier(origin, key.public_key), key.sign)
    )
    with pytest.raises(NotProven, match="two logs"):
        fork_of(ONE.opened(9), open_checkpoint(raw, origin, key.public_key))


def test_an_inconsistency_is_kept_but_only_if_the_proof_fails():
    proof = tuple(consistency_proof(9, 12, ONE.nodes))
    seen = Inconsistency(OTHER.note(9), ONE.note(12), proof)
    assert parse_fork(encode_fork(seen)) == seen
    verify_inconsistency(seen, ORIGIN, KEY.public_key)
    honest = replace(seen, first=ONE.note(9))
    nine, twelve = ONE.opened(9).checkpoint, ONE.opened(12).checkpoint
    verify_consistency(9, 12, nine.root, twelve.root, proof)
    with pytest.raises(NotProven):
        verify_inconsistency(honest, ORIGIN, KEY.public_key)


@pytest.mark.parametrize(
    "data",
    [
        FORK_MAGIC,
        FORK_MAGIC + b"\x01" + bytes(7),
        FORK_MAGIC + b"\x01" + bytes(9),
        FORK_MAGIC + b"\x04" + bytes(8),
        FORK_MAGIC + b"\x00" + bytes(8),
        FORK_MAGIC + b"\x01\xff\xff\xff\xff",
        FORK_MAGIC + b"\x02" + bytes(8 + 8 + 32),
        FORK_MAGIC + b"\x03" + bytes(8) + bytes([65]) + bytes(65 * 32),
    ],
)
def test_a_malformed_fork_is_refused(data):
    with pytest.raises(BadForkFile):
        parse_fork(data)


def test_an_empty_note_in_a_fork_is_refused_when_verified():
    with pytest.raises(TlogError):
        verify_fork(parse_fork(FORK_MAGIC + b"\x01" + bytes(8)), ORIGIN, KEY.public_key)
    with pytest.raises(BadForkFile):
        encode_fork(Inconsistency(b"", b"", (leaf_hash(b""),) * 65))


def test_a_signed_note_that_is_no_checkpoint_proves_nothing():

    note = sign_note("hello\n", [Signer(SIGNER, KEY.sign)]).encode()
    with pytest.raises(BadCheckpoint):
        verify_fork(SameSizeFork(note, note), ORIGIN, KEY.public_key)
