"""The other members' nodes over grpc: the adapter of the `Peers` port.

1. One channel per member, kept open. It is made anew when the charter gives that member other endpoints or another
   authority, or this node another certificate; calls under way end on the old one.
2. How a member's node is dialled, and that whoever answers is that node, is `tocsin.wire.tls`.
3. Every call has a deadline and goes through the member's circuit breaker, but for `charters`: the first call of a
   round of following, which comes at its own pace and so finds at once that a member is back.
4. Answers are bounded in size and parsed; what cannot be parsed is MALFORMED. Every failure is a `PeerError`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc

from tocsin.charter.document import Charter, Member, NotAMember
from tocsin.node.ports import PeerError
from tocsin.node.rpc.circuit import Circuit
from tocsin.tlog.merkle import Hash
from tocsin.v1 import (
    evaluation_pb2,
    evaluation_pb2_grpc,
    log_pb2,
    log_pb2_grpc,
    membership_pb2,
    membership_pb2_grpc,
)
from tocsin.wire.codec import evaluation, log, membership
from tocsin.wire.errors import Malformed
from tocsin.wire.limits import PEER_ANSWER_BYTES
from tocsin.wire.reasons import Conclusion
from tocsin.wire.status import read_refusal
from tocsin.wire.tls import TlsIdentity, channel_credentials, channel_options
from tocsin.wire.values import BudgetLeft, MemberId, PartialRequest, SignedPartial, Stored

EVALUATE_S = 5.0
READ_S = 15.0
# What leaves a peer unheard: the pipe, or its own deadline.
_SILENCE = frozenset({Conclusion.UNREACHABLE, Conclusion.DEADLINE})
_T = TypeVar("_T")


@dataclass(frozen=True)
class _Link:
    endpoints: tuple[str, ...]
    authority: bytes
    identity: TlsIdentity
    channel: grpc.aio.Channel
    evaluation: Any  # the generated stubs are typed for the synchronous channel only
    log: Any
    membership: Any


def _target(endpoints: tuple[str, ...]) -> str:
    """Return a grpc target for one endpoint, or for several literal addresses tried in order."""
    if len(endpoints) == 1:
        return endpoints[0]
    hosts = [endpoint.rpartition(":")[0] for endpoint in endpoints]
    if all(host.startswith("[") for host in hosts):
        return "ipv6:" + ",".join(endpoints)
    if all(host.replace(".", "").isdigit() for host in hosts):
        return "ipv4:" + ",".join(endpoints)
    return endpoints[0]


class GrpcPeers:
    """`Peers` over mTLS. It belongs to the event loop's thread; `close` it before the loop ends."""

    def __init__(
        self,
        *,
        charter: Callable[[], Charter],
        identity: Callable[[], TlsIdentity],
        executor: Executor,
        monotonic: Callable[[], float],
        heard: Callable[[MemberId, int], object],
        evaluate_s: float = EVALUATE_S,
        read_s: float = READ_S,
    ) -> None:
        """`executor` runs the curve work of parsing partials; `heard` is told what each member's clock says."""
        self._charter = charter
        self._identity = identity
        self._executor = executor
        self._monotonic = monotonic
        self._heard = heard
        self._evaluate_s = evaluate_s
        self._read_s = read_s
        self._links: dict[MemberId, _Link] = {}
        self._circuits: dict[MemberId, Circuit] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def evaluate(self, member: MemberId, request: PartialRequest) -> SignedPartial:
        """Ask one seat for its part."""
        message = evaluation.build_partial_request(request)
        link = self._link(member)
        answer: evaluation_pb2.EvaluatePartialResponse = await self._ask(
            member, link.evaluation.EvaluatePartial, message, self._evaluate_s
        )
        loop = asyncio.get_running_loop()
        return await self._parsed(
            member,
            loop.run_in_executor(self._executor, evaluation.parse_signed_partial, answer.partial, "partial"),
        )

    async def budgets(self, member: MemberId) -> list[BudgetLeft]:
        """What is left for this member on the seats of that evaluator."""
        link = self._link(member)
        request = evaluation_pb2.GetBudgetRequest()
        answer: evaluation_pb2.GetBudgetResponse = await self._ask(
            member, link.evaluation.GetBudget, request, self._evaluate_s
        )
        return self._parse(member, lambda: evaluation.parse_budgets(answer))

    async def checkpoints(self, member: MemberId) -> dict[MemberId, bytes]:
        """The newest signed note of every log that node holds."""
        link = self._link(member)
        request = log_pb2.ListCheckpointsRequest()
        answer: log_pb2.ListCheckpointsResponse = await self._ask(
            member, link.log.ListCheckpoints, request, self._read_s
        )
        notes = self._parse(
            member, lambda: {head.writer: head.note for head in log.parse_checkpoints(answer)}
        )
        self._heard(member, self._parse(member, lambda: log.parse_time(answer)))
        return notes

    async def intermediate_checkpoints(self, member: MemberId, after: int, limit: int) -> list[bytes]:
        """Signed notes of that member's own log at the multiples of 1,000 above a size, ascending."""
        link = self._link(member)
        request = log.build_steps_request(after, limit)
        answer: log_pb2.ListIntermediateCheckpointsResponse = await self._ask(
            member, link.log.ListIntermediateCheckpoints, request, self._read_s
        )
        return self._parse(member, lambda: log.parse_steps(answer, limit))

    async def entries(self, member: MemberId, writer: MemberId, start: int, limit: int) -> list[Stored]:
        """Up to `limit` entries of a log from `start` on."""
        link = self._link(member)
        request = log.build_page(writer, start, limit)
        answer: log_pb2.ListEntriesResponse = await self._ask(
            member, link.log.ListEntries, request, self._read_s
        )
        return self._parse(member, lambda: log.parse_entries(answer, start, limit))

    async def consistency(
        self, member: MemberId, writer: MemberId, old_size: int, new_size: int
    ) -> list[Hash]:
        """RFC 6962 consistency proof as that node computes it."""
        link = self._link(member)
        request = log.build_consistency_request(writer, old_size, new_size)
        answer: log_pb2.GetConsistencyProofResponse = await self._ask(
            member, link.log.GetConsistencyProof, request, self._read_s
        )
        return self._parse(member, lambda: log.parse_consistency(answer))

    async def charters(self, member: MemberId, first_version: int) -> list[bytes]:
        """Signed charter envelopes from a version on."""
        link = self._link(member)
        request = membership.build_first_version(first_version)
        answer: membership_pb2.ListChartersResponse = await self._answer(
            member, self._circuit(member), link.membership.ListCharters, request, self._read_s
        )
        return self._parse(member, lambda: membership.parse_charters(answer))

    async def close(self) -> None:
        """Close every channel."""
        links, self._links = list(self._links.values()), {}
        await asyncio.gather(*(link.channel.close() for link in links), *self._closing)

    def states(self) -> Mapping[MemberId, str]:
        """Return each asked member's circuit: closed, open or half-open."""
        return {member: circuit.state.value for member, circuit in self._circuits.items()}

    def _link(self, member_id: MemberId) -> _Link:
        charter = self._charter()
        try:
            member = charter.member(member_id)
        except NotAMember:
            raise PeerError(
                member_id, Conclusion.UNREACHABLE, "it is no member of the current charter"
            ) from None
        identity = self._identity()
        link = self._links.get(member_id)
        if link is not None:
            if (link.endpoints, link.authority, link.identity) == (member.endpoints, member.ca, identity):
                return link
            closing = asyncio.ensure_future(link.channel.close(grace=self._read_s))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        link = self._links[member_id] = _connect(charter.federation, member, identity)
        return link

    async def _ask(
        self, member: MemberId, method: Callable[..., Awaitable[_T]], request: object, seconds: float
    ) -> _T:
        circuit = self._circuit(member)
        if not circuit.admits():
            raise PeerError(
                member, Conclusion.CIRCUIT_OPEN, "it did not answer lately; it is asked again after a pause"
            )
        return await self._answer(member, circuit, method, request, seconds)

    def _circuit(self, member: MemberId) -> Circuit:
        return self._circuits.setdefault(member, Circuit(self._monotonic))

    async def _answer(
        self,
        member: MemberId,
        circuit: Circuit,
        method: Callable[..., Awaitable[_T]],
        request: object,
        seconds: float,
    ) -> _T:
        try:
            answer = await method(request, timeout=seconds)
        except asyncio.CancelledError:
            circuit.abandoned()
            raise
        except grpc.RpcError as error:
            raise self._refused(member, circuit, error) from None
        circuit.succeeded()
        return answer

    def _refused(self, member: MemberId, circuit: Circuit, error: grpc.RpcError) -> PeerError:
        try:
            refusal = read_refusal(error)
        except Malformed as malformed:
            circuit.succeeded()
            return PeerError(member, Conclusion.MALFORMED, malformed.message)
        if refusal.reason in _SILENCE:
            circuit.failed()
        else:
            circuit.succeeded()
        return PeerError(member, refusal.reason, refusal.message)

    async def _parsed(self, member: MemberId, parsing: Awaitable[_T]) -> _T:
        try:
            return await parsing
        except Malformed as error:
            raise PeerError(member, Conclusion.MALFORMED, error.message) from None

    def _parse(self, member: MemberId, parse: Callable[[], _T]) -> _T:
        try:
            return parse()
        except Malformed as error:
            raise PeerError(member, Conclusion.MALFORMED, error.message) from None


def _connect(federation: str, member: Member, identity: TlsIdentity) -> _Link:
    endpoints = tuple(member.endpoints)
    channel = grpc.aio.secure_channel(
        _target(endpoints),
        channel_credentials(member.ca, identity),
        options=channel_options(federation, member.id, answer_bytes=PEER_ANSWER_BYTES),
    )
    return _Link(
        endpoints=endpoints,
        authority=member.ca,
        identity=identity,
        channel=channel,
        evaluation=evaluation_pb2_grpc.EvaluationServiceStub(channel),
        log=log_pb2_grpc.LogServiceStub(channel),
        membership=membership_pb2_grpc.MembershipServiceStub(channel),
    )
