"""Real federations for benchmarks: founded as a person founds them, real node processes on loopback.

1. Nothing here knows more than a member does: identities come from the members' own folders.
2. What is measured is a node process as `tocsin node run` starts it; only its tick is chosen.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography.hazmat.primitives import serialization

from tocsin.charter.document import Charter, parse_charter
from tocsin.charter.envelope import parse_envelope
from tocsin.founding.members import open_part
from tocsin.indicators.registry import KeyClass
from tocsin.localnet.federation import Home, Nodes, found
from tocsin.wire.names import target_name
from tocsin.wire.tls import TlsIdentity, channel_credentials

PLENTY = dict.fromkeys(KeyClass, 1_000_000_000)
"""A budget that no benchmark uses up."""


@dataclass(frozen=True)
class Federation:
    """Member folders, and the nodes that run."""

    homes: Sequence[Home]
    nodes: Nodes

    @property
    def processes(self) -> list[int]:
        """The process ids of the nodes."""
        return [process.pid for process in self.nodes.processes.values()]

    @property
    def charter(self) -> Charter:
        """The charter that all of them go by."""
        return charter_of(self.homes[0])

    def address(self, home: Home) -> str:
        """Where a member's node listens."""
        return f"127.0.0.1:{home.port}"


def charter_of(home: Home) -> Charter:
    """Read a member's charter."""
    return parse_charter(parse_envelope((home.folder / "node" / "charter.json").read_bytes()).document)


@contextmanager
def founded(members: int, *, threshold: int, tick_seconds: int) -> Iterator[list[Home]]:
    """Found a federation in a temporary folder, with nobody running yet. The committee is up to three members."""
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        yield found(
            Path(folder),
            members,
            committee=min(3, members),
            threshold=threshold,
            tick_seconds=tick_seconds,
            budgets=PLENTY,
        )


@contextmanager
def running(
    members: int, *, threshold: int, tick_seconds: int, nodes: int | None = None
) -> Iterator[Federation]:
    """Found a federation and run the nodes of its first members (all unless `nodes` says how many)."""
    with (
        founded(members, threshold=threshold, tick_seconds=tick_seconds) as homes,
        Nodes(homes[:nodes]) as started,
    ):
        yield Federation(homes, started)


@contextmanager
def running_in(homes: Sequence[Home]) -> Iterator[Federation]:
    """Run the nodes of members that were founded before."""
    with Nodes(homes) as started:
        yield Federation(homes, started)


def identity_of(home: Home, part: str) -> TlsIdentity:
    """Return the certificate and key of a member's `node` or `client`."""
    key = serialization.load_der_private_key(open_part(home.folder, part)["tls"], password=None)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return TlsIdentity((home.folder / part / f"{part}.crt").read_bytes(), pem)


def credentials_to(
    charter: Charter, to: bytes, identity: TlsIdentity
) -> tuple[grpc.ChannelCredentials, list[tuple[str, str]]]:
    """Return what a channel to a member's node needs: credentials and options."""
    name = target_name(charter.federation, to)
    options = [("grpc.ssl_target_name_override", name)]
    return channel_credentials(charter.member(to).ca, identity), options


# Members' folders lie in the temporary folder; a benchmark must not follow a caller's own settings.
for _name in [name for name in os.environ if name.startswith(("TOCSIN_NODE_", "TOCSIN_CLIENT_"))]:
    del os.environ[_name]
