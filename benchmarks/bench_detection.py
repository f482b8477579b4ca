"""How well the detector finds campaigns: alone, sharing own detections, sharing reviewed matches, pooled; and rivals.

For each scenario and seed a world is made and run through `tocsin simulate`'s own code. Figures are means over seeds,
with the least and the most. Two rivals live in the federation like a member does (`detection_federated`); the others
see everybody's raw data (`detection_rivals`). Their thresholds, like the detector's, are fixed on a seed that is not
reported. `--sweep KEY` varies one assumption of `detection_assumptions.toml` instead and says where sharing stops
helping. `--write` draws docs/detection-*.svg and fills the table of docs/detection.md.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import measure
import numpy as np
from detection_federated import Rule, judged_by, live, rows_of, tuned_rules
from detection_rivals import RIVALS, Day, components, threshold
from detection_scenarios import AIMS, HARD, INFORMED, LIAR, POISON, SCENARIOS, scenario_of, swept

from tocsin.detect.rules import DEFAULT
from tocsin.detect.simulate.measuring import exchanges_prevented, measures
from tocsin.detect.simulate.population import Population, load
from tocsin.detect.simulate.running import MODES, Options, run_population
from tocsin.detect.simulate.scenario import Scenario
from tocsin.detect.simulate.world import make_world
from tocsin.detect.simulate.writing import write_population

NAME = "detection"
DAY = 20
TUNING_SEED = 9_001
"""Thresholds of rivals are fixed on this seed, which no figure uses; the detector's own were fixed on seeds 1 to 22."""
FIRST_SEED = 101
Rivals = dict[str, dict[str, list[tuple[float, float, int]]]]
"""Of each scenario and rival: recall, precision and false flags of every seed."""
HELPS = 1.05
"""Below this ratio of recall, shared against alone, sharing is said to help no more."""


@dataclass
class Result:
    """What one run gave."""

    recall: float
    confirmed: float
    precision: float
    exposure: float
    prevented: float
    false_flags: int
    by_day: tuple[float, ...]
    strata: Counter[str] = field(default_factory=Counter)
    reviews_wasted: int = 0
    share: Counter[str] = field(default_factory=Counter)
    """Ordinary accounts in each stratum, to compare false flags by."""


def run_one(
    folder: Path, of: Scenario, mode: str, seed: int, days: int, retention: float = 1.0
) -> tuple[Result, Population]:
    """Run a population and return its figures on the day, with the population for rivals to look at."""
    population = load(folder)
    population.connection.execute("UPDATE types SET retention = round(retention * ?)::INTEGER", [retention])
    reviews = max(1, round(of.reviews * of.scale)) if of.reviews else 0
    run_population(population, Options(mode, reviews, seed, of.missed, of.wrong, days, DEFAULT, of.join_days))
    found = measures(population, DAY)
    connection = population.connection
    connection.execute("CREATE TEMP TABLE strata AS " + " UNION ALL ".join(
        f"SELECT {number}::SMALLINT AS provider, account AS name, stratum, several FROM "
        f"read_parquet('{folder}/{name}/strata.parquet')" for number, name in enumerate(population.names)
    ))  # fmt: skip
    liars = set(range(len(population.names) - of.liars, len(population.names)))
    strata: Counter[str] = Counter()
    false_flags = 0
    for provider, stratum, count in connection.execute(
        f"""SELECT provider, if(several, 'several providers', stratum), count(*) FROM flags
        JOIN truth USING (account) JOIN account_names USING (provider, account) JOIN strata USING (provider, name)
        WHERE NOT hostile AND day <= {DAY} GROUP BY ALL"""
    ).fetchall():
        # What a liar says of accounts that it invented itself harms nobody else.
        if provider not in liars:
            strata[stratum] += count
            false_flags += count
    share: Counter[str] = Counter(dict(connection.execute(
        """SELECT if(several, 'several providers', stratum), count(*) FROM strata
        JOIN account_names USING (provider, name) JOIN truth USING (account) WHERE NOT hostile GROUP BY ALL"""
    ).fetchall()))  # fmt: skip
    (wasted,) = connection.execute("""SELECT count(*) FROM verdicts JOIN truth USING (account)
        WHERE NOT hostile AND NOT random""").fetchone() or (0,)
    flagged = found.flagged - (found.false_flags - false_flags)
    precision = 1 - false_flags / flagged if flagged else 1.0
    prevented = exchanges_prevented(population, str(folder))
    return Result(
        found.recall, found.confirmed, precision, found.exposure, prevented, false_flags, found.by_day, strata, wasted,
        share,
    ), population  # fmt: skip


