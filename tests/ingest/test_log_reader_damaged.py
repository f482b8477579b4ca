"""Packed logs that are cut off or damaged: every line that could be unpacked is read, then it is told."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import zlib
from pathlib import Path
from random import Random  # noqa: TID251  the same lines each time
from typing import Any

import pytest
import zstandard

from tocsin.ingest import decompression, log_reader
from tocsin.ingest.decompression import CHUNK
from tocsin.ingest.input_files import find
from tocsin.ingest.log_reader import BadLine, BadLines, Counts, read


def lines(count: int) -> bytes:
    chosen = Random(7)
    made = (
        {
            "startTime": 1.7e9 + number,
            "call_type": "completion",
            "metadata": {"user_api_key_user_id": f"a{number}"},
            "messages": [{"role": "user", "content": chosen.randbytes(60).hex()}],
        }
        for number in range(count)
    )
    return b"".join(json.dumps(record).encode() + b"\n" for record in made)


def found(path: Path, content: bytes) -> tuple[int, list[str], Counts]:
    path.write_bytes(content)
    counts, bad = Counts(), BadLines()
    (piece,) = log_reader.cut(find([str(path)]).sources, 1)
    return len(list(read(piece, "litellm", bad, counts))), [str(problem) for problem in bad.kept], counts


def unpacked(content: bytes) -> bytes:
    """What `zcat` makes of it."""
    return zlib.decompressobj(31).decompress(content)


@pytest.mark.parametrize("count", [40, 3_000])
@pytest.mark.parametrize("cut", [-1, -8, -9, 3_000])
def test_all_lines_before_the_cut_are_read(tmp_path: Path, count: int, cut: int) -> None:
    path = tmp_path / "a.jsonl.gz"
    packed = gzip.compress(lines(count))[:cut]
    whole = unpacked(packed).count(b"\n")
    assert whole >= (count - 1 if cut < 0 else 10)
    exchanges, bad, counts = found(path, packed)
    assert (exchanges, counts.exchanges, counts.bad) == (whole, whole, 1)
    assert bad == [f"{path}: the file: the gzip stream is cut off"]
    assert counts.broken == {str(path)}


def test_all_lines_before_a_damaged_block_are_read(tmp_path: Path) -> None:
    content = lines(2_000)
    blocks = zlib.compressobj(wbits=31)
    head = blocks.compress(content) + blocks.flush(zlib.Z_FULL_FLUSH)
    packed = head + b"\x07" + bytes(100)  # a block of the type that does not exist
    exchanges, bad, _ = found(tmp_path / "a", packed)
    assert exchanges == 2_000
    assert bad == [f"{tmp_path / 'a'}: the file: the gzip stream is damaged"]


def test_all_lines_before_a_wrong_checksum_are_read(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(lines(30)))
    packed[-6] ^= 1
    exchanges, bad, _ = found(tmp_path / "a", bytes(packed))
    assert exchanges == 30
    assert bad == [f"{tmp_path / 'a'}: the file: the gzip stream is damaged"]


def test_all_members_before_what_is_no_member_are_read(tmp_path: Path) -> None:
    content = gzip.compress(lines(5)) + bytes(40) + gzip.compress(lines(6)) + bytes(600)
    assert found(tmp_path / "a", content)[:2] == (11, [])
    exchanges, bad, _ = found(tmp_path / "a", content + b"something else")
    assert (exchanges, len(bad)) == (11, 1)


@pytest.mark.parametrize(
    "size",
    [CHUNK - 1, CHUNK, 3 * CHUNK, 3 * CHUNK + 1],
)
@pytest.mark.parametrize("level", [0, 9])
def test_a_stream_is_unpacked_to_its_end(tmp_path: Path, size: int, level: int) -> None:
    path, content = tmp_path / "a", b"x" * size
    path.write_bytes(gzip.compress(content, level))
    with path.open("rb") as file:
        assert b"".join(decompression.decoded(file)) == content


def test_frames_of_zstd_before_the_cut_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zst"
    small = zstandard.compress(lines(7)) + zstandard.compress(lines(9))[:-9]
    exchanges, bad, _ = found(path, small)
    assert (exchanges, bad) == (7, [f"{path}: the file: the zstd stream is cut off"])
    exchanges, bad, _ = found(path, zstandard.compress(lines(3_000))[:-9])  # several blocks of 128 KiB
    assert exchanges > 1_500
    assert bad == [f"{path}: the file: the zstd stream is cut off"]


def test_frames_of_zstd_before_a_damaged_one_are_read(tmp_path: Path) -> None:
    packed = zstandard.compress(lines(60))
    exchanges, bad, _ = found(tmp_path / "a", packed + packed[:20] + os.urandom(2_000))
    assert (exchanges, len(bad)) == (60, 1)


@pytest.mark.parametrize("packer", [gzip.compress, zstandard.compress])
def test_a_document_that_is_cut_off(tmp_path: Path, packer: Any) -> None:
    path, document = tmp_path / "a", b"[\n" + b",\n".join(lines(40).splitlines()) + b"\n]"
    packed = packer(document)
    exchanges, bad, _ = found(path, packed[: len(packed) // 2])
    assert (exchanges, [problem.rpartition(" ")[2] for problem in bad]) == (0, ["off"])
    assert "stream is cut off" in bad[0]
    # Whole, but for what is behind it.
    exchanges, bad, _ = found(path, packed + packed[:9])
    assert (exchanges, len(bad)) == (40, 1)
    assert "stream is cut off" in bad[0]


def test_lines_behind_one_that_begins_like_a_document(tmp_path: Path) -> None:
    content = b"[broken\n" + lines(40)
    exchanges, bad, _ = found(tmp_path / "a", gzip.compress(content)[:-9])
    assert exchanges >= 39
    assert [problem.split(": ")[1] for problem in bad] == ["the file", "line 1"]


def test_a_file_that_is_cut_or_replaced_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reader, "MIN_PIECE", 1 << 10)
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines(200))
    pieces = log_reader.cut(find([str(path)]).sources, 8)
    assert len(pieces) == 8
    for change, rule in (
        (lambda: os.truncate(path, 0), "was cut while this ran; run again to read it"),
        (lambda: (path.unlink(), path.mkdir()), "cannot be read (Is a directory)"),
    ):
        change()
        # Two processes, of which each reads four of the pieces.
        workers = [Counts(), Counts()]
        told: list[BadLine] = []
        for piece, counts in zip(pieces, itertools.cycle(workers), strict=False):
            list(read(piece, "litellm", told.append, counts))
        assert [line.rule for line in told] == [rule, rule]
        workers[0].merge(workers[1])
        assert workers[0].bad == 1
