"""The tables are total, and what is between wire and services is strict."""

from __future__ import annotations

import io
import json
from concurrent.futures import Future
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from hypothesis import given
from hypothesis import strategies as st

from tocsin.node.ops import logging
from tocsin.node.ops.audit import BURST, AuditTrail
from tocsin.node.rpc import authorize, errors
from tocsin.node.rpc.authorize import METHODS, BadCertificate, Caller, NotAllowed, Role, parse_identity
from tocsin.node.rpc.circuit import FAILURES, FIRST_PAUSE_S, LONGEST_S, Circuit, State
from tocsin.node.rpc.server import SERVICES
from tocsin.node.service.errors import ServiceError
from tocsin.v1 import (
    evaluation_pb2,
    log_pb2,
    lookup_pb2,
    membership_pb2,
    publishing_pb2,
)
from tocsin.wire.status import CODES
from tocsin.wire.values import MemberId

WIRE = (evaluation_pb2, log_pb2, lookup_pb2, membership_pb2, publishing_pb2, health_pb2, reflection_pb2)


def subclasses(root: type) -> set[type]:
    return {found for direct in root.__subclasses__() for found in {direct, *subclasses(direct)}}


def test_the_table_of_methods_is_that_of_the_descriptors() -> None:
    described = {
        f"/{service.full_name}/{method.name}"
        for file in WIRE
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert set(METHODS) == described
    assert all(METHODS.values())
    served = {service.full_name for file in WIRE for service in file.DESCRIPTOR.services_by_name.values()}
    assert set(SERVICES) == served - {"grpc.reflection.v1alpha.ServerReflection"}


def test_no_node_may_do_what_is_a_clients_and_the_reverse() -> None:
    for method, roles in METHODS.items():
        if "Publishing" in method or "Lookup" in method:
            assert roles == {Role.CLIENT}
    assert METHODS["/tocsin.v1.EvaluationService/EvaluatePartial"] == {Role.NODE}


def test_every_reason_has_a_status_code() -> None:
    for root in (ServiceError, errors.CallRefused, NotAllowed):
        for error in subclasses(root):
            if "reason" in vars(error):
                assert vars(error)["reason"] in CODES, error
    assert grpc.StatusCode.OK not in CODES.values()


def test_what_is_not_ours_is_not_shown() -> None:
    assert errors.known_status(ValueError("anything")) is None


@given(st.text())
def test_identities_are_read_strictly(text: str) -> None:
    with pytest.raises(BadCertificate):
        parse_identity(text, "test.example")


@pytest.mark.parametrize(
    "uri",
    [
        "spiffe://test.example/{id}/node/",
        "spiffe://test.example/{id}/admin",
        "spiffe://test.example//{id}/node",
        "spiffe://TEST.example/{id}/node",
        "spiffe://test.example.other/{id}/node",
        "spiffe://test.example/{up}/node",
        "spiffe://test.example/{id}/node\n",
        "https://test.example/{id}/node",
        "spiffe://user@test.example/{id}/node",
    ],
)
def test_identities_that_look_alike_are_refused(uri: str) -> None:
    member = "0a" * 16
    with pytest.raises(BadCertificate):
        parse_identity(uri.format(id=member, up=member.upper()), "test.example")
    good = parse_identity(f"spiffe://test.example/{member}/node", "test.example")
    assert good == Caller(MemberId(bytes.fromhex(member)), Role.NODE)


def test_a_circuit_opens_after_silence_and_probes_once() -> None:
    now = [0.0]
    circuit = Circuit(lambda: now[0])
    for _ in range(FAILURES):
        assert circuit.admits()
        circuit.failed()
    assert circuit.state is State.OPEN
    assert not circuit.admits()
    now[0] += FIRST_PAUSE_S
    assert circuit.admits()
    assert not circuit.admits()
    circuit.abandoned()
    assert circuit.admits()
    circuit.failed()
    now[0] += FIRST_PAUSE_S
    assert not circuit.admits()
    now[0] += FIRST_PAUSE_S
    assert circuit.admits()
    circuit.succeeded()
    assert circuit.state is State.CLOSED
    for _ in range(50):
        now[0] += LONGEST_S
        assert circuit.admits()
        circuit.failed()
    now[0] += LONGEST_S
    assert circuit.admits()


def test_the_audit_trail_is_bounded_and_counts_what_it_holds_back() -> None:
    written: list[Any] = []
    now = [0.0]

    def submit(write: Any) -> Future[None]:
        written.append(write)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    trail = AuditTrail(submit, lambda: 1, lambda: now[0])
    for _ in range(1000):
        trail.refused("WRONG_ROLE", "/method: a client may not")
    assert len(written) == BURST
    now[0] += 1.0
    trail.refused("WRONG_ROLE", "/method: a client may not")
    details: list[str] = []

    class Transaction:
        def record(self, kind: str, detail: str, evidence: bytes, time: int) -> None:
            details.append(detail)

    written[-1](Transaction())
    assert "980 refusals" in details[0]


def test_the_log_masks_bytes_and_foreign_objects() -> None:
    stream = io.StringIO()
    logging.configure("info", stream)
    import structlog

    class Secretive(str):
        pass

    structlog.get_logger().info(
        "an-event",
        tag=b"\x01" * 16,
        member=b"\x02" * 16,
        listed=[b"abc", {"deep": b"abc"}],
        secret=Secretive("hunter2"),
        other=object(),
        error=ValueError("hunter2"),
        count=3,
    )
    line = json.loads(stream.getvalue())
    assert line["member"] == "02" * 16
    assert line["tag"] == "(16 bytes)"
    assert line["listed"] == ["(3 bytes)", {"deep": "(3 bytes)"}]
    assert (line["secret"], line["other"], line["error"]) == ("(Secretive)", "(object)", "ValueError")
    assert "hunter2" not in stream.getvalue()
    logging.configure("debug", stream := io.StringIO())
    structlog.get_logger().info("an-event", error=ValueError("seen when debugging"))
    assert "seen when debugging" in stream.getvalue()
    structlog.reset_defaults()


def test_authorize_knows_every_refusal() -> None:
    assert {error.reason for error in subclasses(authorize.NotAllowed)} <= set(CODES)
