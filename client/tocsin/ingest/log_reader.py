"""Files, folders and standard input, read as exchanges.

1. An input is a file, a folder (see `input_files`), or `-`. Plain files are cut into pieces for several processes; a
   line belongs to the piece in which it begins.
2. A file is read up to the size it had when the pieces were made; what is written to it later is for the next run.
   A file that was replaced by another since then is reported, not read.
3. A line that cannot be read is reported by file, place and rule, never by its content, and reading continues.
   The place is a line where lines can be counted, a byte where a piece begins inside the file. A problem of a whole
   file is reported once.
4. Text is UTF-8, with or without a byte order mark. A UTF-16 file is refused as a whole.
5. A file that is one JSON document, an array or an object over many lines, or several of these, is read whole up to
   16 MiB. Reading stops after 10,000 bad items. A file that begins with a header, names separated by commas,
   semicolons or tabs, is CSV: each row is a document.
6. An account id has at most 1,024 bytes: it is held for each account and written to the file of indicators.
7. An exchange of a format that has no times gets the time of the file's last change.
8. Of a packed file that is cut off or damaged, every line that can be unpacked whole is read.
9. JSON that only a lenient parser takes is read (see `json_text`), envelopes of log systems are opened (see
   `formats.envelopes`), and addresses are what `addresses` makes of them.
"""

from __future__ import annotations

import csv
import itertools
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import orjson

from . import decompression, parquet
from .addresses import client_address
from .decompression import Damaged
from .exchange import MAX_ACCOUNT_BYTES, UNDATED, BadExchange, Exchange
from .formats import FORMATS, FieldMap, detect_format
from .formats.envelopes import unwrap
from .input_files import BOM, HEAD, STANDARD_INPUT, UTF16, Source, Unreadable, csv_delimiter, is_document
from .json_text import parse_documents
from .line_splitting import MAX_LINE, TOO_LONG, Line, split
from .read_report import WHOLE, BadLine, BadLines, Counts

__all__ = [
    "STANDARD_INPUT",
    "BadLine",
    "BadLines",
    "Counts",
    "Piece",
    "Unreadable",
    "cut",
    "read",
]

Convert = Callable[[Any], Iterator[Exchange]]

AUTO = "auto"
MIN_PIECE = 1 << 20
MAX_DOCUMENT = 16 << 20
MAX_BAD_ITEMS = 10_000

_QUARTER = MAX_ACCOUNT_BYTES // 4  # no character has more than four bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """The lines of `path` that begin at `start` or later and before `end`; the file had `size` bytes then."""

    path: str
    start: int = 0
    end: int = 0
    size: int = 0
    identity: tuple[int, int] | None = None


