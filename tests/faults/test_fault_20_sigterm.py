"""SIGTERM under load. NOT_SERVING is told, what is in flight finishes, the exit code is 0."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.faults.parties import (
    Wire,
    ask,
    class_of,
    cover_entries,
    elements,
    process,
    start,
    until,
)
from tests.federation import Federation
from tocsin.client.system import monotonic
from tocsin.indicators.registry import KeyClass
from tocsin.node.rpc.authorize import Role
from tocsin.v1 import lookup_pb2, publishing_pb2

GRACE_SECONDS = 10
EVALUATORS, SUBMITTERS, BATCH = 3, 2, 400


@dataclass
class Load:
    """What every call began at and came to."""

    calls: list[tuple[float, grpc.StatusCode]] = field(default_factory=list)
    acknowledged: list[bytes] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def evaluate(self, wire: Wire, federation: Federation) -> None:
        key = class_of(federation.homes[1], KeyClass.CONTACT)
        while not self.stop.is_set():
            request = ask(key, elements(BATCH))
            began = monotonic()
            try:
                wire.evaluation.Evaluate(request, timeout=20)
            except grpc.RpcError as error:
                self.calls.append((began, error.code()))
                return
            self.calls.append((began, grpc.StatusCode.OK))

    def submit(self, wire: Wire, federation: Federation) -> None:
        while not self.stop.is_set():
            key = os.urandom(16)
            request = publishing_pb2.SubmitRequest(
                idempotency_key=key, entries=cover_entries(federation.homes[1], 5)
            )
            began = monotonic()
            try:
                wire.publishing.Submit(request, timeout=20)
            except grpc.RpcError as error:
                self.calls.append((began, error.code()))
                return
            self.calls.append((began, grpc.StatusCode.OK))
            self.acknowledged.append(key)


@pytest.mark.slow
def test_sigterm_under_load(battered: Federation) -> None:
    home = battered.homes[1]
    health: list[int] = []
    load = Load()
    with Wire(home, Role.CLIENT, home) as wire:
        health_stub: Any = health_pb2_grpc.HealthStub(wire.channel)
        watching = health_stub.Watch(health_pb2.HealthCheckRequest())
        stream = wire.lookup.WatchTags(lookup_pb2.WatchTagsRequest(newest_period=2**32 - 1))

        def watch() -> None:
            try:
                health.extend(answer.status for answer in watching)
            except grpc.RpcError:
                return

        threads = [
            threading.Thread(target=watch),
            *(threading.Thread(target=load.evaluate, args=(wire, battered)) for _ in range(EVALUATORS)),
            *(threading.Thread(target=load.submit, args=(wire, battered)) for _ in range(SUBMITTERS)),
        ]
        for thread in threads:
            thread.start()
        until("the load", lambda: len(load.calls) > 30 and len(load.acknowledged) > 5)
        node = process(battered, home)
        told = monotonic()
        node.send_signal(signal.SIGTERM)
        code = node.wait(GRACE_SECONDS + 5)
        took = monotonic() - told
        load.stop.set()
        for thread in threads:
            thread.join()
        assert code == 0
        assert took < GRACE_SECONDS
        assert _ended(stream) is grpc.StatusCode.UNAVAILABLE
        assert health == [
            health_pb2.HealthCheckResponse.SERVING,
            health_pb2.HealthCheckResponse.NOT_SERVING,
        ]
        before = [code for began, code in load.calls if began < told]
        after = [code for began, code in load.calls if began >= told]
        assert len(before) > 30
        assert set(before) == {grpc.StatusCode.OK}
        # CANCELLED is a call that reached the listener as it closed; to a client both mean: later.
        later = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        assert set(after) <= {grpc.StatusCode.OK, *later}
        # Some call was under way when the signal came.
        assert any(began < told for began, _ in load.calls[-EVALUATORS - SUBMITTERS - len(after) :])

        battered.nodes.stop_one(home)
        start(battered, home)
        for key in load.acknowledged:
            until("the node", partial(_known, wire, key))


def _known(wire: Wire, key: bytes) -> bool:
    wire.publishing.GetSubmission(publishing_pb2.GetSubmissionRequest(idempotency_key=key), timeout=5)
    return True


def _ended(stream: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        list(stream)
    return caught.value.code()
