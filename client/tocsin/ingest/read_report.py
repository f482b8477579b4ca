"""What a run reports: how much was read, and what could not be.

1. A problem of a whole file is reported and counted once, however many pieces of the file run into it.
2. Of other bad lines a few are kept for each file and rule, so that one file does not hide the others; the rest are
   counted.
3. What is kept is bounded, whatever the logs hold: 1,000 files, and 1,000 pairs of file and rule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

WHOLE = "the file"
"""The place of a problem that concerns a whole file."""
_MOST_FILES = 1_000
_MOST_PAIRS = 1_000

_Pair = tuple[str, str]  # a file and a rule


@dataclass(frozen=True, slots=True)
class BadLine:
    """What was not used, and the rule it breaks. `place` is `line 3`, `byte 4096`, `item 2`, `row 7` or `the file`."""

    file: str
    place: str
    rule: str
    count: int = 1
    """How many exchanges of the line break it."""
    more: int = 0
    """How many others of the file break the same rule, and are not reported one by one."""

    def __str__(self) -> str:
        exchanges = f" ({self.count:,} of its exchanges)" if self.count > 1 else ""
        more = f" (and {self.more:,} more like it)" if self.more else ""
        return f"{self.file}: {self.place}: {self.rule}{exchanges}{more}"


@dataclass(slots=True)
class Counts:
    """What was read. `bad` counts what was reported, `without_content` the exchanges whose content was not captured.

    Where each line is one exchange, as most are, `exchanges`, `without_exchange` and `bad` are `lines` together.
    """

    lines: int = 0
    exchanges: int = 0
    without_exchange: int = 0  # lines that gave neither an exchange nor a report
    without_content: int = 0
    bad: int = 0
    unfit: int = 0  # of the bad ones, those that are JSON, but not of this format
    bytes: int = 0  # unpacked; of Parquet, the size of the file
    unread: str | None = field(default=None, compare=False)
    """The first field that should hold content and was not understood, by its name."""
    used: set[str] = field(default_factory=set, compare=False)
    """The paths that gave an exchange."""
    broken: set[str] = field(default_factory=set, compare=False)
    """The paths that could not be read to their end. Each was reported once, and counts as one in `bad`."""

    def merge(self, other: Counts) -> None:
        """Add the counts of another piece."""
        self.lines += other.lines
        self.exchanges += other.exchanges
        self.without_exchange += other.without_exchange
        self.without_content += other.without_content
        self.bad += other.bad - len(self.broken & other.broken)
        self.unfit += other.unfit
        self.bytes += other.bytes
        self.unread = self.unread or other.unread
        self.used |= other.used
        self.broken |= other.broken


@dataclass(slots=True)
class BadLines:
    """The first bad lines: `cap` in all, about `each` for one file and rule; problems of whole files come on top."""

    cap: int = 100
    each: int = 100
    kept: list[BadLine] = field(default_factory=list)
    """Problems of whole files come first."""
    counts: Counter[_Pair] = field(default_factory=Counter)
    files: int = 0

    def __call__(self, bad: BadLine) -> None:
        """Keep a bad line if there is room."""
        if bad.place == WHOLE:
            if self.files < _MOST_FILES:
                self.kept.insert(self.files, bad)
                self.files += 1
            return
        pair = bad.file, bad.rule
        met = self.counts[pair]
        if not met and len(self.counts) == _MOST_PAIRS:
            return
        self.counts[pair] = met + bad.count
        if met < self.each and len(self.kept) - self.files < self.cap:
            self.kept.append(bad)


def to_tell(kept: Sequence[BadLines], order: Mapping[str, int], most: int, each: int) -> list[BadLine]:
    """Return what to report of the lines that several processes kept, in the `order` of files.

    Problems of whole files come first, then at most `most` lines. At most `each` of them are of one file and rule, and
    the last of these says how many more there are. Every file and rule gets its first line before any gets a second.
    """
    by_place = sorted((bad for worker in kept for bad in worker.kept), key=lambda bad: _position(bad, order))
    files: dict[str, BadLine] = {}
    ranks: Counter[_Pair] = Counter()
    ranked: list[tuple[int, BadLine]] = []
    for bad in by_place:
        if bad.place == WHOLE:
            files.setdefault(bad.file, bad)
            continue
        pair = bad.file, bad.rule
        if ranks[pair] < each:
            ranked.append((ranks[pair], bad))
        ranks[pair] += 1
    ranked.sort(key=lambda ranking: ranking[0])
    lines = sorted((bad for _, bad in ranked[:most]), key=lambda bad: _position(bad, order))
    left = sum((worker.counts for worker in kept), Counter[_Pair]())
    return [*list(files.values())[:_MOST_FILES], *_with_more(lines, left)]


def _with_more(lines: list[BadLine], left: Counter[_Pair]) -> list[BadLine]:
    for bad in lines:
        left[bad.file, bad.rule] -= bad.count
    last = {(bad.file, bad.rule): bad for bad in lines}
    return [
        replace(bad, more=left[pair]) if last[pair := (bad.file, bad.rule)] is bad else bad for bad in lines
    ]


def _position(bad: BadLine, order: Mapping[str, int]) -> tuple[int, bool, int]:
    unit, _, number = bad.place.rpartition(" ")
    # Only the first piece of a file counts lines.
    return order.get(bad.file, 0), unit == "byte", int(number) if number.isdigit() else 0
