"""Threshold verifiable evaluation: t evaluators, each with a key share, give RFC 9497's output together.

1. The client blinds its inputs (`oprf_input`, then `rfc9497.blind`); a quorum S of exactly t seats is named.
2. Evaluator i of S multiplies every element by λ_i(S)·k_i, so that combining partials is only additions.
3. Its one proof per batch is against λ_i(S)·Y_i, and the proof's seed ends with
   SHA-512(context ‖ all blinded ‖ all evaluated elements). So a proof holds for this federation, class,
   epoch, committee, seat, evaluator, caller, quorum and these elements in this order, and for no other.
4. The client verifies every partial before it uses anything derived from it: under one context per seat of
   one S (`check_contexts`), with Y_i from commitments that it trusts (`verify`). Only then it combines.
5. What an evaluator signs covers the same context, both element lists, the proof, the budget left, the time.
6. A batch's identity depends on caller, class, epoch and the elements in order, on nothing else: asked again,
   under any quorum, it is the same batch.
7. Integers are big-endian. Every field is of fixed width or behind its 2-byte length.
"""

import functools
import hashlib
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tocsin.oprf import dleq, group, shares
from tocsin.oprf.dleq import InvalidProof, Proof
from tocsin.oprf.errors import OprfError
from tocsin.oprf.group import Element, Random, Scalar
from tocsin.oprf.rfc9497 import MAX_INPUT_BYTES, InputTooLong, length_prefixed
from tocsin.oprf.shares import BadShare
from tocsin.primitives.cursor import Cursor

MAX_COMMITTEE = 7
MEMBER_ID_BYTES = 16
COMMITTEE_HASH_BYTES = 32
MAX_FEDERATION_BYTES = 64

_INPUT_LABEL = b"tocsin/1"
_CONTEXT_LABEL = b"tocsin/1 evaluate"
_STATEMENT_LABEL = b"tocsin/1 partial"


class BadContext(OprfError):
    """A context with a field out of range; the message names the field."""


class MixedContexts(OprfError):
    """Partials that do not belong together: contexts that differ in more than seat and evaluator."""


class InvalidPartial(OprfError):
    """A partial evaluation that does not verify: `seat` and `evaluator` (16 bytes) name the culprit.

    `rule` is "count" (not one evaluated element per blinded one) or "proof".
    """

    def __init__(self, seat: int, evaluator: bytes, rule: str) -> None:
        self.seat = seat
        self.evaluator = evaluator
        self.rule = rule
        super().__init__(
            f"the partial evaluation of seat {seat} (evaluator {evaluator.hex()}) is refused ({rule}): "
            "use nothing of it and repeat the batch with a quorum without that seat"
        )

    def culprit(self) -> bytes:
        """Return the evaluator's id."""
        return self.evaluator


@dataclass(frozen=True, slots=True)
class Context:
    """Everything but the elements that one partial evaluation is bound to.

    Raises `BadContext` for a field out of range, and `BadQuorum` for a quorum that is not ascending seats of
    1..7 with `seat` among them (whether it is t seats of 1..c, only who knows the charter can check).
    `committee_hash` is 32 bytes, `evaluator` and `caller` are 16-byte member ids, `quorum` is S ascending.
    """

    federation: str
    key_class: int
    epoch: int
    committee_hash: bytes
    seat: int
    evaluator: bytes
    caller: bytes
    quorum: tuple[int, ...]

    def __post_init__(self) -> None:
        if not (self.federation.isascii() and 0 < len(self.federation) <= MAX_FEDERATION_BYTES):
            raise BadContext(f"federation must be 1 to {MAX_FEDERATION_BYTES} ASCII characters")
        _check_class_epoch(self.key_class, self.epoch)
        _check_length("committee_hash", self.committee_hash, COMMITTEE_HASH_BYTES)
        _check_length("evaluator", self.evaluator, MEMBER_ID_BYTES)
        _check_length("caller", self.caller, MEMBER_ID_BYTES)
        shares.check_quorum(self.quorum, MAX_COMMITTEE, len(self.quorum), self.seat)

    def encode(self) -> bytes:
        """Return the bytes that proofs and signatures are bound to.

        `"tocsin/1 evaluate" ‖ lp(federation) ‖ u16 class ‖ u32 epoch ‖ committee hash (32) ‖ u8 seat ‖
        evaluator (16) ‖ caller (16) ‖ lp(quorum, one byte a seat)`.
        """
        return b"".join(
            (
                _CONTEXT_LABEL,
                length_prefixed(self.federation.encode("ascii")),
                struct.pack(">HI", self.key_class, self.epoch),
                self.committee_hash,
                bytes([self.seat]),
                self.evaluator,
                self.caller,
                length_prefixed(bytes(self.quorum)),
            )
        )


