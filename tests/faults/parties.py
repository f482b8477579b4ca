"""What tests of faults need beside a running federation: each party's keys on the wire, its process and its store.

1. A caller here has what that member really has, its certificates and keys, and speaks the wire without the SDK.
2. Stores are read through SQLite's read-only mode, beside the node that writes them.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest
from cryptography.hazmat.primitives import serialization

from tests.federation import Federation
from tocsin.charter.document import Charter, ClassKey, parse_charter
from tocsin.charter.envelope import parse_envelope
from tocsin.client import Client
from tocsin.client import config as client_config
from tocsin.client.system import monotonic, now, pause
from tocsin.indicators.registry import KeyClass
from tocsin.localnet.federation import Home
from tocsin.node import keys as material
from tocsin.node.config import load_config
from tocsin.node.rpc.authorize import Role
from tocsin.oprf.group import Element
from tocsin.oprf.rfc9497 import Output, blind
from tocsin.sealing.box import cover_body
from tocsin.tlog.entry import sealed_header, weeks_after
from tocsin.v1 import (
    entry_pb2,
    evaluation_pb2,
    evaluation_pb2_grpc,
    log_pb2_grpc,
    lookup_pb2_grpc,
    membership_pb2_grpc,
    publishing_pb2_grpc,
)
from tocsin.wire.names import target_name
from tocsin.wire.status import Refusal, read_refusal
from tocsin.wire.tls import TlsIdentity, channel_credentials

T = TypeVar("T")


def charter_of(home: Home) -> Charter:
    """The charter that a node was installed with."""
    return parse_charter(parse_envelope((home.folder / "node" / "charter.json").read_bytes()).document)


def class_of(home: Home, key_class: KeyClass) -> ClassKey:
    """The one epoch of a class in that charter."""
    return charter_of(home).class_key(int(key_class), 1)


def identity_of(home: Home, role: Role) -> TlsIdentity:
    """The member's own certificate and TLS key in a role."""
    if role is Role.NODE:
        config = load_config(home.folder / "node")
        return material.load_identity(config, material.open_keys(config), charter_of(home), now())
    client = client_config.load_config(home.client)
    key = serialization.load_der_private_key(client_config.open_secrets(client)["tls"], password=None)
    return TlsIdentity(
        client.certificate.read_bytes(),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


class Wire:
    """A channel of its own from a caller to a member's node, with every stub."""

    def __init__(self, caller: Home, role: Role, target: Home, **channel: Any) -> None:
        charter = charter_of(target)
        self.channel = grpc.secure_channel(
            f"127.0.0.1:{target.port}",
            channel_credentials(charter.member(target.id).ca, identity_of(caller, role)),
            options=(
                ("grpc.ssl_target_name_override", target_name(charter.federation, target.id)),
                ("grpc.max_send_message_length", -1),
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 200),
            ),
            **channel,
        )
        self.evaluation: Any = evaluation_pb2_grpc.EvaluationServiceStub(self.channel)
        self.publishing: Any = publishing_pb2_grpc.PublishingServiceStub(self.channel)
        self.log: Any = log_pb2_grpc.LogServiceStub(self.channel)
        self.lookup: Any = lookup_pb2_grpc.LookupServiceStub(self.channel)
        self.membership: Any = membership_pb2_grpc.MembershipServiceStub(self.channel)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()


@contextmanager
def refused(code: grpc.StatusCode, reason: str, field: str | None = None) -> Iterator[None]:
    """Expect a call to be refused with exactly this code, reason and offending field."""
    with pytest.raises(grpc.RpcError) as caught:
        yield
    found: Refusal = read_refusal(caught.value)
    assert (caught.value.code(), found.reason) == (code, reason), caught.value
    assert found.fields == (() if field is None else (field,))


def elements(count: int) -> list[Element]:
    """Fresh blinded elements, as an honest client makes them."""
    return blind([os.urandom(8) for _ in range(count)], os.urandom)[1]


def ask(
    key: ClassKey, blinded: Sequence[bytes], complaints: Sequence[Any] = ()
) -> evaluation_pb2.EvaluateRequest:
    """What a client asks its node."""
    return evaluation_pb2.EvaluateRequest(
        key_class=key.key_class,
        key_epoch=key.epoch,
        committee_hash=key.committee_hash,
        blinded_elements=blinded,
        complaints=complaints,
    )


def ask_seat(
    key: ClassKey, blinded: Sequence[bytes], seat: int = 1, quorum: tuple[int, ...] = (1, 2)
) -> evaluation_pb2.EvaluatePartialRequest:
    """What a node asks one seat."""
    return evaluation_pb2.EvaluatePartialRequest(
        key_class=key.key_class,
        key_epoch=key.epoch,
        committee_hash=key.committee_hash,
        quorum=quorum,
        seat=seat,
        blinded_elements=blinded,
    )


