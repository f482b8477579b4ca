"""Rows on disk for the length of a run: packed, sealed, in partitions.

1. A partition is files named `NN-writer`. A file is blocks, each u32be unpacked length ‖ u32be sealed length ‖ the
   24-byte nonce ‖ XChaCha20-Poly1305 of zstd of JSON lines, with the partition's number as associated data.
2. The key is held in memory only, except where the blocks are the state that later runs continue from.
3. A block that does not open was changed or sealed under another key: `BadSpill`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import zstandard
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

from tocsin.client.system import random_bytes

PARTITIONS = 64
KEY_BYTES = 32

_BLOCK = 1 << 18
_NONCE = 24
_HEAD = 8
_MAX_BLOCK = 1 << 28


class BadSpill(ValueError):
    """A file of rows that was changed, cut short, or sealed under another key: `path`."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(path, what)  # as it is made again on its way between processes
        self.path, self.what = path, what

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


class Spill:
    """Writes rows into partitions. Files are opened when there is something for them, readable by their owner only."""

    def __init__(self, folder: Path, writer: int, key: bytes) -> None:
        self._folder, self._writer, self._key = folder, writer, key
        self._rows: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
        self._sizes = [0] * PARTITIONS
        self._files: dict[int, BinaryIO] = {}
        self._compressor = zstandard.ZstdCompressor(level=1)

    def add(self, partition: int, row: list[Any]) -> None:
        """Append a row of what JSON can hold."""
        packed = orjson.dumps(row)
        self._rows[partition].append(packed)
        self._sizes[partition] += len(packed)
        if self._sizes[partition] >= _BLOCK:
            self._write(partition)

    def close(self) -> None:
        """Write what is left."""
        for partition in range(PARTITIONS):
            self._write(partition)
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _write(self, partition: int) -> None:
        if not self._rows[partition]:
            return
        block = b"\n".join(self._rows[partition])
        self._rows[partition] = []
        self._sizes[partition] = 0
        nonce = random_bytes(_NONCE)
        sealed = crypto_aead_xchacha20poly1305_ietf_encrypt(
            self._compressor.compress(block), bytes([partition]), nonce, self._key
        )
        file = self._files.get(partition)
        if file is None:
            path = self._folder / f"{partition:02}-{self._writer}"
            file = self._files[partition] = os.fdopen(
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb"
            )
        file.write(len(block).to_bytes(4, "big") + len(sealed).to_bytes(4, "big") + nonce + sealed)


def spilled_bytes(folder: Path, partition: int) -> int:
    """Return how many bytes the rows of a partition have, unpacked. Raises `BadSpill`."""
    total = 0
    for path in _files(folder, partition):
        with path.open("rb") as file:
            while sizes := _head(path, file):
                total += sizes[0]
                file.seek(_NONCE + sizes[1], os.SEEK_CUR)
    return total


def spilled_rows(folder: Path, partition: int, key: bytes) -> Iterator[list[Any]]:
    """Yield the rows of a partition, one writer after another. Raises `BadSpill`."""
    for path in _files(folder, partition):
        with path.open("rb") as file:
            while sizes := _head(path, file):
                nonce, sealed = file.read(_NONCE), file.read(sizes[1])
                try:
                    rows = _opened(sizes[0], nonce, sealed, partition, key)
                except (CryptoError, zstandard.ZstdError, ValueError):
                    raise BadSpill(path, "was changed, or is of another key") from None
                yield from rows


def _files(folder: Path, partition: int) -> list[Path]:
    return sorted(folder.glob(f"{partition:02}-*"))


def _head(path: Path, file: BinaryIO) -> tuple[int, int] | None:
    head = file.read(_HEAD)
    if not head:
        return None
    sizes = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")
    if len(head) != _HEAD or max(sizes) > _MAX_BLOCK:
        raise BadSpill(path, "is cut short or damaged")
    return sizes


def _opened(size: int, nonce: bytes, sealed: bytes, partition: int, key: bytes) -> list[list[Any]]:
    packed = crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, bytes([partition]), nonce, key)
    block = zstandard.ZstdDecompressor().decompress(packed, max_output_size=size)
    return [orjson.loads(line) for line in block.split(b"\n")]
