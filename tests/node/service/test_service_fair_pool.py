"""Curve threads serve callers in turns, by elements."""

from __future__ import annotations

import threading

import pytest

from tocsin.node.service.fair_pool import FairPool

A, B, C = (bytes([number]) * 16 for number in (1, 2, 3))


class Held:
    """A pool of one thread that waits until every job is queued; `order` is the order of its jobs."""

    def __init__(self) -> None:
        self.pool = FairPool(1)
        self.order: list[str] = []
        self._go = threading.Event()
        self.pool.submit(self._go.wait)

    def put(self, caller: bytes, elements: int, name: str) -> None:
        self.pool.share(caller, elements).submit(self.order.append, name)

    def run(self) -> list[str]:
        self._go.set()
        self.pool.shutdown()
        return self.order


def test_a_callers_long_queue_does_not_hold_up_anothers_job() -> None:
    held = Held()
    for number in range(8):
        held.put(A, 4_096, f"a{number}")
    held.put(B, 20, "b")
    assert held.run()[:3] == ["a0", "b", "a1"]


def test_shares_are_counted_in_elements() -> None:
    held = Held()
    for number in range(3):
        held.put(A, 1_000, f"a{number}")
    for number in range(6):
        held.put(B, 250, f"b{number}")
    assert held.run()[:6] == ["a0", "b0", "b1", "b2", "b3", "a1"]


def test_who_was_idle_saved_nothing_up() -> None:
    held = Held()
    for number in range(4):
        held.put(A, 100, f"a{number}")
    first = threading.Event()
    held.pool.share(A, 1).submit(first.set)
    held._go.set()
    assert first.wait(10)
    # C comes late: it takes turns with A from here on, and does not first catch up with what A had.
    blocked = threading.Event()
    held.pool.share(B, 1).submit(blocked.wait)
    for number in range(3):
        held.put(A, 400, f"late a{number}")
        held.put(C, 400, f"c{number}")
    blocked.set()
    held.pool.shutdown()
    late = held.order[4:]
    assert sorted(late[:2]) == ["c0", "late a0"]
    assert sorted(late[2:4]) == ["c1", "late a1"]


def test_what_a_job_raises_is_its_own_and_one_whose_caller_has_gone_is_dropped() -> None:
    held = Held()

    def fail() -> None:
        raise ValueError("no")

    failed = held.pool.share(A, 1).submit(fail)
    gone = held.pool.share(A, 1).submit(held.order.append, "gone")
    assert gone.cancel()
    held.put(A, 1, "kept")
    assert held.run() == ["kept"]
    with pytest.raises(ValueError, match="no"):
        failed.result(0)
    with pytest.raises(RuntimeError):
        held.pool.submit(print)
