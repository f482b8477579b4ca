"""A refusal as grpc carries it: the one table from reason to status code, writing a status and reading one back.

1. A refusal is a status code, a text, google.rpc.ErrorInfo{reason, domain "tocsin"} and, where one field is at fault,
   google.rpc.BadRequest that names it (M-10.1).
2. A reason is believed only in our domain, if the table lists it, and with the table's status code. Any other status
   has the conclusion that its code allows, so a reader never meets a reason that it does not know.
3. Details that cannot be read, or that name another code than the call ended with, are `Malformed`.
4. The text and the fields are the other side's: bounded here, for people, never to be acted on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any as Untyped

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import (  # type: ignore[import-untyped] # the package has no stubs
    BadRequest,
    ErrorInfo,
)
from google.rpc.status_pb2 import Status as RichStatus  # type: ignore[import-untyped] # the same

from tocsin.wire.errors import Malformed
from tocsin.wire.limits import MAX_FIELDS_AT_FAULT, MESSAGE_CHARACTERS
from tocsin.wire.reasons import Conclusion, Reason

DOMAIN = "tocsin"
_DETAILS_KEY = "grpc-status-details-bin"
_FIELD_CHARACTERS = 100
_Code = grpc.StatusCode

CODES: Mapping[Reason, grpc.StatusCode] = {
    # evaluation.proto
    Reason.INVALID_ELEMENT: _Code.INVALID_ARGUMENT,
    Reason.TOO_MANY_ELEMENTS: _Code.INVALID_ARGUMENT,
    Reason.INVALID_QUORUM: _Code.INVALID_ARGUMENT,
    Reason.UNKNOWN_CLASS: _Code.INVALID_ARGUMENT,
    Reason.UNKNOWN_EPOCH: _Code.FAILED_PRECONDITION,
    Reason.STALE_CHARTER: _Code.FAILED_PRECONDITION,
    Reason.BUDGET_EXHAUSTED: _Code.RESOURCE_EXHAUSTED,
    Reason.REPEATED_TOO_OFTEN: _Code.RESOURCE_EXHAUSTED,
    Reason.QUORUM_UNAVAILABLE: _Code.UNAVAILABLE,
    Reason.STORE_UNAVAILABLE: _Code.UNAVAILABLE,
    # publishing.proto
    Reason.INVALID_ENTRY: _Code.INVALID_ARGUMENT,
    Reason.TOO_MANY_ENTRIES: _Code.INVALID_ARGUMENT,
    Reason.INVALID_IDEMPOTENCY_KEY: _Code.INVALID_ARGUMENT,
    Reason.IDEMPOTENCY_CONFLICT: _Code.ALREADY_EXISTS,
    Reason.EXPIRED_ENTRY: _Code.INVALID_ARGUMENT,
    Reason.STORE_FULL: _Code.RESOURCE_EXHAUSTED,
    Reason.UNKNOWN_SUBMISSION: _Code.NOT_FOUND,
    # log.proto, lookup.proto, membership.proto
    Reason.UNKNOWN_LOG: _Code.NOT_FOUND,
    Reason.OUT_OF_RANGE: _Code.OUT_OF_RANGE,
    Reason.QUARANTINED: _Code.FAILED_PRECONDITION,
    Reason.TOO_MANY_TAGS: _Code.INVALID_ARGUMENT,
    Reason.INVALID_CURSOR: _Code.INVALID_ARGUMENT,
    Reason.UNKNOWN_VERSION: _Code.NOT_FOUND,
    Reason.TOO_MANY_LOCATIONS: _Code.INVALID_ARGUMENT,
    Reason.NOT_A_MEMBER: _Code.PERMISSION_DENIED,
    # any service
    Reason.NOT_READY: _Code.UNAVAILABLE,
    Reason.CHARTER_EXPIRED: _Code.FAILED_PRECONDITION,
    Reason.INVALID_REQUEST: _Code.INVALID_ARGUMENT,
    Reason.TOO_MANY_CALLS: _Code.RESOURCE_EXHAUSTED,
    Reason.STALLED: _Code.DEADLINE_EXCEEDED,
    Reason.DEADLINE: _Code.DEADLINE_EXCEEDED,
    Reason.STOPPING: _Code.UNAVAILABLE,
    Reason.UNIMPLEMENTED: _Code.UNIMPLEMENTED,
    Reason.INTERNAL: _Code.INTERNAL,
    # who may call
    Reason.UNKNOWN_METHOD: _Code.PERMISSION_DENIED,
    Reason.OLD_TLS: _Code.PERMISSION_DENIED,
    Reason.BAD_CERTIFICATE: _Code.PERMISSION_DENIED,
    Reason.UNKNOWN_MEMBER: _Code.PERMISSION_DENIED,
    Reason.FOREIGN_CERTIFICATE: _Code.PERMISSION_DENIED,
    Reason.EXPIRED_CERTIFICATE: _Code.PERMISSION_DENIED,
    Reason.WRONG_ROLE: _Code.PERMISSION_DENIED,
}

_CONCLUSIONS: Mapping[grpc.StatusCode, Conclusion] = {
    _Code.UNAVAILABLE: Conclusion.UNREACHABLE,
    _Code.DEADLINE_EXCEEDED: Conclusion.DEADLINE,
    _Code.CANCELLED: Conclusion.UNREACHABLE,
    _Code.PERMISSION_DENIED: Conclusion.NOT_ALLOWED,
    _Code.UNAUTHENTICATED: Conclusion.NOT_ALLOWED,
}


@dataclass(frozen=True)
class Status:
    """What travels instead of an answer."""

    code: grpc.StatusCode
    reason: Reason
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


def refuse(reason: Reason, message: str, field: str | None = None) -> Status:
    """Return the status of a refusal, its code by the table."""
    return Status(CODES[reason], reason, message[:MESSAGE_CHARACTERS], field)


@dataclass(frozen=True)
class Refusal:
    """What a node said instead of an answer."""

    code: grpc.StatusCode
    reason: Reason | Conclusion
    message: str
    fields: tuple[str, ...] = ()


def read_refusal(error: grpc.RpcError) -> Refusal:
    """Read what a call ended with, of either of grpc's two channels (rules 2 to 4). Raises `Malformed`."""
    call: Untyped = error
    code: grpc.StatusCode = call.code() if hasattr(call, "code") else _Code.UNKNOWN
    message: str = (call.details() or "") if hasattr(call, "details") else ""
    trailing = (call.trailing_metadata() or ()) if hasattr(call, "trailing_metadata") else ()
    reason: Reason | None = None
    fields: list[str] = []
    for key, value in trailing:
        if key == _DETAILS_KEY and isinstance(value, bytes):
            reason, fields = _details(code, value)
    return Refusal(
        code,
        reason or _CONCLUSIONS.get(code, Conclusion.MALFORMED),
        message[:MESSAGE_CHARACTERS],
        tuple(fields),
    )


def _details(code: grpc.StatusCode, raw: bytes) -> tuple[Reason | None, list[str]]:
    reason: Reason | None = None
    fields: list[str] = []
    try:
        rich = RichStatus.FromString(raw)
        if rich.code != code.value[0]:
            raise Malformed(f"the details of a status of {code.name} name another code", _DETAILS_KEY)
        for detail in rich.details:
            info, request = ErrorInfo(), BadRequest()
            if detail.Unpack(info) and info.domain == DOMAIN:
                reason = _listed(info.reason, code)
            elif detail.Unpack(request):
                fields += [violation.field[:_FIELD_CHARACTERS] for violation in request.field_violations]
    except DecodeError:
        raise Malformed("the details of a status cannot be read", _DETAILS_KEY) from None
    return reason, fields[:MAX_FIELDS_AT_FAULT]


def _listed(text: str, code: grpc.StatusCode) -> Reason | None:
    try:
        reason = Reason(text)
    except ValueError:
        return None
    return reason if CODES[reason] is code else None


def _packed(detail: ErrorInfo | BadRequest) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed
