import hashlib
import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.oprf import dleq, group, rfc9497, shares, threshold
from tocsin.oprf.dleq import BadBatch
from tocsin.oprf.group import BadElement, BatchMismatch, Element, Scalar
from tocsin.oprf.rfc9497 import InputTooLong
from tocsin.oprf.shares import BadQuorum, BadShare, Dealt
from tocsin.oprf.threshold import (
    BadContext,
    Context,
    InvalidPartial,
    MixedContexts,
    PartialEvaluation,
)

VECTORS = Path(__file__).parents[1] / "vectors"
MEMBERS = [bytes([number]) * 16 for number in range(1, 8)]
CALLER = b"c" * 16


def context_of(dealt: Dealt, quorum: Sequence[int], seat: int) -> Context:
    committee = MEMBERS[: len(dealt.shares)]
    return Context(
        federation="example.test",
        key_class=3,
        epoch=9,
        committee_hash=threshold.committee_hash(committee, dealt.commitments),
        seat=seat,
        evaluator=MEMBERS[seat - 1],
        caller=CALLER,
        quorum=tuple(quorum),
    )


def evaluate(dealt: Dealt, context: Context, blinded: Sequence[Element]) -> PartialEvaluation:
    share = dealt.shares[context.seat - 1]
    return threshold.evaluate(share, dealt.commitments, context, blinded, os.urandom)


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int]:
    c = draw(st.integers(1, 7))
    return c, draw(st.integers(1, c))


@settings(max_examples=8, deadline=None)
@given(sizes(), st.lists(st.binary(max_size=40), min_size=1, max_size=3))
def test_every_quorum_gives_the_output_of_the_unshared_key(
    size: tuple[int, int], values: list[bytes]
) -> None:
    c, t = size
    key = group.random_scalar(os.urandom)
    dealt = shares.split(key, c, t, os.urandom)
    inputs = [threshold.oprf_input("test", value) for value in values]
    plain_blindings, plain_blinded = rfc9497.blind(inputs, os.urandom)
    expected = rfc9497.finalize(plain_blindings, rfc9497.evaluate(key, plain_blinded))
    blindings, blinded = rfc9497.blind(inputs, os.urandom)
    for quorum in itertools.combinations(range(1, c + 1), t):
        contexts = [context_of(dealt, quorum, seat) for seat in quorum]
        partials = [evaluate(dealt, context, blinded) for context in contexts]
        threshold.check_contexts(contexts)
        for context, partial in zip(contexts, partials, strict=True):
            threshold.verify(dealt.commitments, context, blinded, partial)
        assert rfc9497.finalize(blindings, threshold.combine(partials)) == expected


@pytest.fixture(scope="module")
def dealt() -> Dealt:
    return shares.split(group.random_scalar(os.urandom), 3, 2, os.urandom)


@pytest.fixture(scope="module")
def blinded() -> list[Element]:
    return rfc9497.blind([b"a", b"b", b"c"], os.urandom)[1]


def test_a_proof_rejects_every_other_context(dealt: Dealt, blinded: list[Element]) -> None:
    context = context_of(dealt, (1, 2), 2)
    partial = evaluate(dealt, context, blinded)
    threshold.verify(dealt.commitments, context, blinded, partial)
    others = [
        replace(context, federation="other.test"),
        replace(context, key_class=4),
        replace(context, epoch=10),
        replace(context, committee_hash=bytes(32)),
        replace(context, seat=1),
        replace(context, evaluator=MEMBERS[0]),
        replace(context, caller=b"d" * 16),
        replace(context, quorum=(2, 3)),
    ]
    assert len({other.encode() for other in others} | {context.encode()}) == len(others) + 1
    for other in others:
        with pytest.raises(InvalidPartial) as caught:
            threshold.verify(dealt.commitments, other, blinded, partial)
        assert (caught.value.seat, caught.value.evaluator) == (other.seat, other.evaluator)
        assert caught.value.rule == "proof"


