"""The one federation that all adversaries attack."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.adversary.population import BUDGETS, Population, populate
from tests.adversary.scene import Scene, Truth, staged


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Four real nodes."""
    with staged(tmp_path_factory.mktemp("adversary"), BUDGETS) as scene:
        yield scene


@pytest.fixture(scope="session")
def truth(scene: Scene) -> Truth:
    """What only the harness knows."""
    return Truth(scene)


@pytest.fixture(scope="session")
def population(scene: Scene) -> Population:
    """What was reported."""
    return populate(scene)
