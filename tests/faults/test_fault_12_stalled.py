"""Half-open connections and stalled streams. Healthy calls go on; the stalls are ended."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from tests.faults.parties import Wire, ask, class_of, elements, percentile, until
from tests.federation import Federation
from tocsin.client.system import monotonic
from tocsin.indicators.registry import KeyClass
from tocsin.node.rpc.authorize import Role
from tocsin.node.rpc.guard import ARRIVAL_S

HANDSHAKE_S = 10
NOISE_SECONDS = 0.010
"""What two equal measurements on two shared cores differ by in the 99th percentile."""

# The beginning of a TLS handshake that never goes on.
HALF_A_HELLO = bytes.fromhex("1603010200010001fc0303") + bytes(20)


REFUSED_STREAM = "a stream beyond those that one connection may have"


def _end_of(error: Any) -> str:
    """How a call ended. The transport refuses streams beyond its limit by itself (RFC 9113: REFUSED_STREAM, 7)."""
    if error.code() is grpc.StatusCode.UNAVAILABLE and "error code 7" in error.details():
        return REFUSED_STREAM
    return str(error.code().name)


def _connect(port: int, number: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    if number % 2:
        connection.sendall(HALF_A_HELLO)
    return connection


def _closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(4_096) == b""
    except ConnectionError:
        return True


@pytest.mark.slow
@pytest.mark.parametrize(("half_open", "stalled", "samples"), [(100, 24, 100), (800, 200, 1_000)])
def test_half_open_connections_and_stalled_streams(
    federation: Federation, half_open: int, stalled: int, samples: int
) -> None:
    target, attacker = federation.homes[:2]
    key = class_of(target, KeyClass.CONTACT)
    never = threading.Event()

    def nothing() -> Iterator[bytes]:
        never.wait()
        yield from ()

    with Wire(target, Role.CLIENT, target) as own, Wire(attacker, Role.NODE, target) as theirs:

        def measure(count: int = samples) -> list[float]:
            took = []
            for _ in range(count):
                request = ask(key, elements(20))
                began = monotonic()
                own.evaluation.Evaluate(request, timeout=20)
                took.append(monotonic() - began)
            return took

        until("an evaluation", lambda: own.evaluation.Evaluate(ask(key, elements(1)), timeout=20))
        grpc.channel_ready_future(theirs.channel).result(timeout=10)
        measure(20)
        before = percentile(measure(), 0.99)
        connections: list[socket.socket] = []
        try:
            with ThreadPoolExecutor(8) as threads:
                connections = list(threads.map(lambda i: _connect(target.port, i), range(half_open)))
            method: Any = theirs.channel.stream_unary("/tocsin.v1.EvaluationService/EvaluatePartial")
            ended: list[float] = []
            began = monotonic()
            calls = [method.future(nothing()) for _ in range(stalled)]
            for call in calls:
                call.add_done_callback(lambda _: ended.append(monotonic()))
            after = percentile(measure(), 0.99)
            assert after < 2 * before + NOISE_SECONDS, f"healthy p99 {before:.4f} → {after:.4f} s"

            codes = Counter(_end_of(call.exception(timeout=ARRIVAL_S + 20)) for call in calls)
            # Those beyond the caller's share were refused at once, the others ended when nothing arrived.
            assert codes.keys() <= {"DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", REFUSED_STREAM}, codes
            assert codes["DEADLINE_EXCEEDED"] >= min(stalled, 24)
            until("the end of every stalled call", lambda: len(ended) == stalled)
            assert max(ended) - began < ARRIVAL_S + 15
            for connection in connections:
                connection.settimeout(HANDSHAKE_S + 10)
                assert _closed(connection), "a half-open connection was kept"
        finally:
            never.set()
            for connection in connections:
                connection.close()
        assert own.evaluation.Evaluate(ask(key, elements(1)), timeout=20).partials
