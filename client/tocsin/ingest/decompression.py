"""Bytes of an input in chunks: a plain file, gzip, zstd, or standard input.

1. The kind of a file is known by its first bytes, not by its name.
2. A chunk has at most one MiB, whatever a compressed stream unpacks to: blank lines take many times their size when
   they are split. zstd can expand four bytes to 128 KiB, so it is fed one KiB in each call, which gives 32 MiB at most.
3. The collector's file exporter, with compression, writes frames: four bytes of length, then one zstd frame, which is
   one line. Its protobuf format is named, not read.
4. A stream that is cut off or damaged yields what could be unpacked, to the last byte of gzip and the last block of
   zstd, then raises Damaged. Where a block of zstd is damaged, those that end in the KiB before it may be lost.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import BinaryIO, Protocol

CHUNK = 1 << 20
_ZSTD_INPUT = 1 << 10
_GZIP_BITS = 31  # what zlib calls the header and the checksum of gzip

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
PARQUET = b"PAR1"
_SKIPPED = b"\x2a\x4d\x18"
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PK\x03\x04": "zip", b"\x04\x22\x4d\x18": "lz4"}
"""What is named, not read."""


class Damaged(Exception):
    """The stream ends too early or is not what it begins as; the message is the rule."""


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, none at the end."""


def decoded(file: Readable) -> Iterator[bytes]:
    """Chunks of what `file` holds, unpacked where it is packed. Raises Damaged, OSError."""
    head = _exactly(file, 8)
    whole = _Rejoined(head, file)
    if head[:2] == GZIP:
        return _gzip(whole)
    if is_zstd(head):
        return _zstd(whole)
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            raise Damaged(f"is packed with {name}; unpack it, or pack it with gzip or zstd")
    if is_framed(head):
        return _frames(whole)
    return plain(whole)


def is_zstd(head: bytes) -> bool:
    """Say whether a stream begins with a zstd frame, also one that is skipped, as pzstd writes it."""
    return head[:4] == ZSTD or (head[1:4] == _SKIPPED and head[0] >> 4 == 5)


def is_framed(head: bytes) -> bool:
    """Say whether a stream begins with a frame of the collector's file exporter (rule 3)."""
    if len(head) < 8 or head[0] != 0:  # no frame has 16 MiB
        return False
    # The first field of an export request in protobuf, of which the rest of the frame is one part.
    return head[4:8] == ZSTD or (head[4] == 0x0A and head[0] == 0 and head[1] == 0 and head[2:4] != b"\0\0")


def _exactly(file: Readable, size: int) -> bytes:
    # A pipe returns what is there, which may be less.
    head = b""
    while len(head) < size and (more := file.read(size - len(head))):
        head += more
    return head


class _Rejoined(io.RawIOBase):
    """A stream whose first bytes have been read already."""

    def __init__(self, head: bytes, rest: Readable) -> None:
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if self._head:
            taken, self._head = self._head[:size], self._head[size:]
            return taken
        return self._rest.read(size)


def plain(file: Readable) -> Iterator[bytes]:
    """Chunks of what `file` holds, as it is."""
    while chunk := file.read(CHUNK):
        yield chunk


def _gzip(file: Readable) -> Iterator[bytes]:
    unpacker, started = zlib.decompressobj(_GZIP_BITS), False
    while packed := file.read(CHUNK):
        full = False
        while packed or full:
            if not started:  # another member may follow, and zeros the last one
                packed = packed.lstrip(b"\0")
                started = bool(packed)
            before = unpacker.copy()
            try:
                chunk = unpacker.decompress(packed, CHUNK)
            except zlib.error:
                # What it unpacked before is lost with the error.
                yield from _each_byte(before.decompress, packed)
                raise Damaged("the gzip stream is damaged") from None
            if chunk:
                yield chunk
            packed, full = unpacker.unconsumed_tail, len(chunk) == CHUNK
            if unpacker.eof:
                packed, full = unpacker.unused_data, False
                unpacker, started = zlib.decompressobj(_GZIP_BITS), False
    if started:
        raise Damaged("the gzip stream is cut off")


def _each_byte(decompress: Callable[[bytes], bytes], packed: bytes) -> Iterator[bytes]:
    unpacked = bytearray()
    with suppress(zlib.error):
        for at in range(len(packed)):
            unpacked += decompress(packed[at : at + 1])
    yield bytes(unpacked)


def _zstd(file: Readable) -> Iterator[bytes]:
    try:
        import zstandard
    except ImportError:
        raise Damaged("zstd needs the extra `detect` to be installed") from None
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)  # what `zstd --long` asks for
    frame = decompressor.decompressobj()
    started = False
    gathered: list[bytes] = []
    size = 0
    try:
        while packed := file.read(CHUNK):
            for at in range(0, len(packed), _ZSTD_INPUT):
                piece = packed[at : at + _ZSTD_INPUT]
                while piece:
                    started = True
                    gathered.append(frame.decompress(piece))
                    size += len(gathered[-1])
                    piece = b""
                    if frame.eof:  # another frame may follow
                        piece = frame.unused_data
                        frame = decompressor.decompressobj()
                        started = False
                if size >= CHUNK:
                    yield from _chunks(gathered)
                    gathered, size = [], 0
    except zstandard.ZstdError:
        yield from _chunks(gathered)
        raise Damaged("the zstd stream is damaged") from None
    yield from _chunks(gathered)
    if started:
        raise Damaged("the zstd stream is cut off")


def _frames(file: Readable) -> Iterator[bytes]:
    try:
        import zstandard
    except ImportError:
        raise Damaged("zstd needs the extra `detect` to be installed") from None
    while head := _exactly(file, 4):
        packed = _exactly(file, int.from_bytes(head, "big")) if len(head) == 4 else b""
        if len(head) < 4 or len(packed) < int.from_bytes(head, "big"):
            raise Damaged("the last frame of the file exporter is cut off")
        if not packed.startswith(ZSTD):
            raise Damaged(_PROTOBUF)
        first = True
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(packed) as frame:
            try:
                while chunk := frame.read(CHUNK):
                    if first and chunk[0] == 0x0A:
                        raise Damaged(_PROTOBUF)
                    first = False
                    yield chunk
            except zstandard.ZstdError:
                raise Damaged("a zstd frame of the file exporter is damaged") from None
        yield b"\n"


_PROTOBUF = (
    "is protobuf of the collector's file exporter; set `format: json` there, and convert what there is"
)


def _chunks(gathered: list[bytes]) -> Iterator[bytes]:
    whole = b"".join(gathered)
    gathered.clear()
    for at in range(0, len(whole), CHUNK):
        yield whole[at : at + CHUNK]


def bounded(file: BinaryIO, size: int) -> Readable:
    """`file` up to `size` bytes from where it stands, however much it grows meanwhile."""
    return _Bounded(file, size)


class _Bounded:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int, /) -> bytes:
        chunk = self._file.read(min(size, self._left)) if self._left > 0 else b""
        self._left -= len(chunk)
        return chunk
