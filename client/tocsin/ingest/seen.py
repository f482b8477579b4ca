"""Which logs earlier runs with one state have read, so that no exchange is counted twice.

1. A file is known by what it holds, not by its name, since logs are rotated: by a keyed digest of every byte that was
   read. Which files to compare it with is looked up by a digest of its first bytes, as many as the largest power of two
   that was read, 64 KiB at most.
2. A known file of plain lines goes on behind what was read, all of which is digested again first. A last line that no
   newline ends was read if it is JSON; if not, it was cut off, and is read again with what was written behind it.
3. Any other known file, packed, Parquet or one document, is passed over while it has its size; one that grew is read
   whole. A file that was cut, or changed within what was read, is a new one. Standard input and pipes are not known.
4. A file out of which no record came counted nothing, and is not remembered; nor is one that could not be read to its
   end, or was cut or replaced meanwhile: better counted twice than lost.
5. So files are digested before they are read, and looked at again when all are: the file must be there, under its name
   or another in its folder, no shorter, and end as it did. One that is not is told.
6. At most 100,000 files are remembered, those last met latest, each for a year.
7. It is written among the fresh samples: both are put in place at once, so that a crash neither loses nor doubles.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

import orjson

from tocsin.ingest.files import BOM, HEAD, Source
from tocsin.ingest.lines import MAX_LINE
from tocsin.ingest.sampling import DAY
from tocsin.ingest.sources import CHUNK
from tocsin.ingest.state import ELSE, BadState, State

MAX_FILES = 100_000
MAX_DAYS = 365

_NAME = "seen"
_VERSION = 2
_DIGEST = 16


@dataclass(frozen=True, slots=True)
class _File:
    """What is known of a file: how many bytes were read, and how many it had then."""

    head: str
    whole: str
    read: int
    size: int
    day: int
    """When it was last met, counted since 1970."""


@dataclass(frozen=True, slots=True)
class _Met:
    """A file of this run: what was known of it, what will be, and how that which is read of it ends."""

    source: Source
    known: _File | None
    now: _File | None
    tail: str

    @property
    def passed_over(self) -> bool:
        if self.known is None or self.known.size != self.source.size:
            return False
        # A file that was made long at once may have been filled since.
        return self.now is None or self.now.read <= self.known.read


class Seen:
    """The files of earlier runs, and those of this one once it is through."""

    def __init__(self, state: State) -> None:
        """Read what is remembered. Raises `BadState`."""
        self._key, self._day = state.derived(b"seen"), state.now // DAY
        self._heads: dict[str, set[_File]] = {}
        self._met: list[_Met] = []
        self._target = state.fresh / _NAME
        self.passed_over = self.continued = self.forgotten = 0
        for each in _read(state.samples / _NAME):
            self._heads.setdefault(each.head, set()).add(each)

    def rest_of(
        self, sources: Sequence[Source], told: Callable[[int, int], None] = lambda done, total: None
    ) -> list[Source]:
        """Return what is still to be read of `sources` (rules 1 to 3).

        `told` is called with how many bytes were compared, and how many there are.
        """
        total, done = sum(each.size for each in sources), 0

        def more(count: int) -> None:
            nonlocal done
            done += count
            told(done, total)

        met = [self._meet(each, more) for each in sources]
        self._met.extend(met)
        self.passed_over += sum(each.passed_over for each in met)
        rest = [_rest_of(each) for each in met if not each.passed_over]
        self.continued += sum(each.start > 0 for each in rest)
        return rest

    def changed(self, used: set[str]) -> set[str]:
        """Return which of the files that were `used` are no longer as they were read (rule 5)."""
        return {
            each.source.path
            for each in self._met
            if each.source.path in used and each.now is not None and not self._is_as_read(each, each.now)
        }

    def write(self, used: set[str]) -> None:
        """Write what is remembered from now on, of this run's files those that were `used` (rules 4 to 7)."""
        files = {each for group in self._heads.values() for each in group if self._day - each.day <= MAX_DAYS}
        files.difference_update(each.known for each in self._met if each.known is not None)
        for each in self._met:
            known, now = each.known, each.now
            if known is not None:
                now = now if now is not None and each.source.path in used else replace(known, day=self._day)
            elif each.source.path not in used:
                now = None
            if now is not None:
                files.add(now)
        kept = sorted(files, key=lambda each: each.day, reverse=True)[:MAX_FILES]
        self.forgotten = len(files) - len(kept)
        rows = [[getattr(each, name) for name in _File.__slots__] for each in kept]
        self._target.touch(mode=0o600)
        self._target.write_bytes(orjson.dumps({"version": _VERSION, "files": rows}))

    def _meet(self, source: Source, more: Callable[[int], None]) -> _Met:
        if source.identity is None or not source.size:
            return _Met(source, None, None, "")
        try:
            with open(source.path, "rb") as file:
                return self._compared(file, source, more)
        except OSError:  # whoever reads it will say so
            return _Met(source, None, None, "")

    def _compared(self, file: BinaryIO, source: Source, more: Callable[[int], None]) -> _Met:
        head = file.read(min(HEAD, source.size))
        alike = [each for each in self._alike(head) if each.read <= source.size]
        if not source.lines:
            alike = [each for each in alike if each.size == source.size]
        read = _complete(file, source.size) if source.lines else source.size
        tail = self._tail(file, read)  # first, so that what is changed from here on shows
        digests = self._digests(file, {read, *(each.read for each in alike)}, more)
        same = [each for each in alike if digests.get(each.read) == each.whole]
        known = max(same, key=lambda each: (each.read, each.size), default=None)
        now = None
        if read and read in digests:
            start = self._digest(head[: min(HEAD, 1 << read.bit_length() - 1)])
            now = _File(start, digests[read], read, source.size, self._day)
        return _Met(source, known, now, tail)

    def _alike(self, head: bytes) -> Iterator[_File]:
        length = 1
        while length <= len(head):
            yield from self._heads.get(self._digest(head[:length]), ())
            length *= 2

    def _digests(self, file: BinaryIO, ends: Iterable[int], more: Callable[[int], None]) -> dict[int, str]:
        """Return the digest of everything up to each of `ends` that the file has."""
        file.seek(0)
        at, so_far = 0, blake2b(digest_size=_DIGEST, key=self._key)
        found: dict[int, str] = {}
        for end in sorted(ends):
            while at < end:
                block = file.read(min(CHUNK, end - at))
                if not block:
                    return found
                so_far.update(block)
                at += len(block)
                more(len(block))
            found[end] = so_far.copy().hexdigest()
        return found

    def _is_as_read(self, met: _Met, now: _File) -> bool:
        path = _where(met.source)
        if path is None:
            return False
        try:
            with open(path, "rb") as file:
                return os.fstat(file.fileno()).st_size >= now.size and self._tail(file, now.read) == met.tail
        except OSError:
            return False

    def _tail(self, file: BinaryIO, read: int) -> str:
        start = max(0, read - HEAD)
        file.seek(start)
        return self._digest(file.read(read - start))

    def _digest(self, content: bytes) -> str:
        return blake2b(content, digest_size=_DIGEST, key=self._key).hexdigest()


