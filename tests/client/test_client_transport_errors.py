"""Which answers of a node are of the pipe, and which are a refusal."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # ships no stubs

from tocsin.client.errors import RefusedByNode, Unavailable
from tocsin.client.transport import _error


class Answer(grpc.RpcError):
    """An error as a call raises it."""

    def __init__(self, code: grpc.StatusCode, reason: str) -> None:
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.ErrorInfo(reason=reason, domain="tocsin"))
        self._code = code
        self._status = status_pb2.Status(code=code.value[0], message="m", details=[detail])

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "m"

    def trailing_metadata(self) -> Any:
        return (("grpc-status-details-bin", self._status.SerializeToString()),)


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (grpc.StatusCode.INTERNAL, "INTERNAL", Unavailable),
        (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", Unavailable),
        (grpc.StatusCode.UNAVAILABLE, "QUORUM_UNAVAILABLE", Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE", Unavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "STORE_FULL", RefusedByNode),
        (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ENTRY", RefusedByNode),
    ],
)
def test_what_leaves_open_whether_it_was_done_is_no_refusal(
    code: grpc.StatusCode, reason: str, kind: type[Exception]
) -> None:
    assert type(_error(Answer(code, reason), "node:1")) is kind
