"""A budget used up concurrently and across SIGKILL is exact; others keep theirs; it fails closed."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from tests.faults.conftest import BUDGET
from tests.faults.parties import (
    Wire,
    ask_seat,
    charged,
    class_of,
    elements,
    fresh_client,
    kill,
    refused,
    rows,
    start,
    until,
)
from tests.federation import Federation
from tocsin.client.errors import BudgetExhausted
from tocsin.indicators.registry import KeyClass
from tocsin.node.rpc.authorize import Role

THREADS = 12
PHONES = [("contact.phone", f"+44 7700 900{number:03d}") for number in range(3)]


def _spend(wire: Wire, federation: Federation, sizes: list[int]) -> int:
    """Ask for fresh batches of these sizes at once; returns how many evaluations were granted."""
    key = class_of(federation.homes[0], KeyClass.PHONE)

    def ask(size: int) -> int:
        try:
            partial = wire.evaluation.EvaluatePartial(ask_seat(key, elements(size)), timeout=20).partial
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            return 0
        return len(partial.evaluated_elements)

    with ThreadPoolExecutor(THREADS) as threads:
        return sum(threads.map(ask, sizes))


def _used(federation: Federation, caller: int) -> int:
    evaluator, other = federation.homes[0], federation.homes[caller]
    found = rows(
        evaluator,
        "SELECT used FROM budget WHERE caller = ? AND key_class = ? AND seat = 1",
        other.id,
        int(KeyClass.PHONE),
    )
    return int(found[0][0]) if found else 0


def test_the_limit_is_exact_concurrently_and_across_a_kill(battered: Federation, tmp_path: Path) -> None:
    evaluator, spender, other = battered.homes[0], battered.homes[1], battered.homes[2]
    key = class_of(evaluator, KeyClass.PHONE)
    with Wire(spender, Role.NODE, evaluator) as wire:
        granted = _spend(wire, battered, [7] * 8)
        assert granted == 56
        kill(battered, evaluator)
        start(battered, evaluator)
        until("the evaluator's answer", lambda: _spend(wire, battered, [1]) == 1)
        granted = _used(battered, 1)
        assert granted >= 57
        # More is asked at once than is left, in sizes that cannot all fit.
        granted += _spend(wire, battered, [5] * 16)
        granted += _spend(wire, battered, [1] * 16)
        assert granted == _used(battered, 1) == BUDGET
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "BUDGET_EXHAUSTED"):
            wire.evaluation.EvaluatePartial(ask_seat(key, elements(1)), timeout=10)
    with Wire(other, Role.NODE, evaluator) as wire:
        assert _spend(wire, battered, [4]) == 4
        assert _used(battered, 2) == 4

    # The spender's own clients are told so, once its quorums cannot do without that seat.
    with fresh_client(battered.homes[3], tmp_path / "vault.db") as client:
        assert client.query(PHONES).evaluated == len(PHONES)


def test_a_client_is_told_when_its_budget_is_used_up(battered: Federation, tmp_path: Path) -> None:
    fourth = battered.homes[3]
    with fresh_client(fourth, tmp_path / "vault.db", batch_size=10) as client:
        left = min(
            budget.left for budget in client.budget().budgets if budget.key_class == int(KeyClass.PHONE)
        )
        assert left > 0
        values = [("contact.phone", f"+44 7700 900{number:03d}") for number in range(100, 400)]
        with pytest.raises(BudgetExhausted, match="BUDGET_EXHAUSTED"):
            client.query(values)
        kept = client.status().outputs
        assert kept > 0
        # What was paid for stays in the vault, and asking for it again is free.
        spent = [charged(home) for home in battered.homes[:3]]
        batch = [value for value in values if client._session.vault.outputs(1, [client.key_of(value)])]
        again = client.query(batch)
        assert (again.evaluated, again.from_vault) == (0, len(batch))
        assert [charged(home) for home in battered.homes[:3]] == spent
    for home in battered.homes[:3]:
        # Two of the three are a quorum: the third may never have been asked.
        used = rows(
            home, "SELECT coalesce(max(used), 0) FROM budget WHERE key_class = ?", int(KeyClass.PHONE)
        )
        assert used[0][0] <= BUDGET


def test_it_fails_closed_without_its_store(battered: Federation) -> None:
    evaluator, caller = battered.homes[2], battered.homes[0]
    key = class_of(evaluator, KeyClass.CONTACT)
    before = charged(evaluator)
    lock = sqlite3.connect(evaluator.folder / "node" / "node.db", isolation_level=None)
    try:
        with Wire(caller, Role.NODE, evaluator) as wire:
            request = ask_seat(key, elements(3), 3, (1, 3))
            lock.execute("BEGIN IMMEDIATE")
            with refused(grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE"):
                wire.evaluation.EvaluatePartial(request, timeout=20)
            lock.execute("ROLLBACK")
            assert charged(evaluator) == before
            wire.evaluation.EvaluatePartial(request, timeout=20)
            assert charged(evaluator) != before
    finally:
        lock.close()
