"""Nodes as real processes: what their peers can do to them, and how they start and stop."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from google.rpc.error_details_pb2 import BadRequest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from tests.node.node_process import FEDERATION, Federation, Process, founded, run_to_its_end, running
from tocsin.founding.certificates import Issued, LeafRole, issue_leaf
from tocsin.founding.members import open_part
from tocsin.oprf.group import base_multiply, random_scalar
from tocsin.sealing.keyring import UnlockKey, seal_keyring
from tocsin.v1 import (
    entry_pb2,
    evaluation_pb2,
    evaluation_pb2_grpc,
    log_pb2,
    log_pb2_grpc,
    lookup_pb2,
    lookup_pb2_grpc,
    membership_pb2,
    membership_pb2_grpc,
    publishing_pb2,
    publishing_pb2_grpc,
)
from tocsin.wire.names import target_name
from tocsin.wire.status import read_refusal

IDENTITY = bytes(32)
NOT_CANONICAL = b"\xff" * 32


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    return founded(tmp_path_factory.mktemp("federation"))


@pytest.fixture(scope="module")
def nodes(federation: Federation) -> Iterator[list[Process]]:
    first, second, _ = federation.homes
    with running(first) as one, running(second) as two:
        yield [one, two]


@pytest.fixture
def client(federation: Federation, nodes: list[Process]) -> Iterator[grpc.Channel]:
    with federation.channel(federation.homes[0], federation.homes[0], "client") as channel:
        yield channel


@pytest.fixture
def peer(federation: Federation, nodes: list[Process]) -> Iterator[grpc.Channel]:
    """The second member's node, as the first one's sees it."""
    with federation.channel(federation.homes[0], federation.homes[1], "node") as channel:
        yield channel


def elements(count: int) -> list[bytes]:
    return [base_multiply(random_scalar(os.urandom)) for _ in range(count)]


def partial_request(federation: Federation, blinded: list[bytes]) -> evaluation_pb2.EvaluatePartialRequest:
    charter, own = federation.charter, federation.homes[0].id
    key = charter.classes[0]
    seat = key.seats_of(own)[0]
    other = seat + 1 if seat < len(key.committee) else seat - 1
    return evaluation_pb2.EvaluatePartialRequest(
        key_class=key.key_class,
        key_epoch=key.epoch,
        committee_hash=key.committee_hash,
        quorum=sorted((seat, other)),
        seat=seat,
        blinded_elements=blinded,
    )


def left(channel: grpc.Channel, key_class: int) -> int:
    answer = evaluation_pb2_grpc.EvaluationServiceStub(channel).GetBudget(
        evaluation_pb2.GetBudgetRequest(), timeout=5
    )
    return next(budget.left for budget in answer.budgets if budget.key_class == key_class)


def refusal(error: Any) -> tuple[grpc.StatusCode, str]:
    return error.value.code(), read_refusal(error.value).reason


@pytest.mark.parametrize(
    "bad", [bytes(31), bytes(33), b"", IDENTITY, NOT_CANONICAL], ids=["31", "33", "empty", "identity", "high"]
)
def test_a_bad_element_is_named_by_its_index_and_nothing_is_charged(
    federation: Federation, peer: grpc.Channel, client: grpc.Channel, bad: bytes
) -> None:
    request = partial_request(federation, [*elements(3), bad, *elements(1)])
    before = left(peer, request.key_class)
    with pytest.raises(grpc.RpcError) as error:
        evaluation_pb2_grpc.EvaluationServiceStub(peer).EvaluatePartial(request, timeout=5)
    assert refusal(error) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ELEMENT")
    details = BadRequest()
    assert rpc_status.from_call(error.value).details[1].Unpack(details)
    assert details.field_violations[0].field == "blinded_elements[3]"
    assert left(peer, request.key_class) == before
    own = evaluation_pb2.EvaluateRequest(
        key_class=request.key_class,
        key_epoch=request.key_epoch,
        committee_hash=request.committee_hash,
        blinded_elements=request.blinded_elements,
    )
    with pytest.raises(grpc.RpcError) as error:
        evaluation_pb2_grpc.EvaluationServiceStub(client).Evaluate(own, timeout=5)
    assert read_refusal(error.value).fields == ("blinded_elements[3]",)


def test_evaluation_through_two_nodes_is_charged_exactly(
    federation: Federation, client: grpc.Channel, peer: grpc.Channel
) -> None:
    evaluation = evaluation_pb2_grpc.EvaluationServiceStub(client)
    budgets = _eventually(
        lambda: evaluation.ListBudgets(evaluation_pb2.ListBudgetsRequest(), timeout=10),
        lambda answer: len(answer.unreachable) == 1,
    )
    assert list(budgets.unreachable) == [federation.homes[2].id]
    request = partial_request(federation, elements(5))
    before = left(peer, request.key_class)
    signed = evaluation_pb2_grpc.EvaluationServiceStub(peer).EvaluatePartial(request, timeout=10).partial
    assert len(signed.evaluated_elements) == 5
    assert signed.budget_left == before - 5 == left(peer, request.key_class)
    answer = evaluation_pb2_grpc.EvaluationServiceStub(client).Evaluate(
        evaluation_pb2.EvaluateRequest(
            key_class=request.key_class,
            key_epoch=request.key_epoch,
            committee_hash=request.committee_hash,
            blinded_elements=request.blinded_elements,
        ),
        timeout=10,
    )
    assert len(answer.partials) == 2
    assert answer.partials[0].quorum == answer.partials[1].quorum


def test_floods_and_bombs_are_refused_with_bounded_memory(
    federation: Federation, nodes: list[Process], client: grpc.Channel, peer: grpc.Channel
) -> None:
    evaluation = evaluation_pb2_grpc.EvaluationServiceStub(peer)
    evaluation.EvaluatePartial(partial_request(federation, elements(50)), timeout=10)
    before = nodes[0].peak_kib()
    with pytest.raises(grpc.RpcError) as error:
        evaluation.EvaluatePartial(partial_request(federation, [b""] * 2_000_000), timeout=20)
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(grpc.RpcError) as error:
        evaluation.EvaluatePartial(partial_request(federation, [b""] * 500_000), timeout=20)
    assert refusal(error) == (grpc.StatusCode.INVALID_ARGUMENT, "TOO_MANY_ELEMENTS")
    with pytest.raises(grpc.RpcError) as error:
        evaluation.EvaluatePartial(partial_request(federation, []), timeout=20)
    assert refusal(error) == (grpc.StatusCode.INVALID_ARGUMENT, "TOO_MANY_ELEMENTS")
    home = federation.homes[0]
    with federation.channel(home, home, "client", grpc.Compression.Gzip) as bombing:
        submit = bombing.unary_unary("/tocsin.v1.PublishingService/Submit")
        with pytest.raises(grpc.RpcError) as error:
            submit(bytes(256 * 1024 * 1024), timeout=20)
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert nodes[0].peak_kib() - before < 64 * 1024


def test_every_service_answers_over_the_wire(
    federation: Federation, client: grpc.Channel, nodes: list[Process]
) -> None:
    own, other = federation.homes[0].id, federation.homes[1].id
    status = membership_pb2_grpc.MembershipServiceStub(client).GetStatus(
        membership_pb2.GetStatusRequest(), timeout=5
    )
    assert (status.member, status.charter_version, len(status.logs)) == (own, 1, 3)
    charters = membership_pb2_grpc.MembershipServiceStub(client).ListCharters(
        membership_pb2.ListChartersRequest(first_version=1), timeout=5
    )
    assert list(charters.charters) == [(federation.homes[0].folder / "node" / "charter.json").read_bytes()]

    header = _header(federation)
    publishing = publishing_pb2_grpc.PublishingServiceStub(client)
    body, key = os.urandom(568), os.urandom(16)
    request = publishing_pb2.SubmitRequest(
        idempotency_key=key, entries=[entry_pb2.Entry(header=header, body=body)]
    )
    assert publishing.Submit(request, timeout=5).accepted == 1
    assert publishing.Submit(request, timeout=5).repeated_request
    bad = publishing_pb2.SubmitRequest(
        idempotency_key=os.urandom(16),
        entries=[request.entries[0], entry_pb2.Entry(header=b"short", body=body)],
    )
    with pytest.raises(grpc.RpcError) as error:
        publishing.Submit(bad, timeout=5)
    assert refusal(error) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ENTRY")
    assert read_refusal(error.value).fields == ("entries[1]",)

    asked = publishing_pb2.GetSubmissionRequest(idempotency_key=key)
    sequenced = _eventually(
        lambda: publishing.GetSubmission(asked, timeout=5), lambda answer: answer.sequenced
    )
    index = sequenced.indices[0]
    log = log_pb2_grpc.LogServiceStub(client)
    proven = log.GetProvenEntries(
        log_pb2.GetProvenEntriesRequest(locations=[entry_pb2.EntryLocation(writer=own, index=index)]),
        timeout=5,
    )
    assert proven.entries[0].entry.body == body
    assert proven.checkpoints[0].writer == own
    entries = log.ListEntries(log_pb2.ListEntriesRequest(writer=own, start=0, limit=1000), timeout=5).entries
    assert entries[index].body == body
    assert not log.ListForks(log_pb2.ListForksRequest(), timeout=5).forks
    log.GetConsistencyProof(
        log_pb2.GetConsistencyProofRequest(writer=own, old_size=1, new_size=len(entries)), timeout=5
    )

    with federation.channel(federation.homes[1], federation.homes[1], "client") as across:
        lookup = lookup_pb2_grpc.LookupServiceStub(across)
        tags = lookup_pb2.LookUpRequest(
            tags=[lookup_pb2.WriterTags(writer=own, tags=os.urandom(16) + body[:16])]
        )
        found = _eventually(lambda: lookup.LookUp(tags, timeout=5), lambda answer: answer.hits)
        assert [(hit.group, hit.position, list(hit.indices)) for hit in found.hits] == [(0, 1, [index])]
        newest = federation.charter.period.number
        stream = lookup.WatchTags(lookup_pb2.WatchTagsRequest(newest_period=newest), timeout=10)
        news = next(message for message in stream if message.writer == own and message.tags)
        assert body[:16] in news.tags
        stream.cancel()
        twice = lookup_pb2.LogPosition(writer=own)
        with pytest.raises(grpc.RpcError) as error:
            next(lookup.WatchTags(lookup_pb2.WatchTagsRequest(cursor=[twice, twice]), timeout=5))
        assert refusal(error) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_CURSOR")

    done = publishing.Retract(
        publishing_pb2.RetractRequest(idempotency_key=os.urandom(16), tags=body[:16]), timeout=5
    )
    assert done.covered == 1
    _eventually(
        lambda: log.ListCheckpoints(log_pb2.ListCheckpointsRequest(), timeout=5).checkpoints,
        lambda checkpoints: {checkpoint.writer for checkpoint in checkpoints} == {own, other},
    )
    assert _health(client) == health_pb2.HealthCheckResponse.SERVING


def _header(federation: Federation) -> bytes:
    from tocsin.tlog.entry import sealed_header, weeks_after

    charter = federation.charter
    key = charter.classes[0]
    now = int(time.time())  # noqa: TID251 - a node process goes by the system's clock
    return sealed_header(key.key_class, key.epoch, charter.period_at(now), weeks_after(now, 86_400)).encode()


def _eventually(ask: Any, enough: Any, seconds: float = 10) -> Any:
    deadline = time.monotonic() + seconds
    while not enough(answer := ask()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return answer


def _health(channel: grpc.Channel) -> int:
    return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5).status


def test_another_members_client_and_a_node_as_client_are_denied(
    federation: Federation, nodes: list[Process]
) -> None:
    first, second, _ = federation.homes
    for caller, part in ((second, "client"), (second, "node"), (first, "node")):
        with federation.channel(first, caller, part) as channel, pytest.raises(grpc.RpcError) as error:
            membership_pb2_grpc.MembershipServiceStub(channel).GetStatus(
                membership_pb2.GetStatusRequest(), timeout=5
            )
        assert refusal(error) == (grpc.StatusCode.PERMISSION_DENIED, "WRONG_ROLE")


def test_tls_1_2_is_refused(federation: Federation, nodes: list[Process]) -> None:
    first, second, _ = federation.homes
    identity = federation.identity(second, "node")
    context = ssl.create_default_context(
        cadata=ssl.DER_cert_to_PEM_cert(federation.charter.member(first.id).ca)
    )
    with tempfile.NamedTemporaryFile() as file:
        file.write(identity.certificate + identity.key)
        file.flush()
        context.load_cert_chain(file.name)
    context.set_alpn_protocols(["h2"])
    name = target_name(FEDERATION, first.id)
    raw = socket.create_connection(("127.0.0.1", first.port), timeout=5)
    with raw, context.wrap_socket(raw, server_hostname=name) as tls:
        assert tls.version() == "TLSv1.3"
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", first.port), timeout=5) as raw, pytest.raises(ssl.SSLError):
        context.wrap_socket(raw, server_hostname=name)


def test_the_log_is_json_and_holds_no_tag_or_element(federation: Federation, nodes: list[Process]) -> None:
    assert "serving" in nodes[0].events()


def test_sigterm_lets_calls_in_flight_finish_ends_streams_and_exits_0(tmp_path: Path) -> None:
    alone = founded(tmp_path / "f", members=2)
    home = alone.homes[0]
    with running(home) as node, alone.channel(home, home, "client") as channel:
        lookup = lookup_pb2_grpc.LookupServiceStub(channel)
        stream = lookup.WatchTags(lookup_pb2.WatchTagsRequest(newest_period=1))
        assert next(stream).caught_up
        publishing = publishing_pb2_grpc.PublishingServiceStub(channel)
        acknowledged: list[bytes] = []
        refused: list[grpc.StatusCode] = []

        def load() -> None:
            while True:
                key = os.urandom(16)
                entry = entry_pb2.Entry(header=_header(alone), body=os.urandom(568))
                try:
                    publishing.Submit(
                        publishing_pb2.SubmitRequest(idempotency_key=key, entries=[entry]), timeout=10
                    )
                except grpc.RpcError as error:
                    refused.append(error.code())
                    return
                acknowledged.append(key)

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        _eventually(lambda: len(acknowledged), lambda count: count > 20)
        assert node.stop() == 0
        for thread in threads:
            thread.join(15)
        # CANCELLED is a call that reached the listener as it closed; to a client both mean: later.
        assert refused
        assert set(refused) <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        with pytest.raises(grpc.RpcError) as error:
            list(stream)
        assert refusal(error) == (grpc.StatusCode.UNAVAILABLE, "STOPPING")
    assert node.events()[-2:] == ["stopping", "stopped"]
    with running(home), alone.channel(home, home, "client") as channel:
        publishing = publishing_pb2_grpc.PublishingServiceStub(channel)
        for key in acknowledged:
            publishing.GetSubmission(publishing_pb2.GetSubmissionRequest(idempotency_key=key), timeout=5)


def test_a_second_node_on_a_taken_port_or_a_used_store_says_so(
    federation: Federation, nodes: list[Process], tmp_path: Path
) -> None:
    config = federation.homes[0].folder / "node" / "node.toml"
    used = run_to_its_end(config, TOCSIN_NODE_LISTEN="127.0.0.1:0")
    assert used.returncode == 2, used.stderr
    taken = run_to_its_end(config, TOCSIN_NODE_DATABASE=f"sqlite:///{tmp_path}/other.db")
    assert taken.returncode == 3, taken.stderr
    assert f"127.0.0.1:{federation.homes[0].port}" in taken.stderr
    assert "listen" in taken.stderr
    for refused in (used, taken):
        assert refused.stdout == ""
        assert "Traceback" not in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1


def test_a_store_of_another_member_is_refused(federation: Federation, nodes: list[Process]) -> None:
    first, _, third = federation.homes
    with running(third) as node:
        assert node.stop(signal.SIGINT) == 0
    foreign = run_to_its_end(
        first.folder / "node" / "node.toml",
        TOCSIN_NODE_DATABASE=f"sqlite:///{third.folder}/node/node.db",
        TOCSIN_NODE_LISTEN="127.0.0.1:0",
    )
    assert foreign.returncode == 2
    assert third.id.hex() in foreign.stderr


def _served_certificate(federation: Federation, port: int) -> bytes | None:
    first, second, *_ = federation.homes
    identity = federation.identity(second, "node")
    context = ssl.create_default_context(
        cadata=ssl.DER_cert_to_PEM_cert(federation.charter.member(first.id).ca)
    )
    with tempfile.NamedTemporaryFile() as file:
        file.write(identity.certificate + identity.key)
        file.flush()
        context.load_cert_chain(file.name)
    context.set_alpn_protocols(["h2"])
    raw = socket.create_connection(("127.0.0.1", port), timeout=5)
    with raw, context.wrap_socket(raw, server_hostname=target_name(FEDERATION, first.id)) as tls:
        return tls.getpeercert(binary_form=True)


def test_new_certificate_and_share_files_take_effect_without_a_restart(tmp_path: Path) -> None:
    federation = founded(tmp_path / "f", members=2)
    home = federation.homes[0]
    folder = home.folder / "node"
    authority = Issued(
        x509.load_der_x509_certificate(federation.charter.member(home.id).ca),
        open_part(home.folder, "identity")["ca"],
    )
    leaf = issue_leaf(authority, FEDERATION, home.id, LeafRole.NODE, int(time.time()))  # noqa: TID251 - as TLS does
    secrets = {**open_part(home.folder, "node"), "tls": leaf.private_key}
    with (
        running(federation.homes[1]),
        running(home) as node,
        federation.channel(home, home, "client") as channel,
    ):
        before = _served_certificate(federation, home.port)
        assert _health(channel) == health_pb2.HealthCheckResponse.SERVING
        unlock = UnlockKey((folder / "unlock.key").read_bytes())
        (folder / "node.keyring").write_bytes(seal_keyring(secrets, unlock, os.urandom))
        (folder / "node.crt").write_bytes(leaf.pem)
        _eventually(lambda: _served_certificate(federation, home.port), lambda shown: shown == leaf.der)
        assert before != leaf.der
        assert _health(channel) == health_pb2.HealthCheckResponse.SERVING
        share = sorted((folder / "shares").glob("*.share"))[0]
        dealt = share.read_bytes()
        for content, event in ((dealt[:-1], "share-missing"), (dealt, "shares-loaded")):
            share.write_bytes(content)
            _eventually(node.events, lambda events, event=event: event in events)
        _eventually(lambda: _health(channel), lambda health: health == health_pb2.HealthCheckResponse.SERVING)
        assert node.stop() == 0
