"""The own log: acknowledgement, ticks, retraction, expiry, and what an old database must not sign."""

import asyncio
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.deterministic import FakeClock, seeded
from tests.fakes.federation import (
    DAY,
    NAME,
    PUBLISHING,
    Federation,
    Node,
    founded,
    member_id,
)
from tests.fakes.memory_store import MemoryStore
from tocsin.node.model import Pending, PendingRetraction
from tocsin.node.ports import StoreFull
from tocsin.node.service.errors import (
    CharterExpired,
    DiskFull,
    ExpiredEntry,
    InvalidEntry,
    InvalidIdempotencyKey,
    KeyReused,
    NotReady,
    TooManyEntries,
    UnknownSubmission,
)
from tocsin.node.service.log_keys import open_note, origin_time
from tocsin.node.service.own_history import OldHistory
from tocsin.node.service.publishing import ClockBehind
from tocsin.node.service.tick.sequencing import sequence
from tocsin.tlog.entry import WEEK_S, Entry, Kind, charter_header, parse_body, sealed_header, weeks_after
from tocsin.wire.values import MemberId, Stored, TagHit

T = [bytes([number]) * 16 for number in range(16)]


@pytest.fixture
def federation() -> Iterator[Federation]:
    with founded() as started:
        yield started


def tip_of(node: Node, member: MemberId | None = None):  # type: ignore[no-untyped-def] # a LogTip, read in one line
    return node.gateway.read_now(lambda snapshot: snapshot.tip(member or node.id))


def log_of(node: Node) -> list[Stored]:
    return node.gateway.read_now(lambda snapshot: snapshot.entries(node.id, 0, 1_000))


def hits(node: Node, writer: MemberId, *tags: bytes) -> list[TagHit]:
    return asyncio.run(node.looking_up.look_up([(writer, b"".join(tags))]))


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def test_a_tick_orders_by_tag_and_settles_submissions(federation: Federation) -> None:
    node = federation[1]

    async def scenario() -> list[tuple[int, ...]]:
        await node.publishing.submit(key(1), [federation.entry(T[5]), federation.entry(T[2])])
        await node.publishing.submit(key(2), [federation.entry(T[3])])
        assert (await node.publishing.submission(key(1))).indices == ()
        await federation.tick_all()
        return [(await node.publishing.submission(key(number))).indices for number in (1, 2)]

    assert asyncio.run(scenario()) == [(2, 0), (1,)]
    # The charter that this member signed is logged behind them.
    kinds = [stored.entry.header.kind for stored in log_of(node)]
    assert kinds == [Kind.SEALED, Kind.SEALED, Kind.SEALED, Kind.CHARTER]
    tip = tip_of(node)
    head = open_note(federation.charter, node.id, tip.checkpoint)
    assert (head.checkpoint.size, head.checkpoint.root) == (4, tip.frontier.root())
    assert origin_time(federation.charter, node.id, head.note) == federation.clock.now()
    assert [hit.indices for hit in hits(node, node.id, T[2], T[5])] == [(0,), (2,)]


def test_submitting_again_has_one_effect(federation: Federation) -> None:
    node = federation[1]
    entries = [federation.entry(T[1])]

    async def scenario() -> None:
        first = await node.publishing.submit(key(1), entries)
        again = await node.publishing.submit(key(1), entries)
        assert (first.repeated, again.repeated) == (False, True)
        with pytest.raises(KeyReused):
            await node.publishing.submit(key(1), [federation.entry(T[2])])
        await federation.tick_all()
        # Acknowledged stays acknowledged, though the entry has expired by now.
        federation.clock.advance(50 * DAY)
        assert (await node.publishing.submit(key(1), entries)).repeated

    asyncio.run(scenario())
    assert len(hits(node, node.id, T[1])) <= 1
    with pytest.raises(UnknownSubmission):
        asyncio.run(node.publishing.submission(key(9)))


