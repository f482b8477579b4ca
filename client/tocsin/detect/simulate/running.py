"""Run a population day by day in one of four modes, and write who was flagged when.

1. alone: a member has its own confirmed accounts only. own: each member shares its own detector's confirmed accounts.
   reviewed: and the values of accounts that its reviews confirmed, with hops. pooled: one member sees all raw data.
2. Each day every member runs a round over what was published before that day, reviews, and publishes.
3. Simulated reviewers read the truth and err at two given rates. The pooled reference has all members' reviewers.
4. `flags.parquet`: provider, account, day, bits. `verdicts.parquet`: provider, account, day, confirmed, random, bits.
   Existing files are never overwritten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tocsin.detect.errors import ExtraMissing
from tocsin.detect.review_order import Waiting
from tocsin.detect.rounds import Columns, plan
from tocsin.detect.rules import DEFAULT, HALF, Rules
from tocsin.detect.simulate.member import Member
from tocsin.detect.simulate.population import Population

if TYPE_CHECKING:
    from numpy.random import Generator

MODES = ("alone", "own", "reviewed", "pooled")
COLUMNS = Columns(account="int32", type="int16", value="int64", member="int16")
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Options:
    """How a population is run. `reviews` is per provider and day; `missed` and `wrong` are the reviewers' error
    rates.
    """

    mode: str
    reviews: int = 0
    seed: int = 1
    missed: float = 0.0
    wrong: float = 0.0
    days: int | None = None
    rules: Rules = DEFAULT
    join_days: tuple[int, ...] = ()
    """The day on which each provider, in order of its name, begins to read and publish; 0 for those not named."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did: how many accounts were flagged, of how many of them the truth says hostile, and reviews made."""

    providers: int
    accounts: int
    days: int
    flagged: int
    hostile_flagged: int
    hostile: int
    reviews: int
    confirmed: int


def run_population(population: Population, options: Options, progress: Progress | None = None) -> Outcome:
    """Run it; the tables `flags` and `verdicts` of the population's connection hold what happened."""
    try:
        import numpy as np
    except ImportError:
        raise ExtraMissing("numpy") from None
    stages = plan(COLUMNS, options.rules)
    connection = population.connection
    numbers = range(len(population.names))
    pooled = options.mode == "pooled"
    joins = (*options.join_days, *(0 for _ in numbers))
    members = [Member(connection, 0, tuple(numbers), options.rules)] if pooled else [
        Member(connection, number, (number,), options.rules, joins[number]) for number in numbers
    ]  # fmt: skip
    connection.execute("""CREATE TABLE entries (type SMALLINT, value BIGINT, reporter SMALLINT, root SMALLINT, abuse
        TINYINT, accounts BIGINT, hops BIGINT, confidence BIGINT, disputed BIGINT, first_day INTEGER, last_day
        INTEGER)""")
    connection.execute("CREATE TABLE entry_totals (reporter SMALLINT, type SMALLINT, total BIGINT)")
    for member in members:
        member.prepare()
    reviews = options.reviews * (len(numbers) if pooled else 1)
    random = np.random.default_rng([options.seed, MODES.index(options.mode)])
    days = population.days if options.days is None else min(options.days, population.days)
    for day in range(days):
        for member in members:
            member.detect(stages, day)
            if reviews:
                _review(member, day, reviews, options, random)
        if options.mode in ("own", "reviewed"):
            for member in members:
                member.publish(day, reviewed=options.mode == "reviewed")
        if progress is not None:
            progress(day + 1, days)
    return _gather(population, members, days)


def _review(member: Member, day: int, size: int, options: Options, random: Generator) -> None:
    def draw(waiting: Sequence[Waiting], count: int) -> Sequence[Waiting]:
        return [
            waiting[place] for place in sorted(random.choice(len(waiting), count, replace=False).tolist())
        ]

    chosen = member.review(day, size, draw)
    if not chosen:
        return
    accounts = [choice.waiting.account for choice in chosen]
    hostile = dict(
        member.connection.execute(
            "SELECT account, hostile FROM truth WHERE account IN (SELECT unnest(?::INTEGER[]))", [accounts]
        ).fetchall()
    )
    errs = random.random(len(chosen))
    decisions = []
    for choice, luck in zip(chosen, errs.tolist(), strict=True):
        bad = bool(hostile.get(choice.waiting.account, False))
        decisions.append((choice, luck >= options.missed if bad else luck < options.wrong))
    member.decide(day, decisions)


def _gather(population: Population, members: Sequence[Member], days: int) -> Outcome:
    run_sql = population.connection.execute
    run_sql("USE memory.main")
    for table in ("flags", "verdicts"):
        parts = " UNION ALL ".join(f"SELECT * FROM {member.schema}.{table}" for member in members)
        run_sql(f"CREATE OR REPLACE TABLE {table} AS {parts}")
    flagged, hostile_flagged = run_sql("""SELECT count(*), count(*) FILTER (hostile) FROM flags
        LEFT JOIN truth USING (account)""").fetchone() or (0, 0)
    (hostile,) = run_sql("SELECT count(*) FROM truth WHERE hostile").fetchone() or (0,)
    (accounts,) = run_sql("SELECT count(*) FROM account_names").fetchone() or (0,)
    reviews, confirmed = run_sql("SELECT count(*), count(*) FILTER (confirmed) FROM verdicts").fetchone() or (
        0,
        0,
    )
    return Outcome(
        len(population.names), accounts, days, flagged, hostile_flagged, hostile, reviews, confirmed
    )


def write_outcome(population: Population, out: Path) -> None:
    """Write `flags.parquet` and `verdicts.parquet` into a folder (rule 4). Raises OSError."""
    out.mkdir(parents=True, exist_ok=True)
    files = {name: out / f"{name}.parquet" for name in ("flags", "verdicts")}
    for path in files.values():
        if path.exists():
            raise FileExistsError(17, "File exists", str(path))
    connection = population.connection
    connection.execute("CREATE OR REPLACE TEMP TABLE provider_names (provider SMALLINT, name VARCHAR)")
    connection.executemany("INSERT INTO provider_names VALUES (?, ?)", list(enumerate(population.names)))
    bits = f"bits / {HALF}::DOUBLE AS bits"
    columns = {"flags": f"day, {bits}", "verdicts": f"day, confirmed, random, {bits}"}
    for name, path in files.items():
        connection.sql(
            f"""SELECT providers.name AS provider, names.name AS account, {columns[name]} FROM {name}
            JOIN account_names AS names USING (account)
            JOIN provider_names AS providers ON providers.provider = names.provider ORDER BY 1, 3, 2"""
        ).write_parquet(str(path))
