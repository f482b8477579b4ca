"""Templates that are nearly equal: found by τ of their bands, and by fewer not at all."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.client.fake_node import FakeFederation, FakeNode
from tests.client.templates import BANDS, THRESHOLD, template
from tests.client.test_client_flow import MAIL
from tests.drafts import report_draft
from tocsin.client import Client, system
from tocsin.client.charters import CharterKeeper
from tocsin.client.config import load_config, open_secrets
from tocsin.client.errors import Unavailable, ValueRefused, ValuesRefused
from tocsin.client.matching import Taggers
from tocsin.client.results import Match, Problem, QueryResult
from tocsin.client.sealing import seal_content
from tocsin.client.session import Session
from tocsin.client.templates import records
from tocsin.client.vault import open_vault
from tocsin.indicators.ptf2 import bands as ptf2
from tocsin.indicators.ptf2.common_list import shipped
from tocsin.indicators.ptf2.template import TEMPLATE, write_skeleton
from tocsin.indicators.registry import CURRENT, KeyClass, Mode, Observable, observable
from tocsin.oprf.group import Random
from tocsin.sealing.box import Purpose
from tocsin.sealing.label import AbuseKind, Report, encode_record
from tocsin.sealing.record import BandSlot, Record, make_record
from tocsin.tlog.entry import parse_entry
from tocsin.wire.values import TagHit

ALL = BANDS + 2
"""The entries of one template: its report, its record, its bands."""


pytestmark = pytest.mark.usefixtures("few_bands")


def report(world: FakeFederation, number: int, *values: Observable, **fields: object) -> FakeNode:
    node = world.node(number)
    with world.client(number, node) as client:
        send(client, *values, **fields)
    node.tick()
    return node


def send(client: Client, *values: Observable, **fields: object) -> int:
    drafts = [report_draft(value, AbuseKind.DISTILLATION, **fields) for value in values]  # type: ignore[arg-type] # a double takes what the port takes
    return client.submit(drafts).accepted


def second_client(world: FakeFederation, number: int, node: FakeNode) -> Client:
    """Another client of a member, with a vault of its own."""
    config = load_config(world.homes[number].client)
    config = replace(config, vault=config.vault.with_name("second.db"))
    secrets = open_secrets(config)
    vault = open_vault(
        config.vault, secrets["vault"], federation=config.federation, member=config.member,
        pin=config.charter_pin, random=system.random_bytes,
    )  # fmt: skip
    return Client(
        Session(config, vault, CharterKeeper(config, vault, secrets["client_hpke"]), lambda _: node)
    )


def found(world: FakeFederation, *values: Observable, number: int = 0) -> list[tuple[int, int]]:
    """(confidence, bands) of every match of a query, sorted; there must be no problem."""
    with world.client(number) as client:
        result = client.query(values)
    assert result.problems == ()
    return sorted(
        (match.label.confidence, match.bands) for match in result.matches if isinstance(match.label, Report)
    )


def like(value_shares: int, shared: str = "a", name: str = "asked") -> Observable:
    """A template that shares its first bands with those of `shared`."""
    return template(name, shared, places=range(value_shares))


@pytest.mark.parametrize("shares", range(BANDS + 1))
def test_a_similar_template_is_found_from_the_threshold_on(world: FakeFederation, shares: int) -> None:
    report(world, 1, template("a"), bad_accounts=40, confidence=61)
    asked = like(shares)
    with world.client(0) as client:
        result = client.query([template("nobody"), asked])
        key = client.key_of(asked)
    assert result.problems == ()
    assert (result.queried, result.evaluated) == (2, 2 + 2 * BANDS)
    if shares < THRESHOLD:
        assert result.matches == ()
        return
    (match,) = result.matches
    assert (match.type, match.bands, match.positions, match.key) == ("prompt.template", shares, (1,), key)
    assert (match.writer, match.values) == (world.homes[1].id, (asked,))
    assert isinstance(match.label, Report)
    assert (match.label.type, match.label.confidence) == ("prompt.template", 61)
    assert match.checkpoint_time


def test_the_same_template_matches_by_its_report_and_by_its_record(world: FakeFederation) -> None:
    report(world, 1, template("a"))
    with world.client(0) as client:
        matches = client.query([template("a")]).matches
        assert client.query([template("a")]).evaluated == 0
    assert sorted(match.bands for match in matches) == [0, BANDS]
    assert len({match.index for match in matches}) == 2
    assert len({match.label for match in matches}) == 1


def test_own_bands_are_no_matches(world: FakeFederation) -> None:
    report(world, 0, template("a"))
    assert found(world, like(BANDS)) == []


def test_a_receipt_counts_what_lies_in_the_log(world: FakeFederation) -> None:
    with world.client(1) as client:
        assert send(client, template("a")) == ALL
        # Three bands are shared within the call, so each of them is written once.
        assert send(client, template("b"), template("c", "b", places=range(3))) == 2 * ALL - 3
        assert send(client, template("d"), template("d")) == ALL + 1


@pytest.mark.parametrize("way", ["one call", "two calls", "two ticks", "two clients"])
def test_templates_that_share_bands_are_both_found(world: FakeFederation, way: str) -> None:
    one, other = template("one", "a", places=range(4)), template("other", "a", places=range(4))
    node = world.node(1)
    with world.client(1, node) as client, second_client(world, 1, node) as second:
        if way == "one call":
            send(client, one, other)
        else:
            send(client, one)
            if way != "two calls":
                node.tick()
            send(second if way == "two clients" else client, other)
        node.tick()
    assert found(world, like(BANDS)) == [(80, 4), (80, 4)]


def test_a_box_holds_the_newest_eight(world: FakeFederation) -> None:
    node = world.node(1)
    with world.client(1, node) as client:
        for number in range(10):
            send(client, template(f"t{number}", "a", places=range(3)), confidence=number)
        node.tick()
    assert [confidence for confidence, _ in found(world, like(BANDS))] == list(range(2, 10))
    # The others still stand in the bands that are theirs alone.
    assert (0, 3) in found(world, template("asked", "t0", places=range(3, BANDS)))


def test_a_re_report_replaces_its_record(world: FakeFederation) -> None:
    node = report(world, 1, template("a"), confidence=1)
    with world.client(1, node) as client:
        send(client, template("a"), confidence=2)
        send(client, template("a"), template("a"), confidence=3)
        node.tick()
    assert found(world, like(4)) == [(3, 4)]
    with world.client(1, node) as client:
        send(client, template("b", "a", places=range(4)), confidence=4)
        node.tick()
    # Nor does a box that another template writes carry what was replaced.
    assert found(world, like(4)) == [(3, 4), (4, 4)]


def test_a_retraction_takes_back_record_and_bands(world: FakeFederation) -> None:
    node = report(world, 1, template("a"), confidence=1)
    with world.client(1, node) as client:
        send(client, template("a"), template("a"), confidence=2)
        node.tick()
        # Three reports, two records; of the bands, which no other template is in, every entry.
        assert client.retract([template("a")]).accepted == 2 * ALL + 1
        node.tick()
        assert client.retract([template("a")]).accepted == 0
    assert found(world, like(BANDS), template("a")) == []
    log = world.logs[node.member]
    assert not any(entry is not None and entry.body is not None for entry in log.entries)


def test_a_retraction_leaves_the_slots_of_others(world: FakeFederation) -> None:
    one, other = template("one", "a", places=range(4)), template("other", "a", places=range(4))
    node = report(world, 1, one, confidence=1)
    with world.client(1, node) as client:
        send(client, other, confidence=2)
        node.tick()
        # Its report, record and two bands of its own go, the shared four are written again.
        assert client.retract([one]).accepted == 4 + 4
        node.tick()
    assert found(world, like(BANDS)) == [(2, 4)]
    with world.client(1, node) as client:
        client.retract([other])
        node.tick()
    assert found(world, like(BANDS)) == []


def test_a_retraction_needs_no_committee_for_the_record(world: FakeFederation) -> None:
    node = report(world, 1, template("a"))
    with world.client(1, node) as client:
        node.convicted = {1, 2, 3}
        assert client.retract([template("a")]).accepted == ALL


def test_a_node_that_is_down_keeps_the_report_and_the_retraction(world: FakeFederation) -> None:
    node = report(world, 1, template("a"))
    with world.client(1, node) as client:
        client.query([template("b")])
        node.down = True
        with pytest.raises(Unavailable):
            client.submit([report_draft(template("b"), AbuseKind.RESALE)])
        with pytest.raises(Unavailable):
            client.retract([template("a")])
        node.down = False
        client.flush()
        node.tick()
    assert found(world, template("a"), like(4), template("b")) == [(80, 0)]


def test_what_was_matched_exactly_is_told_where_the_records_cannot_be_had(world: FakeFederation) -> None:
    report(world, 1, template("a"))

    class Failing(FakeNode):
        calls = 0

        def look_up(self, groups: Sequence[tuple[bytes, bytes]]) -> list[TagHit]:
            self.calls += 1
            if self.calls > 1:
                raise Unavailable("gone")
            return super().look_up(groups)

    with world.client(0, Failing(world, world.homes[0].id)) as client:
        with pytest.raises(Unavailable) as caught:
            client.query([template("a")])
        assert isinstance(caught.value.partial, QueryResult)
        assert [match.bands for match in caught.value.partial.matches] == [0]


def test_real_templates_that_differ_in_a_tenth_are_found_by_their_bands(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    common = shipped(CURRENT.common_prompts)
    hashes = [int.from_bytes(hashlib.sha256(b"%d" % number).digest()[:8], "big") for number in range(210)]
    one, other = (
        observable(TEMPLATE, write_skeleton(part, common), mode=Mode.TEST)
        for part in (hashes[:200], hashes[10:])
    )
    assert len(one.bands) == len(other.bands) == ptf2.LONG.bands
    agreeing = sum(a == b for a, b in zip(one.bands, other.bands, strict=True))
    assert agreeing > ptf2.LONG.threshold
    report(world, 1, one)
    assert found(world, other) == [(80, agreeing)]


def test_renewing_makes_a_fresh_record_and_a_retraction_covers_both(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = report(world, 1, template("a"), template("b"), confidence=9)
    with world.client(1, node) as client:
        assert client.renew().accepted == 0
        refs = client._session.vault.templates.known_refs()
        later = system.now() + 31 * 86_400
        monkeypatch.setattr("tocsin.client.system.now", lambda: later)
        assert client.renew().accepted == 2 * ALL
        node.tick()
        assert client.renew().accepted == 0
        assert len(client._session.vault.templates.known_refs() - refs) == 2
        newest = world.logs[node.member].entries[-1]
        assert newest is not None
        assert newest.header.period == world.charter.period.number + 1
        assert found(world, like(4)) == [(9, 4), (9, 4)]
        assert client.retract([template("a")]).accepted == 2 * ALL
        node.tick()
    assert found(world, like(4)) == []
    assert found(world, like(4, "b")) == [(9, 4), (9, 4)]


def test_after_a_turn_of_the_period_only_the_newer_boxes_are_written_again(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = template("one", "a", places=range(4)), template("other", "a", places=range(4))
    node = report(world, 1, one, confidence=1)
    with world.client(1, node) as client:
        send(client, other, confidence=2)
        node.tick()
        later = system.now() + 31 * 86_400
        monkeypatch.setattr("tocsin.client.system.now", lambda: later)
        assert client.renew().accepted == 2 * ALL - 4
        node.tick()
        # In both periods report, record and two bands of its own; the shared four once.
        assert client.retract([one]).accepted == 2 * 4 + 4
        node.tick()
    assert found(world, like(BANDS)) == [(2, 4), (2, 4)]


def test_a_record_counts_only_in_the_log_of_the_writer_of_its_slots(world: FakeFederation) -> None:
    """Whoever opened a record could seal another under its key; that is not what the slots' writer said."""
    report(world, 1, template("a"), confidence=1)
    with world.client(1) as client:
        (kept,) = client._session.vault.templates.records([client.key_of(template("a"))])
    (match,) = found_by(world, like(4))
    assert isinstance(match.label, Report)
    with world.client(2) as forger:
        standing = forger._session.charter(system.now())
        class_key = standing.live_classes(int(KeyClass.CONTENT_BAND), system.now())[0]
        content = encode_record(replace(match.label, confidence=99))
        forged = seal_content(
            standing, class_key, kept.record.key, Purpose.RECORD, content, system.now(), system.random_bytes
        )
    world.publish(world.homes[2].id, [parse_entry(forged.header, forged.body)])
    assert found(world, like(4)) == [(1, 4)]


