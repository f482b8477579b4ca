"""What is read back of a file of indicators."""

from __future__ import annotations

import json
from pathlib import Path

from tocsin.indicators.ptf2.common_list import shipped
from tocsin.indicators.ptf2.template import write_skeleton
from tocsin.indicators.snapshot_files import CURRENT
from tocsin.ingest.account_indicators import Row, as_objects
from tocsin.ingest.indicators_file import read_indicators, write_indicators


def test_a_level_with_bands_here_and_without_there_is_one_value_with_bands(tmp_path: Path) -> None:
    common = shipped(CURRENT.common_prompts)
    texts = [write_skeleton(range(1, 41), common, banded=banded) for banded in (True, False)]
    rows = [
        Row("anna", "prompt.template", texts[1], 5, 4, 100, 200, 0),
        Row("bert", "prompt.template", texts[0], 7, 4, 150, 300, 0),
        Row("bert", "prompt.template", texts[1], 9, 4, 400, 500, 1),
    ]
    part = tmp_path / "part.jsonl"
    part.write_text("".join(json.dumps(row) + "\n" for row in as_objects(rows)))
    write_indicators([part], tmp_path / "out.parquet")
    (found,) = read_indicators(tmp_path / "out.parquet")
    assert (found.value, found.accounts) == (texts[0], ("anna", "bert"))
    assert (found.exchanges, found.first_seen, found.last_seen) == (21, 100, 500)
