"""Which logs earlier runs with one state have read, so that no exchange is counted twice.

1. A file is known by its content and not by its name, since logs are rotated: by keyed digests of its first and of its
   last 64 KiB, by how many bytes were read, and by its length. The first digest covers the largest power of two of
   bytes that was read.
2. A known file of plain lines is continued after what was read. A last line without a newline was read if it is JSON;
   otherwise it was cut off, and is read again together with what was written after it.
3. Any other known file (packed, Parquet or one document) is skipped while it has its size. One that grew is read whole.
   Standard input and pipes are never known.
4. A file that gave no exchange is not remembered, and neither is one that could not be read to its end or was cut or
   replaced meanwhile: it is better to count an exchange twice than to lose it.
5. So files are digested before they are read and looked at again afterwards. A file must still be there, under its name
   or, by its inode, under another in its folder; be no shorter; and end as it did. One that is not is reported.
6. At most 100,000 files are remembered, the latest ones, each for a year after it was last named.
7. The list is written among the fresh samples, and both are put in place together: a crash neither loses nor doubles.

Not noticed: a change between the first and the last 64 KiB of what was read, where the length is the same or grew. Such
a file counts as read up to its known length. Two different files that agree in length and at both ends count as one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

import orjson

from tocsin.ingest.input_files import BOM, HEAD, Source
from tocsin.ingest.line_splitting import MAX_LINE
from tocsin.ingest.sampling import DAY
from tocsin.ingest.state import ELSE, BadState, State

MAX_FILES = 100_000
MAX_DAYS = 365

_NAME = "already-read"
_VERSION = 3
_DIGEST = 16


@dataclass(frozen=True, slots=True)
class _File:
    """What is known of a file: digests of both ends of the `read` bytes, how long it was, and the day it was last named
    (counted since 1970)."""

    head: str
    tail: str
    read: int
    size: int
    day: int


@dataclass(frozen=True, slots=True)
class _Named:
    """A file of this run: what earlier runs know of it, and what this one will remember."""

    source: Source
    known: _File | None
    now: _File | None

    @property
    def skipped(self) -> bool:
        if self.known is None or self.known.size != self.source.size:
            return False
        # A file that was allocated in advance may have been filled since.
        return self.now is None or self.now.read <= self.known.read


class AlreadyRead:
    """The files of earlier runs, and those of this one once it is through."""

    def __init__(self, state: State) -> None:
        """Load what is remembered. Raises `BadState`."""
        self._key, self._day = state.derived(b"already read"), state.now // DAY
        self._by_head: dict[str, set[_File]] = {}
        self._named: list[_Named] = []
        self._target = state.fresh / _NAME
        self.skipped = self.continued = self.forgotten = 0
        for file in _load(state.samples / _NAME):
            self._by_head.setdefault(file.head, set()).add(file)

    def rest_of(self, sources: Sequence[Source]) -> list[Source]:
        """Return what is still to be read of `sources` (rules 1 to 3)."""
        named = [self._look_up(source) for source in sources]
        self._named.extend(named)
        self.skipped += sum(file.skipped for file in named)
        rest = [_rest_of(file) for file in named if not file.skipped]
        self.continued += sum(source.start > 0 for source in rest)
        return rest

    def changed(self, used: set[str]) -> set[str]:
        """Return which of the files that were `used` are no longer as they were read (rule 5)."""
        return {
            named.source.path
            for named in self._named
            if named.source.path in used and named.now is not None and not self._is_as_read(named, named.now)
        }

    def write(self, used: set[str]) -> None:
        """Write what is remembered from now on, of this run's files those that were `used` (rules 4 to 7)."""
        files = {
            file for group in self._by_head.values() for file in group if self._day - file.day <= MAX_DAYS
        }
        files.difference_update(named.known for named in self._named if named.known is not None)
        for named in self._named:
            if named.now is not None and named.source.path in used:
                files.add(named.now)
            elif named.known is not None:
                files.add(replace(named.known, day=self._day))
        kept = sorted(files, key=lambda file: file.day, reverse=True)[:MAX_FILES]
        self.forgotten = len(files) - len(kept)
        rows = [[getattr(file, name) for name in _File.__slots__] for file in kept]
        self._target.touch(mode=0o600)
        self._target.write_bytes(orjson.dumps({"version": _VERSION, "files": rows}))

    def _look_up(self, source: Source) -> _Named:
        if source.identity is None or not source.size:
            return _Named(source, None, None)
        try:
            with open(source.path, "rb") as file:
                read = _complete(file, source.size) if source.lines else source.size
                now = self._file(file, read, source.size) if read else None
                return _Named(source, self._known(file, source), now)
        except OSError:  # the reader reports it
            return _Named(source, None, None)

    def _known(self, file: BinaryIO, source: Source) -> _File | None:
        file.seek(0)
        head = file.read(min(HEAD, source.size))
        alike = [
            known
            for known in self._alike(head)
            if (known.read <= source.size if source.lines else known.size == source.size)
            and self._tail(file, known.read) == known.tail
        ]
        return max(alike, key=lambda known: (known.read, known.size), default=None)

    def _alike(self, head: bytes) -> Iterator[_File]:
        length = 1
        while length <= len(head):
            yield from self._by_head.get(self._digest(head[:length]), ())
            length *= 2

    def _file(self, file: BinaryIO, read: int, size: int) -> _File:
        file.seek(0)
        head = self._digest(file.read(min(HEAD, 1 << read.bit_length() - 1)))
        return _File(head, self._tail(file, read), read, size, self._day)

    def _is_as_read(self, named: _Named, now: _File) -> bool:
        path = _where(named.source)
        if path is None:
            return False
        try:
            with open(path, "rb") as file:
                long_enough = os.fstat(file.fileno()).st_size >= named.source.size
                return long_enough and self._tail(file, now.read) == now.tail
        except OSError:
            return False

    def _tail(self, file: BinaryIO, read: int) -> str:
        start = max(0, read - HEAD)
        file.seek(start)
        return self._digest(file.read(read - start))

    def _digest(self, content: bytes) -> str:
        return blake2b(content, digest_size=_DIGEST, key=self._key).hexdigest()


