"""With a state, no exchange is counted twice, however a log comes again."""

from __future__ import annotations

import gzip
import itertools
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
import zstandard

from tests.ingest import made_logs
from tocsin.client import system
from tocsin.indicators.ptf2.common_list import shipped
from tocsin.indicators.snapshot_files import CURRENT
from tocsin.ingest import already_read, ingesting, log_reader
from tocsin.ingest.already_read import AlreadyRead
from tocsin.ingest.ingesting import Options, Summary, ingest
from tocsin.ingest.input_files import find
from tocsin.ingest.state import BadState, State


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "now", lambda: made_logs.TIME)


def entry(number: int, pad: int = 0) -> bytes:
    return (made_logs.line("a", f"c{number}", f"hello there number {number}", pad="x" * pad) + "\n").encode()


def entries(start: int, end: int, pad: int = 0) -> bytes:
    return b"".join(entry(number, pad) for number in range(start, end))


def run(*logs: Path, **more: object) -> Summary:
    folder = logs[0].parent
    options = Options(shipped(CURRENT.common_prompts), state=folder / "state", **({"workers": 1} | more))  # type: ignore[arg-type]  # any option by its name
    return ingest([str(log) for log in logs], folder / f"{len(list(folder.iterdir()))}.out", options)


def told(summary: Summary) -> tuple[int, int, int]:
    return summary.counts.exchanges, summary.read_before, summary.continued


def exchanges(folder: Path) -> int:
    out = max(folder.glob("*.out"), key=lambda path: path.stat().st_mtime_ns)
    ((found,),) = duckdb.execute("SELECT max(exchanges) FROM read_parquet(?)", [str(out)]).fetchall()
    return int(found)


@pytest.mark.parametrize(("pad", "workers"), [(0, 1), (30_000, 1), (30_000, 2)])
def test_a_log_that_grew_goes_on_where_it_was_left(tmp_path: Path, pad: int, workers: int) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(entries(0, 5, pad))
    assert told(run(path, workers=workers)) == (5, 0, 0)
    assert told(run(path, workers=workers)) == (0, 1, 0)
    with path.open("ab") as file:
        file.write(entries(5, 8, pad))
    rotated = path.rename(tmp_path / "a.jsonl.1")
    path.write_bytes(entries(8, 10, pad))
    assert told(run(path, rotated, workers=workers)) == (5, 0, 1)
    assert told(run(path, rotated, workers=workers)) == (0, 2, 0)
    assert exchanges(tmp_path) == 10


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_a_last_line_that_was_cut_off_is_read_when_it_is_complete(tmp_path: Path, cut: int) -> None:
    path, whole = tmp_path / "a.jsonl", entries(0, 4)
    path.write_bytes(whole[:-cut])
    summary = run(path)
    # With nothing but its newline missing, it was read, and does not count again.
    assert (summary.counts.exchanges, summary.counts.bad) == ((4, 0) if cut == 1 else (3, 1))
    summary = run(path)
    assert (told(summary), summary.counts.bad) == ((0, 1, 0), 0)
    path.write_bytes(whole + entries(4, 6))
    assert told(run(path)) == (2 if cut == 1 else 3, 0, 1)
    assert exchanges(tmp_path) == 6


def read(path: Path, state: State) -> int:
    memory, counts = AlreadyRead(state), log_reader.Counts()
    for piece in log_reader.cut(memory.rest_of(find([str(path)]).sources), 1):
        for _ in log_reader.read(piece, "litellm", log_reader.BadLines(), counts):
            pass
    memory.write(counts.used)
    (state.fresh / "already-read").rename(state.samples / "already-read")
    return counts.exchanges


def test_wherever_a_log_was_cut_off_each_line_counts_once(tmp_path: Path) -> None:
    path, whole = tmp_path / "a.jsonl", b"\xef\xbb\xbf" + entries(0, 3)
    newlines = [at for at, byte in enumerate(whole) if byte == 0x0A]
    for cut in {*range(0, len(whole), 17), *(at + more for at in newlines for more in (-1, 0, 1))}:
        state = State(tmp_path / str(cut), bytes(32), 28, made_logs.TIME)
        for folder in (state.samples, state.fresh):
            folder.mkdir(parents=True)
        path.write_bytes(whole[:cut])
        first = read(path, state)
        path.write_bytes(whole)
        assert (first + read(path, state), read(path, state)) == (3, 0), cut


def test_a_last_line_is_found_however_long_it_is(tmp_path: Path) -> None:
    path, whole = tmp_path / "a.jsonl", entries(0, 2) + entry(2, 300_000)
    path.write_bytes(whole[:-100])
    assert told(run(path)) == (2, 0, 0)
    path.write_bytes(whole)
    assert told(run(path)) == (1, 0, 1)
    with path.open("ab") as file:
        file.write(b'{"' + b"x" * (9 << 20))
    summary = run(path)
    assert (told(summary), summary.bad[0].rule) == ((0, 0, 1), "the line has more than 8 MiB")
    with path.open("ab") as file:
        file.write(b"\n" + entry(3))
    assert told(run(path)) == (1, 0, 1)
    assert exchanges(tmp_path) == 4


