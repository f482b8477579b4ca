"""Every pair of the codec: what is built is parsed back, and what no rule allows is named with its field."""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.deterministic import seeded
from tocsin.oprf.dleq import Proof
from tocsin.oprf.group import Element, base_multiply, random_scalar
from tocsin.oprf.threshold import PartialEvaluation
from tocsin.tlog.entry import Entry, SealedBody, charter_header, retract_header, sealed_header
from tocsin.tlog.merkle import Hash
from tocsin.v1 import evaluation_pb2, log_pb2, lookup_pb2, membership_pb2, publishing_pb2
from tocsin.wire.codec import evaluation, fields, log, lookup, membership, publishing
from tocsin.wire.errors import Malformed
from tocsin.wire.values import (
    Acknowledged,
    BudgetLeft,
    Budgets,
    EvaluationRequest,
    Kept,
    KeptFork,
    LogCheckpoint,
    LogStatus,
    MemberId,
    NewTags,
    NodeStatus,
    PartialRequest,
    ProvenEntries,
    ProvenEntry,
    SignedPartial,
    Stored,
    SubmissionStatus,
    TagHit,
    WireEntry,
)

SCALAR = random_scalar(seeded("wire"))
ELEMENTS = [base_multiply(random_scalar(seeded(str(number)))) for number in range(4)]
PROOF = Proof(SCALAR + SCALAR)

u16 = st.integers(0, 2**16 - 1)
u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
index = st.integers(0, 2**63 - 1)
text = st.text(st.characters(codec="utf-8"), max_size=20)
members = st.binary(min_size=16, max_size=16).map(MemberId)
hashes = st.binary(min_size=32, max_size=32).map(Hash)
elements: st.SearchStrategy[list[Element]] = st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=4)
quorums = st.sets(st.integers(1, 7), min_size=1).map(sorted).map(tuple)
ascending = st.sets(index, max_size=5).map(sorted).map(tuple)
bodies = st.builds(
    SealedBody,
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=24, max_size=24),
    st.binary(min_size=528, max_size=528),
)
sealed = st.builds(Entry, st.builds(sealed_header, u16, u32, u32, st.integers(1, 2**32 - 1)), bodies)
bare = st.one_of(
    st.builds(Entry, st.builds(retract_header, index)),
    st.builds(Entry, st.binary(min_size=32, max_size=32).map(charter_header)),
)


@st.composite
def stored_at(draw: st.DrawFn, place: int) -> Stored:
    entry = draw(st.one_of(sealed, bare))
    body = entry.body if draw(st.booleans()) else None
    return Stored(place, Kept(entry.header, body), sha256(entry.body_bytes()).digest())


@st.composite
def signed_partials(draw: st.DrawFn) -> SignedPartial:
    quorum = draw(quorums)
    return SignedPartial(
        draw(st.sampled_from(quorum)),
        draw(members),
        quorum,
        PartialEvaluation(tuple(draw(elements)), PROOF),
        draw(u64),
        draw(u64),
        draw(st.binary(min_size=64, max_size=64)),
    )


@st.composite
def partial_requests(draw: st.DrawFn) -> PartialRequest:
    quorum = draw(quorums)
    committee = draw(st.binary(min_size=32, max_size=32))
    return PartialRequest(
        draw(u16), draw(u32), committee, quorum, draw(st.sampled_from(quorum)), draw(elements)
    )


budgets = st.builds(BudgetLeft, u16, u32, u32, members, u64, u64)
batches = st.builds(
    EvaluationRequest,
    u16,
    u32,
    st.binary(min_size=32, max_size=32),
    elements,
    st.lists(signed_partials(), max_size=2),
)


@given(batches)
@settings(max_examples=20)
def test_a_batch(request: EvaluationRequest) -> None:
    assert evaluation.parse_evaluate(evaluation.build_evaluate(request)) == request


@given(st.lists(signed_partials(), max_size=3))
@settings(max_examples=20)
def test_partials(partials: list[SignedPartial]) -> None:
    assert evaluation.parse_partials(evaluation.build_partials(partials)) == partials


