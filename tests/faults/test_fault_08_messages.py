"""Replayed, tampered, misaddressed and revoked messages are refused, audited, and change nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.faults.parties import (
    Wire,
    ask,
    ask_seat,
    audited,
    charged,
    charter_of,
    class_of,
    cover_entries,
    elements,
    refused,
    rows,
    state,
    until,
)
from tests.federation import Federation, running
from tocsin.charter.document import Charter, Period
from tocsin.charter.envelope import SignedCharter
from tocsin.client.system import now
from tocsin.founding.charters import replace_file, sign
from tocsin.indicators.registry import KeyClass
from tocsin.node.rpc.authorize import Role
from tocsin.sealing import hpke
from tocsin.sealing.pepper import Pepper, pepper_commitment
from tocsin.v1 import evaluation_pb2, log_pb2, lookup_pb2, membership_pb2, publishing_pb2
from tocsin.wire.status import read_refusal

DENIED, INVALID = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Four members; the first three are the committee, and the last one is expelled by the last test."""
    with running(tmp_path_factory.mktemp("four"), 4, tick_seconds=2) as started:
        yield started


def _await_audit(home: Any, kind: str, count: int) -> list[str]:
    """Records of a kind beyond the first `count`; they are written behind the call that they are about."""
    return until("the audit record", lambda: audited(home, kind)[count:])


def _spent(federation: Federation, caller: bytes) -> int:
    """What a member was charged by every seat together."""
    query = "SELECT coalesce(sum(used), 0) FROM budget WHERE caller = ?"
    return sum(int(rows(home, query, caller)[0][0]) for home in federation.homes)


@dataclass(frozen=True)
class Asked:
    """A batch of the fourth member's client, and the honest answer to it."""

    request: evaluation_pb2.EvaluateRequest
    answer: evaluation_pb2.EvaluateResponse


def _asked(wire: Wire, federation: Federation, count: int = 3) -> Asked:
    request = ask(class_of(federation.homes[3], KeyClass.CONTACT), elements(count))
    return Asked(request, until("an evaluation", lambda: wire.evaluation.Evaluate(request, timeout=20)))


def test_a_replayed_request_costs_and_stores_nothing(four: Federation) -> None:
    target, caller = four.homes[0], four.homes[1]
    key = class_of(target, KeyClass.CONTACT)
    submission = publishing_pb2.SubmitRequest(
        idempotency_key=os.urandom(16), entries=cover_entries(target, 3)
    )
    with Wire(caller, Role.NODE, target) as node, Wire(target, Role.CLIENT, target) as own:
        request = ask_seat(key, elements(5))
        first = node.evaluation.EvaluatePartial(request, timeout=10).partial
        assert not own.publishing.Submit(submission, timeout=10).repeated_request
        status = publishing_pb2.GetSubmissionRequest(idempotency_key=submission.idempotency_key)
        indices = until("the tick", lambda: list(own.publishing.GetSubmission(status).indices))
        before = charged(target), len(audited(target, "evaluated"))
        for _ in range(3):
            again = node.evaluation.EvaluatePartial(request, timeout=10).partial
            assert again.evaluated_elements == first.evaluated_elements
            assert again.budget_left == first.budget_left
            assert own.publishing.Submit(submission, timeout=10).repeated_request
        assert (charged(target), len(audited(target, "evaluated"))) == before
        assert list(own.publishing.GetSubmission(status).indices) == indices
        other = publishing_pb2.SubmitRequest(
            idempotency_key=submission.idempotency_key, entries=cover_entries(target, 3)
        )
        stored = state(target)["submission"]
        with refused(grpc.StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_CONFLICT", "idempotency_key"):
            own.publishing.Submit(other, timeout=10)
        assert state(target)["submission"] == stored


def test_replayed_tampered_and_misaddressed_complaints_convict_nobody(four: Federation) -> None:
    home, other = four.homes[3], four.homes[2]
    with Wire(home, Role.CLIENT, home) as own, Wire(other, Role.CLIENT, other) as theirs:
        asked, earlier = _asked(own, four), _asked(own, four)
        elsewhere = until(
            "an evaluation for another member",
            lambda: theirs.evaluation.Evaluate(asked.request, timeout=20),
        )
        honest = asked.answer.partials[0]
        swapped = evaluation_pb2.SignedPartial.FromString(honest.SerializeToString())
        swapped.evaluated_elements[0], swapped.evaluated_elements[1] = honest.evaluated_elements[1::-1]
        signature = bytes([honest.signature[0] ^ 1]) + honest.signature[1:]
        signed = evaluation_pb2.SignedPartial.FromString(honest.SerializeToString())
        signed.signature = signature
        complaints = {
            "the honest partial itself": honest,
            "a partial of an earlier batch": earlier.answer.partials[0],
            "a partial made for another member": elsewhere.partials[0],
            "a partial with two elements swapped": swapped,
            "a partial with another signature": signed,
        }
        own.evaluation.Evaluate(asked.request, timeout=20)
        spent = _spent(four, home.id)
        for what, complaint in complaints.items():
            told = len(audited(home, "false-complaint"))
            request = ask(class_of(home, KeyClass.CONTACT), asked.request.blinded_elements, [complaint])
            again = own.evaluation.Evaluate(request, timeout=20)
            assert len(again.partials) == 2, what
            assert len(_await_audit(home, "false-complaint", told)) == 1, what
        assert audited(home, "bad-partial") == []
        # The batch stays paid for; a third seat, where one was asked, charges it once, too.
        assert _spent(four, home.id) - spent in (0, len(asked.request.blinded_elements))


def test_what_is_meant_for_somebody_else_is_refused(four: Federation) -> None:
    target, caller = four.homes[0], four.homes[1]
    key = class_of(target, KeyClass.CONTACT)
    before = state(target)
    told = len(audited(target, "refused"))
    with (
        Wire(caller, Role.NODE, target) as node,
        Wire(caller, Role.CLIENT, target) as client,
        Wire(target, Role.CLIENT, target) as own,
    ):
        evaluate = node.evaluation.EvaluatePartial
        with refused(INVALID, "INVALID_QUORUM", "seat"):
            evaluate(ask_seat(key, elements(1), 2, (2, 3)), timeout=10)
        with refused(INVALID, "INVALID_QUORUM", "quorum"):
            evaluate(ask_seat(key, elements(1), 1, (1, 2, 3)), timeout=10)
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "STALE_CHARTER", "committee_hash"):
            stale = ask_seat(key, elements(1))
            stale.committee_hash = bytes(32)
            evaluate(stale, timeout=10)
        for changed, code, reason in (
            ({"key_class": 77}, INVALID, "UNKNOWN_CLASS"),
            ({"key_epoch": 9}, grpc.StatusCode.FAILED_PRECONDITION, "UNKNOWN_EPOCH"),
        ):
            wrong = ask_seat(key, elements(1))
            for name, value in changed.items():
                setattr(wrong, name, value)
            with pytest.raises(grpc.RpcError) as caught:
                evaluate(wrong, timeout=10)
            assert (caught.value.code(), read_refusal(caught.value).reason) == (code, reason)
        for call, request in (
            (node.evaluation.Evaluate, ask(key, elements(1))),
            (node.publishing.Submit, publishing_pb2.SubmitRequest()),
            (client.evaluation.Evaluate, ask(key, elements(1))),
            (client.lookup.LookUp, lookup_pb2.LookUpRequest()),
            (client.membership.GetStatus, membership_pb2.GetStatusRequest()),
            (own.evaluation.EvaluatePartial, ask_seat(key, elements(1))),
        ):
            with refused(DENIED, "WRONG_ROLE"):
                call(request, timeout=10)
    records = until(
        "every refusal in the audit trail",
        lambda: [found] if len(found := audited(target, "refused")[told:]) >= 6 else None,
    )[0]
    assert all(record.startswith("WRONG_ROLE: /tocsin.v1.") for record in records)
    assert {table: state(target)[table] for table in ("budget", "batch", "submission")} == {
        table: before[table] for table in ("budget", "batch", "submission")
    }


