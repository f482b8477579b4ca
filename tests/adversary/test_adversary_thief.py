"""Who steals a node's whole disk, or a copy of a log, learns volumes; no value, equality or label.

The adversary has every file in the folder of Aster's node: database with its journal, log, charter, share files, and
the keyring with the key that opens it; so it has the node's signing, TLS and HPKE keys and Aster's share. It

1. searches all that, encrypted or opened, for the values that Aster reported, in every common form, keyed with every
   secret it found;
2. guesses which entries of Aster and Borealis concern one value;
3. tries a dictionary: the thousand numbers of the range that Aster's reported telephone numbers are from. Its guesses
   are hashed, keyed with every secret, evaluated under the stolen share and, with the stolen TLS key and for as long as
   nobody revokes it, evaluated by another evaluator too, which gives it the true outputs. As the pepper it tries every
   secret it found.

The weakened variants: stores of this program's own that keep plain or keyed hashes; and a node that has the pepper.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from tests.adversary.linking import guess_equality, reported_pairs
from tests.adversary.population import Population
from tests.adversary.scene import (
    EPOCH,
    Row,
    Scene,
    Truth,
    entries_in,
    outputs_under,
    phones,
    shares_of,
    tags_under,
)
from tests.adversary.searching import disk, needles, search
from tests.adversary.wire import NodeLine
from tocsin.client.system import random_bytes
from tocsin.founding.members import open_part
from tocsin.indicators.registry import KeyClass, Observable
from tocsin.oprf.group import add, multiply, scalar_mul
from tocsin.oprf.rfc9497 import Output, blind, finalize
from tocsin.oprf.shares import lagrange
from tocsin.oprf.threshold import oprf_input
from tocsin.sealing.box import BadBox, Purpose, open_body
from tocsin.sealing.pepper import Pepper, period_secret

ASTER, BOREALIS = 0, 1
NUMBER = int(KeyClass.PHONE)


class Thief:
    """Who has the disk of Aster's node."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.home = scene.homes[ASTER]
        self.share = shares_of(self.home)[NUMBER, ASTER + 1]
        opened = open_part(self.home.folder, "node")
        unlock = (self.home.folder / "node" / "unlock.key").read_bytes()
        self.secrets = [*opened.values(), *shares_of(self.home).values(), unlock]
        self.content = b"\0".join((disk(self.home.folder / "node"), *self.secrets))
        self.tags = {row.tag for row in entries_in(self.home)}

    def peppers(self) -> list[bytes]:
        """Everything on the disk that could be a pepper."""
        return [bytes(32), *(secret for secret in self.secrets if len(secret) == 32)]

    def evaluate_online(self, values: Sequence[Observable]) -> list[Output]:
        """Pass for Aster's node: half of each evaluation with the stolen share, the other half from Borealis."""
        blindings, blinded = blind(
            [oprf_input(value.type, value.canonical) for value in values], random_bytes
        )
        with NodeLine(self.scene.charter, self.home, self.scene.homes[BOREALIS]) as line:
            theirs = line.evaluate_partial(NUMBER, EPOCH, 2, (1, 2), blinded).partial.evaluated
        ours = multiply(scalar_mul(lagrange((1, 2), 1), self.share), blinded)
        return finalize(blindings, add(ours, theirs))

    def dictionary(
        self, candidates: Sequence[Observable], outputs: Iterable[Sequence[Output]], peppers: Sequence[bytes]
    ) -> set[Observable]:
        """Return the candidates whose tag, in any form that can be computed, is in the store."""
        found = set()
        for value in candidates:
            raw = value.canonical
            tags = {
                hashlib.new(name, raw).digest()[:16]
                for name in ("md5", "sha1", "sha256", "sha512", "blake2b")
            }
            tags |= {hmac.digest(secret, raw, "sha256")[:16] for secret in self.secrets}
            if tags & self.tags:
                found.add(value)
        info, writers = self.scene.info(KeyClass.PHONE), [home.id for home in self.scene.homes]
        for column in outputs:
            for value, output in zip(candidates, column, strict=True):
                for pepper in peppers:
                    if self.tags.intersection(tags_under(output, pepper, info, writers)):
                        found.add(value)
        return found

    def labels(self, rows: Sequence[Row], outputs: Sequence[Output], peppers: Sequence[bytes]) -> int:
        """Count the entries whose label opens."""
        info = self.scene.info(KeyClass.PHONE)
        secrets = [period_secret(Pepper(pepper), output) for pepper in peppers for output in outputs]
        opened = 0
        for row in rows:
            for secret in secrets:
                try:
                    open_body(
                        secret,
                        Purpose.REPORT,
                        info,
                        federation=self.scene.charter.federation,
                        writer=row.writer,
                        header=row.header,
                        body=row.body,
                    )
                except BadBox:
                    continue
                opened += 1
        return opened


