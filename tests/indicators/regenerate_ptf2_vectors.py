"""Write `tests/vectors/ptf2.json` anew: `.venv/bin/python -m tests.indicators.regenerate_ptf2_vectors`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.indicators.ptf2_steps import vectors

if __name__ == "__main__":
    target = Path(__file__).parents[1] / "vectors" / "ptf2.json"
    target.write_text(json.dumps(vectors(), indent=1) + "\n", encoding="utf-8")
    print(target)
