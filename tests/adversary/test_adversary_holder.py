"""A holder of x learns what is said of x, and nothing about values it does not hold; and although it
can compute any writer's tag and box for x, it cannot make another member say something.

The adversary is Borealis. It holds 200 values (Aster reported some of them), so it has their outputs, the pepper, every
log, its own log key and its own client and node. It

1. tries to open every entry of Aster's with everything it has: only the entries of values it holds may open;
2. publishes in its own log, for values that Dune will ask for: a copy of Aster's tag; a copy of Aster's whole entry; an
   entry sealed in Aster's name; an entry under its own tag whose box it sealed in Aster's name;
3. colludes with the asker's own node, which serves entries that Borealis forged in Aster's name, perfect but for what
   only Aster's log key can make, with every proof and checkpoint that it can think of.

The weakened variants: a client that takes a tag for a match in whichever log it stands, and clients that skip the
check of inclusion or of the checkpoint's signature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.adversary.forging import OWN_CHECKPOINT, TRUE_CHECKPOINT, Forger, ForgingNode, Way, behind
from tests.adversary.game import TRIALS
from tests.adversary.population import Population, report
from tests.adversary.scene import Row, Scene, Truth, emails, entries_in
from tocsin.client import Client, matching
from tocsin.client.arguments import InputValue
from tocsin.client.errors import NodeMisbehaved
from tocsin.client.matching import Taggers
from tocsin.client.outputs import Epochs, Spending, all_outputs
from tocsin.client.system import now, random_bytes
from tocsin.indicators.registry import KeyClass, Observable
from tocsin.oprf.rfc9497 import Output
from tocsin.sealing.box import BadBox, Purpose, SealInfo, open_body
from tocsin.sealing.label import encode_label
from tocsin.sealing.pepper import period_secret
from tocsin.tlog.checkpoint import SignedCheckpoint, parse_checkpoint
from tocsin.tlog.entry import sealed_header, weeks_after
from tocsin.tlog.note import parse_note
from tocsin.wire.values import WireEntry

ASTER, BOREALIS, CINDER, DUNE = 0, 1, 2, 3


def opened_by(scene: Scene, rows: Sequence[Row], outputs: Sequence[Output]) -> set[int]:
    """Return the indices of entries that open under any output."""
    pepper = scene.pepper(scene.homes[BOREALIS])
    info = scene.info(KeyClass.CONTACT)
    secrets = [period_secret(pepper, output) for output in outputs]
    return {row.index for row in rows if any(_opens(scene, row, secret, info) for secret in secrets)}


def _opens(scene: Scene, row: Row, secret: Any, info: SealInfo) -> bool:
    try:
        open_body(
            secret,
            Purpose.REPORT,
            info,
            federation=scene.charter.federation,
            writer=row.writer,
            header=row.header,
            body=row.body,
        )
    except BadBox:
        return False
    return True


def aster_rows(scene: Scene) -> list[Row]:
    return [row for row in entries_in(scene.homes[BOREALIS]) if row.writer == scene.homes[ASTER].id]


def test_a_holder_opens_the_entries_of_its_own_values_only(
    scene: Scene, truth: Truth, population: Population
) -> None:
    rows = {row.tag: row for row in aster_rows(scene)}
    tags = truth.report_tags(scene.homes[ASTER], KeyClass.CONTACT, population.aster)
    asked = [rows[tag] for tag in tags]
    outputs = truth.outputs(KeyClass.CONTACT, population.borealis)
    held = {row.index for row, coin in zip(asked, population.same, strict=True) if coin}
    assert 100 < len(held) < len(asked)
    assert opened_by(scene, asked, outputs) == held


def test_with_a_guess_of_every_value_it_would_open_all(
    scene: Scene, truth: Truth, population: Population
) -> None:
    """The same program, given the outputs of values that it does not hold: nothing but their lack stops it."""
    rows = {row.tag: row for row in aster_rows(scene)}
    tags = truth.report_tags(scene.homes[ASTER], KeyClass.CONTACT, population.aster)
    asked = [rows[tag] for tag in tags]
    outputs = truth.outputs(KeyClass.CONTACT, population.aster)
    assert opened_by(scene, asked, outputs) == {row.index for row in asked}


class Published:
    """What Borealis put into its own log about 50 values that Aster reported, in four ways."""

    WAYS = 4

    def __init__(self, scene: Scene, truth: Truth, population: Population) -> None:
        self.values = [
            value for value, coin in zip(population.aster, population.same, strict=True) if not coin
        ][:50]
        outputs = truth.outputs(KeyClass.CONTACT, self.values)
        rows = {row.tag: row for row in aster_rows(scene)}
        tags = truth.report_tags(scene.homes[ASTER], KeyClass.CONTACT, self.values)
        own_tags = truth.report_tags(scene.homes[BOREALIS], KeyClass.CONTACT, self.values)
        info = scene.info(KeyClass.CONTACT)
        header = sealed_header(
            info.key_class, info.epoch, info.period, weeks_after(now(), 30 * 86_400)
        ).encode()
        entries: list[WireEntry] = []
        for output, tag, own_tag in zip(outputs, tags, own_tags, strict=True):
            forger = self.forger(scene, output)
            copied = rows[tag]
            forged = forger.body(copied.header, scene.homes[ASTER].id)
            entries += [
                WireEntry(header, tag + random_bytes(len(copied.body) - len(tag))),
                WireEntry(copied.header, copied.body),
                WireEntry(copied.header, forged),
                WireEntry(copied.header, own_tag + forged[len(own_tag) :]),
            ]
        with scene.client(BOREALIS) as client:
            assert (
                client._session.node.submit(random_bytes(16), entries).count
                == self.WAYS * len(self.values)
                == TRIALS
            )
        scene.await_followed(60)

    @staticmethod
    def forger(scene: Scene, output: Output | None) -> Forger:
        label = encode_label(report())
        return Forger(scene, scene.homes[BOREALIS], scene.homes[ASTER], KeyClass.CONTACT, output, label)


@pytest.fixture(scope="module")
def published(scene: Scene, truth: Truth, population: Population) -> Published:
    return Published(scene, truth, population)


def test_no_copied_or_forged_entry_in_the_own_log_is_a_match(scene: Scene, published: Published) -> None:
    with scene.client(DUNE) as client:
        result = client.query(published.values)
    true = {row.index: row for row in aster_rows(scene)}
    assert [match.writer for match in result.matches] == [scene.homes[ASTER].id] * len(published.values)
    assert all(match.index in true for match in result.matches)
    # The fourth way stands under a tag of Borealis's own: it is found, does not open, and is laid at its door.
    assert [problem.writer for problem in result.problems] == [scene.homes[BOREALIS].id] * len(
        published.values
    )


def test_a_tag_counted_in_any_log_would_be_a_match(scene: Scene, published: Published) -> None:
    """A client of this program's own, which asks every log for Aster's tags and opens what it finds as Aster's."""
    aster, borealis = scene.homes[ASTER], scene.homes[BOREALIS]
    forged = 0
    with scene.client(DUNE) as client:
        for subject, taggers in _subjects(client, published.values):
            for slot, joined in taggers.slots(subject):
                for hit in client._session.node.look_up([(borealis.id, joined)]):
                    for index in hit.indices:
                        entry = (
                            client._session.node.proven_entries([(borealis.id, index)])
                            .entries[0]
                            .stored.entry
                        )
                        assert entry.body is not None
                        body, header = entry.body.encode(), entry.header.encode()
                        row = Row(aster.id, index, header, body)
                        forged += _opens(scene, row, slot.secret, slot.info)
    assert forged >= 2 * len(published.values)  # the copied entry and the one sealed in Aster's name


