"""A federation on this machine: founded in a folder, run as real node processes on loopback ports.

1. Everything is as in a real federation: keys, CAs, a signed charter, mutual TLS. Only the dealer is one process.
2. A node's log goes to `node.log` in its folder; its standard output carries the one line that says it serves.
3. Leaving the context stops every process: SIGTERM first, SIGKILL for those that are still there after the grace.

>>> with running(folder, members=3) as federation:
...     with federation.client(0) as tocsin:
...         tocsin.submit(drafts)
...     federation.await_followed()
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tocsin.charter.document import Mode
from tocsin.charter.envelope import SignedCharter
from tocsin.client import Client
from tocsin.client.system import monotonic, now, pause
from tocsin.founding.charters import draft, install, sign, write_dealt
from tocsin.founding.keys import Seats, deal
from tocsin.founding.members import init_member
from tocsin.indicators.registry import KeyClass
from tocsin.localnet.errors import NodeDidNotStart, NotFollowed

FEDERATION = "demo.example"
MEMBER_NAMES = (
    "Aster",
    "Borealis",
    "Cinder",
    "Dune",
    "Ember",
    "Fjord",
    "Glade",
    "Harbor",
    "Islet",
    "Juniper",
)
START_SECONDS = 30
GRACE_SECONDS = 15


@dataclass(frozen=True)
class Home:
    """One member's folder and identity."""

    name: str
    id: bytes
    folder: Path
    port: int

    @property
    def client(self) -> Path:
        """The folder that `Client.connect` takes."""
        return self.folder / "client"

    @property
    def address(self) -> str:
        """Where its node listens."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """Where the node's log goes."""
        return self.folder / "node" / "node.log"


def found(
    folder: Path,
    members: int,
    *,
    committee: int,
    threshold: int,
    tick_seconds: int = 1,
    budgets: Mapping[KeyClass, int] | None = None,
    mode: Mode = "test",
) -> list[Home]:
    """Found a federation of `members` in `folder`: member folders, a dealt and signed charter, all installed."""
    start = now()
    ports = _free_ports(members)
    homes, cards = [], []
    for number, port in enumerate(ports):
        name = MEMBER_NAMES[number]
        card = init_member(folder / name.lower(), FEDERATION, name, f"127.0.0.1:{port}", start)
        cards.append(card)
        homes.append(Home(name, card.member.id, folder / name.lower(), port))
    seats = Seats([home.id for home in homes[:committee]], threshold, budgets or {})
    charter, shares = deal(draft(cards, FEDERATION, mode, tick_seconds, start), seats)
    write_dealt(folder / "dealt", charter, shares)
    signed = SignedCharter(charter.encode(), ())
    for home in homes:
        signed = sign(home.folder, signed)
    for home in homes:
        install(home.folder, signed, folder / "dealt" / "shares", start)
    return homes


@dataclass
class Nodes:
    """The running node processes of a founded federation, by member name."""

    homes: Sequence[Home]
    environment: Mapping[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    started_seconds: float = 0.0

    def __enter__(self) -> Self:
        """Start every node and wait until all serve."""
        began = monotonic()
        try:
            for home in self.homes:
                self.launch(home)
            for home in self.homes:
                self.await_serving(home)
        except BaseException:
            self.stop()
            raise
        self.started_seconds = monotonic() - began
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def launch(self, home: Home) -> None:
        """Start one node without waiting for it."""
        with home.log.open("ab") as log, _signals_held():
            self.processes[home.name] = subprocess.Popen(  # noqa: S603 - our own program, no shell
                [
                    sys.executable,
                    "-m",
                    "tocsin.cli.main",
                    "node",
                    "run",
                    "--config",
                    str(home.folder / "node" / "node.toml"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **self.environment},
                start_new_session=True,  # Ctrl-C reaches the demonstration, which then stops its nodes in order
            )

    def await_serving(self, home: Home) -> None:
        """Wait for the line that says the node serves. Raises NodeDidNotStart."""
        process = self.processes[home.name]
        deadline = monotonic() + START_SECONDS
        stdout = process.stdout
        if stdout is None:
            raise NodeDidNotStart(f"{home.name}: its standard output is not a pipe")
        while (left := deadline - monotonic()) > 0:
            ready, _, _ = select.select([stdout], [], [], left)
            line = stdout.readline() if ready else b""
            if not line:
                break
            if json.loads(line).get("event") == "serving":
                return
        tail = home.log.read_text(errors="replace")[-2000:] if home.log.exists() else ""
        failure = NodeDidNotStart(f"the node of {home.name} does not serve; the end of {home.log}:")
        for said in tail.splitlines():
            failure.add_note(said)
        raise failure

    def stop_one(self, home: Home, sign: signal.Signals = signal.SIGTERM) -> int:
        """Stop one node; returns its exit code (negative for a signal)."""
        self.processes[home.name].send_signal(sign)
        return self._await_exit(home)

    def stop(self) -> dict[str, int]:
        """Stop every node at once; returns exit codes by name."""
        for process in self.processes.values():
            process.terminate()
        return {home.name: self._await_exit(home) for home in self.homes if home.name in self.processes}

    def _await_exit(self, home: Home) -> int:
        process = self.processes.pop(home.name)
        try:
            code = process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if process.stdout is not None:
            process.stdout.close()
        return code


@dataclass(frozen=True)
class Federation:
    """A running federation: its members' homes, and the nodes that run."""

    homes: Sequence[Home]
    nodes: Nodes

    @property
    def process_ids(self) -> list[int]:
        """The process ids of the running nodes."""
        return [process.pid for process in self.nodes.processes.values()]

    def client(self, number: int) -> Client:
        """Connect the client of a member; the caller closes it."""
        return Client.connect(self.homes[number].client)

    def await_followed(self, seconds: float = 20) -> None:
        """Wait until nothing waits for a tick and every node holds every log as far as its origin does.

        Raises `NotFollowed` after so many seconds.
        """
        deadline = monotonic() + seconds
        while True:
            sizes: list[dict[bytes, int]] = []
            waiting = 0
            for home in self.homes:
                with Client.connect(home.client) as client:
                    status = client.status()
                    waiting += status.waiting
                    sizes.append({log.writer: log.size for log in status.logs})
            if waiting == 0 and all(size == sizes[0] for size in sizes):
                return
            if monotonic() > deadline:
                raise NotFollowed(f"logs differ after {seconds:g} s: {sizes}, {waiting} entries waiting")
            pause(0.1)


@contextmanager
def running(
    folder: Path,
    members: int = 3,
    *,
    committee: int = 3,
    threshold: int = 2,
    budgets: Mapping[KeyClass, int] | None = None,
    tick_seconds: int = 1,
) -> Iterator[Federation]:
    """Found a federation in `folder` and run its nodes until the context is left."""
    homes = found(
        folder, members, committee=committee, threshold=threshold, tick_seconds=tick_seconds, budgets=budgets
    )
    with Nodes(homes) as nodes:
        yield Federation(homes, nodes)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Hold an interrupt or a SIGTERM back until the block has ended.

    One that came while a process is being started would leave a process that nobody knows and nobody stops.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    before = {
        number: signal.signal(number, lambda came, _: held.append(came))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for came in held:
        signal.raise_signal(came)


def _free_ports(count: int) -> list[int]:
    """Loopback ports that are free now; they are held together while chosen, so they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [bound.getsockname()[1] for bound in sockets]
    for bound in sockets:
        bound.close()
    return ports
