"""What commands print, and where.

Rules
1. Results go to standard output: tables for people, or one JSON document with `--json`, never both.
2. Progress, warnings and errors go to standard error; progress only where that is a terminal.
3. A value of a user is printed only if the command was asked to show values. Times are UTC.
4. Nothing is imported for output before there is any.
5. Names, paths and messages come from outside. In what is printed for people, whatever would act instead of show (line
   ends, control characters, marks that turn the direction of writing) is shown escaped, such as `\\u202e`; only what is
   given as several lines is several lines.
6. A table is at most 100 columns wide, and no wider than the terminal. One that is wider is printed as records, a line
   for each cell: folded inside words, a value could be neither read nor copied.
7. A terminal that cannot show a character shows its escape; no command ends because of it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from rich.progress import Task
    from rich.text import Text

Json = Annotated[
    bool, Parameter(name="--json", negative=(), help="Print one JSON document instead of tables.")
]
"""The `--json` flag of every command."""

Advance = Callable[[int], None]
Cell = str | tuple[str, ...]
"""The content of a cell, or of a column's name: a line, or several."""
MAX_WIDTH = 100
_GAP = "  "


def print_json(value: Any) -> None:
    """Print a JSON document: an object, or bytes that already are JSON. Bytes inside an object print as hex."""
    if isinstance(value, bytes):
        text = value.decode()
        if not text.isascii() and not _can_show(text):
            text = json.dumps(json.loads(text))
    else:
        text = json.dumps(value, indent=2, default=_plain)
    sys.stdout.write(text.rstrip("\n") + "\n")


def print_json_line(value: Any) -> None:
    """Print one JSON object on one line at once."""
    sys.stdout.write(json.dumps(value, default=_plain) + "\n")
    sys.stdout.flush()


def print_table(title: str, columns: Sequence[Cell], rows: Iterable[Sequence[Cell]]) -> None:
    """Print a table to standard output, or its rows as records where it would be too wide (rule 6)."""
    print_groups(title, columns, [((), list(rows))])


def print_groups(
    title: str, columns: Sequence[Cell], groups: Sequence[tuple[Sequence[str], Sequence[Sequence[Cell]]]]
) -> None:
    """Print a table whose rows come in groups, each under its own heading: pieces, on as few lines as they fit on."""
    from rich.cells import cell_len

    header = [_shown_lines(column) for column in columns]
    shown = [(heading, [[_shown_lines(cell) for cell in row] for row in rows]) for heading, rows in groups]
    widths = [max((cell_len(line) for line in column), default=0) for column in header]
    for _, rows in shown:
        for row in rows:
            for number, lines in enumerate(row):
                widths[number] = max([widths[number], *map(cell_len, lines)])
    _write_bold(_shown(title))
    room = _room()
    if sum(widths) + len(_GAP) * (len(widths) - 1) > room:
        _print_records(header, shown)
        return
    sys.stdout.write("\n")
    for line in _laid_out(header, widths):
        _write_bold(line)
    sys.stdout.write(("─" if _can_show("─") else "-") * (sum(widths) + len(_GAP) * (len(widths) - 1)) + "\n")
    for number, (heading, rows) in enumerate(shown):
        _write_heading(heading, room, first=number == 0)
        for row in rows:
            sys.stdout.write("".join(f"{line}\n" for line in _laid_out(row, widths)))
    sys.stdout.write("\n")


def say(text: str) -> None:
    """Print a line of result; line ends at the end of it are blank lines after it."""
    line = text.rstrip("\n")
    sys.stdout.write(_shown(line) + text[len(line) :] + "\n")


def warn(text: str) -> None:
    """Print a warning to standard error."""
    sys.stdout.flush()
    sys.stderr.write(f"tocsin: warning: {_shown(text)}\n")


def note(text: str) -> None:
    """Say on standard error what a command is at."""
    sys.stdout.flush()
    sys.stderr.write(f"tocsin: {_shown(text)}\n")


