"""A band match alone opens nothing: whoever holds fewer than τ bands of a reported skeleton learns no bit of its label.

The adversary is a member. Of each reported template it holds τ − 1 bands, one less than open a record: their outputs F,
evaluated as its own values, with the peppers of every period and everybody's logs. It opens the boxes of these bands,
so it has τ − 1 slots of every record. With these it

1. guesses one bit of each label from all that it can measure, after being told that bit of as many others;
2. takes for record keys what its shares give it: each, every sum and difference, and what every subset combines to;
   looks whether one has the record's ref, and for its record in the logs;
3. asks the product, which combines from τ on.

That no key is likelier than another is shown by making, for any candidate, the polynomial that it lies on.

The weakened variant deals records with τ = 1: the same adversary with the same bands reads every label.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.adversary.game import TRIALS, Coins, learn, score
from tests.client.fake_node import FakeFederation
from tests.client.templates import BANDS, THRESHOLD, few_bands, template
from tests.drafts import report_draft
from tocsin.client.charters import ActiveCharter
from tocsin.client.matching import Taggers, look_up, open_bands
from tocsin.client.ports import NodeApi
from tocsin.client.system import now, random_bytes
from tocsin.client.templates.bands import Skeleton, stored_bands
from tocsin.indicators.registry import KeyClass
from tocsin.oprf.group import (
    Scalar,
    random_scalar,
    scalar_add,
    scalar_invert,
    scalar_mul,
    scalar_of,
    scalar_sub,
)
from tocsin.oprf.shares import combine_shares, lagrange
from tocsin.sealing.box import HEADER_BYTES, BadBox, Purpose, SealInfo, open_body, tags
from tocsin.sealing.label import AbuseKind, Report, parse_record
from tocsin.sealing.pepper import period_secret
from tocsin.sealing.record import BandSlot, make_record, ref_of

HELD = THRESHOLD - 1
TOLD = TRIALS // 2
KINDS = (AbuseKind.DISTILLATION, AbuseKind.RESALE)
WRITER, ADVERSARY = 1, 0


@dataclass
class Holder:
    """The adversary's belongings."""

    world: FakeFederation
    node: NodeApi
    standing: ActiveCharter
    slots: list[list[BandSlot]]
    """Of each reported template, what the boxes of the bands held gave."""

    def keys(self, trial: int) -> list[bytes]:
        """Every record key that a template's slots suggest."""
        shares = {slot.x: slot.share for slot in self.slots[trial]}
        found: list[Scalar] = list(shares.values())
        for one, two in itertools.permutations(shares.values(), 2):
            found += [scalar_add(one, two), scalar_sub(one, two)]
        for size in range(1, len(shares) + 1):
            found += [
                combine_shares({x: shares[x] for x in places})
                for places in itertools.combinations(shares, size)
            ]
        for quorum in itertools.combinations(range(1, BANDS + 1), THRESHOLD):
            weighted = [scalar_mul(lagrange(quorum, x), shares[x]) for x in quorum if x in shares]
            if weighted:
                found += [*weighted, combine(weighted)]
        return [bytes(share) for share in found]

    def records(self, key: bytes) -> list[Report]:
        """What a key opens in the writer's log, in every period; the federation's only class epoch is 1."""
        writer = self.world.homes[WRITER].id
        opened = []
        for period in self.standing.periods(0, now()):
            info = SealInfo(int(KeyClass.CONTENT_BAND), 1, period)
            secret = period_secret(self.standing.pepper(period), key)
            tag = tags(secret, Purpose.RECORD, info, writer)
            for index in self.world.logs[writer].live(tag):
                entry = self.world.logs[writer].entries[index]
                assert entry is not None
                assert entry.body is not None
                header, body = entry.header.encode(), entry.body.encode()
                assert len(header) == HEADER_BYTES
                try:
                    plain = open_body(
                        secret, Purpose.RECORD, info, federation=self.standing.charter.federation,
                        writer=writer, header=header, body=body,
                    )  # fmt: skip
                except BadBox:
                    continue
                opened.append(parse_record(plain))
        return opened

    def reads(self, trial: int) -> AbuseKind | None:
        """The label's bit where a record opens."""
        ref = {slot.ref for slot in self.slots[trial]}
        for key in self.keys(trial):
            found = self.records(key)
            if ref_of(key) in ref or found:
                assert ref_of(key) in ref
                return found[0].abuse
        return None

    def features(self, trial: int) -> list[float]:
        """All that can be measured of a template's slots."""
        slots = self.slots[trial]
        numbers = [float(piece) for slot in slots for piece in (*slot.ref[:4], *slot.share[:4], slot.x)]
        return [float(len(slots)), *numbers]


def combine(terms: Sequence[Scalar]) -> Scalar:
    total = terms[0]
    for term in terms[1:]:
        total = scalar_add(total, term)
    return total


