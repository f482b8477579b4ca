import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.oprf import dleq, group, rfc9497
from tocsin.oprf.dleq import BadBatch, InvalidProof, Proof
from tocsin.oprf.group import BadElement, BatchMismatch, Element, Random
from tocsin.oprf.rfc9497 import BadKeySeed, InputTooLong, Mode

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "rfc9497-oprf.json").read_text())
MODES = {entry["mode"]: entry for entry in VECTORS["modes"]}
CASES = [(mode, case) for mode, entry in MODES.items() for case in entry["cases"]]


def decoded(items: list[str]) -> list[bytes]:
    return [bytes.fromhex(item) for item in items]


def replay(scalars: list[str]) -> Random:
    """A random source whose draws reduce to the given scalars."""
    wide: Iterator[bytes] = (bytes.fromhex(item) + bytes(32) for item in scalars)
    return lambda _: next(wide)


@pytest.mark.parametrize("mode", [0, 1])
def test_rfc9497_key_derivation_and_domain_separation(mode: int) -> None:
    entry = MODES[mode]
    secret, public = rfc9497.derive_key_pair(
        bytes.fromhex(entry["seed"]), bytes.fromhex(entry["key_info"]), Mode(mode)
    )
    assert secret.hex() == entry["secret_key"]
    assert entry["public_key"] in (None, public.hex())
    assert b"HashToGroup-" + rfc9497.context_string(Mode(mode)) == bytes.fromhex(entry["hash_to_group_dst"])


@pytest.mark.parametrize(("mode", "case"), CASES)
def test_rfc9497_published_vectors(mode: int, case: dict[str, Any]) -> None:
    entry = MODES[mode]
    key = group.decode_scalar(bytes.fromhex(entry["secret_key"]))
    blindings, blinded = rfc9497.blind(decoded(case["inputs"]), replay(case["blinds"]), Mode(mode))
    assert blinded == decoded(case["blinded"])
    evaluated = rfc9497.evaluate(key, group.decode_elements(blinded))
    assert evaluated == decoded(case["evaluated"])
    if "proof" in case:
        public = group.base_multiply(key)
        proof = dleq.generate_proof(
            key, public, blinded, evaluated, replay([case["proof_nonce"]]), transcript_ending=b""
        )
        assert proof.hex() == case["proof"]
        dleq.verify_proof(public, blinded, evaluated, proof, transcript_ending=b"")
    assert rfc9497.finalize(blindings, evaluated) == decoded(case["outputs"])


def test_all_published_cases_are_there() -> None:
    assert [(mode, len(case["inputs"])) for mode, case in CASES] == [(0, 1), (0, 1), (1, 1), (1, 1), (1, 2)]


def test_an_input_above_the_limit_is_refused_by_index_without_being_shown() -> None:
    longest = b"v" * rfc9497.MAX_INPUT_BYTES
    blindings, blinded = rfc9497.blind([longest], os.urandom)
    assert rfc9497.finalize(blindings, blinded)
    with pytest.raises(InputTooLong) as caught:
        rfc9497.blind([b"", longest + b"v"], os.urandom)
    assert caught.value.index == 1
    assert "vvv" not in str(caught.value)


def test_an_input_that_hashes_to_the_identity_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # No such input is known, so the hash itself is replaced: 64 zero bytes map to the identity.
    monkeypatch.setattr(group, "_expand", lambda *_: [b"\x01" * 64, bytes(64)])
    with pytest.raises(BadElement) as caught:
        rfc9497.blind([b"fine", b"unlucky"], os.urandom)
    assert (caught.value.index, caught.value.rule) == (1, "identity")


def test_each_blinding_is_fresh_and_masked() -> None:
    blindings, blinded = rfc9497.blind([b"a value", b"a value"], os.urandom)
    assert blinded[0] != blinded[1]
    output = rfc9497.finalize(blindings, blinded)[0]
    for shown in (repr(blindings), str(blindings[0]), f"{output}", repr([output])):
        assert "value" not in shown
        assert "…" in shown
        assert output.hex() not in shown
        assert repr(bytes(output)) not in shown


