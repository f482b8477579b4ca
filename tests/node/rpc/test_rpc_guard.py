"""Real servers, real certificates, loopback: who gets in, and what is refused before any work."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from tests.certificates import DAY, FEDERATION, NOW, Register, TestMember, make_member
from tocsin.founding.certificates import LeafRole
from tocsin.node.rpc.authorize import Gate, NotAllowed, Role
from tocsin.node.rpc.credentials import ServerIdentity
from tocsin.node.rpc.guard import Guard, current_caller
from tocsin.node.rpc.server import OPTIONS, AddressTaken, listen
from tocsin.v1 import (
    evaluation_pb2,
    evaluation_pb2_grpc,
    lookup_pb2,
    lookup_pb2_grpc,
    publishing_pb2,
    publishing_pb2_grpc,
)
from tocsin.wire.errors import Malformed
from tocsin.wire.names import target_name
from tocsin.wire.reasons import Reason
from tocsin.wire.status import Refusal, read_refusal
from tocsin.wire.tls import TlsIdentity, channel_credentials

A, B, C = make_member(1), make_member(2), make_member(3)
STRANGER = make_member(9)


class Evaluation(evaluation_pb2_grpc.EvaluationServiceServicer):
    def __init__(self) -> None:
        self.served: list[tuple[bytes, str]] = []
        self.hold: asyncio.Event | None = None
        self.fails: Exception | None = None

    async def Evaluate(self, request: Any, context: Any) -> Any:  # noqa: N802 - the wire\'s name
        await self._serve()
        return evaluation_pb2.EvaluateResponse()

    async def EvaluatePartial(self, request: Any, context: Any) -> Any:  # noqa: N802 - the wire\'s name
        await self._serve()
        return evaluation_pb2.EvaluatePartialResponse()

    async def _serve(self) -> None:
        self.served.append((current_caller().member, current_caller().role))
        if self.fails is not None:
            raise self.fails
        if self.hold is not None:
            await self.hold.wait()


class Lookup(lookup_pb2_grpc.LookupServiceServicer):
    def __init__(self) -> None:
        self.news: asyncio.Queue[int] = asyncio.Queue()

    async def WatchTags(  # noqa: N802 - the wire's name
        self, request: Any, context: Any
    ) -> AsyncIterator[Any]:
        yield lookup_pb2.WatchTagsResponse(caught_up=True)
        while True:
            yield lookup_pb2.WatchTagsResponse(next_index=await self.news.get())


class World:
    """The node of A, with B and C in the charter."""

    def __init__(self, **limits: Any) -> None:
        self.register = Register({member.id: member.record() for member in (A, B, C)})
        self.refused: list[tuple[str, str]] = []
        self.gate = Gate(A.id, lambda: self.register, lambda: NOW)  # type: ignore[arg-type, return-value] # stands in for a charter
        self.guard = Guard(
            self.gate,
            refused=lambda *what: self.refused.append(what),
            incident=lambda: "incident-1",
            **limits,
        )
        self.evaluation, self.lookup = Evaluation(), Lookup()
        self.identity = ServerIdentity(
            A.identity(LeafRole.NODE), [m.ca for m in self.register.members.values()]
        )
        self.server: grpc.aio.Server
        self.port = 0
        self.channels: list[grpc.aio.Channel] = []

    async def __aenter__(self) -> World:
        self.server = grpc.aio.server(interceptors=(self.guard,), options=OPTIONS)
        evaluation_pb2_grpc.add_EvaluationServiceServicer_to_server(self.evaluation, self.server)
        lookup_pb2_grpc.add_LookupServiceServicer_to_server(self.lookup, self.server)
        publishing_pb2_grpc.add_PublishingServiceServicer_to_server(
            publishing_pb2_grpc.PublishingServiceServicer(), self.server
        )
        self.port = listen(self.server, "127.0.0.1:0", self.identity)
        await self.server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for channel in self.channels:
            await channel.close()
        await self.server.stop(0)

    def channel(self, identity: TlsIdentity, authority: TestMember = A, **more: Any) -> grpc.aio.Channel:
        channel = grpc.aio.secure_channel(
            f"127.0.0.1:{self.port}",
            channel_credentials(authority.authority.der, identity),
            options=(
                ("grpc.ssl_target_name_override", target_name(FEDERATION, A.id)),
                ("grpc.max_send_message_length", -1),
                ("grpc.use_local_subchannel_pool", 1),
            ),
            **more,
        )
        self.channels.append(channel)
        return channel

    async def partial(self, identity: TlsIdentity, timeout: float = 5) -> Any:
        stub: Any = evaluation_pb2_grpc.EvaluationServiceStub(self.channel(identity))
        return await stub.EvaluatePartial(evaluation_pb2.EvaluatePartialRequest(), timeout=timeout)

    async def evaluate(self, identity: TlsIdentity, timeout: float = 5) -> Any:
        stub: Any = evaluation_pb2_grpc.EvaluationServiceStub(self.channel(identity))
        return await stub.Evaluate(evaluation_pb2.EvaluateRequest(), timeout=timeout)


def run(scenario: Callable[[World], Awaitable[None]], **limits: Any) -> World:
    world = World(**limits)

    async def within() -> None:
        async with world:
            await asyncio.wait_for(scenario(world), 20)

    asyncio.run(within())
    return world


@asynccontextmanager
async def refused(code: grpc.StatusCode, reason: str) -> AsyncIterator[None]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    assert caught.value.code() is code
    assert read_refusal(caught.value).reason == reason


DENIED = grpc.StatusCode.PERMISSION_DENIED


def test_the_right_callers_get_in_and_are_known() -> None:
    async def scenario(world: World) -> None:
        await world.partial(B.identity(LeafRole.NODE))
        await world.evaluate(A.identity(LeafRole.CLIENT))
        assert world.evaluation.served == [(B.id, Role.NODE), (A.id, Role.CLIENT)]

    assert run(scenario).refused == []


@pytest.mark.parametrize(
    ("identity", "reason"),
    [
        (lambda: B.identity(LeafRole.NODE, claims=C.id), "FOREIGN_CERTIFICATE"),
        (lambda: B.identity(LeafRole.NODE, claims=STRANGER.id), "UNKNOWN_MEMBER"),
        (lambda: B.identity(LeafRole.NODE, federation="other.example"), "BAD_CERTIFICATE"),
        (lambda: A.identity(LeafRole.CLIENT), "WRONG_ROLE"),
        (lambda: B.identity(LeafRole.CLIENT), "WRONG_ROLE"),
    ],
)
def test_a_certificate_that_claims_too_much_is_denied_and_audited(identity: Any, reason: str) -> None:
    async def scenario(world: World) -> None:
        async with refused(DENIED, reason):
            await world.partial(identity())
        assert world.evaluation.served == []

    assert [what for what, _ in run(scenario).refused] == [reason]


@pytest.mark.parametrize("role", [LeafRole.NODE, LeafRole.CLIENT])
def test_client_methods_are_for_own_clients_only(role: LeafRole) -> None:
    async def scenario(world: World) -> None:
        async with refused(DENIED, "WRONG_ROLE"):
            await world.evaluate(B.identity(role))
        assert world.evaluation.served == []

    run(scenario)


def test_a_leaf_of_a_foreign_authority_or_an_expired_one_does_not_pass_the_handshake() -> None:
    async def scenario(world: World) -> None:
        expired = B.identity(LeafRole.NODE, at=NOW - 20 * DAY, days=10)
        for identity in (
            STRANGER.identity(LeafRole.NODE),
            STRANGER.identity(LeafRole.NODE, claims=B.id),
            expired,
        ):
            async with refused(grpc.StatusCode.UNAVAILABLE, "UNREACHABLE"):
                await world.partial(identity, timeout=2)
        assert world.evaluation.served == []

    run(scenario)


def test_a_leaf_that_expires_while_its_channel_is_open_is_denied() -> None:
    async def scenario(world: World) -> None:
        stub: Any = evaluation_pb2_grpc.EvaluationServiceStub(
            world.channel(B.identity(LeafRole.NODE, days=30))
        )
        await stub.EvaluatePartial(evaluation_pb2.EvaluatePartialRequest())
        world.gate._now = lambda: NOW + 31 * DAY
        async with refused(DENIED, "EXPIRED_CERTIFICATE"):
            await stub.EvaluatePartial(evaluation_pb2.EvaluatePartialRequest())

    run(scenario)


def test_a_dialler_refuses_another_members_node() -> None:
    async def scenario(world: World) -> None:
        stub: Any = evaluation_pb2_grpc.EvaluationServiceStub(
            world.channel(B.identity(LeafRole.NODE), authority=C)
        )
        async with refused(grpc.StatusCode.UNAVAILABLE, "UNREACHABLE"):
            await stub.EvaluatePartial(evaluation_pb2.EvaluatePartialRequest(), timeout=2)

    run(scenario)


def test_the_version_is_checked_on_each_call_too() -> None:
    gate = World().gate
    leaf = B.identity(LeafRole.NODE).certificate
    method = "/tocsin.v1.EvaluationService/EvaluatePartial"
    assert gate.admit(method, {"ssl_tls_version": [b"TLSv1.3"], "x509_pem_cert": [leaf]}).member == B.id
    for context in (
        {"ssl_tls_version": [b"TLSv1.2"], "x509_pem_cert": [leaf]},
        {"x509_pem_cert": [leaf]},
        {},
    ):
        with pytest.raises(NotAllowed) as caught:
            gate.admit(method, context)
        assert caught.value.reason == "OLD_TLS"


def test_a_removed_members_open_channel_dies_with_the_charter() -> None:
    async def scenario(world: World) -> None:
        stub: Any = evaluation_pb2_grpc.EvaluationServiceStub(world.channel(B.identity(LeafRole.NODE)))
        await stub.EvaluatePartial(evaluation_pb2.EvaluatePartialRequest())
        world.register.remove(B.id)
        async with refused(DENIED, "UNKNOWN_MEMBER"):
            await stub.EvaluatePartial(evaluation_pb2.EvaluatePartialRequest())

    run(scenario)


def test_rotation_drops_no_call_and_takes_effect_for_new_connections() -> None:
    newcomer = make_member(4)

    async def scenario(world: World) -> None:
        stub: Any = evaluation_pb2_grpc.EvaluationServiceStub(world.channel(B.identity(LeafRole.NODE)))
        world.evaluation.hold = asyncio.Event()
        under_way = asyncio.ensure_future(stub.EvaluatePartial(evaluation_pb2.EvaluatePartialRequest()))
        while not world.evaluation.served:
            await asyncio.sleep(0.01)
        async with refused(grpc.StatusCode.UNAVAILABLE, "UNREACHABLE"):
            await world.partial(newcomer.identity(LeafRole.NODE), timeout=2)
        world.register.members[newcomer.id] = newcomer.record()
        world.register.version += 1
        world.identity.replace_authorities(m.ca for m in world.register.members.values())
        rotated = A.identity(LeafRole.NODE)
        world.identity.replace_identity(rotated)
        world.evaluation.hold.set()
        await under_way
        await world.partial(newcomer.identity(LeafRole.NODE))
        shown = await asyncio.to_thread(_served_certificate, world.port, B.identity(LeafRole.NODE))
        assert shown == ssl.PEM_cert_to_DER_cert(rotated.certificate.decode())

    run(scenario)


def _served_certificate(port: int, identity: TlsIdentity) -> bytes | None:
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        file.write(identity.certificate + identity.key)
        file.flush()
        context = ssl.create_default_context(cadata=A.authority.pem.decode())
        context.load_cert_chain(file.name)
    context.set_alpn_protocols(["h2"])
    raw = socket.create_connection(("127.0.0.1", port), timeout=5)
    with raw, context.wrap_socket(raw, server_hostname=target_name(FEDERATION, A.id)) as tls:
        return tls.getpeercert(binary_form=True)


def test_unknown_methods_and_unserved_ones() -> None:
    async def scenario(world: World) -> None:
        channel = world.channel(A.identity(LeafRole.CLIENT))
        nothing = channel.unary_unary("/tocsin.v1.EvaluationService/Nothing")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await nothing(b"")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        stub: Any = publishing_pb2_grpc.PublishingServiceStub(channel)
        async with refused(grpc.StatusCode.UNIMPLEMENTED, "UNIMPLEMENTED"):
            await stub.Submit(publishing_pb2.SubmitRequest())

    run(scenario)


def test_a_served_method_that_the_table_does_not_list_is_denied() -> None:
    class Extra(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            if details.method != "/extra.Service/Do":
                return None

            async def do(request: bytes, context: Any) -> bytes:
                raise AssertionError("it was reached")

            return grpc.unary_unary_rpc_method_handler(do)

    async def scenario(world: World) -> None:
        world.server.add_generic_rpc_handlers((Extra(),))
        async with refused(DENIED, "UNKNOWN_METHOD"):
            await world.channel(A.identity(LeafRole.CLIENT)).unary_unary("/extra.Service/Do")(b"")

    run(scenario)


def test_error_details_round_trip_and_unknown_errors_say_nothing() -> None:
    async def scenario(world: World) -> None:
        client = A.identity(LeafRole.CLIENT)
        world.evaluation.fails = Malformed(
            "element 7 is refused", "blinded_elements[7]", Reason.INVALID_ELEMENT
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await world.evaluate(client)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert read_refusal(caught.value) == Refusal(
            grpc.StatusCode.INVALID_ARGUMENT,
            Reason.INVALID_ELEMENT,
            "element 7 is refused",
            ("blinded_elements[7]",),
        )
        world.evaluation.fails = RuntimeError("the secret is 1234")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await world.evaluate(client)
        assert read_refusal(caught.value).reason == "INTERNAL"
        assert "1234" not in str(caught.value.details())
        assert "incident-1" in str(caught.value.details())

    run(scenario)


def test_oversize_bomb_and_malformed_requests_never_reach_a_servicer() -> None:
    async def scenario(world: World) -> None:
        client = A.identity(LeafRole.CLIENT)
        method = "/tocsin.v1.EvaluationService/Evaluate"
        too_much = grpc.StatusCode.RESOURCE_EXHAUSTED
        oversize = world.channel(client).unary_unary(method)
        bomb = world.channel(client, compression=grpc.Compression.Gzip).unary_unary(method)
        for call, payload in ((oversize, bytes(1024 * 1024 + 1)), (bomb, bytes(64 * 1024 * 1024))):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(payload)
            assert caught.value.code() is too_much
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
            await oversize(b"\xff\xff\xff")
        assert world.evaluation.served == []

    run(scenario)


def test_an_unauthorized_request_is_refused_before_it_is_parsed() -> None:
    async def scenario(world: World) -> None:
        call = world.channel(B.identity(LeafRole.NODE)).unary_unary("/tocsin.v1.EvaluationService/Evaluate")
        async with refused(DENIED, "WRONG_ROLE"):
            await call(b"\xff\xff\xff")

    run(scenario)


def test_a_call_that_sends_nothing_is_ended_and_others_are_served_meanwhile() -> None:
    async def scenario(world: World) -> None:
        channel = world.channel(B.identity(LeafRole.NODE))
        silent = [channel.stream_unary("/tocsin.v1.EvaluationService/EvaluatePartial")() for _ in range(4)]
        await asyncio.gather(*(call.wait_for_connection() for call in silent))
        await asyncio.sleep(0.05)
        async with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS"):
            await world.partial(B.identity(LeafRole.NODE))
        await world.partial(C.identity(LeafRole.NODE))
        for call in silent:
            assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await world.partial(B.identity(LeafRole.NODE))

    run(scenario, arrival_s=0.6, calls={Role.CLIENT: 4, Role.NODE: 4})


def test_a_call_is_cut_at_the_deadline_of_the_node() -> None:
    async def scenario(world: World) -> None:
        world.evaluation.hold = asyncio.Event()
        async with refused(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE"):
            await world.evaluate(A.identity(LeafRole.CLIENT), timeout=3600)

    run(scenario, deadline_s=0.2)


def test_a_taken_port_is_refused_by_name() -> None:
    async def scenario(world: World) -> None:
        second = grpc.aio.server(options=OPTIONS)
        with pytest.raises(AddressTaken, match=f"127.0.0.1:{world.port}.*listen"):
            listen(second, f"127.0.0.1:{world.port}", world.identity)

    run(scenario)
