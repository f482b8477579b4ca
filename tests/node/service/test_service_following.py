"""Following, forks, rollbacks and gossip between honest and dishonest members."""

import asyncio
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace

import pytest

from tests.fakes.deterministic import FakeClock
from tests.fakes.federation import NAME, Federation, Node, founded, keys_of, member_id
from tests.fakes.memory_store import MemoryStore
from tocsin.node.service.errors import LogQuarantined
from tocsin.node.service.following.schedule import FollowingSettings
from tocsin.node.service.log_keys import cosigner_of
from tocsin.node.service.publishing import Ticked
from tocsin.proofs.fork import ForkProof, PrefixFork, SameSizeFork, parse_fork, verify_fork
from tocsin.tlog.checkpoint import log_origin
from tocsin.tlog.cosignature import cosigned_at
from tocsin.tlog.entry import Entry, Kind, charter_header, parse_body, retract_header
from tocsin.tlog.note import parse_note
from tocsin.wire.values import Kept, MemberId, Stored

T = [bytes([number]) * 16 for number in range(16)]


@pytest.fixture
def federation() -> Iterator[Federation]:
    with founded() as started:
        yield started


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def publish(federation: Federation, node: Node, number: int, *tags: bytes) -> Ticked:
    """Submit entries under these tags and tick that one node."""
    federation.clock.advance(60)
    asyncio.run(node.publishing.submit(key(number), [federation.entry(tag) for tag in tags]))
    return asyncio.run(node.publishing.tick())


def follow(node: Node, *members: int) -> list[str]:
    """Do a round with each member; return the problems."""
    problems = []
    for number in members:
        asyncio.run(node.following.round(member_id(number)))
        problems.append(node.following.peer(member_id(number)).problem)
    return problems


def copy_of(federation: Federation, number: int) -> Node:
    """Return a second node of a member on a copy of its store: the start of a second history."""
    store = MemoryStore(NAME, member_id(number))
    original = federation[number].store
    assert isinstance(original, MemoryStore)
    store._state = deepcopy(original._state)
    return federation.open_node(number, store)


def size_at(node: Node, number: int) -> int:
    return node.gateway.read_now(lambda snapshot: snapshot.tip(member_id(number)).size)


def fork_at(node: Node, number: int) -> ForkProof:
    """Return the proof a node keeps against a member, verified with nothing but that member's log key."""
    assert node.gateway.read_now(lambda snapshot: snapshot.tip(member_id(number)).quarantined)
    forks = {kept.writer: kept.proof for kept in asyncio.run(node.log_reader.forks())}
    proof = parse_fork(forks[member_id(number)])
    verify_fork(proof, log_origin(NAME, member_id(number)), keys_of(number).log.public_key)
    return proof


def test_what_one_publishes_every_other_finds(federation: Federation) -> None:
    origin = federation[1]
    publish(federation, origin, 1, T[1], T[2])
    asyncio.run(federation.tick_all())
    asyncio.run(federation.follow_all())
    for number in (2, 3):
        node = federation[number]
        found = asyncio.run(node.looking_up.look_up([(origin.id, T[2] + T[9] + T[1])]))
        assert [(hit.group, hit.position, hit.indices) for hit in found] == [(0, 0, (1,)), (0, 2, (0,))]
        proven = asyncio.run(node.looking_up.proven_entries([(origin.id, 1)]))
        assert proven.entries[0].stored.entry.body is not None
        assert size_at(node, 1) == 3
    # Every follower's cosignature comes back to the origin with the next round.
    asyncio.run(federation.follow_all())
    tip = origin.gateway.read_now(lambda snapshot: snapshot.tip(origin.id))
    note = parse_note(tip.checkpoint)
    for member in federation.charter.members:
        assert cosigned_at(note, cosigner_of(federation.charter, member)) <= federation.clock.now()


def test_a_retraction_erases_at_the_follower(federation: Federation) -> None:
    origin, follower = federation[1], federation[2]
    publish(federation, origin, 1, T[1])
    follow(follower, 1)
    asyncio.run(origin.publishing.retract(key(2), [T[1]]))
    federation.clock.advance(60)
    asyncio.run(origin.publishing.tick())
    assert follow(follower, 1) == [""]
    assert asyncio.run(follower.looking_up.look_up([(origin.id, T[1])])) == []
    late = federation[3]
    assert follow(late, 1) == [""]
    stored = late.gateway.read_now(lambda snapshot: snapshot.entries(origin.id, 0, 1))[0]
    assert stored.entry.header.kind is Kind.SEALED
    assert stored.entry.body is None


