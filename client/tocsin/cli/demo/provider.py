"""One provider's client process: reads its own accounts and gateway log, then reports or queries.

`python -m tocsin.cli.demo.provider STEP CLIENT DATA` prints one JSON object. Raw values are read from DATA and stay in
this process; what it prints names accounts and types, for the provider's own eyes.

1. `ingest` makes indicators of the gateway's log, as `tocsin ingest` does; the other steps read them.
2. Reported are the values of accounts that the provider itself confirmed, queried are those of all other accounts.
3. What the analysts of a provider do with a campaign is in `campaign`.
4. Of one value, the report counts the confirmed accounts behind it and their exchanges, nothing about others.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time

from tocsin.cli.demo.campaign import INDICATORS, join_room, open_room, page
from tocsin.cli.demo.population import GATEWAY, values_of
from tocsin.client import Client, ReportDraft
from tocsin.client.system import monotonic, now
from tocsin.indicators.ptf2.common_list import shipped
from tocsin.indicators.registry import CURRENT, Mode, Observable, Refused, observable
from tocsin.ingest.holdings import by_account
from tocsin.ingest.indicators_file import read_indicators
from tocsin.ingest.ingesting import Options
from tocsin.ingest.ingesting import ingest as run
from tocsin.sealing.label import AbuseKind

# Nobody is reported over these alone: half the internet shares them.
_NEVER_REPORTED = frozenset({"net.ja4"})


@dataclass
class _Holding:
    """One value and the accounts of this provider that hold it."""

    confirmed: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)


def ingest(client: Client, data: Path) -> dict[str, object]:
    """Turn the gateway's log into indicators."""
    options = Options(shipped(CURRENT.common_prompts), workers=1, mode=Mode.TEST)
    summary = run([str(data / GATEWAY)], data / INDICATORS, options)
    return {"records": summary.counts.exchanges, "skeletons": summary.tally.kept}


def holdings(data: Path) -> tuple[dict[Observable, _Holding], int]:
    """Every value with its accounts and their exchanges, and how many values had no canonical form."""
    with (data / "accounts.jsonl").open(encoding="utf-8") as lines:
        records = {record["account"]: record for record in map(json.loads, lines)}
    confirmed = {account for account, record in records.items() if record["status"] == "confirmed-abuse"}
    found: dict[Observable, _Holding] = defaultdict(_Holding)
    refused = 0

    def hold(type: str, value: str, accounts: Iterable[str]) -> None:
        nonlocal refused
        try:
            holding = found[observable(type, value, mode=Mode.TEST)]
        except Refused:
            refused += 1
            return
        for account in accounts:
            (holding.confirmed if account in confirmed else holding.others).add(account)

    for account, record in records.items():
        for type, value in values_of(record):
            hold(type, value, (account,))
    for indicator in read_indicators(data / INDICATORS):
        hold(indicator.type, indicator.value, indicator.accounts)
    return found, refused


def report(client: Client, data: Path) -> dict[str, object]:
    """Report what confirmed accounts hold."""
    found, refused = holdings(data)
    exchanges = _exchanges(data)
    # A report of the value that names a room says more; it stays.
    said = client.reported()
    drafts = [
        ReportDraft(
            value,
            AbuseKind.DISTILLATION,
            confidence=80,
            first_seen=now(),
            bad_accounts=len(holding.confirmed),
            exchanges=sum(exchanges[account] for account in holding.confirmed),
        )
        for value, holding in found.items()
        if holding.confirmed and value.type not in _NEVER_REPORTED and client.key_of(value) not in said
    ]
    receipt = client.submit(drafts)
    return {"reported": receipt.accepted, "evaluated": receipt.evaluated, "no_canonical_form": refused}


def _exchanges(data: Path) -> Counter[str]:
    with (data / GATEWAY).open(encoding="utf-8") as lines:
        return Counter(json.loads(line)["end_user"] for line in lines)


def query(client: Client, data: Path) -> dict[str, object]:
    """Query what all other accounts hold, and say for each match whose it is."""
    found, refused = holdings(data)
    asked = [value for value, holding in found.items() if holding.others]
    result = client.query(asked)
    accounts: dict[tuple[bytes, int, bytes], set[str]] = defaultdict(set)
    for group in by_account([sorted(found[value].others) for value in asked], result.matches):
        for match in group.matches:
            accounts[match.writer, match.index, match.key].add(group.account or "")
    matches = [
        match.to_dict() | {"accounts": sorted(accounts[match.writer, match.index, match.key])}
        for match in result.matches
        if (match.writer, match.index, match.key) in accounts
    ]
    return {
        "queried": result.queried,
        "evaluated": result.evaluated,
        "from_vault": result.from_vault,
        "problems": len(result.problems),
        "no_canonical_form": refused,
        "matches": matches,
    }


def main(arguments: list[str]) -> None:
    """Run one step and print its outcome as JSON."""
    step, client_folder, data = arguments
    started, cpu = monotonic(), process_time()
    if analysts := {"open": open_room, "join": join_room, "page": page}.get(step):
        outcome = analysts(Path(client_folder), Path(data))
    else:
        with Client.connect(client_folder) as client:
            outcome = {"ingest": ingest, "report": report, "query": query}[step](client, Path(data))
    outcome |= {"seconds": round(monotonic() - started, 2), "cpu_seconds": round(process_time() - cpu, 2)}
    sys.stdout.write(json.dumps(outcome) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
