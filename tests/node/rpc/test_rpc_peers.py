"""The adapter to other members' nodes, against a real server that answers well, badly, late or not at all."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from tests.certificates import NOW, Register, make_member
from tocsin.founding.certificates import LeafRole
from tocsin.node.ports import PeerError
from tocsin.node.rpc.authorize import Gate
from tocsin.node.rpc.credentials import ServerIdentity
from tocsin.node.rpc.guard import Guard
from tocsin.node.rpc.peers import GrpcPeers
from tocsin.node.rpc.server import OPTIONS, listen
from tocsin.node.service.errors import EvaluationsUsedUp, LogQuarantined
from tocsin.oprf.group import base_multiply, random_scalar
from tocsin.v1 import (
    evaluation_pb2,
    evaluation_pb2_grpc,
    log_pb2,
    log_pb2_grpc,
    membership_pb2,
    membership_pb2_grpc,
)
from tocsin.wire.values import MemberId, PartialRequest

A, B = make_member(1), make_member(2)
PEER = MemberId(B.id)


class Answers(
    evaluation_pb2_grpc.EvaluationServiceServicer,
    log_pb2_grpc.LogServiceServicer,
    membership_pb2_grpc.MembershipServiceServicer,
):
    """B's node; `say` is what it answers to anything, or raises."""

    def __init__(self) -> None:
        self.say: Any = None
        self.calls = 0

    async def _answer(self, request: Any, context: Any) -> Any:
        self.calls += 1
        if isinstance(self.say, Exception):
            raise self.say
        if self.say is None:
            await asyncio.Event().wait()
        return self.say

    EvaluatePartial = GetBudget = ListCheckpoints = ListEntries = GetConsistencyProof = _answer
    ListCharters = _answer


class World:
    def __init__(self) -> None:
        self.register = Register({A.id: A.record(), B.id: B.record()})
        self.answers = Answers()
        self.time = 0.0

    async def serve(self) -> tuple[grpc.aio.Server, int]:
        gate = Gate(MemberId(B.id), lambda: self.register, lambda: NOW)  # type: ignore[arg-type, return-value] # stands in for a charter
        guard = Guard(gate, refused=lambda *_: None, incident=lambda: "1")
        server = grpc.aio.server(interceptors=(guard,), options=OPTIONS)
        evaluation_pb2_grpc.add_EvaluationServiceServicer_to_server(self.answers, server)
        log_pb2_grpc.add_LogServiceServicer_to_server(self.answers, server)
        membership_pb2_grpc.add_MembershipServiceServicer_to_server(self.answers, server)
        identity = ServerIdentity(B.identity(LeafRole.NODE), [A.authority.der, B.authority.der])
        port = listen(server, "127.0.0.1:0", identity)
        await server.start()
        self.register.members[B.id] = B.record(f"127.0.0.1:{port}")
        return server, port


def run(scenario: Callable[[World, GrpcPeers], Awaitable[None]]) -> None:
    async def within() -> None:
        world = World()
        server, _ = await world.serve()
        identity = A.identity(LeafRole.NODE)
        with ThreadPoolExecutor(1) as pool:
            peers = GrpcPeers(
                charter=lambda: world.register,  # type: ignore[arg-type, return-value] # stands in for a charter
                identity=lambda: identity,
                executor=pool,
                monotonic=lambda: world.time,
                heard=lambda member, time: None,
                evaluate_s=0.3,
                read_s=0.3,
            )
            await asyncio.wait_for(scenario(world, peers), 15)
            await peers.close()
            await server.stop(0)

    asyncio.run(within())


def request() -> PartialRequest:
    return PartialRequest(1, 1, bytes(32), (1, 2), 2, [base_multiply(random_scalar(os.urandom))])


async def reason(asking: Awaitable[object]) -> str:
    with pytest.raises(PeerError) as caught:
        await asking
    assert caught.value.member == PEER
    return caught.value.reason


def test_reasons_travel_and_are_answers_not_silence() -> None:
    async def scenario(world: World, peers: GrpcPeers) -> None:
        world.answers.say = EvaluationsUsedUp("none left")
        for _ in range(5):
            assert await reason(peers.evaluate(PEER, request())) == "BUDGET_EXHAUSTED"
        world.answers.say = LogQuarantined("it forked")
        assert await reason(peers.entries(PEER, PEER, 0, 10)) == "QUARANTINED"
        assert peers.states() == {PEER: "closed"}

    run(scenario)


def test_answers_that_cannot_be_parsed_are_malformed() -> None:
    async def scenario(world: World, peers: GrpcPeers) -> None:
        world.answers.say = evaluation_pb2.EvaluatePartialResponse(
            partial=evaluation_pb2.SignedPartial(seat=1, quorum=[1, 2], evaluated_elements=[bytes(32)])
        )
        assert await reason(peers.evaluate(PEER, request())) == "MALFORMED"
        world.answers.say = evaluation_pb2.GetBudgetResponse(budgets=[evaluation_pb2.Budget(evaluator=b"x")])
        assert await reason(peers.budgets(PEER)) == "MALFORMED"
        world.answers.say = log_pb2.ListEntriesResponse(entries=[{}, {}])
        assert await reason(peers.entries(PEER, PEER, 0, 1)) == "MALFORMED"
        world.answers.say = log_pb2.GetConsistencyProofResponse(hashes=[b"short"])
        assert await reason(peers.consistency(PEER, PEER, 1, 2)) == "MALFORMED"
        world.answers.say = log_pb2.ListCheckpointsResponse(checkpoints=[log_pb2.LogCheckpoint(writer=b"x")])
        assert await reason(peers.checkpoints(PEER)) == "MALFORMED"
        world.answers.say = membership_pb2.ListChartersResponse(charters=[b"one"])
        assert await peers.charters(PEER, 1) == [b"one"]

    run(scenario)


def test_a_silent_peer_costs_a_deadline_then_nothing() -> None:
    async def scenario(world: World, peers: GrpcPeers) -> None:
        for _ in range(3):
            assert await reason(peers.checkpoints(PEER)) == "DEADLINE"
        started, calls = time.monotonic(), world.answers.calls
        for _ in range(20):
            assert await reason(peers.checkpoints(PEER)) == "CIRCUIT_OPEN"
        assert time.monotonic() - started < 0.25
        assert world.answers.calls == calls
        world.time += 1.5
        world.answers.say = log_pb2.ListCheckpointsResponse()
        assert await peers.checkpoints(PEER) == {}
        assert peers.states() == {PEER: "closed"}

    run(scenario)


def test_a_new_charter_moves_the_channel_or_ends_it() -> None:
    async def scenario(world: World, peers: GrpcPeers) -> None:
        world.answers.say = log_pb2.ListCheckpointsResponse()
        assert await peers.checkpoints(PEER) == {}
        second, _ = await world.serve()
        assert await peers.checkpoints(PEER) == {}
        await second.stop(0)
        assert await reason(peers.checkpoints(PEER)) == "UNREACHABLE"
        impostor = make_member(2)
        world.register.members[B.id] = impostor.record(world.register.members[B.id].endpoints[0])
        assert await reason(peers.checkpoints(PEER)) == "UNREACHABLE"
        world.register.remove(B.id)
        assert await reason(peers.checkpoints(PEER)) == "UNREACHABLE"

    run(scenario)
