"""What a client drops when a charter ends it: outputs of ended key epochs, their bands, peppers nothing live needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.client.fake_node import FakeFederation
from tests.client.templates import BANDS, template
from tests.client.test_client_charters import add
from tests.client.test_client_flow import IBAN, MAIL
from tests.client.test_client_vault import TYPE, opened, outputs
from tests.drafts import report_draft
from tocsin.charter.document import Charter, ClassKey, Period
from tocsin.client import Client, system
from tocsin.indicators.ptf2.bands import TEMPLATE_BAND as BAND
from tocsin.indicators.registry import TYPES, KeyClass
from tocsin.oprf import group
from tocsin.oprf.rfc9497 import Output
from tocsin.oprf.shares import split
from tocsin.sealing import hpke
from tocsin.sealing.label import AbuseKind
from tocsin.sealing.pepper import PERIOD_SECONDS, Pepper, pepper_commitment

_DAY = 86_400
_CONTACT = int(TYPES["contact.email"].key_class)


def next_epoch(
    world: FakeFederation, overlap_until: int | None, key_class: int = _CONTACT
) -> tuple[ClassKey, ...]:
    """The charter's classes with another epoch of one class, and the one before as long as it overlaps."""
    found: list[ClassKey] = []
    for key in world.charter.classes:
        if key.key_class != key_class:
            found.append(key)
            continue
        if overlap_until is not None:
            found.append(replace(key, overlap_until=overlap_until))
        secret = group.random_scalar(system.random_bytes)
        dealt = split(secret, len(key.committee), key.threshold, system.random_bytes)
        found.append(replace(key, epoch=key.epoch + 1, commitments=dealt.commitments))
        for seat, share in enumerate(dealt.shares, start=1):
            world.shares[key_class, key.epoch + 1, seat] = share
    return tuple(found)


def fresh_pepper(world: FakeFederation, issued: int) -> Charter:
    """A charter with one client key changed, hence a fresh pepper."""
    last = world.charter.members[-1]
    changed = replace(last, client_hpke=hpke.public_key(hpke.generate(system.random_bytes)))
    members = (*world.charter.members[:-1], changed)
    number, pepper = world.charter.last_period + 1, Pepper(system.random_bytes(32))
    sealed = {
        member.id: hpke.seal_to(
            member.client_hpke, hpke.pepper_info(world.charter.federation, number, member.id), pepper
        )
        for member in members
    }
    period = Period(number, issued, pepper_commitment(pepper), sealed)
    return add(world, issued=issued, expires=issued + 300 * _DAY, members=members, period=period)


def reader(world: FakeFederation) -> int:
    """A member whose client key stays."""
    return next(at for at, home in enumerate(world.homes) if home.id != world.charter.members[-1].id)