def parse_context(data: bytes) -> Context:
    """Return the context that exactly these bytes encode. Raises `BadContext` or `BadQuorum`."""
    cursor = Cursor(data, lambda field, rule: BadContext(f"{field} of a context: {rule}"))
    cursor.expect("label", _CONTEXT_LABEL)
    try:
        federation = cursor.prefixed("federation", 2, MAX_FEDERATION_BYTES).decode("ascii")
    except UnicodeDecodeError:
        raise BadContext(f"federation must be 1 to {MAX_FEDERATION_BYTES} ASCII characters") from None
    context = Context(
        federation=federation,
        key_class=cursor.number("class", 2),
        epoch=cursor.number("epoch", 4),
        committee_hash=cursor.take("committee hash", COMMITTEE_HASH_BYTES),
        seat=cursor.number("seat", 1),
        evaluator=cursor.take("evaluator", MEMBER_ID_BYTES),
        caller=cursor.take("caller", MEMBER_ID_BYTES),
        quorum=tuple(cursor.prefixed("quorum", 2, MAX_COMMITTEE)),
    )
    cursor.end()
    return context


@dataclass(frozen=True, slots=True)
class PartialEvaluation:
    """One evaluator's part: its evaluated elements, in the order of the blinded ones, and one proof."""

    evaluated: tuple[Element, ...]
    proof: Proof


def committee_hash(committee: Sequence[bytes], commitments: Sequence[Element]) -> bytes:
    """Return SHA-256(u8 c ‖ member ids in seat order ‖ u8 t ‖ commitments), 32 bytes. Raises `BadContext`."""
    if not 1 <= len(commitments) <= len(committee) <= MAX_COMMITTEE:
        raise BadContext(
            f"a committee has 1 ≤ t ≤ c ≤ {MAX_COMMITTEE}, not t = {len(commitments)}, c = {len(committee)}"
        )
    for member in committee:
        _check_length("committee member", member, MEMBER_ID_BYTES)
    return hashlib.sha256(
        bytes([len(committee)]) + b"".join(committee) + bytes([len(commitments)]) + b"".join(commitments)
    ).digest()


def oprf_input(type: str, canonical: bytes) -> bytes:
    """Return the OPRF input of an observable: `"tocsin/1" ‖ lp(type) ‖ lp(canonical)`.

    Raises `InputTooLong` above 65,535 bytes in all; the value is never shown.
    """
    name = type.encode()
    length = len(_INPUT_LABEL) + 4 + len(name) + len(canonical)
    # M-4.1: at most 65,535 bytes.
    if length > MAX_INPUT_BYTES:
        raise InputTooLong(0, length)
    return _INPUT_LABEL + length_prefixed(name) + length_prefixed(canonical)


def batch_identity(caller: bytes, key_class: int, epoch: int, blinded: Sequence[Element]) -> bytes:
    """Return SHA-512(caller (16) ‖ u16 class ‖ u32 epoch ‖ elements in order), 64 bytes (M-4.22).

    Raises `BadContext`.
    """
    _check_length("caller", caller, MEMBER_ID_BYTES)
    _check_class_epoch(key_class, epoch)
    return hashlib.sha512(caller + struct.pack(">HI", key_class, epoch) + b"".join(blinded)).digest()


def evaluate(
    share: Scalar,
    commitments: Sequence[Element],
    context: Context,
    blinded: Sequence[Element],
    random: Random,
) -> PartialEvaluation:
    """Evaluate a batch with one seat's share, and prove it. t is the number of commitments.

    The caller has compared the context with its own charter: committee hash, seat, and the quorum against c.
    Raises `BadQuorum` for a quorum that is not t seats, `BadShare` if this share is not the committed one,
    and `BadBatch` for an empty batch or one above 65,536 elements.
    """
    shares.check_quorum(context.quorum, MAX_COMMITTEE, len(commitments), context.seat)
    # M-4.10: λ_i(S)·k_i, so that combining is an addition.
    scaled = group.scalar_mul(shares.lagrange(context.quorum, context.seat), share)
    public = _scaled_public_share(tuple(commitments), context.quorum, context.seat)
    # M-4.11: λ_i·k_i·G = λ_i·Y_i.
    # A share of another key would make a proof that fails, and this evaluator the culprit.
    try:
        held = group.base_multiply(scaled)
    except group.BadScalar as error:
        raise BadShare(context.seat) from error
    if not hmac.compare_digest(held, public):
        raise BadShare(context.seat)
    evaluated = group.multiply(scaled, blinded)
    ending = _transcript_ending(context, blinded, evaluated)
    proof = dleq.generate_proof(
        scaled, public, blinded, evaluated, _hedged(random, scaled, ending), transcript_ending=ending
    )
    return PartialEvaluation(tuple(evaluated), proof)


