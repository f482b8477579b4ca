"""The files of a run: named one by one, or found in folders.

1. In a folder and its subfolders, the files with the endings of logs are read; the others are skipped and counted, by
   ending. The folder of manifests that Langfuse's export puts beside its data is skipped.
2. A file that is named twice, also through a folder or a link, is read once. A pipe has no size, and its beginning is
   not read in advance.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import decompression

STANDARD_INPUT = "-"
ENDINGS = (".json", ".jsonl", ".ndjson", ".csv", ".gz", ".zst", ".parquet")
HEAD = 1 << 16
BOM = b"\xef\xbb\xbf"
UTF16 = (b"\xff\xfe", b"\xfe\xff")


_NAME = rb'(?:"[A-Za-z_@][\w .:/()@\[\]-]*"|[A-Za-z_@][\w .:/()@\[\]-]*)'
_HEADER = re.compile(_NAME + rb"([,;\t])" + _NAME + rb"(?:\1" + _NAME + rb")*")
_MANIFESTS = "manifests"
_EXPORTED = ("observations", "traces", "scores")


class Unreadable(ValueError):
    """An input that cannot be read at all; the message names it."""


@dataclass(frozen=True, slots=True)
class Source:
    """An input. `identity` is None if it is not a file; `lines` says that it is plain lines, which can be cut."""

    path: str
    size: int = 0
    identity: tuple[int, int] | None = None
    lines: bool = False
    start: int = 0
    """Where to begin: an earlier run read what comes before."""


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to read, and how many files were skipped, by ending (rule 1)."""

    sources: list[Source]
    passed_over: Counter[str]


def find(inputs: Sequence[str]) -> Found:
    """Return the files of `inputs`. Raises Unreadable."""
    sources: list[Source] = []
    known: set[tuple[int, int]] = set()
    others: dict[str, str] = {}
    for name in inputs:
        for path in [name] if name == STANDARD_INPUT else _files(name, others):
            source = Source(path) if path == STANDARD_INPUT else _source(path)
            if source.identity is None or source.identity not in known:
                sources.append(source)
            if source.identity is not None:
                known.add(source.identity)
    if sum(source.path == STANDARD_INPUT for source in sources) > 1:
        raise Unreadable("standard input can be read only once; name `-` once")
    for source in sources:
        others.pop(os.path.realpath(source.path), None)
    return Found(sources, Counter(others.values()))


def is_document(head: bytes) -> bool:
    """Say whether a file begins like an array, or like an object whose first line holds nothing but its brace."""
    head = head.removeprefix(BOM).lstrip()
    return head.startswith(b"[") or head.partition(b"\n")[0].rstrip() == b"{"


def csv_delimiter(head: bytes) -> str | None:
    """What separates the names in the header that a CSV file begins with; None where it is no such file."""
    line = head.removeprefix(BOM).partition(b"\n")[0].strip()
    match = _HEADER.fullmatch(line)
    return None if match is None else match[1].decode()


def _source(path: str) -> Source:
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            return Source(path)  # what is read from a pipe here would be lost to the reader
        return Source(path, status.st_size, (status.st_dev, status.st_ino), _is_lines(path))
    except OSError as error:
        raise _unreadable(path, error) from None


def _files(name: str, others: dict[str, str]) -> list[str]:
    if not Path(name).exists():
        raise Unreadable(f"{name} does not exist")
    if not Path(name).is_dir():
        return [name]

    def refuse(error: OSError) -> None:
        raise _unreadable(error.filename, error)

    inside: list[str] = []
    for folder, folders, names in os.walk(name, onerror=refuse):
        if _MANIFESTS in folders and any(sibling.startswith(_EXPORTED) for sibling in folders):
            folders.remove(_MANIFESTS)
        for path in (Path(folder, name) for name in names):
            if not path.is_file():
                continue
            if path.suffix in ENDINGS:
                inside.append(str(path))
            else:
                others[os.path.realpath(path)] = path.suffix
    if not inside:
        raise Unreadable(f"{name} contains no file that ends in {', '.join(ENDINGS)}")
    return sorted(inside)


def _unreadable(path: str, error: OSError) -> Unreadable:
    return Unreadable(f"{path}: cannot be read ({error.strerror})")


def _is_lines(path: str) -> bool:
    with open(path, "rb") as file:
        head = file.read(HEAD)
    packed = head.startswith((decompression.GZIP, decompression.PARQUET, *UTF16)) or decompression.is_zstd(
        head
    )
    return not (packed or decompression.is_framed(head) or is_document(head) or csv_delimiter(head))
