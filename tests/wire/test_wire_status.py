"""Refusals as they travel: what is written is read back, and what is not ours is not believed."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # ships no stubs

from tocsin.client.errors import NodeMisbehaved, RefusedByNode
from tocsin.client.transport import _error
from tocsin.wire.errors import Malformed
from tocsin.wire.limits import MAX_FIELDS_AT_FAULT, MESSAGE_CHARACTERS
from tocsin.wire.reasons import Conclusion, Reason
from tocsin.wire.status import CODES, Refusal, read_refusal, refuse

EXHAUSTED, REFUSED = grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.FAILED_PRECONDITION


class Ended(grpc.RpcError):
    """A call that ended with a status, as either of grpc's channels raises it."""

    def __init__(self, code: grpc.StatusCode, details: bytes, message: str = "m") -> None:
        self._code, self._details, self._message = code, details, message

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._message

    def trailing_metadata(self) -> Any:
        return (("grpc-status-details-bin", self._details),)


def details(code: grpc.StatusCode, reason: str, domain: str = "tocsin", fields: int = 0) -> bytes:
    status = status_pb2.Status(code=code.value[0], message="m")
    violations = [error_details_pb2.BadRequest.FieldViolation(field="f" * 200) for _ in range(fields)]
    parts = (
        error_details_pb2.ErrorInfo(reason=reason, domain=domain),
        error_details_pb2.BadRequest(field_violations=violations),
    )
    for part in parts:
        packed = any_pb2.Any()
        packed.Pack(part)
        status.details.append(packed)
    return bytes(status.SerializeToString())


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_read_back(reason: Reason) -> None:
    status = refuse(reason, "what happened", "tags[3]")
    ended = Ended(status.code, status.trailing_metadata()[0][1], status.message)
    assert read_refusal(ended) == Refusal(CODES[reason], reason, "what happened", ("tags[3]",))


@pytest.mark.parametrize(
    ("code", "reason", "domain"),
    [
        (EXHAUSTED, "BUDGET_EXHAUSTED", "example.com"),
        (EXHAUSTED, "BUDGET_EXHAUSTED\x1b[31m", "tocsin"),
        (REFUSED, "BUDGET_EXHAUSTED", "tocsin"),
    ],
    ids=["another domain", "unknown", "another code than the table's"],
)
def test_a_reason_that_is_not_ours_is_not_believed(code: grpc.StatusCode, reason: str, domain: str) -> None:
    ended = Ended(code, details(code, reason, domain))
    assert read_refusal(ended).reason is Conclusion.MALFORMED
    error = _error(ended, "node:1")
    assert type(error) is RefusedByNode
    assert error.reason == code.name


@pytest.mark.parametrize(
    "raw", [b"\xff\xff", details(REFUSED, "STALE_CHARTER")], ids=["no message", "another code"]
)
def test_details_that_cannot_be_believed_are_the_nodes_fault(raw: bytes) -> None:
    ended = Ended(EXHAUSTED, raw)
    with pytest.raises(Malformed):
        read_refusal(ended)
    assert isinstance(_error(ended, "node:1"), NodeMisbehaved)


def test_the_other_sides_text_is_bounded() -> None:
    refusal = read_refusal(Ended(EXHAUSTED, details(EXHAUSTED, "STORE_FULL", fields=99), "m" * 9_999))
    assert len(refusal.message) == MESSAGE_CHARACTERS
    assert [len(field) for field in refusal.fields] == [100] * MAX_FIELDS_AT_FAULT