def _rest_of(named: _Named) -> Source:
    if named.known is None or not named.source.lines:
        return named.source
    return replace(named.source, start=named.known.read)


def _where(source: Source) -> str | None:
    """Return where a file is by now: logs are renamed while they are read."""
    with suppress(OSError):
        if _identity(source.path) == source.identity:
            return source.path
    with suppress(OSError), os.scandir(os.path.dirname(source.path) or ".") as folder:
        for entry in folder:
            if source.identity is not None and entry.inode() == source.identity[1]:
                return entry.path if _identity(entry.path) == source.identity else None
    return None


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _complete(file: BinaryIO, size: int) -> int:
    """Return how much of a file of lines is read for good (rule 2)."""
    file.seek(size - 1)
    if file.read(1) == b"\n":
        return size
    start = max(0, size - MAX_LINE - 1)
    file.seek(start)
    block = file.read(size - start)
    line = block[block.rfind(b"\n") + 1 :]
    if len(line) > MAX_LINE:
        return size
    try:
        orjson.loads(line.removeprefix(BOM))
    except ValueError:
        return size - len(line)
    return size


def _load(path: Path) -> Iterator[_File]:
    if not path.exists():
        return
    try:
        document = orjson.loads(path.read_bytes())
        version = document["version"]
        files = [_File(*row) for row in document["files"]]
    except (ValueError, TypeError, KeyError):
        version, files = None, []
    if version != _VERSION or not all(
        type(getattr(file, name)) is (str if name in ("head", "tail") else int)
        for file in files
        for name in _File.__slots__
    ):
        raise BadState(f"{path}: is damaged, or of another version; {ELSE}")
    yield from files
