"""RFC 9497 for the suite ristretto255-SHA512, modes 0x00 (OPRF) and 0x01 (VOPRF), in batches.

1. The client blinds: each input becomes a secret `Blinding`, which it keeps, and an `Element` to send.
2. The server evaluates: every blinded element times its key. It sees nothing else. Proofs are in `dleq`.
3. The client finalizes: it removes the blind and hashes input and element to an `Output` of 64 bytes.
4. An input has at most 65,535 bytes. One that hashes to the identity is refused, as in §3.3.1.
5. Randomness is an argument. A source that returns `blind ‖ 32 zero bytes` replays a published vector.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from tocsin.oprf import group
from tocsin.oprf.errors import OprfError
from tocsin.oprf.group import BatchMismatch, Element, Random, Scalar
from tocsin.primitives.secret import SecretBytes

SUITE = b"ristretto255-SHA512"
MAX_INPUT_BYTES = 65_535
OUTPUT_BYTES = 64


class Mode(IntEnum):
    """The protocol variants of RFC 9497 §3.1 that are used here."""

    OPRF = 0
    VOPRF = 1


class InputTooLong(OprfError):
    """An input of more than 65,535 bytes; `index` is its place in the batch. The input is never shown."""

    def __init__(self, index: int, length: int) -> None:
        self.index = index
        super().__init__(
            f"input {index} has {length} bytes, but an OPRF input has at most {MAX_INPUT_BYTES}: shorten it"
        )


class BadKeySeed(OprfError):
    """A seed that is not 32 bytes, too long key information, or one that yields no key in 256 tries."""


class Output(SecretBytes):
    """The OPRF's output for one input: 64 secret bytes, masked when shown."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, repr=False)
class Blinding:
    """What the client must keep of one input until it finalizes: secret, never sent."""

    blind: Scalar
    input: bytes

    def __repr__(self) -> str:
        return "Blinding(…)"


def context_string(mode: Mode) -> bytes:
    """Return `"OPRFV1-" ‖ mode ‖ "-" ‖ suite` (RFC 9497 §3.1)."""
    return b"OPRFV1-" + bytes([mode]) + b"-" + SUITE


def length_prefixed(field: bytes) -> bytes:
    """Return a field behind its 2-byte big-endian length. Raises `OverflowError` above 65,535 bytes."""
    return len(field).to_bytes(2, "big") + field


def blind(
    inputs: Sequence[bytes], random: Random, mode: Mode = Mode.VOPRF
) -> tuple[list[Blinding], list[Element]]:
    """Blind inputs (RFC 9497 §3.3.1), each under a fresh scalar: the secrets to keep, the elements to send.

    Raises `InputTooLong`, and `BadElement` with rule "identity" for an input that hashes to the identity.
    """
    for index, input in enumerate(inputs):
        if len(input) > MAX_INPUT_BYTES:
            raise InputTooLong(index, len(input))
    hashed = group.hash_to_group(inputs, b"HashToGroup-" + context_string(mode))
    # M-4.2: a fresh scalar for each input; `hash_to_group` refuses the identity.
    blindings = [Blinding(group.random_scalar(random), input) for input in inputs]
    return blindings, group.multiply_each([blinding.blind for blinding in blindings], hashed)


def evaluate(key: Scalar, blinded: Sequence[Element]) -> list[Element]:
    """Evaluate blinded elements under a key (RFC 9497 §3.3.1 and §3.3.2, without the proof)."""
    return group.multiply(key, blinded)


def finalize(blindings: Sequence[Blinding], evaluated: Sequence[Element]) -> list[Output]:
    """Unblind and hash (RFC 9497 §3.3.1 Finalize); both lists in the order in which they were blinded.

    A verifiable evaluation must have been verified before. Raises `BatchMismatch`.
    """
    if len(blindings) != len(evaluated):
        raise BatchMismatch("blindings and evaluated elements", len(blindings), len(evaluated))
    inverses = group.scalar_invert_each([blinding.blind for blinding in blindings])
    unblinded = group.multiply_each(inverses, evaluated)
    return [
        Output(
            hashlib.sha512(length_prefixed(blinding.input) + length_prefixed(element) + b"Finalize").digest()
        )
        for blinding, element in zip(blindings, unblinded, strict=True)
    ]


def derive_key_pair(seed: bytes, info: bytes, mode: Mode = Mode.VOPRF) -> tuple[Scalar, Element]:
    """Derive a key pair from a 32-byte seed and public key information (RFC 9497 §3.2.1 DeriveKeyPair).

    Raises `BadKeySeed`.
    """
    if len(seed) != 32:
        raise BadKeySeed(f"a key seed is exactly 32 bytes, this one has {len(seed)}")
    if len(info) > MAX_INPUT_BYTES:
        raise BadKeySeed(f"key information has at most {MAX_INPUT_BYTES} bytes, this one has {len(info)}")
    for counter in range(256):
        try:
            secret = group.hash_to_scalar(
                seed + length_prefixed(info) + bytes([counter]), b"DeriveKeyPair" + context_string(mode)
            )
        except group.BadScalar:
            continue
        return secret, group.base_multiply(secret)
    raise BadKeySeed("the seed yields no non-zero key in 256 tries: draw another one")
