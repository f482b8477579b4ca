"""A member that loads much at once, and followers that are away, killed on the way, and followed again in steps."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.faults.parties import Wire, cover_entries, kill, process, reset_peak, rows, start, until, usage
from tests.federation import Federation, running
from tocsin.localnet.federation import Home
from tocsin.node.rpc.authorize import Role
from tocsin.v1 import publishing_pb2

pytestmark = pytest.mark.slow
ENTRIES = 40_000
KILLS = 5


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with running(tmp_path_factory.mktemp("bulk"), 3, committee=3, threshold=2) as started:
        yield started


def size(home: Home, writer: Home) -> int:
    found = rows(
        home, "SELECT max(leaf_index) + 1 FROM leaf JOIN log ON no = log WHERE member = ?", writer.id
    )
    return int(found[0][0] or 0)


def test_a_bulk_load_is_followed_to_the_end_in_steps(federation: Federation) -> None:
    origin, follower, other = federation.homes
    federation.await_followed()
    kill(federation, follower)  # away while all of it is sequenced
    with Wire(origin, Role.CLIENT, origin) as wire:
        for _ in range(0, ENTRIES, 1_000):
            request = publishing_pb2.SubmitRequest(
                idempotency_key=os.urandom(16), entries=cover_entries(origin, 1_000)
            )
            wire.publishing.Submit(request, timeout=30)
    until("the log to be sequenced", lambda: size(origin, origin) >= ENTRIES, 90)
    seen = [size(follower, origin)]
    start(federation, follower)
    reset_peak(process(federation, follower).pid)
    began = usage(process(federation, follower).pid).peak_mib
    for _ in range(KILLS):
        until("a step", lambda: size(follower, origin) > seen[-1], 30)
        peak = usage(process(federation, follower).pid).peak_mib
        kill(federation, follower)
        seen.append(size(follower, origin))
        assert peak - began < 256
        # Each step is whole: it ends at a thousand, or where the log ended then.
        assert seen[-1] % 1_000 == 0 or seen[-1] >= ENTRIES
        start(federation, follower)
    assert seen == sorted(seen)
    for home in (follower, other):
        until("the end", lambda home=home: size(home, origin) == size(origin, origin), 60)
    roots = {
        note.partition(b"\n\n")[0]
        for home in federation.homes
        for (note,) in rows(home, "SELECT checkpoint FROM log WHERE member = ?", origin.id)
    }
    assert len(roots) == 1
