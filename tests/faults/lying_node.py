"""A node that lies, for tests only: the product has no switch that makes it do so.

It is the product's node with one function replaced before it starts. Which lie it tells is read from a file at each
call, so that one process can tell many. Usage: lying_node.py node.toml FILE
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tocsin.node.config import load_config
from tocsin.node.process import run_node
from tocsin.node.service.relaying import Relaying
from tocsin.oprf import dleq, group, shares, threshold
from tocsin.oprf.group import Element, Random, Scalar
from tocsin.oprf.threshold import Context, PartialEvaluation

VECTORS = Path(__file__).resolve().parent.parent / "vectors"

_honest_part = threshold.evaluate
_honest_relay = Relaying.evaluate
_earlier_part: list[PartialEvaluation] = []
_earlier_answer: list[Any] = []


def lying_evaluator(lie: Callable[[], str]) -> Callable[..., PartialEvaluation]:
    """What replaces the evaluator's arithmetic; the node then signs it as its own."""

    def evaluate(
        share: Scalar,
        commitments: Sequence[Element],
        context: Context,
        blinded: Sequence[Element],
        random: Random,
    ) -> PartialEvaluation:
        told = lie()
        if told == "forged-batch":
            return _forged()
        honest = _honest_part(share, commitments, context, blinded, random)
        if told == "one-wrong-element":
            wrong = group.add(honest.evaluated[:1], [group.base_multiply(group.random_scalar(random))])
            return PartialEvaluation((*wrong, *honest.evaluated[1:]), honest.proof)
        if told == "another-key":
            key = group.random_scalar(random)
            evaluated = group.multiply(key, blinded)
            ending = threshold._transcript_ending(context, blinded, evaluated)
            public = group.base_multiply(key)
            proof = dleq.generate_proof(key, public, blinded, evaluated, random, transcript_ending=ending)
            return PartialEvaluation(tuple(evaluated), proof)
        if told == "the-rfcs-own-seed":
            scaled = group.scalar_mul(shares.lagrange(context.quorum, context.seat), share)
            public = group.base_multiply(scaled)
            proof = dleq.generate_proof(
                scaled, public, blinded, honest.evaluated, random, transcript_ending=b""
            )
            dleq.verify_proof(public, blinded, honest.evaluated, proof, transcript_ending=b"")
            return PartialEvaluation(honest.evaluated, proof)
        if told == "an-earlier-part" and _earlier_part:
            return _earlier_part[0]
        if told == "swapped-elements":
            return PartialEvaluation(tuple(reversed(honest.evaluated)), honest.proof)
        _earlier_part[:] = [honest]
        return honest

    return evaluate


def _forged() -> PartialEvaluation:
    import json

    vector = json.loads((VECTORS / "batch-forgery.json").read_text())
    raw, count = (VECTORS / "batch-forgery.bin").read_bytes(), vector["elements"]
    wrong = [raw[32 * (count + i) : 32 * (count + i + 1)] for i in range(count)]
    return PartialEvaluation(
        tuple(group.decode_elements(wrong)), dleq.decode_proof(bytes.fromhex(vector["proof"]))
    )


def lying_relay(lie: Callable[[], str]) -> Callable[..., Any]:
    """What replaces the own node's relay."""

    async def evaluate(
        self: Relaying,
        key_class: int,
        epoch: int,
        committee_hash: bytes,
        blinded: Sequence[Element],
        complaints: Sequence[Any] = (),
    ) -> list[Any]:
        asked = (key_class, epoch, committee_hash, blinded)
        answer = await _honest_relay(self, *asked, complaints)
        told = lie()
        if told == "swapped-parts":
            first, second = answer
            return [replace(first, partial=second.partial), replace(second, partial=first.partial)]
        if told == "an-earlier-answer" and _earlier_answer:
            return list(_earlier_answer[0])
        if told == "two-quorums":
            culprits = self._culprits.setdefault(asked[:3], set())
            culprits.add(answer[1].seat)
            try:
                other = await _honest_relay(self, *asked)
            finally:
                culprits.discard(answer[1].seat)
            return [answer[0], other[1]]
        if told == "too-few":
            return answer[:1]
        if told == "one-twice":
            return [answer[0], answer[0]]
        if told == "a-key-of-its-own":
            wrong = group.multiply(group.random_scalar(os.urandom), blinded)
            return [
                replace(entry, partial=PartialEvaluation(tuple(wrong), entry.partial.proof))
                for entry in answer
            ]
        if told == "another-budget":
            return [replace(answer[0], budget_left=answer[0].budget_left + 1), *answer[1:]]
        _earlier_answer[:] = [answer]
        return answer

    return evaluate


def main() -> int:
    """Put the lies in place and run the node."""
    config, file = Path(sys.argv[1]), Path(sys.argv[2])
    lie = file.read_text
    threshold.evaluate = lying_evaluator(lie)
    Relaying.evaluate = lying_relay(lie)  # type: ignore[method-assign]  # that is the lie
    return run_node(load_config(config))


if __name__ == "__main__":
    sys.exit(main())