def test_following_in_many_steps_gives_the_same_tree(federation: Federation) -> None:
    origin = federation[1]
    for number in range(6):
        publish(federation, origin, number, *(bytes([number, place]) * 8 for place in range(number + 1)))
        follow(federation[2], 1)
    follow(federation[3], 1)
    tips = [
        node.gateway.read_now(lambda snapshot: snapshot.tip(origin.id))
        for node in (federation[2], federation[3], origin)
    ]
    assert len({tip.frontier for tip in tips}) == 1
    asyncio.run(federation[2].log_reader.consistency(origin.id, 5, tips[0].size))


def test_a_fork_of_one_size_is_caught_by_gossip_in_one_round(federation: Federation) -> None:
    publish(federation, federation[1], 1, T[1])
    other = copy_of(federation, 1)
    publish(federation, federation[1], 2, T[2])
    publish(federation, other, 2, T[3])
    federation.faces[member_id(3), member_id(1)] = other
    assert follow(federation[2], 1) == [""]
    assert follow(federation[3], 1) == [""]
    follow(federation[2], 3)
    follow(federation[3], 2)
    for number in (2, 3):
        assert isinstance(fork_at(federation[number], 1), SameSizeFork)


@pytest.mark.parametrize("common", [1, 2, 3, 4])
@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_a_fork_of_different_sizes_is_caught_from_either_side(
    federation: Federation, common: int, ahead: int
) -> None:
    publish(federation, federation[1], 1, *T[1 : common + 1])
    other = copy_of(federation, 1)
    publish(federation, federation[1], 2, T[14])
    publish(federation, other, 2, T[15])
    publish(federation, other, 3, *T[1 : ahead + 1])
    federation.faces[member_id(3), member_id(1)] = other
    follow(federation[2], 1)
    follow(federation[3], 1)
    assert size_at(federation[3], 1) > size_at(federation[2], 1)
    # Whoever is behind proves it with the other's consistency proof, whoever is ahead with its own tree; and one
    # that has quarantined the log still helps the other to convict it.
    follow(federation[2], 3)
    follow(federation[3], 2)
    for number in (2, 3):
        assert isinstance(fork_at(federation[number], 1), PrefixFork)


def test_a_fork_shown_by_its_origin_is_caught_at_once(federation: Federation) -> None:
    publish(federation, federation[1], 1, T[1])
    other = copy_of(federation, 1)
    publish(federation, federation[1], 2, T[2])
    publish(federation, other, 2, T[3])
    follow(federation[2], 1)
    federation.faces[member_id(2), member_id(1)] = other
    assert "Forked" in follow(federation[2], 1)[0]
    fork_at(federation[2], 1)
    audit = federation[2].gateway.read_now(lambda snapshot: snapshot.audit(20))
    assert [kind for _, kind, _, _ in audit].count("fork") == 1


def test_a_quarantined_log_is_not_followed_or_matched(federation: Federation) -> None:
    test_a_fork_shown_by_its_origin_is_caught_at_once(federation)
    node, forked = federation[2], member_id(1)
    before = size_at(node, 1)
    federation.faces.clear()
    publish(federation, federation[1], 5, T[5])
    assert "quarantined" in follow(node, 1)[0]
    assert size_at(node, 1) == before
    assert asyncio.run(node.expiring.erase()) > 0  # what it retracts later would not be heard of
    assert all(
        stored.entry.body is None
        for stored in node.gateway.read_now(lambda snapshot: snapshot.entries(forked, 0, 9))
    )
    assert asyncio.run(node.looking_up.look_up([(forked, T[1]), (node.id, T[1])])) == []
    with pytest.raises(LogQuarantined):
        asyncio.run(node.looking_up.proven_entries([(forked, 0)]))

    async def first() -> list[MemberId]:
        stream = node.looking_up.watch({}, 9)
        seen = []
        async for news in stream:
            seen.append(news.writer)
            if news.caught_up:
                return seen
        return seen

    assert forked not in asyncio.run(first())
    status = asyncio.run(node.status.status("test"))
    assert next(log for log in status.logs if log.writer == forked).quarantined


def test_a_rollback_is_refused_and_recovers(federation: Federation) -> None:
    publish(federation, federation[1], 1, T[1])
    old = copy_of(federation, 1)
    publish(federation, federation[1], 2, T[2])
    follow(federation[2], 1)
    federation.faces[member_id(2), member_id(1)] = old
    assert "RolledBack" in follow(federation[2], 1)[0]
    assert size_at(federation[2], 1) == 3
    federation.faces.clear()
    assert follow(federation[2], 1) == [""]


