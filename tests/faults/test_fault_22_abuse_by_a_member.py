"""Copied tags, copied entries, false retractions and floods: no match, refused, capped."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from tests.drafts import report_draft
from tests.faults.parties import (
    Wire,
    ask_seat,
    class_of,
    cover_entries,
    elements,
    kill,
    refused,
    rows,
    start_script,
    until,
)
from tests.federation import Federation, running
from tocsin.client.results import QueryResult
from tocsin.founding import charters
from tocsin.indicators.registry import KeyClass
from tocsin.localnet.federation import Home
from tocsin.node.rpc.authorize import Role
from tocsin.sealing.label import AbuseKind
from tocsin.tlog.entry import retract_header
from tocsin.v1 import entry_pb2, log_pb2, publishing_pb2

ENTRIES_PER_DAY = 3_000
VALUES = [("contact.email", f"abuse-{number}@example.com") for number in range(6)]


@pytest.fixture(scope="module")
def flooded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Three members whose charter lets a log grow by few entries a day; the first has reported `VALUES`."""
    with pytest.MonkeyPatch.context() as founding:
        founding.setattr(charters, "ENTRIES_PER_DAY", ENTRIES_PER_DAY)
        nodes = running(tmp_path_factory.mktemp("flooded"), 3)
        started = nodes.__enter__()
    try:
        with started.client(0) as client:
            drafts = [report_draft(value, AbuseKind.RESALE) for value in VALUES]
            assert client.submit(drafts).accepted == len(VALUES)
        started.await_followed()
        yield started
    finally:
        nodes.__exit__(None, None, None)


def _query(federation: Federation, number: int = 2) -> QueryResult:
    with federation.client(number) as client:
        return client.query(VALUES)


def _writers(result: QueryResult) -> set[str]:
    return {match.writer_name for match in result.matches}


def _reports(federation: Federation, number: int) -> list[Any]:
    """The live sealed entries of a member's log, as any member reads them."""
    home = federation.homes[number]
    with Wire(home, Role.NODE, home) as wire:
        answer = wire.log.ListEntries(log_pb2.ListEntriesRequest(writer=home.id, start=0, limit=1_000))
    return [entry for entry in answer.entries if entry.body]


def _held(federation: Federation, writer: bytes) -> int:
    """How many entries of a log the third member has applied."""
    query = "SELECT count(*) FROM leaf JOIN log ON log.no = leaf.log WHERE log.member = ?"
    return int(rows(federation.homes[2], query, writer)[0][0])


def _publish(federation: Federation, number: int, entries: list[entry_pb2.Entry]) -> None:
    home = federation.homes[number]
    key = os.urandom(16)
    with Wire(home, Role.CLIENT, home) as wire:
        wire.publishing.Submit(publishing_pb2.SubmitRequest(idempotency_key=key, entries=entries))
        status = publishing_pb2.GetSubmissionRequest(idempotency_key=key)
        until("the tick", lambda: wire.publishing.GetSubmission(status).sequenced)


def test_copied_entries_and_tags_match_nothing(flooded: Federation) -> None:
    honest, thief = flooded.homes[:2]
    assert _writers(_query(flooded)) == {honest.name}
    reports = _reports(flooded, 0)
    assert len(reports) == len(VALUES)
    whole = [entry_pb2.Entry(header=report.header, body=report.body) for report in reports]
    tags = [
        entry_pb2.Entry(header=report.header, body=report.body[:16] + os.urandom(552)) for report in reports
    ]
    _publish(flooded, 1, whole + tags)
    flooded.await_followed()
    copied = rows(
        flooded.homes[2],
        "SELECT count(*) FROM leaf JOIN log ON log.no = leaf.log WHERE log.member = ?",
        thief.id,
    )
    assert copied[0][0] >= 2 * len(VALUES)
    result = _query(flooded)
    assert _writers(result) == {honest.name}
    assert len(result.matches) == len(VALUES)
    assert result.problems == ()


def test_a_box_that_its_writer_tampered_with_is_dropped_and_its_writer_named(flooded: Federation) -> None:
    forger = flooded.homes[1]
    with flooded.client(1) as client:
        client.submit([report_draft(VALUES[0], AbuseKind.OTHER)])
    known = {entry.body for entry in _reports(flooded, 0)}
    mine = until(
        "the report",
        lambda: [entry for entry in _reports(flooded, 1) if entry.body[:16] not in {b[:16] for b in known}],
    )
    mine = [entry for entry in mine if entry.body not in known][-1]
    box = bytearray(mine.body)
    box[-1] ^= 1
    _publish(flooded, 1, [entry_pb2.Entry(header=mine.header, body=bytes(box))])
    flooded.await_followed()
    result = _query(flooded)
    assert [problem.writer_name for problem in result.problems] == [forger.name]
    assert "does not open" in result.problems[0].what
    assert _writers(result) == {flooded.homes[0].name}