def cut(sources: Sequence[Source], wanted: int) -> list[Piece]:
    """Return the pieces of `sources`, at least `wanted` of them if there is enough to read."""
    aim = max(MIN_PIECE, -(-sum(source.size - source.start for source in sources) // max(wanted, 1)))
    made: list[Piece] = []
    for source in sources:
        size = source.size
        step = aim if source.lines else max(size, 1)
        starts = range(source.start, max(size, 1), step)
        made.extend(
            Piece(source.path, start, min(start + step, size), size, source.identity) for start in starts
        )
    return made


def read(
    piece: Piece,
    format: str | Convert,
    on_bad: Callable[[BadLine], None],
    counts: Counts,
    trusted_hops: int | None = None,
) -> Iterator[Exchange]:
    """The exchanges of `piece`, in a format by its name, `auto`, or a field map.

    What cannot be read is passed to `on_bad`; nothing is raised for it. `trusted_hops` says which address of a list
    counts (see `addresses`). Raises KeyError for a format that does not exist.
    """
    convert = None if format == AUTO else FORMATS[format] if isinstance(format, str) else format
    return _Reader(piece, convert, on_bad, counts, trusted_hops).exchanges()


class _Reader:
    """One piece being read."""

    def __init__(
        self,
        piece: Piece,
        convert: Convert | None,
        on_bad: Callable[[BadLine], None],
        counts: Counts,
        trusted_hops: int | None,
    ) -> None:
        self._piece, self._convert, self._on_bad, self._counts = piece, convert, on_bad, counts
        self._trusted_hops = trusted_hops
        # A field map that says where the exchanges are is given the document as it is.
        self._opened = not (isinstance(convert, FieldMap) and convert.records is not None)
        self._name = "standard input" if piece.path == STANDARD_INPUT else piece.path
        self._changed: float | None = None

    def exchanges(self) -> Iterator[Exchange]:
        before = self._counts.exchanges
        try:
            if self._piece.path == STANDARD_INPUT:
                yield from self._of_stream(self._standard_input())
                return
            with open(self._piece.path, "rb") as file:
                yield from self._of_file(file)
        except OSError as error:
            self._broken(f"cannot be read ({error.strerror})")
        except Damaged as error:
            self._broken(str(error))
        if self._counts.exchanges > before:
            self._counts.used.add(self._piece.path)

    def _broken(self, rule: str) -> None:
        if self._piece.path not in self._counts.broken:
            self._counts.broken.add(self._piece.path)
            self._bad(WHOLE, rule)

    def _standard_input(self) -> BinaryIO:
        file = getattr(sys.stdin, "buffer", None)
        if file is None or file.closed:
            raise Damaged("is closed")
        with suppress(OSError):  # a test's replacement has no file number
            self._changed = os.fstat(file.fileno()).st_mtime
        return cast(BinaryIO, file)

    def _of_file(self, file: BinaryIO) -> Iterator[Exchange]:
        piece = self._piece
        status = os.fstat(file.fileno())
        self._changed = status.st_mtime
        if piece.identity not in (None, (status.st_dev, status.st_ino)):
            raise Damaged("was replaced by another while this ran; run again to read it")
        if not stat.S_ISREG(status.st_mode):
            yield from self._of_stream(file)
        elif piece.start:
            # From the byte before, to see whether a line begins at `start` or continues there.
            file.seek(piece.start - 1)
            rest = decompression.bounded(file, piece.size - piece.start + 1)
            yield from self._of_lines(split(decompression.plain(rest), piece.start - 1), "byte", skip=1)
        elif file.read(4) == decompression.PARQUET:
            yield from self._of_rows()
        else:
            file.seek(0)
            yield from self._of_stream(decompression.bounded(file, piece.size))
        if os.fstat(file.fileno()).st_size < piece.size:
            raise Damaged("was cut while this ran; run again to read it")

    def _of_stream(self, file: decompression.Readable) -> Iterator[Exchange]:
        first, chunks = _begun(decompression.decoded(file), HEAD)
        if first.startswith(UTF16):
            self._broken("is UTF-16; convert it with `iconv -f UTF-16 -t UTF-8`")
        elif first.startswith(decompression.PARQUET):
            self._broken("is Parquet; name it as a file, not packed or through a pipe")
        elif delimiter := csv_delimiter(first[:HEAD]):
            yield from self._of_csv(itertools.chain([first.removeprefix(BOM)], chunks), delimiter)
        elif is_document(first[:HEAD]):
            yield from self._of_document(first.removeprefix(BOM), chunks)
        else:
            start = len(BOM) if first.startswith(BOM) else 0
            yield from self._of_lines(split(itertools.chain([first[start:]], chunks), start), "line")

    def _of_document(self, first: bytes, chunks: Iterator[bytes]) -> Iterator[Exchange]:
        whole, chunks = _begun(itertools.chain([first], chunks), MAX_DOCUMENT + 1)
        size = len(whole)
        documents = _documents(whole) if size <= MAX_DOCUMENT else None
        if documents is not None:
            self._counts.bytes += size
            before = self._counts.bad
            items = (
                item
                for document in documents
                for item in (document if isinstance(document, list) else [document])
            )
            for number, item in enumerate(items, 1):
                if self._counts.bad - before >= MAX_BAD_ITEMS:
                    raise Damaged(
                        f"was not read from item {number} on: {MAX_BAD_ITEMS:,} or more of its items are bad; "
                        "name another --format, or convert it to JSON lines"
                    )
                self._counts.lines += 1
                yield from self._of_item(item, "item", number)
            next(chunks, b"")  # raises if the stream is cut off after it
        elif any(_is_object(line) for line in whole[:MAX_LINE].split(b"\n", 8)[:8]):
            # Lines of which the first begins like a document.
            yield from self._of_lines(split(itertools.chain([whole], chunks)), "line")
        elif size > MAX_DOCUMENT:
            self._broken(
                f"is one JSON document of more than {MAX_DOCUMENT >> 20} MiB; convert it to JSON lines"
            )
        else:
            next(chunks, b"")  # raises if the stream is cut off
            self._broken("is not JSON, or cut off")

    def _of_csv(self, chunks: Iterator[bytes], delimiter: str) -> Iterator[Exchange]:
        csv.field_size_limit(MAX_LINE)
        try:
            reader = csv.DictReader(_text_lines(chunks, self._counts), delimiter=delimiter)
            for number, row in enumerate(reader, 1):
                self._counts.lines += 1
                yield from self._of_item(
                    {
                        name.removesuffix(" [UTC]"): value  # as Azure's portal names columns of times
                        for name, value in row.items()
                        if name is not None and value != ""
                    },
                    "row",
                    number,
                )
        except csv.Error as error:
            self._broken(f"is not CSV: {error}")
        except UnicodeDecodeError:
            self._broken("is not UTF-8; convert it to UTF-8")

    def _of_rows(self) -> Iterator[Exchange]:
        self._counts.bytes += self._piece.size
        for number, row in parquet.documents(self._piece.path):
            self._counts.lines += 1
            if isinstance(row, str):
                self._bad(f"row {number}", row)
            else:
                yield from self._of_item(row, "row", number)

    def _of_lines(self, lines: Iterator[Line], unit: str, skip: int = 0) -> Iterator[Exchange]:
        piece, counts = self._piece, self._counts
        # Only pieces of a plain file can end before the file does.
        end = piece.end if piece.end < piece.size else sys.maxsize
        for number, (at, line, ended) in enumerate(lines, 1 - skip):
            if number == 0:
                continue
            if at >= end:
                return
            counts.bytes += len(line) + ended
            if not line or line.isspace():
                continue
            counts.lines += 1
            place = number if unit == "line" else at
            try:
                documents = [orjson.loads(line)]
            except ValueError:
                parsed = _documents(line)
                if parsed is None:
                    self._bad(f"{unit} {place}", _why_not(line, ended))
                    continue
                documents = parsed
            for document in documents:
                yield from self._of_item(document, unit, place)

    def _of_item(self, document: Any, unit: str, number: int) -> Iterator[Exchange]:
        counts = self._counts
        before = counts.exchanges + counts.bad
        try:
            for exchange in self._converted(document):
                account = exchange.account
                if len(account) > _QUARTER and _size(account) > MAX_ACCOUNT_BYTES:
                    self._bad(f"{unit} {number}", f"the account id has more than {MAX_ACCOUNT_BYTES:,} bytes")
                    continue
                if not account.isprintable():
                    self._bad(
                        f"{unit} {number}",
                        "the account id holds line ends or other characters that do not print",
                    )
                    continue
                if exchange.time == UNDATED:
                    exchange.time = self._undated()
                if exchange.address is not None:
                    exchange.address = client_address(exchange.address, self._trusted_hops)
                counts.exchanges += 1
                if exchange.first_user_turn is None and (exchange.unread or exchange.system is None):
                    counts.without_content += 1
                    counts.unread = counts.unread or exchange.unread
                yield exchange
        except BadExchange as error:
            counts.unfit += error.count
            self._bad(f"{unit} {number}", error.rule, error.count)
        if counts.exchanges + counts.bad == before:
            counts.without_exchange += 1

    def _converted(self, document: Any) -> Iterator[Exchange]:
        for opened in unwrap(document) if self._opened else (document,):
            if self._convert is None:
                self._convert = FORMATS[detect_format(opened)]
            yield from self._convert(opened)

    def _undated(self) -> float:
        if self._changed is None:
            raise BadExchange("the format has no times, and neither has standard input")
        return self._changed

    def _bad(self, place: str, rule: str, count: int = 1) -> None:
        self._counts.bad += count
        self._on_bad(BadLine(self._name, place, rule, count))


def _begun(chunks: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """Return the first `size` bytes of `chunks`, or a chunk more, and the rest, which raises any error met so far."""
    gathered: list[bytes] = []
    try:
        # A pipe may return only a few bytes at first.
        while size > 0 and (chunk := next(chunks, b"")):
            gathered.append(chunk)
            size -= len(chunk)
    except (Damaged, OSError) as error:
        chunks = _raising(error)
    return b"".join(gathered), chunks


def _raising(error: Exception) -> Iterator[bytes]:
    raise error
    yield


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _is_object(line: bytes) -> bool:
    # With a comma behind it, it is an item of an array.
    return not line.rstrip().endswith(b",") and type((_documents(line) or [None])[0]) is dict


def _documents(text: bytes) -> list[Any] | None:
    if text is TOO_LONG:
        return None
    try:
        # Concatenated files keep their byte order marks.
        return parse_documents(text.removeprefix(BOM))
    except ValueError:
        return None


def _text_lines(chunks: Iterator[bytes], counts: Counts) -> Iterator[str]:
    # With line ends, since a quoted field may hold some.
    for _, line, ended in split(chunks):
        counts.bytes += len(line) + ended
        yield line.decode() + "\n" * ended


def _why_not(line: bytes, ended: bool) -> str:
    if line is TOO_LONG:
        return f"the line has more than {MAX_LINE >> 20} MiB"
    try:
        line.decode()
    except UnicodeDecodeError:
        # Perhaps cut off within a character: either way it is cut off.
        return "the line is not UTF-8" if ended else "the last line is cut off, or not UTF-8"
    return "the line is not JSON" if ended else "the last line is cut off, or not JSON"
