"""Look-ups, proofs and the stream of new tags."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.fakes.deterministic import FakeClock
from tests.fakes.federation import Federation, founded, member_id
from tocsin.node.service.errors import (
    InvalidCursor,
    OutOfRange,
    TooManyLocations,
    TooManyTags,
    UnknownLog,
)
from tocsin.node.service.log_keys import open_note
from tocsin.node.service.notifications import ChangeNotifications
from tocsin.node.service.rate import RateLimit
from tocsin.tlog.merkle import verify_consistency, verify_inclusion
from tocsin.wire.values import MemberId, NewTags

T = [bytes([number]) * 16 for number in range(16)]


@pytest.fixture
def federation() -> Iterator[Federation]:
    with founded() as started:
        yield started


async def publish(federation: Federation, number: int, *tags: bytes) -> None:
    node = federation[number]
    federation.clock.advance(60)
    await node.publishing.submit(
        b"".join(tags)[:15] + bytes([number]), [federation.entry(tag) for tag in tags]
    )
    await node.publishing.tick()


def test_a_stream_goes_on_from_its_cursor_and_wakes_at_each_commit(federation: Federation) -> None:
    node = federation[2]

    async def scenario() -> None:
        await publish(federation, 1, T[1], T[2])
        await node.following.round(member_id(1))
        stream = node.looking_up.watch({}, 99)
        first = await anext(stream)
        assert first == NewTags(member_id(1), (0, 1), T[1] + T[2], 3, caught_up=False)
        assert (await anext(stream)).caught_up
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        assert not waiting.done()
        await publish(federation, 1, T[3])
        await node.following.round(member_id(1))
        assert await waiting == NewTags(member_id(1), (3,), T[3], 4, caught_up=False)
        await stream.aclose()
        again = node.looking_up.watch({member_id(1): 1}, 99)
        assert (await anext(again)).indices == (1, 3)
        await again.aclose()

    asyncio.run(scenario())


def test_a_stream_stops_before_a_period_that_the_client_cannot_open(federation: Federation) -> None:
    node = federation[2]

    async def scenario() -> None:
        await publish(federation, 1, T[1])
        federation.clock.advance(31 * 86_400)
        await federation[1].publishing.tick()
        await publish(federation, 1, T[2])
        await node.following.round(member_id(1))
        for newest, expected in ((0, ()), (1, (0,)), (2, (0, 2))):
            stream = node.looking_up.watch({}, newest)
            news = await anext(stream)
            assert news.indices == expected
            assert news.caught_up is (expected == ())
            await stream.aclose()

    asyncio.run(scenario())


def test_cursors_that_cannot_be_are_refused(federation: Federation) -> None:
    async def first(cursor: dict[MemberId, int]) -> None:
        await anext(federation[2].looking_up.watch(cursor, 9))

    for cursor, error in (
        ({member_id(1): 1}, InvalidCursor),
        ({member_id(1): -1}, InvalidCursor),
        ({member_id(9): 0}, UnknownLog),
    ):
        with pytest.raises(error):
            asyncio.run(first(cursor))


def test_proofs_lead_to_the_checkpoint_they_come_with(federation: Federation) -> None:
    async def scenario() -> None:
        await publish(federation, 1, *T[1:8])
        await federation[2].following.round(member_id(1))
        await publish(federation, 1, *T[8:12])
        await federation[2].following.round(member_id(1))

    asyncio.run(scenario())
    node, origin = federation[2], member_id(1)
    asked = [(origin, 5), (origin, 0), (origin, 5), (origin, 11)]
    proven = asyncio.run(node.looking_up.proven_entries(asked))
    assert [(entry.writer, entry.stored.index) for entry in proven.entries] == asked
    head = open_note(federation.charter, origin, proven.checkpoints[origin]).checkpoint
    for entry in proven.entries:
        verify_inclusion(entry.stored.index, head.size, entry.stored.leaf_hash(), entry.hashes, head.root)
    old = node.gateway.read_now(lambda snapshot: snapshot.tip(origin)).size
    assert old == head.size == 12
    hashes = asyncio.run(node.log_reader.consistency(origin, 12, 12))
    verify_consistency(12, 12, head.root, head.root, hashes)


def test_what_is_not_there_is_named(federation: Federation) -> None:
    asyncio.run(publish(federation, 1, T[1]))
    node, own = federation[1], member_id(1)
    with pytest.raises(UnknownLog):
        asyncio.run(node.looking_up.proven_entries([(member_id(2), 0)]))
    with pytest.raises(UnknownLog):
        asyncio.run(node.looking_up.look_up([(member_id(9), T[1])]))
    assert asyncio.run(node.looking_up.look_up([(member_id(2), T[1])])) == []
    for index in (2, -1):
        with pytest.raises(OutOfRange):
            asyncio.run(node.looking_up.proven_entries([(own, index)]))
    for locations in ([], [(own, 0)] * 257):
        with pytest.raises(TooManyLocations):
            asyncio.run(node.looking_up.proven_entries(locations))
    for tags in (bytes(15), bytes(16 * 50_001)):
        with pytest.raises(TooManyTags):
            asyncio.run(node.looking_up.look_up([(own, tags)]))
    for start in (-1, 3):
        with pytest.raises(OutOfRange):
            asyncio.run(node.log_reader.entries(own, start, 10))
    assert asyncio.run(node.log_reader.entries(own, 2, 10)) == []
    for sizes in ((0, 1), (2, 1), (1, 3)):
        with pytest.raises(OutOfRange):
            asyncio.run(node.log_reader.consistency(own, *sizes))


def test_the_status_tells_every_log(federation: Federation) -> None:
    async def scenario() -> None:
        await publish(federation, 1, T[1])
        await federation[2].following.round(member_id(1))
        await federation[2].publishing.submit(bytes(16), [federation.entry(T[2])])

    asyncio.run(scenario())
    status = asyncio.run(federation[2].status.status("test"))
    assert (status.charter_version, status.waiting) == (1, 2)
    assert [(log.writer, log.size) for log in status.logs] == [
        (member_id(1), 2),
        (member_id(2), 0),
        (member_id(3), 0),
    ]
    assert status.logs[0].last_reached == federation.clock.now()
    assert status.logs[2].last_reached == 0


def test_a_change_between_two_waits_is_not_missed() -> None:
    async def scenario() -> None:
        changes = ChangeNotifications()
        seen = changes.count
        changes.notify()
        assert await asyncio.wait_for(changes.wait(seen), 1) == 1
        waiting = asyncio.ensure_future(changes.wait(1))
        await asyncio.sleep(0)
        assert not waiting.done()
        changes.notify()
        assert await asyncio.wait_for(waiting, 1) == 2

    asyncio.run(scenario())


def test_buckets_fill_with_time_and_full_ones_are_forgotten() -> None:
    clock = FakeClock()
    limit = RateLimit(2, 0.5, clock)
    assert [limit.take(member_id(1)) for _ in range(3)] == [True, True, False]
    assert limit.take(member_id(2))
    clock.advance(2)
    assert [limit.take(member_id(1)) for _ in range(2)] == [True, False]
    for number in range(1_100):
        limit.take(MemberId(number.to_bytes(16, "big")))
    clock.advance(10)
    limit.take(member_id(3))
    assert len(limit._buckets) <= 2
