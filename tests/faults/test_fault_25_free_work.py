"""Batches at full rate by one member, paid for and repeated for nothing: others' evaluations stay in their deadline."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence

import grpc
import pytest

from tests.faults.parties import Wire, ask, ask_seat, class_of, elements, percentile, until
from tests.federation import Federation
from tocsin.client.system import monotonic
from tocsin.indicators.registry import KeyClass
from tocsin.node.rpc.authorize import Role
from tocsin.oprf.group import Element
from tocsin.wire.limits import MAX_ELEMENTS
from tocsin.wire.status import read_refusal

AT_ONCE = 8
ASKED = 15
DEADLINE_S = 8.0
"""What a node gives each seat."""


def _same(blinded: Sequence[Element], _: int) -> Sequence[Element]:
    return blinded


def _another(blinded: Sequence[Element], number: int) -> Sequence[Element]:
    """Another order is another batch, and is paid for."""
    return [*blinded[number:], *blinded[:number]]


@pytest.mark.slow
@pytest.mark.parametrize("batch", [_same, _another], ids=["repeated", "paid"])
def test_one_members_batches_at_full_rate(
    federation: Federation, batch: Callable[[Sequence[Element], int], Sequence[Element]]
) -> None:
    target, attacker = federation.homes[:2]
    key = class_of(target, KeyClass.CONTACT)
    blinded = elements(MAX_ELEMENTS)
    ended, answers, lock = threading.Event(), Counter[str](), threading.Lock()
    numbers = iter(range(1, MAX_ELEMENTS))

    def attack(wire: Wire) -> None:
        while not ended.is_set():
            with lock:
                number = next(numbers)
            request = ask_seat(key, batch(blinded, number))
            try:
                wire.evaluation.EvaluatePartial(request, timeout=30)
                answer = "answered"
            except grpc.RpcError as error:
                answer = str(read_refusal(error).reason)
            with lock:
                answers[answer] += 1

    with Wire(target, Role.CLIENT, target) as own, Wire(attacker, Role.NODE, target) as theirs:
        until("an evaluation", lambda: own.evaluation.Evaluate(ask(key, elements(1)), timeout=20))
        threads = [threading.Thread(target=attack, args=(theirs,)) for _ in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        try:
            until("the attack's first answers", lambda: sum(answers.values()) >= AT_ONCE, 60)
            took = []
            for _ in range(ASKED):
                request = ask(key, elements(20))
                began = monotonic()
                own.evaluation.Evaluate(request, timeout=DEADLINE_S)
                took.append(monotonic() - began)
        finally:
            ended.set()
            for thread in threads:
                thread.join()
    assert percentile(took, 0.99) < DEADLINE_S
    if batch is _same:
        # M-4.23: four of these at once, and then one in eight seconds.
        assert answers["REPEATED_TOO_OFTEN"] > answers["answered"], answers