def _rest_of(met: _Met) -> Source:
    if met.known is None or not met.source.lines:
        return met.source
    return replace(met.source, start=met.known.read)


def _where(source: Source) -> str | None:
    """Return where a file is by now: logs are renamed while they are read."""
    with suppress(OSError):
        if _identity(source.path) == source.identity:
            return source.path
    with suppress(OSError), os.scandir(os.path.dirname(source.path) or ".") as folder:
        for each in folder:
            if source.identity is not None and each.inode() == source.identity[1]:
                return each.path if _identity(each.path) == source.identity else None
    return None


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _complete(file: BinaryIO, size: int) -> int:
    """Return how much of a file of lines is read for good (rule 2)."""
    line, start = b"", size
    while start and len(line) <= MAX_LINE:
        step = min(HEAD, start)
        file.seek(start - step)
        block = file.read(step)
        newline = block.rfind(b"\n")
        line = block[newline + 1 :] + line
        start -= len(block) - newline - 1 if newline >= 0 else step
        if newline >= 0:
            break
    if not line or len(line) > MAX_LINE:
        return size
    try:
        orjson.loads(line.removeprefix(BOM))
    except ValueError:
        return start
    return size


def _read(path: Path) -> Iterator[_File]:
    if not path.exists():
        return
    try:
        found = orjson.loads(path.read_bytes())
        version = found["version"]
        files = [_File(*row) for row in found["files"]]
    except (ValueError, TypeError, KeyError):
        version, files = None, []
    if version != _VERSION or not all(
        type(getattr(each, name)) is (str if name in ("head", "whole") else int)
        for each in files
        for name in _File.__slots__
    ):
        raise BadState(f"{path}: is damaged, or of another version; {ELSE}")
    yield from files
