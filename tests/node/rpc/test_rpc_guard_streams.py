"""Streams end with the charter and with the node; each message is authorized (SPEC M-8.6)."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio

from tests.node.rpc.test_rpc_guard import DENIED, A, B, World, refused, run
from tocsin.founding.certificates import LeafRole
from tocsin.v1 import lookup_pb2, lookup_pb2_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def test_a_stream_ends_with_the_charter_and_with_the_node() -> None:
    async def scenario(world: World) -> None:
        stub: Any = lookup_pb2_grpc.LookupServiceStub(world.channel(A.identity(LeafRole.CLIENT)))
        first, second = (stub.WatchTags(lookup_pb2.WatchTagsRequest()) for _ in range(2))
        for stream in (first, second):
            assert (await stream.read()).caught_up
        world.guard.end_streams()
        for stream in (first, second):
            async with refused(grpc.StatusCode.UNAVAILABLE, "STOPPING"):
                await stream.read()
        async with refused(grpc.StatusCode.UNAVAILABLE, "STOPPING"):
            await world.evaluate(A.identity(LeafRole.CLIENT))

    run(scenario)

    async def removal(world: World) -> None:
        stub: Any = lookup_pb2_grpc.LookupServiceStub(world.channel(A.identity(LeafRole.CLIENT)))
        stream = stub.WatchTags(lookup_pb2.WatchTagsRequest())
        await stream.read()
        world.register.remove(A.id)
        world.lookup.news.put_nowait(2)
        async with refused(DENIED, "UNKNOWN_MEMBER"):
            await stream.read()

    run(removal)


def test_a_stream_ends_in_good_order_after_a_while() -> None:
    async def scenario(world: World) -> None:
        stub: Any = lookup_pb2_grpc.LookupServiceStub(world.channel(A.identity(LeafRole.CLIENT)))
        stream = stub.WatchTags(lookup_pb2.WatchTagsRequest())
        assert (await stream.read()).caught_up
        assert await stream.read() is grpc.aio.EOF
        # M-10.5: the reader goes on from its cursor.
        assert await stream.code() is grpc.StatusCode.OK

    run(scenario, stream_s=0.2)


def test_a_removed_members_watch_on_health_ends_at_its_next_message(monkeypatch: pytest.MonkeyPatch) -> None:
    # The servicer of health writes to its stream by itself instead of yielding.
    health: Any = aio.HealthServicer()

    class Healthy(World):
        async def __aenter__(self) -> World:
            made = grpc.aio.server

            def with_health(**options: Any) -> grpc.aio.Server:
                server = made(**options)
                health_pb2_grpc.add_HealthServicer_to_server(health, server)
                return server

            monkeypatch.setattr(grpc.aio, "server", with_health)
            return await super().__aenter__()

    async def scenario(world: World) -> None:
        stub: Any = health_pb2_grpc.HealthStub(world.channel(B.identity(LeafRole.NODE)))
        stream = stub.Watch(health_pb2.HealthCheckRequest())
        await health.set("", SERVING)
        while (await stream.read()).status != SERVING:
            pass
        world.register.remove(B.id)
        await health.set("", NOT_SERVING)
        async with refused(DENIED, "UNKNOWN_MEMBER"):
            await stream.read()

    async def within() -> None:
        async with Healthy() as world:
            await asyncio.wait_for(scenario(world), 20)

    asyncio.run(within())
