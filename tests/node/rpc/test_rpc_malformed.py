"""Malformed batches cost their caller a rate before they cost this node curve work (SPEC M-4.23, M-10.4)."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.federation import Federation, founded, member_id
from tocsin.node.rpc import guard
from tocsin.node.rpc.authorize import Caller, Role
from tocsin.node.rpc.servicers import EvaluationServicer
from tocsin.node.service.errors import RepeatedTooOften, StaleCharter
from tocsin.v1 import evaluation_pb2
from tocsin.wire.codec import evaluation
from tocsin.wire.errors import Malformed


@pytest.fixture
def federation() -> Iterator[Federation]:
    with founded() as started:
        yield started


def test_who_sends_garbage_is_refused_before_it_is_decoded(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = federation.open_node(2, free_repeats=9)
    servicer = EvaluationServicer(node.evaluating, node.relaying)
    key = federation.charter.classes[0]
    good = [bytes(commitment) for commitment in key.commitments]
    three = [*good, good[0]]
    decoded = 0
    parse = evaluation.parse_partial_request

    def counting(message: evaluation_pb2.EvaluatePartialRequest) -> Any:
        nonlocal decoded
        decoded += 1
        return parse(message)

    monkeypatch.setattr(evaluation, "parse_partial_request", counting)

    async def ask(number: int, elements: list[bytes], committee: bytes = key.committee_hash) -> None:
        guard._caller.set(Caller(member_id(number), Role.NODE))
        request = evaluation_pb2.EvaluatePartialRequest(
            key_class=1,
            key_epoch=1,
            committee_hash=committee,
            quorum=[1, 2],
            seat=2,
            blinded_elements=elements,
        )
        await servicer.EvaluatePartial(request, None)

    for _ in range(3):
        with pytest.raises(Malformed):
            asyncio.run(ask(1, [*good, bytes(32)]))
    for _ in range(5):
        with pytest.raises(RepeatedTooOften):
            asyncio.run(ask(1, [*good, bytes(32)]))
    assert decoded == 3
    # Others are served, and the rate recovers.
    asyncio.run(ask(3, good))
    with pytest.raises(RepeatedTooOften):
        asyncio.run(ask(1, good))
    federation.clock.advance(1)
    asyncio.run(ask(1, good))
    # What is refused once it was decoded is work for nothing, too.
    decoded = 0
    for _ in range(3):
        with pytest.raises(StaleCharter):
            asyncio.run(ask(3, three, bytes(32)))
    with pytest.raises(RepeatedTooOften):
        asyncio.run(ask(3, three, bytes(32)))
    assert decoded == 3
