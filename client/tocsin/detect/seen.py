"""Which logs earlier runs with one state have read, so that no exchange is counted twice.

1. A file is known by what it holds, not by its name, since logs are rotated: by a keyed digest of its first bytes, as
   many as the largest power of two that was read, 64 KiB at most, and one of the last 64 KiB that were read and of 64
   blocks before them, at places that only the key tells: who writes a log cannot make another that passes for it.
2. A known file of plain lines goes on behind what was read. A last line that no newline ends was read if it is JSON;
   if not, it was cut off, and is read again with what was written behind it.
3. Any other known file, packed, Parquet or one document, is passed over while it has its size; one that grew is read
   whole. A file that was cut, or changed within what was read, is a new one. Standard input and pipes are not known.
4. A file out of which no record came counted nothing, and is not remembered; nor is one that could not be read to its
   end, or was cut or replaced meanwhile: better counted twice than lost.
5. At most 100,000 files are remembered, those last met latest, each for a year.
6. It is written among the fresh samples: both are put in place at once, so that a crash neither loses nor doubles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

import orjson

from tocsin.detect.ingest.files import BOM, HEAD, Source
from tocsin.detect.ingest.lines import MAX_LINE
from tocsin.detect.sampling import DAY
from tocsin.detect.state import ELSE, BadState, State

MAX_FILES = 100_000
MAX_DAYS = 365

_NAME = "seen"
_DIGEST = 16
_BLOCKS, _BLOCK = 64, 4_096


@dataclass(frozen=True, slots=True)
class _File:
    """What is known of a file: how many bytes were read, and how many it had then."""

    head: str
    tail: str
    read: int
    size: int
    day: int
    """When it was last met, counted since 1970."""


class Seen:
    """The files of earlier runs, and those of this one once it is through."""

    def __init__(self, state: State) -> None:
        """Read what is remembered. Raises `BadState`."""
        self._key, self._day = state.derived(b"seen"), state.now // DAY
        self._heads: dict[str, set[_File]] = {}
        self._met: list[tuple[str, _File | None, _File]] = []
        self._target = state.fresh / _NAME
        self.passed_over = self.continued = self.forgotten = 0
        for each in _read(state.samples / _NAME):
            self._heads.setdefault(each.head, set()).add(each)

    def rest_of(self, sources: Sequence[Source]) -> list[Source]:
        """Return what is still to be read of `sources` (rules 1 to 3). Raises OSError."""
        return [rest for each in sources if (rest := self._rest_of(each)) is not None]

    def write(self, used: set[str]) -> None:
        """Write what is remembered from now on, of this run's files those that were `used` (rules 4 to 6)."""
        files = {each for group in self._heads.values() for each in group if self._day - each.day <= MAX_DAYS}
        for path, known, now in self._met:
            if known is not None:
                files.discard(known)
            if known is not None or path in used:
                files.add(now if path in used else replace(known or now, day=self._day))
        kept = sorted(files, key=lambda each: each.day, reverse=True)[:MAX_FILES]
        self.forgotten = len(files) - len(kept)
        rows = [[getattr(each, name) for name in _File.__slots__] for each in kept]
        self._target.touch(mode=0o600)
        self._target.write_bytes(orjson.dumps(rows))

    def _rest_of(self, source: Source) -> Source | None:
        if source.identity is None or not source.size:
            return source
        with open(source.path, "rb") as file:
            known = self._known(file, source.size)
            passed_over = known is not None and known.size == source.size
            now = known if known is not None and passed_over else self._now(file, source)
        if now is not None:
            self._met.append((source.path, known, now))
        if known is None:
            return source
        if passed_over:
            self.passed_over += 1
            return None
        if not source.lines:
            return source
        self.continued += 1
        return replace(source, start=known.read)

    def _known(self, file: BinaryIO, size: int) -> _File | None:
        found: list[_File] = []
        head = file.read(min(HEAD, size))
        length = 1
        while length <= len(head):
            found.extend(self._heads.get(self._digest(head[:length]), ()))
            length *= 2
        tails: dict[int, str] = {}
        for each in sorted(found, key=lambda each: (each.read, each.size), reverse=True):
            if each.read <= size:
                if each.read not in tails:
                    tails[each.read] = self._tail(file, each.read)
                if tails[each.read] == each.tail:
                    return each
        return None

    def _now(self, file: BinaryIO, source: Source) -> _File | None:
        read = _complete(file, source.size) if source.lines else source.size
        if not read:
            return None
        file.seek(0)
        head = file.read(min(HEAD, 1 << read.bit_length() - 1))
        return _File(self._digest(head), self._tail(file, read), read, source.size, self._day)

    def _tail(self, file: BinaryIO, read: int) -> str:
        start = max(0, read - HEAD)
        places = [
            int.from_bytes(blake2b(b"%d %d" % (read, each), digest_size=8, key=self._key).digest()) % start
            for each in range(_BLOCKS if start else 0)
        ]
        found = blake2b(digest_size=_DIGEST, key=self._key)
        for place in sorted(places):
            file.seek(place)
            found.update(file.read(min(_BLOCK, read - place)))
        file.seek(start)
        found.update(file.read(read - start))
        return found.hexdigest()

    def _digest(self, content: bytes) -> str:
        return blake2b(content, digest_size=_DIGEST, key=self._key).hexdigest()


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
        rows = orjson.loads(path.read_bytes())
        files = [_File(*row) for row in rows]
    except (ValueError, TypeError):
        files = []
        rows = None
    if rows is None or not all(
        type(getattr(each, name)) is (str if name in ("head", "tail") else int)
        for each in files
        for name in _File.__slots__
    ):
        raise BadState(f"{path}: is damaged; {ELSE}")
    yield from files
