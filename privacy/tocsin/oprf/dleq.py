"""Batched proofs that many elements were multiplied by one committed scalar (RFC 9497 §2.2).

1. A proof is `c ‖ s`, 64 bytes: that the k of B = k·A is also the k of D_i = k·C_i for every i.
2. The pairs are folded into one, M = Σ d_i·C_i and Z = Σ d_i·D_i, with weights d_i hashed from a seed.
3. RFC 9497's seed hashes only the key. Its weights then hash one pair each, so that a prover can search for
   wrong D_i whose errors cancel (a generalized birthday). `transcript_ending` closes this: it is appended to
   seedTranscript, and a caller puts into it a hash of everything the proof must be bound to.
4. An empty `transcript_ending` is exactly the RFC. Nothing in the product accepts such a proof.
5. A is always the group's generator, as in RFC 9497 §3.3.2.
"""

import hashlib
import hmac
from collections.abc import Iterator, Sequence

from tocsin.oprf import group
from tocsin.oprf.errors import OprfError
from tocsin.oprf.group import SCALAR_BYTES, BadElement, BadScalar, Element, Random, Scalar
from tocsin.oprf.rfc9497 import Mode, context_string, length_prefixed

PROOF_BYTES = 2 * SCALAR_BYTES
MAX_BATCH = 65_536
"""The index of a pair is hashed as 2 bytes."""

_CONTEXT = context_string(Mode.VOPRF)
_SEED_DST = b"Seed-" + _CONTEXT
_SCALAR_DST = b"HashToScalar-" + _CONTEXT
_GENERATOR = bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")


class InvalidProof(OprfError):
    """A proof that does not hold for these elements, this key and this transcript ending."""


class BadBatch(OprfError):
    """A batch that no proof can cover: empty, above 65,536 pairs, or two lists of different lengths."""


class Proof(bytes):
    """A batched proof `c ‖ s`: two canonical scalars, 64 bytes."""

    __slots__ = ()


def decode_proof(raw: bytes) -> Proof:
    """Decode 64 bytes. Raises `InvalidProof` for another length or a scalar that is zero or not canonical."""
    _decode(raw)
    return Proof(raw)


def _decode(raw: bytes) -> tuple[Scalar, Scalar]:
    if len(raw) != PROOF_BYTES:
        raise InvalidProof(f"a proof is exactly {PROOF_BYTES} bytes, but this one has {len(raw)}")
    try:
        # M-4.14: neither zero nor at or above the order.
        return group.decode_scalar(raw[:SCALAR_BYTES]), group.decode_scalar(raw[SCALAR_BYTES:])
    except BadScalar as error:
        raise InvalidProof(f"a scalar of the proof is refused: {error}") from error


def generate_proof(
    key: Scalar,
    public_key: Element,
    blinded: Sequence[Element],
    evaluated: Sequence[Element],
    random: Random,
    *,
    transcript_ending: bytes,
) -> Proof:
    """Prove that every evaluated element is `key` times its blinded one (RFC 9497 §2.2.1 GenerateProof).

    `public_key` is `key` times the generator. Raises `BadBatch`.
    """
    weights = _weights(public_key, blinded, evaluated, transcript_ending)
    folded = group.multi_scalar_sum(weights, blinded)
    # ComputeCompositesFast: who knows the key needs one multiplication for Z, not a second sum.
    folded_evaluated = group.multiply(key, [folded])[0]
    nonce = group.random_scalar(random)
    challenge = _challenge(
        public_key, folded, folded_evaluated, group.base_multiply(nonce), group.multiply(nonce, [folded])[0]
    )
    return Proof(challenge + group.scalar_sub(nonce, group.scalar_mul(challenge, key)))


def verify_proof(
    public_key: Element,
    blinded: Sequence[Element],
    evaluated: Sequence[Element],
    proof: bytes,
    *,
    transcript_ending: bytes,
) -> None:
    """Check a batched proof (RFC 9497 §2.2.2 VerifyProof). Raises `InvalidProof` or `BadBatch`."""
    challenge, response = _decode(proof)
    weights = _weights(public_key, blinded, evaluated, transcript_ending)
    generator = Element(_GENERATOR)
    try:
        folded = group.multi_scalar_sum(weights, blinded)
        folded_evaluated = group.multi_scalar_sum(weights, evaluated)
        pair = (response, challenge)
        t2 = group.multi_scalar_sum(pair, (generator, public_key))
        t3 = group.multi_scalar_sum(pair, (folded, folded_evaluated))
    except BadElement as error:
        # M-4.14: no sum may be the identity.
        raise InvalidProof("a sum of the proof is the identity, which no honest prover reaches") from error
    expected = _challenge(public_key, folded, folded_evaluated, t2, t3)
    if not hmac.compare_digest(expected, challenge):
        raise InvalidProof(
            f"the proof does not hold for this key, these {len(blinded)} pairs and this transcript: "
            "refuse the whole batch and ask another evaluator"
        )


def _weights(
    public_key: Element, blinded: Sequence[Element], evaluated: Sequence[Element], transcript_ending: bytes
) -> list[Scalar]:
    if len(blinded) != len(evaluated):
        raise BadBatch(f"{len(blinded)} blinded elements, but {len(evaluated)} evaluated ones")
    if not 0 < len(blinded) <= MAX_BATCH:
        raise BadBatch(f"a proof covers 1 to {MAX_BATCH} pairs, not {len(blinded)}")
    seed = hashlib.sha512(
        length_prefixed(public_key) + length_prefixed(_SEED_DST) + transcript_ending
    ).digest()
    return group.hash_to_scalars(length_prefixed(seed), _weight_inputs(blinded, evaluated), _SCALAR_DST)


def _weight_inputs(blinded: Sequence[Element], evaluated: Sequence[Element]) -> Iterator[bytes]:
    for index, (c, d) in enumerate(zip(blinded, evaluated, strict=True)):
        yield b"%c%c\x00\x20%b\x00\x20%bComposite" % (index >> 8, index & 0xFF, c, d)


def _challenge(public_key: Element, m: Element, z: Element, t2: Element, t3: Element) -> Scalar:
    transcript = b"".join(length_prefixed(element) for element in (public_key, m, z, t2, t3)) + b"Challenge"
    return group.hash_to_scalar(transcript, _SCALAR_DST)
