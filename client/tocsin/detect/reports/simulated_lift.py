"""What sharing gave each provider of a simulated federation: two modes' flags over one population, with its truth.

1. A population's folder knows who is hostile and what each account exchanged, so these are figures and no bounds.
2. Exchanges prevented: those of a hostile account after the flag, at its own rate, in one mode less the other.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from tocsin.detect.errors import BadPopulation, ExtraMissing


@dataclass(frozen=True, slots=True)
class SimulatedLift:
    """The figures of one provider. `days_earlier` is the mean over hostile accounts that both modes flagged."""

    provider: str
    hostile: int
    alone: int
    sharing: int
    only_through_others: int
    false_alone: int
    false_sharing: int
    days_earlier: float | None
    exchanges_prevented: int

    def to_dict(self) -> dict[str, object]:
        """Return every field under its name."""
        return asdict(self)


def simulated_lift(population: Path, alone: Path, sharing: Path) -> list[SimulatedLift]:
    """Compare the flags of two modes, as `tocsin simulate` wrote them, provider by provider.

    Raises `BadPopulation`, `ExtraMissing`.
    """
    try:
        import duckdb
    except ImportError:
        raise ExtraMissing("duckdb") from None
    files = {"alone": alone / "flags.parquet", "sharing": sharing / "flags.parquet"}
    providers = (
        sorted(folder for folder in population.iterdir() if folder.is_dir()) if population.is_dir() else []
    )
    missing = [path for path in files.values() if not path.is_file()]
    missing += [
        folder / name
        for folder in providers
        for name in ("truth.parquet", "holdings.parquet")
        if not (folder / name).is_file()
    ]
    if missing or not providers:
        raise BadPopulation(
            f"{missing[0] if missing else population} does not exist: name a folder that `tocsin simulate --out` wrote"
        )
    found = []
    with duckdb.connect() as connection:
        for name, path in files.items():
            connection.read_parquet(str(path)).create(name)
        for folder in providers:
            try:
                row = connection.execute(
                    _QUERY,
                    {
                        "provider": folder.name,
                        "truth": str(folder / "truth.parquet"),
                        "holdings": str(folder / "holdings.parquet"),
                    },
                ).fetchone()
            except duckdb.Error:
                raise BadPopulation(f"{folder} does not have the documented columns") from None
            assert row is not None
            found.append(SimulatedLift(folder.name, *row))
    return found


_QUERY = """WITH first_alone AS (SELECT account, min(day) AS day FROM alone WHERE provider = $provider
    GROUP BY account),
first_sharing AS (SELECT account, min(day) AS day FROM sharing WHERE provider = $provider GROUP BY account),
used AS (SELECT account, max(exchanges) AS exchanges, min(first_day) AS first, max(last_day) AS last
    FROM read_parquet($holdings) GROUP BY account),
of AS (SELECT truth.account, truth.hostile, first_alone.day AS alone, first_sharing.day AS sharing,
    used.exchanges / (used.last - used.first + 1) AS rate, used.last
    FROM read_parquet($truth) AS truth LEFT JOIN first_alone USING (account) LEFT JOIN first_sharing USING (account)
    LEFT JOIN used USING (account))
SELECT count(*) FILTER (hostile), count(alone) FILTER (hostile), count(sharing) FILTER (hostile),
    count(sharing) FILTER (hostile AND alone IS NULL), count(alone) FILTER (NOT hostile),
    count(sharing) FILTER (NOT hostile), avg(alone - sharing) FILTER (hostile),
    CAST(round(coalesce(sum(rate * (greatest(0, last - coalesce(sharing, last)) - greatest(0, last - coalesce(alone,
    last)))) FILTER (hostile), 0)) AS BIGINT) FROM of"""
