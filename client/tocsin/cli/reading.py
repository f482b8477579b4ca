"""Values from arguments, CSV and JSON lines.

Rules
1. An argument is `type=value`, or a file (a pipe too), or `-` for standard input. Values given as arguments are seen by
   everybody who may list this machine's processes: files are for real data.
2. All of it is UTF-8, with or without a byte order mark, whatever the terminal's encoding: read otherwise, a value
   would be another value. CSV has a header with `type` and `value`; JSON lines are objects with both as text. Other
   columns are kept. A file is JSON lines where its first character is `{`.
3. A line that cannot be read is reported by file, line and rule, never by its content, and the others go on. A quote
   that is never closed would hide every line behind it, so it stops everything.
4. Lines are read one after the other, and none is longer than 1 MiB.
5. A type that is never given by itself is refused here, before any node is asked: as an argument it stops everything,
   as a line it is a bad line.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from tocsin.indicators.ptf2.template import BAND, TEMPLATE
from tocsin.indicators.registry import TYPES, Refused

MAX_LINE = 1 << 20

_GIVEN = tuple(each for each in TYPES if each != BAND)
_NO_BAND = str(
    Refused(BAND, "template.band", f"give the whole template as {TEMPLATE}; its bands come with it")
)
_FILE_ENDINGS = (".csv", ".json", ".jsonl", ".ndjson", ".txt")


class BadInput(ValueError):
    """Input that cannot be read at all; the message names file and rule."""


@dataclass(frozen=True, slots=True)
class Record:
    """One line of input. `line` counts from 1; the value is never in the repr."""

    source: str
    line: int
    type: str
    value: str = field(repr=False)
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.source}:{self.line}"


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that was not used, and the rule it breaks."""

    source: str
    line: int
    rule: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.rule}"


def read_inputs(arguments: Sequence[str]) -> Iterator[Record | BadLine]:
    """Yield every line of every argument, in order. Raises `BadInput`."""
    if not arguments:
        raise BadInput("nothing to read: name files, `-` for standard input, or type=value")
    for number, argument in enumerate(arguments, 1):
        type, equals, value = argument.partition("=")
        if equals and type == BAND:
            raise BadInput(f"argument {number}: {_NO_BAND}")
        if equals and type in TYPES:
            yield Record("argument", number, type, value)
        elif argument == "-":
            yield from _lines("standard input", _standard_input())
        elif argument.endswith(".parquet"):
            raise BadInput(f"argument {number} is a file of indicators: give it with --from")
        elif _is_readable(argument):
            with ExitStack() as stack:
                try:
                    file = stack.enter_context(Path(argument).open(encoding="utf-8-sig", newline=""))
                except OSError as error:
                    raise BadInput(f"{argument}: cannot be read ({error.strerror})") from None
                yield from _lines(argument, file)
        else:
            if argument.startswith("--"):
                raise BadInput(f"argument {number} is no option of this command; see --help")
            raise BadInput(_not_understood(number, argument))


def _not_understood(number: int, argument: str) -> str:
    # Repeated only where it is named as a file: anything else may be a value, or hold one.
    if Path(argument).suffix in _FILE_ENDINGS and "=" not in argument:
        return f"{argument} does not exist"
    if "=" in argument:
        return f"argument {number} is `type=value` with a type that does not exist; types are {', '.join(_GIVEN)}"
    return (
        f"argument {number} is no file that exists, and not `type=value` with a type of {', '.join(_GIVEN)}"
    )


def _standard_input() -> TextIO:
    # Not a process's own terminal settings: the bytes are UTF-8 or refused (rule 2).
    if sys.stdin is None:
        raise BadInput("standard input is closed")
    binary = getattr(sys.stdin, "buffer", None)
    if binary is None:
        return sys.stdin
    if binary.closed:
        raise BadInput("standard input was read to its end already; name `-` once")
    return io.TextIOWrapper(binary, encoding="utf-8-sig", errors="strict", newline="")


def _is_readable(argument: str) -> bool:
    path = Path(argument)
    try:
        return path.exists() and not path.is_dir()
    except OSError:
        # Too long for a name, for instance: then it is a value, and its error must not repeat it.
        return False


def _bounded(source: str, file: TextIO) -> Iterator[str]:
    while line := file.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            raise BadInput(f"{source}: has a line of more than {MAX_LINE} characters")
        yield line


def _lines(source: str, file: TextIO) -> Iterator[Record | BadLine]:
    try:
        lines = _bounded(source, file)
        first = next(lines, "")
        rest = itertools.chain([first], lines) if first else iter(())
        yield from _json_lines(source, rest) if first.lstrip().startswith("{") else _csv(source, rest)
    except UnicodeDecodeError as error:
        raise BadInput(f"{source}: is not UTF-8 (byte {error.start} of a block); convert it") from None
    except csv.Error as error:
        raise BadInput(f"{source}: is not CSV: {error}") from None


def _json_lines(source: str, lines: Iterable[str]) -> Iterator[Record | BadLine]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            yield BadLine(source, number, "the line is not JSON")
            continue
        if not isinstance(found, dict):
            yield BadLine(source, number, "the line is not a JSON object")
            continue
        yield _record(source, number, {str(key): value for key, value in found.items()})


def _csv(source: str, lines: Iterable[str]) -> Iterator[Record | BadLine]:
    reader = csv.reader(lines, strict=True)
    header = [name.strip().lower() for name in next(reader, [])]
    if not {"type", "value"} <= set(header) or len(set(header)) != len(header):
        raise BadInput(f"{source}: the first line must be a CSV header with type and value, each column once")
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise BadInput(f"{source}:{line}: a quote is opened and never closed") from None
            yield BadLine(source, line, f"the line is not CSV: {error}")
            continue
        if not row:
            continue
        if len(row) != len(header):
            yield BadLine(
                source, reader.line_num, f"the line has {len(row)} fields, the header has {len(header)}"
            )
            continue
        yield _record(source, reader.line_num, dict(zip(header, row, strict=True)))


def _record(source: str, number: int, found: dict[str, object]) -> Record | BadLine:
    type, value = found.pop("type", None), found.pop("value", None)
    if not isinstance(type, str) or not isinstance(value, str):
        return BadLine(source, number, "type and value must both be there, as text")
    if type.strip() == BAND:
        return BadLine(source, number, _NO_BAND)
    extra = {key: str(item) for key, item in found.items() if item is not None and str(item).strip()}
    return Record(source, number, type.strip(), value, extra)
