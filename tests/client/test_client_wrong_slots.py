"""A writer of many wrong slots costs its readers a few tries, and hides nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.client.fake_node import FakeFederation
from tests.client.templates import BANDS, few_bands, template
from tests.client.test_client_bands import lying, report
from tocsin.client import banding


def test_after_a_few_wrong_refs_no_further_one_of_their_writer_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_bands(monkeypatch)
    monkeypatch.setattr(banding, "_MAX_FAILED", 3)
    world = FakeFederation(tmp_path)
    report(world, 2, template("a"), confidence=5)
    with monkeypatch.context() as patched:
        lying(patched, (1, 2, 3, 4))
        report(world, 1, *[template(f"wrong {number}", "a", places=range(BANDS)) for number in range(7)])
    tried: list[bytes] = []
    combine = banding.combine

    def counted(slots: Any, threshold: int) -> Any:
        tried.append(slots[0].ref)
        return combine(slots, threshold)

    monkeypatch.setattr(banding, "combine", counted)
    asked = [template(f"asked {number}", "a", places=range(BANDS)) for number in range(5)]
    with world.client(0) as client:
        result = client.query(asked)
    assert len(tried) == 3 + len(asked)
    assert {each.writer for each in result.matches} == {world.homes[2].id}
    assert len(result.matches) == len(asked)
    assert {each.writer for each in result.problems} == {world.homes[1].id}