def _subjects(client: Client, values: Sequence[Observable]) -> list[tuple[Any, Taggers]]:
    found = all_outputs(
        client._session,
        {client.key_of(value): InputValue(value, [place]) for place, value in enumerate(values)},
        Spending(),
        now(),
        Epochs.NEWEST,
    )
    standing, subjects = found.active, found.values
    aster = next(member.id for member in standing.charter.members if member.name == "Aster")
    taggers = Taggers(standing, [aster], standing.periods(0, now()))
    return [(subject, taggers) for subject in subjects]


def accepted(
    scene: Scene, values: Sequence[Observable], outputs: Sequence[Output | None], ways: Sequence[Way]
) -> int:
    """Count the values for which Cinder's client takes a forgery for a match of Aster's."""
    found = 0
    with scene.client(CINDER) as client:
        client.query(values)
        for way in ways:
            for value, output in zip(values, outputs, strict=True):
                node = ForgingNode(client._session.node, Published.forger(scene, output), way)
                with behind(client, node):
                    try:
                        found += len(client.query([value]).matches)
                    except NodeMisbehaved:
                        continue
                    finally:
                        assert node.asked == 1
    return found


def test_no_forgery_of_an_entry_is_accepted(scene: Scene, truth: Truth) -> None:
    values = emails("forged", 40)
    outputs = truth.outputs(KeyClass.CONTACT, values)
    ways = (*TRUE_CHECKPOINT, *OWN_CHECKPOINT)
    assert len(ways) * len(values) == TRIALS
    assert accepted(scene, values, outputs, ways) == 0


def test_without_the_check_of_inclusion_forgeries_would_be_accepted(
    scene: Scene, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = emails("no inclusion", 10)
    monkeypatch.setattr(matching, "verify_inclusion", lambda *_: None)
    outputs = truth.outputs(KeyClass.CONTACT, values)
    assert accepted(scene, values, outputs, TRUE_CHECKPOINT) == len(TRUE_CHECKPOINT) * len(values)


def test_without_the_check_of_signatures_forgeries_would_be_accepted(
    scene: Scene, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsigned(note: bytes, origin: str, key: bytes) -> SignedCheckpoint:
        parsed = parse_note(note)
        return SignedCheckpoint(parse_checkpoint(parsed.text), parsed, note)

    values = emails("no signature", 10)
    monkeypatch.setattr(matching, "open_checkpoint", unsigned)
    outputs = truth.outputs(KeyClass.CONTACT, values)
    assert accepted(scene, values, outputs, OWN_CHECKPOINT) == len(OWN_CHECKPOINT) * len(values)