def verify(
    commitments: Sequence[Element], context: Context, blinded: Sequence[Element], partial: PartialEvaluation
) -> None:
    """Check one partial against trusted commitments.

    Raises `InvalidPartial`, `BadQuorum` for a context whose quorum is not t seats, and `BadBatch` for a
    batch that is empty or above 65,536 elements.
    """
    shares.check_quorum(context.quorum, MAX_COMMITTEE, len(commitments), context.seat)
    if len(partial.evaluated) != len(blinded):
        raise InvalidPartial(context.seat, context.evaluator, "count")
    public = _scaled_public_share(tuple(commitments), context.quorum, context.seat)
    try:
        dleq.verify_proof(
            public,
            blinded,
            partial.evaluated,
            partial.proof,
            transcript_ending=_transcript_ending(context, blinded, partial.evaluated),
        )
    except InvalidProof as error:
        raise InvalidPartial(context.seat, context.evaluator, "proof") from error


def check_contexts(contexts: Sequence[Context]) -> None:
    """Check that contexts, one per partial, are those of one quorum (M-4.17): each of its seats once, all else equal.

    Raises `MixedContexts`. Partials that verified one by one may be combined only after this.
    """
    if not contexts:
        raise MixedContexts("no partial evaluation was given")
    first = contexts[0]
    if sorted(context.seat for context in contexts) != list(first.quorum):
        raise MixedContexts("the partials are not one from each seat of their quorum")
    if len({context.evaluator for context in contexts}) != len(contexts):
        raise MixedContexts("one evaluator answers for two seats")
    for context in contexts:
        other_quorum = context.quorum != first.quorum
        if other_quorum or replace(context, seat=first.seat, evaluator=first.evaluator) != first:
            raise MixedContexts(
                f"the partials of seats {first.seat} and {context.seat} were asked under different contexts"
            )


def combine(partials: Sequence[PartialEvaluation]) -> list[Element]:
    """Add up verified partials of one quorum: RFC 9497's evaluation under the whole key (M-4.18).

    Raises `MixedContexts` for none, `BatchMismatch` for partials of different lengths, and `BadElement` if a
    sum is the identity.
    """
    if not partials:
        raise MixedContexts("no partial evaluation was given")
    total: list[Element] = list(partials[0].evaluated)
    for partial in partials[1:]:
        total = group.add(total, partial.evaluated)
    return total


def signed_statement(
    context: Context,
    blinded: Sequence[Element],
    partial: PartialEvaluation,
    budget_left: int,
    time: int,
) -> bytes:
    """Return what an evaluator signs with its Ed25519 node key.

    `"tocsin/1 partial" ‖ lp(context) ‖ SHA-512(blinded elements) ‖ SHA-512(evaluated elements) ‖ proof (64) ‖
    u64 budget left (evaluations) ‖ u64 time (unix seconds)`. Raises `BadContext` for a number out of range.
    """
    for name, number in (("budget_left", budget_left), ("time", time)):
        if not 0 <= number < 2**64:
            raise BadContext(f"{name} must fit 8 bytes")
    return b"".join(
        (
            _STATEMENT_LABEL,
            length_prefixed(context.encode()),
            hashlib.sha512(b"".join(blinded)).digest(),
            hashlib.sha512(b"".join(partial.evaluated)).digest(),
            partial.proof,
            struct.pack(">QQ", budget_left, time),
        )
    )


# Public values only, and the same few quorums again and again within an epoch.
@functools.lru_cache(maxsize=512)
def _scaled_public_share(commitments: tuple[Element, ...], quorum: tuple[int, ...], seat: int) -> Element:
    weight = shares.lagrange(quorum, seat)
    return group.multiply(weight, [shares.public_share(commitments, seat)])[0]


def _transcript_ending(context: Context, blinded: Sequence[Element], evaluated: Sequence[Element]) -> bytes:
    # M-4.13: the weights depend on everything that the proof is bound to.
    return hashlib.sha512(context.encode() + b"".join(blinded) + b"".join(evaluated)).digest()


def _hedged(random: Random, secret: Scalar, statement: bytes) -> Random:
    """Return a source for one nonce: random bytes, the secret and what is proven, hashed together.

    A source that repeats itself, as that of a machine whose snapshot runs twice, then gives one nonce to one statement
    only: two proofs of different statements with one nonce would give the secret away.
    """

    def draw(size: int) -> bytes:
        # M-4.27
        seed = b"".join(map(length_prefixed, (b"tocsin/1 proof nonce", secret, statement, random(size))))
        return hashlib.shake_256(seed).digest(size)

    return draw


def _check_class_epoch(key_class: int, epoch: int) -> None:
    if not 0 <= key_class < 2**16:
        raise BadContext("key_class must fit 2 bytes")
    if not 0 <= epoch < 2**32:
        raise BadContext("epoch must fit 4 bytes")


def _check_length(name: str, field: bytes, length: int) -> None:
    if len(field) != length:
        raise BadContext(f"{name} must be {length} bytes, not {len(field)}")
