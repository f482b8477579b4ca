"""The own node over gRPC.

Rules
1. TLS 1.3 both ways. The library takes 1.2 too, so only RSA suites are offered below 1.3, which no P-256 certificate
   can use. The own member's CA alone is trusted, and the node's DNS name is checked whatever address it is reached at.
2. One channel is kept. A request has a deadline; what is safe to repeat is repeated twice when the pipe fails.
3. Every answer is parsed here, once; what is malformed is the node's fault.
4. A refusal with a reason becomes `RefusedByNode` or its subclass, everything of the pipe `Unavailable`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

# Read by the library when it first makes a channel.
os.environ.setdefault("GRPC_SSL_CIPHER_SUITES", "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from google.rpc import error_details_pb2  # type: ignore[import-untyped]  # ships no stubs
from grpc_status import rpc_status

from tocsin.client import system
from tocsin.client.config import ClientConfig
from tocsin.client.errors import (
    BadConfig,
    BudgetExhausted,
    NodeMisbehaved,
    RefusedByNode,
    StaleCharter,
    Unavailable,
)
from tocsin.oprf.dleq import Proof
from tocsin.oprf.group import BadElement, Element, decode_elements
from tocsin.oprf.threshold import PartialEvaluation
from tocsin.tlog.entry import parse_body, parse_header
from tocsin.tlog.errors import TlogError
from tocsin.tlog.merkle import parse_hash
from tocsin.v1 import (
    entry_pb2,
    evaluation_pb2,
    evaluation_pb2_grpc,
    log_pb2,
    log_pb2_grpc,
    lookup_pb2,
    lookup_pb2_grpc,
    membership_pb2,
    membership_pb2_grpc,
    publishing_pb2,
    publishing_pb2_grpc,
)
from tocsin.wire.values import (
    Acknowledged,
    BudgetLeft,
    Budgets,
    Kept,
    KeptFork,
    LogCheckpoint,
    LogStatus,
    MemberId,
    NewTags,
    NodeStatus,
    ProvenEntries,
    ProvenEntry,
    SignedPartial,
    Stored,
    SubmissionStatus,
    TagHit,
    WireEntry,
)

# What a client may send is bounded by the node; what it may receive is a page of 1,000 entries and change.
_MAX_RECEIVED = 8 * 1024 * 1024
_REPEATS = (0.2, 0.8)
_ID, _TAG = 16, 16
_REASONS: Mapping[str, type[RefusedByNode]] = {
    "BUDGET_EXHAUSTED": BudgetExhausted,
    "STALE_CHARTER": StaleCharter,
    "UNKNOWN_EPOCH": StaleCharter,
}
_PIPE = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})
_MENDING = "check that the node runs, that `node` in client.toml is its address, and the network between"

_Answer = TypeVar("_Answer")


class GrpcNode:
    """A `NodeApi` over one channel. Safe to use from several threads."""

    def __init__(self, config: ClientConfig, tls_key: bytes, authority: bytes) -> None:
        """Open the channel lazily. `tls_key` is PKCS #8 DER, `authority` the own CA in DER. Raises `BadConfig`."""
        self._address = config.node
        self._timeout = float(config.timeout_seconds)
        self._channel = grpc.secure_channel(
            config.node,
            _credentials(config, tls_key, authority),
            options=[
                ("grpc.ssl_target_name_override", f"{config.member.hex()}.node.{config.federation}"),
                ("grpc.max_receive_message_length", _MAX_RECEIVED),
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.keepalive_timeout_ms", 10_000),
            ],
        )
        self._evaluation = evaluation_pb2_grpc.EvaluationServiceStub(self._channel)
        self._publishing = publishing_pb2_grpc.PublishingServiceStub(self._channel)
        self._lookup = lookup_pb2_grpc.LookupServiceStub(self._channel)
        self._log = log_pb2_grpc.LogServiceStub(self._channel)
        self._membership = membership_pb2_grpc.MembershipServiceStub(self._channel)

    def __repr__(self) -> str:
        return f"GrpcNode({self._address!r})"

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def evaluate(
        self,
        key_class: int,
        epoch: int,
        committee_hash: bytes,
        blinded: Sequence[Element],
        complaints: Sequence[SignedPartial],
    ) -> list[SignedPartial]:
        """See `NodeApi.evaluate`."""
        request = evaluation_pb2.EvaluateRequest(
            key_class=key_class,
            key_epoch=epoch,
            committee_hash=committee_hash,
            blinded_elements=blinded,
            complaints=[_partial_out(each) for each in complaints],
        )
        return [_partial_in(each) for each in self._call(self._evaluation.Evaluate, request).partials]

    def budgets(self) -> Budgets:
        """See `NodeApi.budgets`."""
        answer = self._call(self._evaluation.ListBudgets, evaluation_pb2.ListBudgetsRequest())
        return Budgets(
            tuple(
                BudgetLeft(
                    each.key_class,
                    each.key_epoch,
                    each.seat,
                    _member(each.evaluator, "evaluator"),
                    each.limit,
                    each.left,
                )
                for each in answer.budgets
            ),
            tuple(_member(each, "evaluator") for each in answer.unreachable),
        )

    def submit(self, idempotency_key: bytes, entries: Sequence[WireEntry]) -> Acknowledged:
        """See `NodeApi.submit`."""
        request = publishing_pb2.SubmitRequest(
            idempotency_key=idempotency_key,
            entries=[entry_pb2.Entry(header=each.header, body=each.body) for each in entries],
        )
        answer = self._call(self._publishing.Submit, request)
        return Acknowledged(answer.accepted, answer.repeated_request)

    def retract(self, idempotency_key: bytes, tags: bytes) -> Acknowledged:
        """See `NodeApi.retract`."""
        request = publishing_pb2.RetractRequest(idempotency_key=idempotency_key, tags=tags)
        answer = self._call(self._publishing.Retract, request)
        return Acknowledged(answer.covered, answer.repeated_request)

    def submission(self, idempotency_key: bytes) -> SubmissionStatus | None:
        """See `NodeApi.submission`."""
        request = publishing_pb2.GetSubmissionRequest(idempotency_key=idempotency_key)
        try:
            answer = self._call(self._publishing.GetSubmission, request)
        except RefusedByNode as error:
            if error.reason == "UNKNOWN_SUBMISSION":
                return None
            raise
        return SubmissionStatus(answer.sequenced, tuple(answer.indices))

    def look_up(self, groups: Sequence[tuple[bytes, bytes]]) -> list[TagHit]:
        """See `NodeApi.look_up`."""
        request = lookup_pb2.LookUpRequest(
            tags=[lookup_pb2.WriterTags(writer=writer, tags=tags) for writer, tags in groups]
        )
        return [
            TagHit(each.group, each.position, tuple(each.indices))
            for each in self._call(self._lookup.LookUp, request).hits
        ]

    def proven_entries(self, locations: Sequence[tuple[bytes, int]]) -> ProvenEntries:
        """See `NodeApi.proven_entries`."""
        request = log_pb2.GetProvenEntriesRequest(
            locations=[entry_pb2.EntryLocation(writer=writer, index=index) for writer, index in locations]
        )
        answer = self._call(self._log.GetProvenEntries, request)
        checkpoints: dict[bytes, bytes] = {
            _member(head.writer, "writer"): head.checkpoint for head in answer.checkpoints
        }
        return ProvenEntries(tuple(_proven_in(proven) for proven in answer.entries), checkpoints)

    def watch_tags(self, cursor: Mapping[bytes, int], newest_period: int) -> GrpcTagStream:
        """See `NodeApi.watch_tags`."""
        request = lookup_pb2.WatchTagsRequest(
            cursor=[
                lookup_pb2.LogPosition(writer=writer, next_index=next_index)
                for writer, next_index in cursor.items()
            ],
            newest_period=newest_period,
        )
        return GrpcTagStream(self._lookup.WatchTags(request), self._address)

    def charters(self, first_version: int) -> list[bytes]:
        """See `NodeApi.charters`."""
        request = membership_pb2.ListChartersRequest(first_version=first_version)
        try:
            return list(self._call(self._membership.ListCharters, request).charters)
        except RefusedByNode as error:
            if error.reason == "UNKNOWN_VERSION":
                return []
            raise

    def status(self) -> NodeStatus:
        """See `NodeApi.status`."""
        answer = self._call(self._membership.GetStatus, membership_pb2.GetStatusRequest())
        return NodeStatus(
            _member(answer.member, "member"),
            answer.software_version,
            answer.charter_version,
            answer.waiting,
            tuple(
                LogStatus(
                    _member(each.writer, "writer"),
                    each.size,
                    each.checkpoint_time,
                    each.last_reached,
                    each.quarantined,
                    each.problem,
                )
                for each in answer.logs
            ),
        )

    def checkpoints(self) -> list[LogCheckpoint]:
        """See `NodeApi.checkpoints`."""
        answer = self._call(self._log.ListCheckpoints, log_pb2.ListCheckpointsRequest())
        return [
            LogCheckpoint(_member(each.writer, "writer"), each.checkpoint, each.quarantined)
            for each in answer.checkpoints
        ]

    def forks(self) -> list[KeptFork]:
        """See `NodeApi.forks`."""
        answer = self._call(self._log.ListForks, log_pb2.ListForksRequest())
        return [KeptFork(_member(each.writer, "writer"), each.proof) for each in answer.forks]

    def entries(self, writer: bytes, start: int, limit: int) -> list[Stored]:
        """See `NodeApi.entries`."""
        request = log_pb2.ListEntriesRequest(writer=writer, start=start, limit=limit)
        page = self._call(self._log.ListEntries, request).entries
        return [_entry_in(index, entry) for index, entry in enumerate(page, start)]

    def _call(self, method: Callable[..., _Answer], request: Any) -> _Answer:
        # Every request is safe to repeat: reads, batches with an identity, submissions with a key.
        for pause in (*_REPEATS, None):
            try:
                return method(request, timeout=self._timeout)
            except grpc.RpcError as error:
                mapped = _error(error, self._address)
                if (
                    pause is None
                    or not isinstance(mapped, Unavailable)
                    or error.code() != grpc.StatusCode.UNAVAILABLE
                ):
                    raise mapped from None
            except ValueError:
                raise Unavailable(f"the channel to the node at {self._address} is closed") from None
            system.pause(pause)
        raise Unavailable(f"the node at {self._address} cannot be reached; {_MENDING}")


