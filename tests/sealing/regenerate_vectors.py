"""Write `tests/vectors/sealing.json` anew: `.venv/bin/python -m tests.sealing.regenerate_vectors`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.sealing.sealing_steps import steps

if __name__ == "__main__":
    target = Path(__file__).parents[1] / "vectors" / "sealing.json"
    target.write_text(json.dumps(steps(), indent=1) + "\n", encoding="utf-8")
    print(target)