def parquet(path: Path, content: bytes) -> None:
    source = path.with_name("rows")
    source.write_bytes(content)
    duckdb.sql(f"SELECT * FROM read_json('{source}', format='newline_delimited')").write_parquet(str(path))


@pytest.mark.parametrize("kind", ["gzip", "zstd", "parquet", "document"])
def test_a_file_that_cannot_be_continued_is_passed_over_while_it_is_the_same(
    tmp_path: Path, kind: str
) -> None:
    path, content = tmp_path / "a", entries(0, 3)

    def write(content: bytes) -> None:
        match kind:
            case "gzip":
                path.write_bytes(gzip.compress(content))
            case "zstd":
                path.write_bytes(zstandard.compress(content))
            case "parquet":
                parquet(path, content)
            case _:
                path.write_bytes(b"[\n" + content.rstrip().replace(b"\n", b",\n") + b"]")

    write(content)
    assert told(run(path)) == (3, 0, 0)
    path.rename(tmp_path / "b")
    assert told(run(tmp_path / "b")) == (0, 1, 0)
    write(entries(3, 8))
    assert told(run(tmp_path / "b", path)) == (5, 1, 0)
    assert exchanges(tmp_path) == 8


def test_a_file_that_was_changed_or_cut_is_another(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(entries(0, 4, 40_000))
    assert told(run(path)) == (4, 0, 0)
    # The first 64 KiB are as they were, what was read behind them is not.
    path.write_bytes(entries(0, 3, 40_000) + entry(7, 40_000))
    assert told(run(path)) == (4, 0, 0)
    path.write_bytes(entries(0, 2, 40_000))
    assert told(run(path)) == (2, 0, 0)


def test_files_that_begin_alike_are_told_apart(tmp_path: Path) -> None:
    one, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    one.write_bytes(entries(0, 3) + entry(3))
    other.write_bytes(entries(0, 3) + entry(4) + entry(5))
    assert told(run(one)) == (4, 0, 0)
    assert told(run(other)) == (5, 0, 0)
    assert told(run(one, other)) == (0, 2, 0)


def test_standard_input_and_pipes_are_always_read(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    for _ in range(2):
        writer = threading.Thread(target=path.write_bytes, args=(entries(0, 2),))
        writer.start()
        assert told(run(path)) == (2, 0, 0)
        writer.join()


def test_a_file_that_gave_nothing_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(entries(0, 3))
    summary = run(path, format="otlp")
    assert (told(summary), summary.counts.bad) == ((0, 0, 0), 3)
    assert told(run(path)) == (3, 0, 0)


def test_a_run_that_writes_nothing_remembers_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(entries(0, 3) + b"x\n")
    assert not run(path, strict=True).written
    with monkeypatch.context() as patched:

        def crash(*_: object) -> None:
            raise KeyboardInterrupt

        patched.setattr("tocsin.ingest.state.State.put_in_place", crash)
        with pytest.raises(KeyboardInterrupt):
            run(path)
    assert told(run(path)) == (3, 0, 0)
    assert exchanges(tmp_path) == 3


def remembered(folder: Path) -> int:
    return len(orjson.loads((folder / "state" / "samples" / "already-read").read_bytes())["files"])


def test_files_are_forgotten_after_a_year_and_when_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = [tmp_path / f"{name}.jsonl" for name in "abc"]
    for number, path in enumerate(logs):
        path.write_bytes(entry(number))
    run(*logs)
    assert remembered(tmp_path) == 3
    monkeypatch.setattr(system, "now", lambda: made_logs.TIME + 365 * 86_400)
    assert told(run(logs[0])) == (0, 1, 0)
    assert remembered(tmp_path) == 3
    monkeypatch.setattr(system, "now", lambda: made_logs.TIME + 366 * 86_400)
    assert told(run(logs[0])) == (0, 1, 0)
    assert remembered(tmp_path) == 1
    monkeypatch.setattr(already_read, "MAX_FILES", 2)
    assert run(*logs).forgotten == 1
    assert remembered(tmp_path) == 2


def test_what_is_remembered_says_nothing_without_the_key(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        (folder / "secret-name.jsonl").write_bytes(entry(1))
        run(folder / "secret-name.jsonl")
    stored = [(folder / "state" / "samples" / "already-read").read_bytes() for folder in (one, other)]
    assert b"secret-name" not in stored[0]
    first, second = (orjson.loads(line)["files"][0][:2] for line in stored)
    assert not {*first} & {*second}


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"{}", b"{}x", b"7", b'{"version":3,"files":7}', b'{"version":3,"files":[[1]]}',
        b'{"version":3,"files":[["a","b",1,2,"3"]]}', b'{"version":3,"files":[["a",[],1,2,3]]}',
        b'[["a","b",1,2,3]]', b'{"version":2,"files":[]}',
    ],
)  # fmt: skip
def test_a_memory_that_is_damaged_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(entry(1))
    run(path)
    memory = tmp_path / "state" / "samples" / "already-read"
    memory.write_bytes(content)
    with pytest.raises(BadState) as caught:
        run(path)
    told = f"{memory}: is damaged, or of another version; restore the state folder from a backup"
    assert str(caught.value).startswith(told)


def test_of_files_that_go_on_from_the_same_beginning_the_longest_is_gone_on_from(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(entries(0, 4, 40_000))
    run(path)
    copy = tmp_path / "b.jsonl"
    copy.write_bytes(entries(0, 6, 40_000))
    path.unlink()
    assert told(run(copy)) == (2, 0, 1)
    copy.write_bytes(entries(0, 7, 40_000))
    assert told(run(copy)) == (1, 0, 1)
    assert remembered(tmp_path) == 1


def refilled(path: Path) -> None:
    path.write_bytes(entries(100, 120, 8_000))


def truncated(path: Path) -> None:
    os.truncate(path, 20)


def replaced(path: Path) -> None:
    path.unlink()
    path.with_name("new").write_bytes(entries(100, 120, 8_000))
    path.with_name("new").rename(path)


def moved_away(path: Path) -> None:
    (path.parent / "elsewhere").mkdir()
    path.rename(path.parent / "elsewhere" / "a.jsonl")


def renamed(path: Path) -> None:
    path.rename(path.with_name("a.jsonl.1"))
    path.write_bytes(entries(100, 120, 8_000))


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(entries(10, 12, 8_000))


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (refilled, True),
        (truncated, True),
        (replaced, True),
        (moved_away, True),
        (renamed, False),
        (grown, False),
    ],
)
@pytest.mark.parametrize("known", [False, True])
def test_a_log_that_changes_after_its_last_piece_was_read_is_told_and_not_remembered(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None],
    changed: bool,
    known: bool,
) -> None:
    path, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    path.write_bytes(entries(0, 5, 8_000))
    other.write_bytes(entries(20, 25, 8_000))
    if known:
        run(path)
        with path.open("ab") as file:
            file.write(entries(5, 10, 8_000))
    count = 5
    spread = ingesting._spread

    def spread_then_change(*given: Any) -> Any:
        made = spread(*given)
        if given[4] == "exchanges":
            change(path)
        return made

    with monkeypatch.context() as patched:
        patched.setattr(ingesting, "_spread", spread_then_change)
        summary = run(path, other)
    assert (summary.counts.exchanges, summary.counts.bad) == (count + 5, 0)
    assert summary.changed == ([str(path)] if changed else [])
    assert told(run(other)) == (0, 1, 0)
    again = tmp_path / "again.jsonl"
    again.write_bytes(entries(0, 10 if known else 5, 8_000))
    if changed:
        assert told(run(again)) == (count, 0, int(known))
    else:
        assert told(run(again)) == (0, 1, 0)


