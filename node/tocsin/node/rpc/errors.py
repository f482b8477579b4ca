"""Errors to statuses and back: the one table from machine-readable reason to status code.

1. A peer gets a status code, a message and google.rpc.ErrorInfo{reason, domain "tocsin"}; where one field is at fault
   also google.rpc.BadRequest naming it, with its index.
2. A reason that the table does not list, and any exception that is not one of ours, is INTERNAL: the peer gets the id
   of a log line and none of the exception's text.
3. What a caller gets as a status, `reason_of` reads back; a status without our details has the reason of its code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import (  # type: ignore[import-untyped] # the package has no stubs
    BadRequest,
    ErrorInfo,
)
from google.rpc.status_pb2 import Status as RichStatus  # type: ignore[import-untyped] # the same

from tocsin.node.errors import NodeError
from tocsin.node.ports import BudgetExhausted, IdempotencyConflict, StoreFull, StoreUnavailable
from tocsin.node.rpc.authorize import NotAllowed
from tocsin.node.service.errors import ServiceError

DOMAIN = "tocsin"
_DETAILS_KEY = "grpc-status-details-bin"
# HTTP/2 header lists are bounded; a message is text for a person and needs no more.
_MESSAGE_LIMIT = 1_000
_Code = grpc.StatusCode

CODES: Mapping[str, grpc.StatusCode] = {
    # evaluation.proto
    "INVALID_ELEMENT": _Code.INVALID_ARGUMENT,
    "TOO_MANY_ELEMENTS": _Code.INVALID_ARGUMENT,
    "INVALID_QUORUM": _Code.INVALID_ARGUMENT,
    "UNKNOWN_CLASS": _Code.INVALID_ARGUMENT,
    "UNKNOWN_EPOCH": _Code.FAILED_PRECONDITION,
    "STALE_CHARTER": _Code.FAILED_PRECONDITION,
    "BUDGET_EXHAUSTED": _Code.RESOURCE_EXHAUSTED,
    "REPEATED_TOO_OFTEN": _Code.RESOURCE_EXHAUSTED,
    "QUORUM_UNAVAILABLE": _Code.UNAVAILABLE,
    "STORE_UNAVAILABLE": _Code.UNAVAILABLE,
    # publishing.proto
    "INVALID_ENTRY": _Code.INVALID_ARGUMENT,
    "TOO_MANY_ENTRIES": _Code.INVALID_ARGUMENT,
    "INVALID_IDEMPOTENCY_KEY": _Code.INVALID_ARGUMENT,
    "IDEMPOTENCY_CONFLICT": _Code.ALREADY_EXISTS,
    "EXPIRED_ENTRY": _Code.INVALID_ARGUMENT,
    "STORE_FULL": _Code.RESOURCE_EXHAUSTED,
    "UNKNOWN_SUBMISSION": _Code.NOT_FOUND,
    # log.proto, lookup.proto, membership.proto
    "UNKNOWN_LOG": _Code.NOT_FOUND,
    "OUT_OF_RANGE": _Code.OUT_OF_RANGE,
    "QUARANTINED": _Code.FAILED_PRECONDITION,
    "TOO_MANY_TAGS": _Code.INVALID_ARGUMENT,
    "INVALID_CURSOR": _Code.INVALID_ARGUMENT,
    "UNKNOWN_VERSION": _Code.NOT_FOUND,
    "TOO_MANY_LOCATIONS": _Code.INVALID_ARGUMENT,
    "NOT_A_MEMBER": _Code.PERMISSION_DENIED,
    # any service
    "NOT_READY": _Code.UNAVAILABLE,
    "CHARTER_EXPIRED": _Code.FAILED_PRECONDITION,
    "INVALID_REQUEST": _Code.INVALID_ARGUMENT,
    "TOO_MANY_CALLS": _Code.RESOURCE_EXHAUSTED,
    "STALLED": _Code.DEADLINE_EXCEEDED,
    "DEADLINE": _Code.DEADLINE_EXCEEDED,
    "STOPPING": _Code.UNAVAILABLE,
    "UNIMPLEMENTED": _Code.UNIMPLEMENTED,
    "INTERNAL": _Code.INTERNAL,
    # authorize.py
    "UNKNOWN_METHOD": _Code.PERMISSION_DENIED,
    "OLD_TLS": _Code.PERMISSION_DENIED,
    "BAD_CERTIFICATE": _Code.PERMISSION_DENIED,
    "UNKNOWN_MEMBER": _Code.PERMISSION_DENIED,
    "FOREIGN_CERTIFICATE": _Code.PERMISSION_DENIED,
    "EXPIRED_CERTIFICATE": _Code.PERMISSION_DENIED,
    "WRONG_ROLE": _Code.PERMISSION_DENIED,
}

_REASON_OF_CODE: Mapping[grpc.StatusCode, str] = {
    _Code.UNAVAILABLE: "UNREACHABLE",
    _Code.DEADLINE_EXCEEDED: "DEADLINE",
    _Code.CANCELLED: "UNREACHABLE",
    _Code.PERMISSION_DENIED: "NOT_ALLOWED",
    _Code.UNAUTHENTICATED: "NOT_ALLOWED",
}


class WireError(NodeError):
    """The root of what the wire side refuses by itself; `field` names the culprit in the request, or is None."""

    reason = "INVALID_REQUEST"

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class MalformedRequest(WireError):
    """The bytes are no message of the method's type, or a field has a length it cannot have."""


