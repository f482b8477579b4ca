"""TARGETS §3 row 17: with at most c − t evaluators lost the outputs are the same; with more, UNAVAILABLE."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.parties import fresh_client, kill, outputs, start, until
from tests.federation import Federation
from tocsin.client.errors import TocsinError, Unavailable
from tocsin.oprf.rfc9497 import Output

VALUES = [("contact.email", f"lost-{number}@example.com") for number in range(8)]


def test_lost_evaluators(battered: Federation, tmp_path: Path) -> None:
    first, second, third, fourth = battered.homes
    vaults = iter(range(100))

    def evaluated() -> list[Output]:
        with fresh_client(fourth, tmp_path / f"vault-{next(vaults)}.db") as client:
            assert client.query(VALUES).evaluated == len(VALUES)
            return outputs(client, VALUES)

    def eventually() -> list[Output] | None:
        try:
            return evaluated()
        except TocsinError:
            return None

    whole = until("an evaluation by all", eventually)
    assert len(set(whole)) == len(VALUES)

    for lost, others in ((first, second), (second, third), (third, first)):
        kill(battered, lost)
        assert evaluated() == whole, f"without {lost.name}"
        if lost is not first:
            start(battered, lost)
            continue
        kill(battered, others)
        with pytest.raises(Unavailable, match="QUORUM_UNAVAILABLE"):
            evaluated()
        start(battered, lost)
        start(battered, others)
        assert until("an evaluation after both came back", eventually) == whole
