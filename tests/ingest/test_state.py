"""The state folder: what it refuses, what it survives, and what it forgets."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.ingest import made_logs
from tocsin.client import system
from tocsin.indicators.ptf2.common_list import shipped
from tocsin.indicators.snapshot_files import CURRENT
from tocsin.ingest.ingesting import Options, ingest
from tocsin.ingest.spilling import PARTITIONS, Spill, spilled_rows
from tocsin.ingest.state import BadState, State, opened, read_key

DAY = 86_400
WINDOW_END = (made_logs.TIME // (28 * DAY) + 1) * 28 * DAY


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, made_logs.TIME)


def at(monkeypatch: pytest.MonkeyPatch, now: int) -> None:
    monkeypatch.setattr(system, "now", lambda: now)


def ingested(tmp_path: Path, name: str, made: list[str], workers: int = 1) -> None:
    logs = made_logs.write(tmp_path / f"{name}.jsonl", made)
    options = Options(shipped(CURRENT.common_prompts), state=tmp_path / "state", workers=workers)
    ingest([str(logs)], tmp_path / f"{name}.parquet", options)


def kept(folder: Path) -> list[list[object]]:
    with opened(folder, 256, 28) as state:
        return [
            row
            for number in range(PARTITIONS)
            for row in spilled_rows(state.samples, number, state.sealing_key)
        ]


def made(tmp_path: Path) -> Path:
    with opened(tmp_path / "state", 256, 28):
        pass
    return tmp_path / "state"


def refused(folder: Path) -> str:
    with pytest.raises(BadState) as caught, opened(folder, 256, 28):
        pass
    return str(caught.value)


def test_a_state_that_is_a_file_or_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text("")
    assert refused(path) == f"{path}: is not a folder; name a folder with --state"
    assert f"{path / 'in'}: cannot be used (Not a directory)" in refused(path / "in")
    with pytest.raises(BadState, match="is not a folder"):
        read_key(path)


def test_a_state_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(tmp_path)

    def refuse(path: object, *_: object) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)
    assert refused(folder) == (
        f"{folder / 'lock'}: cannot be used (Permission denied); make it yours to read and write, or name another "
        "folder with --state"
    )


@pytest.mark.parametrize(
    "content", ["[]", "7", "{", '{"k": 32}', '{"k": "32", "window_days": 28}', "[" * 99_999]
)
def test_settings_that_are_damaged(tmp_path: Path, content: str) -> None:
    folder = made(tmp_path)
    (folder / "settings.json").write_text(content)
    said = refused(folder)
    assert said.startswith(f"{folder / 'settings.json'}: is damaged; write `")
    (folder / "settings.json").write_text(said.split("`")[1])  # as the message says
    with opened(folder, 256, 28) as state:
        assert state.folder == folder


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_a_key_that_is_none(tmp_path: Path, content: bytes) -> None:
    folder = made(tmp_path)
    (folder / "key").write_bytes(content)
    assert f"{folder / 'key'}: is not a sampling key of 32 bytes; restore the state folder" in refused(folder)


def test_a_key_that_is_gone_is_not_made_anew_beside_samples(tmp_path: Path) -> None:
    folder = made(tmp_path)
    (folder / "key").unlink()
    assert f"{folder / 'key'}: is missing" in refused(folder)
    assert not (folder / "key").exists()


def test_samples_that_are_damaged_are_named(tmp_path: Path) -> None:
    ingested(tmp_path, "a", made_logs.lines(1))
    folder = tmp_path / "state"
    (path,) = (folder / "samples").glob("[0-9]*")
    whole = path.read_bytes()
    for number, (changed, what) in enumerate(
        ((whole[:-1], "was changed"), (whole[:5], "cut short"), (whole + whole[:9], "was changed"))
    ):
        path.write_bytes(changed)
        with pytest.raises(BadState) as caught:
            # What a worker raises has to come through to here, too.
            ingested(tmp_path, f"b{number}", made_logs.lines(1), workers=1 + number // 2)
        assert str(caught.value).startswith(f"{path}: ")
        assert what in str(caught.value)
        assert "restore the state folder from a backup" in str(caught.value)
    path.write_bytes(whole)
    ingested(tmp_path, "c", made_logs.lines(1))


def test_a_sample_that_is_no_sample_is_the_states_fault(tmp_path: Path) -> None:
    ingested(tmp_path, "a", made_logs.lines(1))
    with opened(tmp_path / "state", 256, 28) as state:
        number = next(number for number in range(PARTITIONS) if list(state.samples.glob(f"{number:02}-*")))
        (facts,) = spilled_rows(state.samples, number, state.sealing_key)
        spill = Spill(state.samples, 9, state.sealing_key)
        spill.add(number, [*facts[:8], "AAAA", []])
        spill.close()
    with pytest.raises(BadState, match=r"state: .*sample.*restore the state folder"):
        ingested(tmp_path, "b", made_logs.lines(1))


def test_samples_that_are_no_folder(tmp_path: Path) -> None:
    folder = made(tmp_path)
    (folder / "samples").rmdir()
    (folder / "samples").write_text("")
    assert f"{folder / 'samples'}: is not a folder" in refused(folder)


def test_folder_and_key_that_others_may_read_are_refused(tmp_path: Path) -> None:
    folder = made(tmp_path)
    assert [path.stat().st_mode & 0o077 for path in (folder, *folder.rglob("*"))] == [0] * 6
    for path, mode, mend in ((folder / "key", 0o640, 0o600), (folder, 0o750, 0o700)):
        path.chmod(mode)
        said = f"{path} may be read by others (mode {mode:04o}); run: chmod {mend:o} {path}"
        assert refused(folder) == said
        with pytest.raises(BadState, match="may be read by others"):
            read_key(folder)
        path.chmod(mend)
    assert len(read_key(folder)) == 32


def test_key_and_settings_are_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "state"
    sync, left = os.fsync, 0

    def crash(handle: int) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise OSError(5, "Input/output error")
        sync(handle)

    monkeypatch.setattr(os, "fsync", crash)
    # File and folder of the key, then of the settings: a crash at each of these.
    for at_sync in (1, 2, 3, 4):
        left = at_sync
        assert "cannot be used (Input/output error)" in refused(folder)
        for name, size in (
            ("key", 32),
            ("settings.json", len(json.dumps({"k": 256, "window_days": 28})) + 1),
        ):
            assert not (folder / name).exists() or (folder / name).stat().st_size == size
        for path in folder.iterdir():
            path.unlink()
    left = 5
    with opened(folder, 256, 28):
        assert left == 1


@pytest.mark.parametrize("at_rename", [1, 2])
def test_a_crash_between_the_renames_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_rename: int
) -> None:
    ingested(tmp_path, "a", made_logs.lines(1))
    before = kept(tmp_path / "state")
    rename, count = Path.rename, 0

    def crash(path: Path, target: Path) -> Path:
        nonlocal count
        if path.name.startswith("samples"):
            count += 1
            if count == at_rename:
                raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", crash)
        with pytest.raises(KeyboardInterrupt):
            ingested(tmp_path, "b", made_logs.lines(2))
    assert kept(tmp_path / "state") == before


def test_a_window_is_forgotten_when_nothing_of_it_may_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = [{"type": "function", "function": {"name": "look_up_the_grading_table"}}]
    first = [
        *made_logs.lines(1),
        made_logs.line("acct-0", "t", "hello there you", model_parameters={"tools": tools}),
    ]
    ingested(tmp_path, "a", first)
    assert len(kept(tmp_path / "state")) == 2
    for days, values in (
        (7, {"net.ip", "net.ja4", "client.tools"}),
        (8, {"net.ja4", "client.tools"}),
        (28, {"net.ja4", "client.tools"}),
        (29, {"client.tools"}),
        (49, {"client.tools"}),
    ):
        at(monkeypatch, WINDOW_END + days * DAY)
        ingested(tmp_path, f"b{days}", [])
        found = kept(tmp_path / "state")
        (facts,) = [row for row in found if row[0] == 1]
        assert ({type for type, *_ in facts[6]}, len(found)) == (values, 2)  # type: ignore[attr-defined]  # a list
    at(monkeypatch, WINDOW_END + 50 * DAY)
    later = made_logs.line("new", "c", "hello there you", time=WINDOW_END + 50 * DAY)
    ingested(tmp_path, "c", [later])
    assert [row[1] for row in kept(tmp_path / "state")] == ["new"]


def test_what_is_sealed_and_what_is_digested_have_keys_of_their_own() -> None:
    state = State(Path(), bytes(32), 28, 0)
    assert len({state.key, state.sealing_key, state.derived(b"seen")}) == 3


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(tmp_path)
    monkeypatch.setattr("tocsin.ingest.state.os.geteuid", lambda: folder.stat().st_uid + 1)
    assert refused(folder).startswith(f"{folder} belongs to another user")