@given(partial_requests())
@settings(max_examples=20)
def test_a_request_of_a_seat(request: PartialRequest) -> None:
    assert evaluation.parse_partial_request(evaluation.build_partial_request(request)) == request


@given(st.lists(budgets, max_size=3), st.lists(members, max_size=3))
def test_budgets(left: list[BudgetLeft], unreachable: list[MemberId]) -> None:
    assert evaluation.parse_budgets(evaluation.build_budgets(left)) == left
    every = Budgets(tuple(left), tuple(unreachable))
    assert evaluation.parse_all_budgets(evaluation.build_all_budgets(every)) == every


@given(st.binary(min_size=16, max_size=16), st.lists(st.one_of(sealed, bare), min_size=1, max_size=3))
def test_a_submission(key: bytes, entries: list[Entry]) -> None:
    sent = [WireEntry(entry.header.encode(), entry.body_bytes()) for entry in entries]
    assert publishing.parse_submission(publishing.build_submission(key, sent)) == (key, entries)


@given(
    st.binary(min_size=16, max_size=16),
    st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=4),
)
def test_a_retraction(key: bytes, tags: list[bytes]) -> None:
    assert publishing.parse_retraction(publishing.build_retraction(key, b"".join(tags))) == (key, tags)


@given(u32, st.booleans(), st.lists(index, max_size=4))
def test_acknowledgements_and_what_became_of_them(count: int, repeated: bool, indices: list[int]) -> None:
    done = Acknowledged(count, repeated)
    assert publishing.parse_submitted(publishing.build_submitted(done)) == done
    assert publishing.parse_retracted(publishing.build_retracted(done)) == done
    for status in (SubmissionStatus(True, tuple(indices)), SubmissionStatus(False, ())):
        assert publishing.parse_submission_status(publishing.build_submission_status(status)) == status


@given(st.lists(st.tuples(members, st.binary(min_size=32, max_size=32)), min_size=1, max_size=3), st.data())
def test_look_ups_and_hits(groups: list[tuple[MemberId, bytes]], data: st.DataObject) -> None:
    assert lookup.parse_look_up(lookup.build_look_up(groups)) == groups
    hits = [
        TagHit(group, 1, data.draw(st.sets(index, min_size=1, max_size=4).map(sorted).map(tuple)))
        for group in range(len(groups))
    ]
    assert lookup.parse_hits(lookup.build_hits(hits), groups) == hits


@given(st.dictionaries(members, index, max_size=3), u32)
def test_a_cursor(cursor: dict[MemberId, int], newest_period: int) -> None:
    message = lookup.build_watch({**cursor}, newest_period)
    assert lookup.parse_watch(message) == (cursor, newest_period)


@given(members, ascending.filter(lambda places: not places or places[-1] < 2**63 - 1), st.booleans())
def test_new_tags(writer: MemberId, indices: tuple[int, ...], caught_up: bool) -> None:
    new = NewTags(writer, indices, bytes(16 * len(indices)), (indices or (0,))[-1] + 1, caught_up)
    assert lookup.parse_new_tags(lookup.build_new_tags(new)) == new


@given(st.lists(st.builds(LogCheckpoint, members, st.binary(max_size=9), st.booleans()), max_size=3))
def test_checkpoints_and_forks(heads: list[LogCheckpoint]) -> None:
    heads = list({head.writer: head for head in heads}.values())
    assert log.parse_checkpoints(log.build_checkpoints(heads, 7)) == heads
    assert log.parse_time(log.build_checkpoints(heads, 7)) == 7
    forks = [KeptFork(head.writer, head.note) for head in heads]
    assert log.parse_forks(log.build_forks(forks)) == forks


@given(st.tuples(stored_at(7), stored_at(8)), members, index, index)
@settings(max_examples=30)
def test_entries_and_what_asks_for_them(page: tuple[Stored, ...], writer: MemberId, a: int, b: int) -> None:
    assert log.parse_entries(log.build_entries(page), 7, 2) == list(page)
    assert log.parse_page(log.build_page(writer, a, 9)) == (writer, a, 9)
    assert log.parse_consistency_request(log.build_consistency_request(writer, a, b)) == (writer, a, b)
    assert log.parse_locations(log.build_locations([(writer, a)])) == [(writer, a)]


