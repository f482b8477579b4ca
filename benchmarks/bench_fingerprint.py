"""Fingerprints: a gateway's logs to a file of indicators, by `tocsin ingest` with two workers.

(i) Exchanges a second and core for four shapes of logs (see `generated_logs`), over the whole run of the command, start
    and Parquet included: exchanges by the CPU seconds of all its processes, since a machine has other work, too.
    Against one pass of the same normalisation in plain Python (`tokens`) over the texts that the fingerprint reads of
    such exchanges, system prompt and first and last user turn: without reading, sampling, hashing or skeletons.
(ii) What 28.8 million exchanges of 25,000 accounts would take on two cores, at the rate of `steady`.
(iii) Memory of all processes together: the most of any shape, and that of `steady` against a tenth of it.
"""

from __future__ import annotations

import itertools
import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
from generated_logs import SHAPES, TEMPLATED, templates, write_shape

from tocsin.indicators.ptf2.normalising import tokens
from tocsin.indicators.snapshot_files import CURRENT

NAME = "fingerprint"
WORKERS = 2
EXAMPLE = 28_800_000
MINUTES, PEAK_MIB, FLAT = 15.0, 2_048, 1.25
RATES = {"steady": 16_000, "chats": 4_000, "documents": 4_000, "few": 3_000}
SHARES = {"steady": 1.0, "chats": 0.03, "documents": 0.06, "few": 0.1}
"""Of `--records`: the lines of a shape are the longer, the fewer of them are read."""
SAMPLE = 4_000
"""Exchanges that the primitive normalises."""


@dataclass(frozen=True)
class Run:
    """What one run of the command did, its CPU seconds in all processes, and those on the clock."""

    result: dict[str, Any]
    cpu: float
    took: float


def ingest(logs: Path, out: Path) -> Run:
    """Run the command."""
    command = [sys.executable, "-m", "tocsin.cli.main", "ingest", str(logs), "--out", str(out)]
    command += ["--workers", str(WORKERS), "--json"]
    printed: list[bytes] = []

    def run() -> None:
        printed.append(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

    before = _children()
    took = measure.seconds(run)
    return Run(json.loads(printed[0]), _children() - before, took)


def normalised(logs: Path) -> float:
    """Return of how many exchanges a CPU second normalises the texts, one pass over the first of the log."""
    with logs.open("rb") as lines:
        requests = [json.loads(line)["messages"] for line in itertools.islice(lines, SAMPLE)]
    texts = [_texts(request) for request in requests]
    took = measure.cpu(lambda: [[tokens(text, CURRENT) for text in said] for said in texts])
    return len(texts) / took


def _texts(messages: list[dict[str, str]]) -> list[str]:
    systems = [message["content"] for message in messages if message["role"] == "system"]
    turns = [message["content"] for message in messages if message["role"] == "user"]
    return [*systems, *dict.fromkeys((turns[0], turns[-1]))]


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and tell."""
    parser = measure.arguments(NAME, __doc__ or "")
    parser.add_argument("--records", type=int, default=3_000_000)
    parser.add_argument(
        "--templated", type=Path, default=TEMPLATED, help="prompts as JSON lines, packed with gzip"
    )
    options = parser.parse_args()
    if options.smoke:
        options.records = 5_000
    prompts = templates(options.templated)
    figures: list[measure.Figure] = []
    peaks: dict[str, float] = {}
    rates: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for shape in ("tenth", *SHAPES):
            asked = options.records // 10 if shape == "tenth" else round(options.records * SHARES[shape])
            logs = Path(scratch) / f"{shape}.jsonl"
            size = write_shape(logs, max(asked, 100), "steady" if shape == "tenth" else shape, prompts)
            run = ingest(logs, Path(scratch) / f"{shape}.parquet")
            result, bytes_read = run.result, logs.stat().st_size
            if result["exchanges"] != size or result["bad"]:
                raise RuntimeError(
                    f"{result['exchanges']} of {size} exchanges were read, {result['bad']} were bad"
                )
            peaks[shape] = float(result["peak_mib"])
            if shape != "tenth":
                plain = normalised(logs)
                rate = rates[shape] = size / run.cpu
                more = {
                    "exchanges": float(size), "accounts": float(result["accounts"]), "bytes a line": bytes_read / size,
                    "MB a second and core": bytes_read / run.cpu / 1e6, "CPU s": run.cpu, "elapsed s": run.took,
                    "peak MiB": peaks[shape], "levels of skeletons": float(result["levels"]),
                }  # fmt: skip
                figures.append(
                    measure.Figure(
                        f"(i) {shape}: read, sampled and fingerprinted, against normalising every text",
                        "exchanges/s and core", rate, plain, rate / plain, f"≥ {RATES[shape]:,} exchanges/s",
                        rate >= RATES[shape], more,
                    )
                )  # fmt: skip
            logs.unlink()
    minutes = EXAMPLE / (rates["steady"] * WORKERS) / 60
    most, flat = max(peaks.values()), peaks["steady"] / peaks["tenth"]
    figures += [
        measure.Figure(
            f"(ii) {EXAMPLE / 1e6:.1f} million exchanges on {WORKERS} cores, extrapolated",
            "min", minutes, 0.0, 0.0, f"≤ {MINUTES:g} min", minutes <= MINUTES,
        ),
        measure.Figure(
            "(iii) memory of all processes, the most of any shape; `steady` against a tenth of its exchanges",
            "MiB", most, peaks["tenth"], flat,
            f"≤ {PEAK_MIB:,} MiB, ≤ {FLAT:g} times a tenth's", most <= PEAK_MIB and flat <= FLAT,
        ),
    ]  # fmt: skip
    measure.tell(NAME, figures, samples=1, cpu_seconds=_children(), peak=most)


if __name__ == "__main__":
    main()
