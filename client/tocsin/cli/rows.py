"""What a command was given: the rows to work on, the lines that were not used, and how both are reported.

1. Bad lines are grouped by what is wrong with them, each group with a count and its first line: a file of a million bad
   lines must not scroll the first reason away. JSON has every line.
2. From a file of indicators a JA4 is used only beside other values of an account: a thousand of them cover nearly all
   traffic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tocsin.cli.inputs import BadInput, BadLine, Row, read_inputs
from tocsin.cli.output import counted, fail, say, warn
from tocsin.client.errors import DraftRefused, ValueRefused

if TYPE_CHECKING:
    from tocsin.client import Client

_SHOWN = 20
_NAMED = 20
_SHORT = 64
JA4 = "net.ja4"


@dataclass
class Rows:
    """Rows in the order read, bad lines, and the place of each source among the inputs."""

    good: list[Row] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)
    sources: dict[str, int] = field(default_factory=dict)
    read: Counter[str] = field(default_factory=Counter)
    """How many values of each type a file of indicators gave."""

    @property
    def values(self) -> list[tuple[str, str]]:
        """The rows as the client takes them."""
        return [(row.type, row.value) for row in self.good]

    def refuse(self, refusals: Iterable[ValueRefused | DraftRefused]) -> None:
        """Note that the rows at these positions of `good` were refused."""
        for refusal in refusals:
            if refusal.position is not None:
                row = self.good[refusal.position]
                of = f"{refusal.type}: " if isinstance(refusal, ValueRefused) else ""
                self.bad.append(BadLine(row.source, row.line, refusal.rule, of + refusal.fix))

    def warn_bad(self) -> None:
        """Report the bad lines on standard error, grouped (rule 1)."""
        groups: dict[tuple[str, str], list[BadLine]] = {}
        for bad in self._in_order():
            groups.setdefault((bad.rule, bad.why), []).append(bad)
        for (rule, why), lines in list(groups.items())[:_SHOWN]:
            first = lines[0]
            if len(lines) == 1:
                warn(f"1 line skipped: {first}")
            else:
                warn(f"{len(lines):,} lines skipped, the first {first.source}:{first.line}: {why} ({rule})")
        if len(groups) > _SHOWN:
            others = sum(len(lines) for lines in list(groups.values())[_SHOWN:])
            warn(f"{counted(others, 'more line')} skipped for other reasons (--json names each line)")

    def say_read(self) -> None:
        """Print what a file of indicators gave, by type: who names only the file does not know."""
        if self.read:
            by_type = ", ".join(f"{count:,} {type}" for type, count in sorted(self.read.items()))
            say(f"{counted(self.read.total(), 'value')} read from {', '.join(self.sources)}: {by_type}")

    def json(self) -> dict[str, object]:
        """Return for a JSON document the bad lines, and what a file of indicators gave."""
        bad = [
            {"source": line.source, "line": line.line, "rule": line.rule, "why": line.why}
            for line in self._in_order()
        ]
        return {"bad_lines": bad} | ({"read": dict(sorted(self.read.items()))} if self.read else {})

    def _in_order(self) -> list[BadLine]:
        # They were found in several passes: reading, checking columns, checking values.
        return sorted(self.bad, key=lambda bad: (self.sources.get(bad.source, 0), bad.line))


def read_rows(inputs: Sequence[str], indicators: Path | None, accounts: Path | None) -> Rows:
    """Read every input, or the values in a file of indicators. Raises `BadInput`, `BadIndicators`."""
    if indicators is not None:
        if inputs:
            raise BadInput("give inputs or --from, not both")
        return _of_indicators(indicators, None if accounts is None else read_accounts(accounts))
    if accounts is not None:
        raise BadInput("--accounts chooses from a file of indicators: give that file with --from")
    rows = Rows()
    for row in read_inputs(inputs):
        rows.sources.setdefault(row.source, len(rows.sources))
        if isinstance(row, Row):
            rows.good.append(row)
        else:
            rows.bad.append(row)
    return rows


def leave_out_lone_ja4(rows: Rows) -> None:
    """Leave out each JA4 of a file of indicators whose accounts hold nothing else (rule 2).

    Raises `BadInput` where nothing is left.
    """
    if not rows.read:
        return
    others = {account for row in rows.good if row.type != JA4 for account in row.accounts}
    kept = [row for row in rows.good if row.type != JA4 or others.intersection(row.accounts)]
    if left := len(rows.good) - len(kept):
        if not kept:
            raise BadInput("the accounts hold nothing but JA4s, which say next to nothing alone")
        warn(f"{counted(left, 'JA4 is', 'JA4s are')} left out: the accounts hold nothing else")
    rows.good = kept


def read_accounts(path: Path) -> list[str]:
    """Return the account ids in a file, one a line, as `ingest` names them. Raises `BadInput`, OSError."""
    from tocsin.ingest.accounts import claude_code_account
    from tocsin.ingest.exchange import MAX_ACCOUNT_BYTES

    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{path}: is not UTF-8; convert it") from None
    accounts = []
    for number, line in enumerate(text.split("\n"), 1):
        account = line.rstrip("\r")
        if (named := claude_code_account(account)) is not None:
            accounts.append(named.account)  # a session's id, as the logs have it
            continue
        if account.startswith("{") or len(account.encode()) > MAX_ACCOUNT_BYTES:
            # Somebody may name a log by mistake, whose lines hold what users wrote.
            raise BadInput(
                f"{path}: line {number}: is not an account id; write one a line, as the logs write it"
            )
        if account.strip():
            accounts.append(account)
    if not accounts:
        raise BadInput(f"{path}: names no account; write one a line")
    return accounts


def _of_indicators(path: Path, accounts: Sequence[str] | None) -> Rows:
    from tocsin.ingest.indicators_file import accounts_of, read_indicators

    rows = Rows(sources={str(path): 0})
    for indicator in read_indicators(path, accounts):
        columns = {
            "bad_accounts": str(len(indicator.accounts)),
            "exchanges": str(indicator.exchanges),
            "first_seen": str(indicator.first_seen),
            "last_seen": str(indicator.last_seen),
        }
        rows.good.append(
            Row(str(path), indicator.row, indicator.type, indicator.value, columns, indicator.accounts)
        )
        rows.read[indicator.type] += 1
    missing = sorted(set(accounts) - accounts_of(path)) if accounts else []
    if missing:
        said = f"{counted(len(missing), 'named account is', 'named accounts are')} not in {path}"
        if not rows.good:
            # It may be another file, whose lines nobody should see.
            raise BadInput(
                f"{said}, and no other is named: write one account id a line, as the logs write it"
            )
        more = f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
        warn(f"{said}: {', '.join(account[:_SHORT] for account in missing[:_NAMED])}{more}")
    return rows


def stop_if_bad(client: Client, rows: Rows, more: Iterable[DraftRefused] = ()) -> bool:
    """Say whether any line is bad, after reporting all: what `--strict` asks before anything is sent."""
    rows.refuse(more)
    if rows.good:
        # Without any there is nothing to ask the node's charter for.
        rows.refuse(client.check(rows.values))
    if rows.bad:
        rows.warn_bad()
        fail(f"{counted(len(rows.bad), 'bad line')}: nothing was sent (--strict)")
    return bool(rows.bad)
