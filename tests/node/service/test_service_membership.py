"""Obtaining the next charter, from a file or a peer."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.fakes.federation import NAME, Federation, founded, member_id, sign_charter, successor
from tocsin.charter.document import Charter
from tocsin.charter.envelope import charter_hash
from tocsin.charter.rules import (
    Expired,
    ForeignFederation,
    NotEnoughSignatures,
    RolledBack,
    Skipped,
    TwoCharters,
    WrongPin,
    check_fresh,
)
from tocsin.node.ports import Transaction
from tocsin.node.service.errors import (
    CharterExpired,
    NotAMemberOfCharter,
    NotReady,
    StaleCharter,
    UnknownVersion,
)
from tocsin.node.service.membership import Membership
from tocsin.proofs.two_charters import TwoCharters as TwoCharterProof
from tocsin.proofs.two_charters import parse_two_charters
from tocsin.proofs.verify import verify_proof
from tocsin.tlog.entry import Kind, charter_header


@pytest.fixture
def federation() -> Iterator[Federation]:
    with founded() as started:
        yield started


def test_a_new_charter_spreads_and_is_logged_by_who_signed_it(federation: Federation) -> None:
    second = successor(federation, (1, 2), tick_seconds=30)
    seen: list[int] = []
    federation[3].membership.subscribe(lambda charter: seen.append(charter.version))

    async def scenario() -> None:
        await federation[1].membership.adopt(second.encode())
        assert await federation[1].membership.adopt(second.encode()) == federation[1].membership.charter
        for _ in range(2):
            await federation.tick_all()
            await federation.follow_all()

    asyncio.run(scenario())
    assert [node.membership.charter.version for node in federation.nodes.values()] == [2, 2, 2]
    assert seen == [2]
    logged = charter_header(charter_hash(second.document))
    for number, expected in ((1, True), (2, True), (3, False)):
        log = asyncio.run(federation[1].log_reader.entries(member_id(number), 0, 9))
        assert (logged in [stored.entry.header for stored in log]) is expected
        assert {stored.entry.header.kind for stored in log} == {Kind.CHARTER}
    assert asyncio.run(federation[3].membership.charters(2)) == [second.encode()]
    assert len(asyncio.run(federation[3].membership.charters(1))) == 2
    for version in (0, 3):
        with pytest.raises(UnknownVersion):
            asyncio.run(federation[3].membership.charters(version))


def test_a_restart_verifies_the_chain_from_the_pin(federation: Federation) -> None:
    node = federation[1]
    asyncio.run(node.membership.adopt(successor(federation, (1, 2)).encode()))

    def again(pin: bytes, file: bytes | None) -> Charter:
        return Membership(NAME, node.id, pin, node.gateway, federation.clock).load(file)

    pin = charter_hash(federation.envelope.document)
    assert again(pin, None).version == 2
    # The member's file may still hold an older version of the same chain.
    assert again(pin, federation.envelope.encode()).version == 2
    with pytest.raises(WrongPin):
        again(bytes(32), None)


def test_without_a_charter_nothing_is_ready(federation: Federation) -> None:
    fresh = federation.open_node(1)
    empty = Membership(NAME, member_id(1), None, fresh.gateway, federation.clock)
    with pytest.raises(NotReady, match="charter install"):
        _ = empty.charter
    foreign = Membership("other.test", member_id(1), None, fresh.gateway, federation.clock)
    with pytest.raises(ForeignFederation):
        foreign.load(None)


def test_charters_that_may_not_follow_are_refused(federation: Federation) -> None:
    node = federation[1]
    third = sign_charter(replace(federation.charter, version=3), (1, 2, 3))
    with pytest.raises(Skipped):
        asyncio.run(node.membership.adopt(third.encode()))
    with pytest.raises(NotEnoughSignatures):
        asyncio.run(node.membership.adopt(successor(federation, (1,)).encode()))
    assert node.membership.charter.version == 1


def test_two_documents_of_one_version_are_kept_as_evidence(federation: Federation) -> None:
    node = federation[1]
    first = successor(federation, (1, 2), tick_seconds=30)
    second = successor(federation, (2, 3), tick_seconds=20)
    asyncio.run(node.membership.adopt(first.encode()))
    with pytest.raises(TwoCharters):
        asyncio.run(node.membership.adopt(second.encode()))
    with pytest.raises(TwoCharters) as caught:
        asyncio.run(node.membership.adopt(second.encode()))
    assert caught.value.members == (member_id(2),)
    kept = [
        evidence
        for _, kind, _, evidence in node.gateway.read_now(lambda snapshot: snapshot.audit(9))
        if kind == "two-charters"
    ]
    assert len(kept) == 1
    assert parse_two_charters(kept[0]) == TwoCharterProof(first, second)
    found = verify_proof(kept[0], [federation.charter, node.membership.charter])
    assert [member.id for member in found.members] == [member_id(2)]
    assert node.membership.charter.tick_seconds == 30
    # The same comes to light by asking a peer that adopted the other one.
    asyncio.run(federation[3].membership.adopt(second.encode()))
    asyncio.run(federation[3].following.round(node.id))
    audit = federation[3].gateway.read_now(lambda snapshot: snapshot.audit(9))
    assert "two-charters" in [kind for _, kind, _, _ in audit]


def test_two_documents_of_one_version_are_kept_once_by_a_node_that_starts_with_the_second(
    federation: Federation,
) -> None:
    node = federation[1]
    first = successor(federation, (1, 2), tick_seconds=30)
    second = successor(federation, (2, 3), tick_seconds=20)
    asyncio.run(node.membership.adopt(first.encode()))
    pin = charter_hash(federation.envelope.document)

    def record_others(transaction: Transaction) -> None:
        for number in range(1_500):
            transaction.record("refused", str(number), b"", federation.clock.now())

    for _ in range(3):
        with pytest.raises(TwoCharters):
            Membership(NAME, node.id, pin, node.gateway, federation.clock).load(second.encode())
        # However much was recorded since.
        node.gateway.write_now(record_others)
    kept = node.gateway.read_now(lambda snapshot: snapshot.proofs("two-charters", 9))
    assert [parse_two_charters(proof) for proof in kept] == [TwoCharterProof(first, second)]


def test_an_older_charter_is_a_rollback_unless_it_is_in_the_chain(federation: Federation) -> None:
    node = federation[1]
    asyncio.run(node.membership.adopt(successor(federation, (1, 2)).encode()))
    assert asyncio.run(node.membership.adopt(federation.envelope.encode())).version == 2
    altered = sign_charter(replace(federation.charter, tick_seconds=5), ())
    with pytest.raises(RolledBack):
        asyncio.run(node.membership.adopt(altered.encode()))
    conflicting = sign_charter(replace(federation.charter, tick_seconds=5), (3,))
    with pytest.raises(TwoCharters):
        asyncio.run(node.membership.adopt(conflicting.encode()))


def test_an_expired_charter_can_only_be_succeeded(federation: Federation) -> None:
    node = federation[1]
    federation.clock.turn_to(federation.charter.expires)
    now = federation.clock.now()
    with pytest.raises(CharterExpired, match="version 2"):
        node.membership.check_fresh(now)
    with pytest.raises(Expired):
        check_fresh(federation.charter, now)
    later = successor(federation, (1, 2), issued=now, expires=now + 1_000)
    asyncio.run(node.membership.adopt(later.encode()))
    assert node.membership.check_fresh(now).version == 2


def test_a_removed_member_is_no_caller_and_a_new_committee_makes_requests_stale(
    federation: Federation,
) -> None:
    node = federation[1]
    assert node.membership.caller(member_id(3)).name == "Provider 3"
    with pytest.raises(NotAMemberOfCharter):
        node.membership.caller(member_id(9))
    key = federation.charter.classes[0]
    shifted = replace(key, committee=(key.committee[1], key.committee[0], key.committee[2]))
    asyncio.run(node.membership.adopt(successor(federation, (1, 2), classes=(shifted,)).encode()))
    with pytest.raises(StaleCharter, match="fetch the newer one"):
        asyncio.run(node.relaying.evaluate(1, 1, key.committee_hash, [*key.commitments]))
