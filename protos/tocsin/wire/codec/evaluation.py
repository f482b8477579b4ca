"""EvaluationService: batches, partials and budgets. The rules are those of `tocsin.wire.codec`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tocsin.oprf.dleq import InvalidProof, decode_proof
from tocsin.oprf.threshold import MAX_COMMITTEE, PartialEvaluation
from tocsin.primitives.ed25519 import SIGNATURE_BYTES
from tocsin.v1 import evaluation_pb2 as pb
from tocsin.wire.codec import fields
from tocsin.wire.errors import Malformed
from tocsin.wire.limits import MAX_BUDGETS, MAX_COMPLAINTS, MAX_LOGS
from tocsin.wire.values import BudgetLeft, Budgets, EvaluationRequest, PartialRequest, SignedPartial


def parse_evaluate(message: pb.EvaluateRequest) -> EvaluationRequest:
    """Parse a client's batch. Raises `Malformed`."""
    key_class = fields.parse_class(message.key_class, "key_class")
    committee_hash = fields.parse_committee_hash(message.committee_hash)
    fields.at_most(message.complaints, MAX_COMPLAINTS, "complaints")
    return EvaluationRequest(
        key_class,
        message.key_epoch,
        committee_hash,
        fields.parse_elements(message.blinded_elements, "blinded_elements"),
        [
            parse_signed_partial(complaint, f"complaints[{index}]")
            for index, complaint in enumerate(message.complaints)
        ],
    )


def build_evaluate(request: EvaluationRequest) -> pb.EvaluateRequest:
    """Build a client's batch."""
    return pb.EvaluateRequest(
        key_class=request.key_class,
        key_epoch=request.epoch,
        committee_hash=request.committee_hash,
        blinded_elements=request.blinded,
        complaints=map(build_signed_partial, request.complaints),
    )


def parse_partials(message: pb.EvaluateResponse) -> list[SignedPartial]:
    """Parse the partials of one quorum as relayed. Raises `Malformed`."""
    return [
        parse_signed_partial(partial, f"partials[{index}]")
        for index, partial in enumerate(fields.at_most(message.partials, MAX_COMMITTEE, "partials"))
    ]


def build_partials(partials: Iterable[SignedPartial]) -> pb.EvaluateResponse:
    """Build the answer of a relay."""
    return pb.EvaluateResponse(partials=map(build_signed_partial, partials))


def parse_partial_request(message: pb.EvaluatePartialRequest) -> PartialRequest:
    """Parse what one seat is asked. Raises `Malformed`."""
    quorum = fields.parse_quorum(message.quorum, "quorum")
    return PartialRequest(
        key_class=fields.parse_class(message.key_class, "key_class"),
        epoch=message.key_epoch,
        committee_hash=fields.parse_committee_hash(message.committee_hash),
        quorum=quorum,
        seat=fields.parse_seat(message.seat, quorum, "seat"),
        blinded=fields.parse_elements(message.blinded_elements, "blinded_elements"),
    )


def build_partial_request(request: PartialRequest) -> pb.EvaluatePartialRequest:
    """Build what one seat is asked."""
    return pb.EvaluatePartialRequest(
        key_class=request.key_class,
        key_epoch=request.epoch,
        committee_hash=request.committee_hash,
        quorum=request.quorum,
        seat=request.seat,
        blinded_elements=request.blinded,
    )


def parse_signed_partial(message: pb.SignedPartial, field: str) -> SignedPartial:
    """Parse one evaluator's part; its signature and proof are the receiver's to verify. Raises `Malformed`."""
    quorum = fields.parse_quorum(message.quorum, f"{field}.quorum")
    seat = fields.parse_seat(message.seat, quorum, f"{field}.seat")
    evaluator = fields.parse_member(message.evaluator, f"{field}.evaluator")
    signature = fields.parse_bytes(message.signature, SIGNATURE_BYTES, f"{field}.signature")
    try:
        proof = decode_proof(message.proof)
    except InvalidProof as error:
        raise Malformed(f"{field}.proof: {error}", f"{field}.proof") from None
    evaluated = fields.parse_elements(message.evaluated_elements, f"{field}.evaluated_elements")
    return SignedPartial(
        seat=seat,
        evaluator=evaluator,
        quorum=quorum,
        partial=PartialEvaluation(tuple(evaluated), proof),
        budget_left=message.budget_left,
        time=message.time,
        signature=signature,
    )


def build_signed_partial(signed: SignedPartial) -> pb.SignedPartial:
    """Build one evaluator's part."""
    return pb.SignedPartial(
        seat=signed.seat,
        evaluator=signed.evaluator,
        quorum=signed.quorum,
        evaluated_elements=signed.partial.evaluated,
        proof=signed.partial.proof,
        budget_left=signed.budget_left,
        time=signed.time,
        signature=signed.signature,
    )


def parse_budgets(message: pb.GetBudgetResponse) -> list[BudgetLeft]:
    """Parse what one evaluator says is left. Raises `Malformed`."""
    return _budgets(message.budgets)


def build_budgets(budgets: Iterable[BudgetLeft]) -> pb.GetBudgetResponse:
    """Build what one evaluator says is left."""
    return pb.GetBudgetResponse(budgets=map(_build_budget, budgets))


def parse_all_budgets(message: pb.ListBudgetsResponse) -> Budgets:
    """Parse what every evaluator says is left. Raises `Malformed`."""
    unreachable = fields.at_most(message.unreachable, MAX_LOGS, "unreachable")
    return Budgets(
        tuple(_budgets(message.budgets)),
        tuple(
            fields.parse_member(evaluator, f"unreachable[{index}]")
            for index, evaluator in enumerate(unreachable)
        ),
    )


def build_all_budgets(budgets: Budgets) -> pb.ListBudgetsResponse:
    """Build what every evaluator says is left."""
    return pb.ListBudgetsResponse(
        budgets=map(_build_budget, budgets.budgets), unreachable=budgets.unreachable
    )


def _budgets(messages: Sequence[pb.Budget]) -> list[BudgetLeft]:
    return [
        BudgetLeft(
            key_class=fields.parse_class(budget.key_class, f"budgets[{index}].key_class"),
            epoch=budget.key_epoch,
            seat=budget.seat,
            evaluator=fields.parse_member(budget.evaluator, f"budgets[{index}].evaluator"),
            limit=budget.limit,
            left=budget.left,
        )
        for index, budget in enumerate(fields.at_most(messages, MAX_BUDGETS, "budgets"))
    ]


def _build_budget(budget: BudgetLeft) -> pb.Budget:
    return pb.Budget(
        key_class=budget.key_class,
        key_epoch=budget.epoch,
        seat=budget.seat,
        evaluator=budget.evaluator,
        limit=budget.limit,
        left=budget.left,
    )