def day_of(population: Population) -> Day:
    """Return what rivals see on the day."""
    connection = population.connection

    def columns(query: str) -> Mapping[str, np.ndarray]:
        return connection.execute(query).fetchnumpy()

    count = int((connection.execute("SELECT max(account) + 1 FROM account_names").fetchone() or (1,))[0] or 1)
    held = columns(f"""SELECT account, dense_rank() OVER (ORDER BY type, value) - 1 AS value, type FROM holdings
        WHERE first_day <= {DAY}""")
    known = columns(f"""SELECT DISTINCT account FROM (SELECT account FROM confirmed WHERE day <= {DAY}
        UNION ALL SELECT account FROM verdicts WHERE confirmed AND day <= {DAY})""")
    truth = columns(f"SELECT account, hostile, first_day FROM truth WHERE first_day <= {DAY}")
    active = columns(
        f"""SELECT account, day * 24 + hour AS slot FROM activity, range(24) AS hours(hour)
        WHERE day <= {DAY} AND (hours >> hour) & 1 = 1""".replace(
            "(hours >> hour)", "(activity.hours >> hour::INTEGER)"
        )
    )
    bad, hostile = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    bad[known["account"]] = True
    hostile[truth["account"][truth["hostile"].astype(bool)]] = True
    return Day(
        held["account"].astype(np.int64), held["value"].astype(np.int64), held["type"].astype(np.int64),
        np.zeros(count, dtype=np.int64), bad, hostile, active["account"].astype(np.int64),
        active["slot"].astype(np.int64),
    )  # fmt: skip


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Write a mean with the least and the most."""
    mean = statistics.fmean(values)
    if len(values) == 1 or min(values) == max(values):
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def main() -> None:
    """Run, draw, tell."""
    parser = measure.arguments(NAME, __doc__ or "")
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS))
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--days", type=int, default=26)
    parser.add_argument(
        "--rivals",
        nargs="*",
        choices=list(SCENARIOS),
        default=[HARD, LIAR, POISON, INFORMED],
        help="the scenarios that rivals are run on",
    )
    parser.add_argument("--sweep", nargs="+", default=[], help="assumptions to vary, or `retention`")
    parser.add_argument("--leave-out", action="store_true", help="also run without each type of evidence")
    parser.add_argument(
        "--write", action="store_true", help="draw the pictures and fill the table of docs/detection.md"
    )
    options = parser.parse_args()
    if options.smoke:
        options.scale, options.seeds, options.days, options.only = 0.002, 1, 22, [HARD]
        options.modes, options.rivals = ["alone", "reviewed"], [HARD]
    began = time.process_time()
    table: dict[str, dict[str, list[Result]]] = {}
    rivals: Rivals = {}
    largest: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        if options.sweep:
            sweep(options.sweep, options.scale, options.seeds, Path(scratch))
            return
        federated, cutoffs = (
            tuned(options.scale, options.days, Path(scratch))
            if set(options.rivals) & set(options.only)
            else ({}, {})
        )
        for name in options.only:
            of = scenario_of(name, options.scale)
            liars = range(len(of.providers) - of.liars, len(of.providers))
            for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
                folder = Path(scratch) / f"{len(table)}-{seed}"
                write_population(make_world(of, seed), folder)
                for mode in options.modes:
                    result, population = run_one(folder, of, mode, seed, options.days)
                    table.setdefault(name, {}).setdefault(mode, []).append(result)
                    say(name, mode, seed, result)
                    if name in options.rivals and mode == "reviewed":
                        of_name = rivals.setdefault(name, {})
                        rows, reviews = rows_of(population), max(1, round(of.reviews * of.scale))
                        for rival, (rule, cutoff) in federated.items():
                            lived = live(rows, rule, cutoff, reviews, DAY + 1)
                            of_name.setdefault(rival, []).append(judged_by(rows, lived, DAY, liars))
                        day = day_of(population)
                        for rival, cutoff in cutoffs.items():
                            of_name.setdefault(rival, []).append(judged(RIVALS[rival](day), cutoff, day))
                        largest.append(components(day) / day.accounts)
                    population.close()
                if options.leave_out and name == "all indicators":
                    leave_one_out(folder, of, seed, options.days)
    for name, of_name in rivals.items():
        for rival, found in of_name.items():
            print(f"{name} | rival {rival}: recall {spread([one[0] for one in found])}, "
                  f"precision {spread([one[1] for one in found], 3)}, "
                  f"false flags {spread([float(one[2]) for one in found], 0)}")  # fmt: skip
    for name, modes in table.items():
        print(f"{name} | false flags by stratum, against the average: {by_stratum(modes)}")
    if largest:
        print(
            f"connected components: the largest holds {spread([100 * share for share in largest], 0)} % of all accounts"
        )
    if options.write:
        from detection_pictures import write_pages

        write_pages(table, rivals, options.scale, options.seeds)
    tell(table, rivals, time.process_time() - began)


def tuned(scale: float, days: int, scratch: Path) -> tuple[dict[str, tuple[Rule, float]], dict[str, float]]:
    """Fix the rivals' thresholds on the tuning seed: of those that live in the federation, and of the pooled ones."""
    of = scenario_of(HARD, scale)
    folder = scratch / "tuning"
    write_population(make_world(of, TUNING_SEED), folder)
    _, population = run_one(folder, of, "reviewed", TUNING_SEED, days)
    day = day_of(population)
    federated = tuned_rules(rows_of(population), max(1, round(of.reviews * of.scale)), DAY)
    population.close()
    return federated, {rival: threshold(score(day), day.hostile, 0.99) for rival, score in RIVALS.items()}