class GrpcTagStream:
    """A `TagStream` over an open call."""

    def __init__(self, call: Any, address: str) -> None:
        self._call = call
        self._address = address
        self._cancelled = False

    def __iter__(self) -> Iterator[NewTags]:
        try:
            for each in self._call:
                indices = tuple(each.indices)
                yield NewTags(
                    _member(each.writer, "writer"),
                    indices,
                    _sized(each.tags, _TAG * len(indices), "tags"),
                    each.next_index,
                    each.caught_up,
                )
        except grpc.RpcError as error:
            if not self._cancelled:
                raise _error(error, self._address) from None

    def cancel(self) -> None:
        """End the stream."""
        self._cancelled = True
        self._call.cancel()


def _credentials(config: ClientConfig, tls_key: bytes, authority: bytes) -> grpc.ChannelCredentials:
    try:
        chain = config.certificate.read_bytes()
        x509.load_pem_x509_certificate(chain)
        key = serialization.load_der_private_key(tls_key, password=None).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        root = x509.load_der_x509_certificate(authority).public_bytes(serialization.Encoding.PEM)
    except OSError as error:
        raise BadConfig(f"{config.certificate}: cannot be read ({error.strerror})") from None
    except (ValueError, TypeError):
        raise BadConfig(
            f"the certificate {config.certificate}, the keyring's tls key or the own CA in the charter cannot be used; "
            "issue the client's certificate again"
        ) from None
    return grpc.ssl_channel_credentials(root_certificates=root, private_key=key, certificate_chain=chain)


