"""A node whose wall clock tests move with libfaketime (Debian package `faketime`); its monotonic clock goes on."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.parties import start
from tests.federation import Federation
from tocsin.localnet.federation import Home


def library() -> Path:
    """The library to preload. Skips the test where it is not installed, but in CI."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        if os.environ.get("CI"):
            pytest.fail("libfaketime is not installed")
        pytest.skip("libfaketime is not installed (apt-get install faketime)")
    return found[0]


class WrongClock:
    """The clock of one member's node. It is right until `ahead` moves it."""

    def __init__(self, federation: Federation, home: Home) -> None:
        self._federation = federation
        self._home = home
        self._file = home.folder / "clock"
        self._library = library()
        self.ahead(0)

    def ahead(self, seconds: int) -> None:
        """Let the clock be this many seconds ahead of the true time from now on."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}")
        fresh.replace(self._file)

    def start(self) -> None:
        """Start the node by this clock and wait until it serves."""
        environment = {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        nodes = self._federation.nodes
        start(replace(self._federation, nodes=replace(nodes, environment=environment)), self._home)