class TooManyCalls(WireError):
    """The caller has as many calls open as it may."""

    reason = "TOO_MANY_CALLS"


class Stalled(WireError):
    """The request did not arrive in time."""

    reason = "STALLED"


class DeadlinePassed(WireError):
    """The call took longer than its deadline."""

    reason = "DEADLINE"


class Stopping(WireError):
    """The node is stopping."""

    reason = "STOPPING"


@dataclass(frozen=True)
class Status:
    """What travels instead of an answer."""

    code: grpc.StatusCode
    reason: str
    message: str
    field: str | None = None

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        """Encode google.rpc.Status with its details as grpc carries it."""
        number: int = self.code.value[0]
        rich = RichStatus(code=number, message=self.message)
        rich.details.append(_packed(ErrorInfo(reason=self.reason, domain=DOMAIN)))
        if self.field is not None:
            violation = BadRequest.FieldViolation(field=self.field, description=self.message)
            rich.details.append(_packed(BadRequest(field_violations=[violation])))
        return ((_DETAILS_KEY, rich.SerializeToString()),)


def _packed(detail: ErrorInfo | BadRequest) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed


def status_of(error: ServiceError | WireError | NotAllowed) -> Status:
    """Return the status of one of our own errors by its reason; a reason without a code is a fault of ours."""
    message = str(error)[:_MESSAGE_LIMIT]
    field = None if isinstance(error, NotAllowed) else error.field
    return Status(CODES[error.reason], error.reason, message, field)


def known_status(error: Exception) -> Status | None:
    """Return the status of an error that a peer may see, or None for one that it may not (rule 2)."""
    if isinstance(error, ServiceError | WireError | NotAllowed):
        return status_of(error) if error.reason in CODES else None
    if isinstance(error, NotImplementedError):
        return Status(_Code.UNIMPLEMENTED, "UNIMPLEMENTED", "this node does not serve the method")
    # Services map these themselves; one that slips through still tells its caller that nothing was stored.
    if isinstance(error, StoreFull):
        return Status(_Code.RESOURCE_EXHAUSTED, "STORE_FULL", "the node's disk is full; nothing was stored")
    if isinstance(error, StoreUnavailable):
        return Status(_Code.UNAVAILABLE, "STORE_UNAVAILABLE", "the node's store did not answer; try again")
    if isinstance(error, BudgetExhausted):
        return Status(_Code.RESOURCE_EXHAUSTED, "BUDGET_EXHAUSTED", str(error))
    if isinstance(error, IdempotencyConflict):
        return Status(
            _Code.ALREADY_EXISTS, "IDEMPOTENCY_CONFLICT", "the idempotency key was used with other content"
        )
    return None


def internal(incident: str) -> Status:
    """Return the status of a fault of ours; `incident` is the id of its log line."""
    return Status(_Code.INTERNAL, "INTERNAL", f"internal error; the node's log names it as {incident}")


@dataclass(frozen=True)
class Refusal:
    """What another node said instead of an answer."""

    reason: str
    message: str
    fields: tuple[str, ...] = ()


def refusal_of(error: grpc.RpcError) -> Refusal:
    """Read a peer's status (rule 3). Its text is the peer's: bounded here, and never to be trusted."""
    code = error.code() if isinstance(error, grpc.aio.AioRpcError | grpc.Call) else _Code.UNKNOWN
    details = error.details() if isinstance(error, grpc.aio.AioRpcError | grpc.Call) else ""
    message = (details or "")[:_MESSAGE_LIMIT]
    reason, fields = None, []
    for key, value in _trailing(error):
        if key != _DETAILS_KEY or not isinstance(value, bytes):
            continue
        try:
            for detail in RichStatus.FromString(value).details:
                info, request = ErrorInfo(), BadRequest()
                if detail.Unpack(info) and info.domain == DOMAIN:
                    reason = info.reason
                elif detail.Unpack(request):
                    fields += [violation.field[:100] for violation in request.field_violations[:16]]
        except DecodeError:
            return Refusal("MALFORMED", "the peer's error details cannot be read")
    if reason is None or reason not in CODES:
        reason = _REASON_OF_CODE.get(code, "MALFORMED")
    return Refusal(reason, message, tuple(fields))


def _trailing(error: grpc.RpcError) -> Sequence[tuple[str, str | bytes]]:
    if not isinstance(error, grpc.aio.AioRpcError | grpc.Call):
        return ()
    return tuple(error.trailing_metadata() or ())
