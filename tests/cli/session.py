"""Members' terminals on fake nodes, for tests of the commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.client.fake_node import FakeFederation, FakeNode
from tocsin.cli.main import run
from tocsin.client import Client
from tocsin.client.config import ClientConfig

SURE = ("--confidence", "80", "--yes")
"""What `submit --from` needs beside the abuse."""
RESALE = ("--abuse", "resale", "--first-seen", "2026-06-05", *SURE)
"""What `submit` needs to say of a value."""


@dataclass
class Session:
    """Members' terminals: each runs commands against its own fake node."""

    world: FakeFederation
    nodes: dict[Path, FakeNode]
    capture: pytest.CaptureFixture[str]

    def node(self, number: int) -> FakeNode:
        return self.nodes[self.world.homes[number].client]

    def __call__(self, number: int, *arguments: str) -> tuple[int, str, str]:
        code = run([*arguments, "--config", str(self.world.homes[number].client)])
        out, err = self.capture.readouterr()
        for node in self.nodes.values():
            node.tick()
        return code, out, err


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Session:
    world = FakeFederation(tmp_path)
    nodes = {home.client: FakeNode(world, home.id) for home in world.homes}

    def connect(path: Path | ClientConfig) -> Client:
        assert isinstance(path, Path)
        number = next(at for at, home in enumerate(world.homes) if home.client == path)
        return world.client(number, nodes[path])

    monkeypatch.setattr(Client, "connect", connect)
    return Session(world, nodes, capsys)
