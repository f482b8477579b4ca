"""Proof that an evaluator signed a partial evaluation whose proof fails.

Rules
1. The proof is `tocsin/1 bad partial\n` ‖ lp(context) ‖ u32 count of blinded elements ‖ them ‖ u32 count of evaluated
   elements ‖ them ‖ 64-byte proof ‖ u64 budget left ‖ u64 time ‖ 64-byte signature (SPEC.md §4.9).
2. An evaluator is at fault only if its signature covers exactly these elements and this context, and the proof fails.
   Its node key and the commitments come from a charter that the verifier trusts (M-4.20, M-4.25).
3. A signature that does not cover them, or a proof that holds, accuses nobody.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.charter.document import Charter, ClassKey
from tocsin.oprf import threshold
from tocsin.oprf.dleq import PROOF_BYTES, Proof
from tocsin.oprf.errors import OprfError
from tocsin.oprf.group import ELEMENT_BYTES, Element, decode_elements
from tocsin.oprf.threshold import Context, InvalidPartial, PartialEvaluation, parse_context
from tocsin.primitives.cursor import Cursor
from tocsin.primitives.ed25519 import SIGNATURE_BYTES, BadSignature, verify_signature
from tocsin.proofs.errors import BadProofFile, NotProven

MAGIC = b"tocsin/1 bad partial\n"
MAX_ELEMENTS = 65_536
MAX_CONTEXT_BYTES = 1 << 10


@dataclass(frozen=True, slots=True)
class SignedEvaluation:
    """What an evaluator signed: its partial, the evaluations left of the caller's budget, unix seconds, 64 bytes."""

    partial: PartialEvaluation
    budget_left: int
    time: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class BadPartial:
    """What rule 1 holds, decoded; nothing of it is verified."""

    context: Context
    blinded: tuple[Element, ...]
    signed: SignedEvaluation


def verify_evaluator_signature(
    node_key: bytes, context: Context, blinded: Sequence[Element], signed: SignedEvaluation
) -> None:
    """Check an evaluator's signature over SPEC.md §4.6 (M-4.15). `node_key` is 32 bytes. Raises `BadSignature`."""
    statement = threshold.signed_statement(context, blinded, signed.partial, signed.budget_left, signed.time)
    verify_signature(node_key, statement, signed.signature)


def encode_bad_partial(proof: BadPartial) -> bytes:
    """Write the proof (rule 1)."""
    context, partial = proof.context.encode(), proof.signed.partial
    return b"".join(
        (
            MAGIC,
            struct.pack(">H", len(context)),
            context,
            struct.pack(">I", len(proof.blinded)),
            *proof.blinded,
            struct.pack(">I", len(partial.evaluated)),
            *partial.evaluated,
            partial.proof,
            struct.pack(">QQ", proof.signed.budget_left, proof.signed.time),
            proof.signed.signature,
        )
    )


def parse_bad_partial(data: bytes) -> BadPartial:
    """Read the proof without trusting it. Raises `BadProofFile`."""
    cursor = Cursor(data, BadProofFile)
    cursor.expect("first line", MAGIC)
    try:
        context = parse_context(cursor.prefixed("context", 2, MAX_CONTEXT_BYTES))
        blinded = _elements(cursor, "blinded elements")
        evaluated = _elements(cursor, "evaluated elements")
    except OprfError as error:
        raise BadProofFile("context or elements", str(error)) from None
    proof = Proof(cursor.take("proof", PROOF_BYTES))
    signed = SignedEvaluation(
        PartialEvaluation(evaluated, proof),
        cursor.number("budget left", 8),
        cursor.number("time", 8),
        cursor.take("signature", SIGNATURE_BYTES),
    )
    cursor.end()
    return BadPartial(context, blinded, signed)


def judge_bad_partial(proof: BadPartial, node_key: bytes, key: ClassKey) -> None:
    """Check that the evaluator is at fault by its 32-byte node key and the class key (rules 2 and 3; M-4.20).

    Raises `NotProven`.
    """
    try:
        verify_evaluator_signature(node_key, proof.context, proof.blinded, proof.signed)
    except BadSignature:
        raise NotProven("the evaluator's signature does not cover these elements and this context") from None
    try:
        threshold.verify(key.commitments, proof.context, proof.blinded, proof.signed.partial)
    except InvalidPartial:
        return
    except OprfError as error:
        raise NotProven(str(error)) from None
    raise NotProven("the proof holds")


def verify_bad_partial(proof: BadPartial, charters: Sequence[Charter]) -> Charter:
    """Return the newest of the verified charters under which the evaluator is at fault (rule 2). Raises `NotProven`."""
    context = proof.context
    failure: NotProven | None = None
    for charter in reversed(charters):
        keys = [
            key
            for key in charter.classes
            if (key.key_class, key.epoch) == (context.key_class, context.epoch)
            and key.committee_hash == context.committee_hash
        ]
        for key in keys:
            try:
                expected = charter.context(key, context.seat, context.caller, context.quorum)
                if expected != context:
                    raise NotProven("the context is of another federation or evaluator")
                judge_bad_partial(proof, charter.member(context.evaluator).node, key)
            except OprfError as error:
                failure = failure or NotProven(str(error))
            except NotProven as error:
                failure = failure or error
            else:
                return charter
    raise failure or NotProven("no charter has this committee for the class and epoch")


def _elements(cursor: Cursor, field: str) -> tuple[Element, ...]:
    count = cursor.count(field, 4, MAX_ELEMENTS)
    packed = cursor.take(field, count * ELEMENT_BYTES)
    return tuple(
        decode_elements([packed[at : at + ELEMENT_BYTES] for at in range(0, len(packed), ELEMENT_BYTES)])
    )
