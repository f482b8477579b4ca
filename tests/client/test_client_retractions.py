"""What was matched and is retracted since is reported by `query` and `watch`, from a bounded memory without values."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.client.fake_node import FakeFederation, FakeNode
from tests.client.test_client_flow import IBAN, MAIL, report
from tests.client.test_client_vault import opened
from tests.drafts import report_draft
from tests.federation import Federation
from tocsin.client import Client, Retraction, system, vault_matches
from tocsin.client.config import load_config
from tocsin.client.vault_matches import RememberedMatch


def retract(world: FakeFederation, number: int, node: FakeNode, *values: tuple[str, str]) -> None:
    with world.client(number, node) as client:
        client.retract(list(values))
    node.tick()


def test_a_query_reports_a_retraction_of_what_it_matched_once(world: FakeFederation) -> None:
    node = report(world, 1, MAIL, IBAN)
    with world.client(0) as client:
        first = client.query([MAIL, IBAN])
        assert len(first.matches) == 2
        (index,) = (match.index for match in first.matches if match.type == "contact.email")
    retract(world, 1, node, MAIL)
    with world.client(0) as client:
        result = client.query([IBAN, MAIL])
        assert [match.type for match in result.matches] == ["payment.iban"]
        (retraction,) = result.retractions
        assert (retraction.type, retraction.writer, retraction.index) == (
            "contact.email",
            world.homes[1].id,
            index,
        )
        assert (retraction.positions, retraction.values, retraction.key) == (
            (1,),
            (MAIL,),
            client.key_of(MAIL),
        )
        assert retraction.to_dict() == {
            "type": "contact.email",
            "key": client.key_of(MAIL).hex(),
            "kind": "retraction",
            "writer": world.homes[1].id.hex(),
            "writer_name": world.homes[1].name,
            "index": index,
            "positions": [1],
        }
        assert "mallory" not in repr(result) + str(result.to_dict())
        assert client.query([IBAN, MAIL]).retractions == ()


def test_only_a_retraction_is_one(world: FakeFederation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a report that was never matched, nor one that was corrected, nor one that expired was taken back."""
    node = report(world, 1, MAIL, IBAN)
    with world.client(0) as client:
        client.query([MAIL])
        retract(world, 1, node, MAIL, IBAN)
        report_again = world.client(1, node)
        with report_again:
            report_again.submit([report_draft(MAIL, confidence=5)])
        node.tick()
        result = client.query([MAIL, IBAN])
        assert (len(result.matches), result.retractions) == (1, ())
        later = system.now() + 70 * 86_400
        monkeypatch.setattr(system, "now", lambda: later)
        world.logs[node.member].entries[-1] = None
        assert client._session.vault.matches.of([client.key_of(MAIL)])
        # Expired and erased, as nodes erase what expired.
        from tocsin.client.retractions import retracted_since

        active = client._session.charter(later)
        assert retracted_since(client._session, active, {client.key_of(MAIL): None}, [], later) == []  # type: ignore[dict-item] # not read
        assert client._session.vault.matches.of([client.key_of(MAIL)]) == []


def test_watching_reports_a_retraction_before_it_forgets_it(world: FakeFederation) -> None:
    writer = report(world, 1, MAIL)
    node = world.node(0)
    retractions: list[Retraction] = []
    stop = threading.Event()
    with world.client(0, node) as client:
        assert client.query([MAIL, IBAN])
        matches = client.watch(stop, on_retraction=retractions.append)
        other = report(world, 2, IBAN)
        assert {next(matches).type, next(matches).type} == {"contact.email", "payment.iban"}
        assert retractions == []
        retract(world, 1, writer, MAIL)
        report(world, 2, MAIL)
        for member in (writer.member, other.member):
            node.feed(node.streams[-1], member, 0)
        assert next(matches).writer == world.homes[2].id
        stop.set()
        assert {match.writer for match in matches} <= {world.homes[2].id}
    (retraction,) = retractions
    assert (retraction.type, retraction.writer_name, retraction.values) == (
        "contact.email",
        world.homes[1].name,
        (),
    )


def test_the_memory_is_bounded_and_holds_no_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault_matches, "MAX_REMEMBERED", 10)
    vault = opened(tmp_path / "v")
    writer = bytes(16)
    for number in range(25):
        row = RememberedMatch(number.to_bytes(16, "big"), writer, number, "contact.email")
        vault.matches.remember([row], number)
    kept = vault.matches.next_to_check([writer], 100, 99)
    assert [row.index for row in kept] == list(range(15, 25))
    assert vault.matches.next_to_check([writer], 3, 99) == kept[:3]
    assert vault.matches.next_to_check([b"1" * 16], 3, 99) == []
    vault.matches.forget(kept[:4])
    assert [row.index for row in vault.matches.of(row.key for row in kept)] == list(range(19, 25))
    vault.close()


def test_real_nodes_show_a_retraction_to_query_and_watch(federation: Federation, tmp_path: Path) -> None:
    value = ("contact.email", "retracted-over-real-nodes@example.com")
    watched = tmp_path / "watched.db"
    with federation.client(1) as writer, federation.client(0) as reader:
        config = replace(load_config(federation.homes[0].client), vault=watched)
        with Client.connect(config) as watcher:
            writer.submit([report_draft(value)])
            federation.await_followed()
            (match,) = reader.query([value]).matches
            assert watcher.query([value])
            stop, retractions = threading.Event(), []

            def on_retraction(retraction: Retraction) -> None:
                retractions.append(retraction)
                stop.set()

            thread = threading.Thread(
                target=lambda: list(watcher.watch(stop, on_retraction=on_retraction)), daemon=True
            )
            thread.start()
            writer.retract([value])
            assert stop.wait(20)
            thread.join(10)
        federation.await_followed()
        result = reader.query([value])
    assert (bool(result), [(row.writer, row.index) for row in result.retractions]) == (
        False,
        [(match.writer, match.index)],
    )
    assert [(row.writer, row.index, row.values) for row in retractions] == [(match.writer, match.index, ())]
    assert all(heard.time > 0 and not heard.problem for heard in result.last_heard)
