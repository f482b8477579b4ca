"""`tocsin query`: screen own values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tocsin.cli.options import DEFAULT_CONFIG, Config, Indicators, Inputs, SomeAccounts, Strict
from tocsin.cli.output import Json, counted, day, print_json, print_table, progress, say, utc, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tocsin.client.results import Match

EXIT_NOTHING, EXIT_INPUT, EXIT_SECURITY = 1, 2, 5


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
    """Screen own values: which did other members report?

    Reads type=value, CSV or JSON lines, or with --from what `tocsin ingest` made; then the matched accounts are
    told, and JA4 is screened beside other values only. A bad line is reported and the others go on. Asking again is
    free.

    Where the budget ends or too few evaluators answer, what could be screened is printed before the error.

    Exit codes: 0 something matched, 1 nothing did, 2 some lines were bad, 3 unavailable, 4 budget used up, 5 an entry
    or answer did not verify.
    """
    from tocsin.cli.lines import read_some, stop_if_bad, without_lone_ja4
    from tocsin.cli.options import connect
    from tocsin.client.errors import TocsinError

    lines = read_some(inputs, from_, accounts)
    without_lone_ja4(lines)
    failure = None
    with connect(config) as client:
        if strict and stop_if_bad(client, lines):
            return EXIT_INPUT
        with progress("screening", len(lines.records)) as advance:
            try:
                pairs = ((record.type, record.value) for record in lines.records)
                result = client.query(pairs, skip_refused=True, progress=advance)
            except TocsinError as error:
                if error.partial is None or not error.partial.queried:
                    raise
                failure, result = error, error.partial
    for refusal in result.refused:
        lines.refuse_value(refusal)

    def where(match: Match) -> list[str]:
        return [lines.records[position].place for position in match.positions]

    def values(match: Match) -> list[str]:
        return [lines.records[position].value for position in match.positions] if show_values else []

    def held(match: Match) -> list[str]:
        return sorted({each for position in match.positions for each in lines.accounts.get(position, ())})

    if json:
        print_json(
            {
                "matches": [
                    match.to_dict()
                    | {"lines": where(match)}
                    | ({"accounts": held(match)} if lines.accounts else {})
                    | ({"values": values(match)} if show_values else {})
                    for match in result.matches
                ],
                "complete": failure is None,
                "queried": result.queried,
                "evaluated": result.evaluated,
                "from_vault": result.from_vault,
                "problems": [
                    {"writer": each.writer.hex(), "index": each.index, "what": each.what}
                    for each in result.problems
                ],
            }
            | lines.json()
        )
    else:
        shown = closest(result.matches, lambda match: tuple(held(match)) or match.positions)
        if shown:
            columns: tuple[str, ...] = ("line", "type", *MATCH_COLUMNS)
            columns += (("own accounts",) if lines.accounts else ()) + (("value",) if show_values else ())
            print_table(
                f"{counted(len(shown), 'match', 'matches')}: leads for a human review",
                columns,
                [
                    (
                        ", ".join(where(match)),
                        match.type,
                        *match_row(match),
                        *[", ".join(held(match))] * bool(lines.accounts),
                        *[", ".join(values(match))] * show_values,
                    )
                    for match in shown
                ],
            )
        if same := len(result.matches) - len(shown):
            say(
                f"{counted(same, 'more match', 'more matches')} of a template shown above, less close (see --json)"
            )
        lines.say_read()
        say(
            f"{counted(result.queried, 'value')} screened, {counted(len(shown), 'match', 'matches')}, "
            f"{counted(result.evaluated, 'evaluation')} paid, "
            f"{result.from_vault} from the vault"
        )
    lines.tell()
    for problem in result.problems:
        warn(f"entry {problem.index} of {problem.writer_name}'s log was dropped: {problem.what}")
    if failure is not None:
        raise failure
    if result.problems:
        return EXIT_SECURITY
    if lines.bad:
        return EXIT_INPUT
    return 0 if result.matches else EXIT_NOTHING


def closest(matches: Sequence[Match], of: Callable[[Match], tuple[object, ...]]) -> list[Match]:
    """Leave one match of those in which a writer says the same of a template: an equal one, else most bands.

    A template is reported at several levels, each by itself and by bands; `of` says what a match is about.
    """
    from tocsin.indicators.ptf2.template import TEMPLATE

    best: dict[tuple[object, ...], Match] = {}
    for number, match in enumerate(matches):
        about = (of(match), match.writer, match.label) if match.type == TEMPLATE else (number,)
        known = best.get(about)
        if known is None or (known.bands and (not match.bands or match.bands > known.bands)):
            best[about] = match
    return list(best.values())


MATCH_COLUMNS = ("reported by", "what", "role", "bad accounts", "seen", "confidence", "TLP", "entry", "as of")


def match_row(match: Match) -> tuple[str, ...]:
    """Return the cells of a match under `MATCH_COLUMNS`; one by bands says that it is similar, not equal."""
    from tocsin.sealing.label import Report, bucket_range

    label = match.label
    entry = f"{match.writer.hex()[:8]}:{match.index}"
    if not isinstance(label, Report):
        reason = f"disputed: {_word(label.reason.name)}"
        return match.writer_name, reason, "", "", "", "", "", entry, utc(match.checkpoint_time)
    low, high = bucket_range(label.bad_accounts_bucket)
    return (
        match.writer_name,
        _word(label.abuse.name) + (f" (similar: {match.bands} bands)" if match.bands else ""),
        _word(label.role.name),
        str(low) if low == high else f"{low}-{high}",
        f"week of {day(label.first_week)}"
        if label.first_week == label.last_week
        else f"weeks of {day(label.first_week)} to {day(label.last_week)}",
        f"{label.confidence} %",
        _word(label.tlp.name),
        entry,
        utc(match.checkpoint_time),
    )


def _word(name: str) -> str:
    return name.lower().replace("_", "-")
