"""`tocsin submit`, `tocsin retract`, `tocsin renew`.

1. Nothing speaks for the user: what was done, how sure you are and when it was first seen come from a column or an
   option, or the line is skipped.
2. Before anything is reported you see what will be said of how many accounts, and are asked, unless you gave `--yes`.
   Where nobody can be asked, `--yes` is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tocsin.cli.asking import ask, check_can_ask
from tocsin.cli.inputs import ACCOUNT, BadInput, Row
from tocsin.cli.options import DEFAULT_CONFIG, Config, Indicators, Inputs, SomeAccounts, Strict
from tocsin.cli.output import Json, counted, note, print_json, progress, say, warn
from tocsin.cli.report_summary import ReportSummary, summarize

if TYPE_CHECKING:
    from tocsin.cli.rows import Rows
    from tocsin.client import Client, Receipt, ReportDraft
    from tocsin.client.errors import DraftRefused
    from tocsin.sealing.label import Report

EXIT_INPUT = 2

REPORT_COLUMNS = (
    "abuse",
    "role",
    "bad_accounts",
    "exchanges",
    "first_seen",
    "last_seen",
    "tlp",
    "confidence",
    "legal_basis",
    "supporting",
)
"""The columns of the input that say something in a report."""
_OF_THE_FILE = ("bad_accounts", "exchanges", "first_seen", "last_seen")
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0")
_NEEDED = {
    "abuse": "what was done (--help lists the words)",
    "confidence": "how sure you are, 0 to 100",
    "first_seen": "the day it was first seen",
}


@dataclass(frozen=True)
@Parameter(name="*")
class Said:
    """What a report says where its line has no column of the name."""

    abuse: str | None = None
    "distillation, account-farming, resale, payment-fraud, jailbreak-service or other; needed."
    confidence: int | None = None
    "How sure you are, 0 to 100; needed."
    first_seen: str | None = None
    "A day (2026-06-05) or unix seconds; needed, but with --from, whose file says it."
    last_seen: str | None = None
    "A day or unix seconds; the day it was first seen if not given."
    role: str = "operator"
    "Whose value it is: operator or victim."
    bad_accounts: int = 1
    "How many of your bad accounts hold the value."
    exchanges: int = 0
    "How many exchanges they had."
    tlp: str = "amber"
    "Who may be shown it: red, amber-strict, amber, green or clear."
    legal_basis: str = "legitimate-interest"
    "legitimate-interest, legal-obligation, contract, public-task or not-personal-data."
    supporting: Annotated[bool, Parameter(negative=())] = False
    "The line supports another report of the same account (payment.composite needs it)."


def submit(
    *inputs: Inputs,
    from_: Indicators = None,
    accounts: Annotated[
        Path | None,
        Parameter(help="File of the account ids that you confirmed, one a line; --from needs it."),
    ] = None,
    said: Said | None = None,
    config: Config = DEFAULT_CONFIG,
    strict: Strict = False,
    dry_run: Annotated[
        bool, Parameter(negative=(), help="Show what would be reported, and report nothing.")
    ] = False,
    yes: Annotated[bool, Parameter(negative=(), help="Report without asking first.")] = False,
    json: Json = False,
) -> int:
    """Report values of your confirmed accounts; done when your node has stored them durably.

    Reads type=value, CSV or JSON lines. The columns abuse, confidence, first_seen, last_seen, role, bad_accounts,
    exchanges, tlp, legal_basis and supporting override the options of the same name; `account` says whose value it is
    and never leaves this machine. Invalid lines are reported and skipped.

    You are shown what will be said of how many accounts, and asked, unless --yes is given.

    What is sealed before the node becomes unreachable waits in the outbox, and the next command sends it; the error
    says whether anything does. A value that is given again is reported again, as another entry: submit what is new,
    and let `renew` carry on the rest.

    With --from, what `tocsin ingest` wrote: the values of the named accounts and of no others. The number of these
    accounts that hold a value, their exchanges and their times go into its report. JA4 is reported beside other values
    only.

    Example: tocsin submit bad-accounts.csv --abuse distillation --confidence 80 --first-seen 2026-06-05

    Exit codes: 0 done; 2 lines were skipped, nothing was confirmed, or bad usage; 3 unavailable; 4 refused or budget
    used up; 5 a check failed.
    """
    from tocsin.cli.options import sending
    from tocsin.cli.rows import leave_out_lone_ja4, read_rows, stop_if_bad

    if from_ is not None and accounts is None:
        raise BadInput("--from needs --accounts: a file of the account ids that you confirmed, one a line")
    check_can_ask("submit", yes=yes or dry_run)
    options = {key: str(value) for key, value in vars(said or Said()).items() if value is not None}
    if from_ is not None:
        _check_options(from_, said or Said(), options)
    rows = read_rows(inputs, from_, accounts)
    leave_out_lone_ja4(rows)
    _name_unknown_columns(rows)
    drafts, wrong = _drafts(rows.good, options)
    with sending(config) as client:
        if strict and stop_if_bad(client, rows, wrong):
            return EXIT_INPUT
        rows.refuse(wrong)
        rows.good = [rows.good[position] for position in drafts]
        labelled = list(drafts.values())
        refused = client.check(rows.values) if labelled else ()
        rows.refuse(refused)
        without_form = {refusal.position for refusal in refused}
        kept = [position for position in range(len(labelled)) if position not in without_form]
        rows.good, labelled = [rows.good[at] for at in kept], [labelled[at] for at in kept]
        summary = summarize(rows.good, [label for _, label in labelled])
        if dry_run:
            _show_dry_run(summary, rows, json=json)
            return EXIT_INPUT if rows.bad else 0
        if labelled and not (yes or _confirmed(summary, client.charter.federation, rows)):
            note("nothing was reported")
            return EXIT_INPUT
        with progress("reporting", len(labelled)) as advance:
            receipt = client.submit([draft for draft, _ in labelled], progress=advance)
        soon = f"; others see them {_soon(client)}" if receipt.accepted else ""
    reported = counted(len(labelled) - len(receipt.refused), "value")
    holders = len({account for row in rows.good for account in row.accounts})
    of = f" for {counted(holders, 'account')}" if holders else ""
    return _print_receipt(receipt, rows, json=json, said=f"{reported} reported{of}{soon}")


def retract(
    *inputs: Inputs,
    from_: Indicators = None,
    accounts: SomeAccounts = None,
    config: Config = DEFAULT_CONFIG,
    strict: Strict = False,
    json: Json = False,
) -> int:
    """Take back every live report and dispute of these values, in every period and epoch.

    Reads type=value, CSV or JSON lines, or with --from what `tocsin ingest` wrote. A value is taken back whole, even if
    accounts that are not named hold it too: submit those again. A value that this vault does not know is evaluated,
    because another client of this member may have reported it.

    Example: tocsin retract contact.email=someone@example.com

    Exit codes: 0 done; 2 lines were skipped, or bad usage; 3 unavailable; 4 refused or budget used up; 5 a check
    failed.
    """
    from tocsin.cli.options import sending
    from tocsin.cli.rows import read_rows, stop_if_bad

    rows = read_rows(inputs, from_, accounts)
    with sending(config) as client:
        if strict and stop_if_bad(client, rows):
            return EXIT_INPUT
        with progress("retracting"):
            receipt = client.retract(rows.values)
        soon = f"; others see it {_soon(client)}" if receipt.accepted else ": none is live"
    entries = counted(receipt.accepted, "entry", "entries")
    return _print_receipt(receipt, rows, json=json, said=f"{entries} retracted{soon}")


def renew(*, config: Config = DEFAULT_CONFIG, json: Json = False) -> int:
    """Seal your live reports again in the current period. Run it daily; it costs nothing when nothing is due.

    Example: tocsin renew

    Exit codes: 0 done; 3 unavailable; 4 refused; 5 a check failed.
    """
    from tocsin.cli.options import sending
    from tocsin.cli.rows import Rows

    with sending(config) as client, progress("renewing"):
        receipt = client.renew()
    entries = counted(receipt.accepted, "entry", "entries")
    said = f"{entries} renewed" if receipt.accepted else f"{entries} renewed: nothing was due"
    return _print_receipt(receipt, Rows(), json=json, said=said)


def _print_receipt(receipt: Receipt, rows: Rows, *, json: bool, said: str) -> int:
    rows.refuse(receipt.refused)
    if json:
        document = receipt.to_dict() | rows.json()
        # Each refused line is among `bad_lines`, by its place in the input.
        del document["refused"]
        print_json(document)
    else:
        skipped = f"{counted(len(rows.bad), 'line')} skipped; " if rows.bad else ""
        say(f"{skipped}{said}")
        rows.say_read()
    rows.warn_bad()
    return EXIT_INPUT if rows.bad else 0


def _check_options(file: Path, said: Said, options: Mapping[str, str]) -> None:
    """Refuse once what would be wrong for every row of a file of indicators. Raises `BadInput`."""
    from tocsin.client import system
    from tocsin.client.drafts import label_of
    from tocsin.client.errors import DraftRefused

    plain = vars(Said())
    if given := [name for name in _OF_THE_FILE if vars(said)[name] != plain[name]]:
        option = given[0].replace("_", "-")
        raise BadInput(f"--{option} does not go with --from, whose file says it of each value: leave it out")
    now = system.now()
    try:
        draft = _draft(Row(str(file), 0, "", "", {"first_seen": str(now)}), 0, options)
        label_of(0, draft, "contact.email", now)
    except DraftRefused as error:
        raise BadInput(f"--from: {error.fix}") from None


def _name_unknown_columns(rows: Rows) -> None:
    known = {*REPORT_COLUMNS, ACCOUNT}
    unknown = dict.fromkeys(name for row in rows.good for name in row.columns if name not in known)
    if unknown:
        columns = counted(len(unknown), "column says", "columns say")
        warn(f"{columns} nothing in a report: {', '.join(unknown)}")


def _drafts(
    rows: Sequence[Row], options: Mapping[str, str]
) -> tuple[dict[int, tuple[ReportDraft, Report]], list[DraftRefused]]:
    """Return the draft and the label of each row that makes one, by position, and why the others do not."""
    from tocsin.client import system
    from tocsin.client.drafts import label_of
    from tocsin.client.errors import DraftRefused

    now = system.now()
    drafts: dict[int, tuple[ReportDraft, Report]] = {}
    refused: list[DraftRefused] = []
    for position, row in enumerate(rows):
        try:
            draft = _draft(row, position, options)
            drafts[position] = draft, label_of(position, draft, row.type, now)
        except DraftRefused as error:
            refused.append(error)
    return drafts, refused


def _show_dry_run(summary: ReportSummary, rows: Rows, *, json: bool) -> None:
    if json:
        print_json(summary.to_dict() | rows.json())
    else:
        say(f"would report {summary.much} (--dry-run: nothing was sent)")
        for line in summary.lines():
            say(line)
    rows.warn_bad()


def _confirmed(summary: ReportSummary, federation: str, rows: Rows) -> bool:
    """Show on standard error what would be reported, and ask."""
    rows.warn_bad()
    note(f"about to report {summary.much} to the members of {federation}")
    for line in summary.lines():
        note(line)
    return ask("Report them?")


def _soon(client: Client) -> str:
    """Say when the others see it: after the next tick, and their next round of following."""
    seconds = 2 * client.charter.tick_seconds
    return f"in about {counted(round(seconds / 60), 'minute')}" if seconds >= 60 else f"in about {seconds} s"


def _draft(row: Row, position: int, options: Mapping[str, str]) -> ReportDraft:
    from tocsin.client import ReportDraft
    from tocsin.client.errors import DraftRefused

    said = dict(options) | {key: text for key, text in row.columns.items() if key in REPORT_COLUMNS}
    for name, what in _NEEDED.items():
        if name not in said:
            fix = f"{name}: say {what}, in a column or with --{name.replace('_', '-')}"
            raise DraftRefused(position, name, f"{name.replace('_', '-')}.missing", fix)
    return ReportDraft(
        (row.type, row.value),
        said["abuse"],
        confidence=_number(position, "confidence", said["confidence"]),
        first_seen=_time(position, "first_seen", said["first_seen"]),
        last_seen=_time(position, "last_seen", said["last_seen"]) if "last_seen" in said else None,
        role=said["role"],
        bad_accounts=_number(position, "bad_accounts", said["bad_accounts"]),
        exchanges=_number(position, "exchanges", said["exchanges"]),
        tlp=_tlp(said["tlp"]),
        legal_basis=said["legal_basis"],
        supporting=_flag(position, "supporting", said["supporting"]),
    )


def _number(position: int, column: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise _bad_column(position, column, "a whole number, 0 or more")
    return int(text)


def _flag(position: int, column: str, text: str) -> bool:
    if text.lower() not in _YES + _NO:
        raise _bad_column(position, column, "yes or no")
    return text.lower() in _YES


def _time(position: int, column: str, text: str) -> int | date:
    if text.isascii() and text.isdigit() and len(text) <= 12:
        return int(text)
    from tocsin.ingest.exchange import BadExchange
    from tocsin.ingest.times import time_of

    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        pass  # no day: an ISO 8601 time, as threat intelligence platforms write it
    try:
        return int(time_of(text, column))
    except BadExchange:
        wanted = "a day such as 2026-06-05, a time in ISO 8601, or unix seconds"
        raise _bad_column(position, column, wanted) from None


def _tlp(text: str) -> str:
    """A mark as it is written elsewhere, `TLP:AMBER+STRICT`, by our word for it."""
    mark = text.strip().lower().removeprefix("tlp:").replace("+", "-")
    return "clear" if mark == "white" else mark


def _bad_column(position: int, column: str, wanted: str) -> DraftRefused:
    from tocsin.client.errors import DraftRefused

    return DraftRefused(position, column, f"{column.replace('_', '-')}.form", f"{column} must be {wanted}")
