"""The Makefile's first run: two at once make one environment."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Makes an environment whose `pip` does nothing, and writes down what it was asked for.
PYTHON = """#!/bin/bash
case "$*" in
  *"-m venv"*) echo venv >> made; sleep 0.5; mkdir -p .venv/bin; cp fake-python .venv/bin/python
    printf '#!/bin/bash\\necho ran\\n' > .venv/bin/tocsin; chmod +x .venv/bin/* ;;
  *"-m pip"*--require-hashes*) echo installed >> made ;;
  *"-m pip"*|*compileall*) ;;
  *) exec python3 "$@" ;;
esac
"""


def test_two_first_runs_at_once_make_one_environment(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "deploy").mkdir()
    for name, text in (("fake-python", PYTHON), ("deploy/libsodium.sh", "#!/bin/bash\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    runs = [
        subprocess.Popen(
            ["make", "demo", "PYTHON=./fake-python"],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    printed = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert all(text.endswith("ran\n") for text in printed)
    assert (tmp_path / "made").read_text().split() == ["venv", "installed"]