def test_false_retractions_are_refused_or_empty(flooded: Federation) -> None:
    honest, liar = flooded.homes[:2]
    tags = b"".join(entry.body[:16] for entry in _reports(flooded, 0))
    with Wire(liar, Role.CLIENT, liar) as own, Wire(liar, Role.CLIENT, honest) as other:
        request = publishing_pb2.RetractRequest(idempotency_key=os.urandom(16), tags=tags)
        answer = own.publishing.Retract(request)
        # Its own copies of them, if it made any, are all that it can take back.
        copies = [entry for entry in _reports(flooded, 1) if entry.body[:16] in tags]
        assert answer.covered <= 2 * len(VALUES) + len(copies)
        with refused(grpc.StatusCode.PERMISSION_DENIED, "WRONG_ROLE"):
            other.publishing.Retract(request)
        entry = entry_pb2.Entry(header=retract_header(0).encode())
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ENTRY", "entries[0]"):
            own.publishing.Submit(
                publishing_pb2.SubmitRequest(idempotency_key=os.urandom(16), entries=[entry])
            )
    with Wire(liar, Role.NODE, honest) as node, refused(grpc.StatusCode.PERMISSION_DENIED, "WRONG_ROLE"):
        node.publishing.Retract(request)
    flooded.await_followed()
    result = _query(flooded)
    assert len([match for match in result.matches if match.writer_name == honest.name]) == len(VALUES)


def test_repeated_batches_and_open_calls_are_capped_for_their_caller_alone(flooded: Federation) -> None:
    target, flooder, other = flooded.homes
    key = class_of(target, KeyClass.CONTACT)
    with Wire(flooder, Role.NODE, target) as wire, Wire(other, Role.NODE, target) as honest:
        same = ask_seat(key, elements(512))
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "REPEATED_TOO_OFTEN"):
            for _ in range(200):
                wire.evaluation.EvaluatePartial(same, timeout=10)
        assert honest.evaluation.EvaluatePartial(ask_seat(key, elements(1)), timeout=10).partial.seat == 1

        never = threading.Event()

        def stalled() -> Iterator[bytes]:
            never.wait()
            yield from ()

        method: Any = wire.channel.stream_unary("/tocsin.v1.EvaluationService/EvaluatePartial")
        calls = [method.future(stalled()) for _ in range(48)]
        try:
            done = until("a refusal", lambda: [call for call in calls if call.done()])
            assert {call.code() for call in done} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
            assert len(done) <= 16
            request = ask_seat(key, elements(1))
            assert honest.evaluation.EvaluatePartial(request, timeout=10).partial.seat == 1
        finally:
            for call in calls:
                call.cancel()
            never.set()


def test_a_flood_waits_at_its_own_node_and_the_others_go_on(flooded: Federation) -> None:
    """M-6.24; the cap of a day, and what a day of silence saved up, is what everybody holds of it."""
    flooder = flooded.homes[1]
    _flood(flooder)
    with flooded.client(1) as client:
        until("the backlog", lambda: 0 < client.status().waiting <= 1_100)
    assert _held(flooded, flooder.id) <= ENTRIES_PER_DAY
    _hear_of("before-the-flood@example.com", flooded)


def test_a_log_that_floods_all_the_same_is_followed_no_further(flooded: Federation) -> None:
    flooder = flooded.homes[1]
    kill(flooded, flooder)
    start_script(flooded, flooder, "flooding_node.py")
    _flood(flooder)

    def problem() -> str | None:
        with flooded.client(2) as client:
            problems = {log.writer: log.problem for log in client.status().logs}
        return problems[flooder.id] if "flood" in problems[flooder.id] else None

    assert f"{ENTRIES_PER_DAY} a day" in until("the cap", problem)
    assert _held(flooded, flooder.id) <= ENTRIES_PER_DAY
    _hear_of("after-the-flood@example.com", flooded)


def _flood(flooder: Home) -> None:
    with Wire(flooder, Role.CLIENT, flooder) as wire:
        for _ in range(ENTRIES_PER_DAY // 1_000 + 1):
            key, entries = os.urandom(16), cover_entries(flooder, 1_000)
            wire.publishing.Submit(publishing_pb2.SubmitRequest(idempotency_key=key, entries=entries))


def _hear_of(address: str, federation: Federation) -> None:
    """Wait until the third member matches what the first reports now."""
    fresh = ("contact.email", address)
    with federation.client(0) as client:
        client.submit([report_draft(fresh, AbuseKind.RESALE)])
    with federation.client(2) as client:
        until("the others' news", lambda: client.query([fresh]).matches)
