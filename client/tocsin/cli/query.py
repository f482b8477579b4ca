"""`tocsin query`: which of your values did others report?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tocsin.cli.matches import MATCH_COLUMNS, match_row
from tocsin.cli.options import DEFAULT_CONFIG, Config, Indicators, Inputs, SomeAccounts, Strict
from tocsin.cli.output import Json, ago, counted, print_groups, print_json, progress, say, warn

if TYPE_CHECKING:
    from tocsin.cli.inputs import Row
    from tocsin.cli.rows import Rows
    from tocsin.client.results import Match, QueryResult
    from tocsin.ingest.holdings import HeldMatches

EXIT_NOTHING, EXIT_INPUT, EXIT_SECURITY = 1, 2, 5
_FRESH_SECONDS = 900
"""A log that was not heard for longer than this is named beside the result."""


def query(
    *inputs: Inputs,
    from_: Indicators = None,
    accounts: SomeAccounts = None,
    config: Config = DEFAULT_CONFIG,
    strict: Strict = False,
    show_values: Annotated[
        bool, Parameter(negative=(), help="Print matched values too, for your own eyes only.")
    ] = False,
    json: Json = False,
) -> int:
    """Screen your values: which of them did other members report?

    Reads type=value, CSV or JSON lines, or with --from what `tocsin ingest` wrote. A column `account` and all other
    columns of your own are printed beside each match. Invalid lines are reported and skipped. Asking again is free.

    If the budget runs out or too few evaluators answer, what could be screened is printed before the error.

    Example: tocsin query accounts.csv

    Exit codes: 0 something matched, whether or not lines were skipped; 1 nothing matched and every line was screened;
    2 nothing matched and lines were skipped, or bad usage; 3 unavailable; 4 budget used up; 5 an entry or answer did
    not verify.
    """
    from tocsin.cli.options import connect
    from tocsin.cli.rows import leave_out_lone_ja4, read_rows, stop_if_bad
    from tocsin.client.errors import TocsinError
    from tocsin.ingest.holdings import by_account

    rows = read_rows(inputs, from_, accounts)
    leave_out_lone_ja4(rows)
    failure = None
    with connect(config) as client:
        if strict and stop_if_bad(client, rows):
            return EXIT_INPUT
        with progress("screening", len(rows.good)) as advance:
            try:
                result = client.query(rows.values, skip_refused=True, progress=advance)
            except TocsinError as error:
                if error.partial is None or not error.partial.queried:
                    raise
                failure, result = error, error.partial
    rows.refuse(result.refused)
    if json:
        print_json(_document(result, rows, show_values=show_values))
    else:
        say(_headline(result, len(rows.bad)))
        rows.say_read()
        groups = by_account([row.accounts for row in rows.good], result.matches)
        if groups:
            _print_groups(groups, rows.good, show_values=show_values)
        shown = {(match.writer, match.index, match.key) for group in groups for match in group.matches}
        if more := len({(match.writer, match.index, match.key) for match in result.matches} - shown):
            say(
                f"{counted(more, 'more match', 'more matches')} of a template shown above, less close (see --json)"
            )
        _say_retractions(result, rows.good)
    rows.warn_bad()
    for problem in result.problems:
        warn(f"skipped entry {problem.index} of {problem.writer_name}'s log: {problem.what}")
    if failure is not None:
        raise failure
    if result.problems:
        return EXIT_SECURITY
    if result.matches:
        return 0
    return EXIT_INPUT if rows.bad else EXIT_NOTHING


def _headline(result: QueryResult, bad: int) -> str:
    """Say in one line what was refused, screened and found, how fresh it is and what it cost."""
    skipped = f"{counted(bad, 'line')} not screened; " if bad else ""
    behind = " and ".join(_behind(result))
    if not result.queried:
        cost = "no budget used"
    elif not result.evaluated:
        known = f"all {result.queried:,}" if result.queried > 1 else "it was"
        cost = f"{known} checked before; no budget used"
    else:
        before = f", {counted(result.from_vault, 'answer')} known before" if result.from_vault else ""
        cost = f"{counted(result.evaluated, 'evaluation')} used{before}"
    return (
        f"{skipped}{counted(result.queried, 'value')} screened, {counted(len(result.matches), 'match', 'matches')}"
        f"{f', but {behind}' if behind else ''}; {cost}"
    )


def _behind(result: QueryResult) -> list[str]:
    """Say whose reports may be missing: the members that your node has not heard lately, or does not follow."""
    from tocsin.client import system

    now = system.now()
    said = []
    for heard in result.last_heard:
        if heard.quarantined:
            said.append(f"{heard.name}'s log is quarantined")
        elif not heard.time:
            said.append(f"{heard.name} was never heard")
        elif now - heard.time > _FRESH_SECONDS:
            said.append(f"{heard.name} was last heard {ago(now - heard.time)} ago")
    return said


def _say_retractions(result: QueryResult, rows: list[Row]) -> None:
    for retraction in result.retractions:
        places = ", ".join(rows[position].place for position in retraction.positions)
        say(
            f"retracted since it last matched: {retraction.writer_name}'s report of {retraction.type} "
            f"({places}), entry {retraction.writer.hex()[:8]}:{retraction.index}"
        )


def _print_groups(groups: list[HeldMatches], rows: list[Row], *, show_values: bool) -> None:
    accounts = {group.account for group in groups if group.account is not None}
    unnamed = sum(group.account is None for group in groups)
    leads = [counted(len(accounts), "account")] * bool(accounts)
    leads += [counted(unnamed, "value") + " without an account" * bool(accounts)] * bool(unnamed)
    print_groups(
        f"{' and '.join(leads)} to review: a match is a lead, not a verdict",
        MATCH_COLUMNS,
        [
            (_heading(group, rows, show_values=show_values), [match_row(match) for match in group.matches])
            for group in groups
        ],
    )


def _heading(group: HeldMatches, rows: list[Row], *, show_values: bool) -> list[str]:
    """What is yours: account, type, where it was read, your own columns, and the value if it was asked for."""
    held = [rows[position] for position in group.positions]
    pieces = [group.account] if group.account is not None else []
    pieces += [group.type, *dict.fromkeys(row.place for row in held)]
    pieces += dict.fromkeys(f"{name}: {text}" for row in held for name, text in own_columns(row).items())
    return pieces + [row.value for row in held] * show_values


def own_columns(row: Row) -> dict[str, str]:
    """The columns of a row that are the user's own."""
    from tocsin.cli.inputs import ACCOUNT
    from tocsin.cli.submit import REPORT_COLUMNS

    return {name: text for name, text in row.columns.items() if name not in (ACCOUNT, *REPORT_COLUMNS)}


def _document(result: QueryResult, rows: Rows, *, show_values: bool) -> dict[str, object]:
    def yours(match: Match) -> dict[str, object]:
        held = [rows.good[position] for position in match.positions]
        return {
            "lines": [row.place for row in held],
            "accounts": sorted({account for row in held for account in row.accounts}),
            "columns": [own_columns(row) for row in held],
        } | ({"values": [row.value for row in held]} if show_values else {})

    document = result.to_dict() | {
        "matches": [match.to_dict() | yours(match) for match in result.matches],
    }
    # Each refused line is among `bad_lines`, by its place in the input.
    del document["refused"]
    return document | rows.json()
