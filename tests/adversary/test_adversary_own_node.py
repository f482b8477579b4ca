"""A member's own node, honest or not, sees blinded elements, tags and which entries are opened; it
learns no raw value, F, K, pepper or label. It can withhold a match, never invent one.

The adversary has full control of Aster's node, which holds seat 1: its keys, share, database, and every byte between it
and Aster's client, which it may change at will. It colludes with another member's client, so it has the pepper too,
which no node has. It

1. listens: of two values it guesses which its client screened, by the tags asked for and the elements sent, under
   every key that it has; it searches its whole disk and traffic for the values and for what opens labels;
2. answers evaluations under a key of its own, signed in every way that it can; with partials of another batch, another
   quorum, another class; with elements swapped, with a partial twice, with too few; and then searches the tags that the
   client asks for under its own key;
3. invents matches, with every proof and checkpoint that it can think of.

The weakened variants: a client that does not verify partials, and one that does not check inclusion while another
holder of the value colludes. Withholding works, and is documented.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.adversary.forging import OWN_CHECKPOINT, TRUE_CHECKPOINT, Forger, ForgingNode, Way, behind
from tests.adversary.game import TRIALS, Coins, score
from tests.adversary.population import Population, report
from tests.adversary.scene import (
    EPOCH,
    Scene,
    Truth,
    emails,
    heard_size,
    outputs_under,
    shares_of,
    tags_under,
)
from tests.adversary.searching import disk, needles, search, traffic
from tests.adversary.wire import NodeLine
from tocsin.client import evaluating, matching
from tocsin.client.errors import BadPartial, Misbehaved, NodeMisbehaved
from tocsin.client.ports import NodeApi
from tocsin.client.system import random_bytes
from tocsin.founding.members import open_part
from tocsin.indicators.registry import KeyClass, Observable
from tocsin.oprf import threshold
from tocsin.oprf.group import Element, Scalar, random_scalar
from tocsin.oprf.rfc9497 import Output, blind
from tocsin.oprf.shares import Dealt, split
from tocsin.oprf.threshold import Context, PartialEvaluation
from tocsin.primitives.ed25519 import SigningKey
from tocsin.sealing.label import encode_label
from tocsin.sealing.pepper import period_secret
from tocsin.v1 import lookup_pb2
from tocsin.wire.values import SignedPartial, TagHit

ASTER, BOREALIS, CINDER = 0, 1, 2
NUMBER = int(KeyClass.CONTACT)


class Listener:
    """Aster's node as its owner sees it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.home = scene.homes[ASTER]
        self.keys = list(shares_of(self.home).values())
        self.pepper = scene.pepper(scene.homes[BOREALIS])

    def tags(self, since: int) -> set[bytes]:
        """Every tag that the client asked for."""
        found: set[bytes] = set()
        for heard in self.scene.heard(self.home, since):
            if heard.method == "LookUp":
                for group in heard.read(lookup_pb2.LookUpRequest).tags:
                    found.update(group.tags[at : at + 16] for at in range(0, len(group.tags), 16))
        return found

    def guess(
        self, tags: set[bytes], pairs: Sequence[tuple[Observable, Observable]], keys: Sequence[Scalar]
    ) -> list[int]:
        """Say which value of each pair was screened."""
        known = [
            {place for place, pair in enumerate(pairs) if self._asked(tags, pair[side], keys)}
            for side in (0, 1)
        ]
        return [
            0 if place in known[0] else 1 if place in known[1] else place & 1 for place in range(len(pairs))
        ]

    def _asked(self, tags: set[bytes], value: Observable, keys: Sequence[Scalar]) -> bool:
        writers = [home.id for home in self.scene.homes]
        info = self.scene.info(KeyClass.CONTACT)
        return any(
            tags.intersection(tags_under(outputs_under(key, [value])[0], self.pepper, info, writers))
            for key in keys
        )


@pytest.fixture
def listener(scene: Scene) -> Listener:
    return Listener(scene)