def cover_entries(home: Home, count: int, key_class: KeyClass = KeyClass.CONTACT) -> list[entry_pb2.Entry]:
    """Entries that a node must take from its client, and that mean nothing to anybody."""
    charter, moment = charter_of(home), now()
    key = charter.class_key(int(key_class), 1)
    header = sealed_header(
        key.key_class, key.epoch, charter.period_at(moment), weeks_after(moment, key.retention_days * 86_400)
    ).encode()
    return [entry_pb2.Entry(header=header, body=cover_body(os.urandom)) for _ in range(count)]


def rows(home: Home, query: str, *arguments: object) -> list[tuple[Any, ...]]:
    """What a member's store holds now."""
    database = home.folder / "node" / "node.db"
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)
    try:
        return connection.execute(query, arguments).fetchall()
    finally:
        connection.close()


def charged(home: Home) -> list[tuple[Any, ...]]:
    """Every budget and every charged batch of a member's store."""
    used = rows(home, "SELECT hex(caller), key_class, epoch, seat, used FROM budget ORDER BY 1, 2, 3, 4")
    return [*used, *rows(home, "SELECT count(*) FROM batch")]


def state(home: Home) -> dict[str, list[tuple[Any, ...]]]:
    """Everything but the audit trail and freshness that a refused message must leave as it was."""
    tables = ("charter", "submission", "leaf", "body", "live_tag", "fork", "budget", "batch")
    return {table: rows(home, f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables}


def audited(home: Home, kind: str) -> list[str]:
    """The details of every audit record of a kind, in order."""
    return [detail for (detail,) in rows(home, "SELECT detail FROM audit WHERE kind = ? ORDER BY no", kind)]


def logged(home: Home) -> list[dict[str, Any]]:
    """The records of a node's log."""
    return [json.loads(line) for line in home.log.read_text().splitlines() if line.startswith("{")]


def until(what: str, condition: Callable[[], T | None], seconds: float = 20) -> T:
    """Ask again until the answer is true; the condition's errors of a pipe count as not yet."""
    deadline = monotonic() + seconds
    while True:
        try:
            answer = condition()
        except grpc.RpcError as error:
            answer = None
            what_then: object = error.code()
        else:
            what_then = answer
        if answer:
            return answer
        assert monotonic() < deadline, f"{what} did not come within {seconds} s: {what_then}"
        pause(0.02)


@dataclass(frozen=True)
class Usage:
    """What a process has used: its peak of memory since `reset_peak`, and its processor time so far."""

    peak_mib: float
    cpu_seconds: float


def reset_peak(pid: int) -> None:
    """Let the kernel count the peak of a process's memory anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def usage(pid: int) -> Usage:
    """Read /proc."""
    status = Path(f"/proc/{pid}/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Usage(peak / 1024, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))


def percentile(samples: Sequence[float], share: float) -> float:
    """The sample below which `share` of them lie."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def process(federation: Federation, home: Home) -> subprocess.Popen[bytes]:
    """A member's node process."""
    return federation.nodes.processes[home.name]


def kill(federation: Federation, home: Home) -> None:
    """SIGKILL a node."""
    assert federation.nodes.stop_one(home, signal.SIGKILL) == -signal.SIGKILL


def start(federation: Federation, home: Home) -> None:
    """Start a node again and wait until it serves."""
    federation.nodes.launch(home)
    federation.nodes.await_serving(home)


def start_lying(federation: Federation, home: Home, lie: str) -> Path:
    """Start in a node's place one that lies (tests/faults/lying_node.py); returns the file that says how."""
    file = home.folder / "lie"
    file.write_text(lie)
    with home.log.open("ab") as log:
        federation.nodes.processes[home.name] = subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).with_name("lying_node.py")),
                str(home.folder / "node" / "node.toml"),
                str(file),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    federation.nodes.await_serving(home)
    return file


def start_script(federation: Federation, home: Home, script: str) -> None:
    """Start in a node's place a script of this folder that takes node.toml."""
    with home.log.open("ab") as log:
        federation.nodes.processes[home.name] = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name(script)), str(home.folder / "node" / "node.toml")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    federation.nodes.await_serving(home)


def is_lying(process: subprocess.Popen[bytes]) -> bool:
    """Whether `start_lying` started this one."""
    return isinstance(process.args, list) and process.args[1].endswith("lying_node.py")


def fresh_client(home: Home, vault: Path, batch_size: int = 1_000) -> Client:
    """The member's client with a vault that knows nothing yet."""
    return Client.connect(replace(client_config.load_config(home.client), vault=vault, batch_size=batch_size))


def outputs(client: Client, values: Sequence[tuple[str, str]]) -> list[Output]:
    """F of every value as the client's vault has it; a value that it has not is missing."""
    keys = [client.key_of(value) for value in values]
    kept = client._session.vault.outputs(1, keys)
    return [kept[key] for key in keys if key in kept]
