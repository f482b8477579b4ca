"""SIGKILL during submit. What was acknowledged is in the log, and every key had one effect."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial

import grpc
import pytest

from tests.faults.parties import Wire, charter_of, cover_entries, kill, start, until
from tests.federation import Federation
from tocsin.client.system import pause
from tocsin.node.rpc.authorize import Role
from tocsin.tlog.checkpoint import SignedCheckpoint, log_origin, open_checkpoint
from tocsin.tlog.entry import parse_entry
from tocsin.tlog.merkle import parse_hash, verify_inclusion
from tocsin.v1 import entry_pb2, log_pb2, publishing_pb2

SUBMITTERS = 3
ACKNOWLEDGED_A_ROUND = 12


class Submitters:
    """Threads that submit until the node is gone; they remember every request, and which were acknowledged."""

    def __init__(self, federation: Federation, wire: Wire) -> None:
        self.home = federation.homes[0]
        self.wire = wire
        self.sent: dict[bytes, list[entry_pb2.Entry]] = {}
        self.acknowledged: set[bytes] = set()
        self.lock = threading.Lock()

    def submit_until_gone(self, number: int) -> None:
        while True:
            key, entries = os.urandom(16), cover_entries(self.home, 1 + number * 7)
            with self.lock:
                self.sent[key] = entries
            try:
                answer = self.wire.publishing.Submit(request(key, entries), timeout=10)
            except grpc.RpcError:
                return
            assert (answer.accepted, answer.repeated_request) == (len(entries), False)
            with self.lock:
                self.acknowledged.add(key)

    def round(self, federation: Federation, number: int) -> None:
        before, known = len(self.acknowledged), set(self.sent)
        threads = [
            threading.Thread(target=self.submit_until_gone, args=(number,)) for number in range(SUBMITTERS)
        ]
        for thread in threads:
            thread.start()
        until("acknowledgements", lambda: len(self.acknowledged) >= before + ACKNOWLEDGED_A_ROUND)
        # Anywhere within a submit, a group commit or a tick.
        pause(int.from_bytes(os.urandom(2), "big") / 65_536 * 0.1)
        kill(federation, self.home)
        for thread in threads:
            thread.join()
        start(federation, self.home)
        for key in set(self.sent) - known:
            answer = until("the node", partial(self._again, key))
            assert answer.accepted == len(self.sent[key])
            if key in self.acknowledged:
                assert answer.repeated_request, "an acknowledged submission was forgotten"

    def _again(self, key: bytes) -> publishing_pb2.SubmitResponse:
        answer: publishing_pb2.SubmitResponse = self.wire.publishing.Submit(
            request(key, self.sent[key]), timeout=10
        )
        return answer


def request(key: bytes, entries: list[entry_pb2.Entry]) -> publishing_pb2.SubmitRequest:
    return publishing_pb2.SubmitRequest(idempotency_key=key, entries=entries)


@pytest.mark.parametrize("kills", [2, pytest.param(200, marks=pytest.mark.slow)])
def test_sigkill_during_submit(battered: Federation, kills: int) -> None:
    home = battered.homes[0]
    with Wire(home, Role.CLIENT, home) as wire:
        started_with = until("the first tick", lambda: [sum(1 for _ in sealed_bodies(wire, home.id))])[0]
        submitters = Submitters(battered, wire)
        for number in range(kills):
            submitters.round(battered, number)
        assert len(submitters.acknowledged) >= kills * ACKNOWLEDGED_A_ROUND

        places = {key: until("the tick", partial(sequenced, wire, key)) for key in submitters.sent}
        every = [index for indices in places.values() for index in indices]
        assert len(every) == len(set(every)) == sum(map(len, submitters.sent.values()))
        in_log = Counter(sealed_bodies(wire, home.id))
        submitted = Counter(entry.body for entries in submitters.sent.values() for entry in entries)
        assert {body: in_log[body] for body in submitted} == submitted == dict.fromkeys(submitted, 1)
        assert in_log.total() == started_with + submitted.total()
        check_proofs(battered, wire, places, submitters.sent)


def sequenced(wire: Wire, key: bytes) -> list[int]:
    answer = wire.publishing.GetSubmission(
        publishing_pb2.GetSubmissionRequest(idempotency_key=key), timeout=10
    )
    return list(answer.indices)


def sealed_bodies(wire: Wire, writer: bytes) -> Iterator[bytes]:
    start = 0
    while True:
        page = wire.log.ListEntries(
            log_pb2.ListEntriesRequest(writer=writer, start=start, limit=1_000), timeout=10
        ).entries
        if not page:
            return
        start += len(page)
        yield from (entry.body for entry in page if entry.body)


def check_proofs(
    federation: Federation,
    wire: Wire,
    places: dict[bytes, list[int]],
    sent: dict[bytes, list[entry_pb2.Entry]],
) -> None:
    """Each entry, at the index its submission was told, is in the tree that the log key signed."""
    home = federation.homes[0]
    charter = charter_of(home)
    pairs = [
        (index, value)
        for key, indices in places.items()
        for index, value in zip(indices, sent[key], strict=True)
    ]
    for at in range(0, len(pairs), 256):
        part = pairs[at : at + 256]
        answer = wire.log.GetProvenEntries(
            log_pb2.GetProvenEntriesRequest(
                locations=[entry_pb2.EntryLocation(writer=home.id, index=index) for index, _ in part]
            ),
            timeout=10,
        )
        signed: SignedCheckpoint = open_checkpoint(
            answer.checkpoints[0].checkpoint,
            log_origin(charter.federation, home.id),
            charter.member(home.id).log,
        )
        for (index, entry), proven in zip(part, answer.entries, strict=True):
            leaf = parse_entry(entry.header, entry.body).leaf_hash()
            hashes = [parse_hash(shingle) for shingle in proven.hashes]
            verify_inclusion(index, signed.checkpoint.size, leaf, hashes, signed.checkpoint.root)
