"""Evidence that an evaluator signed a partial evaluation whose proof fails.

1. An evaluator is at fault only if its signature covers exactly these elements and this context, and the proof
   fails. Whoever holds the charter can check both, so the evidence is portable.
2. The evidence is `tocsin/1 bad partial\\n` ‖ lp(context) ‖ u32be count of blinded elements ‖ them ‖ u32be count of
   evaluated elements ‖ them ‖ 64-byte proof ‖ u64be budget left ‖ u64be time ‖ 64-byte signature, with the context
   as SPEC.md §4 encodes it.
3. A signature that does not cover them, or a proof that holds, is a false complaint.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.charter.document import ClassKey
from tocsin.node.model import MemberId, SignedPartial
from tocsin.oprf import threshold
from tocsin.oprf.dleq import Proof
from tocsin.oprf.group import ELEMENT_BYTES, Element
from tocsin.oprf.threshold import Context, InvalidPartial, PartialEvaluation
from tocsin.tlog.ed25519 import BadSignature, verify_signature

MAGIC = b"tocsin/1 bad partial\n"
_PROOF_BYTES = 64
_SIGNATURE_BYTES = 64
_MOST_ELEMENTS = 65_536


class FalseComplaint(ValueError):
    """The partial complained of is no evaluator's fault; the message says why."""


class BadEvidence(ValueError):
    """Bytes that are not evidence of rule 2."""


@dataclass(frozen=True)
class BadPartialEvidence:
    """What rule 2 holds; `context` is encoded."""

    context: bytes
    blinded: tuple[bytes, ...]
    evaluated: tuple[bytes, ...]
    proof: bytes
    budget_left: int
    time: int
    signature: bytes


def verify_signed(
    node_key: bytes, context: Context, blinded: Sequence[Element], signed: SignedPartial
) -> None:
    """Check an evaluator's signature over context, elements, proof, budget left and time; raise `BadSignature`."""
    statement = threshold.signed_statement(context, blinded, signed.partial, signed.budget_left, signed.time)
    verify_signature(node_key, statement, signed.signature)


def judge_complaint(
    node_key: bytes, key: ClassKey, context: Context, blinded: Sequence[Element], signed: SignedPartial
) -> bytes:
    """Return the evidence against the evaluator; raise `FalseComplaint` if there is none (rules 1 and 3)."""
    try:
        verify_signed(node_key, context, blinded, signed)
    except BadSignature as error:
        raise FalseComplaint(
            "the evaluator's signature does not cover these elements and this context"
        ) from error
    try:
        threshold.verify(key.commitments, context, blinded, signed.partial)
    except InvalidPartial:
        return encode_evidence(context, blinded, signed)
    raise FalseComplaint("the proof holds")


def encode_evidence(context: Context, blinded: Sequence[Element], signed: SignedPartial) -> bytes:
    """Write evidence (rule 2)."""
    encoded = context.encode()
    return b"".join(
        (
            MAGIC,
            struct.pack(">H", len(encoded)),
            encoded,
            struct.pack(">I", len(blinded)),
            *blinded,
            struct.pack(">I", len(signed.partial.evaluated)),
            *signed.partial.evaluated,
            signed.partial.proof,
            struct.pack(">QQ", signed.budget_left, signed.time),
            signed.signature,
        )
    )


def parse_evidence(data: bytes) -> BadPartialEvidence:
    """Read evidence without trusting it; raise `BadEvidence`."""
    if not data.startswith(MAGIC):
        raise BadEvidence("evidence begins with the line 'tocsin/1 bad partial'")
    context, at = _take(data, len(MAGIC) + 2, _number(data, len(MAGIC), 2))
    blinded, at = _elements(data, at)
    evaluated, at = _elements(data, at)
    proof, at = _take(data, at, _PROOF_BYTES)
    left, time = _number(data, at, 8), _number(data, at + 8, 8)
    signature, at = _take(data, at + 16, _SIGNATURE_BYTES)
    if at != len(data):
        raise BadEvidence(f"evidence ends at byte {at}, {len(data) - at} bytes follow")
    return BadPartialEvidence(context, blinded, evaluated, proof, left, time, signature)


def verify_evidence(evidence: BadPartialEvidence, node_key: bytes, key: ClassKey, context: Context) -> None:
    """Check evidence against the charter's keys, as a third party does.

    `context` is rebuilt by the caller from what the evidence claims. Raises `BadEvidence` or `FalseComplaint`.
    """
    if evidence.context != context.encode():
        raise BadEvidence("the evidence is of another context")
    partial = PartialEvaluation(tuple(Element(each) for each in evidence.evaluated), Proof(evidence.proof))
    signed = SignedPartial(
        context.seat,
        MemberId(key.committee[context.seat - 1]),
        context.quorum,
        partial,
        evidence.budget_left,
        evidence.time,
        evidence.signature,
    )
    judge_complaint(node_key, key, context, [Element(each) for each in evidence.blinded], signed)


def _take(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    piece = data[at : at + size]
    if len(piece) != size:
        raise BadEvidence(f"evidence ends early: {size} bytes wanted at byte {at}, {len(piece)} left")
    return piece, at + size


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(_take(data, at, size)[0], "big")


def _elements(data: bytes, at: int) -> tuple[tuple[bytes, ...], int]:
    count = _number(data, at, 4)
    if count > _MOST_ELEMENTS:
        raise BadEvidence(f"a batch is at most {_MOST_ELEMENTS} elements, the evidence claims {count}")
    whole, end = _take(data, at + 4, count * ELEMENT_BYTES)
    return tuple(whole[i : i + ELEMENT_BYTES] for i in range(0, len(whole), ELEMENT_BYTES)), end
