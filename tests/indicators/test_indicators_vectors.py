"""The published vectors: every type's canonical bytes and refusals, from the standards' own examples."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tocsin.indicators.ptf2.bands import BANDINGS
from tocsin.indicators.registry import TYPES, Mode, Refused, observable

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "indicators.json").read_text(encoding="utf-8")
)["vectors"]


def _named(vector: dict[str, Any]) -> str:
    return f"{vector['type']}-{VECTORS.index(vector)}"


ACCEPTED = [v for v in VECTORS if "rule" not in v]
REFUSED = [v for v in VECTORS if "rule" in v]


@pytest.mark.parametrize("vector", ACCEPTED, ids=_named)
def test_accepted_vector(vector: dict[str, Any]) -> None:
    found = observable(vector["type"], vector["value"], mode=Mode(vector["mode"]))
    text = vector.get("canonical")
    expected = bytes.fromhex(vector["canonical_hex"]) if text is None else text.encode()
    assert found.canonical == expected, vector["source"]
    assert found.type == vector["type"]


@pytest.mark.parametrize("vector", [v for v in ACCEPTED if v["mode"] == "live"], ids=_named)
def test_a_test_charter_gives_live_values_the_same_bytes(vector: dict[str, Any]) -> None:
    live, test = (observable(vector["type"], vector["value"], mode=mode) for mode in Mode)
    assert live == test


@pytest.mark.parametrize("vector", REFUSED, ids=_named)
def test_refused_vector(vector: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        observable(vector["type"], vector["value"], mode=Mode(vector["mode"]))
    assert caught.value.rule == vector["rule"], vector["source"]
    assert caught.value.type == vector["type"]


@pytest.mark.parametrize("vector", [v for v in REFUSED if v["rule"].endswith(".test")], ids=_named)
def test_test_ranges_pass_under_a_test_charter(vector: dict[str, Any]) -> None:
    assert observable(vector["type"], vector["value"], mode=Mode.TEST).canonical


@pytest.mark.parametrize("vector", [v for v in ACCEPTED if v["mode"] == "test"], ids=_named)
def test_vectors_marked_test_are_refused_live_as_test_ranges(vector: dict[str, Any]) -> None:
    # A value that live mode accepts too belongs among the live vectors.
    with pytest.raises(Refused) as caught:
        observable(vector["type"], vector["value"])
    assert caught.value.rule.endswith(".test")


def test_every_type_has_eight_vectors_of_each_kind() -> None:
    for kind, types in ((ACCEPTED, set(TYPES) - set(BANDINGS)), (REFUSED, set(TYPES))):
        counted = Counter(v["type"] for v in kind)
        assert {name: counted[name] for name in types if counted[name] < 8} == {}
    assert {v["type"] for v in VECTORS} == set(TYPES)
