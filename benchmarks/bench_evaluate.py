"""One evaluator over gRPC and mutual TLS against the sum of the primitives it cannot do without.

Product: a real node process; another member's node asks it for partial evaluations, batches of 1,000, from two
threads. Primitive: decode, multiply, prove and sign of the same batches in two threads of this process, with the same
share. The product also does TLS, protobuf, authorisation, and charges each batch durably before it multiplies.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import measure

from federation import charter_of, credentials_to, identity_of, running
from tocsin.indicators.registry import KeyClass
from tocsin.node.config import load_config
from tocsin.node.keys import NodeSigner, open_keys
from tocsin.node.shares import FileShares
from tocsin.node.system import SystemClock
from tocsin.oprf import group, threshold
from tocsin.oprf.group import Element
from tocsin.oprf.threshold import Context
from tocsin.v1 import evaluation_pb2, evaluation_pb2_grpc
from tocsin.wire.codec.evaluation import parse_signed_partial

NAME = "evaluate"
THREADS = 2
TARGET = 0.90


def make_batches(count: int, size: int) -> list[list[Element]]:
    """Return batches that nobody asked before: a repeated one would not be charged."""
    return [group.hash_to_group([os.urandom(16) for _ in range(size)], b"benchmark") for _ in range(count)]


def main() -> None:
    """Measure and tell."""
    parser = measure.arguments(NAME, __doc__ or "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, default=8, help="batches of each thread in a turn")
    parser.add_argument("--size", type=int, default=1_000, help="elements of a batch")
    options = parser.parse_args()
    if options.smoke:
        options.rounds, options.batches, options.size = 1, 1, 50

    key_class, epoch, seat, quorum = int(KeyClass.CONTACT), 1, 1, (1, 2)
    with (
        running(3, threshold=2, tick_seconds=60, nodes=1) as federation,
        ThreadPoolExecutor(THREADS) as threads,
    ):
        charter = charter_of(federation.homes[0])
        key = charter.class_key(key_class, epoch)
        evaluator, caller = federation.homes[:2]
        config = load_config(evaluator.folder / "node")
        keys = open_keys(config)
        shares = FileShares(config, keys)
        shares.load(charter, SystemClock().now())
        share = shares.share(key_class, epoch, seat)
        if share is None:
            raise RuntimeError("the founding dealt no share of this seat")
        signer = NodeSigner(keys)
        context = Context(
            charter.federation, key_class, epoch, key.committee_hash, seat, evaluator.id, caller.id, quorum
        )

        def primitive_batch(batch: list[Element]) -> None:
            blinded = group.decode_elements([bytes(element) for element in batch])
            partial = threshold.evaluate(share, key.commitments, context, blinded, os.urandom)
            signer.sign_node(threshold.signed_statement(context, blinded, partial, 1, 1))

        credentials, channel_options = credentials_to(charter, evaluator.id, identity_of(caller, "node"))
        with grpc.secure_channel(evaluator.address, credentials, options=channel_options) as channel:
            stub = evaluation_pb2_grpc.EvaluationServiceStub(channel)

            def product_batch(batch: list[Element]) -> evaluation_pb2.EvaluatePartialResponse:
                request = evaluation_pb2.EvaluatePartialRequest(
                    key_class=key_class,
                    key_epoch=epoch,
                    committee_hash=key.committee_hash,
                    quorum=quorum,
                    seat=seat,
                    blinded_elements=batch,
                )
                answer: evaluation_pb2.EvaluatePartialResponse = stub.EvaluatePartial(request, timeout=30)
                return answer

            first = make_batches(1, options.size)[0]
            partial = parse_signed_partial(product_batch(first).partial, "partial")
            threshold.verify(key.commitments, context, first, partial.partial)

            count: int = options.batches * THREADS
            elements: int = count * options.size

            def rate(run: object) -> float:
                work = make_batches(count, options.size)
                began = time.perf_counter()
                list(threads.map(run, work))  # type: ignore[arg-type] # either of the two above
                return elements / (time.perf_counter() - began)

            spent = measure.cpu_of(federation.process_ids)
            product, primitive = measure.in_turns(
                options.rounds,
                lambda: rate(product_batch),
                lambda: rate(primitive_batch),
                warm_up=0 if options.smoke else 1,
            )
            spent = measure.cpu_of(federation.process_ids) - spent
        ratio = measure.median(product) / measure.median(primitive)
        measure.tell(
            NAME,
            [
                measure.Figure(
                    f"partial evaluations, batches of {options.size:,}, {THREADS} threads",
                    "elements/s",
                    measure.median(product),
                    measure.median(primitive),
                    ratio,
                    f"≥ {TARGET:.2f} of the primitives",
                    ratio >= TARGET,
                )
            ],
            samples=options.rounds,
            cpu_seconds=spent,
            peak=measure.peak_mib(federation.process_ids),
        )


if __name__ == "__main__":
    main()
