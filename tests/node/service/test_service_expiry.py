"""Expired bodies go, whatever keeps this node from publishing (SPEC M-6.18)."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.fakes.federation import Federation, Node, founded, member_id
from tocsin.node.service.publishing import PublishingSettings
from tocsin.tlog.entry import WEEK_S

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
    federation.clock.advance(turn - federation.clock.now())

    async def one_try() -> None:
        running = asyncio.create_task(node.publishing.run())
        async with asyncio.timeout(5):
            while node.publishing.expired_week < turn // WEEK_S:
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(one_try())
    assert node.publishing.problem is not None
    assert bodies(node, 1) == 0