def test_a_retraction_covers_what_was_acknowledged_before_it(federation: Federation) -> None:
    node = federation[1]

    async def scenario() -> list[int]:
        await node.publishing.submit(key(1), [federation.entry(T[1]), federation.entry(T[2])])
        await federation.tick_all()
        await node.publishing.submit(key(2), [federation.entry(T[1])])
        done = await node.publishing.retract(key(3), [T[1]])
        assert done.count == 2
        await node.publishing.submit(key(4), [federation.entry(T[1])])
        await federation.tick_all()
        return (await node.publishing.submission(key(3))).indices

    indices = asyncio.run(scenario())
    log = log_of(node)
    assert [log[index].entry.header.retracts for index in indices] == [0, 3]
    assert [stored.index for stored in log if stored.entry.header.kind is Kind.SEALED] == [0, 1, 3, 4]
    assert [log[index].entry.body is None for index in (0, 1, 3, 4)] == [True, False, True, False]
    assert [hit.indices for hit in hits(node, node.id, T[1], T[2])] == [(4,), (1,)]


def test_a_retraction_waits_for_an_older_entry_left_over(federation: Federation) -> None:
    node = federation.open_node(1, publishing=replace(PUBLISHING, most_per_tick=2))
    asyncio.run(node.publishing.tick())

    async def scenario() -> None:
        for number in range(3):
            await node.publishing.submit(key(number), [federation.entry(T[1])])
        await node.publishing.retract(key(9), [T[1]])
        await node.publishing.tick()
        assert (await node.publishing.submission(key(9))).indices == ()
        await node.publishing.tick()
        assert len((await node.publishing.submission(key(9))).indices) == 3

    asyncio.run(scenario())
    assert hits(node, node.id, T[1]) == []


def test_small_submissions_are_appended_in_one_order_by_several_transactions(federation: Federation) -> None:
    node = federation.open_node(1, publishing=replace(PUBLISHING, most_submissions=2, cover_entries=1))
    asyncio.run(node.publishing.tick())

    async def scenario() -> list[tuple[int, bool]]:
        for number, tag in enumerate((T[5], T[2], T[4], T[2], T[1])):
            await node.publishing.submit(key(number), [federation.entry(tag)])
        first = await node.publishing.tick()
        # What comes while a tick is under way waits for the next order; a retraction of it, too.
        await node.publishing.submit(key(7), [federation.entry(T[1])])
        await node.publishing.retract(key(9), [T[2]])
        rest = [await node.publishing.tick() for _ in range(3)]
        return [(answer.appended, answer.full) for answer in (first, *rest)]

    done = asyncio.run(scenario())
    assert sum(appended for appended, _ in done) == 5 + 1 + 1 + 1 + 2
    assert [full for _, full in done] == [True, True, False, False]
    indices = {}
    for number in (0, 1, 2, 3, 4, 7):
        (indices[number],) = asyncio.run(node.publishing.submission(key(number))).indices
    assert indices[4] < indices[1] < indices[3] < indices[2] < indices[0] < indices[7]
    assert hits(node, node.id, T[2]) == []


def test_a_large_submission_is_never_cut(federation: Federation) -> None:
    node = federation.open_node(1, publishing=replace(PUBLISHING, most_submissions=1))
    asyncio.run(node.publishing.tick())

    async def scenario() -> list[tuple[int, bool]]:
        for number in range(3):
            await node.publishing.submit(key(number), [federation.entry(tag) for tag in T[:6]])
        return [((ticked := await node.publishing.tick()).appended, ticked.full)]

    assert asyncio.run(scenario()) == [(18, False)]


def test_sequencing_is_a_pure_function_of_what_is_due() -> None:
    random = seeded("sequencing")

    def entry(tag: bytes) -> Entry:
        return Entry(sealed_header(1, 1, 1, 9), parse_body(tag + random(552)))

    first, second = entry(T[4]), entry(T[4])
    pending = [
        Pending(1, key(1), 0, first),
        Pending(2, key(2), 0, Entry(charter_header(bytes(31) + b"\1"))),
        Pending(3, key(3), 0, second),
    ]
    cover = [entry(T[0])]
    retractions = [PendingRetraction(2, key(4), (T[4],)), PendingRetraction(9, key(5), (T[4], T[7]))]
    laid = sequence(10, pending, cover, retractions, {T[7]: (3, 5)})
    assert [stored.entry for stored in laid.stored[:3]] == [cover[0], first, second]
    assert [stored.entry.header.retracts for stored in laid.stored[3:7]] == [3, 5, 11, 12]
    assert laid.stored[7].entry.header.kind is Kind.CHARTER
    assert laid.erase == [3, 5, 11, 12]
    assert laid.assigned == {
        (key(1), 0): 11,
        (key(3), 0): 12,
        (key(4), 0): 15,
        (key(5), 0): 13,
        (key(5), 1): 14,
        (key(5), 2): 16,
        (key(2), 0): 17,
    }


