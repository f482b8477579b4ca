"""How nodes are dialled: what grpc reads from the environment, and that no proxy stands between."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives import serialization

from tests.certificates import FEDERATION, NOW, Register, make_member
from tocsin.client.transport import GrpcNode
from tocsin.founding.certificates import LeafRole
from tocsin.node.rpc.authorize import Gate
from tocsin.node.rpc.credentials import ServerIdentity
from tocsin.node.rpc.guard import Guard
from tocsin.node.rpc.peers import GrpcPeers
from tocsin.node.rpc.server import OPTIONS, listen
from tocsin.v1 import membership_pb2, membership_pb2_grpc
from tocsin.wire import TLS12_SUITES_NO_P256_LEAF_CAN_USE
from tocsin.wire.values import MemberId

# What grpc would have read from the environment at the moment it was imported.
SEEN = """
import builtins, os, sys
real = builtins.__import__
def watching(name, *rest):
    if name.split(".")[0] == "grpc" and "grpc" not in sys.modules and not seen:
        seen.append((os.environ.get("GRPC_SSL_CIPHER_SUITES"), os.environ.get("GRPC_VERBOSITY")))
    return real(name, *rest)
seen = []
builtins.__import__ = watching
import {module}
assert seen, "grpc was not imported"
print(*seen[0])
"""


@pytest.mark.parametrize("weak", [False, True])
@pytest.mark.parametrize(
    "module",
    [
        "tocsin.client.transport",
        "tocsin.node.rpc.server",
        "tocsin.node.rpc.guard",
        "tocsin.node.rpc.peers",
        "tocsin.node.process",
        "tocsin.wire.tls",
        "tocsin.wire.status",
    ],
)
def test_whoever_imports_grpc_first_the_settings_are_there(module: str, weak: bool) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRPC_")}
    if weak:
        environment["GRPC_SSL_CIPHER_SUITES"] = "ECDHE-ECDSA-AES128-GCM-SHA256"
    done = subprocess.run(
        [sys.executable, "-c", SEEN.format(module=module)],
        env=environment, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.split() == [TLS12_SUITES_NO_P256_LEAF_CAN_USE, "NONE"]


class Charters(membership_pb2_grpc.MembershipServiceServicer):
    """Serves one charter."""

    async def ListCharters(self, request: Any, context: Any) -> membership_pb2.ListChartersResponse:  # noqa: N802 - the wire's name
        return membership_pb2.ListChartersResponse(charters=[b"a charter"])


def test_a_client_and_a_peer_connect_past_a_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    member = make_member(1)
    register = Register({member.id: member.record()})

    async def scenario() -> None:
        gate = Gate(MemberId(member.id), lambda: register, lambda: NOW)  # type: ignore[arg-type, return-value] # stands in for a charter
        guard = Guard(gate, refused=lambda *_: None, incident=lambda: "1")
        server = grpc.aio.server(interceptors=(guard,), options=OPTIONS)
        membership_pb2_grpc.add_MembershipServiceServicer_to_server(Charters(), server)
        identity = member.identity(LeafRole.NODE)
        port = listen(server, "127.0.0.1:0", ServerIdentity(identity, [member.authority.der]))
        await server.start()
        register.members[member.id] = member.record(f"127.0.0.1:{port}")
        with ThreadPoolExecutor(1) as pool:
            peers = GrpcPeers(
                charter=lambda: register,  # type: ignore[arg-type, return-value] # stands in for a charter
                identity=lambda: identity,
                executor=pool,
                monotonic=lambda: 0.0,
                heard=lambda member, time: None,
            )
            assert await peers.charters(MemberId(member.id), 1) == [b"a charter"]
            await peers.close()
        leaf = member.identity(LeafRole.CLIENT)
        (tmp_path / "client.crt").write_bytes(leaf.certificate)
        key = serialization.load_pem_private_key(leaf.key, password=None).private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        config: Any = SimpleNamespace(
            node=f"127.0.0.1:{port}", timeout_seconds=5, federation=FEDERATION, member=member.id,
            certificate=tmp_path / "client.crt",
        )  # fmt: skip
        node = GrpcNode(config, key, member.authority.der)
        assert await asyncio.to_thread(node.charters, 1) == [b"a charter"]
        node.close()
        await server.stop(0)

    asyncio.run(asyncio.wait_for(scenario(), 30))
