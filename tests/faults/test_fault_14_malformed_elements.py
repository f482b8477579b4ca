"""Malformed elements are refused with their index; the share is not used, nothing is charged."""

from __future__ import annotations

import grpc
import pytest

from tests.faults.parties import Wire, ask, ask_seat, audited, charged, class_of, elements, refused
from tests.federation import Federation
from tocsin.indicators.registry import KeyClass
from tocsin.node.rpc.authorize import Role

P = 2**255 - 19


def _highest_bit(encoding: bytes) -> bytes:
    return encoding[:31] + bytes([encoding[31] | 0x80])


MALFORMED = {
    "identity": bytes(32),
    "not canonical: p for zero": P.to_bytes(32, "little"),
    "not canonical: above p": (2**255 - 1).to_bytes(32, "little"),
    "negative": (1).to_bytes(32, "little"),
    "identity with the highest bit set": bytes(31) + b"\x80",
    "a good element with the highest bit set": _highest_bit(elements(1)[0]),
    "no point": b"\x02" + bytes(31),
    "31 bytes": bytes([2]) * 31,
    "33 bytes": bytes([2]) * 33,
    "empty": b"",
}


@pytest.mark.parametrize("index", [0, 7, 9])
def test_the_index_of_a_malformed_element_is_named_and_nothing_is_charged(
    federation: Federation, index: int
) -> None:
    evaluator, caller = federation.homes[:2]
    key = class_of(evaluator, KeyClass.CONTACT)
    seat = key.committee.index(evaluator.id) + 1
    quorum = (1, 2) if seat < 3 else (2, 3)
    before = charged(evaluator), len(audited(evaluator, "evaluated"))
    with (
        Wire(evaluator, Role.CLIENT, evaluator) as own,
        Wire(caller, Role.NODE, evaluator) as other,
    ):
        for encoding in MALFORMED.values():
            batch: list[bytes] = list(elements(10))
            batch[index] = encoding
            for call, request in (
                (own.evaluation.Evaluate, ask(key, batch)),
                (other.evaluation.EvaluatePartial, ask_seat(key, batch, seat, quorum)),
            ):
                field = f"blinded_elements[{index}]"
                with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ELEMENT", field):
                    call(request, timeout=10)
        # An evaluation is charged and recorded before the share is touched: no record, no use.
        assert (charged(evaluator), len(audited(evaluator, "evaluated"))) == before
        assert own.evaluation.Evaluate(ask(key, elements(10)), timeout=10).partials


def test_too_many_and_no_elements_are_refused(federation: Federation) -> None:
    home = federation.homes[0]
    key = class_of(home, KeyClass.CONTACT)
    before = charged(home)
    with Wire(home, Role.CLIENT, home) as own:
        for count in (0, 4_097):
            with refused(grpc.StatusCode.INVALID_ARGUMENT, "TOO_MANY_ELEMENTS", "blinded_elements"):
                own.evaluation.Evaluate(ask(key, [b""] * count), timeout=10)
    assert charged(home) == before


def test_malformed_batches_have_a_rate_of_their_own(battered: Federation) -> None:
    evaluator, caller = battered.homes[2], battered.homes[1]
    key = class_of(evaluator, KeyClass.CONTACT)
    before = charged(evaluator)
    with Wire(caller, Role.NODE, evaluator) as other:
        reasons = set()
        for _ in range(100):
            with pytest.raises(grpc.RpcError) as caught:
                other.evaluation.EvaluatePartial(ask_seat(key, [b""] * 1_024), timeout=10)
            reasons.add(caught.value.code())
            if grpc.StatusCode.RESOURCE_EXHAUSTED in reasons:
                break
    assert reasons == {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert charged(evaluator) == before
