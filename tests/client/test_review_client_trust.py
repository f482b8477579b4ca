"""What the client refuses, whom it accuses, and what it merely waits for."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.client.fake_node import FakeFederation, FakeNode
from tests.client.test_client_charters import add, next_version, signed
from tests.client.test_client_flow import report
from tests.drafts import report_draft
from tocsin.charter.document import Charter
from tocsin.cli.exit_codes import exit_code
from tocsin.client.errors import (
    CharterRefused,
    DraftRefused,
    NodeMisbehaved,
    RefusedByNode,
    Unavailable,
    UntrustedCharter,
)
from tocsin.client.evidence import export_evidence, verify_evidence
from tocsin.oprf.group import Element
from tocsin.sealing.label import AbuseKind, Evidence
from tocsin.wire.values import LogCheckpoint, SignedPartial

MAIL = ("contact.email", "mallory@example.com")


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


def test_a_log_quarantined_under_the_watcher_does_not_end_it(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_a_report_has_no_more_hops_than_the_charter_allows(world: FakeFederation) -> None:
    add(world, policy=replace(world.charter.policy, max_hops=1))
    seen = ((world.homes[1].id, 0),)
    drafts = [
        report_draft(MAIL, AbuseKind.RESALE, evidence=Evidence.REVIEWED_MATCH, rests_on=seen, hops=hops)
        for hops in (1, 2)
    ]
    with world.client(0) as client:
        receipt = client.submit(drafts)
    assert receipt.accepted == 1
    (refusal,) = receipt.refused
    assert isinstance(refusal, DraftRefused)
    assert (refusal.position, refusal.field, refusal.rule) == (1, "hops", "hops.policy")


def test_evidence_outlives_its_charter(world: FakeFederation, tmp_path: Path) -> None:
    report(world, 1, MAIL)
    with world.client(0) as client:
        (match,) = client.query([MAIL]).matches
        folder = tmp_path / "evidence"
        export_evidence(
            folder, match.evidence, client.charter_chain(), writer=match.writer, name="x", index=match.index
        )
        pin, expires = client._session.config.charter_pin, client.charter.expires
    assert verify_evidence(folder, pin, expires + 10**9).writer == world.homes[1].id