def _error(error: grpc.RpcError, address: str) -> Unavailable | RefusedByNode:
    code = error.code()
    reason, field = "", None
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # every RpcError of a call is its Call
    for detail in status.details if status is not None else ():
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo()
            detail.Unpack(info)
            reason = info.reason
        elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = error_details_pb2.BadRequest()
            detail.Unpack(bad)
            field = next((each.field for each in bad.field_violations), None)
    message = (error.details() or "")[:500]
    if code in _PIPE:
        return Unavailable(
            f"the node at {address} could not do it now ({reason or code.name.lower()}): {message or 'no answer'}; "
            f"{_MENDING}"
        )
    # With or without a reason: the request may have been done, and to repeat it is safe.
    if code is grpc.StatusCode.INTERNAL:
        return Unavailable(f"the node at {address} failed ({message}); see its log")
    kind = _REASONS.get(reason, RefusedByNode)
    return kind(reason or code.name, message, field)


def _partial_out(each: SignedPartial) -> evaluation_pb2.SignedPartial:
    return evaluation_pb2.SignedPartial(
        seat=each.seat,
        evaluator=each.evaluator,
        quorum=each.quorum,
        evaluated_elements=each.partial.evaluated,
        proof=each.partial.proof,
        budget_left=each.budget_left,
        time=each.time,
        signature=each.signature,
    )


def _partial_in(each: evaluation_pb2.SignedPartial) -> SignedPartial:
    try:
        evaluated = tuple(decode_elements(each.evaluated_elements))
    except BadElement as error:
        raise NodeMisbehaved(
            f"evaluated element {error.index} of seat {each.seat} is no element ({error.rule})"
        ) from None
    return SignedPartial(
        seat=each.seat,
        evaluator=_member(each.evaluator, "evaluator"),
        quorum=tuple(each.quorum),
        partial=PartialEvaluation(evaluated, Proof(_sized(each.proof, 64, "proof"))),
        budget_left=each.budget_left,
        time=each.time,
        signature=_sized(each.signature, 64, "signature"),
    )


def _entry_in(index: int, entry: entry_pb2.Entry) -> Stored:
    def parse() -> Stored:
        kept = Kept(parse_header(entry.header), parse_body(entry.body) if entry.body else None)
        stored = Stored(index, kept, entry.body_hash)
        stored.check_leaf()
        return stored

    return _checked(parse, "entry")


def _proven_in(each: log_pb2.ProvenEntry) -> ProvenEntry:
    return ProvenEntry(
        _member(each.location.writer, "writer"),
        _entry_in(each.location.index, each.entry),
        _checked(lambda: tuple(parse_hash(step) for step in each.hashes), "proof"),
    )


def _checked(parse: Callable[[], _Answer], what: str) -> _Answer:
    try:
        return parse()
    except TlogError as error:
        raise NodeMisbehaved(f"it sent a malformed {what} ({error})") from None


def _member(value: bytes, what: str) -> MemberId:
    return MemberId(_sized(value, _ID, what))


def _sized(value: bytes, size: int, what: str) -> bytes:
    if len(value) != size:
        raise NodeMisbehaved(f"it sent {what} of {len(value)} bytes where {size} are due")
    return value