@pytest.mark.parametrize("honest", [True, False], ids=["shares", "whole key"])
def test_the_own_node_does_not_tell_which_of_two_values_was_screened(
    scene: Scene, truth: Truth, listener: Listener, honest: bool
) -> None:
    """With the whole class key, which t evaluators would have, the same program tells every one."""
    seed = f"own node/{honest}"
    coins = Coins(seed).flips(TRIALS)
    pairs = list(zip(emails(f"{seed}/0", TRIALS), emails(f"{seed}/1", TRIALS), strict=True))
    since = heard_size(listener.home)
    with scene.client(ASTER) as client:
        assert client.query([pair[coin] for pair, coin in zip(pairs, coins, strict=True)]).evaluated == TRIALS
    contact = [share for (number, _), share in shares_of(listener.home).items() if number == NUMBER]
    keys = contact if honest else [truth.key(KeyClass.CONTACT)]
    game = score(listener.guess(listener.tags(since), pairs, keys), coins)
    assert game.guessed if honest else game.won, game


def test_nothing_on_the_own_node_opens_anything(
    scene: Scene, truth: Truth, listener: Listener, population: Population
) -> None:
    heard = traffic(scene.heard(listener.home))
    secrets = [*open_part(listener.home.folder, "node").values(), *listener.keys]
    content = b"\0".join((disk(listener.home.folder / "node"), heard, *secrets))
    assert search(content, needles(population.aster, secrets)) == set()
    assert bytes(listener.pepper) not in content
    for output in truth.outputs(KeyClass.CONTACT, population.aster):
        assert content.find(output) == content.find(period_secret(listener.pepper, output)) == -1
    assert (
        content.find(encode_label(report())[:16]) == -1
    )  # version, kind and type, with which every such label begins


class RogueNode:
    """Aster's node with the adversary in it: evaluates as `way` says, and keeps the tags that it is then asked for."""

    def __init__(self, scene: Scene, real: NodeApi, way: RogueWay) -> None:
        self.scene = scene
        self.real = real
        self.home = scene.homes[ASTER]
        self.key = random_scalar(random_bytes)
        self.dealt: Dealt = split(self.key, 3, 2, random_bytes)
        self.tags: set[bytes] = set()
        self.complaints = 0
        self._way = way

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def evaluate(
        self,
        key_class: int,
        epoch: int,
        committee_hash: bytes,
        blinded: Sequence[Element],
        complaints: Sequence[SignedPartial],
    ) -> list[SignedPartial]:
        """Answer as the adversary likes."""
        self.complaints += len(complaints)
        return self._way(self, committee_hash, blinded)

    def look_up(self, groups: Sequence[tuple[bytes, bytes]]) -> list[TagHit]:
        """Keep what is asked for, and answer truly."""
        for _, joined in groups:
            self.tags.update(joined[at : at + 16] for at in range(0, len(joined), 16))
        return self.real.look_up(groups)

    def truly(
        self, committee_hash: bytes, blinded: Sequence[Element], number: int = NUMBER
    ) -> list[SignedPartial]:
        """What an honest node would answer."""
        return self.real.evaluate(number, EPOCH, committee_hash, blinded, [])

    def context(self, seat: int, quorum: tuple[int, ...]) -> Context:
        """The context that Aster's client expects of a seat."""
        class_key = self.scene.class_key(KeyClass.CONTACT)
        return Context(
            self.scene.charter.federation,
            NUMBER,
            EPOCH,
            class_key.committee_hash,
            seat,
            class_key.committee[seat - 1],
            self.home.id,
            quorum,
        )

    def signed(
        self,
        seat: int,
        blinded: Sequence[Element],
        partial: PartialEvaluation,
        quorum: tuple[int, ...] = (1, 2),
    ) -> SignedPartial:
        """Put a partial in any seat's name, signed with the only node key that the adversary has."""
        context = self.context(seat, quorum)
        statement = threshold.signed_statement(context, blinded, partial, 1, 1)
        signature = SigningKey(open_part(self.home.folder, "node")["node"]).sign(statement)
        return SignedPartial(seat, context.evaluator, quorum, partial, 1, 1, signature)

    def under_own_key(self, seat: int, blinded: Sequence[Element]) -> PartialEvaluation:
        """A partial of the adversary's key, with a proof that is good for that key."""
        share = self.dealt.shares[seat - 1]
        context = self.context(seat, (1, 2))
        return threshold.evaluate(share, self.dealt.commitments, context, blinded, random_bytes)


