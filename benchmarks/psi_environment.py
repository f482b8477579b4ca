"""The rival's own environment: it needs an older protobuf than Tocsin, so it never shares one with it.

It is made once in the user's cache folder, from a lock with hashes, and used again while the lock stays the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
LOCK = HERE / "requirements-psi.lock"


def environment() -> Path:
    """Return the rival's interpreter; makes its environment if it is not there yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tocsin-benchmarks"
    folder = (
        cache
        / f"psi-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}-{sys.version_info[0]}.{sys.version_info[1]}"
    )
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"match: making the rival's environment in {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run(
            [
                python,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--require-hashes",
                "-r",
                LOCK,
            ],
            check=True,
        )
        (folder / "complete").touch()
    return python


def intersect(size: int) -> float:
    """Return the CPU seconds of both parties for the whole sets of `size` values each."""
    done = subprocess.run(
        [environment(), HERE / "psi_rival.py", str(size)], check=True, stdout=subprocess.PIPE, text=True
    )
    return float(json.loads(done.stdout.splitlines()[-1])["cpu_seconds"])
