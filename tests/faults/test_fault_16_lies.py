"""Lies about evaluations fail at the client; the culprit is named, and the batch succeeds elsewhere.

The liars are processes of their own: the product's node with one function replaced (`lying_node.py`).
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.faults.parties import (
    audited,
    charter_of,
    fresh_client,
    kill,
    outputs,
    rows,
    start,
    start_lying,
    until,
)
from tests.federation import Federation, running
from tocsin.client.arguments import parse_value
from tocsin.client.errors import BadPartial, NodeMisbehaved, TocsinError
from tocsin.client.evaluating import Evaluator, Wanted
from tocsin.client.system import now
from tocsin.founding import keys as dealing
from tocsin.indicators.registry import KeyClass, Mode
from tocsin.localnet.federation import Home
from tocsin.oprf import dleq, group, rfc9497
from tocsin.oprf.rfc9497 import Output, finalize
from tocsin.oprf.rfc9497 import blind as honest_blind
from tocsin.proofs.verify import ProofKind, verify_proof

pytestmark = pytest.mark.slow
VECTORS = Path(__file__).parent.parent / "vectors"
VALUES = [("contact.email", f"lies-{number}@example.com") for number in range(5)]
EVALUATOR_LIES = (
    "one-wrong-element",
    "another-key",
    "the-rfcs-own-seed",
    "swapped-elements",
    "an-earlier-part",
)
NODE_LIES = (
    "swapped-parts",
    "an-earlier-answer",
    "two-quorums",
    "too-few",
    "one-twice",
    "a-key-of-its-own",
    "another-budget",
)


BY_CLASS = {
    KeyClass.PAYMENT: ("payment.iban", "GB82 WEST 1234 5698 7654 32", "DE89 3704 0044 0532 0130 00"),
    KeyClass.CONTACT: ("contact.email", "every-lie@example.com", "another@example.com"),
    KeyClass.PHONE: ("contact.phone", "+44 7700 900123", "+44 7700 900124"),
    KeyClass.IPV4: ("net.ipv4", "198.18.7.7", "198.18.7.8"),
    KeyClass.DEVICE: ("device.id", "acme:0123456789abcdef", "acme:fedcba9876543210"),
}


class Asker:
    """The fourth member, which has no seat; every question comes from a vault that knows nothing."""

    def __init__(self, federation: Federation, folder: Path) -> None:
        self.home = federation.homes[3]
        self.folder = folder
        self.asked = 0

    def evaluated(self) -> list[Output]:
        """F of `VALUES`; raises as `Client.query` does, having kept nothing."""
        self.asked += 1
        with fresh_client(self.home, self.folder / f"vault-{self.asked}.db") as client:
            try:
                client.query(VALUES)
            except TocsinError:
                assert outputs(client, VALUES) == [], "something of a lie was kept"
                raise
            return outputs(client, VALUES)

    def await_evaluated(self) -> list[Output]:
        """The same, once everybody can be reached."""

        def ask() -> list[Output] | None:
            try:
                return self.evaluated()
            except TocsinError:
                return None

        return until("an honest evaluation", ask)


@pytest.fixture
def asker(battered: Federation, tmp_path: Path) -> Iterator[Asker]:
    yield Asker(battered, tmp_path)
    # Its node keeps liars out of its quorums, also after a restart: for the next lie to be heard, it forgets this one.
    kill(battered, battered.homes[3])
    with closing(sqlite3.connect(battered.homes[3].folder / "node" / "node.db")) as database, database:
        database.execute("DELETE FROM audit WHERE kind = 'bad-partial'")


@pytest.mark.parametrize("lie", EVALUATOR_LIES)
def test_a_lying_evaluator_is_convicted_and_the_batch_goes_elsewhere(
    battered: Federation, asker: Asker, lie: str
) -> None:
    expected = asker.await_evaluated()
    liar = battered.homes[0]
    kill(battered, liar)
    say = start_lying(battered, liar, "nothing")
    # A node that has just started knows no quicker evaluator than seat 1.
    _restart(battered, asker.home)
    if lie == "an-earlier-part":
        asker.evaluated()
        _restart(battered, asker.home)
    say.write_text(lie)
    convicted = len(audited(asker.home, "bad-partial"))
    assert asker.evaluated() == expected
    assert audited(asker.home, "bad-partial")[convicted:] == [
        f"class=3 epoch=1 seat=1 evaluator={liar.id.hex()}"
    ]
    _check_evidence(asker, liar.id)
    # It is not asked again.
    assert asker.evaluated() == expected
    assert len(audited(asker.home, "bad-partial")) == convicted + 1


def _restart(battered: Federation, home: Home) -> None:
    kill(battered, home)
    start(battered, home)


def test_every_lie_of_an_evaluator_is_seen_through(battered: Federation, tmp_path: Path) -> None:
    """The liar is the own node's seat, which is in every first quorum; each lie is told of another class."""
    home = battered.homes[0]
    kill(battered, home)
    say = start_lying(battered, home, "nothing")
    values = [(type, text) for type, *texts in BY_CLASS.values() for text in texts]
    with fresh_client(home, tmp_path / "honest.db") as client:

        def ask() -> bool:
            try:
                return bool(client.query(values).evaluated)
            except TocsinError:
                return False

        until("an honest evaluation", ask)
        expected = outputs(client, values)
    with fresh_client(home, tmp_path / "lied-to.db") as client:
        for lie, (key_class, (type, *texts)) in zip(EVALUATOR_LIES, BY_CLASS.items(), strict=True):
            say.write_text(lie)
            client.query([(type, text) for text in texts])
            convicted = audited(home, "bad-partial")[-1]
            assert convicted == f"class={key_class:d} epoch=1 seat=1 evaluator={home.id.hex()}", lie
        assert outputs(client, values) == expected


