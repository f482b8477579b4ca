"""An old database that is put back, and a member that shows two histories, on real nodes."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.drafts import report_draft
from tests.faults.parties import (
    Wire,
    audited,
    charter_of,
    kill,
    logged,
    process,
    rows,
    start,
    start_script,
    until,
)
from tests.federation import Federation, running
from tocsin.client.system import monotonic
from tocsin.localnet.federation import Home
from tocsin.node.rpc.authorize import Role
from tocsin.proofs.errors import NotProven
from tocsin.proofs.fork import parse_fork, verify_fork
from tocsin.sealing.label import AbuseKind
from tocsin.tlog.checkpoint import log_origin
from tocsin.v1 import log_pb2

pytestmark = pytest.mark.slow
COMMON, ONE, OTHER = (("contact.email", f"fork-{name}@example.com") for name in ("common", "one", "other"))
OLD, LOST, LATER, MEANWHILE = (
    ("contact.email", f"restored-{name}@example.com") for name in ("old", "lost", "later", "meanwhile")
)
ROUND_S = 1.25
"""The longest time between two rounds with a peer: the tick of the charter and its jitter."""


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Four members; the first three are the committee, the fourth is the one that forks."""
    with running(tmp_path_factory.mktemp("forked"), 4, committee=3, threshold=2) as started:
        yield started


def _report(home: Home, federation: Federation, value: tuple[str, str]) -> None:
    with replace(federation, homes=[home]).client(0) as client:
        assert client.submit([report_draft(value, AbuseKind.RESALE)]).accepted == 1


def _writers(federation: Federation, number: int, *values: tuple[str, str]) -> set[str]:
    with federation.client(number) as client:
        return {match.writer_name for match in client.query(values).matches}


def _history(home: Home, writer: Home) -> bytes:
    """Size and root of a log as a node holds it."""
    note: bytes = rows(home, "SELECT checkpoint FROM log WHERE member = ?", writer.id)[0][0]
    return note.partition(b"\n\n")[0]


def _differs(home: Home, writer: Home, history: bytes) -> bool:
    return _history(home, writer) != history


def _quarantined(home: Home, writer: Home) -> bool:
    return bool(rows(home, "SELECT quarantined FROM log WHERE member = ?", writer.id)[0][0])


def _back_up(home: Home, copy: Path) -> Path:
    """Copy a node's database as an operator may, while the node runs."""
    with (
        closing(sqlite3.connect(f"file:{home.folder / 'node' / 'node.db'}?mode=ro", uri=True)) as database,
        closing(sqlite3.connect(copy)) as target,
    ):
        database.backup(target)
    return copy


def _put_back(home: Home, copy: Path) -> None:
    for file in (home.folder / "node").glob("node.db*"):
        file.unlink()
    shutil.copy(copy, home.folder / "node" / "node.db")


def _status(home: Home) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tocsin.cli.main", "status", "--json", "--config", str(home.client)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_old_database_that_is_put_back_signs_nothing(logs: Federation, tmp_path: Path) -> None:
    home, peers = logs.homes[2], logs.homes[:2]
    _report(home, logs, OLD)
    logs.await_followed()
    old = _back_up(home, tmp_path / "old.db")
    _report(home, logs, LOST)
    logs.await_followed()
    newest = _back_up(home, tmp_path / "newest.db")
    assert logs.nodes.stop_one(home) == 0
    known = [_history(peer, home) for peer in peers]

    _put_back(home, old)
    start(logs, home)
    assert "it is an old copy" in until("the comparison", lambda: audited(home, "old-history"))[0]
    stale = _history(home, home)
    with logs.client(2) as client:
        # Taken, since it is durable; but into a log that nobody signs.
        assert client.submit([report_draft(LATER, AbuseKind.RESALE)]).accepted == 1
    _report(peers[0], logs, MEANWHILE)
    until("the peers' own news", lambda: _writers(logs, 1, MEANWHILE))
    assert _history(home, home) == stale
    assert [_history(peer, home) for peer in peers] == known
    until("not ready", lambda: [event for event in logged(home) if event.get("problem") == "history"])
    told = _status(home)
    assert told.returncode == 1, told.stderr
    assert "Restore the newest copy" in told.stdout
    assert _writers(logs, 1, LOST) == {home.name}

    assert logs.nodes.stop_one(home) == 0
    _put_back(home, newest)
    start(logs, home)
    _report(home, logs, LATER)
    until("the log to go on", lambda: _writers(logs, 1, LATER))
    assert audited(home, "old-history") == []
    assert not any(_quarantined(peer, home) for peer in peers)
    assert _status(home).returncode == 0


