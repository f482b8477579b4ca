"""An evaluator learns who asked, which class, how many and when; never the value, never a match.

The adversary runs one of the committee's nodes. It has that node's database, log, keys and share, its own client's
pepper, and every byte that its node receives and sends. Another member, Dune, queries. The adversary

1. is given two values of which Dune queried one, and guesses which: by what the blinded element would be if it had
   been made without a blind, under its own share, or under the blinds of a predictable generator;
2. searches everything it has for the values that Dune queried, raw, hashed, or keyed with any of its secrets;
3. has reported some values itself, and guesses whether Dune found a match, from all that its node hears of Dune.

The weakened variants are clients that the program builds for itself: one whose blinds come from a predictable
generator, one that does not blind at all, and one that confirms each match at the reporter's node.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from tests.adversary.game import TRIALS, Coins, Game, learn, score
from tests.adversary.population import BAIT, TRAINING, Population
from tests.adversary.scene import Heard, Scene, elements_of, emails, heard_size, shares_of
from tests.adversary.searching import disk, needles, search, traffic
from tests.adversary.wire import NodeLine
from tocsin.client import Client
from tocsin.client.evaluating import Evaluator
from tocsin.founding.members import open_part
from tocsin.indicators.registry import KeyClass, Observable
from tocsin.localnet.federation import Home
from tocsin.oprf.group import Element, multiply, multiply_each, random_scalar
from tocsin.v1 import evaluation_pb2

DUNE = 3


class Predictable:
    """A generator whose every byte an adversary can compute too."""

    def __init__(self) -> None:
        self._asked = 0

    def __call__(self, size: int) -> bytes:
        self._asked += 1
        return hashlib.shake_256(b"predictable" + self._asked.to_bytes(8, "big")).digest(size)


def without(size: int) -> bytes:
    """The generator of a client that does not blind: every scalar is one."""
    return (1).to_bytes(size, "little")


class Eavesdropper:
    """The owner of an evaluator's node."""

    def __init__(self, scene: Scene, home: Home) -> None:
        self.home = home
        self._scene = scene
        self._share = shares_of(home)[int(KeyClass.CONTACT), scene.homes.index(home) + 1]

    def elements(self, asker: bytes, since: int) -> list[Element]:
        """The elements that a member sent, in order."""
        return [
            Element(element)
            for heard in self._scene.heard(self.home, since)
            if heard.method == "EvaluatePartial" and heard.caller == asker
            for element in heard.read(evaluation_pb2.EvaluatePartialRequest).blinded_elements
        ]

    def guess(self, heard: Sequence[Element], pairs: Sequence[tuple[Observable, Observable]]) -> list[int]:
        """Say of each element which value of its pair was blinded."""
        predictable = Predictable()
        blinds = [random_scalar(predictable) for _ in pairs]
        images: list[list[set[Element]]] = []
        for side in (0, 1):
            plain = elements_of([pair[side] for pair in pairs])
            blinded = multiply_each(blinds, plain)
            shared = multiply(self._share, plain)
            images.append([set(points) for points in zip(plain, blinded, shared, strict=True)])
        return [
            0 if element in images[0][place] else 1 if element in images[1][place] else element[0] & 1
            for place, element in enumerate(heard)
        ]

    def belongings(self) -> tuple[bytes, list[bytes]]:
        """Everything on its machines but its client's own vault of values, and every secret that opens something."""
        secrets = [
            *open_part(self.home.folder, "node").values(),
            *open_part(self.home.folder, "client").values(),
            self._scene.pepper(self.home),
            self._share,
        ]
        heard = traffic(self._scene.heard(self.home))
        return b"\0".join((disk(self.home.folder / "node"), heard, *secrets)), secrets


