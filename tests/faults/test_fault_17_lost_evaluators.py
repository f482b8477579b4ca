"""With at most c − t evaluators lost the outputs are the same; with more, UNAVAILABLE."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.parties import audited, fresh_client, kill, outputs, start, until
from tests.federation import Federation
from tocsin.client.errors import TocsinError, Unavailable
from tocsin.oprf.rfc9497 import Output

VALUES = [("contact.email", f"lost-{number}@example.com") for number in range(8)]


@pytest.mark.slow
def test_lost_evaluators(battered: Federation, tmp_path: Path) -> None:
    first, second, _, fourth = battered.homes
    vaults = iter(range(10_000))

    def evaluated() -> list[Output]:
        with fresh_client(fourth, tmp_path / f"vault-{next(vaults)}.db") as client:
            assert client.query(VALUES).evaluated == len(VALUES)
            return outputs(client, VALUES)

    def eventually() -> list[Output] | None:
        try:
            return evaluated()
        except TocsinError:
            return None

    def await_all() -> None:
        # A circuit that opened while an evaluator was gone closes after its pause.
        with fresh_client(fourth, tmp_path / f"vault-{next(vaults)}.db") as client:
            until("every evaluator's answer", lambda: client.budget().unreachable == (), 40)

    await_all()
    whole = evaluated()
    assert len(set(whole)) == len(VALUES)
    kill(battered, first)
    assert evaluated() == whole, "without the first"
    kill(battered, second)
    with pytest.raises(Unavailable, match="QUORUM_UNAVAILABLE"):
        evaluated()
    # Who retries through the outage with one vault is charged once, however often (M-4.22).
    fresh = [("contact.email", f"again-{number}@example.com") for number in range(7)]
    with fresh_client(fourth, tmp_path / "kept.db") as client:
        for _ in range(3):
            with pytest.raises(Unavailable, match="QUORUM_UNAVAILABLE"):
                client.query(fresh)
    start(battered, first)
    assert until("an evaluation after one came back", eventually, 40) == whole, "without the second"
    with fresh_client(fourth, tmp_path / "kept.db") as client:
        assert client.query(fresh).queried == len(fresh)
    for home in battered.homes:
        charged = [row for row in audited(home, "evaluated") if row.endswith(f" count={len(fresh)}")]
        assert len(charged) <= 1, home.name