def test_finalizing_another_number_of_elements_is_refused() -> None:
    blindings, blinded = rfc9497.blind([b"a", b"b"], os.urandom)
    with pytest.raises(BatchMismatch):
        rfc9497.finalize(blindings, blinded[:1])


def test_bad_key_seeds_are_refused() -> None:
    with pytest.raises(BadKeySeed):
        rfc9497.derive_key_pair(b"short", b"")
    with pytest.raises(BadKeySeed):
        rfc9497.derive_key_pair(bytes(32), bytes(65_536))


@settings(max_examples=10, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from([b"", b"bound to more than the key"]),
)
def test_a_proof_rejects_every_change(count: int, place: int, other: int, ending: bytes) -> None:
    key = group.random_scalar(os.urandom)
    public = group.base_multiply(key)
    _, blinded = rfc9497.blind([bytes([number]) for number in range(count)], os.urandom)
    evaluated = rfc9497.evaluate(key, blinded)
    proof = dleq.generate_proof(key, public, blinded, evaluated, os.urandom, transcript_ending=ending)
    dleq.verify_proof(public, blinded, evaluated, proof, transcript_ending=ending)

    stranger = group.base_multiply(group.random_scalar(os.urandom))

    def changed(elements: list[Element]) -> list[Element]:
        return [stranger if index == place % count else item for index, item in enumerate(elements)]

    def refused(
        public: Element, blinded: list[Element], evaluated: list[Element], proof: bytes, ending: bytes
    ) -> None:
        with pytest.raises(InvalidProof):
            dleq.verify_proof(public, blinded, evaluated, proof, transcript_ending=ending)

    refused(stranger, blinded, evaluated, proof, ending)
    refused(public, changed(blinded), evaluated, proof, ending)
    refused(public, blinded, changed(evaluated), proof, ending)
    refused(public, blinded, evaluated, proof, ending + b"!")
    bit = bytes([proof[other * 16] ^ 1])
    refused(public, blinded, evaluated, proof[: other * 16] + bit + proof[other * 16 + 1 :], ending)
    if count > 1:
        refused(public, blinded[::-1], evaluated[::-1], proof, ending)


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x01" * 63, b"\x01" * 65, bytes(64), b"\x01" * 32 + b"\xff" * 32, b"\xff" * 32 + b"\x01" * 32],
)
def test_malformed_proofs_are_refused(raw: bytes) -> None:
    element = group.base_multiply(group.scalar_of(5))
    with pytest.raises(InvalidProof):
        dleq.decode_proof(raw)
    with pytest.raises(InvalidProof):
        dleq.verify_proof(element, [element], [element], raw, transcript_ending=b"")


def test_a_decoded_proof_keeps_its_bytes() -> None:
    raw = bytes(group.scalar_of(7) + group.scalar_of(9))
    assert dleq.decode_proof(raw) == raw
    assert type(dleq.decode_proof(raw)) is Proof


def test_batches_that_no_proof_covers_are_refused() -> None:
    key = group.scalar_of(5)
    element = group.base_multiply(key)
    for blinded, evaluated in (
        ([], []),
        ([element], [element, element]),
        ([element] * (dleq.MAX_BATCH + 1), [element] * (dleq.MAX_BATCH + 1)),
    ):
        with pytest.raises(BadBatch):
            dleq.generate_proof(key, element, blinded, evaluated, os.urandom, transcript_ending=b"")
        with pytest.raises(BadBatch):
            dleq.verify_proof(
                element, blinded, evaluated, group.scalar_of(7) + group.scalar_of(9), transcript_ending=b""
            )


def test_a_proof_whose_sum_is_the_identity_is_refused() -> None:
    # For the key 1, t2 = s·G + c·G: with s = −c it is the identity.
    generator = group.base_multiply(group.scalar_of(1))
    proof = group.scalar_of(3) + group.scalar_of(-3)
    with pytest.raises(InvalidProof, match="identity"):
        dleq.verify_proof(generator, [generator], [generator], proof, transcript_ending=b"")