@given(members, stored_at(3), st.lists(hashes, max_size=4))
@settings(max_examples=30)
def test_proofs(writer: MemberId, stored: Stored, path: list[Hash]) -> None:
    assert log.parse_consistency(log.build_consistency(path)) == path
    proven = ProvenEntries((ProvenEntry(writer, stored, tuple(path)),), {writer: b"note"})
    assert log.parse_proven(log.build_proven(proven)) == proven


@given(st.lists(st.binary(max_size=9), max_size=64), index, st.integers(0, 2**32 - 1))
def test_intermediate_checkpoints(notes: list[bytes], after: int, limit: int) -> None:
    assert log.parse_steps_request(log.build_steps_request(after, limit)) == (after, limit)
    assert log.parse_steps(log.build_steps(notes), 64) == notes
    if notes:
        with pytest.raises(Malformed):
            log.parse_steps(log.build_steps(notes), len(notes) - 1)


@given(
    st.builds(
        NodeStatus,
        members,
        text,
        u64,
        u64,
        st.lists(st.builds(LogStatus, members, u64, u64, u64, st.booleans(), text, u64), max_size=3).map(
            tuple
        ),
    ),
    st.lists(st.binary(max_size=9), max_size=16),
    index,
)
def test_status_and_charters(status: NodeStatus, charters: list[bytes], version: int) -> None:
    assert membership.parse_status(membership.build_status(status)) == status
    assert membership.parse_charters(membership.build_charters(charters)) == charters
    assert membership.parse_first_version(membership.build_first_version(version)) == version


ID, KEY = bytes(16), bytes(16)
GROUPS = [(ID, bytes(32))]
PARSERS: dict[str, tuple[Any, Any]] = {
    "evaluate": (evaluation_pb2.EvaluateRequest, evaluation.parse_evaluate),
    "partials": (evaluation_pb2.EvaluateResponse, evaluation.parse_partials),
    "partial request": (evaluation_pb2.EvaluatePartialRequest, evaluation.parse_partial_request),
    "budgets": (evaluation_pb2.GetBudgetResponse, evaluation.parse_budgets),
    "all budgets": (evaluation_pb2.ListBudgetsResponse, evaluation.parse_all_budgets),
    "submission": (publishing_pb2.SubmitRequest, publishing.parse_submission),
    "retraction": (publishing_pb2.RetractRequest, publishing.parse_retraction),
    "submission status": (publishing_pb2.GetSubmissionResponse, publishing.parse_submission_status),
    "look-up": (lookup_pb2.LookUpRequest, lookup.parse_look_up),
    "hits": (lookup_pb2.LookUpResponse, lambda message: lookup.parse_hits(message, GROUPS)),
    "watch": (lookup_pb2.WatchTagsRequest, lookup.parse_watch),
    "new tags": (lookup_pb2.WatchTagsResponse, lookup.parse_new_tags),
    "page": (log_pb2.ListEntriesRequest, log.parse_page),
    "entries": (log_pb2.ListEntriesResponse, lambda message: log.parse_entries(message, 0, 10)),
    "locations": (log_pb2.GetProvenEntriesRequest, log.parse_locations),
    "proven": (log_pb2.GetProvenEntriesResponse, log.parse_proven),
    "checkpoints": (log_pb2.ListCheckpointsResponse, log.parse_checkpoints),
    "consistency": (log_pb2.GetConsistencyProofResponse, log.parse_consistency),
    "forks": (log_pb2.ListForksResponse, log.parse_forks),
    "charters": (membership_pb2.ListChartersResponse, membership.parse_charters),
    "status": (membership_pb2.GetStatusResponse, membership.parse_status),
}


@pytest.mark.parametrize("name", PARSERS)
@given(raw=st.binary(max_size=300))
@settings(max_examples=40)
def test_hostile_bytes_give_only_named_errors(name: str, raw: bytes) -> None:
    message, parse = PARSERS[name]
    try:
        parsed = message.FromString(raw)
    except DecodeError:
        return
    with suppress(Malformed):
        parse(parsed)


