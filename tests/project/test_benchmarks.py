"""Every figure of docs/performance.md has a benchmark that runs and ends with one JSON object."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
NAMES = (
    "evaluate",
    "evaluate-verified",
    "publish",
    "publish-one",
    "follow",
    "growth",
    "match",
    "start",
    "fingerprint",
    "fingerprint-quality",
    "detect",
    "detection",
)
KEYS = {
    "name",
    "unit",
    "product",
    "primitive",
    "ratio",
    "cpu_seconds",
    "peak_mib",
    "samples",
    "target",
    "figures",
}


def script(name: str) -> Path:
    return BENCHMARKS / f"bench_{name.replace('-', '_')}.py"


def run(name: str, option: str) -> str:
    done = subprocess.run(
        [sys.executable, script(name), option], check=True, capture_output=True, text=True, timeout=120
    )
    return done.stdout


def test_every_benchmark_is_one_of_the_figures() -> None:
    assert sorted(path.name for path in BENCHMARKS.glob("bench_*.py")) == sorted(
        script(name).name for name in NAMES
    )


def test_the_documentation_speaks_of_every_figure() -> None:
    docs = BENCHMARKS.parent / "docs"
    pages = [(docs / name).read_text() for name in ("performance.md", "fingerprint.md")]
    detection = (docs / "detection.md").read_text()
    assert detection.index("<!-- detection: begin -->") < detection.index("<!-- detection: end -->")
    assert [name for name in NAMES if not any(f"**`{name}`.**" in page for page in [*pages, detection])] == []
    for page in pages:
        assert page.index("<!-- figures: begin -->") < page.index("<!-- figures: end -->")


@pytest.mark.parametrize("name", ["publish", "match"])
def test_a_benchmark_ends_with_one_json_object(name: str) -> None:
    told = json.loads(run(name, "--smoke").splitlines()[-1])
    assert told["name"] == name
    assert told.keys() >= KEYS
    assert all(figure["product"] > 0 for figure in told["figures"])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_runs(name: str) -> None:
    assert "--smoke" in run(name, "--help")
    assert json.loads(run(name, "--smoke").splitlines()[-1])["name"] == name
