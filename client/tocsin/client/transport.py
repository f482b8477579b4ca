"""Your node over gRPC.

Rules
1. One channel is kept; how it is dialled is `tocsin.wire.tls`. A request has a deadline; what is safe to repeat is
   repeated twice when the pipe fails.
2. Every answer is parsed by the wire's codec, once. What is malformed is the node's fault, and so is a body that its
   leaf does not commit to.
3. A refusal with a reason becomes `RefusedByNode` or its subclass, everything of the pipe `Unavailable`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from tocsin.wire import tls  # isort: skip # before grpc, which reads what it sets
import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tocsin.client import deadline, system
from tocsin.client.config import ClientConfig
from tocsin.client.errors import (
    BadConfig,
    BudgetExhausted,
    NodeMisbehaved,
    RefusedByNode,
    StaleCharter,
    Unavailable,
)
from tocsin.oprf.group import Element
from tocsin.tlog.errors import TlogError
from tocsin.v1 import (
    evaluation_pb2,
    evaluation_pb2_grpc,
    log_pb2,
    log_pb2_grpc,
    lookup_pb2_grpc,
    membership_pb2,
    membership_pb2_grpc,
    publishing_pb2,
    publishing_pb2_grpc,
)
from tocsin.wire.codec import evaluation, log, lookup, membership, publishing
from tocsin.wire.errors import Malformed
from tocsin.wire.limits import CLIENT_ANSWER_BYTES
from tocsin.wire.reasons import Conclusion, Reason
from tocsin.wire.status import read_refusal
from tocsin.wire.values import (
    Acknowledged,
    Budgets,
    EvaluationRequest,
    KeptFork,
    LogCheckpoint,
    NewTags,
    NodeStatus,
    ProvenEntries,
    SignedPartial,
    Stored,
    SubmissionStatus,
    TagHit,
    WireEntry,
)

_REPEATS_S = (0.2, 0.8)
_REASONS: Mapping[Reason | Conclusion, type[RefusedByNode]] = {
    Reason.BUDGET_EXHAUSTED: BudgetExhausted,
    Reason.STALE_CHARTER: StaleCharter,
    Reason.UNKNOWN_EPOCH: StaleCharter,
}
_PIPE = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})
_REMEDY = "check that the node runs, that `node` in client.toml is its address, and the network between"

_Answer = TypeVar("_Answer")
_Value = TypeVar("_Value")


class GrpcNode:
    """A `NodeApi` over one channel. Safe to use from several threads."""

    def __init__(self, config: ClientConfig, tls_key: bytes, authority: bytes) -> None:
        """Open the channel lazily. `tls_key` is PKCS #8 DER, `authority` the member's CA in DER. Raises `BadConfig`."""
        self._address = config.node
        self._timeout = float(config.timeout_seconds)
        self._channel = grpc.secure_channel(
            config.node,
            _credentials(config, tls_key, authority),
            options=tls.channel_options(config.federation, config.member, answer_bytes=CLIENT_ANSWER_BYTES),
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
        request = EvaluationRequest(key_class, epoch, committee_hash, blinded, complaints)
        answer = self._call(self._evaluation.Evaluate, evaluation.build_evaluate(request))
        return _parsed(lambda: evaluation.parse_partials(answer))

    def budgets(self) -> Budgets:
        """See `NodeApi.budgets`."""
        answer = self._call(self._evaluation.ListBudgets, evaluation_pb2.ListBudgetsRequest())
        return _parsed(lambda: evaluation.parse_all_budgets(answer))

    def submit(self, idempotency_key: bytes, entries: Sequence[WireEntry]) -> Acknowledged:
        """See `NodeApi.submit`."""
        request = publishing.build_submission(idempotency_key, entries)
        return publishing.parse_submitted(self._call(self._publishing.Submit, request))

    def retract(self, idempotency_key: bytes, tags: bytes) -> Acknowledged:
        """See `NodeApi.retract`."""
        request = publishing.build_retraction(idempotency_key, tags)
        return publishing.parse_retracted(self._call(self._publishing.Retract, request))

    def submission(self, idempotency_key: bytes) -> SubmissionStatus | None:
        """See `NodeApi.submission`."""
        request = publishing_pb2.GetSubmissionRequest(idempotency_key=idempotency_key)
        try:
            answer = self._call(self._publishing.GetSubmission, request)
        except RefusedByNode as error:
            if error.reason == Reason.UNKNOWN_SUBMISSION:
                return None
            raise
        return _parsed(lambda: publishing.parse_submission_status(answer))

    def look_up(self, groups: Sequence[tuple[bytes, bytes]]) -> list[TagHit]:
        """See `NodeApi.look_up`."""
        answer = self._call(self._lookup.LookUp, lookup.build_look_up(groups))
        return _parsed(lambda: lookup.parse_hits(answer, groups))

    def proven_entries(self, locations: Sequence[tuple[bytes, int]]) -> ProvenEntries:
        """See `NodeApi.proven_entries`."""
        answer = self._call(self._log.GetProvenEntries, log.build_locations(locations))
        proven = _parsed(lambda: log.parse_proven(answer))
        for entry in proven.entries:
            _check_leaf(entry.stored)
        return proven

    def watch_tags(self, cursor: Mapping[bytes, int], newest_period: int) -> GrpcTagStream:
        """See `NodeApi.watch_tags`."""
        request = lookup.build_watch(cursor, newest_period)
        return GrpcTagStream(self._lookup.WatchTags(request), self._address)

    def charters(self, first_version: int) -> list[bytes]:
        """See `NodeApi.charters`."""
        request = membership.build_first_version(first_version)
        try:
            answer = self._call(self._membership.ListCharters, request)
        except RefusedByNode as error:
            if error.reason == Reason.UNKNOWN_VERSION:
                return []
            raise
        return _parsed(lambda: membership.parse_charters(answer))

    def status(self) -> NodeStatus:
        """See `NodeApi.status`."""
        answer = self._call(self._membership.GetStatus, membership_pb2.GetStatusRequest())
        return _parsed(lambda: membership.parse_status(answer))

    def checkpoints(self) -> list[LogCheckpoint]:
        """See `NodeApi.checkpoints`."""
        answer = self._call(self._log.ListCheckpoints, log_pb2.ListCheckpointsRequest())
        return _parsed(lambda: log.parse_checkpoints(answer))

    def forks(self) -> list[KeptFork]:
        """See `NodeApi.forks`."""
        answer = self._call(self._log.ListForks, log_pb2.ListForksRequest())
        return _parsed(lambda: log.parse_forks(answer))

    def entries(self, writer: bytes, start: int, limit: int) -> list[Stored]:
        """See `NodeApi.entries`."""
        answer = self._call(self._log.ListEntries, log.build_page(writer, start, limit))
        page = _parsed(lambda: log.parse_entries(answer, start, limit))
        for stored in page:
            _check_leaf(stored)
        return page

    def _call(self, method: Callable[..., _Answer], request: Any) -> _Answer:
        # Every request is safe to repeat: reads, batches with an identity, submissions with a key (M-10.2).
        for pause in (*_REPEATS_S, None):
            try:
                return method(request, timeout=deadline.limited(self._timeout))
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
        raise Unavailable(f"the node at {self._address} cannot be reached; {_REMEDY}")


class GrpcTagStream:
    """A `TagStream` over an open call."""

    def __init__(self, call: Any, address: str) -> None:
        self._call = call
        self._address = address
        self._cancelled = False

    def __iter__(self) -> Iterator[NewTags]:
        try:
            for message in self._call:
                yield lookup.parse_new_tags(message)
        except Malformed as error:
            raise _misbehaved(error) from None
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
        x509.load_der_x509_certificate(authority)
    except OSError as error:
        raise BadConfig(f"{config.certificate}: cannot be read ({error.strerror})") from None
    except (ValueError, TypeError):
        raise BadConfig(
            f"the certificate {config.certificate}, the keyring's tls key or your CA in the charter cannot be used; "
            "issue the client's certificate again"
        ) from None
    return tls.channel_credentials(authority, tls.TlsIdentity(chain, key))


def _error(error: grpc.RpcError, address: str) -> Unavailable | RefusedByNode | NodeMisbehaved:
    try:
        refusal = read_refusal(error)
    except Malformed as malformed:
        return _misbehaved(malformed)
    code, message = refusal.code, refusal.message
    named = refusal.reason if isinstance(refusal.reason, Reason) else None
    if code in _PIPE:
        return Unavailable(
            f"the node at {address} could not do it now ({named or code.name.lower()}): {message or 'no answer'}; "
            f"{_REMEDY}"
        )
    # With or without a reason: the request may have been done, and to repeat it is safe (M-10.2).
    if code is grpc.StatusCode.INTERNAL:
        return Unavailable(f"the node at {address} failed ({message}); see its log")
    kind = _REASONS.get(refusal.reason, RefusedByNode)
    return kind(named or code.name, message, next(iter(refusal.fields), None))


def _parsed(parse: Callable[[], _Value]) -> _Value:
    try:
        return parse()
    except Malformed as error:
        raise _misbehaved(error) from None


def _check_leaf(stored: Stored) -> None:
    try:
        stored.check_leaf()
    except TlogError as error:
        raise NodeMisbehaved(f"it sent a malformed entry {stored.index} ({error})") from None


def _misbehaved(error: Malformed) -> NodeMisbehaved:
    return NodeMisbehaved(f"it sent a malformed answer ({error})")