def _fork(federation: Federation, evil: Home, twin: Home, honest: list[Home]) -> None:
    """Show the first honest member one history and the others another; no history's node runs when this returns."""
    nodes = {home.name: process(federation, home) for home in honest}

    def send(sign: signal.Signals, homes: list[Home]) -> None:
        for home in homes:
            nodes[home.name].send_signal(sign)

    before = _history(honest[0], evil)
    send(signal.SIGSTOP, honest)
    try:
        for home, value, victims in ((evil, ONE, honest[:1]), (twin, OTHER, honest[1:])):
            start_script(federation, home, "forking_node.py")
            send(signal.SIGCONT, victims)
            _report(home, federation, value)
            for victim in victims:
                until("a history", partial(_differs, victim, evil, before))
            kill(federation, home)
            send(signal.SIGSTOP, victims)
    finally:
        send(signal.SIGCONT, honest)


def test_two_histories_are_caught_in_one_round_and_convict_their_origin(
    logs: Federation, tmp_path: Path
) -> None:
    *honest, evil = logs.homes
    _report(honest[0], logs, COMMON)
    _report(evil, logs, COMMON)
    with logs.client(3) as client:
        # Its outputs are in the vault then, for a time when no committee answers.
        client.query([ONE, OTHER])
    logs.await_followed()
    assert _writers(logs, 1, COMMON) == {honest[0].name, evil.name}
    assert logs.nodes.stop_one(evil) == 0
    twin = replace(evil, folder=tmp_path / "twin")
    shutil.copytree(evil.folder, twin.folder)
    _fork(logs, evil, twin, honest)
    began = monotonic()
    assert len({_history(home, evil) for home in honest}) == 2

    # The origin is gone: what convicts it is what the honest members show each other.
    until("quarantine", lambda: all(_quarantined(home, evil) for home in honest))
    # The pause before a round, the round itself, and what a loaded machine adds.
    assert monotonic() - began < 3 * ROUND_S
    charter = charter_of(honest[0])
    origin, key = log_origin(charter.federation, evil.id), charter.member(evil.id).log
    for home in honest:
        assert audited(home, "fork") == [f"origin={evil.id.hex()}"]
        with Wire(honest[1], Role.NODE, home) as wire:
            (shown,) = wire.log.ListForks(log_pb2.ListForksRequest()).forks
        assert shown.writer == evil.id
        proof = parse_fork(shown.proof)
        verify_fork(proof, origin, key)
        with pytest.raises(NotProven):
            verify_fork(proof, log_origin(charter.federation, home.id), charter.member(home.id).log)
    for number in range(3):
        assert _writers(logs, number, COMMON, ONE, OTHER) <= {honest[0].name}
    assert _writers(logs, 1, COMMON) == {honest[0].name}
    told = _status(honest[1])
    assert (told.returncode, '"quarantined": true' in told.stdout) == (1, True)

    # One that runs as it should again refuses to sign, and stays in quarantine.
    start(logs, evil)
    assert "holds another history" in until("its own finding", lambda: audited(evil, "old-history"))[0]
    assert all(_quarantined(home, evil) for home in honest)