@pytest.fixture(scope="module")
def thief(scene: Scene, population: Population) -> Thief:
    return Thief(scene)


@pytest.fixture(scope="module")
def evaluated(thief: Thief) -> list[Output]:
    """The true outputs of the whole range, got with the stolen TLS key."""
    return thief.evaluate_online(phones(0, 1000))


def test_no_value_is_found_on_the_disk(scene: Scene, thief: Thief, population: Population) -> None:
    values = [*population.aster, *population.phones]
    assert len(thief.content) > 500_000
    for group in (population.aster, population.phones):
        assert search(thief.content, needles(group, thief.secrets)) == set()
    assert len(values) == len(set(values))


@pytest.mark.parametrize("keyed", [False, True], ids=["plain hashes", "a keyed hash"])
def test_a_store_of_hashes_would_give_the_values_away(
    thief: Thief, population: Population, tmp_path: Path, keyed: bool
) -> None:
    """A store of this program's own; where the hash is keyed, the key lies on the same disk."""
    weak = Thief(thief.scene)
    with sqlite3.connect(tmp_path / "node.db") as connection:
        connection.execute("CREATE TABLE live_tag (tag BLOB)")
        for value in population.phones:
            raw = value.canonical
            tag = hmac.digest(weak.secrets[0], raw, "sha256") if keyed else hashlib.sha256(raw).digest()
            connection.execute("INSERT INTO live_tag VALUES (?)", (tag[:16],))
        weak.tags = {bytes(tag) for (tag,) in connection.execute("SELECT tag FROM live_tag")}
    connection.close()
    assert weak.dictionary(phones(0, 1000), [], []) == set(population.phones)
    content = (tmp_path / "node.db").read_bytes()
    assert len(search(content, needles(population.phones, weak.secrets))) == len(population.phones)


def test_equal_values_cannot_be_told(
    scene: Scene, truth: Truth, thief: Thief, population: Population
) -> None:
    pairs = reported_pairs(scene, truth, population, thief.home)
    game = guess_equality(pairs, population.same, thief.peppers())
    assert game.guessed, game


def test_tags_under_a_key_on_the_disk_would_tell_equal_values(
    scene: Scene, truth: Truth, thief: Thief, population: Population
) -> None:
    def weak(row: Row, value: Observable) -> Row:
        return Row(row.writer, row.index, row.header, _keyed(thief.secrets[0], value) + row.body[16:])

    pairs = [
        (weak(a, mine), weak(b, theirs))
        for (a, b), mine, theirs in zip(
            reported_pairs(scene, truth, population, thief.home),
            population.aster,
            population.borealis,
            strict=True,
        )
    ]
    game = guess_equality(pairs, population.same, thief.peppers())
    assert game.won, game


def _keyed(key: bytes, value: Observable) -> bytes:
    return hmac.digest(key, value.canonical, "sha256")[:16]


def test_a_dictionary_finds_nothing_even_with_true_outputs(
    truth: Truth, thief: Thief, evaluated: list[Output], population: Population
) -> None:
    candidates = phones(0, 1000)
    assert evaluated == truth.outputs(KeyClass.PHONE, candidates)
    under_share = outputs_under(thief.share, candidates)
    assert thief.dictionary(candidates, [under_share, evaluated], thief.peppers()) == set()


def test_with_the_pepper_on_the_node_a_dictionary_would_find_all(
    scene: Scene, thief: Thief, evaluated: list[Output], population: Population
) -> None:
    peppers = [*thief.peppers(), scene.pepper(thief.home)]
    assert thief.dictionary(phones(0, 1000), [evaluated], peppers) == set(population.phones)


def test_no_label_opens(scene: Scene, truth: Truth, thief: Thief, population: Population) -> None:
    tags = set(truth.report_tags(thief.home, KeyClass.PHONE, population.phones))
    rows = [row for row in entries_in(thief.home) if row.tag in tags]
    assert len(rows) == len(population.phones)
    outputs = truth.outputs(KeyClass.PHONE, population.phones)
    assert thief.labels(rows, outputs, thief.peppers()) == 0
    assert thief.labels(rows, outputs, [scene.pepper(thief.home)]) == len(
        rows
    )  # the same program with a pepper
