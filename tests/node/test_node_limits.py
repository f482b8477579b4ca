"""What the system lets a node have: descriptors under a flood of sockets, and no core dump."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.node import node_process
from tests.node.node_process import Federation, founded, running
from tocsin.client.system import monotonic, pause
from tocsin.v1 import log_pb2, log_pb2_grpc

LIMIT = 400


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    return founded(tmp_path_factory.mktemp("limits"), members=2)


def _limits(pid: int) -> dict[str, list[str]]:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): line[26:].split()[:2] for line in lines}


def test_a_flood_of_sockets_without_a_certificate(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = federation.homes[0]
    monkeypatch.setattr(
        node_process, "COMMAND", ["prlimit", f"--nofile={LIMIT}:{LIMIT}", *node_process.COMMAND]
    )
    with ExitStack() as closing:
        node = closing.enter_context(running(home))
        channel = closing.enter_context(federation.channel(home, home, "client"))
        stub: Any = log_pb2_grpc.LogServiceStub(channel)
        stub.ListCheckpoints(log_pb2.ListCheckpointsRequest(), timeout=10)
        sockets = []
        for _ in range(LIMIT + 300):
            stranger = closing.enter_context(socket.socket())
            stranger.settimeout(5)
            stranger.connect(("127.0.0.1", home.port))
            sockets.append(stranger)
        # More calls than any idle reader of the store could serve, each of which would need a descriptor.
        for _ in range(50):
            stub.ListCheckpoints(log_pb2.ListCheckpointsRequest(), timeout=5)
        until = monotonic() + 10
        while "descriptors-scarce" not in node.events():
            assert monotonic() < until, node.log.read_text()
            pause(0.1)
        scarce = [json.loads(line) for line in node.log.read_text().splitlines()]
        assert all(event["event"] != "internal-error" for event in scarce)
        for stranger in sockets:
            stranger.close()
        with federation.channel(home, home, "client") as again:
            fresh: Any = log_pb2_grpc.LogServiceStub(again)
            fresh.ListCheckpoints(log_pb2.ListCheckpointsRequest(), timeout=15, wait_for_ready=True)
        assert node.stop() == 0


def test_descriptors_are_raised_and_no_core_is_dumped(federation: Federation, monkeypatch: Any) -> None:
    monkeypatch.setattr(
        node_process,
        "COMMAND",
        ["prlimit", "--nofile=300:2000", "--core=unlimited:unlimited", *node_process.COMMAND],
    )
    with running(federation.homes[1]) as node:
        limits = _limits(node.popen.pid)
        assert limits["Max open files"] == ["2000", "2000"]
        assert limits["Max core file size"] == ["0", "0"]
        assert node.stop() == 0


def test_a_node_without_a_share_serves_the_rest_and_takes_it_when_it_comes(federation: Federation) -> None:
    home = federation.homes[0]
    share = sorted((home.folder / "node" / "shares").glob("*.share"))[0]
    dealt = share.read_bytes()
    share.unlink()
    for _ in range(2):  # a restart makes no difference
        with running(home) as node, federation.channel(home, home, "client") as channel:
            stub: Any = log_pb2_grpc.LogServiceStub(channel)
            stub.ListCheckpoints(log_pb2.ListCheckpointsRequest(), timeout=10)
            assert "share-missing" in node.events()
            assert node.stop() == 0
    with running(home) as node, running(federation.homes[1]):
        share.write_bytes(dealt)
        until = monotonic() + 20
        while "shares-loaded" not in node.events():
            assert monotonic() < until, node.log.read_text()
            pause(0.1)
        while '"ready": true' not in node.log.read_text():
            assert monotonic() < until + 20, node.log.read_text()
            pause(0.1)
