"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.federation import Federation, running

settings.register_profile("tocsin", deadline=None)
settings.load_profile("tocsin")

# A shell ignores interrupts in what it runs in the background, and so would every process started here.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Three real nodes, committee of three, threshold two, shared by tests that leave them as they found them."""
    with running(tmp_path_factory.mktemp("federation")) as started:
        yield started