def test_expired_bodies_go_everywhere_and_proofs_stay(federation: Federation) -> None:
    node, follower = federation[1], federation[2]

    async def scenario() -> None:
        await node.publishing.submit(key(1), [federation.entry(T[1], days=7), federation.entry(T[2])])
        await federation.tick_all()
        await federation.follow_all()
        assert len(await follower.looking_up.look_up([(node.id, T[1])])) == 1
        week = weeks_after(federation.clock.now(), 7 * DAY)
        federation.clock.turn_to(week * WEEK_S)
        await federation.tick_all()
        await federation.erase_all()

    asyncio.run(scenario())
    for holder in (node, follower):
        assert hits(holder, node.id, T[1]) == []
        assert len(hits(holder, node.id, T[2])) == 1
        stored = holder.gateway.read_now(lambda snapshot: snapshot.entries_at(node.id, [0]))[0]
        assert stored.entry.body is None
        proven = asyncio.run(holder.looking_up.proven_entries([(node.id, 0)]))
        assert proven.entries[0].stored.leaf_hash() == stored.leaf_hash()


def test_expired_entries_are_not_found_between_the_turn_and_the_tick(federation: Federation) -> None:
    node = federation[1]

    async def scenario() -> None:
        await node.publishing.submit(key(1), [federation.entry(T[1], days=7)])
        await federation.tick_all()
        federation.clock.turn_to(weeks_after(federation.clock.now(), 7 * DAY) * WEEK_S)
        assert await node.looking_up.look_up([(node.id, T[1])]) == []

    asyncio.run(scenario())


def test_a_quiet_log_renews_its_cosignature_now_and_then(federation: Federation) -> None:
    node = federation[1]

    async def scenario() -> list[int]:
        times = []
        for _ in range(21):
            await federation.tick_all()
            times.append(tip_of(node).time)
        return times

    times = asyncio.run(scenario())
    assert len(set(times)) == 3
    assert tip_of(node).size == 1


def test_the_clock_may_not_fall_back(federation: Federation) -> None:
    node = federation[1]
    asyncio.run(federation.tick_all())
    before = tip_of(node)
    federation.clock.wall -= 500
    asyncio.run(node.publishing.submit(key(1), [federation.entry(T[1])]))
    asyncio.run(node.publishing.tick())
    assert tip_of(node).time == before.time
    restarted = federation.open_node(1, node.store, clock=FakeClock(federation.clock.now() - 200))
    # The others are 500 s behind as well, so they do not contradict; its own store knows better.
    with pytest.raises(ClockBehind, match="correct it to resume"):
        asyncio.run(restarted.publishing.tick())
    assert tip_of(node).size == before.size + 1


def test_an_old_database_is_compared_with_peers_and_signs_nothing(federation: Federation) -> None:
    node = federation[1]
    asyncio.run(federation.tick_all())
    assert isinstance(node.store, MemoryStore)
    old = deepcopy(node.store._state)
    asyncio.run(node.publishing.submit(key(1), [federation.entry(T[1])]))
    asyncio.run(federation.tick_all())
    asyncio.run(federation.follow_all())

    restored = MemoryStore(NAME, node.id)
    restored._state = old
    again = federation.open_node(1, restored)
    with pytest.raises(OldHistory, match="old copy"):
        asyncio.run(again.publishing.tick())
    federation.clock.advance(600)
    with pytest.raises(OldHistory):
        asyncio.run(again.publishing.tick())
    assert tip_of(again).size == 1
    assert "old copy" in (again.publishing.problem or "")
    audit = again.gateway.read_now(lambda snapshot: snapshot.audit(9))
    assert [kind for _, kind, _, _ in audit].count("old-history") == 1


