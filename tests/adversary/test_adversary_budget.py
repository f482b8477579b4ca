"""A member that spends its whole budget on guesses learns Q·(c−f)/(t−f) values in an epoch, no more.

The adversary speaks to the evaluators itself, with its own node's key, instead of through its own node. It spreads its
requests over the quorums so that no seat's budget is left over, and computes its own seat's part (f = 1) offline with
its share. When every seat has refused, it tries whatever might make one answer again: new connections, other quorums,
repeated batches, batches in another order, many calls at once, and evaluators that were killed and started again.
What it has learned is what it can finalize to the output that the un-shared key gives. Two members that collude get
two budgets, and no more.

The weakened variant is a committee of this program's own that counts per connection.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import combinations
from typing import Protocol

import pytest

from tests.adversary.population import BUDGETS
from tests.adversary.scene import EPOCH, Scene, Truth, inputs_of, shares_of
from tests.adversary.wire import BudgetUsedUp, NodeLine
from tocsin.client.errors import BudgetExhausted
from tocsin.client.system import random_bytes
from tocsin.indicators.registry import KeyClass, Mode, Observable, observable
from tocsin.localnet.federation import Home
from tocsin.oprf.group import Element, Scalar, add, multiply, scalar_invert, scalar_mul
from tocsin.oprf.rfc9497 import Output, blind, finalize
from tocsin.oprf.shares import lagrange

ASTER, BOREALIS, CINDER, DUNE = 0, 1, 2, 3
Q = BUDGETS[KeyClass.IPV4]
C, T = 3, 2


def bound(f: int) -> int:
    """How many values a member may learn with f evaluators corrupted."""
    return Q * (C - f) // (T - f)


class Committee(Protocol):
    """What the adversary may ask of."""

    def ask(self, seat: int, quorum: Sequence[int], blinded: Sequence[Element]) -> Sequence[Element]:
        """Return a seat's evaluated elements. Raises BudgetUsedUp."""

    def reconnect(self) -> None:
        """Begin anew, as far as the evaluators can tell from connections."""


class RealCommittee:
    """The federation's three evaluators, over connections of the adversary's own."""

    def __init__(self, scene: Scene, caller: Home, key_class: KeyClass) -> None:
        self._scene = scene
        self._caller = caller
        self._key_class = key_class
        self._lines: dict[int, NodeLine] = {}

    def ask(self, seat: int, quorum: Sequence[int], blinded: Sequence[Element]) -> Sequence[Element]:
        """See `Committee.ask`."""
        if seat not in self._lines:
            self._lines[seat] = NodeLine(self._scene.charter, self._caller, self._scene.homes[seat - 1])
        line = self._lines[seat]
        return line.evaluate_partial(int(self._key_class), EPOCH, seat, quorum, blinded).partial.evaluated

    def reconnect(self) -> None:
        """See `Committee.reconnect`."""
        with ExitStack() as closing:
            for line in self._lines.values():
                closing.push(line)
        self._lines.clear()


class PerConnectionCommittee:
    """Evaluators that forget what was charged when a connection ends."""

    def __init__(self, shares: Mapping[int, Scalar]) -> None:
        self._shares = shares
        self._used = dict.fromkeys(shares, 0)

    def ask(self, seat: int, quorum: Sequence[int], blinded: Sequence[Element]) -> Sequence[Element]:
        """See `Committee.ask`."""
        if self._used[seat] + len(blinded) > Q:
            raise BudgetUsedUp
        self._used[seat] += len(blinded)
        return multiply(scalar_mul(lagrange(quorum, seat), self._shares[seat]), blinded)

    def reconnect(self) -> None:
        """See `Committee.reconnect`."""
        self._used = dict.fromkeys(self._shares, 0)


