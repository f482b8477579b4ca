"""A member that does not hold x learns volumes; not which values, not which entries of different
members concern one value, no label, not what kind an entry is.

The adversary is Dune: a member without a seat, with its node's database (a copy of every log), the pepper, its client's
keys, and the outputs F of 200 values of its own. It

1. is given an entry of Aster and one of Borealis, and guesses whether they concern one value: by equal tags, by any
   eight bytes in common, by an XOR of tags seen before, by undoing the tag's cipher under every key it can derive;
2. tries to open every entry in its database under each of its outputs, and under keys derived from the pepper alone;
3. is told of 100 entries of Aster which are reports, and guesses it of 200 others, which are reports, disputes,
   records or cover: from headers, sizes, the statistics of their bytes and their neighbours.

The weakened variants are entries that the program seals for itself: tags that do not depend on the writer, boxes under
the pepper alone, boxes without padding.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence

import pytest

from tests.adversary.game import TRIALS, Coins, Game, learn, score
from tests.adversary.linking import guess_equality, reported_pairs
from tests.adversary.population import TRAINING, Population, report
from tests.adversary.scene import EPOCH, Row, Scene, Truth, emails, entries_in
from tocsin.charter.document import ClassKey
from tocsin.client.charters import ActiveCharter
from tocsin.client.sealing import seal_label
from tocsin.client.system import now, random_bytes
from tocsin.founding.members import open_part
from tocsin.indicators.registry import KeyClass, Observable
from tocsin.oprf.rfc9497 import OUTPUT_BYTES, Output
from tocsin.sealing.box import BadBox, Purpose, SealInfo, cover_body, open_body, seal
from tocsin.sealing.label import (
    Dispute,
    DisputeReason,
    encode_label,
)
from tocsin.sealing.pepper import Pepper, period_secret
from tocsin.tlog.entry import parse_header
from tocsin.wire.values import WireEntry

ASTER, BOREALIS, DUNE = 0, 1, 3


class NonHolder:
    """Dune, with what it has."""

    def __init__(self, scene: Scene, own: Sequence[Observable]) -> None:
        home = scene.homes[DUNE]
        self.scene = scene
        self.pepper = scene.pepper(home)
        self.secrets = [bytes(self.pepper), *open_part(home.folder, "client").values()]
        self.secrets += [secret for secret in open_part(home.folder, "node").values() if len(secret) == 32]
        with scene.client(DUNE) as client:
            client.query(own)
            keys = [client.key_of(value) for value in own]
            self.outputs = list(client._session.vault.outputs(EPOCH, keys).values())

    def keys(self) -> list[bytes]:
        """Every key that it has or can derive without a value's output."""
        labels = (b"tocsin/1 tag", b"tocsin/1 box", b"tocsin/1 pepper", b"")
        derived = [
            hmac.digest(secret, label + b"\x01", "sha256") for secret in self.secrets for label in labels
        ]
        return [*self.secrets, *derived]

    def open(self, rows: Sequence[Row], keys: Sequence[bytes]) -> int:
        """Count the entries that open under a report's or a dispute's secret made from any key."""
        opened = 0
        secrets = [period_secret(Pepper(self.pepper), key) for key in keys]
        for row in rows:
            header = parse_header(row.header)
            info = SealInfo(header.key_class, header.epoch, header.period)
            opened += any(
                self._opens(row, secret, purpose, info)
                for secret in secrets
                for purpose in (Purpose.REPORT, Purpose.DISPUTE)
            )
        return opened

    def _opens(self, row: Row, secret: bytes, purpose: Purpose, info: SealInfo) -> bool:
        try:
            open_body(
                secret,  # type: ignore[arg-type] # whatever bytes an adversary likes
                purpose,
                info,
                federation=self.scene.charter.federation,
                writer=row.writer,
                header=row.header,
                body=row.body,
            )
        except BadBox:
            return False
        return True


@pytest.fixture(scope="module")
def dune(scene: Scene, population: Population) -> NonHolder:
    return NonHolder(scene, emails("dune's own", 200))


@pytest.fixture(scope="module")
def pairs(scene: Scene, truth: Truth, population: Population) -> list[tuple[Row, Row]]:
    """Aster's and Borealis's entry at each place of their lists, out of Dune's database."""
    return reported_pairs(scene, truth, population, scene.homes[DUNE])


def test_equal_values_of_two_members_cannot_be_told(
    dune: NonHolder, pairs: list[tuple[Row, Row]], population: Population
) -> None:
    game = guess_equality(pairs, population.same, dune.keys())
    assert game.guessed, game


def test_tags_without_the_writer_would_tell_equal_values(
    dune: NonHolder, pairs: list[tuple[Row, Row]], population: Population
) -> None:
    def weak(row: Row, value: Observable) -> Row:
        tag = hmac.digest(dune.pepper, value.canonical, "sha256")[:16]
        return Row(row.writer, row.index, row.header, tag + row.body[16:])

    weakened = [
        (weak(a, mine), weak(b, theirs))
        for (a, b), mine, theirs in zip(pairs, population.aster, population.borealis, strict=True)
    ]
    game = guess_equality(weakened, population.same, dune.keys())
    assert game.won, game


def test_no_label_opens_under_another_value_s_output(dune: NonHolder, pairs: list[tuple[Row, Row]]) -> None:
    rows = [row for pair in pairs for row in pair]
    assert len(rows) >= 2 * TRIALS
    assert len(dune.outputs) == 200
    assert dune.open(rows[::3], [*dune.outputs, b"", *dune.secrets]) == 0


