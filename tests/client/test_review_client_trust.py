"""What the client refuses, whom it accuses, and what it merely waits for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.client.fake_node import FakeFederation, FakeNode
from tests.client.test_client_charters import add, next_version, signed
from tocsin.charter.document import Charter
from tocsin.cli.failures import exit_code
from tocsin.client.errors import (
    CharterRefused,
    NodeMisbehaved,
    RefusedByNode,
    Unavailable,
    UntrustedCharter,
)
from tocsin.client.ports import LogCheckpoint, SignedPartial
from tocsin.oprf.group import Element

MAIL = ("contact.email", "mallory@example.com")


@pytest.fixture
def world(tmp_path: Path) -> FakeFederation:
    return FakeFederation(tmp_path)


def test_nothing_is_evaluated_under_a_charter_of_other_tables(world: FakeFederation) -> None:
    add(world, snapshots=("psl-2099-01-01",))
    node = world.node(0)
    with world.client(0, node) as client, pytest.raises(CharterRefused, match="psl-2099-01-01"):
        client.query([MAIL])
    assert node.evaluated == 0


def test_a_charter_that_honest_members_cannot_have_made_is_a_security_failure(world: FakeFederation) -> None:
    add(world)
    with world.client(0) as client:
        assert client.charter.version == 2
    file = world.homes[0].client / "charter.json"
    newest = file.read_bytes()
    file.write_bytes(world.envelopes[0])
    with pytest.raises(UntrustedCharter, match="never goes back") as back:
        world.client(0)
    file.write_bytes(newest)
    forged: Charter = next_version(world.charter)
    world.envelopes.append(signed(world, forged).replace(b'"signature":"', b'"signature":"AAAA', 1))
    with world.client(0) as client, pytest.raises((UntrustedCharter, NodeMisbehaved)):
        client.query([MAIL])
    assert exit_code(back.value) == 5
    assert exit_code(CharterRefused("expired")) == 2


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


@pytest.mark.parametrize("values", ["contact.email=x", ("contact.email", "x@example.com"), [("a", "b", "c")]])
def test_what_is_no_list_of_pairs_is_said_plainly(world: FakeFederation, values: object) -> None:
    with world.client(0) as client, pytest.raises(TypeError, match="a list of values"):
        client.query(values)  # type: ignore[arg-type] # the mistake under test


def test_a_log_quarantined_under_the_watcher_does_not_end_it(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    from tests.client.test_client_flow import report

    node = world.node(0)
    told: list[str] = []
    with world.client(0, node) as client:
        client.query([MAIL])
        report(world, 1, MAIL)
        original, stop = node.proven_entries, threading.Event()
        monkeypatch.setattr(stop, "wait", lambda _: None)

        def quarantined(*_: object) -> object:
            monkeypatch.setattr(node, "proven_entries", original)
            raise RefusedByNode("QUARANTINED", "two histories")

        monkeypatch.setattr(node, "proven_entries", quarantined)
        matches = client.watch(stop, on_outage=lambda error: told.append(str(error)))
        assert next(matches).type == "contact.email"
    assert len(told) == 1


def test_a_watcher_tells_of_an_outage_once(world: FakeFederation, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    node = world.node(0)
    node.down = True
    told: list[str] = []
    pauses: list[float] = []
    with world.client(0, node) as client:
        stop = threading.Event()

        def wait(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 4:
                stop.set()

        monkeypatch.setattr(stop, "wait", wait)
        assert list(client.watch(stop, on_outage=lambda error: told.append(str(error)))) == []
    assert told == ["the node is down"]
    assert pauses == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize("quorum", [(1, 300), (0, 1), (1, 1), (2, 1), (1, 2, 3), ()])
def test_a_quorum_that_cannot_be_is_the_nodes_fault(world: FakeFederation, quorum: tuple[int, ...]) -> None:
    class Lying(FakeNode):
        def relay(self, partials: list[SignedPartial], blinded: Sequence[Element]) -> list[SignedPartial]:
            return [replace(each, quorum=quorum) for each in partials]

    with (
        world.client(0, Lying(world, world.homes[0].id)) as client,
        pytest.raises(NodeMisbehaved),
    ):
        client.query([MAIL])
