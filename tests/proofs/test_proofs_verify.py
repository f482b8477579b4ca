"""One function says what a file proves, whatever its kind, and whom it accuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.charter.charter_drafts import DAY, NOW, dealt, draft, material, member, signed
from tests.proofs.histories import History
from tocsin.charter.document import Charter
from tocsin.oprf import group, rfc9497, shares, threshold
from tocsin.oprf.threshold import BadContext, PartialEvaluation, parse_context
from tocsin.primitives.ed25519 import SigningKey
from tocsin.proofs.bad_partial import (
    BadPartial,
    SignedEvaluation,
    encode_bad_partial,
    parse_bad_partial,
    verify_bad_partial,
)
from tocsin.proofs.entry import encode_entry_file, encode_tlog_proof
from tocsin.proofs.errors import BadProofFile, NotProven, ProofError
from tocsin.proofs.fork import encode_fork, fork_of
from tocsin.proofs.two_charters import TwoCharters, encode_two_charters, parse_two_charters
from tocsin.proofs.verify import ProofKind, verify_proof
from tocsin.tlog.checkpoint import Checkpoint, log_origin, log_verifier, open_checkpoint, sign_checkpoint
from tocsin.tlog.cosignature import add_cosignature, cosigner_name, cosigner_verifier
from tocsin.tlog.merkle import Frontier, inclusion_proof
from tocsin.tlog.note import Signer

KEYS = {name: SigningKey(material(f"{name} seed")) for name in ("log", "cosigner", "node")}
CULPRIT = replace(member(2), **{name: key.public_key for name, key in KEYS.items()})
CHARTER = draft(members=(member(1), CULPRIT, member(3)))
ONE, OTHER = History(3), History(200)


def note(history: History, size: int) -> bytes:
    """The culprit's checkpoint of a history, cosigned by itself an hour after the charter."""
    origin = log_origin(CHARTER.federation, CULPRIT.id)
    root = Frontier.of(size, history.nodes).root()
    signer = Signer(log_verifier(origin, KEYS["log"].public_key), KEYS["log"].sign)
    cosigner = cosigner_verifier(cosigner_name(CHARTER.federation, CULPRIT.id), KEYS["cosigner"].public_key)
    signed_note = sign_checkpoint(Checkpoint(origin, size, root), signer)
    return add_cosignature(signed_note, Signer(cosigner, KEYS["cosigner"].sign), NOW + 3600)


def fork() -> bytes:
    origin = log_origin(CHARTER.federation, CULPRIT.id)
    first, second = (
        open_checkpoint(note(history, 9), origin, KEYS["log"].public_key) for history in (ONE, OTHER)
    )
    return encode_fork(fork_of(first, second))


def lie(*, honest: bool = False) -> BadPartial:
    """A partial that the culprit signed in seat 2 of (2, 3), its two elements in the wrong order unless honest."""
    key = CHARTER.classes[0]
    context = CHARTER.context(key, 2, member(1).id, (2, 3))
    _, blinded = rfc9497.blind([b"a", b"b"], lambda size: material("blind", size))
    secret = group.hash_to_scalar(b"epoch 1", b"charter tests")
    split = shares.split(secret, 3, 2, lambda length: material("epoch 1 3 2", length))
    assert split.commitments == dealt("epoch 1", 3, 2)
    partial = threshold.evaluate(
        split.shares[1], key.commitments, context, blinded, lambda size: material("proof", size)
    )
    if not honest:
        partial = PartialEvaluation(partial.evaluated[::-1], partial.proof)
    statement = threshold.signed_statement(context, blinded, partial, 7, NOW + 60)
    signature = KEYS["node"].sign(statement)
    return BadPartial(context, tuple(blinded), SignedEvaluation(partial, 7, NOW + 60, signature))


def both() -> TwoCharters:
    """Two charters of version 2; members 1 and 3 signed the first, 2 and 3 the second."""
    second = replace(CHARTER, version=2, issued=NOW + DAY)
    return TwoCharters(signed(second, [1, 3]), signed(replace(second, tick_seconds=61), [2, 3]))


FILES = {
    ProofKind.FORK: fork(),
    ProofKind.BAD_PARTIAL: encode_bad_partial(lie()),
    ProofKind.TWO_CHARTERS: encode_two_charters(both()),
}


def test_an_entry_names_its_publisher_and_accuses_nobody() -> None:
    proof = encode_tlog_proof(3, inclusion_proof(3, 12, ONE.nodes), note(ONE, 12))
    found = verify_proof(proof, [CHARTER], encode_entry_file(ONE.entries[3]))
    assert (found.kind, found.members, found.accuses) == (ProofKind.ENTRY, (CULPRIT,), False)
    assert (found.times, found.details["index"]) == ((NOW + 3600,), 3)
    with pytest.raises(BadProofFile, match="entry file"):
        verify_proof(proof, [CHARTER])
    with pytest.raises(NotProven):
        verify_proof(proof, [CHARTER], encode_entry_file(ONE.entries[4]))