GOOD = SignedPartial(1, MemberId(ID), (1, 2), PartialEvaluation((ELEMENTS[0],), PROOF), 0, 0, bytes(64))


def partial_with(**changes: Any) -> Any:
    message = evaluation.build_signed_partial(GOOD)
    for name, change in changes.items():
        if isinstance(change, list):
            message.ClearField(name)  # type: ignore[arg-type] # any field's name
            getattr(message, name).extend(change)
        else:
            setattr(message, name, change)
    return evaluation_pb2.EvaluateResponse(partials=[message])


@pytest.mark.parametrize(
    ("name", "message", "reason", "field"),
    [
        ("evaluate", {"committee_hash": bytes(31)}, "INVALID_REQUEST", "committee_hash"),
        ("evaluate", {"key_class": 65_536}, "INVALID_REQUEST", "key_class"),
        ("evaluate", {"committee_hash": bytes(32)}, "TOO_MANY_ELEMENTS", "blinded_elements"),
        (
            "evaluate",
            {"committee_hash": bytes(32), "blinded_elements": [bytes(32)] * 4_097},
            "TOO_MANY_ELEMENTS",
            "blinded_elements",
        ),
        (
            "evaluate",
            {"committee_hash": bytes(32), "blinded_elements": [ELEMENTS[0], bytes(32)]},
            "INVALID_ELEMENT",
            "blinded_elements[1]",
        ),
        ("evaluate", {"committee_hash": bytes(32), "complaints": [{}] * 7}, "INVALID_REQUEST", "complaints"),
        ("partial request", {"quorum": [1, 8]}, "INVALID_QUORUM", "quorum"),
        ("partial request", {"quorum": [2, 1]}, "INVALID_QUORUM", "quorum"),
        ("partial request", {"quorum": [1, 1]}, "INVALID_QUORUM", "quorum"),
        (
            "partial request",
            {"quorum": [1, 2], "seat": 3, "committee_hash": bytes(32)},
            "INVALID_QUORUM",
            "seat",
        ),
        ("partials", {"partials": [{}] * 8}, "INVALID_REQUEST", "partials"),
        ("partials", partial_with(proof=bytes(64)), "INVALID_REQUEST", "partials[0].proof"),
        ("partials", partial_with(proof=b"\xff" * 64), "INVALID_REQUEST", "partials[0].proof"),
        ("partials", partial_with(quorum=[2, 3]), "INVALID_QUORUM", "partials[0].seat"),
        ("partials", partial_with(quorum=[]), "INVALID_QUORUM", "partials[0].quorum"),
        (
            "partials",
            partial_with(evaluated_elements=[]),
            "TOO_MANY_ELEMENTS",
            "partials[0].evaluated_elements",
        ),
        ("partials", partial_with(evaluator=b"x"), "INVALID_REQUEST", "partials[0].evaluator"),
        ("partials", partial_with(signature=b"x"), "INVALID_REQUEST", "partials[0].signature"),
        (
            "all budgets",
            {"budgets": [{"evaluator": ID, "key_class": 65_536}]},
            "INVALID_REQUEST",
            "budgets[0].key_class",
        ),
        ("all budgets", {"budgets": [{}] * 1_001}, "INVALID_REQUEST", "budgets"),
        ("all budgets", {"unreachable": [b"x"]}, "INVALID_REQUEST", "unreachable[0]"),
        ("submission", {"idempotency_key": bytes(15)}, "INVALID_IDEMPOTENCY_KEY", "idempotency_key"),
        ("submission", {"idempotency_key": KEY}, "TOO_MANY_ENTRIES", "entries"),
        (
            "submission",
            {"idempotency_key": KEY, "entries": [{"body_hash": b"x"}]},
            "INVALID_ENTRY",
            "entries[0].body_hash",
        ),
        (
            "submission",
            {"idempotency_key": KEY, "entries": [{"header": b"x"}]},
            "INVALID_ENTRY",
            "entries[0]",
        ),
        ("retraction", {"idempotency_key": KEY, "tags": bytes(17)}, "TOO_MANY_ENTRIES", "tags"),
        ("submission status", {"indices": [1]}, "INVALID_REQUEST", "indices"),
        ("submission status", {"sequenced": True, "indices": [2**63]}, "INVALID_REQUEST", "indices[0]"),
        ("look-up", {"tags": [{"writer": ID, "tags": bytes(16 * 50_001)}]}, "TOO_MANY_TAGS", "tags"),
        ("look-up", {"tags": [{"writer": ID, "tags": bytes(15)}]}, "TOO_MANY_TAGS", "tags[0].tags"),
        ("hits", {"hits": [{"group": 1, "indices": [0]}]}, "INVALID_REQUEST", "hits[0]"),
        ("hits", {"hits": [{"position": 2, "indices": [0]}]}, "INVALID_REQUEST", "hits[0]"),
        ("hits", {"hits": [{}]}, "INVALID_REQUEST", "hits[0].indices"),
        ("hits", {"hits": [{"indices": range(65)}]}, "INVALID_REQUEST", "hits[0].indices"),
        ("hits", {"hits": [{"indices": [2, 1]}]}, "INVALID_REQUEST", "hits[0].indices"),
        ("hits", {"hits": [{"indices": [2**63]}]}, "INVALID_REQUEST", "hits[0].indices"),
        ("hits", {"hits": [{"indices": [1]}] * 3}, "INVALID_REQUEST", "hits"),
        (
            "watch",
            {"cursor": [{"writer": ID, "next_index": 2**63}]},
            "INVALID_REQUEST",
            "cursor[0].next_index",
        ),
        ("watch", {"cursor": [{"writer": ID}] * 2}, "INVALID_CURSOR", "cursor[1]"),
        ("new tags", {}, "INVALID_REQUEST", "writer"),
        ("new tags", {"writer": ID, "indices": [1, 1]}, "INVALID_REQUEST", "indices"),
        ("new tags", {"writer": ID, "indices": [1], "tags": bytes(16)}, "INVALID_REQUEST", "next_index"),
        ("new tags", {"writer": ID, "indices": [1], "next_index": 2}, "INVALID_REQUEST", "tags"),
        ("entries", {"entries": [{}] * 11}, "INVALID_REQUEST", "entries"),
        ("entries", {"entries": [{}]}, "INVALID_REQUEST", "entries[0]"),
        ("locations", {}, "TOO_MANY_LOCATIONS", "locations"),
        ("locations", {"locations": [{"writer": ID}] * 257}, "TOO_MANY_LOCATIONS", "locations"),
        ("proven", {"checkpoints": [{"writer": ID}] * 2}, "INVALID_REQUEST", "checkpoints[1].writer"),
        ("proven", {"checkpoints": [{"writer": b"x"}]}, "INVALID_REQUEST", "checkpoints[0].writer"),
        ("consistency", {"hashes": [bytes(32)] * 65}, "INVALID_REQUEST", "hashes"),
        ("consistency", {"hashes": [b"short"]}, "INVALID_REQUEST", "hashes"),
        ("forks", {"forks": [{"writer": b"x"}]}, "INVALID_REQUEST", "forks[0].writer"),
        ("charters", {"charters": [b"one"] * 17}, "INVALID_REQUEST", "charters"),
        ("status", {"member": ID, "logs": [{"writer": b"x"}]}, "INVALID_REQUEST", "logs[0].writer"),
    ],
)
def test_what_no_rule_allows_is_named_with_its_field(
    name: str, message: Any, reason: str, field: str
) -> None:
    kind, parse = PARSERS[name]
    with pytest.raises(Malformed) as caught:
        parse(kind(**message) if isinstance(message, dict) else message)
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_a_proof_of_inclusion_is_no_deeper_than_the_largest_tree() -> None:
    fields.parse_hashes([bytes(32)] * 63, 63, "hashes")
    entry = Entry(retract_header(0))
    deep = ProvenEntry(MemberId(ID), Stored(1, entry, sha256(b"").digest()), (Hash(bytes(32)),) * 64)
    with pytest.raises(Malformed, match=r"entries\[0\]\.hashes"):
        log.parse_proven(log.build_proven(ProvenEntries((deep,), {})))
