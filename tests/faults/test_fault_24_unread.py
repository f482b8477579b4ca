"""Answers and streams that are not read, and parallel reads, by one member: others go on, memory stays bounded."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.faults.parties import (
    Wire,
    ask,
    class_of,
    cover_entries,
    elements,
    percentile,
    process,
    reset_peak,
    until,
    usage,
)
from tests.faults.unread import NeverReading
from tests.federation import Federation
from tocsin.client.system import monotonic, pause
from tocsin.indicators.registry import KeyClass
from tocsin.localnet.federation import Home
from tocsin.node.rpc.authorize import Role
from tocsin.v1 import log_pb2, lookup_pb2, publishing_pb2

ENTRIES = "/tocsin.v1.LogService/ListEntries"
GROWTH_MIB = 96
"""Two unread answers of 0.6 MB a caller, what the library keeps for each open call, and the caches of the store."""

NOISE_SECONDS = 0.010


@pytest.fixture(scope="module")
def filled(federation: Federation) -> Home:
    """A node whose log has three thousand entries."""
    target: Home = federation.homes[0]
    with Wire(target, Role.CLIENT, target) as own:
        for _ in range(3):
            own.publishing.Submit(
                publishing_pb2.SubmitRequest(
                    idempotency_key=os.urandom(16), entries=cover_entries(target, 1_000)
                ),
                timeout=20,
            )
        page = log_pb2.ListEntriesRequest(writer=target.id, start=2_000, limit=1_000)
        until("three thousand entries", lambda: len(own.log.ListEntries(page, timeout=10).entries) == 1_000)
    return target


def _page(target: Home) -> bytes:
    return bytes(log_pb2.ListEntriesRequest(writer=target.id, start=0, limit=1_000).SerializeToString())


@contextmanager
def evaluations(target: Home) -> Iterator[Callable[[int], list[float]]]:
    """How long the target's own client waits for evaluations, one after the other."""
    key = class_of(target, KeyClass.CONTACT)
    with Wire(target, Role.CLIENT, target) as own:

        def measure(count: int) -> list[float]:
            took = []
            for _ in range(count):
                request = ask(key, elements(20))
                began = monotonic()
                own.evaluation.Evaluate(request, timeout=20)
                took.append(monotonic() - began)
            return took

        until("an evaluation", lambda: own.evaluation.Evaluate(ask(key, elements(1)), timeout=20))
        measure(20)
        yield measure


@pytest.mark.slow
@pytest.mark.parametrize("role", [Role.NODE, Role.CLIENT])
def test_a_thousand_answers_that_nobody_reads(federation: Federation, filled: Home, role: Role) -> None:
    # M-10.5: what is not read counts against the caller, and against nobody else.
    caller = filled if role is Role.CLIENT else federation.homes[1]
    pid = process(federation, filled).pid
    other = federation.homes[2]
    with ExitStack() as closing, Wire(other, Role.NODE, filled) as reader:
        measure = closing.enter_context(evaluations(filled)) if role is Role.NODE else None
        page = log_pb2.ListEntriesRequest(writer=filled.id, start=0, limit=10)
        reader.log.ListEntries(page, timeout=10)
        before = percentile(measure(100), 0.99) if measure else 0.0
        reset_peak(pid)
        start = usage(pid).peak_mib
        for _ in range(10):
            connection = NeverReading(caller, role, filled)
            closing.callback(connection.close)
            for _ in range(100):
                connection.call(ENTRIES, _page(filled))
        for _ in range(100):
            assert len(reader.log.ListEntries(page, timeout=5).entries) == 10
        if measure:
            after = percentile(measure(100), 0.99)
            assert after < 2 * before + NOISE_SECONDS, f"p99 {before:.4f} → {after:.4f} s"
        assert usage(pid).peak_mib - start < GROWTH_MIB
    with Wire(caller, role, filled) as again:
        until("the caller's own call", lambda: again.log.ListEntries(page, timeout=5).entries)


@pytest.mark.slow
def test_streams_that_nobody_reads(federation: Federation, filled: Home) -> None:
    other = federation.homes[1]
    pid = process(federation, filled).pid
    with ExitStack() as closing, Wire(other, Role.NODE, filled) as reader:
        page = log_pb2.ListEntriesRequest(writer=filled.id, start=0, limit=10)
        reset_peak(pid)
        start = usage(pid).peak_mib
        request = lookup_pb2.WatchTagsRequest(newest_period=2**32 - 1).SerializeToString()
        for _ in range(3):
            connection = NeverReading(filled, Role.CLIENT, filled)
            closing.callback(connection.close)
            for _ in range(100):
                connection.call("/tocsin.v1.LookupService/WatchTags", bytes(request))
        for _ in range(100):
            assert len(reader.log.ListEntries(page, timeout=5).entries) == 10
        assert usage(pid).peak_mib - start < GROWTH_MIB


@pytest.mark.slow
def test_thirty_parallel_reads_by_one_member(federation: Federation, filled: Home) -> None:
    # In a process of its own: the reader's own work is not the node's.
    with evaluations(filled) as measure:
        before = measure(200)
        reader = multiprocessing.get_context("spawn").Process(
            target=read_in_parallel, args=(federation.homes[1], filled, 30), daemon=True
        )
        reader.start()
        try:
            pause(3)
            after = measure(200)
        finally:
            reader.kill()
            reader.join()
    quiet, busy = percentile(before, 0.5), percentile(after, 0.5)
    assert busy < 2 * quiet + NOISE_SECONDS, f"p50 {quiet:.4f} → {busy:.4f} s"


def read_in_parallel(caller: Home, target: Home, count: int) -> None:
    """Read pages of a log with so many calls at once, until killed."""
    page = log_pb2.ListEntriesRequest(writer=target.id, start=0, limit=1_000)
    with Wire(caller, Role.NODE, target) as theirs:
        method: Any = theirs.channel.unary_unary(ENTRIES)  # the answers are not even parsed
        running: set[Any] = set()
        while True:
            running = {call for call in running if not call.done()}
            running |= {method.future(page.SerializeToString()) for _ in range(count - len(running))}
            pause(0.001)