RogueWay = Callable[[RogueNode, bytes, Sequence[Element]], list[SignedPartial]]


def under_its_own_key(
    node: RogueNode, committee_hash: bytes, blinded: Sequence[Element]
) -> list[SignedPartial]:
    return [node.signed(seat, blinded, node.under_own_key(seat, blinded)) for seat in (1, 2)]


def own_key_with_true_signatures(
    node: RogueNode, committee_hash: bytes, blinded: Sequence[Element]
) -> list[SignedPartial]:
    true = node.truly(committee_hash, blinded)
    return [
        replace(answer, partial=node.under_own_key(place, blinded)) for place, answer in enumerate(true, 1)
    ]


def own_seat_under_its_own_key(
    node: RogueNode, committee_hash: bytes, blinded: Sequence[Element]
) -> list[SignedPartial]:
    with NodeLine(node.scene.charter, node.home, node.scene.homes[BOREALIS]) as line:
        other = line.evaluate_partial(NUMBER, EPOCH, 2, (1, 2), blinded)
    return [node.signed(1, blinded, node.under_own_key(1, blinded)), other]


def of_an_earlier_batch(
    node: RogueNode, committee_hash: bytes, blinded: Sequence[Element]
) -> list[SignedPartial]:
    _, others = blind([random_bytes(8) for _ in blinded], random_bytes)
    return node.truly(committee_hash, others)


def of_mixed_quorums(
    node: RogueNode, committee_hash: bytes, blinded: Sequence[Element]
) -> list[SignedPartial]:
    found = []
    for number, seat, quorum in ((BOREALIS, 2, (1, 2)), (CINDER, 3, (1, 3))):
        with NodeLine(node.scene.charter, node.home, node.scene.homes[number]) as line:
            found.append(line.evaluate_partial(NUMBER, EPOCH, seat, quorum, blinded))
    return found


def of_mixed_quorums_relabelled(
    node: RogueNode, committee_hash: bytes, blinded: Sequence[Element]
) -> list[SignedPartial]:
    return [replace(answer, quorum=(2, 3)) for answer in of_mixed_quorums(node, committee_hash, blinded)]


def of_another_class(
    node: RogueNode, committee_hash: bytes, blinded: Sequence[Element]
) -> list[SignedPartial]:
    class_key = node.scene.class_key(KeyClass.PAYMENT)
    return node.truly(class_key.committee_hash, blinded, int(KeyClass.PAYMENT))


def one_partial_twice(
    node: RogueNode, committee_hash: bytes, blinded: Sequence[Element]
) -> list[SignedPartial]:
    true = node.truly(committee_hash, blinded)
    return [true[0], true[0]]


def too_few(node: RogueNode, committee_hash: bytes, blinded: Sequence[Element]) -> list[SignedPartial]:
    return node.truly(committee_hash, blinded)[:1]


def swapped_elements(
    node: RogueNode, committee_hash: bytes, blinded: Sequence[Element]
) -> list[SignedPartial]:
    true = node.truly(committee_hash, blinded)
    return [
        replace(answer, partial=replace(answer.partial, evaluated=answer.partial.evaluated[::-1]))
        for answer in true
    ]


def swapped_questions(
    node: RogueNode, committee_hash: bytes, blinded: Sequence[Element]
) -> list[SignedPartial]:
    return node.truly(committee_hash, blinded[::-1])


LIES: tuple[RogueWay, ...] = (
    under_its_own_key,
    own_key_with_true_signatures,
    own_seat_under_its_own_key,
    of_an_earlier_batch,
    of_mixed_quorums,
    of_mixed_quorums_relabelled,
    of_another_class,
    one_partial_twice,
    too_few,
    swapped_elements,
    swapped_questions,
)


