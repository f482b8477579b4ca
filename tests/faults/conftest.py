"""A federation that tests of faults kill, stop and corrupt; each leaves it running again."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.faults.parties import is_lying, start
from tests.federation import Federation, running
from tocsin.indicators.registry import KeyClass

BUDGET = 100
"""What each member may ask of one seat of class `phone`."""


@pytest.fixture(scope="session")
def battered_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Four members; the first three are the committee, two of them a quorum, so the fourth needs both."""
    folder = tmp_path_factory.mktemp("battered")
    with running(folder, 4, committee=3, threshold=2, budgets={KeyClass.PHONE: BUDGET}) as started:
        yield started


@pytest.fixture
def battered(battered_nodes: Federation) -> Iterator[Federation]:
    """The same, with every node running before and after."""
    yield battered_nodes
    for home in battered_nodes.homes:
        process = battered_nodes.nodes.processes.get(home.name)
        if process is not None:
            process.send_signal(signal.SIGCONT)
            if process.poll() is None and not is_lying(process):
                continue
            battered_nodes.nodes.stop_one(home)
        start(battered_nodes, home)
