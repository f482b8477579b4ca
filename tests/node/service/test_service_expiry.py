"""Expired bodies go, whatever keeps this node from publishing (SPEC M-6.18)."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from tests.fakes.federation import Federation, Node, founded, member_id
from tocsin.node.service import expiring
from tocsin.node.service.errors import NotReady
from tocsin.node.service.publishing import PublishingSettings
from tocsin.tlog.entry import WEEK_S
from tocsin.wire.values import MemberId

T = [bytes([number]) * 16 for number in range(4)]


@pytest.fixture
def federation() -> Iterator[Federation]:
    with founded() as started:
        yield started


def submit(federation: Federation, node: Node, *tags: bytes) -> int:
    """Submit entries that live until the next turn of a week; return that turn."""
    entries = [federation.entry(tag, days=0) for tag in tags]
    asyncio.run(node.publishing.submit(bytes(16), entries))
    return entries[0].header.not_after * WEEK_S


def bodies(node: Node, number: int) -> int:
    entries = asyncio.run(node.log_reader.entries(member_id(number), 0, 99))
    return sum(stored.entry.body is not None for stored in entries)


def test_what_expires_in_the_queue_never_shows(federation: Federation) -> None:
    node = federation.open_node(1, publishing=PublishingSettings(most_per_tick=1, patience_s=0.2))
    turn = submit(federation, node, T[1], T[2], T[3])
    federation.clock.advance(turn - federation.clock.now())
    for _ in range(4):
        federation.clock.advance(60)
        asyncio.run(node.publishing.tick())
    assert bodies(node, 1) == 0
    assert asyncio.run(node.looking_up.look_up([(node.id, b"".join(T))])) == []


def test_a_node_that_may_not_sign_erases_all_the_same(federation: Federation) -> None:
    turn = submit(federation, federation[1], T[1], T[2])
    asyncio.run(federation[1].publishing.tick())
    node = federation[2]
    asyncio.run(node.following.round(member_id(1)))
    assert bodies(node, 1) == 2
    # Its own peers are silent, so that nothing is compared and nothing signed.
    node.wire.down = {member_id(1), member_id(3)}
    federation.clock.turn_to(turn)
    with pytest.raises(NotReady):
        asyncio.run(node.publishing.tick())
    assert asyncio.run(node.expiring.erase()) == 2
    assert bodies(node, 1) == 0


def test_expiry_goes_in_pieces_with_other_writes_between(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiring, "MOST", 2)
    monkeypatch.setattr(expiring, "FEWEST", 2)
    node = federation.open_node(1)
    turn = submit(federation, node, *(bytes([number]) * 16 for number in range(7)))
    asyncio.run(node.publishing.tick())
    federation.clock.turn_to(turn)
    order: list[str] = []

    async def both() -> None:
        async def write() -> None:
            await node.gateway.write(lambda transaction: transaction.record("other", "", b"", 1))
            order.append("other")

        write_alone = node.gateway.write_alone

        async def noting(change: Callable[..., int]) -> int:
            erased = await write_alone(change)
            order.append(str(erased))
            asyncio.get_running_loop().create_task(write())
            return erased

        monkeypatch.setattr(node.gateway, "write_alone", noting)
        await node.expiring.erase()
        await asyncio.sleep(0.01)

    asyncio.run(both())
    assert [step for step in order if step != "other"] == ["2", "2", "2", "1"]
    assert order.index("other") < order.index("1")
    assert node.expiring.expired_week == turn // WEEK_S


def test_members_begin_ten_to_twenty_minutes_after_the_turn(federation: Federation) -> None:
    begun: dict[MemberId, int] = {}
    turn = submit(federation, federation[1], T[1])
    asyncio.run(federation[1].publishing.tick())
    asyncio.run(federation.follow_all())
    asyncio.run(federation.erase_all())

    async def run(node: Node) -> None:
        running = asyncio.create_task(node.expiring.run())
        await asyncio.sleep(0.02)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    federation.clock.turn_to(turn - 60)
    while len(begun) < 3 and federation.clock.now() < turn + 1_300:
        federation.clock.advance(60)
        for node in federation.nodes.values():
            if node.id not in begun:
                asyncio.run(run(node))
                if node.expiring.expired_week == turn // WEEK_S:
                    begun[node.id] = federation.clock.now() - turn
    assert len(set(begun.values())) > 1
    assert all(600 <= after <= 1_260 for after in begun.values())