def test_boxes_under_the_pepper_alone_would_open(dune: NonHolder, pairs: list[tuple[Row, Row]]) -> None:
    secret = period_secret(dune.pepper, b"")
    rows = []
    for row, _ in pairs:
        header = parse_header(row.header)
        body = seal(
            secret,
            Purpose.REPORT,
            SealInfo(header.key_class, header.epoch, header.period),
            federation=dune.scene.charter.federation,
            writer=row.writer,
            header=row.header,
            plaintext=b"a label",
            random=random_bytes,
        )
        rows.append(Row(row.writer, row.index, row.header, body))
    assert dune.open(rows, [b"", *dune.secrets]) == len(rows)


class Kinds:
    """Aster writes 300 entries, by a coin reports or one of the other kinds, about values of its own."""

    def __init__(self, scene: Scene) -> None:
        self.coins = Coins("kinds").flips(TRAINING + TRIALS)
        values = emails("kinds", len(self.coins))
        with scene.client(ASTER) as client:
            assert not client.query(values).matches
            standing = client._session.charter(now())
            class_key = standing.charter.class_key(int(KeyClass.CONTACT), EPOCH)
            outputs = client._session.vault.outputs(EPOCH, [client.key_of(value) for value in values])
            self.entries = [
                seal_label(standing, class_key, output, report(), now(), random_bytes)
                if coin
                else self._other(place % 3, scene, standing, class_key, output)
                for place, (output, coin) in enumerate(
                    zip((outputs[client.key_of(value)] for value in values), self.coins, strict=True)
                )
            ]
            key = random_bytes(16)
            assert client._session.node.submit(key, self.entries).count == len(self.entries)
            scene.await_followed(60)
            done = client.submission(key)
            assert done is not None
            assert done.sequenced
            self.indices = done.indices

    @staticmethod
    def _other(
        kind: int, scene: Scene, standing: ActiveCharter, class_key: ClassKey, output: Output
    ) -> WireEntry:
        if kind == 0:
            dispute = Dispute("contact.email", ((scene.homes[BOREALIS].id, 0),), DisputeReason.SHARED_BY_MANY)
            return seal_label(standing, class_key, output, dispute, now(), random_bytes)
        like = seal_label(standing, class_key, output, report(), now(), random_bytes)
        if kind == 1:
            return WireEntry(like.header, cover_body(random_bytes))
        record_key = random_bytes(32)
        body = seal(
            period_secret(standing.pepper(parse_header(like.header).period), record_key),
            Purpose.RECORD,
            scene.info(KeyClass.CONTACT),
            federation=scene.charter.federation,
            writer=standing.member.id,
            header=like.header,
            plaintext=random_bytes(400),
            random=random_bytes,
        )
        return WireEntry(like.header, body)


def describe(rows: Sequence[Row]) -> dict[int, list[float]]:
    """Everything countable about entries as they lie in a database, by index."""
    found = {}
    for row in rows:
        header = parse_header(row.header)
        body = row.body
        counts = [0] * 16
        for byte in body:
            counts[byte >> 4] += 1
        mean = len(body) / 16
        found[row.index] = [
            len(row.header),
            len(body),
            header.kind,
            header.key_class,
            header.epoch,
            header.period,
            header.not_after,
            row.index % 2,
            row.index % 16,
            sum(body) / len(body),
            sum(byte.bit_count() for byte in body) / len(body),
            sum((count - mean) ** 2 / mean for count in counts),
            body.count(0),
            *body[:48],
            *body[-16:],
        ]
    return found


def play_kinds(rows: Sequence[Row], order: Sequence[int], coins: Sequence[int]) -> Game:
    """Tell the adversary which of 100 entries are reports, ask it of the other 200."""
    features = describe(rows)
    trials = [(features[index], coin) for index, coin in zip(order, coins, strict=True)]
    stump = learn(trials[:TRAINING])
    return score([stump.guess(trial) for trial, _ in trials[TRAINING:]], coins[TRAINING:])


def test_the_kind_of_an_entry_cannot_be_told(scene: Scene, population: Population) -> None:
    kinds = Kinds(scene)
    rows = [row for row in entries_in(scene.homes[DUNE]) if row.writer == scene.homes[ASTER].id]
    game = play_kinds(rows, kinds.indices, kinds.coins)
    assert game.guessed, game


@pytest.mark.parametrize("pad", [len, lambda label: 512], ids=["unpadded", "padded"])
def test_boxes_without_padding_would_tell_the_kind(scene: Scene, pad: Callable[[bytes], int]) -> None:
    """The same entries in a form of this program's own: the box as long as the label, or (the control) padded."""
    coins = Coins("unpadded").flips(TRAINING + TRIALS)
    dispute = Dispute("contact.email", ((scene.homes[BOREALIS].id, 0),), DisputeReason.SHARED_BY_MANY)
    template = entries_in(scene.homes[DUNE])[0]
    rows = []
    for index, coin in enumerate(coins):
        label = encode_label(report() if coin else dispute)
        rows.append(Row(template.writer, index, template.header, random_bytes(16 + 24 + pad(label) + 16)))
    game = play_kinds(rows, range(len(rows)), coins)
    assert game.won if pad is len else game.guessed, game


def test_outputs_are_what_the_product_s_client_keeps(dune: NonHolder, truth: Truth) -> None:
    """The adversary's outputs are the true ones: it fails for want of the values, not for want of a key."""
    assert all(len(output) == OUTPUT_BYTES for output in dune.outputs)
    assert set(dune.outputs) == set(truth.outputs(KeyClass.CONTACT, emails("dune's own", 200)))