def played(world: FakeFederation, coins: Sequence[int]) -> Holder:
    """Report a template for every coin, which says its label's bit, and give the adversary HELD bands of each."""
    writer = world.node(WRITER)
    with world.client(WRITER, writer) as client:
        client.submit(
            [report_draft(template(f"t{number}"), KINDS[coin]) for number, coin in enumerate(coins)]
        )
    writer.tick()
    node = world.node(ADVERSARY)
    with world.client(ADVERSARY, node) as client:
        held = [template(f"asked {number}", f"t{number}", places=range(HELD)) for number in range(len(coins))]
        result = client.query(held)
        # The product's own answer, of which the adversary makes no use here.
        assert (result.problems, len(result.matches) in (0, len(coins))) == ((), True)
        standing, slots = client._session.charter(now()), []
        taggers = Taggers(standing, [world.homes[WRITER].id], standing.periods(0, now()), (Purpose.REPORT,))
        for value in held:
            keys = tuple(client._session.vault.key_of(band) for band in value.bands)
            subjects = stored_bands(client._session.vault, standing, [Skeleton(b"", keys)], now())
            opened = open_bands(node, standing, look_up(node, taggers, subjects), now()).opened
            slots.append(sorted((slot for box in opened for slot in box.content), key=lambda slot: slot.x))
    return Holder(world, node, standing, slots)


@pytest.fixture
def world(tmp_path: Path) -> FakeFederation:
    return FakeFederation(tmp_path)


@pytest.mark.slow
def test_fewer_bands_than_the_threshold_give_no_bit_of_a_label(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_bands(monkeypatch)
    coins = Coins("bands").flips(TRIALS + TOLD)
    holder = played(world, coins)
    assert all(len(slot) == HELD for slot in holder.slots)
    assert [holder.reads(trial) for trial in range(len(coins))] == [None] * len(coins)
    stump = learn([(holder.features(trial), coins[trial]) for trial in range(TOLD)])
    guesses = [stump.guess(holder.features(trial)) for trial in range(TOLD, len(coins))]
    assert score(guesses, coins[TOLD:]).guessed


@pytest.mark.slow
def test_with_a_threshold_of_one_the_same_adversary_reads_every_label(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_bands(monkeypatch, threshold=1)
    coins = Coins("weakened").flips(TRIALS)
    holder = played(world, coins)
    guesses = []
    for trial in range(TRIALS):
        read = holder.reads(trial)
        guesses.append(0 if read is None else KINDS.index(read))
    assert score(guesses, coins).won


def test_a_single_band_gives_a_single_share(world: FakeFederation, monkeypatch: pytest.MonkeyPatch) -> None:
    few_bands(monkeypatch)
    holder = played(world, [0, 1])
    for trial in (0, 1):
        for slot in holder.slots[trial]:
            alone = Holder(world, holder.node, holder.standing, [[slot]])
            assert alone.reads(0) is None


@pytest.mark.parametrize("threshold", range(2, 6))
def test_for_every_candidate_key_there_are_shares_that_agree_with_what_is_held(threshold: int) -> None:
    """τ − 1 shares lie on exactly one polynomial with any candidate: dealt at random, all are equally likely."""
    record = make_record(BANDS, threshold, random_bytes)
    held = {x: record.shares[x - 1] for x in range(1, threshold)}
    candidates = [*(random_scalar(random_bytes) for _ in range(20)), scalar_of(1), Scalar(record.key)]
    for candidate in candidates:
        # The share that makes the candidate the key, from key = Σ λ_x·share_x over the bands held and one more.
        for missing in range(threshold, BANDS + 1):
            quorum = [*held, missing]
            partial = combine([scalar_mul(lagrange(quorum, x), share) for x, share in held.items()])
            weight = lagrange(quorum, missing)
            share = scalar_mul(scalar_sub(candidate, partial), scalar_invert(weight))
            assert combine_shares({**held, missing: share}) == candidate
            if bytes(candidate) == bytes(record.key):
                assert share == record.shares[missing - 1]
    # The ref tells the key from the others, so it is a check on a guess among 2^252, and on nothing smaller.
    refs = [ref_of(bytes(candidate)) for candidate in candidates]
    assert [ref == record.ref for ref in refs] == [False] * (len(refs) - 1) + [True]


@pytest.mark.parametrize("shares", [HELD, THRESHOLD])
def test_the_product_opens_from_the_threshold_on(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch, shares: int
) -> None:
    few_bands(monkeypatch)
    writer = world.node(WRITER)
    with world.client(WRITER, writer) as client:
        client.submit([report_draft(template("t"), KINDS[1])])
    writer.tick()
    with world.client(ADVERSARY) as client:
        result = client.query([template("asked", "t", places=range(shares))])
    assert result.problems == ()
    assert [match.bands for match in result.matches] == ([THRESHOLD] if shares == THRESHOLD else [])


def test_bands_of_several_templates_do_not_add_up(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bands that agree with different records, one each, are of different refs, and open none of them."""
    few_bands(monkeypatch)
    writer = world.node(WRITER)
    mixed = template("asked")
    with world.client(WRITER, writer) as client:
        client.submit(
            [report_draft(template(f"t{place}", "asked", places=[place]), KINDS[0]) for place in range(BANDS)]
        )
    writer.tick()
    with world.client(ADVERSARY) as client:
        result = client.query([mixed])
    assert (result.matches, result.problems) == ((), ())