@settings(max_examples=10, deadline=None)
@given(place=st.integers(0, 2), byte=st.integers(0, 63))
def test_a_proof_rejects_every_other_element(
    dealt: Dealt, blinded: list[Element], place: int, byte: int
) -> None:
    context = context_of(dealt, (1, 2), 1)
    partial = evaluate(dealt, context, blinded)
    stranger = group.base_multiply(group.random_scalar(os.urandom))

    def refused(blinded: list[Element], partial: PartialEvaluation, rule: str = "proof") -> None:
        with pytest.raises(InvalidPartial) as caught:
            threshold.verify(dealt.commitments, context, blinded, partial)
        assert caught.value.rule == rule

    evaluated = list(partial.evaluated)
    refused([*blinded[:place], stranger, *blinded[place + 1 :]], partial)
    refused(blinded, replace(partial, evaluated=(*evaluated[:place], stranger, *evaluated[place + 1 :])))
    refused(blinded[::-1], replace(partial, evaluated=tuple(evaluated[::-1])))
    refused(blinded, replace(partial, evaluated=tuple(evaluated[:2])), "count")
    refused(blinded[:2], partial, "count")
    changed = bytearray(partial.proof)
    changed[byte] ^= 1
    refused(blinded, replace(partial, proof=dleq.Proof(changed)))


def test_a_partial_under_a_key_of_ones_own_is_refused(dealt: Dealt, blinded: list[Element]) -> None:
    own = shares.split(group.random_scalar(os.urandom), 3, 2, os.urandom)
    context = context_of(dealt, (1, 3), 3)
    partial = evaluate(own, context, blinded)
    with pytest.raises(InvalidPartial):
        threshold.verify(dealt.commitments, context, blinded, partial)


def test_the_forged_batch_passes_the_rfc_and_fails_here() -> None:
    forged = json.loads((VECTORS / "batch-forgery.json").read_text())
    raw = (VECTORS / "batch-forgery.bin").read_bytes()
    count = forged["elements"]
    elements = group.decode_elements([raw[at : at + 32] for at in range(0, len(raw), 32)])
    assert len(elements) == 2 * count == 8192
    blinded, wrong = elements[:count], elements[count:]
    key = group.decode_scalar(bytes.fromhex(forged["secret_key"]))
    public, proof = group.base_multiply(key), dleq.decode_proof(bytes.fromhex(forged["proof"]))
    assert public.hex() == forged["public_key"]
    right = group.multiply(key, blinded)
    assert all(first != second for first, second in zip(right, wrong, strict=True))

    dleq.verify_proof(public, blinded, wrong, proof, transcript_ending=b"")

    # With t = 1 the share is the key and λ = 1, so that only the transcript differs from the RFC's.
    alone = shares.split(key, 1, 1, os.urandom)
    with pytest.raises(InvalidPartial):
        threshold.verify(
            alone.commitments, context_of(alone, (1,), 1), blinded, PartialEvaluation(tuple(wrong), proof)
        )


def test_an_honest_batch_under_the_rfcs_own_seed_is_refused(blinded: list[Element]) -> None:
    key = group.random_scalar(os.urandom)
    alone = shares.split(key, 1, 1, os.urandom)
    evaluated = rfc9497.evaluate(key, blinded)
    public = group.base_multiply(key)
    proof = dleq.generate_proof(key, public, blinded, evaluated, os.urandom, transcript_ending=b"")
    with pytest.raises(InvalidPartial):
        threshold.verify(
            alone.commitments, context_of(alone, (1,), 1), blinded, PartialEvaluation(tuple(evaluated), proof)
        )


def test_the_proof_is_against_the_scaled_share_and_ends_with_the_documented_hash(
    dealt: Dealt, blinded: list[Element]
) -> None:
    context = context_of(dealt, (1, 3), 3)
    partial = evaluate(dealt, context, blinded)
    weight = shares.lagrange((1, 3), 3)
    assert list(partial.evaluated) == group.multiply(group.scalar_mul(weight, dealt.shares[2]), blinded)
    scaled = group.multiply(weight, [shares.public_share(dealt.commitments, 3)])[0]
    ending = hashlib.sha512(context.encode() + b"".join(blinded) + b"".join(partial.evaluated)).digest()
    dleq.verify_proof(scaled, blinded, partial.evaluated, partial.proof, transcript_ending=ending)


