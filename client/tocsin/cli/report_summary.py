"""What `tocsin submit` is about to say, before it says it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tocsin.cli.output import counted, wrapped

if TYPE_CHECKING:
    from tocsin.cli.inputs import Row
    from tocsin.sealing.label import Report


@dataclass(frozen=True)
class Words:
    """What is said of a value, as words."""

    abuse: str
    role: str
    confidence: int
    tlp: str


@dataclass(frozen=True)
class ReportSummary:
    """What would be reported: how many values of how many accounts, and for all that is said the values by type."""

    values: int
    accounts: int
    said: Mapping[Words, Counter[str]]

    @property
    def much(self) -> str:
        """How many values, of how many accounts."""
        of = f" of {counted(self.accounts, 'account')}" if self.accounts else ""
        return f"{counted(self.values, 'value')}{of}"

    def lines(self) -> list[str]:
        """What would be said, at most 100 columns wide."""
        lines = []
        for words, types in self.said.items():
            lines.append(
                f"  {words.abuse}, value belongs to the {words.role}, {words.confidence} % sure, TLP {words.tlp}:"
            )
            listed = ", ".join(f"{count:,} {type}" for type, count in sorted(types.items()))
            lines += [f"    {line}" for line in wrapped(listed, 90)]
        return lines

    def to_dict(self) -> dict[str, object]:
        """The same as JSON."""
        labels = [
            asdict(words) | {"values": dict(sorted(types.items()))} for words, types in self.said.items()
        ]
        return {"would_report": self.values, "accounts": self.accounts, "labels": labels}


def summarize(rows: Sequence[Row], labels: Sequence[Report]) -> ReportSummary:
    """Count what the reports of these rows would say."""
    from tocsin.client.results import word

    said: dict[Words, Counter[str]] = {}
    for row, label in zip(rows, labels, strict=True):
        words = Words(word(label.abuse), word(label.role), label.confidence, word(label.tlp))
        said.setdefault(words, Counter())[row.type] += 1
    return ReportSummary(len(labels), len({account for row in rows for account in row.accounts}), said)
