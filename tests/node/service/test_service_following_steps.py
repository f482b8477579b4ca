"""A log that is far ahead is followed in steps, each verified and stored by itself (SPEC M-6.16, M-6.17, M-6.23)."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace

import pytest

from tests.fakes import federation as fakes
from tests.fakes.deterministic import seeded
from tests.fakes.federation import NAME, Federation, Node, founded, keys_of, member_id, record_of, successor
from tests.fakes.memory_store import MemoryStore
from tocsin.node.ports import PeerError
from tocsin.node.service.following import stepping
from tocsin.node.service.log_keys import open_note, origin_time
from tocsin.primitives.ed25519 import SigningKey
from tocsin.proofs.fork import parse_fork, verify_fork
from tocsin.tlog.checkpoint import log_origin
from tocsin.tlog.entry import WEEK_S
from tocsin.tlog.note import parse_note
from tocsin.wire.values import Kept, MemberId, Stored

STEP = 10
"""Entries in a step here: the product's are `STEP_ENTRIES`."""


@pytest.fixture(autouse=True)
def _short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.node.service.following.stepping.STEP_ENTRIES", STEP)
    monkeypatch.setattr("tocsin.node.service.own_checkpoints.STEP_ENTRIES", STEP)


@pytest.fixture
def federation() -> Iterator[Federation]:
    with founded() as started:
        yield started


def tag(number: int) -> bytes:
    return number.to_bytes(16, "big")


def publish(federation: Federation, node: Node, numbers: Sequence[int], days: int = 49) -> None:
    """Publish one entry under each number's tag, in the order of the numbers, in one tick."""
    federation.clock.advance(60)
    entries = [federation.entry(tag(number), days) for number in numbers]
    if entries:
        asyncio.run(node.publishing.submit(tag(numbers[0]), entries))
    asyncio.run(node.publishing.tick())


def retract(federation: Federation, node: Node, numbers: Sequence[int]) -> None:
    asyncio.run(node.publishing.retract(tag(10_000 + numbers[0]), [tag(number) for number in numbers]))
    federation.clock.advance(60)
    asyncio.run(node.publishing.tick())


def follow(node: Node, number: int = 1) -> str:
    asyncio.run(node.following.round(member_id(number)))
    return node.following.peer(member_id(number)).problem


def size_at(node: Node, number: int = 1) -> int:
    return node.gateway.read_now(lambda snapshot: snapshot.tip(member_id(number)).size)


def live_at(node: Node, numbers: Sequence[int]) -> list[int]:
    hits = asyncio.run(node.looking_up.look_up([(member_id(1), b"".join(map(tag, numbers)))]))
    return [numbers[hit.position] for hit in hits]


def without_body(stored: Stored) -> Stored:
    return replace(stored, entry=Kept(stored.entry.header, None))


def twin(federation: Federation, number: int) -> Node:
    """A second node of a member on a copy of its store, that will not look at what peers hold."""
    store, original = MemoryStore(NAME, member_id(number)), federation[number].store
    assert isinstance(original, MemoryStore)
    store._state = deepcopy(original._state)
    node = federation.open_node(number, store)
    node.history._compared = node.clock._confirmed = True
    return node


def test_each_step_is_stored_with_its_own_checkpoint(federation: Federation) -> None:
    origin, node = federation[1], federation[2]
    publish(federation, origin, range(1, 36))
    publish(federation, origin, range(36, 48))
    sizes: list[int] = []
    write = node.gateway.write_alone

    async def noting(change: Callable[..., object]) -> object:
        result = await write(change)
        tip = node.gateway.read_now(lambda snapshot: snapshot.tip(origin.id))
        assert open_note(federation.charter, origin.id, tip.checkpoint).checkpoint.size == tip.size
        sizes.append(tip.size)
        return result

    node.gateway.write_alone = noting  # type: ignore[method-assign, assignment] # looks on
    assert follow(node) == ""
    assert sizes == [10, 20, 30, 40, 48]
    assert live_at(node, range(1, 48)) == list(range(1, 48))