def test_a_checkpoint_of_the_future_is_refused_and_a_frozen_one_named(federation: Federation) -> None:
    publish(federation, federation[1], 1, T[1])
    behind = federation.open_node(2, federation[2].store, clock=FakeClock(federation.clock.now() - 700))
    assert "FromTheFuture" in follow(behind, 1)[0]
    assert size_at(federation[2], 1) == 0
    assert follow(federation[2], 1) == [""]
    federation.clock.advance(3_600)
    assert "stale" in follow(federation[2], 1)[0]
    federation.clock.advance(60)
    asyncio.run(federation[1].publishing.tick())
    assert follow(federation[2], 1) == [""]


def erased(stored: Stored) -> Stored:
    return replace(stored, entry=Kept(stored.entry.header, None))


def other_body(stored: Stored) -> Stored:
    return replace(stored, entry=Kept(stored.entry.header, parse_body(bytes(568))))


def other_header(stored: Stored) -> Stored:
    return replace(stored, entry=Kept(replace(stored.entry.header, epoch=2), stored.entry.body))


@pytest.mark.parametrize(
    ("tamper", "problem"),
    [
        (lambda sent: [erased(sent[0]), *sent[1:]], "missing before its time"),
        (lambda sent: [other_body(sent[0]), *sent[1:]], "not the one its leaf committed to"),
        (lambda sent: [other_header(sent[0]), *sent[1:]], "do not lead to the root"),
        (lambda sent: sent[1:], "the log ends at 2"),
        (lambda sent: [], "the log ends at 0"),
        (lambda sent: [sent[0], sent[0], *sent[2:]], "entry 1 was asked"),
    ],
)
def test_tampered_entries_are_refused_whole_and_the_log_recovers(
    federation: Federation, tamper: Callable[[list[Stored]], list[Stored]], problem: str
) -> None:
    publish(federation, federation[1], 1, T[1], T[2])
    node = federation[2]
    node.wire.sent = lambda _member, sent: tamper(sent)
    assert problem in follow(node, 1)[0]
    assert size_at(node, 1) == 0
    node.wire.sent = None
    assert follow(node, 1) == [""]
    assert size_at(node, 1) == 3


def force(federation: Federation, node: Node, entry: Entry, number: int) -> None:
    """Let a member log what its own node's rules would have refused."""
    now = federation.clock.now()
    node.gateway.write_now(lambda transaction: transaction.submit(key(number), key(number), [entry], now))
    federation.clock.advance(60)
    asyncio.run(node.publishing.tick())


def test_entries_against_the_rules_stop_the_log_that_has_them(federation: Federation) -> None:
    good = federation.entry(T[1])
    cases = [
        (replace(good.header, key_class=9), "which the charter does not have"),
        (replace(good.header, period=99), "which has not begun"),
        (replace(good.header, not_after=good.header.not_after + 2), "kept longer than"),
    ]
    for number, (header, problem) in enumerate(cases, 1):
        with founded() as fresh:
            force(fresh, fresh[1], Entry(header, good.body), number)
            assert problem in follow(fresh[2], 1)[0]
            assert size_at(fresh[2], 1) == 0


@pytest.mark.parametrize("target", ["itself", "charter", "charter before"])
def test_a_false_retraction_stops_the_log_that_has_it(federation: Federation, target: str) -> None:
    origin = federation[1]
    asyncio.run(origin.publishing.tick())  # index 0 is the charter
    if target == "charter before":
        follow(federation[2], 1)
    publish(federation, origin, 1, T[1])
    force(federation, origin, Entry(retract_header(2 if target == "itself" else 0)), 2)
    assert "RETRACT" in follow(federation[2], 1)[0]


def test_copied_tags_and_entries_are_dead_weight(federation: Federation) -> None:
    publish(federation, federation[1], 1, T[1])
    follow(federation[3], 1)
    copied = federation[1].gateway.read_now(lambda snapshot: snapshot.entries(member_id(1), 0, 1))[0].entry
    assert isinstance(copied, Entry)
    asyncio.run(federation[3].publishing.submit(key(1), [copied]))
    federation.clock.advance(60)
    asyncio.run(federation[3].publishing.tick())
    assert follow(federation[2], 1, 3) == ["", ""]
    # The tag is found where it was asked only; its box opens under the id of its writer alone (sealing).
    found = asyncio.run(federation[2].looking_up.look_up([(member_id(1), T[1])]))
    assert [hit.group for hit in found] == [0]


