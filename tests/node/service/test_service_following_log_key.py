"""A charter that gives a member another log key: its log goes on under it, and nobody loses it."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.fakes import federation as fakes
from tests.fakes.deterministic import seeded
from tests.fakes.federation import Federation, Node, founded, keys_of, member_id, record_of, successor
from tocsin.node.service.log_keys import open_note
from tocsin.primitives.ed25519 import SigningKey

T = [bytes([number]) * 16 for number in range(5)]


@pytest.fixture
def federation() -> Iterator[Federation]:
    with founded() as started:
        yield started


def publish(federation: Federation, node: Node, number: int, *tags: bytes) -> None:
    federation.clock.advance(60)
    if tags:
        asyncio.run(
            node.publishing.submit(number.to_bytes(16, "big"), [federation.entry(tag) for tag in tags])
        )
    asyncio.run(node.publishing.tick())


def rekey(federation: Federation, monkeypatch: pytest.MonkeyPatch, signers: tuple[int, ...]) -> Node:
    """Give member 1 another log key by charter, and start its node with it."""
    keys = replace(keys_of(1), log=SigningKey(seeded("another log key")(32)))
    members = (replace(record_of(1), log=keys.log.public_key), record_of(2), record_of(3))
    second = successor(federation, signers, members=members).encode()
    for node in federation.nodes.values():
        asyncio.run(node.membership.adopt(second))
    monkeypatch.setattr(fakes, "keys_of", lambda number: keys if number == 1 else keys_of(number))
    federation.nodes[member_id(1)] = federation.open_node(1, federation[1].store)
    return federation[1]


def follow(node: Node, number: int) -> str:
    asyncio.run(node.following.round(member_id(number)))
    return node.following.peer(member_id(number)).problem


def check_tip(node: Node, size: int) -> None:
    tip = node.gateway.read_now(lambda snapshot: snapshot.tip(member_id(1)))
    assert tip.size == size
    open_note(node.membership.charter, member_id(1), tip.checkpoint)


def test_a_log_that_goes_on_under_another_key_is_followed(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(federation, federation[1], 1, T[1], T[2])
    assert follow(federation[2], 1) == follow(federation[3], 1) == ""
    origin = rekey(federation, monkeypatch, (2, 3))  # its own signature would add a CHARTER entry
    publish(federation, origin, 2, T[3])
    assert follow(federation[2], 1) == ""
    # Member 3 has not seen the step yet, which is no fault of member 2 that shows it.
    assert follow(federation[3], 2) == ""
    assert follow(federation[3], 1) == ""
    check_tip(federation[2], 4)
    check_tip(federation[3], 4)


def test_a_quiet_log_is_signed_again_and_kept_so(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(federation, federation[1], 1, T[1], T[2])
    assert follow(federation[2], 1) == ""
    origin = rekey(federation, monkeypatch, (2, 3))
    publish(federation, origin, 2)
    check_tip(origin, 3)
    assert follow(federation[2], 1) == ""
    check_tip(federation[2], 3)
    publish(federation, origin, 3, T[3])
    assert follow(federation[2], 1) == ""


def test_another_key_does_not_bring_another_history(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(federation, federation[1], 1, T[1], T[2])
    assert follow(federation[2], 1) == ""
    rekey(federation, monkeypatch, (2, 3))
    for count, tags in enumerate((T[3:5], T[2:5])):
        liar = federation.open_node(1)
        asyncio.run(liar.membership.adopt(asyncio.run(federation[2].membership.charters(2))[0]))
        federation.faces[member_id(2), member_id(1)] = liar
        liar.history._compared = liar.clock._confirmed = True
        publish(federation, liar, count, *tags)
        assert follow(federation[2], 1) != ""
        tip = federation[2].gateway.read_now(lambda snapshot: snapshot.tip(member_id(1)))
        assert tip.size == 3