def found_offline(node: RogueNode, candidates: Sequence[Observable]) -> set[Observable]:
    """Search the tags that the client asked for under the adversary's own key: no evaluator is asked."""
    scene = node.scene
    pepper, info = scene.pepper(scene.homes[BOREALIS]), scene.info(KeyClass.CONTACT)
    writers = [home.id for home in scene.homes]
    return {
        value
        for value, output in zip(candidates, outputs_under(node.key, candidates), strict=True)
        if node.tags.intersection(tags_under(output, pepper, info, writers))
    }


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_a_lying_node_is_caught_before_anything_is_asked_of_it(scene: Scene, lie: RogueWay) -> None:
    values = emails(f"lie/{lie.__name__}", 20)
    with scene.client(ASTER) as client:
        node = RogueNode(scene, client._session.node, lie)
        with behind(client, node), pytest.raises(Misbehaved) as caught:
            client.query(values)
        assert node.tags == set()
        assert found_offline(node, values) == set()
        # Only its own signed lie convicts Aster as an evaluator; whatever else is wrong is laid at the relaying node.
        convicted = lie is own_seat_under_its_own_key
        assert isinstance(caught.value, BadPartial if convicted else NodeMisbehaved)
        if isinstance(caught.value, BadPartial):
            assert caught.value.culprits == (node.home.id,)
            assert node.complaints == 1
        assert client.query(values).evaluated == len(values)  # nothing of the lie was kept


@contextmanager
def trusting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make a client that believes its node: it verifies no signature and no proof."""
    with monkeypatch.context() as patched:
        patched.setattr(evaluating, "verify_signature", lambda *_: None)
        patched.setattr(threshold, "verify", lambda *_: None)
        yield


def test_a_client_that_trusts_its_node_would_be_searched_offline(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidates = emails("candidates", 500)
    screened = candidates[::10]
    with scene.client(ASTER) as client, trusting(monkeypatch):
        node = RogueNode(scene, client._session.node, under_its_own_key)
        with behind(client, node):
            client.query(screened)
        client._session.vault.forget_epoch("contact.email", EPOCH)
    assert found_offline(node, candidates) == set(screened)


def invented(
    scene: Scene, values: Sequence[Observable], outputs: Sequence[Output | None], ways: Sequence[Way]
) -> int:
    """Count the matches that Aster's node makes its client believe, with or without a holder's help."""
    found = 0
    label = encode_label(report())
    with scene.client(ASTER) as client:
        client.query(values)
        for way in ways:
            for value, output in zip(values, outputs, strict=True):
                forger = Forger(
                    scene, scene.homes[ASTER], scene.homes[BOREALIS], KeyClass.CONTACT, output, label
                )
                node = ForgingNode(client._session.node, forger, way)
                with behind(client, node):
                    try:
                        found += len(client.query([value]).matches)
                    except NodeMisbehaved:
                        continue
                    finally:
                        assert node.asked == 1
    return found


def test_the_own_node_cannot_invent_a_match(scene: Scene) -> None:
    values = emails("invented", 40)
    assert invented(scene, values, [None] * len(values), (*TRUE_CHECKPOINT, *OWN_CHECKPOINT)) == 0


def test_without_the_check_of_inclusion_it_still_lacks_the_value_s_secret(
    scene: Scene, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two checks stand in its way. Without the first the second still does; a colluding holder takes that away too."""
    values = emails("invented without", 10)
    monkeypatch.setattr(matching, "verify_inclusion", lambda *_: None)
    assert invented(scene, values, [None] * len(values), TRUE_CHECKPOINT) == 0
    outputs = truth.outputs(KeyClass.CONTACT, values)
    assert invented(scene, values, outputs, TRUE_CHECKPOINT) == len(TRUE_CHECKPOINT) * len(values)


def test_it_can_withhold_a_match(scene: Scene, population: Population) -> None:
    """Possible, and stated in the threat model: nothing proves that a look-up was answered in full."""

    class Silent:
        def __init__(self, real: NodeApi) -> None:
            self._real = real

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def look_up(self, groups: Sequence[tuple[bytes, bytes]]) -> list[TagHit]:
            return []

    values = [value for value, coin in zip(population.aster, population.same, strict=True) if coin][:5]
    with scene.client(BOREALIS) as client:
        with behind(client, Silent(client._session.node)):
            assert client.query(values).matches == ()
        assert len(client.query(values).matches) == len(values)
