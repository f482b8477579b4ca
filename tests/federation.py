"""Federations of real node processes for tests: founded as a person founds them, run on loopback, always stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tocsin.client import Client
from tocsin.client.system import monotonic, pause
from tocsin.indicators.registry import KeyClass
from tocsin.localnet.federation import Home, Nodes, found


@dataclass(frozen=True)
class Federation:
    """A running federation."""

    homes: list[Home]
    nodes: Nodes

    def client(self, number: int) -> Client:
        """Connect the client of a member; the caller closes it."""
        return Client.connect(self.homes[number].client)

    def await_followed(self, seconds: float = 20) -> None:
        """Wait until nothing is waiting for a tick and every node holds every log as far as its origin does."""
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
            assert monotonic() < deadline, f"logs differ after {seconds} s: {sizes}, {waiting} waiting"
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
    """Found a federation in `folder` and run its nodes."""
    homes = found(
        folder, members, committee=committee, threshold=threshold, tick_seconds=tick_seconds, budgets=budgets
    )
    with Nodes(homes) as nodes:
        yield Federation(homes, nodes)
