"""Kinds of bad input without a file of their own, against real nodes and the real command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.session import RESALE
from tests.faults.parties import charged, fresh_client, process, start, until
from tests.federation import Federation
from tocsin.client.system import pause
from tocsin.localnet.federation import Home

# What the dynamic loader does where the system has no such library.
WITHOUT_LIBSODIUM = """
import ctypes, ctypes.util, sys
load, find = ctypes.CDLL, ctypes.util.find_library
class Refusing(load):
    def __init__(self, name, *more, **options):
        if "sodium" in str(name):
            raise OSError(f"{name}: cannot open shared object file")
        super().__init__(name, *more, **options)
ctypes.CDLL = Refusing
ctypes.util.find_library = lambda name: None if "sodium" in name else find(name)
from tocsin.cli.main import main
sys.argv[0] = "tocsin"
sys.exit(main())
"""

LINES, BAD_LINE, DIFFERENT = 10_000, 7, 25
SECRET = "not-an-address-at-all"


def _command(home: Home, *arguments: str, vault: Path | None = None) -> subprocess.Popen[str]:
    """The `tocsin` command of a member, as a process of its own."""
    environment = dict(os.environ)
    if vault is not None:
        environment["TOCSIN_CLIENT_VAULT"] = str(vault)
    return subprocess.Popen(
        [sys.executable, "-m", "tocsin.cli.main", *arguments, "--config", str(home.client)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def _run(home: Home, *arguments: str, vault: Path | None = None) -> tuple[int, str, str]:
    command = _command(home, *arguments, vault=vault)
    out, err = command.communicate(timeout=60)
    return command.returncode, out, err


def _file(folder: Path, bad: str) -> Path:
    """10,000 lines under a header; the seventh value is bad."""
    lines = [f"contact.email,line-{number % DIFFERENT}@example.com" for number in range(LINES)]
    lines[BAD_LINE - 1] = bad
    file = folder / "values.csv"
    file.write_text("type,value\n" + "\n".join(lines) + "\n")
    return file


def test_a_bad_line_in_ten_thousand_is_named_and_the_rest_goes_on(
    federation: Federation, tmp_path: Path
) -> None:
    home = federation.homes[0]
    file = _file(tmp_path, f"contact.email,{SECRET}")
    code, out, err = _run(home, "query", str(file), "--json", vault=tmp_path / "vault.db")
    found = json.loads(out)
    assert (code, found["queried"], found["evaluated"]) == (2, LINES - 1, DIFFERENT)
    # The header is the file's first line.
    assert [line["line"] for line in found["bad_lines"]] == [BAD_LINE + 1]
    assert "contact.email" in found["bad_lines"][0]["why"]
    assert f":{BAD_LINE + 1}" in err
    assert SECRET not in out + err


def test_strict_sends_nothing_when_a_line_is_bad(federation: Federation, tmp_path: Path) -> None:
    home = federation.homes[0]
    before = [charged(home) for home in federation.homes]
    for number, (bad, command) in enumerate(
        (
            (f"contact.email,{SECRET}", ("query",)),
            (f"no.such-type,{SECRET}", ("submit", *RESALE)),
        )
    ):
        vault = tmp_path / f"vault-{number}.db"
        code, out, err = _run(home, *command, str(_file(tmp_path, bad)), "--strict", vault=vault)
        assert (code, out) == (2, ""), command
        assert "nothing was sent (--strict)" in err
        assert f":{BAD_LINE + 1}" in err
        assert SECRET not in err
    assert [charged(home) for home in federation.homes] == before


def test_ctrl_c_in_the_middle_of_a_query_loses_nothing_paid_for(battered: Federation, tmp_path: Path) -> None:
    home = battered.homes[3]
    vault = tmp_path / "vault.db"
    file = _file(tmp_path, "contact.email,line-0@example.com")
    # With two evaluators stopped no quorum answers: the command is surely in the middle.
    stopped = [process(battered, home) for home in battered.homes[:2]]
    for node in stopped:
        node.send_signal(signal.SIGSTOP)
    try:
        command = _command(home, "query", str(file), vault=vault)
        until("the vault", vault.exists)
        pause(0.7)
        assert command.poll() is None
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=40)
    finally:
        for node in stopped:
            node.send_signal(signal.SIGCONT)
    assert command.returncode == 130, err
    assert "Traceback" not in err
    assert out == ""

    def again() -> str | None:
        code, out, _ = _run(home, "query", str(file), "--json", vault=vault)
        return out if code == 1 else None

    assert json.loads(until("an answer", again, 40))["queried"] == LINES


def test_ctrl_c_in_the_middle_of_a_submit_sends_the_same_request_later(
    battered: Federation, tmp_path: Path
) -> None:
    home = battered.homes[3]
    vault = tmp_path / "vault.db"
    values = [("contact.email", f"interrupted-{number}@example.com") for number in range(5)]
    with fresh_client(home, vault) as client:
        until("an evaluation", lambda: client.query(values).evaluated)
    file = tmp_path / "reports.csv"
    file.write_text("type,value\n" + "\n".join(f"{type},{value}" for type, value in values) + "\n")
    node = process(battered, home)
    command = _command(home, "submit", str(file), *RESALE, vault=vault)

    # The node stops for good once the sealed request is in the outbox, or has taken it already.
    node.send_signal(signal.SIGSTOP)
    try:
        pause(1.5)
        command.send_signal(signal.SIGINT)
        _, err = command.communicate(timeout=40)
    finally:
        node.send_signal(signal.SIGCONT)
    assert command.returncode == 130, err
    assert "Traceback" not in err
    assert _run(home, "submit", str(file), *RESALE, vault=vault)[0] == 0
    with fresh_client(home, vault) as client:
        assert client.status().outbox == 0


def test_a_node_that_is_interrupted_ends_in_order(battered: Federation) -> None:
    home = battered.homes[2]
    assert battered.nodes.stop_one(home, signal.SIGINT) == 0
    start(battered, home)


@pytest.mark.parametrize("part", ["node", "query"])
def test_a_missing_libsodium_names_its_package(federation: Federation, tmp_path: Path, part: str) -> None:
    home = federation.homes[0]
    arguments = {
        "node": ["node", "run", "--config", str(home.folder / "node" / "node.toml")],
        "query": ["query", "contact.email=somebody@example.com", "--config", str(home.client)],
    }[part]
    command = subprocess.run(
        [sys.executable, "-c", WITHOUT_LIBSODIUM, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "TOCSIN_CLIENT_VAULT": str(tmp_path / "vault.db")},
        check=False,
    )
    assert command.returncode == 2, command.stderr
    assert "libsodium23" in command.stderr
    assert "Traceback" not in command.stderr
    assert command.stdout == ""
