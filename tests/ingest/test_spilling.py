"""Rows on disk: sealed, in partitions, and nothing of them readable."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.ingest.spilling import BadSpill, Spill, spilled_bytes, spilled_rows

KEY = bytes(32)


def test_rows_come_back(tmp_path: Path) -> None:
    rows = [[number, f"SECRET prompt {number}" * 100] for number in range(500)]
    for writer in range(2):
        spill = Spill(tmp_path, writer, KEY)
        for row in rows[writer::2]:
            spill.add(7, row)
        spill.close()
    assert sorted(spilled_rows(tmp_path, 7, KEY)) == rows
    assert list(spilled_rows(tmp_path, 8, KEY)) == []
    assert spilled_bytes(tmp_path, 7) > 500 * 1_400
    for path in tmp_path.iterdir():
        assert b"SECRET" not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0


def test_what_was_changed_does_not_open(tmp_path: Path) -> None:
    spill = Spill(tmp_path, 0, KEY)
    spill.add(7, ["x" * 1_000])
    spill.close()
    path = tmp_path / "07-0"
    whole = path.read_bytes()
    with pytest.raises(BadSpill):
        list(spilled_rows(tmp_path, 7, bytes([1] * 32)))
    (tmp_path / "09-0").write_bytes(whole)
    with pytest.raises(BadSpill):
        list(spilled_rows(tmp_path, 9, KEY))
    for changed in (whole[:-1], whole[:5], whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(changed)
        with pytest.raises(BadSpill):
            list(spilled_rows(tmp_path, 7, KEY))
