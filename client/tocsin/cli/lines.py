"""Input lines on their way through the client: which are good, and what became of the bad ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tocsin.cli.output import counted, fail, warn
from tocsin.cli.reading import BadLine, Record, read_inputs

if TYPE_CHECKING:
    from tocsin.client import Client

# A file of a million bad lines should not scroll the first reason away.
_SHOWN = 20


@dataclass
class Lines:
    """Good records in the order read, bad lines with their rules, and the place of each source among the inputs."""

    records: list[Record] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)
    sources: dict[str, int] = field(default_factory=dict)

    def refuse(self, position: int, reason: object) -> None:
        """Note that the record at a position of `records` was refused."""
        record = self.records[position]
        self.bad.append(BadLine(record.source, record.line, str(reason)))

    def tell(self) -> None:
        """Report the bad lines on standard error."""
        for each in self._in_order()[:_SHOWN]:
            warn(str(each))
        if len(self.bad) > _SHOWN:
            warn(f"and {counted(len(self.bad) - _SHOWN, 'more bad line')}")

    def json(self) -> list[dict[str, object]]:
        """Return the bad lines for a JSON document."""
        return [{"source": each.source, "line": each.line, "rule": each.rule} for each in self._in_order()]

    def _in_order(self) -> list[BadLine]:
        # They were found in several passes: reading, checking columns, checking values.
        return sorted(self.bad, key=lambda each: (self.sources.get(each.source, 0), each.line))


def read_all(inputs: Sequence[str]) -> Lines:
    """Read every input. Raises `BadInput`."""
    lines = Lines()
    for each in read_inputs(inputs):
        lines.sources.setdefault(each.source, len(lines.sources))
        if isinstance(each, Record):
            lines.records.append(each)
        else:
            lines.bad.append(each)
    return lines


def stop_if_bad(client: Client, lines: Lines, more: Iterable[tuple[int, object]] = ()) -> bool:
    """Say whether any line is bad, after reporting all: what `--strict` asks before anything is sent."""
    refused: list[tuple[int, object]] = [
        *client.check((each.type, each.value) for each in lines.records),
        *more,
    ]
    for position, reason in refused:
        lines.refuse(position, reason)
    if lines.bad:
        lines.tell()
        fail(f"{counted(len(lines.bad), 'bad line')}: nothing was sent (--strict)")
    return bool(lines.bad)