def fail(text: str, *more: str) -> None:
    """Print an error to standard error; `more` are lines below it."""
    sys.stdout.flush()
    sys.stderr.write(f"tocsin: {_shown(text)}\n" + "".join(f"  {_shown(line)}\n" for line in more))


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Advance]:
    """Show on standard error what runs, how fast and how much longer; call the result with how many more are done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """How many a second."""

        def render(self, task: Task) -> Text:
            return Text(rate_of(task.completed, task.elapsed or 0))

    columns: list[ProgressColumn] = [SpinnerColumn(), TextColumn("{task.description}")]
    if total is None:
        columns.append(TimeElapsedColumn())
    else:
        columns += [BarColumn(bar_width=20), MofNCompleteColumn(), Rate(), TimeRemainingColumn()]
        columns.append(TextColumn("left"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(_shown(what)), total=total)
        yield lambda more: bar.advance(task, more)


def rate_of(done: float, seconds: float) -> str:
    """Write how fast something runs: `1,250/s`; nothing before there is a rate."""
    if done <= 0 or seconds <= 0:
        return ""
    rate = done / seconds
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Write a count with its noun: `1 value`, `2 values`, `0 matches`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def wrapped(text: str, width: int) -> tuple[str, ...]:
    """Break a cell's text between words into lines of at most so many characters."""
    return tuple(textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)) or ("",)


def utc(seconds: int) -> str:
    """Write unix seconds as a UTC time; a dash for 0."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if seconds else "-"


def date(seconds: int) -> str:
    """Write the UTC day of unix seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def day(week: int) -> str:
    """Write the first day of a week counted since 1970."""
    return date(week * 7 * 86_400)


def ago(seconds: float) -> str:
    """Write how long ago something was: `40 s`, `12 min`, `3 h`, `2 days`."""
    if seconds < 60:
        return f"{max(0, int(seconds))} s"
    if seconds < 3_600:
        return f"{int(seconds // 60)} min"
    if seconds < 2 * 86_400:
        return f"{int(seconds // 3_600)} h"
    return f"{int(seconds // 86_400)} days"


def _room() -> int:
    if not sys.stdout.isatty():
        return MAX_WIDTH
    return min(MAX_WIDTH, shutil.get_terminal_size((MAX_WIDTH, 24)).columns)


def _laid_out(row: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    """The lines of one row of a table."""
    from rich.cells import cell_len

    lines = []
    for number in range(max([1, *map(len, row)])):
        cells = [cell[number] if number < len(cell) else "" for cell in row]
        padded = [text + " " * (width - cell_len(text)) for text, width in zip(cells, widths, strict=True)]
        lines.append(_GAP.join(padded).rstrip())
    return lines


def _print_records(
    header: Sequence[Sequence[str]], groups: Sequence[tuple[Sequence[str], Sequence[Sequence[Sequence[str]]]]]
) -> None:
    """Print rows whose text is already escaped, one below the other (rule 6); long lines are left to the terminal."""
    from rich.cells import cell_len

    names = [" ".join(lines) for lines in header]
    width = max(map(cell_len, names)) + 2
    sys.stdout.write("\n")
    for number, (heading, rows) in enumerate(groups):
        _write_heading(heading, MAX_WIDTH, first=number == 0)
        for row in rows:
            for name, lines in zip(names, row, strict=True):
                first = f"{' ' * (width - cell_len(name))}{lines[0]}" if lines else ""
                sys.stdout.write(f"{_bold(name)}{first}".rstrip() + "\n")
                sys.stdout.write("".join(f"{' ' * width}{line}\n" for line in lines[1:]))
            sys.stdout.write("\n")


def _write_heading(pieces: Sequence[str], room: int, *, first: bool) -> None:
    from rich.cells import cell_len

    if not pieces:
        return
    lines = [""]
    for piece in map(_shown, pieces):
        if lines[-1] and cell_len(lines[-1]) + len(_GAP) + cell_len(piece) > room:
            lines.append("")
        lines[-1] += (_GAP if lines[-1] else "") + piece
    sys.stdout.write("" if first else "\n")
    for line in lines:
        _write_bold(line)


def _write_bold(line: str) -> None:
    sys.stdout.write(_bold(line) + "\n")


def _bold(text: str) -> str:
    styled = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return f"\x1b[1m{text}\x1b[0m" if styled else text


def _can_show(text: str) -> bool:
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _shown_lines(cell: Cell) -> tuple[str, ...]:
    return tuple(map(_shown, (cell,) if isinstance(cell, str) else cell))


def _shown(text: str) -> str:
    """Escape whatever does not print (rule 5)."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)
