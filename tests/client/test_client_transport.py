"""The gRPC transport against real nodes: what two members do, and what a node's refusals become."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from tests.drafts import report_draft
from tests.federation import Federation
from tocsin.cli.main import run
from tocsin.client import Client, system
from tocsin.client.config import load_config
from tocsin.client.errors import RefusedByNode, Unavailable
from tocsin.oprf.group import Element
from tocsin.sealing.label import AbuseKind
from tocsin.wire.values import WireEntry

IBAN = ("payment.iban", "GB82 WEST 1234 5698 7654 32")


def await_sequenced(client: Client, key: bytes) -> None:
    deadline = system.monotonic() + 20
    while (submission := client.submission(key)) is None or not submission.sequenced:
        assert system.monotonic() < deadline
        system.pause(0.05)


def test_report_follow_match_watch_retract(federation: Federation) -> None:
    with federation.client(1) as reporter, federation.client(0) as reader:
        assert reader.query([IBAN]).matches == ()
        receipt = reporter.submit([report_draft(IBAN, AbuseKind.PAYMENT_FRAUD, bad_accounts=3)])
        assert receipt.accepted == 1
        stop = threading.Event()
        watched = next(match for match in reader.watch(stop) if match.type == "payment.iban")
        assert watched.writer == federation.homes[1].id
        (match,) = reader.query([IBAN]).matches
        assert (match.index, match.label) == (watched.index, watched.label)
        assert match.checkpoint_time > 0
        submission = reporter.submission(receipt.submissions[0])
        assert submission is not None
        assert (submission.sequenced, submission.indices) == (True, (match.index,))
        retraction = reporter.retract([IBAN])
        assert retraction.accepted == 1
        await_sequenced(reporter, retraction.submissions[0])
        federation.await_followed()
        assert reader.query([IBAN]).matches == ()
        left = reader.budget()
        assert {budget.key_class for budget in left.budgets} == set(range(1, 11))
        assert left.unreachable == ()


def test_logs_of_real_nodes_verify(federation: Federation) -> None:
    federation.await_followed()
    with federation.client(2) as client:
        for home in federation.homes:
            report = client.verify_log(home.id)
            assert report.size == report.sealed + report.retractions + report.charters
    assert run(["log", "verify", "--config", str(federation.homes[0].client)]) == 0
    assert run(["status", "--config", str(federation.homes[0].client)]) == 0


def test_refusals_carry_reason_and_field(federation: Federation) -> None:
    with federation.client(0) as client:
        key = client.charter.live_classes(3, 0)[0]
        with pytest.raises(RefusedByNode) as caught:
            client._session.node.evaluate(3, 1, key.committee_hash, [Element(bytes(32))], [])
        assert caught.value.reason == "INVALID_ELEMENT"
        assert caught.value.field == "blinded_elements[0]"
        with pytest.raises(RefusedByNode) as caught:
            client._session.node.submit(bytes(16), [WireEntry(b"short", b"")])
        assert caught.value.reason == "INVALID_ENTRY"
        assert client.submission(b"unknown key 1234") is None


def test_a_node_that_is_not_there_is_unavailable(federation: Federation) -> None:
    config = replace(load_config(federation.homes[0].client), node="127.0.0.1:1")
    with Client.connect(config) as client, pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        client.query([IBAN])
