"""A founded federation in a folder, and its nodes as real processes."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from cryptography.hazmat.primitives import serialization

from tocsin.charter.document import Charter, parse_charter
from tocsin.charter.envelope import parse_envelope
from tocsin.founding.members import open_part
from tocsin.localnet.federation import FEDERATION, Home, found
from tocsin.wire.names import target_name
from tocsin.wire.tls import TlsIdentity, channel_credentials

COMMAND = [sys.executable, "-c", "from tocsin.cli.node import app; app()", "run", "--config"]


@dataclass
class Federation:
    homes: list[Home]

    @property
    def charter(self) -> Charter:
        envelope = (self.homes[0].folder / "node" / "charter.json").read_bytes()
        return parse_charter(parse_envelope(envelope).document)

    def identity(self, home: Home, part: str) -> TlsIdentity:
        """The certificate of a member's `node` or `client`, with its key."""
        key = serialization.load_der_private_key(open_part(home.folder, part)["tls"], password=None)
        return TlsIdentity(
            (home.folder / part / f"{part}.crt").read_bytes(),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )

    def channel(self, to: Home, caller: Home, part: str, compression: Any = None) -> grpc.Channel:
        """A channel to a member's node, as another's node or as its own client."""
        return grpc.secure_channel(
            f"127.0.0.1:{to.port}",
            channel_credentials(self.charter.member(to.id).ca, self.identity(caller, part)),
            options=(
                ("grpc.ssl_target_name_override", target_name(FEDERATION, to.id)),
                ("grpc.max_send_message_length", -1),
                ("grpc.use_local_subchannel_pool", 1),
            ),
            compression=compression,
        )


def founded(folder: Path, members: int = 3, **terms: Any) -> Federation:
    return Federation(found(folder, members, committee=members, threshold=2, **terms))


@dataclass
class Process:
    popen: subprocess.Popen[str]
    log: Path
    serving: dict[str, Any]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.popen.send_signal(number)
        return self.popen.wait(20)

    def events(self) -> list[str]:
        """The names of the events in its log so far."""
        return [json.loads(line)["event"] for line in self.log.read_text().splitlines()]

    def peak_kib(self) -> int:
        """The most memory the process ever had."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


@contextmanager
def running(home: Home, **environment: str) -> Iterator[Process]:
    """A node that serves; killed at the end if it still runs."""
    log = home.folder / "node.log"
    with log.open("w") as errors:
        popen = subprocess.Popen(
            [*COMMAND, str(home.folder / "node" / "node.toml")],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **environment},
        )
    try:
        assert popen.stdout is not None
        ready, _, _ = select.select([popen.stdout], [], [], 20)
        line = popen.stdout.readline() if ready else ""
        assert line, f"the node does not serve: {log.read_text()}"
        yield Process(popen, log, json.loads(line))
    finally:
        if popen.poll() is None:
            popen.kill()
            popen.wait()
        if popen.stdout is not None:
            popen.stdout.close()


def run_to_its_end(config: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Start a node that is expected to refuse to."""
    return subprocess.run(
        [*COMMAND, str(config)],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, **environment},
        check=False,
    )
