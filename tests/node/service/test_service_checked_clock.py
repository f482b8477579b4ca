"""The node's time: what it goes by when clocks jump, fall behind or lie (SPEC M-6.25)."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.fakes.deterministic import NOW, FakeClock
from tests.fakes.federation import Federation, Node, founded, member_id
from tocsin.node.ops.clock_reset import NothingToReset, reset_clock
from tocsin.node.service.checked_clock import CheckedClock, ClockUnsure
from tocsin.node.service.publishing import ClockBehind
from tocsin.tlog.entry import WEEK_S
from tocsin.wire.values import MemberId

A, B, C = (member_id(number) for number in (1, 2, 3))
DAY_S = 86_400


def confirmed(system: FakeClock) -> CheckedClock:
    clock = CheckedClock(system)
    clock.heard(A, system.now())
    clock.check(alone=False)
    return clock


@pytest.mark.parametrize("jump", [601, 12 * 3_600, 70 * DAY_S, -601, -3 * DAY_S])
def test_a_jump_is_not_followed(jump: int) -> None:
    system = FakeClock()
    clock = confirmed(system)
    system.wall += jump
    system.advance(6)
    assert clock.now() == NOW + 6
    assert f"jumped by {jump} s" in (clock.problem or "")
    clock.check(alone=False)
    system.wall -= jump
    assert clock.now() == NOW + 6
    assert clock.problem is None


def test_a_small_correction_is_followed() -> None:
    system = FakeClock()
    clock = confirmed(system)
    system.wall += 300
    assert clock.now() == NOW + 300
    assert clock.problem is None


def test_a_machine_that_was_asleep_goes_by_what_the_others_say() -> None:
    system = FakeClock()
    clock = confirmed(system)
    system.wall += DAY_S  # the monotonic clock stood still
    assert clock.now() == NOW
    clock.heard(A, system.now())
    clock.heard(B, system.now())
    assert clock.now() == NOW + DAY_S
    clock.check(alone=False)


def test_a_node_that_starts_with_a_wrong_clock_is_unsure() -> None:
    system = FakeClock(NOW + 12 * 3_600)
    clock = CheckedClock(system)
    with pytest.raises(ClockUnsure, match="no other member"):
        clock.check(alone=False)
    assert not clock.may_erase(alone=False)
    clock.heard(A, NOW)
    clock.heard(B, NOW)
    with pytest.raises(ClockUnsure, match="43200 s ahead of other members"):
        clock.check(alone=False)
    assert not clock.may_erase(alone=False)
    system.wall = NOW  # corrected while it runs
    clock.heard(A, NOW)
    clock.check(alone=False)
    assert clock.now() == NOW
    assert clock.may_erase(alone=False)


def test_one_liar_moves_no_clock() -> None:
    system = FakeClock()
    clock = confirmed(system)
    clock.heard(B, NOW)
    clock.heard(C, NOW + 70 * DAY_S)
    assert clock.now() == NOW
    clock.check(alone=False)
    # Not even where nobody else was heard for long, once the time was confirmed.
    system.advance(2 * 3_600)
    clock.heard(C, NOW + 70 * DAY_S)
    clock.check(alone=False)
    assert clock.now() == NOW + 2 * 3_600


def test_a_node_that_hears_nobody_erases_after_an_hour() -> None:
    system = FakeClock()
    clock = CheckedClock(system)
    system.advance(3_599)
    assert not clock.may_erase(alone=False)
    system.advance(1)
    assert clock.may_erase(alone=False)
    system.wall += DAY_S
    assert not clock.may_erase(alone=False)


def test_a_member_without_others_goes_by_its_own_clock() -> None:
    clock = CheckedClock(FakeClock())
    clock.check(alone=True)
    assert clock.may_erase(alone=True)


@pytest.fixture
def federation() -> Iterator[Federation]:
    with founded() as started:
        yield started


def test_nothing_is_erased_or_signed_into_the_future(federation: Federation) -> None:
    node, follower = federation[1], federation[2]
    tags = [bytes([number]) * 16 for number in (1, 2)]
    asyncio.run(node.publishing.submit(tags[0], [federation.entry(tags[0])]))
    asyncio.run(federation.tick_all())
    asyncio.run(federation.follow_all())
    now = federation.clock.now()
    for jump in (70 * DAY_S, 12 * 3_600):
        federation.clock.wall += jump
        entry = federation.entry(tags[1])
        if entry.header.not_after <= now // WEEK_S + 8:
            asyncio.run(node.publishing.submit(jump.to_bytes(16, "big"), [entry]))
        asyncio.run(federation.tick_all())
        asyncio.run(federation.follow_all())
        asyncio.run(federation.erase_all())
        federation.clock.wall -= jump
    asyncio.run(federation.tick_all())
    asyncio.run(federation.follow_all())
    for holder in (node, follower):
        assert len(asyncio.run(holder.looking_up.look_up([(node.id, tags[0])]))) == 1
        tip = holder.gateway.read_now(lambda snapshot: snapshot.tip(node.id))
        assert tip.time <= federation.clock.now()
        assert holder.gateway.read_now(lambda snapshot: snapshot.seen_time()) <= federation.clock.now()
    assert node.publishing.problem is None
    assert follower.following.peer(node.id).problem == ""


def test_what_was_erased_too_early_is_fetched_again(federation: Federation) -> None:
    origin, node, other = federation[1], federation[2], federation[3]
    tags = [bytes([number]) * 16 for number in range(1, 6)]
    asyncio.run(origin.publishing.submit(tags[0], [federation.entry(tag) for tag in tags]))
    asyncio.run(federation.tick_all())
    asyncio.run(federation.follow_all())
    week = federation.clock.now() // WEEK_S + 10
    # Both erased by a wrong clock: the follower, and the origin itself.
    for wrong in (origin, node):
        wrong.gateway.write_now(lambda transaction: transaction.expire(week, 100))
        assert found(wrong, origin.id, tags) == 0
    asyncio.run(origin.publishing.retract(tags[1], [tags[1]]))
    node.wire.down = {origin.id}
    assert asyncio.run(node.restoring.restore()) == 5  # the third member holds them
    assert found(node, origin.id, tags) == 5
    assert asyncio.run(origin.restoring.restore()) == 5
    assert asyncio.run(origin.restoring.restore()) == 0
    asyncio.run(federation.tick_all())
    node.wire.down = set()
    asyncio.run(federation.follow_all())
    for holder in (origin, node, other):
        assert found(holder, origin.id, tags) == 4


def test_what_was_retracted_is_not_fetched_again(federation: Federation) -> None:
    origin, node, other = federation[1], federation[2], federation[3]
    tags = [bytes([number]) * 16 for number in range(1, 6)]
    asyncio.run(origin.publishing.submit(tags[0], [federation.entry(tag) for tag in tags]))
    asyncio.run(federation.tick_all())
    asyncio.run(federation.follow_all())
    asyncio.run(origin.publishing.retract(tags[1], [tags[1]]))
    federation.clock.advance(60)
    asyncio.run(origin.publishing.tick())
    assert found(other, origin.id, tags) == 5  # it has not followed yet, and still has the body
    origin.gateway.write_now(
        lambda transaction: transaction.expire(federation.clock.now() // WEEK_S + 10, 100)
    )
    origin.wire.down = {node.id}
    assert asyncio.run(origin.restoring.restore()) == 4
    assert found(origin, origin.id, tags) == 4


def found(node: Node, writer: MemberId, tags: list[bytes]) -> int:
    return len(asyncio.run(node.looking_up.look_up([(writer, b"".join(tags))])))


def test_a_node_that_signed_into_the_future_has_a_way_back(federation: Federation) -> None:
    number, jump = 1, 12 * 3_600
    tag = bytes([7]) * 16
    asyncio.run(federation.tick_all())
    asyncio.run(federation.follow_all())
    # Its clock was ahead when it started, and it signed all the same.
    ahead = FakeClock(federation.clock.now() + jump)
    wrong = federation.open_node(number, federation[number].store, clock=ahead)
    wrong.history._compared = wrong.clock._confirmed = True
    asyncio.run(wrong.publishing.submit(tag, [federation.entry(tag)]))
    asyncio.run(wrong.publishing.tick())
    federation.nodes[member_id(number)] = wrong
    asyncio.run(federation[2].following.round(member_id(number)))
    assert "FromTheFuture" in federation[2].following.peer(member_id(number)).problem
    right = federation.open_node(number, wrong.store)
    with pytest.raises(ClockBehind):
        asyncio.run(right.publishing.tick())
    assert reset_clock(right.store, federation.clock.now()) == jump
    with pytest.raises(NothingToReset):
        reset_clock(right.store, federation.clock.now())
    federation.nodes[member_id(number)] = right
    federation.clock.advance(60)
    asyncio.run(right.publishing.tick())
    assert right.publishing.problem is None
    for follower in (federation[2], federation[3]):
        asyncio.run(follower.following.round(member_id(number)))
        assert follower.following.peer(member_id(number)).problem == ""
        assert found(follower, member_id(number), [tag]) == 1


def test_what_was_written_by_an_unsure_clock_does_not_stop_a_sure_one(federation: Federation) -> None:
    asyncio.run(federation.tick_all())
    ahead = FakeClock(federation.clock.now() + 700)
    node = federation.open_node(1, federation[1].store, clock=ahead)
    tag = bytes([7]) * 16
    asyncio.run(node.publishing.submit(tag, [federation.entry(tag)]))
    with pytest.raises(ClockUnsure, match="700 s ahead"):
        asyncio.run(node.publishing.tick())
    ahead.wall -= 700
    asyncio.run(node.following.round(member_id(2)))
    asyncio.run(node.publishing.tick())
    assert node.publishing.problem is None
    assert found(node, node.id, [tag]) == 1
