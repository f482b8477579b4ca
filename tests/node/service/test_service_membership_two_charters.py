"""Charters that are many: documents of one version (SPEC M-3.12), and versions on the wire."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.fakes.federation import Federation, Node, founded, sign_charter, successor
from tocsin.charter.envelope import SignedCharter
from tocsin.charter.rules import TwoCharters, conflict
from tocsin.node.service import membership
from tocsin.proofs.two_charters import parse_two_charters


@pytest.fixture
def federation() -> Iterator[Federation]:
    with founded() as started:
        yield started


def evidence(node: Node) -> list[tuple[SignedCharter, SignedCharter]]:
    """Return the pairs of envelopes that a node keeps."""
    kept = []
    for _, kind, _, data in node.gateway.read_now(lambda snapshot: snapshot.audit(99)):
        if kind == "two-charters":
            proof = parse_two_charters(data)
            kept.append((proof.first, proof.second))
    return kept


def show(node: Node, signed: SignedCharter) -> None:
    with pytest.raises(TwoCharters):
        asyncio.run(node.membership.adopt(signed.encode()))


def test_one_pair_for_a_version_and_its_signers_is_enough(federation: Federation) -> None:
    node = federation[1]
    for seconds in range(1, 6):
        show(node, sign_charter(replace(federation.charter, tick_seconds=seconds), (3,)))
    assert len(evidence(node)) == 1
    # Another culprit is another pair.
    show(node, sign_charter(replace(federation.charter, tick_seconds=7), (2,)))
    assert len(evidence(node)) == 2


def test_the_pair_kept_is_of_one_version(federation: Federation) -> None:
    node = federation[1]
    asyncio.run(node.membership.adopt(successor(federation, (1, 2)).encode()))
    other = sign_charter(replace(federation.charter, tick_seconds=5), (3,))
    show(node, other)
    ((first, second),) = evidence(node)
    assert (first, second) == (federation.envelope, other)
    with pytest.raises(TwoCharters):
        conflict(first, second)


def test_an_answer_with_charters_fits_into_a_message(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, charter = federation[1], federation.charter
    envelopes = [federation.envelope.encode()]
    for version in range(2, 8):
        signed = sign_charter(replace(charter, version=version), (1, 2, 3))
        asyncio.run(node.membership.adopt(signed.encode()))
        envelopes.append(signed.encode())
    monkeypatch.setattr(membership, "MAX_CHARTERS_BYTES", 2 * len(envelopes[1]) + 9)
    found: list[bytes] = []
    while len(found) < len(envelopes):
        page = asyncio.run(node.membership.charters(len(found) + 1))
        assert 1 <= len(page) <= 2
        found += page
    assert found == envelopes
    # One is given however large it is.
    monkeypatch.setattr(membership, "MAX_CHARTERS_BYTES", 1)
    assert asyncio.run(node.membership.charters(3)) == [envelopes[2]]
    # Who follows catches up over several rounds.
    monkeypatch.setattr(membership, "MAX_CHARTERS_BYTES", 2 * len(envelopes[1]) + 9)
    for _ in range(4):
        asyncio.run(federation[2].following.round(node.id))
    assert federation[2].membership.charter.version == 7