def test_a_follower_that_was_cut_off_goes_on_where_it_was(federation: Federation) -> None:
    origin, node = federation[1], federation[2]
    publish(federation, origin, range(1, 51))
    entries, answers = node.wire.entries, 0

    async def cut(member: MemberId, writer: MemberId, start: int, limit: int) -> object:
        nonlocal answers
        answers += 1
        if answers > 3:
            raise PeerError(member, "UNREACHABLE")
        return await entries(member, writer, start, limit)

    node.wire.entries = cut  # type: ignore[method-assign, assignment] # the connection is lost on the way
    assert "UNREACHABLE" in follow(node)
    assert size_at(node) == 30
    again = federation.open_node(2, node.store)
    asked: list[int] = []

    async def noting(member: MemberId, writer: MemberId, start: int, limit: int) -> object:
        asked.append(start)
        return await entries(member, writer, start, limit)

    again.wire.entries = noting  # type: ignore[method-assign, assignment] # looks on
    assert follow(again) == ""
    assert (asked[0], size_at(again)) == (30, 51)


def test_what_is_retracted_steps_later_is_followed(federation: Federation) -> None:
    """In the entry's own step, in the next, and many steps later; by one that is behind and by one that is not."""
    origin, late, early = federation[1], federation[2], federation[3]
    publish(federation, origin, range(1, 15))
    assert follow(early) == ""
    retract(federation, origin, [1, 13])
    publish(federation, origin, range(15, 60))
    retract(federation, origin, [2, 30, 59])
    for node in (late, early):
        assert follow(node) == ""
        assert live_at(node, range(1, 60)) == [
            number for number in range(1, 60) if number not in (1, 13, 2, 30, 59)
        ]
        assert node.gateway.read_now(lambda snapshot: snapshot.retracts_due(member_id(1))) is None


def test_what_is_retracted_while_a_follower_is_on_its_way_is_followed(federation: Federation) -> None:
    origin, node = federation[1], federation[2]
    publish(federation, origin, range(1, 50))
    entries = node.wire.entries

    async def slow(member: MemberId, writer: MemberId, start: int, limit: int) -> object:
        if start == 20 and origin.gateway.read_now(lambda s: s.submission(tag(10_025))) is None:
            asyncio.get_running_loop()
            await origin.publishing.retract(tag(10_025), [tag(25), tag(45)])
            federation.clock.advance(60)
            await origin.publishing.tick()
        return await entries(member, writer, start, limit)

    node.wire.entries = slow  # type: ignore[method-assign, assignment] # the origin goes on meanwhile
    assert follow(node) == ""
    assert follow(node) == ""
    assert live_at(node, [24, 25, 26, 45]) == [24, 26]


@pytest.mark.parametrize("place", [3, 48])
def test_a_body_that_is_kept_back_stops_the_log(federation: Federation, place: int) -> None:
    origin, node = federation[1], federation[2]
    publish(federation, origin, range(1, 50))
    node.wire.sent = lambda _, sent: [
        without_body(stored) if stored.index == place else stored for stored in sent
    ]
    for _ in range(3):
        assert "missing before its time, without a RETRACT" in follow(node)
        assert size_at(node) == 40  # nothing that reaches the size by which the RETRACT was due
        publish(federation, origin, ())


def test_an_origin_does_not_put_off_a_missing_retract(federation: Federation) -> None:
    origin, node = federation[1], federation[2]
    publish(federation, origin, range(1, 50))
    rest = node.wire.checkpoints
    ahead = twin(federation, 1)
    publish(federation, ahead, range(50, 90))
    promised = asyncio.run(ahead.log_reader.checkpoints())[0].note
    asked = 0

    async def promising(member: MemberId) -> dict[MemberId, bytes]:
        nonlocal asked
        asked += 1
        return {**await rest(member), **({member_id(1): promised} if asked == 2 else {})}

    node.wire.sent = lambda _, sent: [
        without_body(stored) if stored.index == 3 else stored for stored in sent
    ]
    node.wire.checkpoints = promising  # type: ignore[method-assign] # a larger tree, shown once
    follow(node)
    assert "after it showed" in follow(node)


