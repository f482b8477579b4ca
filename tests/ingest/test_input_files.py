"""Which files are read of what was named, and which are told as passed over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tocsin.ingest.input_files import Unreadable, find


def paths(*inputs: Path | str) -> list[str]:
    return [source.path for source in find([str(name) for name in inputs]).sources]


def test_files_with_other_endings_are_counted(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.jsonl", "b.log", "in/c.log", "in/d.txt", "in/README"):
        (tmp_path / name).write_text("{}\n")
    found = find([str(tmp_path)])
    assert [source.path for source in found.sources] == [str(tmp_path / "a.jsonl")]
    assert found.passed_over == {".log": 2, ".txt": 1, "": 1}
    # Named twice, they are still the same files; named one by one, they are read.
    assert find([str(tmp_path), str(tmp_path / "in" / ".."), str(tmp_path / "b.log")]).passed_over == {
        ".log": 1,
        ".txt": 1,
        "": 1,
    }
    assert find([str(tmp_path / "a.jsonl")]).passed_over == {}


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    path, folder, link = tmp_path / "logs" / "a.jsonl", tmp_path / "logs", tmp_path / "link.jsonl"
    folder.mkdir()
    path.write_text("{}\n")
    link.symlink_to(path)
    os.link(path, tmp_path / "hard.jsonl")
    (tmp_path / "copy.jsonl").write_text("{}\n")
    assert paths(path, path) == [str(path)]
    assert paths(folder, path, link, tmp_path / "hard.jsonl") == [str(path)]
    assert paths(link, folder) == [str(link)]
    assert paths(path, tmp_path / "copy.jsonl") == [str(path), str(tmp_path / "copy.jsonl")]


def test_a_folder_in_a_folder_that_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "a.jsonl").write_text("{}\n")
    scan = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "in":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(Unreadable, match=r"in: cannot be read \(Permission denied\)"):
        find([str(tmp_path)])