def test_an_evaluator_refuses_a_quorum_that_is_not_t_seats_and_a_share_of_another_key(
    dealt: Dealt, blinded: list[Element]
) -> None:
    with pytest.raises(BadQuorum):
        evaluate(dealt, context_of(dealt, (1, 2, 3), 1), blinded)
    with pytest.raises(BadQuorum):
        evaluate(dealt, context_of(dealt, (1,), 1), blinded)
    context = context_of(dealt, (1, 2), 1)
    for wrong in (dealt.shares[1], group.random_scalar(os.urandom), group.scalar_of(0)):
        with pytest.raises(BadShare) as caught:
            threshold.evaluate(wrong, dealt.commitments, context, blinded, os.urandom)
        assert caught.value.seat == 1
    with pytest.raises(BadBatch):
        evaluate(dealt, context, [])
    partial = evaluate(dealt, context, blinded)
    with pytest.raises(BadQuorum):
        threshold.verify(dealt.commitments, replace(context, quorum=(1, 2, 3)), blinded, partial)


def test_the_context_encodes_as_documented() -> None:
    context = Context("a.test", 0x0102, 0x03040506, b"h" * 32, 5, b"e" * 16, b"c" * 16, (2, 5, 7))
    assert context.encode() == (
        b"tocsin/1 evaluate\x00\x06a.test\x01\x02\x03\x04\x05\x06"
        + b"h" * 32
        + b"\x05"
        + b"e" * 16
        + b"c" * 16
        + b"\x00\x03\x02\x05\x07"
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("federation", ""),
        ("federation", "ü.test"),
        ("federation", "a" * 65),
        ("key_class", -1),
        ("key_class", 65_536),
        ("epoch", -1),
        ("epoch", 2**32),
        ("committee_hash", b"h" * 31),
        ("evaluator", b"e" * 17),
        ("caller", b""),
    ],
)
def test_a_context_out_of_range_is_refused_and_the_field_named(
    dealt: Dealt, field: str, value: object
) -> None:
    context = context_of(dealt, (1, 2), 1)
    with pytest.raises(BadContext, match=field):
        replace(context, **{field: value})  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("seat", "quorum"),
    [(1, ()), (1, (1, 1)), (1, (2, 1)), (1, (1, 8)), (1, (2, 3)), (4, (1, 2)), (0, (0, 1))],
)
def test_a_context_whose_quorum_is_none_is_refused(dealt: Dealt, seat: int, quorum: tuple[int, ...]) -> None:
    with pytest.raises(BadQuorum):
        replace(context_of(dealt, (1, 2), 1), seat=seat, quorum=quorum)


def test_partials_are_combined_only_from_each_seat_of_one_quorum(dealt: Dealt) -> None:
    first, second = (context_of(dealt, (1, 2), seat) for seat in (1, 2))
    threshold.check_contexts([first, second])
    threshold.check_contexts([second, first])
    third = context_of(dealt, (2, 3), 2)
    for contexts in (
        [],
        [first],
        [first, first],
        [first, second, third],
        [first, third],
        [first, replace(second, epoch=10)],
        [first, replace(second, key_class=4)],
        [first, replace(second, caller=b"d" * 16)],
        [first, replace(second, committee_hash=bytes(32))],
        [first, replace(second, federation="other.test")],
        [first, replace(second, evaluator=first.evaluator)],
    ):
        with pytest.raises(MixedContexts):
            threshold.check_contexts(contexts)


def test_combining_is_addition_and_refuses_what_does_not_fit(dealt: Dealt, blinded: list[Element]) -> None:
    first, second = (evaluate(dealt, context_of(dealt, (1, 2), seat), blinded) for seat in (1, 2))
    assert threshold.combine([first, second]) == group.add(first.evaluated, second.evaluated)
    with pytest.raises(MixedContexts):
        threshold.combine([])
    with pytest.raises(BatchMismatch):
        threshold.combine([first, replace(second, evaluated=second.evaluated[:2])])
    opposite = group.multiply(group.scalar_of(-1), first.evaluated)
    with pytest.raises(BadElement):
        threshold.combine([first, replace(second, evaluated=tuple(opposite))])


def test_a_batch_is_the_same_only_for_the_same_caller_class_epoch_and_order(blinded: list[Element]) -> None:
    identity = threshold.batch_identity(CALLER, 3, 9, blinded)
    assert identity == hashlib.sha512(CALLER + b"\x00\x03\x00\x00\x00\x09" + b"".join(blinded)).digest()
    different = {
        threshold.batch_identity(MEMBERS[0], 3, 9, blinded),
        threshold.batch_identity(CALLER, 4, 9, blinded),
        threshold.batch_identity(CALLER, 3, 10, blinded),
        threshold.batch_identity(CALLER, 3, 9, blinded[::-1]),
        threshold.batch_identity(CALLER, 3, 9, blinded[:2]),
    }
    assert len(different | {identity}) == 6
    with pytest.raises(BadContext):
        threshold.batch_identity(b"short", 3, 9, blinded)
    with pytest.raises(BadContext):
        threshold.batch_identity(CALLER, 3, 2**32, blinded)


