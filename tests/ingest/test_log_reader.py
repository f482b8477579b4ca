"""Files, folders and standard input: what is read, what is reported, and how much memory it takes."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import pickle
import sys
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import duckdb
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.ingest import decompression, log_reader
from tocsin.ingest.exchange import Exchange
from tocsin.ingest.input_files import find
from tocsin.ingest.line_splitting import split
from tocsin.ingest.log_reader import BadLine, BadLines, Counts, Piece, Unreadable, read

SAMPLES = Path(__file__).parent / "samples"


def pieces(inputs: list[str], wanted: int) -> list[Piece]:
    return log_reader.cut(find(inputs).sources, wanted)


def line(number: int, **more: Any) -> bytes:
    messages = [{"role": "user", "content": f"turn {number}"}]
    document = {
        "startTime": 1.7e9 + number,
        "call_type": "completion",
        "messages": messages,
        "session_id": "s",
    }
    return json.dumps(document | {"metadata": {"user_api_key_user_id": f"a{number}"}} | more).encode() + b"\n"


def everything(
    *inputs: Path | str, wanted: int = 1, format: Any = "litellm"
) -> tuple[list[Exchange], list[BadLine], Counts]:
    counts, bad, found = Counts(), BadLines(), []
    for piece in pieces([str(name) for name in inputs], wanted):
        own = Counts()
        found += read(pickle.loads(pickle.dumps(piece)), format, bad, own)
        counts.merge(own)
    return found, bad.kept, counts


def accounts(exchanges: list[Exchange]) -> list[str]:
    return [exchange.account for exchange in exchanges]


def test_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    content = line(1) + b"\n  \r\n" + line(2).replace(b"\n", b"\r\n") + line(3)
    path.write_bytes(content)
    found, bad, counts = everything(path)
    assert accounts(found) == ["a1", "a2", "a3"]
    assert bad == []
    assert counts == Counts(lines=3, exchanges=3, bytes=len(content))


def test_a_bad_line_is_reported_by_file_line_and_rule_and_the_others_go_on(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line(1) + b'{"my secret": \n' + line(2, metadata={}) + b"[]\n" + line(3))
    found, bad, counts = everything(path)
    assert accounts(found) == ["a1", "a3"]
    assert [item.place for item in bad] == ["line 2", "line 3", "line 4"]
    assert str(bad[0]) == f"{path}: line 2: the line is not JSON"
    assert "names an account" in bad[1].rule
    assert "secret" not in repr(bad)
    assert (counts.lines, counts.exchanges, counts.bad) == (5, 2, 3)


def test_reports_stop_at_the_cap_and_the_count_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"x\n" * 50 + line(1))
    bad, counts = BadLines(cap=3), Counts()
    (piece,) = pieces([str(path)], 1)
    assert len(list(read(piece, "litellm", bad, counts))) == 1
    assert (len(bad.kept), counts.bad) == (3, 50)


def test_a_truncated_last_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line(1) + line(2)[:-20])
    found, bad, _ = everything(path)
    assert accounts(found) == ["a1"]
    assert [(item.place, item.rule) for item in bad] == [("line 2", "the last line is cut off, or not JSON")]
    path.write_bytes(line(1) + line(2)[:-1])  # only the newline is missing
    assert accounts(everything(path)[0]) == ["a1", "a2"]


def test_mixed_encodings(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    latin = line(2).replace(b"turn", "tür".encode("latin-1"))
    path.write_bytes(b"\xef\xbb\xbf" + line(1) + latin + b"\xef\xbb\xbf" + line(3))
    found, bad, _ = everything(path)
    assert accounts(found) == ["a1", "a3"]
    assert [(item.place, item.rule) for item in bad] == [("line 2", "the line is not UTF-8")]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_is_refused_with_how_to_mend_it(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.jsonl"
    text = line(1).decode() if encoding == "utf-16" else "\ufeff" + line(1).decode()
    path.write_bytes(text.encode(encoding))
    found, bad, counts = everything(path, wanted=4)
    assert found == []
    assert [str(item) for item in bad] == [
        f"{path}: the file: is UTF-16; convert it with `iconv -f UTF-16 -t UTF-8`"
    ]
    assert counts.bad == 1


def test_a_growing_file_ends_where_it_ended_when_the_pieces_were_made(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line(1) + line(2))
    (piece,) = pieces([str(path)], 1)
    bad = BadLines()
    exchanges = read(piece, "litellm", bad, Counts())
    assert next(exchanges).account == "a1"
    with path.open("ab") as file:
        file.write(line(3))
    assert (accounts(list(exchanges)), bad.kept) == (["a2"], [])


def test_a_file_that_shrank_or_went_away(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line(1) + line(2))
    (piece,) = pieces([str(path)], 1)
    path.write_bytes(line(1))
    bad, counts = BadLines(), Counts()
    assert accounts(list(read(piece, "litellm", bad, counts))) == ["a1"]
    assert "was cut while this ran" in bad.kept[0].rule
    assert (counts.used, counts.broken) == ({str(path)}, {str(path)})
    path.unlink()
    bad = BadLines()
    assert list(read(piece, "litellm", bad, Counts())) == []
    assert "cannot be read" in bad.kept[0].rule


def test_a_gibibyte_in_one_line_is_passed_over_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(line(1) + b'{"')
        file.truncate(1 << 30)  # sparse: zeros, of which none is a newline
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + line(2))
    (piece,) = pieces([str(path)], 1)
    bad, counts = BadLines(), Counts()
    tracemalloc.start()
    try:
        found = list(read(piece, "litellm", bad, counts))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert accounts(found) == ["a1", "a2"]
    assert [(item.place, item.rule) for item in bad.kept] == [("line 2", "the line has more than 8 MiB")]
    assert peak < 64 << 20
    assert counts.lines == 3


def test_a_long_line_that_a_compressed_stream_unpacks_to(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    with path.open("wb") as file, zstandard.ZstdCompressor().stream_writer(file) as packed:
        packed.write(line(1))
        for _ in range(64):
            packed.write(bytes(4 << 20))
        packed.write(b"\n" + line(2))
    tracemalloc.start()
    try:
        found, bad, _ = everything(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert accounts(found) == ["a1", "a2"]
    assert [item.rule for item in bad] == ["the line has more than 8 MiB"]
    assert peak < 160 << 20


@pytest.mark.parametrize("packer", [gzip.compress, zstandard.compress])
def test_blank_lines_that_a_compressed_stream_unpacks_to(tmp_path: Path, packer: Any) -> None:
    path = tmp_path / "a"
    path.write_bytes(packer(b"\n" * (64 << 20)))
    tracemalloc.start()
    try:
        with path.open("rb") as file:
            lines = sum(1 for _ in itertools.islice(split(decompression.decoded(file)), 3 << 19))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert lines == 3 << 19
    assert peak < 128 << 20


def test_a_chunk_is_never_more_than_a_mebibyte(tmp_path: Path) -> None:
    path = tmp_path / "a.zst"
    content = b"x" * (40 << 20) + os.urandom(100)
    path.write_bytes(zstandard.compress(content))
    with path.open("rb") as file:
        chunks = list(decompression.decoded(file))
    assert max(map(len, chunks)) <= 1 << 20
    assert b"".join(chunks) == content


def test_an_account_id_that_is_too_long_is_a_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    ids = ("x" * 1_024, "x" * 1_025, "ü" * 512, "ü" * 513)
    path.write_bytes(b"".join(line(1, metadata={"user_api_key_user_id": id}) for id in ids) + line(2))
    found, bad, counts = everything(path)
    assert accounts(found) == [ids[0], ids[2], "a2"]
    assert [(item.place, item.rule) for item in bad] == [
        ("line 2", "the account id has more than 1,024 bytes"),
        ("line 4", "the account id has more than 1,024 bytes"),
    ]
    assert (counts.exchanges, counts.bad) == (3, 2)


@pytest.mark.parametrize("id", ["a\n b", "a\x1b[31m", "a\u202e"])
def test_an_account_id_that_would_forge_a_line_of_a_table_is_a_bad_line(tmp_path: Path, id: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line(1, metadata={"user_api_key_user_id": id}) + line(2))
    found, bad, _ = everything(path)
    assert accounts(found) == ["a2"]
    assert "do not print" in bad[0].rule


def test_a_file_that_another_took_the_place_of_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line(1))
    (piece,) = pieces([str(path)], 1)
    path.rename(tmp_path / "a.jsonl.1")
    path.write_bytes(line(2))
    bad, counts = BadLines(), Counts()
    assert list(read(piece, "litellm", bad, counts)) == []
    assert "was replaced by another" in bad.kept[0].rule
    assert counts.used == set()


@pytest.mark.parametrize("wanted", [1, 2, 3, 7])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_pieces_hold_the_same_exchanges_as_the_whole(
    tmp_path: Path, wanted: int, mark: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reader, "MIN_PIECE", 64)
    path = tmp_path / "a.jsonl"
    path.write_bytes(mark + b"".join(line(number, pad="x" * (number * 37 % 400)) for number in range(100)))
    assert len(pieces([str(path)], wanted)) == wanted
    found, bad, counts = everything(path, wanted=wanted)
    assert accounts(found) == [f"a{number}" for number in range(100)]
    assert bad == []
    assert counts.exchanges == counts.lines == 100


def test_a_piece_may_begin_at_any_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    content = line(1) + line(2) + b"\n" + line(3)[:-1]
    path.write_bytes(content)
    size = len(content)
    for cut in range(1, size):
        found, bad = [], BadLines()
        for piece in (Piece(str(path), 0, cut, size), Piece(str(path), cut, size, size)):
            found += read(piece, "litellm", bad, Counts())
        assert (accounts(found), bad.kept) == (["a1", "a2", "a3"], []), cut


def test_a_bad_line_of_a_later_piece_is_placed_by_its_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    content = line(1) + line(2) + b"x\n" + line(3)
    path.write_bytes(content)
    bad = BadLines()
    piece = Piece(str(path), len(line(1)), len(content), len(content))
    assert accounts(list(read(piece, "litellm", bad, Counts()))) == ["a2", "a3"]
    assert bad.kept[0].place == f"byte {len(line(1) + line(2))}"


def test_gzip_of_several_members(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(line(1)) + gzip.compress(line(2) + line(3)))
    assert accounts(everything(path, wanted=4)[0]) == ["a1", "a2", "a3"]


def test_zstd_of_several_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(zstandard.compress(line(1)) + zstandard.compress(line(2) + line(3)))
    assert accounts(everything(path, wanted=4)[0]) == ["a1", "a2", "a3"]


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_a_compressed_file_that_is_cut_off_or_damaged(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a"
    content = line(1) + line(2, pad=os.urandom(200_000).hex())
    packed = gzip.compress(content) if name == "gzip" else zstandard.compress(content)
    path.write_bytes(packed[: len(packed) // 2])
    _, bad, counts = everything(path)
    assert [(item.place, item.rule) for item in bad] == [("the file", f"the {name} stream is cut off")]
    assert counts.bad == 1
    path.write_bytes(packed[:40] + bytes(400) + packed[440:])
    _, bad, _ = everything(path)
    assert [item.rule for item in bad] == [f"the {name} stream is damaged"]


def test_parquet_with_the_columns_of_a_format(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    source = SAMPLES / "langfuse_blob.jsonl"
    duckdb.sql(f"SELECT * FROM read_json('{source}')").write_parquet(str(path))
    found, bad, counts = everything(path, format="auto", wanted=4)
    assert bad == []
    assert [(exchange.account, exchange.time) for exchange in found] == [
        ("acct-42", 1716990379.963),
        ("acct-43", 1716990379.963),
    ]
    assert found[0].first_user_turn == "What is the weather in Paris?"
    assert counts.exchanges == 2


def test_parquet_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1" + bytes(100))
    _, bad, _ = everything(path)
    assert [item.rule for item in bad] == ["the Parquet file cannot be read"]


def test_a_folder_is_read_with_its_folders(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "a.jsonl").write_bytes(line(1))
    (tmp_path / "in" / "b.jsonl.gz").write_bytes(gzip.compress(line(2)))
    (tmp_path / "notes.txt").write_text("not a log")
    assert accounts(everything(tmp_path)[0]) == ["a1", "a2"]


def test_inputs_that_cannot_be_read_at_all(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="does not exist"):
        pieces([str(tmp_path / "none.jsonl")], 1)
    with pytest.raises(Unreadable, match="contains no file"):
        pieces([str(tmp_path)], 1)
    with pytest.raises(Unreadable, match="once"):
        pieces(["-", "-"], 1)
    with pytest.raises(KeyError):
        read(Piece("a"), "no such format", BadLines(), Counts())


@pytest.mark.parametrize("packed", [bytes, gzip.compress, zstandard.compress])
def test_standard_input(monkeypatch: pytest.MonkeyPatch, packed: Any) -> None:
    content = io.BytesIO(packed(line(1) + b"x\n" + line(2)))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content))
    found, bad, _ = everything("-", wanted=4)
    assert accounts(found) == ["a1", "a2"]
    assert str(bad[0]) == "standard input: line 2: the line is not JSON"


def test_a_named_pipe(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(line(1) + line(2),))
    writer.start()
    assert accounts(everything(path)[0]) == ["a1", "a2"]
    writer.join()


def test_an_array_and_a_document_over_many_lines(tmp_path: Path) -> None:
    found, bad, counts = everything(SAMPLES / "langfuse_observations.json", format="auto")
    assert accounts(found) == ["acct-42"] * 3
    assert [item.place for item in bad] == ["item 5"]
    assert (counts.lines, counts.without_content) == (5, 1)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(json.loads(line(1)), indent=2))
    assert accounts(everything(path)[0]) == ["a1"]
    path.write_text("[\n" + json.dumps(json.loads(line(1)), indent=2))
    assert [item.rule for item in everything(path)[1]] == ["is not JSON, or cut off"]


def test_an_array_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reader, "MAX_DOCUMENT", 1 << 20)
    path = tmp_path / "a.json"
    path.write_text("[\n" + "1,\n" * (1 << 20) + "1]")
    assert [item.place for item in everything(path)[1]] == ["the file"]


def test_lines_of_which_the_first_begins_like_an_array(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"[broken\n" + line(1) + line(2))
    found, bad, _ = everything(path)
    assert accounts(found) == ["a1", "a2"]
    assert [item.place for item in bad] == ["line 1"]


def test_a_document_is_given_up_after_many_bad_items(tmp_path: Path) -> None:
    path, item = tmp_path / "a.json", line(1).rstrip()
    path.write_bytes(b"[" + item + b",\n" + b"1,\n" * 100_000 + item + b"]")
    found, bad, counts = everything(path)
    assert accounts(found) == ["a1"]
    assert (counts.lines, counts.bad, counts.broken) == (10_001, 10_001, {str(path)})
    assert (bad[0].place, bad[0].rule) == (
        "the file",
        "was not read from item 10002 on: 10,000 or more of its items are bad; "
        "name another --format, or convert it to JSON lines",
    )
    assert len(bad) == 1 + 100


def test_lines_without_an_exchange_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line(1) + line(2, call_type="embedding") + b"\n" + line(3, metadata={}) + line(4))
    counts = everything(path)[2]
    assert (counts.lines, counts.exchanges, counts.without_exchange, counts.bad) == (4, 2, 1, 1)
    path.write_bytes(b'{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}]}\n')
    counts = everything(path, format="auto")[2]
    assert (counts.lines, counts.exchanges, counts.without_exchange, counts.bad) == (1, 0, 1, 0)


def test_exchanges_without_content_are_counted() -> None:
    for name in ("litellm.jsonl", "otlp_no_content.jsonl"):
        found, bad, counts = everything(SAMPLES / name, format="auto")
        assert bad == []
        assert counts.without_content == 1
        assert counts.exchanges == len(found)


def test_batch_files_get_the_time_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes((SAMPLES / "openai_batch.jsonl").read_bytes())
    os.utime(path, (1.6e9, 1.6e9))
    found, _, _ = everything(path, format="auto")
    assert {exchange.time for exchange in found} == {1.6e9}
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    found, bad, _ = everything("-", format="auto")
    assert found == []
    assert "the format has no times" in bad[0].rule


BITS = st.sampled_from(
    [
        b"\n",
        b"[",
        b"{",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\x1f\x8b\x08",
        b"\x28\xb5\x2f\xfd",
        b"PAR1",
        b"null\n",
        line(1),
    ]
)


@settings(max_examples=200)
@given(content=st.lists(st.binary(max_size=20) | BITS, max_size=12).map(b"".join), packing=st.integers(0, 2))
def test_arbitrary_bytes_are_reported_and_never_raise(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, packing: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "arbitrary"
    path.write_bytes((bytes, gzip.compress, zstandard.compress)[packing](content))
    found, bad, counts = everything(path, wanted=3, format="auto")
    assert counts.exchanges == len(found)
    assert bool(bad) == bool(counts.bad)
    if content.strip() and not content.startswith((b"\xef\xbb\xbf", b"[")):
        assert found or bad
