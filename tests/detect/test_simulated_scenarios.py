"""Made worlds: what is assumed is frozen, and each scenario does what its name says."""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from tocsin.detect.errors import BadScenario
from tocsin.detect.simulate.population import load
from tocsin.detect.simulate.running import Options, run_population
from tocsin.detect.simulate.scenario import Scenario
from tocsin.detect.simulate.world import World, make_world
from tocsin.detect.simulate.writing import write_population

ASSUMPTIONS = Path(__file__).resolve().parents[2] / "benchmarks" / "detection_assumptions.toml"
SMALL = Scenario(scale=0.004, payment=False)


def frozen() -> tuple[dict[str, str], dict[str, dict[str, object]]]:
    read = tomllib.loads(ASSUMPTIONS.read_text("utf-8"))
    return read.pop("sources"), {key: entry for part in read.values() for key, entry in part.items()}


def test_every_number_of_a_world_is_frozen_with_its_source() -> None:
    sources, assumed = frozen()
    defaults = {field.name: getattr(Scenario(), field.name) for field in fields(Scenario)}
    del defaults["name"]
    assert set(assumed) == set(defaults)
    for key, entry in assumed.items():
        value = entry["value"]
        assert (tuple(value) if isinstance(value, list) else value) == defaults[key], key
        assert entry["source"] == "assumption" or entry["source"] in sources, key


def test_every_value_of_a_sweep_makes_a_scenario() -> None:
    for key, entry in frozen()[1].items():
        for value in entry.get("sweep", ()):  # type: ignore[attr-defined]  # a list, as TOML has it
            assert getattr(replace(Scenario(), **{key: value}), key) == value


@pytest.mark.parametrize("wrong", [{"late": 6}, {"spread": 1.5}, {"public_templates": 2.0}])
def test_a_scenario_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadScenario):
        replace(Scenario(), **wrong)  # type: ignore[arg-type]  # what a file could say


def held(world: World, type: str, accounts: np.ndarray) -> set[int]:
    found: set[int] = set()
    for name, account, value in zip(
        world.holdings.type, world.holdings.account, world.holdings.value, strict=True
    ):
        if name == type:
            found |= set(value[np.isin(account, accounts)].tolist())
    return found


@pytest.mark.parametrize(("collude", "together"), [(True, True), (False, False)])
def test_colluding_liars_report_the_same_innocents(collude: bool, together: bool) -> None:
    world = make_world(replace(SMALL, liars=2, lies=10_000, collude=collude), 3)
    liars = [np.flatnonzero((world.provider == liar) & ~world.hostile) for liar in (3, 4)]
    invented = [np.intersect1d(liar, world.confirmed_account) for liar in liars]
    mails = [held(world, "contact.email", accounts) for accounts in invented]
    assert all(len(found) >= 35 for found in mails)
    assert (len(mails[0] & mails[1]) >= 35) == together


def test_operators_that_do_not_spread_keep_to_one_provider() -> None:
    world = make_world(replace(SMALL, spread=0.0), 3)
    for operator in range(world.scenario.operators):
        assert len(np.unique(world.provider[world.campaign == operator])) <= 1
    spread = make_world(SMALL, 3)
    assert len(np.unique(spread.provider[spread.campaign == 0])) > 1


def test_public_templates_are_those_of_ordinary_users() -> None:
    for share, public in ((1.0, True), (0.0, False)):
        world = make_world(replace(SMALL, public_templates=share), 3)
        theirs = held(world, "prompt.template", np.flatnonzero(world.hostile))
        ordinary = held(world, "prompt.template", np.flatnonzero(~world.hostile))
        assert theirs
        assert (theirs <= ordinary) == public


@pytest.mark.slow
def test_a_member_that_joins_late_neither_reads_nor_publishes_before(tmp_path: Path) -> None:
    of = replace(SMALL, late=1, join_day=9, providers=(0.2,) * 5, detected=(1.0,) * 5, detection_days=1.0)
    assert of.join_days == (0, 0, 0, 0, 9)
    assert replace(of, joined=2, late=2).join_days == (9, 9)
    write_population(make_world(of, 5), tmp_path / "world")
    for days, expected in ((9, set()), (12, {4})):
        with load(tmp_path / "world") as population:
            run_population(population, Options("own", days=days, join_days=of.join_days))
            run = population.connection.execute
            writers = {writer for (writer,) in run("SELECT DISTINCT reporter FROM entries").fetchall()}
            assert writers - {0, 1, 2, 3} == expected
            read = run("SELECT count(*) FROM member_4.signals").fetchone()
            assert (read != (0,)) == bool(expected)
