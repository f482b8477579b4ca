"""T − 1 evaluators together learn no more than one: not the class key, not any value.

The adversary is a coalition of committee members. It pools their node keys, opens their share files, knows the pepper,
the commitments and everybody's logs, and has a list of a thousand candidates that the reported values are among. It

1. interpolates every subset of its shares, takes single shares and every multiple of them that a quorum would weigh
   them with for keys, compares each with the public key, and searches the logs under every one of them offline;
2. is given two keys, one of which was split, and guesses which from t − 1 shares.

The weakened variants: the same coalition with t shares, and a committee whose threshold is 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import pytest

from tests.adversary.game import TRIALS, Coins, score
from tests.adversary.population import Population
from tests.adversary.scene import (
    EPOCH,
    Scene,
    entries_in,
    open_pepper,
    outputs_under,
    phones,
    shares_of,
    tags_under,
)
from tocsin.charter.document import Charter, ClassKey, parse_charter
from tocsin.charter.envelope import parse_envelope
from tocsin.client.system import now, random_bytes
from tocsin.founding.members import open_part
from tocsin.indicators.registry import KeyClass, Observable
from tocsin.localnet.federation import Home, found
from tocsin.oprf.group import Scalar, base_multiply, random_scalar, scalar_add, scalar_mul
from tocsin.oprf.shares import combine_shares, lagrange, public_key, split
from tocsin.sealing.box import SealInfo

NUMBER = int(KeyClass.PHONE)


def guessed_keys(shares: Mapping[int, Scalar], c: int, t: int) -> list[Scalar]:
    """Every key that a coalition can think of."""
    keys = [combine_shares({seat: shares[seat] for seat in subset}) for subset in _subsets(sorted(shares))]
    for quorum in combinations(range(1, c + 1), t):
        own = [scalar_mul(lagrange(quorum, seat), shares[seat]) for seat in quorum if seat in shares]
        if own:
            total = own[0]
            for share in own[1:]:
                total = scalar_add(total, share)
            keys += [total, *own]
    return list(dict.fromkeys([*keys, *shares.values()]))


def _subsets(seats: Sequence[int]) -> list[tuple[int, ...]]:
    return [subset for size in range(1, len(seats) + 1) for subset in combinations(seats, size)]


def search_logs(
    keys: Sequence[Scalar],
    candidates: Sequence[Observable],
    pepper: bytes,
    info: SealInfo,
    writers: Sequence[bytes],
    tags: set[bytes],
) -> set[Observable]:
    """Evaluate all candidates under each key and return those whose tag is in a log."""
    return {
        value
        for key in keys
        for value, output in zip(candidates, outputs_under(key, candidates), strict=True)
        if tags.intersection(tags_under(output, pepper, info, writers))
    }


def coalition_of(homes: Sequence[Home], federation: str) -> dict[int, Scalar]:
    """The shares that members together open with their node keys."""
    return {
        seat: share
        for home in homes
        for (number, seat), share in shares_of(home, federation).items()
        if number == NUMBER
    }


def attack(scene: Scene, homes: Sequence[Home]) -> tuple[bool, set[Observable]]:
    """What a coalition gets out of the running federation: whether it has the key, and the values that it found."""
    class_key = scene.class_key(KeyClass.PHONE)
    keys = guessed_keys(coalition_of(homes, scene.charter.federation), 3, class_key.threshold)
    tags = {row.tag for row in entries_in(homes[0])}
    writers = [home.id for home in scene.homes]
    found = search_logs(
        keys, phones(0, 1000), scene.pepper(homes[0]), scene.info(KeyClass.PHONE), writers, tags
    )
    return public_key(class_key.commitments) in map(base_multiply, keys), found


def test_one_evaluator_of_a_threshold_of_two_gets_nothing(scene: Scene, population: Population) -> None:
    for home in scene.homes[1:3]:
        assert attack(scene, [home]) == (False, set())


def test_two_evaluators_would_get_everything(scene: Scene, population: Population) -> None:
    has_key, found = attack(scene, scene.homes[1:3])
    assert has_key
    assert found == set(population.phones)


class Founded:
    """A federation of five with a threshold of its own, whose nodes need not run, and a log of one of its members."""

    def __init__(self, folder: Path, threshold: int) -> None:
        self.homes = found(folder, 5, committee=5, threshold=threshold)
        envelope = parse_envelope((self.homes[0].client / "charter.json").read_bytes())
        self.charter: Charter = parse_charter(envelope.document)
        self.class_key: ClassKey = self.charter.class_key(NUMBER, EPOCH)
        self.info = SealInfo(NUMBER, EPOCH, self.charter.period_at(now()))
        client_key = open_part(self.homes[0].folder, "client")["client_hpke"]
        self.pepper = open_pepper(self.charter, self.homes[0], client_key)
        self.reported = phones(500, 40)
        shares = coalition_of(self.homes[:threshold], self.charter.federation)
        outputs = outputs_under(combine_shares(shares), self.reported)
        self.tags = {tags_under(output, self.pepper, self.info, [self.homes[4].id])[0] for output in outputs}

    def attack(self, members: int) -> tuple[bool, set[Observable]]:
        """What a coalition of the first so many members gets."""
        shares = coalition_of(self.homes[:members], self.charter.federation)
        keys = guessed_keys(shares, 5, self.class_key.threshold)
        found = search_logs(
            keys, phones(490, 60), self.pepper, self.info, [home.id for home in self.homes], self.tags
        )
        return public_key(self.class_key.commitments) in map(base_multiply, keys), found


@pytest.mark.parametrize(("threshold", "members"), [(3, 2), (3, 1)])
def test_fewer_than_the_threshold_get_nothing(tmp_path: Path, threshold: int, members: int) -> None:
    assert Founded(tmp_path, threshold).attack(members) == (False, set())


@pytest.mark.parametrize(("threshold", "members"), [(3, 3), (1, 1)])
def test_as_many_as_the_threshold_would_get_everything(tmp_path: Path, threshold: int, members: int) -> None:
    founded = Founded(tmp_path, threshold)
    assert founded.attack(members) == (True, set(founded.reported))


def which_key(shares: Mapping[int, Scalar], pair: Sequence[Scalar], c: int, t: int) -> int:
    """Guess which of two keys was split."""
    keys = set(guessed_keys(shares, c, t))
    for side in (0, 1):
        if pair[side] in keys:
            return side
    return (combine_shares(shares)[0] ^ pair[0][0]) & 1


@pytest.mark.parametrize("members", [2, 3])
def test_shares_below_the_threshold_do_not_tell_which_key_was_split(members: int) -> None:
    coins = Coins(f"split/{members}").flips(TRIALS)
    guesses = []
    for coin in coins:
        pair = [random_scalar(random_bytes), random_scalar(random_bytes)]
        dealt = split(pair[coin], 5, 3, random_bytes)
        guesses.append(which_key(dict(enumerate(dealt.shares[:members], 1)), pair, 5, 3))
    game = score(guesses, coins)
    assert game.guessed if members < 3 else game.won, game
