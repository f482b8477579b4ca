"""Lines of a gateway log that are no exchange, whatever they hold instead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tocsin.ingest import input_files, log_reader


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"end_user": "a", "startTime": NaN}',
        '{"end_user": "a", "startTime": -1}',
        '{"end_user": "a", "startTime": true}',
        json.dumps({"end_user": "a", "startTime": 10**400}),
    ],
)
def test_a_line_of_a_gateway_log_that_is_no_exchange_is_refused(tmp_path: Path, line: str) -> None:
    log = tmp_path / "gateway.jsonl"
    log.write_text('{"end_user": "a", "startTime": 1}\n\n' + line + "\n")
    bad = log_reader.BadLines()
    (piece,) = log_reader.cut(input_files.find([str(log)]).sources, 1)
    assert len(list(log_reader.read(piece, "litellm", bad, log_reader.Counts()))) == 1
    assert [line.place for line in bad.kept] == ["line 3"]
