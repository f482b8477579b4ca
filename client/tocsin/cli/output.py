"""What commands print, and where.

Rules
1. Results go to standard output: tables for people, or one JSON document with `--json`, never both.
2. Progress, warnings and errors go to standard error; progress only where that is a terminal.
3. A value of a user is printed only where the command was told to show values. Times are UTC.
4. Nothing is imported for output before there is any.
5. Names, paths and messages come from outside. In what is printed for people, whatever would act instead of show (line
   ends, control characters, marks that turn the direction of writing) is shown escaped, such as `\\u202e`; only what is
   given as several lines is several lines.
6. On a terminal that is narrower than a table, each row is printed as a record, a line for each cell: folded inside
   words, a value could be neither read nor copied.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from rich.console import Console

Json = Annotated[
    bool, Parameter(name="--json", negative=(), help="Print one JSON document instead of tables.")
]
"""The `--json` flag of every command."""

Advance = Callable[[int], None]
Cell = str | tuple[str, ...]
"""What stands in a cell of a table: a line, or several."""
_ANY_WIDTH = 1 << 20


def print_json(value: Any) -> None:
    """Print a JSON document: an object, or bytes that are JSON already. Bytes inside an object print as hex."""
    text = value.decode() if isinstance(value, bytes) else json.dumps(value, indent=2, default=_plain)
    sys.stdout.write(text.rstrip("\n") + "\n")


def print_json_line(value: Any) -> None:
    """Print one JSON object on one line at once."""
    sys.stdout.write(json.dumps(value, default=_plain) + "\n")
    sys.stdout.flush()


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Print a table to standard output: as wide as it has to be where that is no terminal, as records where a terminal
    is too narrow (rule 6).
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    names = [_shown(column) for column in columns]
    shown = [[tuple(map(_shown, (cell,) if isinstance(cell, str) else cell)) for cell in row] for row in rows]
    # Names come from other members: as plain text they cannot style or forge anything.
    for name in names:
        table.add_column(Text(name), overflow="fold")
    for cells in shown:
        table.add_row(*(Text("\n".join(lines)) for lines in cells))
    terminal = sys.stdout.isatty()
    console = Console() if terminal else Console(width=4_096, highlight=False)
    # A table's own title would wrap at the table's width.
    console.print(Text(_shown(title), style="bold"), soft_wrap=True)
    # Rich measures no table as wider than it is given room for.
    room = console.options.update_width(_ANY_WIDTH)
    if terminal and console.measure(table, options=room).maximum > console.width:
        _print_records(console, names, shown)
    else:
        console.print(table)


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
    """Show on standard error that something runs; the given function says how many more are done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    counted = [BarColumn(), MofNCompleteColumn()] if total is not None else []
    columns = [SpinnerColumn(), TextColumn("{task.description}"), *counted, TimeElapsedColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(_shown(what)), total=total)
        yield lambda more: bar.advance(task, more)


def counted(number: int, one: str, many: str | None = None) -> str:
    """Write a count with its noun: `1 value`, `2 values`, `0 matches`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def utc(seconds: int) -> str:
    """Write unix seconds as a UTC time; a dash for 0."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if seconds else "-"


def date(seconds: int) -> str:
    """Write the UTC day of unix seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def day(week: int) -> str:
    """Write the first day of a week counted since 1970."""
    return date(week * 7 * 86_400)


def _print_records(console: Console, names: Sequence[str], rows: Iterable[Sequence[Sequence[str]]]) -> None:
    """Print rows whose text is escaped already, one below the other (rule 6); long lines are left to the terminal."""
    from rich.cells import cell_len
    from rich.text import Text

    width = max(map(cell_len, names)) + 2
    console.print()
    for row in rows:
        for name, lines in zip(names, row, strict=True):
            first = f"{' ' * (width - cell_len(name))}{lines[0]}".rstrip() if lines else ""
            console.print(Text.assemble((name, "bold"), first), soft_wrap=True)
            for line in lines[1:]:
                console.print(Text(f"{' ' * width}{line}"), soft_wrap=True)
        console.print()


def _shown(text: str) -> str:
    """Escape whatever does not print (rule 5)."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text
    )


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)
