"""Telling from two members' entries whether they concern one value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB

from tests.adversary.game import Game, score
from tests.adversary.population import TRAINING, Population
from tests.adversary.scene import Row, Scene, Truth, entries_in
from tocsin.indicators.registry import KeyClass
from tocsin.localnet.federation import Home


def reported_pairs(scene: Scene, truth: Truth, population: Population, home: Home) -> list[tuple[Row, Row]]:
    """Return Aster's and Borealis's entry at each place of their lists, out of a member's database."""
    rows = {(row.writer, row.tag): row for row in entries_in(home)}
    columns = []
    for writer, values in zip(scene.homes, (population.aster, population.borealis), strict=False):
        tags = truth.report_tags(writer, KeyClass.CONTACT, values)
        columns.append([rows[writer.id, tag] for tag in tags])
    return list(zip(*columns, strict=True))


def guess_equality(pairs: Sequence[tuple[Row, Row]], coins: Sequence[int], keys: Iterable[bytes]) -> Game:
    """Tell an adversary of the first 100 pairs whether they are of one value, and ask it of the others."""
    told = [(a, b, coin) for (a, b), coin in zip(pairs[:TRAINING], coins, strict=False)]
    return score(link(told, pairs[TRAINING:], keys), coins[TRAINING:])


def link(
    told: Sequence[tuple[Row, Row, int]], asked: Sequence[tuple[Row, Row]], keys: Iterable[bytes]
) -> list[int]:
    """Guess of pairs of entries whether they concern one value, having been told it of others.

    By equal tags, an XOR of tags seen on equal pairs, eight bytes in common anywhere, and by undoing the tags' cipher
    under every key at hand: to the same block, or to the two writers.
    """
    same = {_xor(a.tag, b.tag) for a, b, coin in told if coin}
    ciphers = [Cipher(AES256(key), ECB()).decryptor() for key in keys if len(key) == 32]
    guesses = []
    for a, b in asked:
        hints = [a.tag == b.tag, _xor(a.tag, b.tag) in same, bool(_windows(a.body) & _windows(b.body))]
        for cipher in ciphers:
            plain_a, plain_b = cipher.update(a.tag), cipher.update(b.tag)
            hints.append(plain_a == plain_b or (plain_a, plain_b) == (a.writer, b.writer))
        guesses.append(int(any(hints)))
    return guesses


def _xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def _windows(body: bytes) -> set[bytes]:
    return {body[at : at + 8] for at in range(len(body) - 7)}
