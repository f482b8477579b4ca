"""The grpc server: its limits, its services, its address.

1. A message is at most 1 MiB, before and after decompression: the library stops decompressing at the limit.
2. A connection is bounded in streams, header size, handshake time, idle time and pings; a dead peer is noticed.
3. The port is this process's alone: without SO_REUSEPORT a second node on it fails instead of sharing it.
4. Every call goes through the guard, and a service is added here or nowhere.
5. A connection is replaced after about `CONNECTION_S` and cut `GRACE_S` later, answers unread on it or not. That is
   longer than any call or stream runs (`guard.py`, rule 3), so only what is not read is cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from tocsin.node.errors import NodeError
from tocsin.node.rpc.credentials import ServerIdentity
from tocsin.node.rpc.guard import Guard
from tocsin.v1 import (
    evaluation_pb2_grpc,
    log_pb2_grpc,
    lookup_pb2_grpc,
    membership_pb2_grpc,
    publishing_pb2_grpc,
)
from tocsin.wire.limits import MESSAGE_BYTES

if TYPE_CHECKING:
    from tocsin.node.rpc.servicers import (
        EvaluationServicer,
        LogServicer,
        LookupServicer,
        MembershipServicer,
        PublishingServicer,
    )

CONNECTION_S = 300
GRACE_S = 150
OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_concurrent_streams", 100),
    ("grpc.max_metadata_size", 8 * 1024),
    ("grpc.absolute_max_metadata_size", 16 * 1024),
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", 10 * 60_000),
    ("grpc.max_connection_age_ms", CONNECTION_S * 1_000),
    ("grpc.max_connection_age_grace_ms", GRACE_S * 1_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 3),
    ("grpc.so_reuseport", 0),
)
MOST_CALLS = 8_192
"""Of all callers together: above what the guard's limits per caller add up to in a federation of 200 members."""


class AddressTaken(NodeError):
    """The server cannot listen where it should; the message names the address."""

    exit_code = 3


@dataclass(frozen=True)
class Servicers:
    """Everything a node serves; `health` and `reflection` speak grpc's own protocols."""

    evaluation: EvaluationServicer
    publishing: PublishingServicer
    log: LogServicer
    lookup: LookupServicer
    membership: MembershipServicer
    health: Any  # grpc's aio health servicer, which its stubs do not type


SERVICES = (
    "tocsin.v1.EvaluationService",
    "tocsin.v1.PublishingService",
    "tocsin.v1.LogService",
    "tocsin.v1.LookupService",
    "tocsin.v1.MembershipService",
    "grpc.health.v1.Health",
)


def build_server(guard: Guard, servicers: Servicers, most_connections: int) -> grpc.aio.Server:
    """Build a server of all services, not yet listening. Connections beyond the most are closed when they come."""
    from grpc_health.v1 import health_pb2_grpc

    options = (*OPTIONS, ("grpc.max_allowed_incoming_connections", most_connections))
    server = grpc.aio.server(interceptors=(guard,), options=options, maximum_concurrent_rpcs=MOST_CALLS)
    evaluation_pb2_grpc.add_EvaluationServiceServicer_to_server(servicers.evaluation, server)
    publishing_pb2_grpc.add_PublishingServiceServicer_to_server(servicers.publishing, server)
    log_pb2_grpc.add_LogServiceServicer_to_server(servicers.log, server)
    lookup_pb2_grpc.add_LookupServiceServicer_to_server(servicers.lookup, server)
    membership_pb2_grpc.add_MembershipServiceServicer_to_server(servicers.membership, server)
    health_pb2_grpc.add_HealthServicer_to_server(servicers.health, server)
    return server


def add_reflection(server: grpc.aio.Server) -> None:
    """Serve grpc reflection, too."""
    from grpc_reflection.v1alpha import reflection

    reflection.enable_server_reflection((*SERVICES, reflection.SERVICE_NAME), server)


def listen(server: grpc.aio.Server, address: str, identity: ServerIdentity) -> int:
    """Bind a server to host:port and return the port. Raises `AddressTaken`."""
    try:
        port = server.add_secure_port(address, identity.credentials())
    except RuntimeError:
        port = 0
    if not port:
        raise AddressTaken(
            f"cannot listen on {address}: the port is taken, or the address is not this machine's; "
            "set `listen` in node.toml (or TOCSIN_NODE_LISTEN) to another, or stop what listens there"
        )
    return port