def test_an_old_database_that_went_on_is_caught_when_a_peer_comes_back(federation: Federation) -> None:
    node = federation[1]
    asyncio.run(federation.tick_all())
    assert isinstance(node.store, MemoryStore)
    restored = MemoryStore(NAME, node.id)
    restored._state = deepcopy(node.store._state)
    asyncio.run(node.publishing.submit(key(1), [federation.entry(T[1])]))
    asyncio.run(federation.tick_all())
    # Only member 2 has seen the newest checkpoint, and it cannot be asked when the old copy starts.
    asyncio.run(federation[2].following.round(node.id))
    again = federation.open_node(1, restored)
    again.wire.down = {member_id(2)}
    asyncio.run(again.publishing.submit(key(2), [federation.entry(T[2])]))
    asyncio.run(again.publishing.tick())
    again.wire.down = set()
    asyncio.run(again.following.round(member_id(2)))
    with pytest.raises(OldHistory, match="another history"):
        asyncio.run(again.publishing.tick())


def test_nothing_is_signed_before_any_peer_answered(federation: Federation) -> None:
    node = federation[1]
    node.wire.down = {member_id(2), member_id(3)}
    with pytest.raises(NotReady, match="as soon as one answers"):
        asyncio.run(node.publishing.tick())
    node.wire.down = {member_id(2)}
    assert asyncio.run(node.publishing.tick()).size == 1


def test_cover_entries_look_like_others(federation: Federation) -> None:
    node = federation.open_node(1, publishing=replace(PUBLISHING, cover_entries=3))
    asyncio.run(node.publishing.tick())
    log = log_of(node)
    sealed = [stored for stored in log if stored.entry.header.kind is Kind.SEALED]
    assert len(sealed) == 3
    headers = {stored.entry.header for stored in sealed}
    assert headers == {federation.entry(T[1]).header}


def test_malformed_submissions_store_nothing(federation: Federation) -> None:
    node, good = federation[1], federation.entry(T[1])
    now, body = federation.clock.now(), good.body

    def with_header(**changes: Any) -> Entry:
        return Entry(replace(good.header, **changes), body)

    cases: list[tuple[type[Exception], bytes, list[Entry]]] = [
        (InvalidIdempotencyKey, bytes(15), [good]),
        (TooManyEntries, key(1), []),
        (TooManyEntries, key(1), [good] * 1_001),
        (InvalidEntry, key(1), [good, Entry(charter_header(bytes(31) + b"\1"))]),
        (InvalidEntry, key(1), [good, with_header(key_class=9)]),
        (InvalidEntry, key(1), [good, with_header(epoch=9)]),
        (InvalidEntry, key(1), [good, with_header(period=99)]),
        (ExpiredEntry, key(1), [good, with_header(not_after=now // WEEK_S)]),
        (ExpiredEntry, key(1), [good, with_header(not_after=good.header.not_after + 1)]),
    ]
    for error, idempotency_key, entries in cases:
        with pytest.raises(error) as caught:
            asyncio.run(node.publishing.submit(idempotency_key, entries))
        if len(entries) == 2:
            assert caught.value.field == "entries[1]"  # type: ignore[attr-defined] # every ServiceError has it
    for tags in ([], [T[1]] * 1_001, [bytes(15)]):
        with pytest.raises(TooManyEntries):
            asyncio.run(node.publishing.retract(key(1), tags))
    assert node.gateway.read_now(lambda snapshot: snapshot.waiting()) == 1  # its charter


def test_a_full_disk_and_an_expired_charter_are_told_apart(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = federation[1]

    def refuse() -> None:
        raise StoreFull("disk")

    monkeypatch.setattr(node.store, "write", refuse)
    with pytest.raises(DiskFull):
        asyncio.run(node.publishing.submit(key(1), [federation.entry(T[1])]))
    monkeypatch.undo()
    entry = federation.entry(T[1])
    federation.clock.turn_to(federation.charter.expires)
    with pytest.raises(CharterExpired):
        asyncio.run(node.publishing.submit(key(1), [entry]))
    with pytest.raises(CharterExpired):
        asyncio.run(node.publishing.tick())
