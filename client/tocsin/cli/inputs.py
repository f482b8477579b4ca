"""Values from arguments, CSV and JSON lines.

Rules
1. An argument is `type=value`, or a file (a pipe too), or `-` for standard input. Values given as arguments are visible
   to everybody who may list this machine's processes: use files for real data.
2. Everything is UTF-8, with or without a byte order mark, whatever the terminal's encoding: read otherwise, a value
   would be another value. CSV has a header with `type` and `value`; JSON lines, or a JSON array, are objects with both
   as text. MISP's JSON and CSV and STIX bundles are read by `tocsin.ingest.threat_intel`, and what is left out of them
   is named. Names of columns and keys are read without regard to case: `TLP` and `tlp`
   are one column.
3. Other columns are kept, in their order: `account` says which of your accounts hold the value, the rest is yours.
4. A line that cannot be read is reported by file, line and rule, never by its content, and skipped. A quote that is
   never closed would hide every line after it, so it stops everything.
5. Lines are read one after the other, and none is longer than 1 MiB.
6. A type that does not exist, or is never given by itself, is refused here, before any node is asked: as an argument it
   stops everything, as a line it is a bad line.
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
from difflib import get_close_matches
from pathlib import Path
from typing import TextIO

from tocsin.cli.output import warn
from tocsin.indicators.ptf2.bands import BANDINGS
from tocsin.indicators.registry import TYPES
from tocsin.ingest.threat_intel import MISP_COLUMNS, Reading, read_misp_attribute, read_shared

MAX_LINE = 1 << 20
MAX_DOCUMENT = 64 << 20
_KINDS_SHOWN = 8
ACCOUNT = "account"
"""The column that names the account that holds a value."""

GIVEN_TYPES = tuple(name for name in TYPES if name not in BANDINGS)
"""The types that a value may be given as."""

_LIST_TYPES = "`tocsin types` lists the types"
_FILE_ENDINGS = (".csv", ".json", ".jsonl", ".ndjson", ".txt")
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


class BadInput(ValueError):
    """Input that cannot be read at all; the message names file and rule."""


@dataclass(frozen=True, slots=True)
class Row:
    """One value of the input. `line` counts from 1; the value and the other columns are never in the repr."""

    source: str
    line: int
    type: str
    value: str = field(repr=False)
    columns: Mapping[str, str] = field(default_factory=dict, repr=False)
    accounts: tuple[str, ...] = field(default=(), repr=False)
    """Your own accounts that hold the value, where the input says so."""

    @property
    def place(self) -> str:
        """Where it was read, for messages."""
        return f"{self.source}:{self.line}"


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that was not used: the rule it breaks, and what is wrong in words."""

    source: str
    line: int
    rule: str
    why: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.why} ({self.rule})"


def read_inputs(arguments: Sequence[str]) -> Iterator[Row | BadLine]:
    """Yield every line of every argument, in order. Raises `BadInput`."""
    if not arguments:
        raise BadInput("nothing to read: name files, `-` for standard input, or type=value")
    for number, argument in enumerate(arguments, 1):
        type, equals, value = argument.partition("=")
        if equals and type in BANDINGS:
            raise BadInput(f"argument {number}: {_no_band(type)}")
        if equals and type in TYPES:
            yield Row("argument", number, type, value)
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
            raise BadInput(_not_understood(number, argument))


def no_such_type(name: str) -> str:
    """Say that a type does not exist, and name the one that is meant.

    The name is repeated only if it is close to a type's: in a file with swapped columns it is a value.
    """
    meant = _meant(name)
    return f"type `{name}` does not exist; did you mean {meant}?" if meant else f"no such type: {_LIST_TYPES}"


def _meant(name: str) -> str | None:
    wanted = name.casefold().replace("_", "-")
    for type in GIVEN_TYPES:
        if wanted in (type, type.partition(".")[2]):
            return type
    whole = get_close_matches(wanted, GIVEN_TYPES, 1, 0.75)
    if whole:
        return whole[0]
    # `mail`, `ibann`: near the second part of a name.
    parts = {type.partition(".")[2]: type for type in GIVEN_TYPES}
    near = get_close_matches(wanted, parts, 1, 0.8)
    return parts[near[0]] if near else None


def _not_understood(number: int, argument: str) -> str:
    # Repeated only where it is named as a file: anything else may be a value, or hold one.
    if argument.startswith("--"):
        return f"argument {number} is not an option of this command; see --help"
    name, equals, _ = argument.partition("=")
    if equals:
        return f"argument {number}: {no_such_type(name)}"
    if Path(argument).suffix in _FILE_ENDINGS:
        return f"{argument} does not exist"
    return f"argument {number} is neither an existing file nor `type=value`; {_LIST_TYPES}"


def _standard_input() -> TextIO:
    # Not a process's own terminal settings: the bytes are UTF-8 or refused (rule 2).
    if sys.stdin is None:
        raise BadInput("standard input is closed")
    binary = getattr(sys.stdin, "buffer", None)
    if binary is None:
        return sys.stdin
    if binary.closed:
        raise BadInput("standard input was already read to its end; name `-` once")
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
            raise BadInput(f"{source}: a line has more than {MAX_LINE:,} characters")
        yield line