def test_outputs_of_an_ended_epoch_are_kept_until_its_last_entry_has_expired(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.client(0) as client:
        client.query([MAIL, IBAN])
    ended = system.now()
    monkeypatch.setattr("tocsin.client.system.now", lambda: ended)
    add(world, classes=next_epoch(world, None))
    with world.client(0) as client:
        assert client.charter.version == 2
        assert client._session.vault.output_counts() == {(TYPE, 1): 1, ("payment.iban", 1): 1}
        assert client.query([MAIL, IBAN]).evaluated == 1
    monkeypatch.setattr("tocsin.client.system.now", lambda: ended + 60 * _DAY)
    add(world, tick_seconds=2)
    with world.client(0) as client:
        assert client.charter.version == 3
        assert client._session.vault.output_counts() == {(TYPE, 2): 1, ("payment.iban", 1): 1}


def test_entries_of_an_ended_epoch_are_matched_and_retracted(world: FakeFederation) -> None:
    """The charter drops the epoch on the day of the report; who evaluated the value before still sees it."""
    writer = world.node(1)
    with world.client(1, writer) as client:
        client.submit([report_draft(MAIL, AbuseKind.RESALE)])
    writer.tick()
    with world.client(0) as client:
        assert len(client.query([MAIL]).matches) == 1
    add(world, classes=next_epoch(world, None))
    with world.client(0) as client:
        assert client.charter.version == 2
        assert len(client.query([MAIL]).matches) == 1
    with world.client(1, writer) as client:
        client.retract([MAIL])
    writer.tick()
    with world.client(0) as client:
        assert client.query([MAIL]).matches == ()


def test_an_epoch_is_kept_for_60_days_after_its_overlap_and_dropped_at_the_next_charter(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    until = system.now() + 10 * _DAY
    with world.client(0) as client:
        client.query([MAIL])
        add(world, classes=next_epoch(world, until))
    with world.client(0) as client:
        assert client.query([MAIL]).evaluated == 1
        assert client._session.vault.output_counts() == {(TYPE, 1): 1, (TYPE, 2): 1}
    for seconds, at, kept in (
        (2, until + 60 * _DAY - 1, {(TYPE, 1): 1, (TYPE, 2): 1}),
        (3, until + 60 * _DAY, {(TYPE, 2): 1}),
    ):
        monkeypatch.setattr("tocsin.client.system.now", lambda at=at: at)
        add(world, tick_seconds=seconds)
        with world.client(0) as client:
            assert client.charter.tick_seconds == seconds
            assert client._session.vault.output_counts() == kept


def test_what_another_process_has_of_a_newer_epoch_or_an_unknown_type_stays(world: FakeFederation) -> None:
    with world.client(0) as client:
        client._session.vault.keep_outputs(TYPE, 7, outputs(2))
        client._session.vault.keep_outputs("later.type", 1, outputs(2, start=10))
        add(world)
        assert client.charter.version == 2
        assert client._session.vault.output_counts() == {(TYPE, 7): 2, ("later.type", 1): 2}


def test_an_old_pepper_is_dropped_once_its_periods_are_sixty_days_gone(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, first = reader(world), world.charter.period.number
    with world.client(at) as client:
        client.query([MAIL])
    issued = system.now()
    second = fresh_pepper(world, issued).period.number

    def numbers(now: int) -> list[int]:
        monkeypatch.setattr("tocsin.client.system.now", lambda: now)
        with world.client(at) as client:
            client.query([MAIL])
            return [number for number, _, _ in client._session.vault.peppers()]

    assert numbers(issued + 1) == [first, second]
    add(world, tick_seconds=2)
    # Entries are sealed under the old pepper for a week more, and looked up for 60 days after that.
    assert numbers(issued + 66 * _DAY) == [first, second]
    add(world, tick_seconds=3)
    assert numbers(issued + 68 * _DAY) == [second]
    assert PERIOD_SECONDS == 30 * _DAY


def test_a_query_under_way_when_its_epoch_is_dropped_is_begun_again(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.client(0) as client:
        client.query([MAIL])
        vault = client._session.vault
        real, dropped = vault.outputs, [False]

        def racing(epoch: int, keys: Sequence[bytes]) -> dict[bytes, Output]:
            found = real(epoch, keys)
            if not dropped[0]:
                dropped[0] = True
                add(world, classes=next_epoch(world, None))
                vault.forget_epoch(TYPE, 1)
            return found

        monkeypatch.setattr(vault, "outputs", racing)
        result = client.query([MAIL])
        assert (result.queried, result.evaluated) == (1, 1)
        assert client.charter.version == 2


def test_going_through_blocks_while_some_are_dropped_skips_them(tmp_path: Path) -> None:
    vault, other = opened(tmp_path / "v"), opened(tmp_path / "v")
    vault.keep_outputs(TYPE, 2, outputs(1))
    vault.keep_outputs(TYPE, 1, outputs(2_500))
    seen: list[tuple[int, int]] = []
    for block in vault.blocks([(TYPE, 1), (TYPE, 2)]):
        if not seen:
            other.forget_epoch(TYPE, 1)
            # Takes the number of the second block, but not that of the third.
            other.keep_outputs(TYPE, 3, outputs(1_500))
        seen.append((block.epoch, len(block.records) // 80))
    assert seen == [(1, 1_000), (2, 1)]


def test_what_is_dropped_is_overwritten_in_the_file(tmp_path: Path) -> None:
    vault = opened(tmp_path / "v")
    vault.keep_pepper(1, 2, b"P" * 32)
    (sealed,) = vault._connection.execute("SELECT sealed FROM pepper").fetchone()
    vault.forget_pepper(1)
    assert vault.peppers() == []
    vault.close()
    assert sealed not in (tmp_path / "v").read_bytes()


def held_bands(client: Client, *names: str) -> list[int]:
    """How many bands the vault knows of each template."""
    keys = [client.key_of(template(name)) for name in names]
    known = client._session.vault.templates.bands(keys)
    return [len(known.get(key, ())) for key in keys]


def end_bands(world: FakeFederation) -> None:
    add(world, classes=next_epoch(world, None, int(KeyClass.CONTENT_BAND)))


@pytest.mark.usefixtures("few_bands")
def test_bands_go_with_their_outputs(world: FakeFederation, monkeypatch: pytest.MonkeyPatch) -> None:
    with world.client(0) as client:
        client.query([template("asked"), template("reported")])
        client.submit([report_draft(template("reported"), AbuseKind.RESALE)])
        assert held_bands(client, "asked", "reported") == [BANDS, BANDS]
    add(world)
    with world.client(0) as client:
        assert client.charter.version == 2
        assert held_bands(client, "asked", "reported") == [BANDS, BANDS]
    end_bands(world)
    with world.client(0) as client:
        assert client.charter.version == 3
        assert held_bands(client, "asked", "reported") == [BANDS, BANDS]
    # 60 days later no entry of the ended epoch is left.
    later = system.now() + 61 * _DAY
    monkeypatch.setattr("tocsin.client.system.now", lambda: later)
    add(world, tick_seconds=2)
    with world.client(0) as client:
        assert client.charter.version == 4
        assert held_bands(client, "asked", "reported") == [0, BANDS]
        client.query([template("asked")])
        assert held_bands(client, "asked") == [BANDS]


@pytest.mark.usefixtures("few_bands")
def test_bands_of_a_record_stay_until_it_expires(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.client(0) as client:
        client.submit([report_draft(template("a"), AbuseKind.RESALE)])
        client.retract([template("a")])
        (record,) = client._session.vault.templates.records([client.key_of(template("a"))])
    end_bands(world)
    with world.client(0) as client:
        assert (client.charter.version, held_bands(client, "a")) == (2, [BANDS])
    later = max(record.not_after, system.now() + 61 * _DAY)
    monkeypatch.setattr("tocsin.client.system.now", lambda: later)
    add(world, issued=system.now(), expires=system.now() + 300 * _DAY)
    with world.client(0) as client:
        assert (client.charter.version, held_bands(client, "a")) == (3, [0])
        assert client._session.vault.templates.known_refs() == frozenset()


@pytest.mark.usefixtures("few_bands")
@pytest.mark.parametrize("step", ["query", "submit"])
def test_bands_that_are_dropped_under_way_are_remembered_again(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    with world.client(0) as client:
        client.query([template("a")])
        vault = client._session.vault
        real, ended = vault.outputs, [False]

        def racing(epoch: int, keys: Sequence[bytes]) -> dict[bytes, Output]:
            found = real(epoch, keys)
            if len(found) == BANDS and not ended[0]:
                ended[0] = True
                end_bands(world)
                vault.forget_epoch(BAND, 1)
            return found

        monkeypatch.setattr(vault, "outputs", racing)
        if step == "query":
            assert client.query([template("a")]).evaluated == BANDS
        else:
            assert client.submit([report_draft(template("a"), AbuseKind.RESALE)]).evaluated == BANDS
        assert (client.charter.version, held_bands(client, "a")) == (2, [BANDS])
