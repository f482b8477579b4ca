"""A stream whose servicer writes by itself is authorized before each message, too (SPEC M-8.6)."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio

from tests.node.rpc.test_rpc_guard import DENIED, B, World, refused
from tocsin.founding.certificates import LeafRole

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def test_a_removed_members_watch_on_health_ends_at_its_next_message(monkeypatch: pytest.MonkeyPatch) -> None:
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
