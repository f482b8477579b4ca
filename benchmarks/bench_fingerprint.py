"""Fingerprints: a gateway's logs to a file of indicators, by `tocsin ingest` with two workers.

(i) Exchanges a second and core for four shapes of logs (see `generated_logs`), over the whole run of the command, start
    and Parquet included, and bytes a second; against one pass of the same normalisation over each exchange's user turn
    in plain Python, without reading, sampling or skeletons.
(ii) What 28.8 million exchanges of 25,000 accounts would take on two cores, at the rate of `steady`.
(iii) Memory of all processes together, at the full size of `steady` against a tenth of it.
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
from generated_logs import SHAPES, templates, write_shape

from tocsin.indicators.ptf2.normalising import tokens
from tocsin.indicators.snapshot_files import CURRENT

NAME = "fingerprint"
WORKERS = 2
EXAMPLE = 28_800_000
MINUTES, PEAK_MIB, FLAT = 15.0, 2_048, 1.25
RATES = {"steady": 16_000, "chats": 4_000, "documents": 4_000, "few": 3_000}
SHARES = {"steady": 1.0, "chats": 0.03, "documents": 0.06, "few": 0.1}
"""Of `--records`: the lines of a shape are the longer, the fewer of them are read."""


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
    figures, peaks, steady = [], [], 0.0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for shape in ("tenth", *SHAPES):
            asked = options.records // 10 if shape == "tenth" else round(options.records * SHARES[shape])
            logs = folder / f"{shape}.jsonl"
            size = write_shape(logs, max(asked, 100), "steady" if shape == "tenth" else shape)
            result, took = ingest(logs, folder / f"{shape}.parquet")
            if result["exchanges"] != size or result["bad"]:
                raise RuntimeError(
                    f"{result['exchanges']} of {size} exchanges were read, {result['bad']} were bad"
                )
            bytes_read = logs.stat().st_size
            logs.unlink()
            if shape in ("tenth", "steady"):
                peaks.append(float(result["peak_mib"]))
            if shape == "tenth":
                continue
            rate = size / took / WORKERS
            steady = steady or rate
            more = {
                "exchanges": float(size), "accounts": float(result["accounts"]), "bytes a line": bytes_read / size,
                "MB a second and core": bytes_read / took / WORKERS / 1e6,
                "levels of skeletons": float(result["levels"]),
            }  # fmt: skip
            figures.append(
                measure.Figure(
                    f"(i) {shape}: read, sampled and fingerprinted, against normalising every prompt",
                    "exchanges/s and core", rate, plain, rate / plain, f"≥ {RATES[shape]:,} exchanges/s",
                    rate >= RATES[shape], more,
                )
            )  # fmt: skip
    minutes = EXAMPLE / (steady * WORKERS) / 60
    small, whole = peaks
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures += [
        measure.Figure(
            f"(ii) {EXAMPLE / 1e6:.1f} million exchanges on {WORKERS} cores, extrapolated",
            "min", minutes, 0.0, 0.0, f"≤ {MINUTES:g} min", minutes <= MINUTES,
        ),
        measure.Figure(
            "(iii) memory of all processes, against a tenth of the exchanges", "MiB", whole, small, whole / small,
            f"≤ {PEAK_MIB:,} MiB, ≤ {FLAT:g} times a tenth's", whole <= PEAK_MIB and whole <= FLAT * small,
        ),
    ]  # fmt: skip
    measure.tell(NAME, figures, samples=1, cpu_seconds=used.ru_utime + used.ru_stime, peak=whole)


if __name__ == "__main__":
    main()