def test_a_fork_names_the_log_that_forked() -> None:
    found = verify_proof(FILES[ProofKind.FORK], [CHARTER])
    assert (found.kind, found.members, found.accuses) == (ProofKind.FORK, (CULPRIT,), True)
    assert found.statement == "Provider 2 signed two histories of its log: two roots for one size"
    assert (found.times, found.details["first_size"]) == ((NOW + 3600,), 9)
    # It was removed since: the proof still holds under the charter that it was a member of.
    left = draft([1, 3], version=2)
    assert verify_proof(FILES[ProofKind.FORK], [CHARTER, left]).members == (CULPRIT,)
    with pytest.raises(NotProven, match="no member"):
        verify_proof(FILES[ProofKind.FORK], [left])


def test_a_bad_partial_names_the_evaluator_that_signed_it() -> None:
    proof = parse_bad_partial(FILES[ProofKind.BAD_PARTIAL])
    assert proof == lie()
    found = verify_proof(FILES[ProofKind.BAD_PARTIAL], [CHARTER])
    assert (found.kind, found.members, found.times) == (ProofKind.BAD_PARTIAL, (CULPRIT,), (NOW + 60,))
    assert found.details["caller"] == member(1).id.hex()


def test_an_honest_or_unsigned_partial_convicts_nobody() -> None:
    with pytest.raises(NotProven, match="the proof holds"):
        verify_bad_partial(lie(honest=True), [CHARTER])
    unsigned = replace(lie(), signed=replace(lie().signed, signature=bytes(64)))
    with pytest.raises(NotProven, match="does not cover"):
        verify_bad_partial(unsigned, [CHARTER])
    for changed in ({"caller": member(3).id}, {"evaluator": member(3).id}, {"epoch": 2}, {"quorum": (1, 2)}):
        with pytest.raises(NotProven):
            verify_bad_partial(replace(lie(), context=replace(lie().context, **changed)), [CHARTER])


def test_two_charters_name_who_signed_both() -> None:
    assert parse_two_charters(FILES[ProofKind.TWO_CHARTERS]) == both()
    found = verify_proof(FILES[ProofKind.TWO_CHARTERS], [CHARTER])
    assert (found.kind, found.members, found.times) == (
        ProofKind.TWO_CHARTERS,
        (member(3),),
        (NOW + DAY,),
    )
    assert found.statement == "Provider 3 signed two charters of version 2"


def test_two_charters_are_judged_by_trusted_identity_keys_alone() -> None:
    proof = both()
    forged = replace(proof.second, signatures=((member(1).id, bytes(64)),))
    for first, second in ((proof.first, proof.first), (proof.first, forged)):
        with pytest.raises(NotProven):
            verify_proof(encode_two_charters(TwoCharters(first, second)), [CHARTER])
    with pytest.raises(NotProven):
        verify_proof(FILES[ProofKind.TWO_CHARTERS], [replace(CHARTER, version=7)])
    foreign = replace(CHARTER, federation="other.test")
    with pytest.raises(NotProven, match=r"federation example\.test"):
        verify_proof(FILES[ProofKind.TWO_CHARTERS], [foreign])


def other_charters() -> list[Charter]:
    return [draft(members=(member(1), member(2), member(3)), classes=())]


@pytest.mark.parametrize("kind", [ProofKind.FORK, ProofKind.BAD_PARTIAL])
def test_keys_come_from_the_charter_and_from_nowhere_else(kind: ProofKind) -> None:
    with pytest.raises(NotProven):
        verify_proof(FILES[kind], other_charters())


@given(st.sampled_from(sorted(FILES)), st.integers(0), st.integers(0, 7))
def test_no_damaged_file_convicts_another_member(kind: ProofKind, at: int, bit: int) -> None:
    raw = bytearray(FILES[kind])
    raw[at % len(raw)] ^= 1 << bit
    try:
        found = verify_proof(bytes(raw), [CHARTER])
    except ProofError:
        return
    # What may change without harm: a cosignature of a fork's note, another member's signature of a charter.
    assert kind is not ProofKind.BAD_PARTIAL
    assert found.members == (member(3) if kind is ProofKind.TWO_CHARTERS else CULPRIT,)


@given(st.sampled_from(sorted(FILES)), st.integers(0))
def test_a_file_that_is_cut_or_longer_is_no_proof(kind: ProofKind, end: int) -> None:
    for raw in (FILES[kind][: end % len(FILES[kind])], FILES[kind] + b"x"):
        with pytest.raises(BadProofFile):
            verify_proof(raw, [CHARTER])


@given(st.binary(max_size=64))
def test_hostile_bytes_are_of_no_kind(data: bytes) -> None:
    for head in (b"", b"tocsin/1 bad partial\n", b"tocsin/1 two charters\n"):
        with pytest.raises(BadProofFile):
            verify_proof(head + data, [CHARTER])


def test_a_context_is_read_back_and_nothing_else() -> None:
    context = lie().context
    assert parse_context(context.encode()) == context
    for raw in (b"", context.encode()[:-1], context.encode() + b"\x05", b"x" + context.encode()[1:]):
        with pytest.raises(BadContext):
            parse_context(raw)
