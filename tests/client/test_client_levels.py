"""A template that is one account's level with bands and another's without is one value, with its bands."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from tests.client.fake_node import FakeFederation
from tests.client.templates import BANDS, THRESHOLD, few_bands, template
from tests.drafts import report_draft
from tocsin.indicators.ptf2.bands import LONG
from tocsin.indicators.ptf2.common_list import shipped
from tocsin.indicators.ptf2.template import TEMPLATE, write_skeleton
from tocsin.indicators.registry import CURRENT, Mode, observable
from tocsin.sealing.label import AbuseKind


@pytest.mark.parametrize("banded_first", [True, False])
def test_bands_are_asked_for_reported_and_taken_back_whichever_form_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, banded_first: bool
) -> None:
    few_bands(monkeypatch)
    world = FakeFederation(tmp_path)
    both = [template("a"), replace(template("a"), bands=())][:: 1 if banded_first else -1]
    node = world.node(1)
    with world.client(1, node) as client:
        client.submit([report_draft(value, AbuseKind.DISTILLATION) for value in both])
        node.tick()
        similar = template("similar", "a", places=range(THRESHOLD))
        with world.client(0) as other:
            assert [match.bands for match in other.query([replace(similar, bands=()), similar]).matches] == [
                THRESHOLD
            ]
            assert other.query([replace(similar, bands=())]).matches == ()
        receipt = client.retract(both)
        # Two reports of one value in one period, the record of the last, and its bands.
        assert receipt.accepted == 2 + 1 + BANDS
        node.tick()
    with world.client(0) as other:
        assert other.query([similar]).matches == ()


def test_the_name_of_the_text_says_whether_there_are_bands() -> None:
    hashes = [int.from_bytes(hashlib.sha256(b"%d" % number).digest()[:8], "big") for number in range(40)]
    with_bands, without = (
        observable(
            TEMPLATE, write_skeleton(hashes, shipped(CURRENT.common_prompts), banded=banded), mode=Mode.TEST
        )
        for banded in (True, False)
    )
    assert with_bands == without
    assert (len(with_bands.bands), len(without.bands)) == (LONG.bands, 0)
