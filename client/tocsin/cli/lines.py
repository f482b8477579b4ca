"""Input lines on their way through the client: which are good, and what became of the bad ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tocsin.cli.output import counted, fail, say, warn
from tocsin.cli.reading import BadInput, BadLine, Record, read_inputs
from tocsin.client.errors import DraftRefused, ValueRefused

if TYPE_CHECKING:
    from tocsin.client import Client

# A file of a million bad lines should not scroll the first reason away.
_SHOWN = 20
_NAMED = 20
_SHORT = 64


@dataclass
class Lines:
    """Good records in the order read, bad lines with their rules, and the place of each source among the inputs."""

    records: list[Record] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)
    sources: dict[str, int] = field(default_factory=dict)
    accounts: dict[int, tuple[str, ...]] = field(default_factory=dict, repr=False)
    """Own accounts that hold the value at a position of `records`, where the input says so."""
    read: Counter[str] = field(default_factory=Counter)
    """How many values of each type a file of indicators gave."""

    def refuse(self, position: int, reason: object) -> None:
        """Note that the record at a position of `records` was refused."""
        record = self.records[position]
        self.bad.append(BadLine(record.source, record.line, str(reason)))

    def refuse_value(self, refusal: ValueRefused | DraftRefused) -> None:
        """Note that the value or the report at a position of `records` was refused."""
        if refusal.position is not None:
            kind = f"{refusal.type}: " if isinstance(refusal, ValueRefused) else ""
            self.refuse(refusal.position, f"{kind}{refusal.fix} ({refusal.rule})")

    def tell(self) -> None:
        """Report the bad lines on standard error."""
        for each in self._in_order()[:_SHOWN]:
            warn(str(each))
        if len(self.bad) > _SHOWN:
            warn(f"and {counted(len(self.bad) - _SHOWN, 'more bad line')}")

    def say_read(self) -> None:
        """Print what a file of indicators gave, by type: who names only the file does not know."""
        if self.read:
            by_type = ", ".join(f"{count:,} {type}" for type, count in sorted(self.read.items()))
            say(f"{counted(self.read.total(), 'value')} read from {', '.join(self.sources)}: {by_type}")

    def json(self) -> dict[str, object]:
        """Return for a JSON document the bad lines, and what a file of indicators gave."""
        bad = [{"source": each.source, "line": each.line, "rule": each.rule} for each in self._in_order()]
        return {"bad_lines": bad} | ({"read": dict(sorted(self.read.items()))} if self.read else {})

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


def read_some(inputs: Sequence[str], indicators: Path | None, accounts: Path | None) -> Lines:
    """Read every input, or the values in a file of indicators. Raises `BadInput`, `BadIndicators`."""
    if indicators is None:
        if accounts is not None:
            raise BadInput("--accounts chooses from a file of indicators: give that with --from")
        return read_all(inputs)
    if inputs:
        raise BadInput("give inputs or --from, not both")
    return _of_indicators(indicators, None if accounts is None else read_accounts(accounts))


def without_lone_ja4(lines: Lines) -> None:
    """Leave out each JA4 whose accounts hold nothing else: a thousand of them cover nearly all traffic.

    Raises `BadInput` where nothing is left.
    """
    if not lines.accounts:
        return
    others = {
        account
        for position, record in enumerate(lines.records)
        if record.type != "net.ja4"
        for account in lines.accounts[position]
    }
    kept = [
        (record, lines.accounts[position])
        for position, record in enumerate(lines.records)
        if record.type != "net.ja4" or others.intersection(lines.accounts[position])
    ]
    if left := len(lines.records) - len(kept):
        if not kept:
            raise BadInput("the accounts hold nothing but JA4s, which say next to nothing alone")
        warn(f"{counted(left, 'JA4 is', 'JA4s are')} left out: the accounts hold nothing else")
    lines.records = [record for record, _ in kept]
    lines.accounts = {position: accounts for position, (_, accounts) in enumerate(kept)}


def read_accounts(path: Path) -> list[str]:
    """Return the account ids in a file, one a line. Raises `BadInput`, OSError."""
    from tocsin.ingest.exchange import MAX_ACCOUNT_BYTES

    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{path}: is not UTF-8; convert it") from None
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        account = line.rstrip("\r")
        if account.startswith("{") or len(account.encode()) > MAX_ACCOUNT_BYTES:
            # A log may stand here by mistake, whose lines hold what users wrote.
            raise BadInput(f"{path}: line {number}: is no account id; write one a line, as the logs write it")
        if account.strip():
            found.append(account)
    if not found:
        raise BadInput(f"{path}: names no account; write one a line")
    return found


def _of_indicators(path: Path, accounts: Sequence[str] | None) -> Lines:
    from tocsin.ingest.indicators_file import accounts_of, read_indicators

    lines = Lines(sources={str(path): 0})
    for found in read_indicators(path, accounts):
        lines.accounts[len(lines.records)] = found.accounts
        extra = {
            "bad_accounts": str(len(found.accounts)),
            "exchanges": str(found.exchanges),
            "first_seen": str(found.first_seen),
            "last_seen": str(found.last_seen),
        }
        lines.records.append(Record(str(path), found.row, found.type, found.value, extra))
        lines.read[found.type] += 1
    missing = sorted(set(accounts) - accounts_of(path)) if accounts else []
    if missing:
        said = f"{counted(len(missing), 'named account is', 'named accounts are')} not in {path}"
        if not lines.records:
            # It may be another file, of what nobody should see.
            raise BadInput(
                f"{said}, and no other is named: write one account id a line, as the logs write it"
            )
        more = ", …" if len(missing) > _NAMED else ""
        warn(f"{said}: {', '.join(each[:_SHORT] for each in missing[:_NAMED])}{more}")
    return lines


def stop_if_bad(client: Client, lines: Lines, more: Iterable[tuple[int, object]] = ()) -> bool:
    """Say whether any line is bad, after reporting all: what `--strict` asks before anything is sent."""
    if lines.records:
        # Without any there is nothing to ask the node's charter for.
        for refusal in client.check((record.type, record.value) for record in lines.records):
            lines.refuse_value(refusal)
    for position, reason in more:
        lines.refuse(position, reason)
    if lines.bad:
        lines.tell()
        fail(f"{counted(len(lines.bad), 'bad line')}: nothing was sent (--strict)")
    return bool(lines.bad)