def found_by(world: FakeFederation, value: Observable) -> tuple[Match, ...]:
    with world.client(0) as client:
        return client.query([value]).matches


def test_of_bands_only_reports_are_looked_for(world: FakeFederation) -> None:
    with world.client(0) as client:
        standing = client._session.charter(system.now())
        taggers = Taggers(standing, [world.homes[1].id], standing.periods(0, system.now()))
        for key_class, expected in ((KeyClass.CONTENT_BAND, 1), (KeyClass.CONTENT, 2)):
            for _, made in taggers.of(int(key_class), 1):
                assert [purpose for purpose, _, _ in made] == [Purpose.REPORT, Purpose.DISPUTE][:expected]


def lying(monkeypatch: pytest.MonkeyPatch, wrong: Sequence[int], ref: bytes | None = None) -> None:
    """Let records be made with wrong shares at some bands, or with another ref."""

    def make(bands: int, threshold: int, random: Random) -> Record:
        honest, other = make_record(bands, threshold, random), make_record(bands, threshold, random)
        shares = tuple((other if x in wrong else honest).shares[x - 1] for x in range(1, bands + 1))
        return Record(honest.key, ref or honest.ref, shares)

    monkeypatch.setattr(records, "make_record", make)


@pytest.mark.parametrize("ref", [None, b"r" * 16])
def test_a_writer_of_wrong_slots_is_named_and_the_others_go_on(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch, ref: bytes | None
) -> None:
    report(world, 2, template("a"), confidence=5)
    with monkeypatch.context() as patched:
        lying(patched, (1,) if ref is None else (), ref)
        report(world, 1, template("a"))
    with world.client(0) as client:
        result = client.query([like(THRESHOLD)])
        # Two values that lead to the same wrong slots name their writer once.
        assert len(client.query([like(THRESHOLD), like(THRESHOLD, name="too")]).problems) == 1
        fewer = client.query([like(THRESHOLD - 1)])
    assert [(match.writer, match.bands) for match in result.matches] == [(world.homes[2].id, THRESHOLD)]
    (problem,) = result.problems
    assert (problem.writer, problem.writer_name) == (world.homes[1].id, world.homes[1].name)
    assert "open no record" in problem.what
    assert (fewer.matches, fewer.problems) == ((), ())