def test_a_silent_member_delays_nobody_and_is_followed_when_it_is_back(federation: Federation) -> None:
    node = federation[2]
    publish(federation, federation[1], 1, T[1])
    publish(federation, federation[3], 1, T[2])
    node = federation.open_node(2, following=FollowingSettings(follow_seconds=0.05))
    node.wire.down = {member_id(3)}

    async def scenario() -> None:
        running = asyncio.create_task(node.following.run())
        while size_at(node, 1) == 0:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.5)  # ten rounds without an answer
        assert "UNREACHABLE" in node.following.peer(member_id(3)).problem
        node.wire.down = set()
        async with asyncio.timeout(2 * 0.05 * 1.25 + 0.3):  # two rounds, and the time to do them
            while size_at(node, 3) == 0 or node.following.peer(member_id(3)).problem:
                await asyncio.sleep(0.001)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(asyncio.wait_for(scenario(), 5))


def test_a_stranger_cannot_sign_for_a_log(federation: Federation) -> None:
    publish(federation, federation[1], 1, T[1])
    publish(federation, federation[3], 1, T[2])
    node = federation[2]
    node.wire.shown = lambda member, notes: {**notes, member_id(1): notes.get(member_id(3), b"junk")}
    assert "is refused" in follow(node, 1)[0]
    assert size_at(node, 1) == 0
    node.wire.shown = None
    follow(node, 1)
    node.wire.shown = lambda member, notes: {**notes, member_id(1): b"junk"}
    assert "did not sign" in follow(node, 3)[0]
    assert not node.gateway.read_now(lambda snapshot: snapshot.tip(member_id(1)).quarantined)


def test_a_peers_false_word_convicts_nobody(federation: Federation) -> None:
    publish(federation, federation[1], 1, T[1])
    follow(federation[2], 1)
    publish(federation, federation[1], 2, T[2])
    follow(federation[3], 1)
    honest = federation[3].log_reader.consistency

    async def broken(writer: MemberId, old_size: int, new_size: int) -> list[bytes]:
        return [bytes(32) for _ in await honest(writer, old_size, new_size)]

    federation[3].log_reader.consistency = broken  # type: ignore[method-assign,assignment] # the lie of this test
    assert "no proof of a fork" in follow(federation[2], 3)[0]
    assert not federation[2].gateway.read_now(lambda snapshot: snapshot.tip(member_id(1)).quarantined)
    assert follow(federation[2], 1) == [""]


def test_charters_entries_are_followed(federation: Federation) -> None:
    asyncio.run(federation.tick_all())
    asyncio.run(federation.follow_all())
    stored = federation[2].gateway.read_now(lambda snapshot: snapshot.entries(member_id(1), 0, 5))
    assert [leaf.entry.header.kind for leaf in stored] == [Kind.CHARTER]
    assert stored[0].entry.header != charter_header(bytes(31) + b"\1")


def test_a_quiet_log_is_vouched_for_again_at_its_followers(federation: Federation) -> None:
    publish(federation, federation[1], 1, T[1])
    follow(federation[2], 1)
    cosigner = cosigner_of(federation.charter, federation.charter.member(member_id(2)))

    def vouched() -> tuple[int, int]:
        tip = federation[2].gateway.read_now(lambda snapshot: snapshot.tip(member_id(1)))
        return tip.time, cosigned_at(parse_note(tip.checkpoint), cosigner)

    first = vouched()
    federation.clock.advance(30)
    follow(federation[2], 1)
    assert vouched() == first  # the origin has not vouched again, so its follower does not
    federation.clock.advance(600)
    asyncio.run(federation[1].publishing.tick())
    federation.clock.advance(1)
    follow(federation[2], 1)
    assert vouched() == (federation.clock.now() - 1, federation.clock.now())


def test_two_peers_that_show_one_fork_at_once_leave_one_proof() -> None:
    with founded(members=4) as federation:
        publish(federation, federation[1], 1, T[1])
        other = copy_of(federation, 1)
        publish(federation, federation[1], 2, T[2])
        publish(federation, other, 2, T[3])
        for asker in (3, 4):
            federation.faces[member_id(asker), member_id(1)] = other
            follow(federation[asker], 1)
        follow(federation[2], 1)

        async def both() -> None:
            await asyncio.gather(*(federation[2].following.round(member_id(n)) for n in (3, 4)))

        asyncio.run(both())
        fork_at(federation[2], 1)
        audit = federation[2].gateway.read_now(lambda snapshot: snapshot.audit(20))
        assert [kind for _, kind, _, _ in audit].count("fork") == 1
