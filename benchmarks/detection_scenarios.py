"""The scenarios of `bench_detection.py`, the aims they are held to, and the sweeps of what the worlds assume."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from tocsin.detect.simulate.scenario import Scenario

ASSUMPTIONS = Path(__file__).with_name("detection_assumptions.toml")
HARD = "neither payment nor template"
LIAR = "a liar reports 5,000 innocents"
POISON = "an operator adopts benign values"
INFORMED = "an operator that reads our documents"
_HARD: dict[str, object] = {"payment": False, "template": False}
SCENARIOS: dict[str, dict[str, object]] = {
    "all indicators": {},
    "no payment": {"payment": False},
    "no payment, 90 % rotate templates": {"payment": False, "template_rotation": 0.9},
    HARD: _HARD,
    "the same, 7-day addresses, reviewers err": _HARD
    | {"address_lifetime": 7, "missed": 0.10, "wrong": 0.01},
    "one template on all, no payment": {"payment": False, "one_template": True},
    LIAR: _HARD | {"liars": 1},
    "a liar reports 100 innocents": _HARD | {"liars": 1, "lies": -100},
    "two liars report 5,000 each": _HARD | {"liars": 2},
    "two liars report the same 5,000": _HARD | {"liars": 2, "collude": True},
    POISON: _HARD | {"strategy": "poisoning"},
    INFORMED: _HARD | {"strategy": "informed"},
    "rotating": _HARD | {"strategy": "rotating"},
    "splitting": _HARD | {"strategy": "splitting"},
    "a member joins on day 12": _HARD | {"late": 1, "join_day": 12},
    "5 % of the labels are wrong": _HARD | {"wrong_labels": 0.05},
    "half of the accounts are bought": _HARD | {"bought": 0.5},
    "public tools and templates": {"payment": False, "public_templates": 1.0},
    "a third of the ordinary accounts run jobs": _HARD | {"jobs": 0.3},
    "volumes differ a hundredfold": _HARD | {"providers": (0.5, 0.3, 0.15, 0.045, 0.005)},
    "1 member": _HARD | {"joined": 1},
    "3 members": _HARD | {"joined": 3},
}
AIMS: dict[str, float] = {
    "all indicators": 0.99, "no payment": 0.97, "no payment, 90 % rotate templates": 0.60, HARD: 0.50,
    "the same, 7-day addresses, reviewers err": 0.35, "one template on all, no payment": 0.99,
}  # fmt: skip
RETENTION = "retention"
"""A sweep that no world knows: how long labels live, as a share of what SPEC gives their types."""


def scenario_of(name: str, scale: float) -> Scenario:
    """Return a scenario at a scale. A negative number of lies is one at any scale."""
    made = dict(SCENARIOS[name])
    if isinstance(made.get("lies"), int) and int(str(made["lies"])) < 0:
        made["lies"] = round(-int(str(made["lies"])) / scale)
    return replace(Scenario(), name=name, scale=scale, **made)  # type: ignore[arg-type]  # keys are checked by replace


def assumptions() -> dict[str, dict[str, Any]]:
    """Return every assumption by its key: value, source, and the values that it is swept over."""
    read = tomllib.loads(ASSUMPTIONS.read_text("utf-8"))
    return {
        key: entry for part, entries in read.items() if part != "sources" for key, entry in entries.items()
    }


def swept(key: str, scale: float) -> list[tuple[str, Scenario, float]]:
    """Return the hard scenario with each value of an assumption: its name, the scenario, the retention's share."""
    of = scenario_of(HARD, scale)
    if key == RETENTION:
        return [(f"{RETENTION} × {share:g}", of, share) for share in (0.1, 0.25, 0.5, 1.0, 2.0)]
    entry = assumptions()[key]
    return [
        (f"{key} = {value}", replace(of, **{key: value}), 1.0)
        for value in (entry["value"], *entry.get("sweep", ()))
    ]