class Spender:
    """The adversary: learns as many outputs as it can."""

    def __init__(self, committee: Committee, own: Mapping[int, Scalar]) -> None:
        self.committee = committee
        self.own = own
        self.learned: dict[Observable, Output] = {}
        self._used = dict.fromkeys(range(1, C + 1), 0)

    def spend(self, guesses: Sequence[Observable], connections: int = 3) -> None:
        """Learn guess after guess until every quorum refuses, over several generations of connections."""
        for _ in range(connections):
            for value in guesses:
                if value not in self.learned and not self._learn(value):
                    break
            self.committee.reconnect()

    def _learn(self, value: Observable) -> bool:
        blindings, blinded = blind(inputs_of([value]), random_bytes)
        for quorum in sorted(combinations(range(1, C + 1), T), key=self._cost):
            if self.own and not set(quorum) & set(self.own):
                continue
            try:
                parts = [self._part(seat, quorum, blinded) for seat in quorum]
            except BudgetUsedUp:
                continue
            self.learned[value] = finalize(blindings, add(*parts))[0]
            return True
        return False

    def _cost(self, quorum: Sequence[int]) -> tuple[int, int]:
        used = [self._used[seat] for seat in quorum if seat not in self.own]
        return max(used), sum(used)

    def _part(self, seat: int, quorum: Sequence[int], blinded: Sequence[Element]) -> Sequence[Element]:
        if seat in self.own:
            return multiply(scalar_mul(lagrange(quorum, seat), self.own[seat]), blinded)
        self._used[seat] += len(blinded)
        return self.committee.ask(seat, quorum, blinded)

    def right(self, truth: Truth, key_class: KeyClass) -> int:
        """How many of its outputs are what the un-shared key gives."""
        values = list(self.learned)
        true = truth.outputs(key_class, values)
        return sum(self.learned[value] == output for value, output in zip(values, true, strict=True))


def guesses(type: str, write: Callable[[int], str]) -> list[Observable]:
    """More guesses than any budget here pays for."""
    return [observable(type, write(number), mode=Mode.TEST) for number in range(1, 4 * Q)]


IPV4 = ("net.ipv4", lambda number: f"198.18.0.{number}")
IPV4_24 = ("net.ipv4-24", lambda number: f"198.18.{number}.0/24")


@pytest.mark.parametrize(
    ("key_class", "type", "write", "caller", "f"),
    [(KeyClass.IPV4, *IPV4, DUNE, 0), (KeyClass.IPV4_24, *IPV4_24, ASTER, 1)],
    ids=["f=0", "f=1"],
)
def test_a_member_learns_exactly_what_its_budget_buys(
    scene: Scene,
    truth: Truth,
    key_class: KeyClass,
    type: str,
    write: Callable[[int], str],
    caller: int,
    f: int,
) -> None:
    own = {
        seat: share for (number, seat), share in shares_of(scene.homes[caller]).items() if number == key_class
    }
    assert len(own) == f
    spender = Spender(RealCommittee(scene, scene.homes[caller], key_class), own)
    spender.spend(guesses(type, write))
    assert spender.right(truth, key_class) == len(spender.learned) == bound(f)
    coverage = scene.class_key(key_class).coverage(f)
    assert coverage is not None
    assert coverage * scene.class_key(key_class).smallest_space == bound(f)
    with scene.client(caller) as client, pytest.raises(BudgetExhausted):
        client.query([guesses(type, write)[-1]])  # its own node cannot get more out of them either


def test_colluding_members_learn_what_their_budgets_buy_together(scene: Scene, truth: Truth) -> None:
    """Aster lends Dune its share: one corrupted seat for both, so each learns what f = 1 buys, of different guesses."""
    key_class = KeyClass.CONTENT_BAND
    own = {
        seat: share for (number, seat), share in shares_of(scene.homes[ASTER]).items() if number == key_class
    }
    found: set[Observable] = set()
    for caller, values in ((ASTER, guesses(*IPV4)), (DUNE, guesses(*IPV4_24))):
        spender = Spender(RealCommittee(scene, scene.homes[caller], key_class), own)
        spender.spend(values)
        assert spender.right(truth, key_class) == len(spender.learned)
        found |= spender.learned.keys()
    assert len(found) == 2 * bound(1)