def test_a_log_that_is_gone_after_it_was_read_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(entries(0, 5))
    read_piece = log_reader.read

    def read_then_cut(*given: Any) -> Any:
        yield from itertools.islice(read_piece(*given), 1)
        os.truncate(path, 20)
        yield from read_piece(*given)

    monkeypatch.setattr("tocsin.ingest.ingesting.log_reader.read", read_then_cut)
    summary = run(path)
    assert summary.changed == []
    assert summary.bad[0].rule == "was cut while this ran; run again to read it"


def test_a_log_and_a_longer_copy_of_it_are_both_remembered(tmp_path: Path) -> None:
    short, long = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    short.write_bytes(entries(0, 5))
    assert told(run(short)) == (5, 0, 0)
    long.write_bytes(entries(0, 8))
    assert told(run(short, long)) == (3, 1, 1)
    assert told(run(short, long)) == (0, 2, 0)
    assert exchanges(tmp_path) == 8


def test_a_log_that_goes_away_before_it_is_compared_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays, goes = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    stays.write_bytes(entries(0, 2))
    goes.write_bytes(entries(2, 4))
    compared = AlreadyRead.rest_of

    def late(memory: AlreadyRead, *given: Any) -> Any:
        goes.unlink()
        return compared(memory, *given)

    monkeypatch.setattr(AlreadyRead, "rest_of", late)
    summary = run(stays, goes)
    assert (told(summary), [problem.file for problem in summary.bad]) == ((2, 0, 0), [str(goes)])


def test_a_file_that_was_allocated_in_advance_is_read_as_it_is_filled(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for end, read in ((3, 3), (6, 3), (6, 0)):
        path.write_bytes(entries(0, end).ljust(4_096, b"\0"))
        assert run(path).counts.exchanges == read
    assert exchanges(tmp_path) == 6


def test_a_change_between_both_ends_is_not_noticed_and_one_at_an_end_is(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    edge = entries(0, 10, 8_000)
    for middle, read in (((100, 150), 70), ((200, 250), 0)):
        path.write_bytes(edge + entries(*middle, 8_000) + edge)
        assert run(path).counts.exchanges == read
    path.write_bytes(edge + entries(200, 250, 8_000) + edge[:-2] + b" \n")
    assert run(path).counts.exchanges == 69