def test_an_expelled_member_is_refused_on_its_open_channel(four: Federation, tmp_path: Path) -> None:
    expelled, others = four.homes[3], four.homes[:3]
    key = class_of(others[0], KeyClass.CONTACT)
    listing = log_pb2.ListCheckpointsRequest()
    with Wire(expelled, Role.NODE, others[0]) as node, Wire(expelled, Role.NODE, others[1]) as elsewhere:
        node.evaluation.EvaluatePartial(ask_seat(key, elements(1)), timeout=10)
        elsewhere.log.ListCheckpoints(listing, timeout=10)
        following = SignedCharter(_without(charter_of(others[0]), expelled.id).encode(), ())
        for home in others:
            following = sign(home.folder, following)
        # One member installs it; the others learn it from each other.
        replace_file(others[0].folder / "node" / "charter.json", following.encode())

        def denied(wire: Wire) -> bool:
            try:
                wire.log.ListCheckpoints(listing, timeout=10)
            except grpc.RpcError as error:
                return error.code() is DENIED
            return False

        until("the expulsion", lambda: denied(node))
        before, told = state(others[0]), len(audited(others[0], "refused"))
        with refused(DENIED, "UNKNOWN_MEMBER"):
            node.evaluation.EvaluatePartial(ask_seat(key, elements(1)), timeout=10)
        assert "UNKNOWN_MEMBER" in _await_audit(others[0], "refused", told)[0]
        assert {name: state(others[0])[name] for name in ("budget", "batch")} == {
            name: before[name] for name in ("budget", "batch")
        }
        until("the other members' knowing", lambda: denied(elsewhere))
    # A new connection does not get past the handshake.
    with Wire(expelled, Role.NODE, others[0]) as node, pytest.raises(grpc.RpcError) as caught:
        node.log.ListCheckpoints(listing, timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    with Wire(others[1], Role.NODE, others[0]) as node:
        assert node.evaluation.EvaluatePartial(ask_seat(key, elements(1)), timeout=10).partial.seat == 1


def _without(charter: Charter, member: bytes) -> Charter:
    """Version 2 without a member that has no seat, with a fresh pepper for those who stay."""
    stay = tuple(kept for kept in charter.members if kept.id != member)
    pepper, number = Pepper(os.urandom(32)), charter.last_period + 1
    sealed = {
        kept.id: hpke.seal_to(kept.client_hpke, hpke.pepper_info(charter.federation, number, kept.id), pepper)
        for kept in stay
    }
    moment = now()
    return replace(
        charter,
        version=2,
        issued=moment,
        expires=charter.expires + 1,
        period=Period(number=number, start=moment, commitment=pepper_commitment(pepper), sealed=sealed),
        members=stay,
    )