def _check_evidence(asker: Asker, culprit: bytes) -> None:
    """What the asker's node kept convicts the liar before anybody who holds the charter, and nobody else."""
    charter = charter_of(asker.home)
    raw = rows(asker.home, "SELECT evidence FROM audit WHERE kind = 'bad-partial' ORDER BY no DESC")[0][0]
    found = verify_proof(raw, [charter])
    assert (found.kind, [member.id for member in found.members]) == (ProofKind.BAD_PARTIAL, [culprit])
    assert found.details["caller"] == asker.home.id.hex()


def test_when_no_quorum_can_do_without_liars_they_are_named(battered: Federation, asker: Asker) -> None:
    asker.await_evaluated()
    liars = battered.homes[:2]
    for liar in liars:
        kill(battered, liar)
        start_lying(battered, liar, "one-wrong-element")
    with pytest.raises(BadPartial) as caught:
        _patiently(asker.evaluated)
    assert set(caught.value.culprits) == {liar.id for liar in liars}
    assert {charter_of(asker.home).member(caught.value.member).name} <= {liar.name for liar in liars}


def _patiently(ask: Callable[[], list[Output]]) -> list[Output]:
    """Ask until something else than the pipe fails."""

    def once() -> Any:
        try:
            return [ask()]
        except BadPartial:
            raise
        except TocsinError:
            return None

    return list(until("an answer", once)[0])


def test_a_lying_own_node_is_caught_and_nothing_is_kept(battered: Federation, asker: Asker) -> None:
    expected = asker.await_evaluated()
    kill(battered, asker.home)
    say = start_lying(battered, asker.home, "nothing")
    assert asker.await_evaluated() == expected
    for lie in NODE_LIES:
        say.write_text(lie)
        with pytest.raises(NodeMisbehaved):
            asker.evaluated()
        say.write_text("nothing")
        assert asker.evaluated() == expected
    assert audited(asker.home, "false-complaint") == []


def test_the_forged_batch_convicts_its_sender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """4,096 wrong elements whose errors cancel: the proof holds by the RFC's rules, under a key of the vector's."""
    vector = json.loads((VECTORS / "batch-forgery.json").read_text())
    raw, count = (VECTORS / "batch-forgery.bin").read_bytes(), vector["elements"]
    blinded = group.decode_elements([raw[32 * i : 32 * (i + 1)] for i in range(count)])
    wrong = group.decode_elements([raw[32 * i : 32 * (i + 1)] for i in range(count, 2 * count)])
    secret = group.decode_scalar(bytes.fromhex(vector["secret_key"]))
    proof = dleq.decode_proof(bytes.fromhex(vector["proof"]))
    dleq.verify_proof(group.base_multiply(secret), blinded, wrong, proof, transcript_ending=b"")

    # Two of threshold one: each seat's key is the class key, and either alone can answer.
    order = iter(KeyClass)
    with monkeypatch.context() as dealt:
        dealt.setattr(
            dealing,
            "random_scalar",
            lambda random: secret if next(order) is KeyClass.CONTACT else group.random_scalar(random),
        )
        federation = running(tmp_path / "federation", 3, committee=2, threshold=1)
        running_now = federation.__enter__()
    try:
        liar, _, asking = running_now.homes
        kill(running_now, liar)
        start_lying(running_now, liar, "forged-batch")
        kill(running_now, asking)
        start(running_now, asking)
        inputs = [f"forged-{number}".encode() for number in range(count)]
        blindings = honest_blind(inputs, os.urandom)[0]
        monkeypatch.setattr(rfc9497, "blind", lambda *_: (blindings, blinded))
        kept: list[Output] = []

        def keep(_: Sequence[Wanted], found: Sequence[Output]) -> None:
            kept.extend(found)

        with fresh_client(asking, tmp_path / "vault.db") as client:
            client.status()
            standing = client._session.charter(now())
            key = standing.charter.class_key(3, 1)
            value = parse_value(VALUES[0], Mode(standing.charter.mode))
            evaluator = Evaluator(client._session.node, client._session.vault.pending, os.urandom, count, 1)
            evaluator.evaluate(standing, key, [Wanted(bytes(16), value)] * count, keep)
            evaluator.close()
        assert audited(asking, "bad-partial") == [f"class=3 epoch=1 seat=1 evaluator={liar.id.hex()}"]
        assert kept == finalize(blindings, group.multiply(secret, blinded))
        assert kept[0] != finalize(blindings[:1], wrong[:1])[0]
    finally:
        federation.__exit__(None, None, None)
