"""Rooms: members that hold a campaign's key say what they see, and to nobody else."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.client.fake_node import FakeFederation
from tests.drafts import report_draft
from tests.federation import running
from tocsin.client import Client, RoomDraft, system
from tocsin.client.errors import BadArgument, NotInRoom, RoomDraftRefused
from tocsin.client.rooms import new_campaign_key
from tocsin.sealing.label import ContentKind, Report, bucket
from tocsin.sealing.rooms import PROFILE_BYTES, CampaignKey, RoomStatus
from tocsin.tlog.entry import Kind

WALLET = ("payment.wallet", "eth:0x52908400098527886E0F7030069857D2E4169EE7")
MAIL = ("contact.email", "mallory@example.com")
DAY = 86_400


def draft(accounts: int = 40, **fields: Any) -> RoomDraft:
    now = system.now()
    seen = {"confidence": 80, "first_seen": now - 20 * DAY, "last_seen": now}
    return RoomDraft("distillation", accounts, **{**seen, **fields})


def day(ahead: int) -> date:
    """The day so many days ahead."""
    return date(1970, 1, 1) + timedelta(days=system.now() // DAY + ahead)


def live(world: FakeFederation, number: int) -> int:
    log = world.logs[world.homes[number].id]
    return sum(entry is not None and entry.header.kind is Kind.SEALED for entry in log.entries)


def test_three_members_through_real_nodes(tmp_path: Path) -> None:
    key = new_campaign_key()
    ahead = day(7)
    with (
        running(tmp_path, 3) as federation,
        federation.client(0) as aster,
        federation.client(1) as borealis,
        federation.client(2) as cinder,
    ):
        sighting, whole = (
            draft(40, active=range(168), joining={"payment.wallet": 3}),
            draft(90, embargo=ahead),
        )
        assert aster.update_room(key, sighting=sighting, campaign=whole).accepted == 2
        # Before the tick the entry waits; what is said next still keeps its links.
        other = new_campaign_key()
        assert aster.update_room(other, sighting=draft(2)).accepted == 1
        assert aster.link_rooms(key, other).accepted == 2
        assert aster.submit([report_draft(WALLET, campaign_key=key), report_draft(MAIL)]).accepted == 2
        federation.await_followed()

        assert borealis.rooms() == ()
        [match] = borealis.query([WALLET]).matches
        assert borealis.rooms() == (key,)
        assert isinstance(match.label, Report)
        assert match.label.campaign_key == key
        room = borealis.room(key)
        assert [(entry.writer_name, entry.content.kind.name) for entry in room.entries] == [
            ("Aster", "CAMPAIGN"),
            ("Aster", "SIGHTING"),
        ]
        assert room.embargo == (ahead - date(1970, 1, 1)).days
        assert (room.linked, room.mine, room.problems) == ((other,), (), ())
        own = room.entries[1].content
        assert (own.accounts_bucket, own.joining, own.status) == (
            bucket(40),
            (("payment.wallet", 2),),
            RoomStatus.OPEN,
        )
        assert any(own.profile)
        assert all(entry.checkpoint_time for entry in room.entries)

        # A third member that holds no value of the campaign has nothing to open.
        [other_match] = cinder.query([MAIL]).matches
        assert isinstance(other_match.label, Report)
        assert other_match.label.campaign_key is None
        assert cinder.rooms() == ()
        assert cinder.room(new_campaign_key()).entries == ()

        assert borealis.update_room(key, sighting=draft(3, status="acted-on")).accepted == 1
        federation.await_followed()
        room = aster.room(key)
        assert [entry.writer_name for entry in room.entries] == ["Aster", "Aster", "Borealis"]
        assert [entry.writer_name for entry in room.mine] == ["Aster", "Aster"]
        joined = room.entries[2]
        assert (joined.content.status, joined.content.profile) == (
            RoomStatus.ACTED_ON,
            bytes(PROFILE_BYTES),
        )
        assert bytes(key).hex() not in str(room.to_dict()) + repr(room)

        assert borealis.leave_room(key).accepted == 1
        # A retraction waits for a tick too, but is not counted as waiting.
        until = system.monotonic() + 20
        while len(aster.room(key).entries) > 2:
            assert system.monotonic() < until
            system.pause(0.2)
        assert [entry.writer_name for entry in aster.room(key).entries] == ["Aster", "Aster"]


@pytest.fixture
def pair(world: FakeFederation) -> tuple[FakeFederation, CampaignKey]:
    """A room in which member 0 has a sighting."""
    key = new_campaign_key()
    node = world.node(0)
    with world.client(0, node) as client:
        client.update_room(key, sighting=draft())
    node.tick()
    return world, key


def test_the_newest_entry_of_a_writer_counts(pair: tuple[FakeFederation, CampaignKey]) -> None:
    world, key = pair
    node = world.node(0)
    with world.client(0, node) as client:
        client.update_room(key, sighting=draft(500, status="closed"))
        node.tick()
        [entry] = client.room(key).entries
        assert (entry.content.accounts_bucket, entry.content.status) == (bucket(500), RoomStatus.CLOSED)


def test_a_match_alone_writes_nothing(pair: tuple[FakeFederation, CampaignKey]) -> None:
    world, key = pair
    naming = world.node(0)
    with world.client(0, naming) as client:
        client.submit([report_draft(WALLET, campaign_key=key)])
    naming.tick()
    node = world.node(1)
    with world.client(1, node) as client:
        assert client.query([WALLET]).matches
        assert client.room(key).entries
        assert client.renew().accepted == 0
        assert client.rooms() == (key,)
    assert node.requests == []


def test_what_is_said_in_a_room_is_renewed_at_the_turn(
    pair: tuple[FakeFederation, CampaignKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, key = pair
    start = system.now()
    node = world.node(0)
    with world.client(0, node) as client:
        assert client.renew().accepted == 0
        monkeypatch.setattr(system, "now", lambda: start + 30 * DAY)
        assert client.renew().accepted == 1
        assert client.renew().accepted == 0
        node.tick()
        [entry] = client.room(key).entries
        assert entry.content.accounts_bucket == bucket(40)
        # What was written lives 49 days, what was renewed 30 more.
        monkeypatch.setattr(system, "now", lambda: start + 59 * DAY)
        assert len(client.room(key).entries) == 1
        # What another client of this member took back is not renewed.
        monkeypatch.setattr(system, "now", lambda: start + 31 * DAY)
        assert client.leave_room(key).accepted == 2
        node.tick()
        monkeypatch.setattr(system, "now", lambda: start + 60 * DAY)
        assert client.renew().accepted == 0
        assert client.room(key).entries == ()


def test_leaving_takes_back_every_period(
    pair: tuple[FakeFederation, CampaignKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, key = pair
    start = system.now()
    node = world.node(0)
    with world.client(0, node) as client:
        monkeypatch.setattr(system, "now", lambda: start + 30 * DAY)
        client.update_room(key, sighting=draft(), campaign=draft())
        node.tick()
        assert client.leave_room(key).accepted == 3
        node.tick()
        assert live(world, 0) == 0
        assert client.leave_room(key).accepted == 0


def test_a_link_stands_where_one_member_says_it_in_both(pair: tuple[FakeFederation, CampaignKey]) -> None:
    world, key = pair
    other, node = new_campaign_key(), world.node(1)
    with world.client(1, node) as client:
        client.update_room(key, campaign=draft())
        with pytest.raises(NotInRoom):
            client.link_rooms(key, other)
        client.update_room(other, sighting=draft())
        node.tick()
        client.link_rooms(key, other)
        node.tick()
        assert client.room(key).linked == (other,)
        assert client.room(other).linked == (key,)
        # An update keeps the link; leaving one of the rooms ends it.
        client.update_room(key, campaign=draft(7))
        node.tick()
        assert client.room(key).linked == (other,)
        client.leave_room(other)
        node.tick()
        assert client.room(key).linked == ()
        assert client.room(key).entries[-1].content.linked == (other,)
        with pytest.raises(RoomDraftRefused, match="two rooms"):
            client.link_rooms(key, key)


def test_at_most_four_campaigns_are_linked(pair: tuple[FakeFederation, CampaignKey]) -> None:
    world, key = pair
    node = world.node(0)
    with world.client(0, node) as client:
        for number in range(5):
            other = new_campaign_key()
            client.update_room(other, sighting=draft())
            node.tick()
            if number == 4:
                with pytest.raises(RoomDraftRefused, match="already names 4"):
                    client.link_rooms(key, other)
            else:
                client.link_rooms(key, other)
            node.tick()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"accounts": 0}, "accounts"),
        ({"accounts": -1}, "accounts"),
        ({"exchanges": -1}, "accounts"),
        ({"embargo": day(32)}, "embargo_day"),
        ({"joining": {"no.such": 1}}, "joining"),
        ({"joining": {"contact.email": 0}}, "joining"),
        ({"last_seen": day(-40)}, "last_seen"),
        ({"last_seen": day(3)}, "last_seen"),
        ({"status": "busy"}, "status"),
        ({"confidence": 101}, "confidence"),
        ({"first_seen": datetime(2026, 1, 1)}, "first_seen"),  # noqa: DTZ001 - refused for that
        ({"active": [1] * 24}, "profile"),
    ],
)
def test_what_may_not_be_said(world: FakeFederation, fields: dict[str, Any], field: str) -> None:
    node = world.node(0)
    with world.client(0, node) as client, pytest.raises((RoomDraftRefused, BadArgument)) as caught:
        client.update_room(new_campaign_key(), sighting=draft(**{"accounts": 40, **fields}))
    assert caught.value.field == field
    assert node.requests == []


def test_a_sighting_needs_a_confirmed_account_and_a_room_something_to_say(world: FakeFederation) -> None:
    with world.client(0) as client:
        with pytest.raises(RoomDraftRefused, match="at least one account that a person of yours confirmed"):
            client.update_room(new_campaign_key(), sighting=draft(0))
        with pytest.raises(BadArgument):
            client.update_room(new_campaign_key())


def test_who_said_something_wrong_is_named_and_the_rest_is_read(
    pair: tuple[FakeFederation, CampaignKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, key = pair
    start = system.now()
    node = world.node(1)
    with world.client(1, node) as client:
        # Written by a clock that is five days ahead of the reader's, with the longest embargo it may have.
        monkeypatch.setattr(system, "now", lambda: start + 10 * DAY)
        client.update_room(key, sighting=draft(embargo=day(30)))
    node.tick()
    monkeypatch.setattr(system, "now", lambda: start + 5 * DAY)
    with world.client(0) as client:
        room = client.room(key)
        assert [entry.writer_name for entry in room.entries] == [world.homes[0].name]
        [problem] = room.problems
        assert (problem.writer, "embargo_day" in problem.what) == (world.homes[1].id, True)


def test_another_process_of_the_member_goes_on(pair: tuple[FakeFederation, CampaignKey]) -> None:
    world, key = pair
    with world.client(0) as client:
        assert client.rooms() == (key,)
        written = client._session.vault.rooms.written()
        assert [(entry.key, entry.kind) for entry in written] == [(key, ContentKind.SIGHTING)]
    raw = (world.homes[0].client / "vault.db").read_bytes()
    assert bytes(key) not in raw
    assert isinstance(client, Client)
