"""How figures are measured and told; every benchmark uses this and nothing else for it.

1. The raw primitive and the product run in the same process run, in turns, so that both meet the same machine.
   What is told is the median of the turns; the first turn of each is not counted where a warm-up is asked for.
2. The last line on standard output is one JSON object. Its head is the first figure; `figures` holds all of them.
3. A figure has a target and says whether it was met. Nothing fails because a target was missed: machines differ.
4. CPU seconds and memory of other processes are read from /proc, so they are told on Linux only (else 0).
"""

from __future__ import annotations

import argparse
import ctypes.util
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_TICKS = os.sysconf("SC_CLK_TCK")

Action = Callable[[], float]
"""One turn of a measurement; returns what it measured, for example values a second."""


@dataclass(frozen=True)
class Figure:
    """One comparison. `ratio` is product ÷ primitive unless `target` says otherwise; 0 stands for no primitive."""

    what: str
    unit: str
    product: float
    primitive: float
    ratio: float
    target: str
    met: bool
    more: Mapping[str, float] = field(default_factory=dict)


def arguments(name: str, about: str) -> argparse.ArgumentParser:
    """Return the parser of a benchmark's options, with what all of them have."""
    parser = argparse.ArgumentParser(prog=f"bench_{name.replace('-', '_')}.py", description=about)
    parser.add_argument("--smoke", action="store_true", help="a small size that only shows that it works")
    return parser


def in_turns(rounds: int, *actions: Action, warm_up: int = 0) -> list[list[float]]:
    """Run the actions one after the other, `rounds` times over; return the samples of each."""
    for _ in range(warm_up):
        for action in actions:
            action()
    samples: list[list[float]] = [[] for _ in actions]
    for _ in range(rounds):
        for place, action in enumerate(actions):
            samples[place].append(action())
    return samples


def median(samples: Iterable[float]) -> float:
    """Return the median."""
    return statistics.median(samples)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value that `share` of the ascending samples do not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def seconds(action: Callable[[], object]) -> float:
    """Return how long an action takes on the clock."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def cpu(action: Callable[[], object]) -> float:
    """Return the CPU seconds that this process spends on an action, all threads."""
    began = time.process_time()
    action()
    return time.process_time() - began


def cpu_of(processes: Iterable[int]) -> float:
    """Return the CPU seconds that other processes have spent so far."""
    total = 0
    for process in processes:
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def peak_mib(processes: Iterable[int] = ()) -> float:
    """Return the most memory that this process, or the largest of the others, ever held, in MiB."""
    peaks = [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]
    for process in processes:
        try:
            status = Path(f"/proc/{process}/status").read_text()
        except OSError:
            continue
        peaks += [int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")]
    return max(peaks)


def reset_peak() -> float:
    """Let the kernel count this process's peak of memory anew; return what it holds now, in MiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return _of_status("VmRSS")


def peak_since_reset() -> float:
    """Return the most memory that this process held since `reset_peak`, in MiB."""
    return _of_status("VmHWM")


def _of_status(name: str) -> float:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(name))


def machine() -> dict[str, str]:
    """Describe the machine: what a figure depends on, and nothing that names it."""
    model = platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass  # not Linux: the architecture has to do
    return {
        "cpu": model,
        "cores": str(os.cpu_count()),
        "system": platform.system(),
        "python": platform.python_version(),
        "libsodium": _libsodium(),
    }


def _libsodium() -> str:
    for name in ("libsodium.so.23", "libsodium.so.26", ctypes.util.find_library("sodium") or ""):
        try:
            version = ctypes.CDLL(name).sodium_version_string
        except (OSError, AttributeError):
            continue
        version.restype = ctypes.c_char_p
        return str(version().decode())
    return "none"


def tell(
    name: str,
    figures: Sequence[Figure],
    *,
    samples: int,
    cpu_seconds: float,
    peak: float,
    more: Mapping[str, object] | None = None,
) -> None:
    """Print the figures for a person, then the one JSON line."""
    for figure in figures:
        against = f" against {_short(figure.primitive)}" if figure.primitive else ""
        print(
            f"{name}: {figure.what}: {_short(figure.product)}{against} {figure.unit}, ratio {figure.ratio:.2f}; "
            f"target {figure.target}: {'met' if figure.met else 'MISSED'}"
        )
    head = figures[0]
    line = {
        "name": name,
        "unit": head.unit,
        "product": _rounded(head.product),
        "primitive": _rounded(head.primitive),
        "ratio": _rounded(head.ratio),
        "cpu_seconds": _rounded(cpu_seconds),
        "peak_mib": round(peak, 1),
        "samples": samples,
        "target": head.target,
        "met": all(figure.met for figure in figures),
        "figures": [_plain(figure) for figure in figures],
        "machine": machine(),
        **(more or {}),
    }
    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _plain(figure: Figure) -> dict[str, object]:
    plain: dict[str, object] = {
        key: _rounded(value) if isinstance(value, float) else value for key, value in asdict(figure).items()
    }
    plain["more"] = {key: _rounded(value) for key, value in figure.more.items()}
    return plain


def _rounded(value: float) -> float:
    return float(f"{value:.4g}") if abs(value) < 10_000 else round(value)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