def test_one_wrong_share_does_not_hide_a_record_that_enough_others_open(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        lying(patched, (2,))
        report(world, 1, template("a"))
    assert found(world, like(THRESHOLD + 1)) == [(80, THRESHOLD + 1)]


def test_a_slot_of_another_band_names_its_writer(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(
            Record, "slot", lambda self, x: BandSlot(self.ref, x % BANDS + 1, self.shares[x % BANDS])
        )
        report(world, 1, template("a"))
    with world.client(0) as client:
        result = client.query([like(BANDS)])
    assert result.matches == ()
    assert {(problem.writer, "another band" in problem.what) for problem in result.problems} == {
        (world.homes[1].id, True)
    }


def test_a_record_copied_into_another_log_is_dead(world: FakeFederation) -> None:
    report(world, 1, template("a"), confidence=1)
    entries = [entry for entry in world.logs[world.homes[1].id].entries if entry is not None]
    world.publish(world.homes[2].id, entries)
    assert found(world, like(4)) == [(1, 4)]


def test_watching_finds_a_record_that_comes_later_once(world: FakeFederation) -> None:
    node = world.node(0)
    with world.client(0, node) as client:
        asked = like(4)
        assert client.query([asked, like(2, name="far")]).matches == ()
        assert client.watched() == (2, 2)
        stop = threading.Event()
        matches = client.watch(stop)
        writer = report(world, 1, template("a"))
        first = next(matches)
        assert (first.type, first.writer, first.key, first.bands, first.values) == (
            "prompt.template",
            writer.member,
            client.key_of(asked),
            4,
            (),
        )
        # The same bands again, now for another template too: the first record is not told twice.
        with world.client(1, writer) as reporter:
            send(reporter, template("b", "a", places=range(3)), confidence=3)
        writer.tick()
        node.feed(node.streams[-1], writer.member, 0)
        second = next(matches)
        assert isinstance(second.label, Report)
        assert (second.label.confidence, second.bands) == (3, 3)
        stop.set()
        assert list(matches) == []
        assert Counter(match.index for match in (first, second)).most_common(1)[0][1] == 1


def test_watching_finds_a_record_that_comes_behind_its_bands(world: FakeFederation) -> None:
    node, writer = world.node(0), world.node(1)
    with world.client(0, node) as client:
        client.query([MAIL, like(4)])
        stop = threading.Event()
        matches = client.watch(stop)
        with world.client(1, writer) as reporter:
            reporter.submit([report_draft(MAIL, AbuseKind.RESALE)])
            send(reporter, template("a"))
        # The report of the address, that of the template, the record, the bands.
        early, record = [*writer.pending[:2], *writer.pending[3:]], writer.pending[2]
        world.publish(writer.member, early)
        assert next(matches).type == "contact.email"
        world.publish(writer.member, [record])
        node.feed(node.streams[-1], writer.member, len(early))
        found = next(matches)
        assert (found.type, found.bands, found.index) == ("prompt.template", 4, len(early))
        stop.set()


def test_watching_names_the_writer_of_wrong_slots_once(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, problems = world.node(0), list[Problem]()
    with world.client(0, node) as client:
        client.query([MAIL, like(THRESHOLD)])
        stop = threading.Event()
        matches = client.watch(stop, on_problem=problems.append)
        with monkeypatch.context() as patched:
            lying(patched, (1,))
            report(world, 1, template("a"))
        for number in (1, 2):
            writer = world.node(number)
            with world.client(number, writer) as reporter:
                reporter.submit([report_draft(MAIL, AbuseKind.RESALE)])
            writer.tick()
            if number == 2:
                node.feed(node.streams[-1], writer.member, 0)
            assert next(matches).type == "contact.email"
        stop.set()
    assert [problem.writer for problem in problems] == [world.homes[1].id]


def test_a_band_is_never_asked_for_or_reported_by_itself(world: FakeFederation) -> None:
    band = template("a").bands[0]
    with world.client(0) as client:
        with pytest.raises(ValuesRefused):
            client.query([band])
        assert [refusal.rule for refusal in client.check([band])] == ["template.band"]
        receipt = client.submit([report_draft(band, AbuseKind.RESALE)])
        assert [refusal.position for refusal in receipt.refused] == [0]
        with pytest.raises(ValueRefused):
            client.key_of(band)


def test_no_record_key_or_share_is_readable_at_rest_or_in_a_repr(world: FakeFederation) -> None:
    with world.client(1) as client:
        send(client, template("a"))
        (kept,) = client._session.vault.templates.records([client.key_of(template("a"))])
    folder = world.homes[1].client
    disk = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    for secret in (kept.record.key, *kept.record.shares):
        assert bytes(secret) not in disk
        assert bytes(secret).hex() not in repr(kept)
        assert repr(bytes(secret)) not in repr(kept)
    assert len(kept.record.shares) == BANDS