@pytest.mark.parametrize("f", [0, 1])
def test_counters_per_connection_would_teach_it_more(scene: Scene, truth: Truth, f: int) -> None:
    shares = {
        seat: share
        for home in scene.homes
        for (number, seat), share in shares_of(home).items()
        if number == KeyClass.IPV4
    }
    own = {1: shares[1]} if f else {}
    spender = Spender(PerConnectionCommittee(shares), own)
    spender.spend(guesses(*IPV4))
    assert spender.right(truth, KeyClass.IPV4) == len(spender.learned) > bound(f)


def fresh(count: int) -> list[Element]:
    """Blinded elements that nobody has asked before."""
    return blind([random_bytes(8) for _ in range(count)], random_bytes)[1]


def granted(
    committee: Committee, seat: int, quorum: Sequence[int], batches: Sequence[Sequence[Element]]
) -> int:
    """How many elements a seat evaluates of the batches offered."""
    count = 0
    for batch in batches:
        try:
            count += len(committee.ask(seat, quorum, batch))
        except BudgetUsedUp:
            continue
    return count


def test_many_calls_at_once_are_granted_exactly_the_budget(scene: Scene) -> None:
    """Sixteen connections, batches of 1 to 3 elements, ten times the budget: the sum is exact at every seat."""

    def ask(number: int) -> int:
        committee = RealCommittee(scene, scene.homes[DUNE], KeyClass.IPV6)
        try:
            return granted(committee, 1, (1, 2), [fresh(1 + (number + batch) % 3) for batch in range(8)])
        finally:
            committee.reconnect()

    with ThreadPoolExecutor(16) as threads:
        total = sum(threads.map(ask, range(16)))
    # A batch of three may have been refused where one or two elements were left: ask for those one by one.
    total += granted(
        RealCommittee(scene, scene.homes[DUNE], KeyClass.IPV6), 1, (1, 3), [[element] for element in fresh(8)]
    )
    assert total == Q


@pytest.mark.slow
def test_killed_and_restarted_evaluators_go_on_counting(scene: Scene) -> None:
    evaluator, caller = scene.homes[CINDER], scene.homes[DUNE]
    committee = RealCommittee(scene, caller, KeyClass.DEVICE)
    total = granted(committee, 3, (1, 3), [fresh(10)])
    for sign in (signal.SIGKILL, signal.SIGTERM):
        committee.reconnect()
        scene.nodes.stop_one(evaluator, sign)
        scene.nodes.launch(evaluator)
        scene.nodes.await_serving(evaluator)
        total += granted(committee, 3, (2, 3), [fresh(5)])
    total += granted(committee, 3, (1, 3), [[element] for element in fresh(Q)])
    committee.reconnect()
    assert total == Q


def test_a_repeated_batch_costs_nothing_and_teaches_nothing(scene: Scene) -> None:
    """The same batch under another quorum is free; without its weight it is the same element, so nothing new."""
    committee = RealCommittee(scene, scene.homes[DUNE], KeyClass.DEVICE)
    batch = fresh(3)
    seat = 2
    total = granted(committee, seat, (1, 2), [batch])
    answers = [committee.ask(seat, quorum, batch) for quorum in ((1, 2), (2, 3))]
    unweighted = [
        multiply(scalar_invert(lagrange(quorum, seat)), answer)
        for quorum, answer in zip(((1, 2), (2, 3)), answers, strict=True)
    ]
    assert unweighted[0] == unweighted[1]
    total += granted(committee, seat, (1, 2), [batch[::-1]])  # another order is another batch, and is charged
    total += granted(committee, seat, (1, 2), [[element] for element in fresh(Q)])
    committee.reconnect()
    assert total == Q
