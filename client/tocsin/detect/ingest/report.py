"""What is said about a run: how much was read, and what could not be."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BadLine:
    """What was not used, and the rule it breaks. `place` is `line 3`, `byte 4096`, `item 2` or `row 7`."""

    file: str
    place: str
    rule: str

    def __str__(self) -> str:
        return f"{self.file}: {self.place}: {self.rule}"


@dataclass(slots=True)
class Counts:
    """What was read. `bad` counts what was reported, `without_content` the records whose content was not captured.

    Where each line is one exchange, as most are, `records`, `without_exchange` and `bad` are `lines` together.
    """

    lines: int = 0
    records: int = 0
    without_exchange: int = 0  # lines of which neither a record came nor anything was reported
    without_content: int = 0
    bad: int = 0
    bytes: int = 0  # unpacked; of Parquet, as the file has them
    used: set[str] = field(default_factory=set, compare=False)
    """The paths of which a record came."""
    broken: set[str] = field(default_factory=set, compare=False)
    """The paths that could not be read to their end."""

    def merge(self, other: Counts) -> None:
        """Add what another piece counted."""
        self.lines += other.lines
        self.records += other.records
        self.without_exchange += other.without_exchange
        self.without_content += other.without_content
        self.bad += other.bad
        self.bytes += other.bytes
        self.used |= other.used
        self.broken |= other.broken


@dataclass(slots=True)
class BadLines:
    """The first bad lines, up to `cap`."""

    cap: int = 100
    kept: list[BadLine] = field(default_factory=list)

    def __call__(self, bad: BadLine) -> None:
        """Keep one, where there is room."""
        if len(self.kept) < self.cap:
            self.kept.append(bad)
