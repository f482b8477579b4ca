"""A batch that was sent and not answered is sent again as it was, so that nothing is charged twice (M-4.22)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.client.fake_node import FakeFederation, FakeNode
from tocsin.client.client import Client
from tocsin.client.errors import BudgetExhausted, Unavailable
from tocsin.client.vault_pending import MOST_PENDING
from tocsin.oprf.group import Element, Scalar
from tocsin.wire.values import SignedPartial

VALUES = [("contact.email", f"user{number}@example.com") for number in range(8)]


class Outage:
    """Between a client and its node: what was asked, and answers that are lost after the charge."""

    def __init__(self, node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[Element, ...]] = []
        self.down = True
        self._evaluate = node.evaluate
        monkeypatch.setattr(node, "evaluate", self.evaluate)

    def evaluate(
        self, key_class: int, epoch: int, committee_hash: bytes, blinded: Sequence[Element],
        complaints: Sequence[SignedPartial],
    ) -> list[SignedPartial]:  # fmt: skip
        self.asked.append(tuple(blinded))
        answer = self._evaluate(key_class, epoch, committee_hash, blinded, complaints)
        if self.down:
            raise Unavailable("the answer was lost")
        return answer


def left_over(client: Client) -> list[int]:
    """Return how many values each unanswered batch of the class of contacts has."""
    return [len(batch.keys) for batch in client._session.vault.pending.batches(3, 1)]


def test_a_retry_sends_the_same_elements_also_from_another_process(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = world.node(0)
    outage = Outage(node, monkeypatch)
    for _ in range(2):
        with world.client(0, node) as client, pytest.raises(Unavailable):
            client.query(VALUES)
    with world.client(0, node) as client:
        assert left_over(client) == [8]
        outage.down = False
        assert client.query(VALUES).queried == 8
        assert left_over(client) == []
        assert client.query(VALUES).evaluated == 0
    assert len(outage.asked) == 3
    assert len(set(outage.asked)) == 1


def test_a_retry_takes_new_values_in_a_batch_of_their_own(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = world.node(0)
    outage = Outage(node, monkeypatch)
    with world.client(0, node) as client:
        with pytest.raises(Unavailable):
            client.query(VALUES[:4])
        outage.down = False
        assert client.query([*VALUES[6:], *VALUES[:3]]).queried == 5
        assert [len(asked) for asked in outage.asked] == [4, 4, 2]
        assert outage.asked[0] == outage.asked[1]
        # One value of it was not wanted again: the batch stays for it.
        assert left_over(client) == [4]


def test_a_batch_of_which_little_is_wanted_is_not_sent_again(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = world.node(0)
    outage = Outage(node, monkeypatch)
    with world.client(0, node) as client:
        with pytest.raises(Unavailable):
            client.query(VALUES)
        outage.down = False
        client.query(VALUES[:3])
        assert [len(asked) for asked in outage.asked] == [8, 3]


def test_a_batch_that_is_refused_for_what_it_is_is_forgotten(world: FakeFederation) -> None:
    node = world.node(0)
    node.budget = 5
    with world.client(0, node) as client:
        with pytest.raises(BudgetExhausted):
            client.query(VALUES)
        assert left_over(client) == []
        assert client.query(VALUES[:5]).evaluated == 5


def test_only_the_newest_batches_are_kept_and_no_value_or_blind_is_readable(
    world: FakeFederation, tmp_path: Path
) -> None:
    with world.client(0, world.node(0)) as client:
        pending = client._session.vault.pending
        for number in range(MOST_PENDING + 3):
            pending.keep(3, 1, [number.to_bytes(16, "big")], [Scalar(b"b" * 32)], [Element(b"e" * 32)])
        kept = pending.batches(3, 1)
        assert len(kept) == MOST_PENDING
        assert kept[0].keys == ((3).to_bytes(16, "big"),)
        assert (kept[0].blinds, kept[0].blinded) == ((b"b" * 32,), (b"e" * 32,))
        assert "bbbb" not in repr(kept[0])
        assert pending.batches(3, 2) == pending.batches(4, 1) == []
        raw = b"".join(path.read_bytes() for path in client._session.config.vault.parent.glob("*.db*"))
        assert b"b" * 32 not in raw
