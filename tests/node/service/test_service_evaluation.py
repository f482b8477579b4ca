"""Evaluating and relaying in a federation in one process."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.deterministic import seeded
from tests.fakes.federation import Federation, context_of, evaluate, founded, member_id, sign_charter
from tocsin.node.ports import StoreUnavailable
from tocsin.node.service.errors import (
    CannotStore,
    CharterExpired,
    EvaluationsUsedUp,
    InvalidQuorum,
    NotReady,
    QuorumUnavailable,
    RepeatedTooOften,
    StaleCharter,
    TooManyElements,
    UnknownKeyClass,
    UnknownKeyEpoch,
)
from tocsin.oprf import rfc9497, threshold
from tocsin.oprf.group import Element
from tocsin.oprf.threshold import InvalidPartial, PartialEvaluation
from tocsin.primitives.ed25519 import BadSignature
from tocsin.proofs.bad_partial import SignedEvaluation, verify_evaluator_signature
from tocsin.proofs.verify import ProofKind, verify_proof
from tocsin.wire.values import MemberId, PartialRequest, SignedPartial

INPUTS = [b"value %d" % number for number in range(5)]


@pytest.fixture
def federation() -> Iterator[Federation]:
    with founded(budget=100) as started:
        yield started


def blinded(count: int = 5, seed: str = "blinding") -> list[Element]:
    return rfc9497.blind([b"value %d" % number for number in range(count)], seeded(seed))[1]


def request(
    federation: Federation, seat: int, elements: list[Element], quorum: tuple[int, ...] | None = None
) -> PartialRequest:
    key = federation.charter.classes[0]
    other = 1 if seat != 1 else 2
    return PartialRequest(1, 1, key.committee_hash, quorum or tuple(sorted((seat, other))), seat, elements)


def lie(federation: Federation, member: MemberId, asker: MemberId) -> None:
    """Let a member sign what it computed wrongly, for one asker."""
    node = federation.nodes[member]

    def evaluated(who: MemberId, asked: PartialRequest, signed: SignedPartial) -> SignedPartial:
        if who != member:
            return signed
        swapped = tuple(reversed(signed.partial.evaluated))
        partial = PartialEvaluation(swapped, signed.partial.proof)
        context = context_of(federation, asker, signed)
        statement = threshold.signed_statement(
            context, asked.blinded, partial, signed.budget_left, signed.time
        )
        return replace(signed, partial=partial, signature=node.keys.sign_node(statement))

    federation.nodes[asker].wire.evaluated = evaluated


def test_every_quorum_gives_the_output_of_the_whole_key(federation: Federation) -> None:
    blindings, elements = rfc9497.blind(INPUTS, seeded("whole"))
    whole = rfc9497.finalize(blindings, rfc9497.evaluate(federation.secret, elements))
    quorums = set()
    for out in (1, 2, 3):
        asker = 2 if out == 1 else 1
        federation[asker].wire.down = {member_id(out)}
        outputs, partials = evaluate(federation, federation[asker], INPUTS, f"blind {out}")
        assert outputs == whole
        quorums.add(partials[0].quorum)
    assert quorums == {(1, 2), (1, 3), (2, 3)}


def test_the_own_seat_is_asked_first(federation: Federation) -> None:
    _, partials = evaluate(federation, federation[3], INPUTS)
    assert 3 in partials[0].quorum


def test_a_batch_is_charged_once_however_often_and_wherever_it_is_asked(federation: Federation) -> None:
    node = federation[1]
    for _ in range(2):
        evaluate(federation, node, INPUTS)
    _, partials = evaluate(federation, node, INPUTS)
    assert all(signed.budget_left == 95 for signed in partials)
    node.wire.down = {member_id(2)}
    evaluate(federation, node, INPUTS)
    left = {budget.seat: budget.left for budget in asyncio.run(node.relaying.budgets()).budgets}
    assert left == {1: 95, 3: 95}
    assert asyncio.run(node.relaying.budgets()).unreachable == (member_id(2),)


def test_the_budget_is_exact_under_concurrency_and_each_members_own(federation: Federation) -> None:
    key = federation.charter.classes[0]

    async def rush() -> list[object]:
        # 40 different batches of 5 against 100: exactly 20 fit.
        calls = (
            federation[2].evaluating.evaluate(
                member_id(1), request(federation, 2, blinded(5, f"batch {number}"))
            )
            for number in range(40)
        )
        return await asyncio.gather(*calls, return_exceptions=True)

    answers = asyncio.run(rush())
    refused = [answer for answer in answers if isinstance(answer, EvaluationsUsedUp)]
    served = [answer for answer in answers if isinstance(answer, SignedPartial)]
    assert (len(served), len(refused)) == (20, 20)
    assert sorted(signed.budget_left for signed in served) == list(range(0, 100, 5))
    other = asyncio.run(
        federation[2].evaluating.evaluate(member_id(3), request(federation, 2, blinded(), (2, 3)))
    )
    assert other.budget_left == key.budget - 5
    audit = federation[2].gateway.read_now(lambda snapshot: snapshot.audit(100))
    assert sum(kind == "evaluated" for _, kind, _, _ in audit) == 21


def test_a_used_up_evaluator_is_passed_over_and_then_named(federation: Federation) -> None:
    for number in range(20):
        asyncio.run(
            federation[2].evaluating.evaluate(member_id(1), request(federation, 2, blinded(5, f"{number}")))
        )
    _, partials = evaluate(federation, federation[1], INPUTS, "fresh")
    assert partials[0].quorum == (1, 3)
    for number in range(19):
        asyncio.run(
            federation[3].evaluating.evaluate(member_id(1), request(federation, 3, blinded(5, f"{number}")))
        )
    with pytest.raises(EvaluationsUsedUp, match="seat 2 BUDGET_EXHAUSTED, seat 3 BUDGET_EXHAUSTED"):
        evaluate(federation, federation[1], INPUTS, "one too many")


def test_a_lying_evaluator_is_convicted_by_its_signature_and_routed_around(federation: Federation) -> None:
    node, key = federation[1], federation.charter.classes[0]
    lie(federation, member_id(2), node.id)
    lie_wire = node.wire
    elements = blinded()

    async def scenario() -> list[SignedPartial]:
        first = await node.relaying.evaluate(1, 1, key.committee_hash, elements)
        bad = next(signed for signed in first if signed.evaluator == member_id(2))
        with pytest.raises(InvalidPartial):
            threshold.verify(key.commitments, context_of(federation, node.id, bad), elements, bad.partial)
        return await node.relaying.evaluate(1, 1, key.committee_hash, elements, [bad])

    good = asyncio.run(scenario())
    assert good[0].quorum == (1, 3)
    for signed in good:
        threshold.verify(key.commitments, context_of(federation, node.id, signed), elements, signed.partial)
    lie_wire.asked.clear()
    evaluate(federation, node, INPUTS, "later")
    assert member_id(2) not in {member for member, _ in lie_wire.asked}
    audit = node.gateway.read_now(lambda snapshot: snapshot.audit(100))
    kept = next(proof for _, kind, _, proof in audit if kind == "bad-partial")
    found = verify_proof(kept, [federation.charter])
    assert (found.kind, [member.id for member in found.members]) == (ProofKind.BAD_PARTIAL, [member_id(2)])
    # Nor does a restart forget, however much was recorded since.
    node.gateway.write_now(
        lambda transaction: [transaction.record("evaluated", f"{n}", b"", 1) for n in range(2_000)]
    )
    restarted = federation.open_node(1, node.store)
    evaluate(federation, restarted, INPUTS, "after a restart")
    assert {member for member, _ in restarted.wire.asked} == {member_id(3)}


def test_false_complaints_are_recorded_and_exclude_nobody(federation: Federation) -> None:
    node, key = federation[1], federation.charter.classes[0]
    elements = blinded()

    async def scenario() -> list[SignedPartial]:
        honest = await node.relaying.evaluate(1, 1, key.committee_hash, elements)
        other = next(signed for signed in honest if signed.evaluator != node.id)
        forged = replace(other, partial=PartialEvaluation(other.partial.evaluated[::-1], other.partial.proof))
        elsewhere = replace(other, seat=1)
        return await node.relaying.evaluate(1, 1, key.committee_hash, elements, [other, forged, elsewhere])

    partials = asyncio.run(scenario())
    assert partials[0].quorum == (1, 2)
    details = [
        detail
        for _, kind, detail, _ in node.gateway.read_now(lambda snapshot: snapshot.audit(100))
        if kind == "false-complaint"
    ]
    assert len(details) == 3
    assert any("the proof holds" in detail for detail in details)
    assert any("signature does not cover" in detail for detail in details)


@pytest.mark.parametrize("fault", ["signature", "seat", "quorum", "count"])
def test_what_the_evaluators_signature_does_not_cover_is_not_relayed(
    federation: Federation, fault: str
) -> None:
    node = federation[1]

    def tamper(who: MemberId, asked: PartialRequest, signed: SignedPartial) -> SignedPartial:
        if who != member_id(2):
            return signed
        return {
            "signature": replace(signed, budget_left=signed.budget_left + 1),
            "seat": replace(signed, seat=3),
            "quorum": replace(signed, quorum=(2, 3)),
            "count": replace(
                signed,
                partial=PartialEvaluation(signed.partial.evaluated[:-1], signed.partial.proof),
            ),
        }[fault]

    node.wire.evaluated = tamper
    _, partials = evaluate(federation, node, INPUTS)
    assert partials[0].quorum == (1, 3)


def test_lost_evaluators_change_nothing_until_too_few_are_left(federation: Federation) -> None:
    node = federation[1]
    before, _ = evaluate(federation, node, INPUTS)
    node.wire.down = {member_id(2)}
    after, _ = evaluate(federation, node, INPUTS)
    assert after == before
    node.wire.down = {member_id(2), member_id(3)}
    with pytest.raises(QuorumUnavailable, match="seat 2 UNREACHABLE, seat 3 UNREACHABLE"):
        evaluate(federation, node, INPUTS)


def test_a_silent_evaluator_is_replaced_after_its_deadline_and_avoided_after_that() -> None:
    with founded(members=4, c=4, t=2) as federation:
        node = federation[1]
        node.relaying._seat_deadline_s = 0.05  # the virtual clock does not move while we wait
        silent: list[MemberId] = []
        original = node.wire.evaluate

        async def evaluate_or_hang(member: MemberId, asked: PartialRequest) -> SignedPartial:
            if member == member_id(2):
                silent.append(member)
                await asyncio.Event().wait()
            return await original(member, asked)

        node.wire.evaluate = evaluate_or_hang  # type: ignore[method-assign,assignment] # the fault of this test
        evaluate(federation, node, INPUTS)
        evaluate(federation, node, INPUTS, "second")
        assert silent == [member_id(2)]


def test_a_failing_store_evaluates_nothing(federation: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    node = federation[2]

    def refuse() -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(node.store, "write", refuse)
    with pytest.raises(CannotStore):
        asyncio.run(node.evaluating.evaluate(member_id(1), request(federation, 2, blinded())))
    monkeypatch.undo()
    signed = asyncio.run(node.evaluating.evaluate(member_id(1), request(federation, 2, blinded())))
    assert signed.budget_left == 95


def test_refused_batches_cost_nothing(federation: Federation) -> None:
    node, elements = federation[2], blinded()
    good = request(federation, 2, elements)
    refusals = [
        (TooManyElements, replace(good, blinded=[])),
        (TooManyElements, replace(good, blinded=elements * 820)),
        (UnknownKeyClass, replace(good, key_class=9)),
        (UnknownKeyEpoch, replace(good, epoch=9)),
        (StaleCharter, replace(good, committee_hash=bytes(32))),
        (InvalidQuorum, replace(good, seat=1)),
        *(
            (InvalidQuorum, replace(good, quorum=quorum))
            for quorum in ((2,), (2, 2), (2, 1), (1, 3), (2, 4), (1, 2, 3), ())
        ),
    ]
    for error, asked in refusals:
        with pytest.raises(error):
            asyncio.run(node.evaluating.evaluate(member_id(1), asked))
    budgets = asyncio.run(node.evaluating.budgets(member_id(1)))
    assert [budget.left for budget in budgets] == [100]


def test_repeats_and_malformed_batches_share_a_rate(federation: Federation) -> None:
    asked = request(federation, 2, blinded())
    count = len(asked.blinded)
    node = federation.open_node(2, free_repeats=3 * count)

    async def repeat(times: int) -> None:
        for _ in range(times):
            await node.evaluating.evaluate(member_id(1), asked)

    asyncio.run(repeat(3))
    node.evaluating.malformed(member_id(1), count)
    with pytest.raises(RepeatedTooOften):
        asyncio.run(repeat(1))
    with pytest.raises(RepeatedTooOften):
        node.evaluating.malformed(member_id(1), count)
    node.evaluating.malformed(member_id(3), count)
    # A fresh batch is served all the same, and the rate recovers.
    asyncio.run(node.evaluating.evaluate(member_id(1), request(federation, 2, blinded(5, "fresh"))))
    federation.clock.advance(1)
    asyncio.run(repeat(1))


def test_a_repeat_is_answered_from_what_was_signed(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    multiplied: list[int] = []
    evaluate = threshold.evaluate

    def counting(share: Any, commitments: Any, context: Any, elements: Any, random: Any) -> PartialEvaluation:
        multiplied.append(len(elements))
        return evaluate(share, commitments, context, elements, random)

    monkeypatch.setattr(threshold, "evaluate", counting)
    node = federation.open_node(2)
    asked = request(federation, 2, blinded(5, "asked twice"))
    first = asyncio.run(node.evaluating.evaluate(member_id(1), asked))
    assert asyncio.run(node.evaluating.evaluate(member_id(1), asked)) == first
    # M-4.22: another member's batch of these elements is another batch, and another quorum another answer.
    asyncio.run(node.evaluating.evaluate(member_id(3), asked))
    asyncio.run(node.evaluating.evaluate(member_id(1), replace(asked, quorum=(2, 3))))
    assert multiplied == [5, 5, 5]


def test_repeats_are_limited_by_their_elements(federation: Federation) -> None:
    # M-4.23: one repeat of a large batch costs as much as many of small ones.
    node = federation.open_node(2, free_repeats=40)
    large = request(federation, 2, blinded(30, "large"))
    small = request(federation, 2, blinded(10, "small"))
    for asked in (large, small, large, small):
        asyncio.run(node.evaluating.evaluate(member_id(1), asked))
    for asked in (large, small):
        with pytest.raises(RepeatedTooOften):
            asyncio.run(node.evaluating.evaluate(member_id(1), asked))


def test_an_expired_charter_evaluates_nothing(federation: Federation) -> None:
    federation.clock.turn_to(federation.charter.expires)
    with pytest.raises(CharterExpired):
        evaluate(federation, federation[1], INPUTS)


def test_a_signature_covers_the_budget_left_and_the_time(federation: Federation) -> None:
    _, partials = evaluate(federation, federation[1], INPUTS)
    elements = blinded()
    for signed in partials:
        context = context_of(federation, member_id(1), signed)
        key = federation.charter.member(signed.evaluator).node
        evaluation = SignedEvaluation(signed.partial, signed.budget_left, signed.time, signed.signature)
        verify_evaluator_signature(key, context, elements, evaluation)
        for changed in (replace(evaluation, budget_left=7), replace(evaluation, time=7)):
            with pytest.raises(BadSignature):
                verify_evaluator_signature(key, context, elements, changed)


def test_a_wrong_share_is_found_before_anything_is_charged(federation: Federation) -> None:
    federation.shares = tuple(reversed(federation.shares))
    wrong = federation.open_node(1)
    with pytest.raises(NotReady, match="the share of seat 1 does not match"):
        asyncio.run(wrong.evaluating.evaluate(member_id(3), request(federation, 1, blinded())))
    assert wrong.gateway.read_now(lambda snapshot: snapshot.budget_used(member_id(3))) == {}


def test_a_seat_that_changed_hands_within_its_epoch_has_no_budget_left(federation: Federation) -> None:
    """Seats 1 and 2 change hands; what was asked of their old holders cannot be counted by the new ones."""
    (key,) = federation.charter.classes
    first, second, third = key.committee
    swapped = replace(key, committee=(second, first, third))
    federation.charter = replace(federation.charter, version=2, classes=(swapped,))
    asyncio.run(federation[3].membership.adopt(sign_charter(federation.charter, (1, 2)).encode()))
    asyncio.run(federation[1].membership.adopt(sign_charter(federation.charter, (1, 2)).encode()))
    node = federation[1]
    assert node.membership.budget(swapped, 1) == node.membership.budget(swapped, 2) == 0
    assert node.membership.budget(swapped, 3) == 100
    (left,) = asyncio.run(node.evaluating.budgets(member_id(3)))
    assert (left.seat, left.limit, left.left) == (2, 0, 0)
    asked = PartialRequest(1, 1, swapped.committee_hash, (1, 3), 3, blinded())
    answer = asyncio.run(federation[3].evaluating.evaluate(member_id(1), asked))
    assert answer.budget_left == 95
    # Back with its first holder: what the other one answered meanwhile is not known here either.
    federation.charter = replace(federation.charter, version=3, classes=(key,))
    asyncio.run(node.membership.adopt(sign_charter(federation.charter, (1, 2)).encode()))
    with pytest.raises(EvaluationsUsedUp):
        asyncio.run(node.evaluating.evaluate(member_id(3), request(federation, 1, blinded())))
