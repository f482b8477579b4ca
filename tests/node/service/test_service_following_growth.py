"""How fast an origin may grow is counted once, whatever happens between its steps (SPEC M-6.16)."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.fakes.federation import Federation, Node, founded, member_id
from tocsin.node.ports import PeerError
from tocsin.tlog.entry import WEEK_S

PER_DAY = 48  # two an hour


@pytest.fixture
def federation() -> Iterator[Federation]:
    with founded(per_day=PER_DAY) as started:
        yield started


def publish(federation: Federation, number: int, count: int) -> None:
    node = federation[1]
    entries = [federation.entry(bytes([number, place]) * 8) for place in range(count)]
    federation.clock.advance(60)
    asyncio.run(node.publishing.submit(number.to_bytes(16, "big"), entries))
    asyncio.run(node.publishing.tick())


def let_flood(node: Node) -> None:
    """Let a member's node append as much as it likes: the rule is its followers' to keep."""
    node.publishing._allowed = lambda *_: 1_000_000  # type: ignore[method-assign] # that is the crime


def round_with(node: Node) -> str:
    asyncio.run(node.following.round(member_id(1)))
    return node.following.peer(member_id(1)).problem


def size_at(node: Node) -> int:
    return node.gateway.read_now(lambda snapshot: snapshot.tip(member_id(1)).size)


def test_a_step_that_was_cut_off_is_not_counted(federation: Federation) -> None:
    node = federation[2]
    asyncio.run(federation[1].publishing.tick())
    assert round_with(node) == ""
    publish(federation, 1, 40)
    whole = node.wire.entries

    async def cut(*_: object) -> None:
        raise PeerError(member_id(1), "UNREACHABLE")

    node.wire.entries = cut  # type: ignore[assignment, method-assign] # the connection is lost on the way
    assert "UNREACHABLE" in round_with(node)
    node.wire.entries = whole  # type: ignore[method-assign] # a double takes what the port takes
    assert round_with(node) == ""
    assert size_at(node) == 41


def test_a_quiet_origin_gets_back_what_it_may_append(federation: Federation) -> None:
    node = federation[2]
    let_flood(federation[1])
    asyncio.run(federation[1].publishing.tick())
    assert round_with(node) == ""
    publish(federation, 1, PER_DAY)
    assert round_with(node) == ""
    for _ in range(24):  # it says every hour that it is there
        federation.clock.advance(3_600)
        asyncio.run(federation[1].publishing.tick())
        assert round_with(node) == ""
    publish(federation, 2, PER_DAY)
    assert round_with(node) == ""
    assert size_at(node) == 1 + 2 * PER_DAY
    # It does not save up more than a day of silence.
    for _ in range(72):
        federation.clock.advance(3_600)
        asyncio.run(federation[1].publishing.tick())
        assert round_with(node) == ""
    publish(federation, 3, PER_DAY + 3)
    assert "flood" in round_with(node)
    assert federation.clock.now() < federation.charter.issued + WEEK_S


def test_a_flood_is_followed_slowly(federation: Federation) -> None:
    node = federation[2]
    let_flood(federation[1])
    asyncio.run(federation[1].publishing.tick())
    assert round_with(node) == ""
    publish(federation, 1, 60)
    assert "flood" in round_with(node)
    assert size_at(node) == 1
    for _ in range(6):  # two an hour, by the origin's own checkpoints
        federation.clock.advance(3_600)
        asyncio.run(federation[1].publishing.tick())
    assert round_with(node) == ""
    assert size_at(node) == 61


def test_an_origin_paces_itself_so_that_its_followers_keep_up(federation: Federation) -> None:
    origin, node = federation[1], federation[2]
    publish(federation, 1, 2 * PER_DAY)
    assert round_with(node) == ""
    assert size_at(node) == PER_DAY
    assert origin.gateway.read_now(lambda snapshot: snapshot.waiting()) == PER_DAY + 1  # the charter's
    assert not asyncio.run(origin.publishing.tick()).full
    for _ in range(6):
        federation.clock.advance(3_600)
        asyncio.run(origin.publishing.tick())
        assert round_with(node) == ""
    assert size_at(node) == PER_DAY + 12
    # A follower that restarted goes on counting where it was.
    again = federation.open_node(2, node.store)
    federation.clock.advance(1_800)
    asyncio.run(origin.publishing.tick())
    assert round_with(again) == ""


def test_a_retraction_does_not_wait_for_the_pace(federation: Federation) -> None:
    origin, node = federation[1], federation[2]
    asyncio.run(origin.publishing.tick())
    assert round_with(node) == ""
    publish(federation, 1, PER_DAY)
    assert round_with(node) == ""
    asyncio.run(origin.publishing.retract(bytes(16), [bytes([1, 3]) * 8, bytes([1, 4]) * 8]))
    federation.clock.advance(60)
    assert asyncio.run(origin.publishing.tick()).appended == 2
    assert asyncio.run(origin.looking_up.look_up([(origin.id, bytes([1, 3]) * 8)])) == []
    assert "flood" in round_with(node)
    federation.clock.advance(2 * 1_800)
    asyncio.run(origin.publishing.tick())
    assert round_with(node) == ""
    assert asyncio.run(node.looking_up.look_up([(origin.id, bytes([1, 3]) * 8)])) == []
