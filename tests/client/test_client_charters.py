"""Charters and peppers at the client: pinned, step by step, never back."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.client.fake_node import FakeFederation, FakeNode
from tests.drafts import report_draft
from tocsin.charter.document import Charter, Period, parse_charter
from tocsin.charter.envelope import SignedCharter, charter_hash, parse_envelope, sign_document
from tocsin.cli.exit_codes import exit_code
from tocsin.client import system
from tocsin.client.errors import (
    BadConfig,
    CharterRefused,
    NodeMisbehaved,
    Unavailable,
    UntrustedCharter,
    WrongPepper,
)
from tocsin.founding.members import open_part
from tocsin.proofs.two_charters import parse_two_charters, verify_two_charters
from tocsin.sealing import hpke
from tocsin.sealing.label import AbuseKind
from tocsin.sealing.pepper import PERIOD_SECONDS, Pepper, pepper_commitment

MAIL = ("contact.email", "mallory@example.com")


def signed(world: FakeFederation, charter: Charter) -> bytes:
    document = charter.encode()
    return SignedCharter(
        document,
        tuple(
            sorted(
                (home.id, sign_document(document, open_part(home.folder, "identity")["identity"]))
                for home in world.homes
            )
        ),
    ).encode()


def next_version(charter: Charter, **changed: Any) -> Charter:
    return replace(charter, version=charter.version + 1, **changed)


def add(world: FakeFederation, **changed: Any) -> Charter:
    """The next version, known to every node."""
    world.charter = next_version(world.charter, **changed)
    world.envelopes.append(signed(world, world.charter))
    return world.charter


def test_a_newer_charter_is_verified_kept_and_written(world: FakeFederation) -> None:
    with world.client(0) as client:
        add(world)
        add(world, tick_seconds=2)
        assert client.charter.version == 3
        assert len(client.charter_chain()) == 3
    assert (world.homes[0].client / "charter.json").read_bytes() == world.envelopes[2]
    with world.client(0) as client:
        assert client.charter.tick_seconds == 2
        assert client.query([MAIL]).evaluated == 1


def test_a_fresh_vault_follows_the_whole_chain_from_the_pin(world: FakeFederation) -> None:
    add(world)
    add(world)
    (world.homes[0].client / "charter.json").write_bytes(world.envelopes[2])
    with world.client(0) as client:
        assert client.charter.version == 3
        assert client.query([MAIL]).evaluated == 1


def test_a_rolled_back_file_is_refused(world: FakeFederation) -> None:
    add(world)
    with world.client(0) as client:
        assert client.charter.version == 2
    (world.homes[0].client / "charter.json").write_bytes(world.envelopes[0])
    with pytest.raises(CharterRefused, match="never goes back"):
        world.client(0)


def test_a_node_that_is_behind_is_not_followed_back(world: FakeFederation) -> None:
    add(world)
    with world.client(0) as client:
        assert client.charter.version == 2
    del world.envelopes[1:]
    with world.client(0) as client, pytest.raises(Unavailable, match="does not hold charter version 2 yet"):
        client.query([MAIL])


def test_two_charters_of_one_version_are_refused(world: FakeFederation) -> None:
    add(world)
    with world.client(0) as client:
        assert client.charter.version == 2
    world.charter = next_version(replace(world.charter, version=1), tick_seconds=7)
    world.envelopes[1] = signed(world, world.charter)
    with world.client(0) as client, pytest.raises(CharterRefused, match="two charters of one version"):
        client.query([MAIL])
    (world.homes[0].client / "charter.json").write_bytes(world.envelopes[1])
    with pytest.raises(CharterRefused, match="two charters of one version"):
        world.client(0)


@pytest.mark.parametrize("expired", [False, True])
def test_a_second_document_of_a_version_is_refused_and_kept_as_proof(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch, expired: bool
) -> None:
    """An expired client resumes from what it verified, and is not led onto a fork from its pin."""
    second = add(world)
    with world.client(0) as client:
        assert client.charter.version == 2
    later = second.expires + 5
    fork = replace(second, tick_seconds=7)
    world.envelopes[1] = signed(world, fork)
    world.charter = fork
    add(world, expires=later + 1_000_000)
    if expired:
        monkeypatch.setattr("tocsin.client.system.now", lambda: later)
    with world.client(0) as client, pytest.raises(UntrustedCharter, match="tocsin evidence verify"):
        client.query([MAIL])
    kept = parse_two_charters((world.homes[0].client / "charter-2.two-charters").read_bytes())
    assert (kept.first.document, kept.second.document) == (second.encode(), fork.encode())
    _, culprits = verify_two_charters(kept, [parse_charter(parse_envelope(world.envelopes[0]).document)])
    assert set(culprits) == {home.id for home in world.homes}
    # Nothing of the fork was adopted: the true successor still is.
    world.envelopes[1:] = [signed(world, second)]
    world.charter = second
    add(world, expires=later + 1_000_000)
    with world.client(0) as client:
        client.query([MAIL])
        assert (client.charter.version, client.charter.tick_seconds) == (3, second.tick_seconds)


def test_an_expired_client_restarted_resumes_from_its_newest_charter(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = add(world)
    with world.client(0) as client:
        assert client.charter.version == 2
    later = second.expires + 5
    add(world, expires=later + 1_000_000)
    asked: list[int] = []

    class Asked(FakeNode):
        def charters(self, first_version: int) -> list[bytes]:
            asked.append(first_version)
            return super().charters(first_version)

    monkeypatch.setattr("tocsin.client.system.now", lambda: later)
    with world.client(0, Asked(world, world.homes[0].id)) as client:
        client.query([MAIL])
        assert client.charter.version == 3
    assert asked[0] == 2


def test_any_version_may_be_pinned(world: FakeFederation) -> None:
    second = add(world)
    add(world)
    settings = world.homes[0].client / "client.toml"
    pinned = charter_hash(parse_envelope(world.envelopes[0]).document).hex()
    text = settings.read_text()
    assert pinned in text
    settings.write_text(text.replace(pinned, charter_hash(second.encode()).hex()))
    (world.homes[0].client / "charter.json").write_bytes(world.envelopes[2])
    with world.client(0) as client:
        assert client.query([MAIL]).evaluated == 1
        assert client.charter_chain() == world.envelopes[1:]


def test_a_charter_signed_by_too_few_is_refused(world: FakeFederation) -> None:
    charter = next_version(world.charter)
    document = charter.encode()
    identity = open_part(world.homes[0].folder, "identity")["identity"]
    world.envelopes.append(
        SignedCharter(document, ((world.homes[0].id, sign_document(document, identity)),)).encode()
    )
    with world.client(0) as client, pytest.raises(CharterRefused, match="needs 2 of its 3"):
        client.query([MAIL])


def test_garbage_from_the_node_is_the_nodes_fault(world: FakeFederation) -> None:
    world.envelopes.append(b"{}")
    with world.client(0) as client, pytest.raises(NodeMisbehaved):
        client.query([MAIL])


def test_another_founding_charter_is_refused(world: FakeFederation, tmp_path: Path) -> None:
    other = FakeFederation(tmp_path / "other", 1)
    shutil.copy(other.homes[0].client / "charter.json", world.homes[0].client / "charter.json")
    with pytest.raises(CharterRefused, match="charter_pin"):
        world.client(0)


def test_an_expired_charter_is_refused_until_it_is_succeeded(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = world.charter.expires + 5
    with world.client(0) as client:
        client.query([MAIL])
        monkeypatch.setattr("tocsin.client.system.now", lambda: later)
        with pytest.raises(CharterRefused, match="expired"):
            client.query([MAIL])
    with world.client(0) as client:
        with pytest.raises(CharterRefused, match="expired"):
            client.query([MAIL])
        add(world, expires=later + 1_000_000)
        assert client.query([MAIL]).evaluated == 0


def test_a_wrong_pepper_is_refused(world: FakeFederation) -> None:
    """Version 2 brings a pepper that is not the one it commits to, as after a removal gone wrong."""
    member = world.charter.members[0]
    changed = replace(member, client_hpke=hpke.public_key(hpke.generate(system.random_bytes)))
    members = tuple(sorted((changed, *world.charter.members[1:]), key=lambda member: member.id))
    number = world.charter.last_period + 1
    committed, other = Pepper(system.random_bytes(32)), Pepper(system.random_bytes(32))
    sealed = {
        member.id: hpke.seal_to(
            member.client_hpke, hpke.pepper_info(world.charter.federation, number, member.id), other
        )
        for member in members
    }
    started = system.now()
    period = Period(number, started, pepper_commitment(committed), sealed)
    world.charter = replace(world.charter, version=2, issued=started, members=members, period=period)
    world.envelopes.append(signed(world, world.charter))
    reader = next(at for at, home in enumerate(world.homes) if home.id != changed.id)
    with world.client(reader) as client, pytest.raises(WrongPepper, match="pepper of charter version 2"):
        client.query([MAIL])


def test_a_fresh_pepper_opens_new_entries_and_the_old_one_those_before(world: FakeFederation) -> None:
    writer = world.node(1)
    with world.client(1, writer) as client:
        client.submit([report_draft(MAIL, AbuseKind.RESALE)])
    writer.tick()
    with world.client(0) as client:
        assert len(client.query([MAIL]).matches) == 1
    # The third member's client key changes, so the pepper does.
    changed = replace(
        world.charter.member(world.homes[2].id),
        client_hpke=hpke.public_key(hpke.generate(system.random_bytes)),
    )
    members = tuple(changed if member.id == changed.id else member for member in world.charter.members)
    number, pepper = world.charter.last_period + 1, Pepper(system.random_bytes(32))
    sealed = {
        member.id: hpke.seal_to(
            member.client_hpke, hpke.pepper_info(world.charter.federation, number, member.id), pepper
        )
        for member in members
    }
    started = system.now()
    period = Period(number, started, pepper_commitment(pepper), sealed)
    world.charter = replace(world.charter, version=2, issued=started, members=members, period=period)
    world.envelopes.append(signed(world, world.charter))
    with world.client(0) as client:
        assert len(client.query([MAIL]).matches) == 1
        assert client._session.charter(system.now()).periods(0, system.now()) == (number, 1)
    with world.client(1, writer) as client:
        assert client.renew().accepted == 1
    writer.tick()
    with world.client(0) as client:
        assert sorted(match.index for match in client.query([MAIL]).matches) == [0, 1]


def test_live_periods_are_those_of_sixty_days_and_since(world: FakeFederation) -> None:
    with world.client(0) as client:
        standing = client._session.charter(system.now())
    start = world.charter.period.start
    at = start + 3 * PERIOD_SECONDS + 5
    assert standing.periods(0, start + 1) == (1,)
    assert standing.periods(0, at) == (4, 3, 2)
    assert standing.periods(at - 10, at) == (4, 3)
    assert standing.periods(at - 3, at) == (4,)
    assert standing.newest_period == world.charter.last_period


def test_a_missing_charter_says_what_to_do(world: FakeFederation) -> None:
    (world.homes[0].client / "charter.json").unlink()
    with pytest.raises(BadConfig, match="tocsin charter install"):
        world.client(0)


def test_short_pages_do_not_end_the_chain(tmp_path: Path) -> None:
    world = FakeFederation(tmp_path)

    class Paged(FakeNode):
        def charters(self, first_version: int) -> list[bytes]:
            return super().charters(first_version)[:2]

    for seconds in range(2, 8):
        add(world, tick_seconds=seconds)
    with world.client(0, Paged(world, world.homes[0].id)) as client:
        assert client.charter.version == 7


def test_nothing_is_evaluated_under_a_charter_of_other_tables(world: FakeFederation) -> None:
    add(world, snapshots=("psl-2099-01-01",))
    node = world.node(0)
    with world.client(0, node) as client, pytest.raises(CharterRefused, match="psl-2099-01-01"):
        client.query([MAIL])
    assert node.evaluated == 0


def test_a_charter_that_honest_members_cannot_have_made_is_a_security_failure(world: FakeFederation) -> None:
    add(world)
    with world.client(0) as client:
        assert client.charter.version == 2
    file = world.homes[0].client / "charter.json"
    newest = file.read_bytes()
    file.write_bytes(world.envelopes[0])
    with pytest.raises(UntrustedCharter, match="never goes back") as back:
        world.client(0)
    file.write_bytes(newest)
    forged: Charter = next_version(world.charter)
    world.envelopes.append(signed(world, forged).replace(b'"signature":"', b'"signature":"AAAA', 1))
    with world.client(0) as client, pytest.raises((UntrustedCharter, NodeMisbehaved)):
        client.query([MAIL])
    assert exit_code(back.value) == 5
    assert exit_code(CharterRefused("expired")) == 2
