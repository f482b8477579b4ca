"""Write `tests/vectors/sealing.json` and `rooms.json` anew: `python -m tests.sealing.regenerate_vectors`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.sealing import room_steps, sealing_steps

if __name__ == "__main__":
    for name, steps in (("sealing", sealing_steps.steps), ("rooms", room_steps.steps)):
        target = Path(__file__).parents[1] / "vectors" / f"{name}.json"
        target.write_text(json.dumps(steps(), indent=1) + "\n", encoding="utf-8")
        print(target)
