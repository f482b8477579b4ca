"""A report is retracted while the member that shared it on is away: nobody who is there counts what rested on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drafts import report_draft
from tests.faults.parties import fresh_client, kill, start, until
from tests.federation import Federation
from tocsin.client import Client
from tocsin.client.errors import Unavailable
from tocsin.detect.matching import Matched, ask

MAIL = ("contact.email", "chain@example.com")


@pytest.mark.slow
def test_what_rests_on_a_retracted_report_falls_while_its_writer_is_away(
    battered: Federation, tmp_path: Path
) -> None:
    alder, birch, cinder, _ = battered.homes

    def asked(client: Client, hops: set[int]) -> Matched | None:
        found = ask(client, [MAIL])
        return found if {signal.hops for signal in found.signals} == hops else None

    with (
        fresh_client(alder, tmp_path / "alder.db") as first,
        fresh_client(birch, tmp_path / "birch.db") as second,
        fresh_client(cinder, tmp_path / "cinder.db") as third,
    ):
        first.submit([report_draft(MAIL)])
        (match,) = until("Alder's report", lambda: second.query([MAIL]).matches)
        source = (match.writer, match.index)
        second.submit([report_draft(MAIL, evidence="reviewed-match", rests_on=(source,), hops=1)])
        both = until("both reports", lambda: asked(third, {0, 1}))
        assert {signal.root for signal in both.signals} == {alder.name}
        kill(battered, birch)
        first.retract([MAIL])
        gone = until("the retraction", lambda: asked(third, set()))
        assert (gone.signals, gone.unwound) == ((), 1)
        with pytest.raises(Unavailable):
            second.current_entries([source])
        start(battered, birch)
        until("Birch hears of it", lambda: second.current_entries([source]) == {source: None} or None, 40)