def test_what_expired_since_an_intermediate_checkpoint_is_no_fault(federation: Federation) -> None:
    origin, node = federation[1], federation[2]
    publish(federation, origin, range(1, 25), days=0)
    turn = (federation.clock.now() // WEEK_S + 1) * WEEK_S
    federation.clock.advance(turn - federation.clock.now())
    publish(federation, origin, range(25, 50))
    assert follow(node) == ""
    assert size_at(node) == 50
    assert live_at(node, range(1, 50)) == list(range(25, 50))


def test_what_expires_while_its_retract_is_due_is_no_fault(federation: Federation) -> None:
    origin, node = federation[1], federation[2]
    publish(federation, origin, range(1, 12), days=0)
    turn = (federation.clock.now() // WEEK_S + 1) * WEEK_S
    publish(federation, origin, range(12, 50))
    # Its clock is ahead of ours, so that it erased what we take for live.
    node.wire.sent = lambda _, sent: [
        without_body(stored) if stored.index < 11 else stored for stored in sent
    ]
    assert "missing before its time" in follow(node)
    federation.clock.advance(turn - federation.clock.now())
    publish(federation, origin, ())
    asyncio.run(node.publishing.tick())
    assert follow(node) == ""
    assert size_at(node) == 50


def rekey(federation: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give member 1 another log key and another cosigner key by charter, and start its node with them."""
    random = seeded("other keys")
    keys = replace(keys_of(1), log=SigningKey(random(32)), cosigner=SigningKey(random(32)))
    record = replace(record_of(1), log=keys.log.public_key, cosigner=keys.cosigner.public_key)
    second = successor(federation, (2, 3), members=(record, record_of(2), record_of(3))).encode()
    for node in federation.nodes.values():
        asyncio.run(node.membership.adopt(second))
    monkeypatch.setattr(fakes, "keys_of", lambda number: keys if number == 1 else keys_of(number))
    federation.nodes[member_id(1)] = federation.open_node(1, federation[1].store)


def test_intermediate_checkpoints_are_signed_again_under_a_new_key(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(federation, federation[1], range(1, 36))
    assert follow(federation[3]) == ""
    before = federation[1].gateway.read_now(lambda snapshot: snapshot.intermediates(0, 99))
    rekey(federation, monkeypatch)
    monkeypatch.setattr("tocsin.node.service.own_checkpoints.MOST_RESIGNED", 2)
    # Until its next tick they bear the old signature, which a follower refuses.
    assert "is refused" in follow(federation[2])
    while asyncio.run(federation[1].publishing.tick()).full:
        federation.clock.advance(1)
    kept = federation[1].gateway.read_now(lambda snapshot: snapshot.intermediates(0, 99))
    assert [(one.size, one.time) for one in kept] == [(one.size, one.time) for one in before]
    charter = federation[1].membership.charter
    for one, old in zip(kept, before, strict=True):
        assert parse_note(one.note).text == parse_note(old.note).text
        assert open_note(charter, member_id(1), one.note).checkpoint.size == one.size
        assert origin_time(charter, member_id(1), parse_note(one.note)) == one.time
    publish(federation, federation[1], range(36, 50))
    assert follow(federation[2]) == follow(federation[3]) == ""
    assert size_at(federation[2]) == size_at(federation[3]) == 50


@pytest.mark.parametrize("common", [5, 10, 17, 20])
def test_two_histories_on_the_way_are_proven(federation: Federation, common: int) -> None:
    """The intermediate checkpoints are of one history, the newest and its entries of another."""
    publish(federation, federation[1], range(1, common))
    other = twin(federation, 1)
    publish(federation, federation[1], range(100, 160))
    publish(federation, other, range(200, 290))
    node = federation[2]
    on_the_way = asyncio.run(other.log_reader.intermediate_checkpoints(0, 64))
    node.wire.on_the_way = lambda _, notes: [
        note for note in on_the_way if size_of(federation, note) > size_at(node)
    ]
    # Whatever this node verified of one history before the other showed, the two together convict.
    for _ in range(2):
        if "two histories" in follow(node):
            break
        federation.faces[member_id(2), member_id(1)] = other
        publish(federation, other, ())
    kept = asyncio.run(node.log_reader.forks())
    proof = parse_fork(kept[0].proof)
    verify_fork(proof, log_origin(NAME, member_id(1)), keys_of(1).log.public_key)
    assert node.gateway.read_now(lambda snapshot: snapshot.tip(member_id(1)).quarantined)


def size_of(federation: Federation, note: bytes) -> int:
    return open_note(federation.charter, member_id(1), note).checkpoint.size


def test_a_step_of_another_history_that_its_origin_proves_is_kept(federation: Federation) -> None:
    publish(federation, federation[1], range(1, 15))
    other = twin(federation, 1)
    publish(federation, federation[1], range(100, 130))
    publish(federation, other, range(200, 240))
    node = federation[2]
    # It shows the intermediate checkpoints of one history until 30, and then goes on with the other.
    notes = asyncio.run(federation[1].log_reader.intermediate_checkpoints(0, 64))
    wire, entries = node.wire, node.wire.entries

    async def first_history(member: MemberId, writer: MemberId, start: int, limit: int) -> object:
        if start < 30:
            return await federation[1].log_reader.entries(writer, start, limit)
        return await entries(member, writer, start, limit)

    federation.faces[member_id(2), member_id(1)] = other
    wire.on_the_way = lambda _, shown: [*notes[:3], *shown[3:]]
    wire.entries = first_history  # type: ignore[method-assign, assignment] # that is the crime
    assert "Forked" in follow(node)
    assert size_at(node) == 30
    proof = parse_fork(asyncio.run(node.log_reader.forks())[0].proof)
    verify_fork(proof, log_origin(NAME, member_id(1)), keys_of(1).log.public_key)


@pytest.mark.parametrize(
    ("tamper", "problem"),
    [
        (lambda notes: [], "shows no checkpoint of 10 entries"),
        (lambda notes: notes[1:], "where one of 10 is due"),
        (lambda notes: [notes[0], notes[0]], "where one of 20 is due"),
        (lambda notes: [b"junk"], "is refused"),
    ],
)
def test_missing_or_strange_intermediate_checkpoints_are_refused(
    federation: Federation, tamper: Callable[[list[bytes]], list[bytes]], problem: str
) -> None:
    publish(federation, federation[1], range(1, 40))
    node = federation[2]
    node.wire.on_the_way = lambda _, notes: tamper(notes)
    assert problem in follow(node)
    assert size_at(node) == 0
    node.wire.on_the_way = None
    assert follow(node) == ""
    assert size_at(node) == 40


def test_a_log_that_is_many_pages_behind_goes_on_at_once(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stepping, "MAX_STEPS", 2)
    publish(federation, federation[1], range(1, 70))
    node = federation[2]

    async def until_followed() -> float:
        began = time.monotonic()
        running = asyncio.create_task(node.following.run())
        while size_at(node) < 70:
            await asyncio.sleep(0.001)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return time.monotonic() - began

    # Four exchanges, and a round lies 60 s from the next.
    assert asyncio.run(asyncio.wait_for(until_followed(), 10)) < 10


def test_status_says_how_far_peers_hold_the_log(federation: Federation) -> None:
    origin = federation[1]
    publish(federation, origin, range(1, 20))
    assert follow(federation[2]) == ""
    publish(federation, origin, range(20, 30))
    assert follow(federation[3]) == ""
    assert follow(origin, 2) == follow(origin, 3) == ""
    status = asyncio.run(origin.status.status("test"))
    assert {log.writer: log.holds for log in status.logs} == {
        member_id(1): 0,
        member_id(2): 20,
        member_id(3): 30,
    }
