"""Fixtures of the client's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.client import templates
from tests.client.fake_node import FakeFederation


@pytest.fixture
def world(tmp_path: Path) -> FakeFederation:
    return FakeFederation(tmp_path)


@pytest.fixture
def few_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    templates.few_bands(monkeypatch)
