"""How well a run did, by the truth that only a simulation knows.

1. Recall on day d: of the hostile accounts first seen by d, those flagged by d. Confirmed recall counts those that a
   review or the provider's own detector confirmed by d.
2. Precision: hostile accounts among the flagged, from the first day to d.
3. Exposure: mean days from a hostile account's first day to its flag. Exchanges prevented: the share of the hostile
   accounts' exchanges after their flag, each account's spread evenly over its days.
"""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.detect.simulate.population import Population


@dataclass(frozen=True, slots=True)
class Measures:
    """Figures of one run up to day `day`. Shares are from 0 to 1; `by_day` has the recall of every day up to there."""

    day: int
    flagged: int
    false_flags: int
    precision: float
    recall: float
    confirmed: float
    exposure: float
    by_day: tuple[float, ...]


def measures(population: Population, day: int) -> Measures:
    """Return the figures up to a day of the run that `run_population` left in the population's tables."""
    run = population.connection.execute
    flagged, right, exposure = run(
        """SELECT count(*), count(*) FILTER (hostile), avg(day - first_day) FILTER (hostile) FROM flags
        LEFT JOIN truth USING (account) WHERE day <= ?""",
        [day],
    ).fetchone() or (0, 0, None)
    (confirmed,) = run(
        """SELECT count(DISTINCT account) FROM (SELECT account, day FROM confirmed UNION ALL
        SELECT account, day FROM verdicts WHERE confirmed) AS bad JOIN truth USING (account)
        WHERE hostile AND day <= ?""",
        [day],
    ).fetchone() or (0,)
    rows = run(
        """WITH days AS (SELECT unnest(range(?::BIGINT + 1)) AS d)
        SELECT d, count(*) FILTER (first_day <= d), count(*) FILTER (first_day <= d AND flags.day <= d)
        FROM days CROSS JOIN truth LEFT JOIN flags USING (account) WHERE hostile GROUP BY d ORDER BY d""",
        [day],
    ).fetchall()
    active = rows[-1][1] if rows else 0
    by_day = tuple(found / known if known else 0.0 for _, known, found in rows)
    return Measures(
        day, flagged, flagged - right, right / flagged if flagged else 1.0, by_day[-1] if by_day else 0.0,
        confirmed / active if active else 0.0, exposure or 0.0, by_day,
    )  # fmt: skip


def exchanges_prevented(population: Population, folder: str, provider_files: str = "strata.parquet") -> float:
    """Return the share of the hostile exchanges that come after their account's flag (rule 3), over the whole run.

    `folder` is the population's own folder; only worlds made by `tocsin simulate` know each account's exchanges by day.
    """
    rows = []
    for number, name in enumerate(population.names):
        rows.append(
            f"SELECT {number}::SMALLINT AS provider, account AS name, last_day, exchanges "
            f"FROM read_parquet('{folder}/{name}/{provider_files}')"
        )
    (share,) = population.connection.execute(
        f"""SELECT sum(CASE WHEN flags.day IS NULL OR last_day < flags.day THEN 0
            ELSE exchanges * least(1, (last_day - flags.day) / (last_day - first_day + 1.0)) END) / sum(exchanges)
        FROM ({" UNION ALL ".join(rows)}) AS more
        JOIN account_names USING (provider, name) JOIN truth USING (account) LEFT JOIN flags USING (account)
        WHERE hostile"""
    ).fetchone() or (0.0,)
    return float(share or 0.0)