def _lines(source: str, file: TextIO) -> Iterator[Row | BadLine]:
    try:
        lines = _bounded(source, file)
        first = next(lines, "")
        if "\0" in first:
            raise BadInput(_utf_16(source))
        rest = itertools.chain([first], lines) if first else iter(())
        match first.lstrip()[:1]:
            case "[":
                yield from _json_array(source, "".join(_whole(source, rest)))
            case "{":
                yield from _json_objects(source, first, rest)
            case _:
                yield from _csv(source, rest)
    except UnicodeDecodeError as error:
        if error.object[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise BadInput(_utf_16(source)) from None
        raise BadInput(f"{source}: is not UTF-8 (byte {error.start} of a block); convert it") from None
    except csv.Error as error:
        raise BadInput(f"{source}: is not CSV: {error}") from None


def _utf_16(source: str) -> str:
    return f"{source}: is UTF-16, not UTF-8; convert it, for example with: iconv -f UTF-16 -t UTF-8"


def _whole(source: str, lines: Iterable[str]) -> Iterator[str]:
    size = 0
    for line in lines:
        size += len(line)
        if size > MAX_DOCUMENT:
            raise BadInput(
                f"{source}: is one JSON document of more than {MAX_DOCUMENT >> 20} Mi characters; split it"
            )
        yield line


def _json_array(source: str, text: str) -> Iterator[Row | BadLine]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise BadInput(f"{source}: begins like a JSON array, but is not JSON") from None
    reading = read_shared(document)
    if reading is not None:
        yield from _shared(source, reading)
        return
    for number, found in enumerate(document, 1):
        if not isinstance(found, dict):
            yield BadLine(source, number, "json.object", "the item of the JSON array is not an object")
        else:
            yield _row(source, number, {str(key).strip().lower(): value for key, value in found.items()})


def _json_objects(source: str, first: str, lines: Iterable[str]) -> Iterator[Row | BadLine]:
    """JSON lines, or one document of MISP or STIX, on one line or over many."""
    gathered: Iterable[str] = lines
    document = _loads(first)
    if document is None:
        gathered = list(_whole(source, lines))
        document = _loads("".join(gathered))
    reading = None if document is None else read_shared(document)
    yield from _json_lines(source, gathered) if reading is None else _shared(source, reading)


def _loads(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _shared(source: str, reading: Reading) -> Iterator[Row]:
    for number, shared in enumerate(reading.values, 1):
        yield Row(source, number, shared.type, shared.value, shared.columns)
    if reading.left_out:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in reading.left_out.most_common(_KINDS_SHOWN))
        others = ", …" if len(reading.left_out) > _KINDS_SHOWN else ""
        warn(
            f"{source}: {reading.left_out.total():,} left out, of types that do not exist here: {kinds}{others}"
        )


def _misp_csv(source: str, header: Sequence[str], reader: Iterable[Sequence[str]]) -> Iterator[Row]:
    reading = Reading()
    for cells in reader:
        named = dict(zip(header, cells, strict=False))
        read_misp_attribute(named, (named.get("attribute_tag", ""),), reading)
    yield from _shared(source, reading)


def _json_lines(source: str, lines: Iterable[str]) -> Iterator[Row | BadLine]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line, object_pairs_hook=_Object)
        except (ValueError, RecursionError):
            yield BadLine(source, number, "json", "the line is not JSON")
            continue
        if not isinstance(found, _Object):
            yield BadLine(source, number, "json.object", "the line is not a JSON object")
            continue
        named = {key.strip().lower(): value for key, value in found.items()}
        if len(named) != found.keys_given:
            yield BadLine(
                source, number, "json.key", "a key is given twice (upper and lower case are the same)"
            )
            continue
        yield _row(source, number, named)


class _Object(dict[str, object]):
    """A JSON object that knows how many keys it was given: a repeated one would pass unseen."""

    def __init__(self, pairs: Sequence[tuple[str, object]]) -> None:
        super().__init__(pairs)
        self.keys_given = len(pairs)


def _csv(source: str, lines: Iterable[str]) -> Iterator[Row | BadLine]:
    reader = csv.reader(lines, strict=True)
    header = [name.strip().lower() for name in next(reader, [])]
    if set(header) >= MISP_COLUMNS:
        yield from _misp_csv(source, header, reader)
        return
    if not {"type", "value"} <= set(header) or len(set(header)) != len(header):
        raise BadInput(f"{source}: {_bad_header(header)}")
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise BadInput(f"{source}:{line}: a quote is opened and never closed") from None
            yield BadLine(source, line, "csv", f"the line is not CSV: {error}")
            continue
        if not cells:
            continue
        if len(cells) != len(header):
            why = f"the line has {len(cells)} fields, the header has {len(header)}"
            yield BadLine(source, reader.line_num, "csv.fields", why)
            continue
        yield _row(source, reader.line_num, dict(zip(header, cells, strict=True)))


def _bad_header(header: Sequence[str]) -> str:
    for separator, name in _OTHER_SEPARATORS.items():
        columns = {cell.strip() for cell in ",".join(header).split(separator)}
        if {"type", "value"} <= columns:
            return f"the columns are separated by {name}, not by commas; save it as CSV with commas"
    return "the first line must be a CSV header with type and value, each column once"


def _no_band(type: str) -> str:
    return f"{type} is never given by itself: give the whole skeleton as {BANDINGS[type].of}; its bands come with it"


def _row(source: str, number: int, named: dict[str, object]) -> Row | BadLine:
    type, value = named.pop("type", None), named.pop("value", None)
    if not isinstance(type, str) or not isinstance(value, str):
        return BadLine(source, number, "value.text", "type and value must both be there, as text")
    name = type.strip()
    if name in BANDINGS:
        return BadLine(source, number, "template.band", _no_band(name))
    if name not in TYPES:
        return BadLine(source, number, "type.unknown", no_such_type(name))
    columns = {key: _text(given) for key, given in named.items() if given is not None and _text(given)}
    account = columns.get(ACCOUNT)
    return Row(source, number, name, value, columns, (account,) if account else ())


def _text(given: object) -> str:
    return given.strip() if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
