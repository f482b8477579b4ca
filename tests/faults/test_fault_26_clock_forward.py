"""A clock that jumps 70 days ahead for six seconds, or 12 hours with a submit in between; row 9: 10 minutes off."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from tests.drafts import report_draft
from tests.faults.parties import charter_of, kill, logged, rows, start, until
from tests.faults.wrong_clock import WrongClock
from tests.federation import Federation, running
from tocsin.charter.rules import CLOCK_SKEW_SECONDS
from tocsin.client.errors import TocsinError
from tocsin.client.system import now, pause
from tocsin.localnet.federation import Home
from tocsin.sealing.label import AbuseKind

pytestmark = pytest.mark.slow
BEFORE, DURING, AFTER = (
    ("contact.email", f"jump-{name}@example.com") for name in ("before", "during", "after")
)
DAY_S = 86_400
JUMPED_S = 6.0


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with running(tmp_path_factory.mktemp("jumped"), 3, committee=3, threshold=2) as started:
        yield started


def report(federation: Federation, home: Home, value: tuple[str, str]) -> None:
    with replace(federation, homes=[home]).client(0) as client:
        assert client.submit([report_draft(value, AbuseKind.RESALE)]).accepted == 1


def bodies(home: Home) -> int:
    return int(rows(home, "SELECT count(*) FROM body")[0][0])


def writers(federation: Federation, number: int, value: tuple[str, str]) -> set[str]:
    with federation.client(number) as client:
        return {match.writer_name for match in client.query([value]).matches}


def latest_time(home: Home) -> int:
    """The latest time that a node's store knows of."""
    return int(
        rows(home, "SELECT max(t) FROM (SELECT seen_time AS t FROM meta UNION SELECT time FROM log)")[0][0]
    )


def status(home: Home) -> list[str]:
    """What the node says is wrong with its own log."""
    shown = subprocess.run(
        [sys.executable, "-m", "tocsin.cli.main", "status", "--json", "--config", str(home.client)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    own = home.id.hex()
    return [
        log["problem"] for log in json.loads(shown.stdout)["logs"] if log["writer"] == own and log["problem"]
    ]


@pytest.mark.parametrize("jump", [70 * DAY_S, 12 * 3_600])
def test_a_jump_erases_and_signs_nothing(federation: Federation, jump: int) -> None:
    home, peer = federation.homes[0], federation.homes[1]
    kill(federation, home)
    clock = WrongClock(federation, home)
    clock.start()
    report(federation, home, BEFORE)
    federation.await_followed()
    until("the report at a peer", lambda: writers(federation, 1, BEFORE) == {home.name})
    held = bodies(home), bodies(peer)

    clock.ahead(jump)
    assert "jumped" in until("the node to say so", lambda: status(home))[0]
    report(federation, home, DURING)  # by a client whose clock is right
    pause(JUMPED_S)
    assert latest_time(home) <= now() + 5
    clock.ahead(0)

    until("nothing to be wrong any more", lambda: not status(home))
    assert bodies(home) >= held[0]
    assert bodies(peer) >= held[1]
    report(federation, home, AFTER)
    for value in (BEFORE, DURING, AFTER):
        until("it at a peer", lambda value=value: home.name in writers(federation, 1, value))
    assert latest_time(home) <= now() + 5
    clock_problems = [event for event in logged(peer) if "FromTheFuture" in str(event.get("problem"))]
    assert not clock_problems
    kill(federation, home)
    start(federation, home)


@pytest.mark.parametrize("off", [700, -640])
def test_a_clock_that_is_off_at_the_start_signs_nothing_until_it_is_corrected(
    federation: Federation, off: int
) -> None:
    home = federation.homes[2]
    kill(federation, home)
    # By its clock the charter must not be from the future: a node that starts refuses such a charter.
    pause(max(0, charter_of(home).issued - CLOCK_SKEW_SECONDS - (now() + off) + 1))
    clock = WrongClock(federation, home)
    clock.ahead(off)
    before = rows(home, "SELECT checkpoint FROM log WHERE member = ?", home.id)
    clock.start()
    word = "ahead of" if off > 0 else "behind"
    said = until("the node to say so", lambda: [told for told in status(home) if word in told])
    assert "other members' clocks; correct it" in said[0]
    with suppress(TocsinError):
        report(federation, home, ("contact.email", f"off{off}@example.com"))
    pause(2)
    after = rows(home, "SELECT checkpoint FROM log WHERE member = ?", home.id)
    assert [note.partition(b"\n\n")[0] for (note,) in after] == [
        note.partition(b"\n\n")[0] for (note,) in before
    ]
    clock.ahead(0)  # corrected while it runs
    until("nothing to be wrong any more", lambda: not status(home))
    report(federation, home, ("contact.email", f"corrected{off}@example.com"))
    until(
        "it at a peer",
        lambda: home.name in writers(federation, 0, ("contact.email", f"corrected{off}@example.com")),
    )
    kill(federation, home)
    start(federation, home)
