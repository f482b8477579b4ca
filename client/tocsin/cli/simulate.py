"""`tocsin simulate`: a federation in one process, over a made world or over a population made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tocsin.cli.output import Json, counted, print_json, print_table, progress, say, warn
from tocsin.cli.usage import BadUsage

if TYPE_CHECKING:
    from tocsin.detect.simulate.measuring import Measures
    from tocsin.detect.simulate.running import Options, Outcome

_SHOWN_DAYS = (10, 20, 30)


def simulate(
    *,
    out: Annotated[Path, Parameter(help="Folder to write to; existing files are never overwritten.")],
    scenario: Annotated[
        Path | None, Parameter(help="TOML file that says how the made world differs.")
    ] = None,
    population: Annotated[
        Path | None,
        Parameter(help="Folder of a population made elsewhere (docs/simulation.md), in place of a scenario."),
    ] = None,
    mode: Annotated[
        str | None,
        Parameter(help="alone, own, reviewed or pooled; a scenario runs all four by default."),
    ] = None,
    reviews: Annotated[int | None, Parameter(help="Reviews for each provider and day.")] = None,
    seed: Annotated[int, Parameter(help="Seed of the world and of the reviewers.")] = 1,
    scale: Annotated[float | None, Parameter(help="Size of the made world; 1 is a million accounts.")] = None,
    missed: Annotated[
        float | None, Parameter(help="Share of hostile accounts that reviewers reject.")
    ] = None,
    wrong: Annotated[
        float | None, Parameter(help="Share of innocent accounts that reviewers confirm.")
    ] = None,
    days: Annotated[int | None, Parameter(help="Stop after so many days.")] = None,
    rules: Annotated[
        Path | None, Parameter(help="TOML file with other thresholds (docs/detection.md).")
    ] = None,
    json: Json = False,
) -> int:
    """Run members day by day through the real detector, and write who would have been flagged when.

    Each run writes flags.parquet (provider, account, day, bits) and verdicts.parquet. Blind evaluation is replaced by a
    keyed hash, so no node runs; a match is found exactly where two members hold one value.

    Example: tocsin simulate --scenario scenario.toml --out runs

    Exit codes: 0 done; 2 the scenario or population is unusable.
    """
    from tocsin.detect.rules import DEFAULT, load_rules
    from tocsin.detect.simulate.running import MODES, Options

    if (scenario is None) == (population is None):
        raise BadUsage("give either --scenario or --population")
    if mode is not None and mode not in MODES:
        raise BadUsage(f"--mode must be one of {', '.join(MODES)}")
    if reviews is not None and reviews < 0:
        raise BadUsage("--reviews must be 0 or more")
    if days is not None and days < 1:
        raise BadUsage("--days must be 1 or more")
    for name, share in (("missed", missed), ("wrong", wrong)):
        if share is not None and not 0 <= share <= 1:
            raise BadUsage(f"--{name} must be from 0 to 1")
    thresholds = load_rules(rules) if rules is not None else DEFAULT
    if population is not None:
        if mode is None:
            raise BadUsage("--population needs --mode: alone, own, reviewed or pooled")
        if scale is not None:
            raise BadUsage("--scale is for --scenario: a population has the size it has")
        options = Options(mode, reviews or 0, seed, missed or 0.0, wrong or 0.0, days, thresholds)
        runs = [_run(population, options, out)]
    else:
        from dataclasses import replace

        from tocsin.detect.simulate.scenario import load_scenario
        from tocsin.detect.simulate.world import make_world
        from tocsin.detect.simulate.writing import write_population

        assert scenario is not None
        of = load_scenario(scenario)
        of = replace(of, scale=of.scale if scale is None else scale)
        folder = out / "population"
        write_population(make_world(of, seed), folder)
        per_day = max(1, round(of.reviews * of.scale)) if reviews is None else reviews
        runs = [
            _run(
                folder,
                Options(
                    name,
                    per_day,
                    seed,
                    of.missed if missed is None else missed,
                    of.wrong if wrong is None else wrong,
                    days,
                    thresholds,
                    of.join_days,
                ),
                out / name,
            )
            for name in ((mode,) if mode else MODES)
        ]
    _show(runs, out, json=json)
    return 0


def _run(folder: Path, options: Options, out: Path) -> tuple[str, Outcome, list[Measures]]:
    from tocsin.detect.simulate.measuring import measures
    from tocsin.detect.simulate.population import load
    from tocsin.detect.simulate.running import run_population, write_outcome

    with load(folder) as population:
        for warning in population.warnings:
            warn(warning)
        done = 0
        with progress(f"running {options.mode}, days", population.days) as advance:

            def show(day: int, _: int) -> None:
                nonlocal done
                advance(day - done)
                done = day

            outcome = run_population(population, options, show)
        write_outcome(population, out)
        last = max(outcome.days - 1, 0)
        days = [day for day in _SHOWN_DAYS if day < last] + [last]
        found = [measures(population, day) for day in days]
    return options.mode, outcome, found


def _show(runs: list[tuple[str, Outcome, list[Measures]]], out: Path, *, json: bool) -> None:
    from dataclasses import asdict

    if json:
        print_json({
            "out": str(out),
            "runs": [
                {"mode": mode, **asdict(outcome), "measures": [asdict(of_day) for of_day in found]}
                for mode, outcome, found in runs
            ],
        })  # fmt: skip
        return
    rows = [
        (
            mode, str(of_day.day), f"{of_day.flagged:,}", f"{of_day.precision:.3f}", f"{of_day.recall:.3f}",
            f"{of_day.confirmed:.3f}", f"{of_day.exposure:.1f}",
        )
        for mode, _, found in runs
        for of_day in found
    ]  # fmt: skip
    columns = ("mode", "day", "flagged", "precision", "recall", "confirmed", "days exposed")
    outcome = runs[0][1]
    print_table(
        f"{counted(outcome.accounts, 'account')} at {counted(outcome.providers, 'provider')}, "
        f"{outcome.hostile:,} of them hostile",
        columns,
        rows,
    )
    say(f"written: {out}")
