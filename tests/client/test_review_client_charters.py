"""A node gives as many charters at a time as its message holds; a client asks until none is left."""

from __future__ import annotations

from pathlib import Path

from tests.client.fake_node import FakeFederation, FakeNode
from tests.client.test_client_charters import add


def test_short_pages_do_not_end_the_chain(tmp_path: Path) -> None:
    world = FakeFederation(tmp_path)

    class Paged(FakeNode):
        def charters(self, first_version: int) -> list[bytes]:
            return super().charters(first_version)[:2]

    for seconds in range(2, 8):
        add(world, tick_seconds=seconds)
    with world.client(0, Paged(world, world.homes[0].id)) as client:
        assert client.charter.version == 7