def play(
    scene: Scene, seed: str, random: Callable[[int], bytes] | None
) -> tuple[Game, Eavesdropper, list[Observable]]:
    """Dune queries one value of each of 200 pairs, with its own randomness or a weaker one; the adversary guesses."""
    coins = Coins(seed).flips(TRIALS)
    pairs = list(zip(emails(f"{seed}/0", TRIALS), emails(f"{seed}/1", TRIALS), strict=True))
    queried = [pair[coin] for pair, coin in zip(pairs, coins, strict=True)]
    before = {home.name: heard_size(home) for home in scene.homes}
    with scene.client(DUNE) as client:
        if random is not None:
            client._session.evaluator.close()
            client._session.evaluator = Evaluator(
                client._session.node, client._session.vault.pending, random, 1000, 1
            )
        assert client.query(queried).evaluated == TRIALS
    dune = scene.homes[DUNE].id
    for home in scene.homes[:3]:
        adversary = Eavesdropper(scene, home)
        # A node that asks again, under another quorum, sends the same elements again.
        if heard := adversary.elements(dune, before[home.name])[:TRIALS]:
            return score(adversary.guess(heard, pairs), coins), adversary, queried
    raise AssertionError("no evaluator heard the batch")


def test_an_evaluator_does_not_tell_which_of_two_values_was_queried(scene: Scene) -> None:
    game, _, _ = play(scene, "evaluator", None)
    assert game.guessed, game


def test_predictable_blinds_would_tell_every_value(scene: Scene) -> None:
    game, _, _ = play(scene, "predictable", Predictable())
    assert game.won, game


def test_an_evaluator_finds_no_value_in_anything_it_has(scene: Scene) -> None:
    _, adversary, queried = play(scene, "searched", None)
    content, secrets = adversary.belongings()
    assert search(content, needles(queried, secrets)) == set()


def test_values_that_were_not_blinded_would_be_found(scene: Scene) -> None:
    game, adversary, queried = play(scene, "unblinded", without)
    content, secrets = adversary.belongings()
    assert len(search(content, needles(queried, secrets))) == TRIALS
    assert game.won, game


def features(heard: Sequence[Heard], asker: bytes) -> list[float]:
    """Everything countable about what a node heard from a member while that member made one query."""
    from_asker = [call for call in heard if call.caller == asker]
    methods = Counter(call.method for call in from_asker)
    named = (
        "EvaluatePartial",
        "GetBudget",
        "ListEntries",
        "GetProvenEntries",
        "GetConsistencyProof",
        "ListCheckpoints",
    )
    return [
        *(methods[name] for name in named),
        len(from_asker),
        len(heard),
        sum(len(call.request) for call in from_asker),
        sum(len(call.answer) for call in from_asker),
    ]


def play_matches(
    scene: Scene, bait: Sequence[Observable], seed: str, query: Callable[[Client, Observable], bool]
) -> Game:
    """Dune queries 300 values one by one, by a coin bait of Aster's or a value that nobody reported.

    Aster is told the first 100 coins and guesses the others from what its node hears meanwhile.
    """
    aster, dune = scene.homes[0], scene.homes[DUNE]
    coins = Coins(seed).flips(TRAINING + TRIALS)
    reported, unknown = iter(bait), iter(emails(seed, TRAINING + TRIALS))
    trials: list[tuple[list[float], int]] = []
    with scene.client(DUNE) as client:
        for coin in coins:
            before = heard_size(aster)
            assert query(client, next(reported) if coin else next(unknown)) == bool(coin)
            trials.append((features(scene.heard(aster, before), dune.id), coin))
    stump = learn(trials[:TRAINING])
    return score([stump.guess(trial) for trial, _ in trials[TRAINING:]], coins[TRAINING:])


@pytest.mark.slow
def test_an_evaluator_does_not_tell_whether_a_query_matched(scene: Scene, population: Population) -> None:
    def query(client: Client, value: Observable) -> bool:
        return bool(client.query([value]).matches)

    game = play_matches(scene, population.bait[: BAIT // 2], "matched", query)
    assert game.guessed, game


@pytest.mark.slow
def test_confirming_matches_at_the_reporter_would_tell_them(scene: Scene, population: Population) -> None:
    aster, dune = scene.homes[0], scene.homes[DUNE]
    with NodeLine(scene.charter, dune, aster) as line:

        def query(client: Client, value: Observable) -> bool:
            matches = client.query([value]).matches
            for match in matches:
                line.proven_entry(match.writer, match.index)
            return bool(matches)

        game = play_matches(scene, population.bait[BAIT // 2 :], "confirmed", query)
    assert game.won, game