def judged(scores: np.ndarray, cutoff: float, day: Day) -> tuple[float, float, int]:
    """Return recall, precision and false flags; what is confirmed anyhow counts for a rival as for the detector."""
    flagged = (scores >= cutoff) | day.bad
    right = int((flagged & day.hostile).sum())
    raised = int(flagged.sum())
    return right / max(1, int(day.hostile.sum())), right / max(1, raised), raised - right


def by_stratum(modes: Mapping[str, Sequence[Result]]) -> dict[str, float]:
    """Return each stratum's rate of false flags as a multiple of that of all ordinary accounts."""
    found = modes.get("reviewed") or next(iter(modes.values()))
    flags: Counter[str] = sum((result.strata for result in found), Counter())
    share: Counter[str] = sum((result.share for result in found), Counter())
    average = flags.total() / max(1, share.total())
    return {
        name: round(flags[name] / share[name] / average, 1)
        for name in sorted(share)
        if average and share[name]
    }


def sweep(keys: Sequence[str], scale: float, seeds: int, scratch: Path) -> None:
    """Run the hard scenario over an assumption's values, alone and sharing, and say where sharing stops helping."""
    for key in keys:
        for place, (name, of, retention) in enumerate(swept(key, scale)):
            recalls: dict[str, list[Result]] = {"alone": [], "reviewed": []}
            for seed in range(FIRST_SEED, FIRST_SEED + seeds):
                folder = scratch / f"{key}-{place}-{seed}"
                write_population(make_world(of, seed), folder)
                for mode, found in recalls.items():
                    result, population = run_one(folder, of, mode, seed, DAY + 1, retention)
                    population.close()
                    found.append(result)
            alone, shared = (statistics.fmean(one.recall for one in found) for found in recalls.values())
            ratio = shared / alone if alone else float("inf")
            verdict = "sharing helps" if ratio >= HELPS else "sharing helps no more"
            print(f"{name}: alone {spread([one.recall for one in recalls['alone']])}, reviewed "
                  f"{spread([one.recall for one in recalls['reviewed']])}, precision "
                  f"{spread([one.precision for one in recalls['reviewed']], 3)}: {verdict}", flush=True)  # fmt: skip


def leave_one_out(folder: Path, of: Scenario, seed: int, days: int) -> None:
    """Say what each type of evidence adds: the same run without it."""
    with load(folder) as whole:
        types = whole.types
    for type in types:
        population = load(folder)
        population.connection.execute("DELETE FROM holdings WHERE type = ?", [population.types.index(type)])
        reviews = max(1, round(of.reviews * of.scale))
        run_population(population, Options("reviewed", reviews, seed, of.missed, of.wrong, days, DEFAULT))
        found = measures(population, DAY)
        print(f"without {type}: recall {found.recall:.3f}, precision {found.precision:.3f}", flush=True)
        population.close()


def say(name: str, mode: str, seed: int, result: Result) -> None:
    """Print one run at once: a long benchmark shows where it is."""
    print(
        f"{name} | {mode} | seed {seed}: flagged {result.recall:.3f}, confirmed {result.confirmed:.3f}, "
        f"precision {result.precision:.4f}, exposure {result.exposure:.1f} days, prevented {result.prevented:.2f}, "
        f"false flags {result.false_flags} {dict(result.strata)}, innocents reviewed {result.reviews_wasted}",
        flush=True,
    )


def tell(
    table: Mapping[str, Mapping[str, list[Result]]], rivals: Mapping[str, object], seconds: float
) -> None:
    """Print one figure for each scenario: sharing reviewed matches against alone."""
    figures = []
    samples = 0
    for name, modes in table.items():
        shared = modes.get("reviewed") or next(iter(modes.values()))
        alone = modes.get("alone", [])
        samples = len(shared)
        recall = statistics.fmean(result.recall for result in shared)
        base = statistics.fmean(result.recall for result in alone) if alone else 0.0
        precision = statistics.fmean(result.precision for result in shared)
        aim = AIMS.get(name, 0.0)
        figures.append(measure.Figure(
            what=f"{name}: hostile accounts flagged by day {DAY}",
            unit="share", product=recall, primitive=base, ratio=recall / base if base else 0.0,
            target=f"≥ {aim:g}, precision ≥ 0.99" if aim else "precision ≥ 0.99",
            met=recall >= aim and precision >= 0.99,
            more={
                "precision": precision,
                "exposure": statistics.fmean(result.exposure for result in shared),
                "confirmed": statistics.fmean(result.confirmed for result in shared),
                "prevented": statistics.fmean(result.prevented for result in shared),
                "false flags": statistics.fmean(result.false_flags for result in shared),
                "innocents reviewed": statistics.fmean(result.reviews_wasted for result in shared),
                **{f"{mode} recall": statistics.fmean(run.recall for run in found) for mode, found in modes.items()},
            },
        ))  # fmt: skip
    measure.tell(
        NAME, figures, samples=samples, cpu_seconds=seconds, peak=measure.peak_mib(), more={"rivals": rivals}
    )


if __name__ == "__main__":
    main()
