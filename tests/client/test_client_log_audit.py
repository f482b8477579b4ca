"""Auditing a whole log: what is nobody's fault, and what is the node's."""

from __future__ import annotations

import pytest

from tests.client.fake_node import FakeFederation
from tocsin.client.errors import (
    NodeMisbehaved,
    Unavailable,
)
from tocsin.wire.values import LogCheckpoint


def test_a_log_that_no_node_could_read_yet_accuses_nobody(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, absent = world.node(0), world.homes[2].id

    def without() -> list[LogCheckpoint]:
        return [LogCheckpoint(w, log.note, False) for w, log in world.logs.items() if w != absent]

    with world.client(0, node) as client:
        with monkeypatch.context() as patch:
            patch.setattr(node, "checkpoints", without)
            with pytest.raises(Unavailable, match="tocsin status"):
                client.verify_log(absent)
        client.verify_log(absent)
        monkeypatch.setattr(node, "checkpoints", without)
        with pytest.raises(NodeMisbehaved, match="verified before"):
            client.verify_log(absent)
