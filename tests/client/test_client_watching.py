"""Watching: what comes later is delivered at least once, over outages and quarantined logs."""

from __future__ import annotations

import threading

import pytest

from tests.client.fake_node import FakeFederation, FakeStream
from tests.client.test_client_flow import IBAN, MAIL, report
from tests.drafts import report_draft
from tocsin.client.errors import (
    RefusedByNode,
    Unavailable,
)
from tocsin.sealing.label import AbuseKind


def test_watching_finds_what_comes_later_and_resumes(world: FakeFederation) -> None:
    node = world.node(0)
    with world.client(0, node) as client:
        assert client.query([MAIL, IBAN]).matches == ()
        stop = threading.Event()
        matches = client.watch(stop)
        report(world, 1, MAIL)
        first = next(matches)
        assert (first.type, first.writer, first.key) == (
            "contact.email",
            world.homes[1].id,
            client.key_of(MAIL),
        )
        assert (first.values, first.positions) == ((), ())
        writer = world.node(2)
        with world.client(2, writer) as reporter:
            reporter.submit([report_draft(IBAN, AbuseKind.RESALE)])
        writer.tick()
        node.feed(node.streams[-1], writer.member, 0)
        assert next(matches).type == "payment.iban"
        # The consumer did not ask for more: after a crash the last match comes again.
        matches.close()  # type: ignore[attr-defined] # a double takes what the port takes
        assert client._session.vault.cursors()[world.homes[1].id].next_index == 1
        assert client._session.vault.cursors()[writer.member].next_index == 0
        again = client.watch(stop)
        assert next(again).type == "payment.iban"
        stop.set()
        assert list(again) == []
        assert client._session.vault.cursors()[writer.member].next_index == 1


def test_a_stream_that_ends_in_good_order_is_no_outage(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = world.node(0)
    with world.client(0, node) as client:
        client.query([MAIL])
        stop, outages = threading.Event(), []
        monkeypatch.setattr(stop, "wait", lambda _: None)
        original, opened = node.watch_tags, []

        def ending(cursor: dict[bytes, int], newest_period: int) -> object:
            opened.append(cursor)
            stream = original(cursor, newest_period)
            if len(opened) == 1:
                stream = FakeStream()
                stream.messages.put(None)
            return stream

        monkeypatch.setattr(node, "watch_tags", ending)
        matches = client.watch(stop, on_outage=outages.append)
        report(world, 1, MAIL)
        assert next(matches).type == "contact.email"
        stop.set()
        matches.close()  # type: ignore[attr-defined] # a double takes what the port takes
    assert (len(opened), outages) == (2, [])


def test_watching_survives_a_broken_stream(world: FakeFederation, monkeypatch: pytest.MonkeyPatch) -> None:
    node = world.node(0)
    with world.client(0, node) as client:
        client.query([MAIL])
        stop = threading.Event()
        monkeypatch.setattr(stop, "wait", lambda _: None)
        matches = client.watch(stop)
        report(world, 1, MAIL)
        original = node.watch_tags

        def broken(cursor: dict[bytes, int], newest_period: int) -> object:
            stream = original(cursor, newest_period)
            stream.messages.queue.clear()
            stream.messages.put(Unavailable("gone"))
            monkeypatch.setattr(node, "watch_tags", original)
            return stream

        monkeypatch.setattr(node, "watch_tags", broken)
        assert next(matches).type == "contact.email"
        assert len(node.streams) == 2


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