def test_the_committee_hash_is_as_documented(dealt: Dealt) -> None:
    expected = hashlib.sha256(
        b"\x03" + b"".join(MEMBERS[:3]) + b"\x02" + b"".join(dealt.commitments)
    ).digest()
    assert threshold.committee_hash(MEMBERS[:3], dealt.commitments) == expected
    for committee, commitments in (
        ([], ()),
        (MEMBERS[:1], dealt.commitments),
        (MEMBERS[:3], ()),
        ([*MEMBERS, b"8" * 16], dealt.commitments),
        ([b"short", *MEMBERS[:2]], dealt.commitments),
    ):
        with pytest.raises(BadContext):
            threshold.committee_hash(committee, commitments)


def test_the_input_is_labelled_and_length_prefixed() -> None:
    assert threshold.oprf_input("net.ja4", b"x") == b"tocsin/1\x00\x07net.ja4\x00\x01x"
    assert threshold.oprf_input("a", b"bc") != threshold.oprf_input("ab", b"c")
    longest = 65_535 - len(b"tocsin/1") - 4 - 1
    assert len(threshold.oprf_input("t", b"v" * longest)) == 65_535
    for length in (longest + 1, 70_000):
        with pytest.raises(InputTooLong) as caught:
            threshold.oprf_input("t", b"v" * length)
        assert "vvv" not in str(caught.value)


def test_the_signed_statement_covers_everything(dealt: Dealt, blinded: list[Element]) -> None:
    context = context_of(dealt, (1, 2), 1)
    partial = evaluate(dealt, context, blinded)
    statement = threshold.signed_statement(context, blinded, partial, 7, 1_750_000_000)
    encoded = context.encode()
    assert statement == (
        b"tocsin/1 partial"
        + len(encoded).to_bytes(2, "big")
        + encoded
        + hashlib.sha512(b"".join(blinded)).digest()
        + hashlib.sha512(b"".join(partial.evaluated)).digest()
        + partial.proof
        + (7).to_bytes(8, "big")
        + (1_750_000_000).to_bytes(8, "big")
    )
    for budget_left, time in ((-1, 0), (2**64, 0), (0, -1), (0, 2**64)):
        with pytest.raises(BadContext):
            threshold.signed_statement(context, blinded, partial, budget_left, time)


def key_from_two_proofs(first: dleq.Proof, second: dleq.Proof) -> Scalar:
    """Return the key of two proofs as if they had one nonce: s1 + c1·k = s2 + c2·k."""
    (c1, s1), (c2, s2) = [(Scalar(proof[:32]), Scalar(proof[32:])) for proof in (first, second)]
    return group.scalar_mul(group.scalar_sub(s2, s1), group.scalar_invert(group.scalar_sub(c1, c2)))


def test_random_bytes_that_repeat_give_no_share_away(dealt: Dealt, blinded: list[Element]) -> None:
    # M-4.27: a snapshot that is started twice draws the same bytes twice.
    def repeated(size: int) -> bytes:
        return bytes([7]) * size

    context = context_of(dealt, (1, 2), 1)
    statements = [(context, blinded), (context, blinded[:2]), (context_of(dealt, (1, 3), 1), blinded)]
    proofs = [
        threshold.evaluate(dealt.shares[0], dealt.commitments, about, elements, repeated).proof
        for about, elements in [*statements, statements[0]]
    ]
    assert len(set(proofs)) == len(statements)
    scaled = group.scalar_mul(shares.lagrange((1, 2), 1), dealt.shares[0])
    assert key_from_two_proofs(proofs[0], proofs[1]) != scaled
    # The nonce as RFC 9497 draws it loses the game.
    public = group.base_multiply(scaled)
    evaluated = group.multiply(scaled, blinded)
    bare = [
        dleq.generate_proof(scaled, public, blinded, evaluated, repeated, transcript_ending=ending)
        for ending in (b"one", b"two")
    ]
    assert key_from_two_proofs(*bare) == scaled
