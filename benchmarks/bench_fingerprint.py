"""Fingerprints: a gateway's logs to a file of indicators, by `tocsin ingest` with two workers.

(i) Records a second and core, over the whole run of the command, start and Parquet included; against one pass of the
    same normalisation over each record's first user turn in plain Python, without reading, sampling or skeletons.
(ii) What 28.8 million exchanges of 25,000 accounts would take on two cores, at the rate of (i).
(iii) Memory of all processes together, at the full size against a tenth of it.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import measure
from generated_logs import EXCHANGES_EACH, templates, write_logs

from tocsin.indicators.ptf2.normalising import tokens
from tocsin.indicators.snapshot_files import CURRENT

NAME = "fingerprint"
WORKERS = 2
EXAMPLE = 28_800_000
RATE, MINUTES, PEAK_MIB, FLAT = 16_000, 15.0, 2_048, 1.25


def ingest(logs: Path, out: Path) -> tuple[dict[str, Any], float]:
    """Run the command; return its summary and the seconds it took."""
    command = [sys.executable, "-m", "tocsin.cli.main", "ingest", str(logs), "--out", str(out)]
    command += ["--workers", str(WORKERS), "--json"]
    began = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    took = time.perf_counter() - began
    found: dict[str, Any] = json.loads(done.stdout)
    return found, took


def normalised(prompts: int) -> float:
    """Return how many prompts a second one core turns into tokens, one pass over the generator's prompts."""
    every = [prompt for group in templates() for prompt in group][:prompts]
    took = measure.seconds(lambda: [tokens(prompt, CURRENT) for prompt in every])
    return len(every) / took


def main() -> None:
    """Measure and tell."""
    parser = measure.arguments(NAME, __doc__ or "")
    parser.add_argument("--records", type=int, default=3_000_000)
    options = parser.parse_args()
    if options.smoke:
        options.records = 5_000
    plain = normalised(100 if options.smoke else 10_000)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        found: list[tuple[dict[str, Any], float]] = []
        line_bytes = 0.0
        for size in (options.records // 10, options.records):
            logs = folder / f"{size}.jsonl"
            write_logs(logs, size)
            result, took = ingest(logs, folder / f"{size}.parquet")
            if result["exchanges"] != size or result["bad"]:
                raise RuntimeError(
                    f"{result['records']} of {size} records were read, {result['bad']} were bad"
                )
            found.append((result, took))
            line_bytes = logs.stat().st_size / size
            logs.unlink()
    (small, _), (whole, took) = found
    rate = options.records / took / WORKERS
    minutes = EXAMPLE / (rate * WORKERS) / 60
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    more = {
        "records": float(options.records),
        "accounts": float(whole["accounts"]),
        "bytes a line": line_bytes,
    }
    more |= {"exchanges an account": float(EXCHANGES_EACH), "levels of skeletons": float(whole["levels"])}
    figures = [
        measure.Figure(
            f"(i) {options.records:,} records read, sampled and fingerprinted, against normalising every prompt",
            "records/s and core", rate, plain, rate / plain, f"≥ {RATE:,} records/s", rate >= RATE, more,
        ),
        measure.Figure(
            f"(ii) {EXAMPLE / 1e6:.1f} million exchanges on {WORKERS} cores, extrapolated",
            "min", minutes, 0.0, 0.0, f"≤ {MINUTES:g} min", minutes <= MINUTES,
        ),
        measure.Figure(
            f"(iii) memory of all processes, {options.records:,} records against a tenth",
            "MiB", whole["peak_mib"], small["peak_mib"], whole["peak_mib"] / small["peak_mib"],
            f"≤ {PEAK_MIB:,} MiB, ≤ {FLAT:g} times a tenth's",
            whole["peak_mib"] <= PEAK_MIB and whole["peak_mib"] <= FLAT * small["peak_mib"],
        ),
    ]  # fmt: skip
    measure.tell(
        NAME, figures, samples=1, cpu_seconds=used.ru_utime + used.ru_stime, peak=float(whole["peak_mib"])
    )


if __name__ == "__main__":
    main()
