"""`tocsin review`: decide flags, one after the other at the keyboard or one in a call of a script.

At the keyboard one key chooses the outcome and one the reason; nothing is written before both are chosen. Ctrl-C leaves
the flag with its reviewer, who gets it again.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from tocsin.cli.asking import ask, check_can_ask
from tocsin.cli.casebook import (
    DEFAULT_CASEBOOK,
    By,
    CasebookFolder,
    HoldingsSource,
    ShowValues,
    day_of,
    drawing,
    now,
    open_book,
    print_dossier,
    reviewer,
)
from tocsin.cli.detect import RulesFile, rules_of
from tocsin.cli.options import DEFAULT_CONFIG, Config
from tocsin.cli.output import Json, counted, note, print_json, print_json_line, print_table, say, warn
from tocsin.cli.usage import BadUsage

if TYPE_CHECKING:
    from tocsin.detect.casebook.book import Casebook
    from tocsin.detect.casebook.deciding import CampaignState
    from tocsin.detect.casebook.flags import Flag
    from tocsin.detect.review import Dossier
    from tocsin.detect.rules import Rules
    from tocsin.detect.sharing import SharingPlan

EXIT_NOTHING, EXIT_INPUT = 1, 2
Outcome = Annotated[str, Parameter(help="confirmed, rejected, unsure or later.")]
ReasonName = Annotated[str, Parameter(help="A reason of casebook.toml; `tocsin review reasons` lists them.")]

app = App(name="review", help="Decide flags at the keyboard, or from a script.")


@app.default
def review(
    *,
    next_: Annotated[
        bool,
        Parameter(name="--next", negative=(), help="Print the next flag and keep it for you; for scripts."),
    ] = False,
    campaign: Annotated[str, Parameter(help="Only the sample of this campaign.")] = "",
    show_values: ShowValues = False,
    holdings: HoldingsSource = "",
    rules: RulesFile = None,
    by: By = "",
    casebook: CasebookFolder = DEFAULT_CASEBOOK,
    json: Json = False,
) -> int:
    """Take flags from the queue and decide them: c confirmed, r rejected, u unsure, l later, then the reason's number.

    A flag is yours until you decide it, press s to return it, or its time is over (`claim_minutes`); nobody else gets
    it meanwhile.

    Example: tocsin review --campaign C1

    Exit codes: 0 done; 1 nothing waits; 2 bad usage; 130 interrupted (the flag is still yours).
    """
    thresholds = rules_of(rules)
    who = reviewer(by)
    with open_book(casebook) as book:
        source = holdings or book.settings.holdings
        if show_values and not source:
            raise BadUsage("values are read from your holdings: give --holdings, or set it in casebook.toml")
        if next_:
            shown = _next(book, who, thresholds, campaign, source if show_values else "")
            if shown is None:
                _say_empty(json)
                return EXIT_NOTHING
            if json:
                print_json(shown.to_dict())
            else:
                print_dossier(shown)
            return 0
        if json:
            raise BadUsage("--json goes with --next: at the keyboard there is nothing to print as JSON")
        return _at_keyboard(book, who, thresholds, campaign, source, show_values=show_values)


@app.command
def decide(
    flag: int,
    *,
    outcome: Outcome,
    reason: ReasonName,
    note: Annotated[str, Parameter(help="For your own eyes only.")] = "",
    until: Annotated[str, Parameter(help="Day on which a flag put off comes back, such as 2026-06-05.")] = "",
    by: By = "",
    casebook: CasebookFolder = DEFAULT_CASEBOOK,
    json: Json = False,
) -> int:
    """Decide one flag.

    Example: tocsin review decide 17 --outcome confirmed --reason own-evidence

    Exit codes: 0 done; 2 another reviewer has the flag, it is decided, or outcome and reason do not fit.
    """
    with open_book(casebook) as book:
        decided = _decide(book, flag, outcome, reason, reviewer(by), note, day_of(until) if until else 0)
    if json:
        print_json(decided.to_dict())
    else:
        say(_what_now(decided))
    return 0


@app.command
def release(*, by: By = "", casebook: CasebookFolder = DEFAULT_CASEBOOK) -> int:
    """Return what you have to the queue.

    Example: tocsin review release

    Exit codes: 0 done; 2 there is no casebook.
    """
    from tocsin.detect.casebook.claiming import release as give_back

    with open_book(casebook) as book:
        count = give_back(book, reviewer(by), now())
    say(f"{counted(count, 'flag')} returned to the queue")
    return 0


@app.command
def campaign(
    id: str,
    *,
    sample: Annotated[
        bool,
        Parameter(negative=(), help="Draw the random sample of 30 that must be decided one by one first."),
    ] = False,
    outcome: Outcome = "",
    reason: ReasonName = "",
    by: By = "",
    casebook: CasebookFolder = DEFAULT_CASEBOOK,
    json: Json = False,
) -> int:
    """Decide what is left of a campaign at once: draw a sample, decide it one by one, then two people vote the same.

    Accounts decided so are marked `sampled`, and their values are never shared on.

    Example: tocsin review campaign C1 --sample

    Exit codes: 0 done; 2 the sample is not decided, or it does not support the outcome.
    """
    from tocsin.detect.casebook.deciding import Decision, decide_campaign, draw_sample

    if sample == bool(outcome):
        raise BadUsage("give either --sample, or --outcome with --reason")
    who, below = reviewer(by), drawing().below
    with open_book(casebook) as book:
        if sample:
            state = draw_sample(book, id, who, now(), below)
        else:
            state = decide_campaign(book, id, Decision(outcome, reason, who), now(), below)
    if json:
        print_json(asdict(state))
    else:
        say(_campaign_line(state))
    return 0


@app.command
def golden(flag: int, *, by: By = "", casebook: CasebookFolder = DEFAULT_CASEBOOK) -> int:
    """Put a decided flag into the golden set: others judge it again unawares, which measures agreement.

    Example: tocsin review golden 17

    Exit codes: 0 done; 2 the flag is not decided, or there is no casebook.
    """
    from tocsin.detect.casebook.deciding import set_golden

    with open_book(casebook) as book:
        set_golden(book, flag, reviewer(by), now())
    say(f"flag {flag} is in the golden set")
    return 0


@app.command
def reasons(*, casebook: CasebookFolder = DEFAULT_CASEBOOK, json: Json = False) -> int:
    """List the reasons that a verdict may give.

    Example: tocsin review reasons

    Exit codes: 0 done; 2 there is no casebook.
    """
    with open_book(casebook) as book:
        listed = book.settings.reasons
    if json:
        print_json({"reasons": [asdict(reason) for reason in listed]})
        return 0
    rows = [
        (reason.name, " ".join(reason.outcomes), reason.text, "the match alone" if reason.matched else "")
        for reason in listed
    ]
    print_table("Reasons (edit casebook.toml)", ("reason", "for", "meaning", "rests on"), rows)
    return 0


@app.command
def stats(*, casebook: CasebookFolder = DEFAULT_CASEBOOK, json: Json = False) -> int:
    """Show time per decision, yield by reporter, and agreement between reviewers.

    Example: tocsin review stats --json

    Exit codes: 0 done; 2 there is no casebook.
    """
    from tocsin.detect.casebook import measuring
    from tocsin.detect.casebook.claiming import waiting_count

    with open_book(casebook) as book, book.database.reading() as connection:
        waiting = waiting_count(connection, now())
        agreed, yields, paces = (
            measuring.agreement(connection), measuring.yields(connection), measuring.paces(connection)
        )  # fmt: skip
    if json:
        print_json({
            "waiting": waiting, "agreement": asdict(agreed) | {"percent": agreed.percent},
            "yield_by_reporter": [asdict(row) for row in yields], "reviewers": [asdict(row) for row in paces],
        })  # fmt: skip
        return 0
    say(f"{counted(waiting, 'flag')} waiting")
    if agreed.percent is None:
        say("agreement between reviewers: not measured yet; put decided flags into the golden set")
    else:
        say(
            f"agreement between reviewers: {agreed.percent:.0f} % of {counted(agreed.pairs, 'pair')} of verdicts"
        )
    print_table(
        "Yield by reporter", ("reported by", "confirmed", "rejected"),
        [(row.reporter, f"{row.confirmed:,}", f"{row.rejected:,}") for row in yields],
    )  # fmt: skip
    print_table(
        "Time per decision", ("reviewer", "verdicts", "median"),
        [(row.reviewer, f"{row.verdicts:,}", f"{row.median_seconds:g} s") for row in paces],
    )  # fmt: skip
    return 0


@app.command
def share(
    *,
    confidence: Annotated[
        int, Parameter(help="How sure you are of what your reviewers confirmed, 0 to 100.")
    ],
    holdings: HoldingsSource = "",
    dry_run: Annotated[bool, Parameter(negative=(), help="Only show what would be sent.")] = False,
    yes: Annotated[bool, Parameter(negative=(), help="Send without asking first.")] = False,
    by: By = "",
    config: Config = DEFAULT_CONFIG,
    casebook: CasebookFolder = DEFAULT_CASEBOOK,
    json: Json = False,
) -> int:
    """Share on the values of accounts that your reviewers confirmed after a match, and take back what no longer stands.

    Each report names the entries that it rests on, with one hop more. Left out are accounts decided by sample or for a
    reason that only the match gave. Run it after each `tocsin detect run`: what rested on a report that was retracted
    is taken back.

    Example: tocsin review share --holdings indicators.parquet --confidence 80

    Exit codes: 0 done, also with nothing to do; 2 bad usage, nothing was confirmed, or reports that the rules refuse;
    3 unavailable; 4 the team's verdicts do not agree often enough, or the budget is used up; 5 a check failed.
    """
    from tocsin.cli.options import sending
    from tocsin.detect.sharing import carry_out, check_agreement, plan_sharing

    check_can_ask("review share", yes=yes or dry_run)
    if not 0 <= confidence <= 100:
        raise BadUsage("--confidence must be a whole number from 0 to 100")
    with open_book(casebook) as book, sending(config) as client:
        source = holdings or book.settings.holdings
        if not source:
            raise BadUsage("values are read from your holdings: give --holdings, or set it in casebook.toml")
        check_agreement(book)
        plan = plan_sharing(book, client, source)
        if dry_run or not (plan.share or plan.withdraw):
            if json:
                print_json(plan.to_dict())
            else:
                _print_plan(plan)
            return EXIT_INPUT if plan.lost else 0
        if not yes:
            _print_plan(plan)
            if not ask(f"Tell the members of {client.charter.federation}?"):
                note("nothing was sent")
                return EXIT_INPUT
        done = carry_out(book, client, plan, confidence, reviewer(by), now())
    if json:
        print_json(plan.to_dict() | done.to_dict())
    else:
        say(f"{counted(done.shared, 'value')} shared on, {counted(done.withdrawn, 'value')} taken back")
        for refusal in done.refused:
            warn(str(refusal))
        _warn_lost(plan)
    return EXIT_INPUT if done.refused or plan.lost else 0


def _print_plan(plan: SharingPlan) -> None:
    shared, withdrawn = (Counter(types) for types in (
        (value.type for value in plan.share), (type for type, _ in plan.withdraw),
    ))  # fmt: skip
    rows = [(type, f"{shared[type]:,}", f"{withdrawn[type]:,}") for type in sorted(shared | withdrawn)]
    if rows:
        print_table("Values of confirmed accounts", ("type", "to share on", "to take back"), rows)
    else:
        say("nothing to share on or to take back")
    if plan.unchanged:
        say(f"{counted(plan.unchanged, 'value')} shared on as before")
    for why, count in sorted(plan.left_out.items()):
        say(f"{counted(count, 'value')} left out: {why}")
    _warn_lost(plan)


def _warn_lost(plan: SharingPlan) -> None:
    for type, count in sorted(Counter(plan.lost).items()):
        warn(
            f"{counted(count, 'value')} of {type} should be taken back, but your holdings no longer have them: "
            "tocsin retract TYPE=VALUE"
        )


@app.command
def export(
    *,
    format: Annotated[
        Literal["jsonl", "csv"],
        Parameter(help="jsonl, with the whole explanation, or csv, with it in words."),
    ] = "jsonl",
    casebook: CasebookFolder = DEFAULT_CASEBOOK,
) -> int:
    """Print final decisions that are due, each once, as JSON lines or CSV for your own systems.

    A decision is due after the delay that casebook.toml asks for. `name` makes one that you read twice recognisable.

    Example: tocsin review export --format csv

    Exit codes: 0 done, also with nothing due; 2 there is no casebook.
    """
    from tocsin.detect.outputs import csv_lines, deliver

    def write(rows: Sequence[Mapping[str, object]]) -> None:
        if format == "csv":
            sys.stdout.write(csv_lines(rows))
            sys.stdout.flush()
            return
        for row in rows:
            print_json_line(row)

    with open_book(casebook) as book:
        deliver(book, now(), write)
    return 0


@app.command
def send(*, casebook: CasebookFolder = DEFAULT_CASEBOOK, json: Json = False) -> int:
    """Deliver final decisions that are due to the webhook of casebook.toml, each once, signed.

    What cannot be delivered waits for a later call: run it by a timer. The signature is that of Standard Webhooks.

    Example: tocsin review send --casebook casebook

    Exit codes: 0 done, also with nothing due; 2 the webhook is not set or unusable; 3 its server cannot be reached or
    fails; 4 it refuses.
    """
    from tocsin.detect.webhook import endpoint, send

    with open_book(casebook) as book:
        sent = send(book, endpoint(book.settings), now, drawing().below)
    if json:
        print_json(asdict(sent))
    else:
        say(f"{counted(sent.delivered, 'decision')} delivered, {sent.waiting:,} not yet due")
    return 0


@app.command
def verify(*, casebook: CasebookFolder = DEFAULT_CASEBOOK) -> int:
    """Verify that no row of the history was changed, removed or added.

    Example: tocsin review verify

    Exit codes: 0 it is whole; 2 it was changed.
    """
    from tocsin.detect.casebook.history import verify as verify_chain

    with open_book(casebook) as book:
        count = verify_chain(book.database)
    say(f"the history is whole: {counted(count, 'row')}")
    return 0


@app.command
def init(folder: Path = DEFAULT_CASEBOOK) -> int:
    """Make a casebook: a folder with casebook.toml and casebook.key; what is there stays.

    Colleagues on other machines need a copy of the folder, with `database` set to the team's PostgreSQL.

    Example: tocsin review init casebook

    Exit codes: 0 done; 2 the folder cannot be used.
    """
    from tocsin.client import system
    from tocsin.detect.casebook.book import make_casebook

    make_casebook(folder, system.random_bytes)
    with open_book(folder):
        say(
            f"the casebook is in {folder}: give {folder} as --casebook, and keep casebook.key as safe as your holdings"
        )
    return 0


def _next(
    book: Casebook, who: str, rules: Rules, campaign: str, source: str, but: frozenset[int] = frozenset()
) -> Dossier | None:
    from tocsin.detect.casebook.claiming import claim_next
    from tocsin.detect.review import dossier, values_of

    flag = claim_next(book, who, rules, now(), drawing().below, campaign=campaign, but=but)
    if flag is None:
        return None
    shown = dossier(book, flag.no, who)
    # What others decided must not sway a second reviewer, nor give a golden flag away.
    shown = replace(shown, verdicts=(), history=(), flag=replace(flag, state="open", decided=0, returns=0))
    return replace(shown, values=values_of(book, flag.account, source)) if source else shown


def _decide(book: Casebook, flag: int, outcome: str, reason: str, who: str, note: str, until: int) -> Flag:
    from tocsin.detect.casebook.deciding import Decision, decide

    return decide(book, flag, Decision(outcome, reason, who, note, until), now(), drawing().below)


def _say_empty(json: bool) -> None:
    if json:
        print_json({"flag": None})
    else:
        say("nothing waits for you")


def _what_now(flag: Flag) -> str:
    if flag.state == "second":
        return f"flag {flag.no} waits for another reviewer"
    if flag.state == "later":
        from tocsin.cli.output import date

        return f"flag {flag.no} comes back on {date(flag.returns)}"
    if flag.state == "unsure":
        return f"flag {flag.no} is left to others"
    return f"flag {flag.no} is {flag.state}"


def _campaign_line(state: CampaignState) -> str:
    if state.decided_now:
        return (
            f"{counted(state.decided_now, 'account')} of campaign {state.campaign} decided, marked `sampled`"
        )
    if state.votes:
        return f"vote kept; another person must vote the same for {counted(state.waiting, 'account')}"
    return (
        f"sample of {state.sample} drawn, {state.sample_waiting} undecided: "
        f"tocsin review --campaign {state.campaign}"
    )


_KEYS = {"c": "confirmed", "r": "rejected", "u": "unsure", "l": "later"}
_HELP = "c confirmed   r rejected   u unsure   l later   v values   s skip   q quit"


def _at_keyboard(
    book: Casebook, who: str, rules: Rules, campaign: str, source: str, *, show_values: bool
) -> int:
    from tocsin.detect.casebook.claiming import release as give_back
    from tocsin.detect.review import values_of

    decided, skipped = 0, set[int]()
    while True:
        shown = _next(book, who, rules, campaign, source if show_values else "", frozenset(skipped))
        if shown is None:
            say(f"nothing waits for you; {counted(decided, 'flag')} decided")
            return 0 if decided else EXIT_NOTHING
        print_dossier(shown)
        while True:
            say(_HELP)
            key = _key()
            if key == "v":
                if source:
                    shown = replace(shown, values=values_of(book, shown.flag.account, source))
                    print_dossier(shown)
                else:
                    say("no holdings to read values from: give --holdings, or set it in casebook.toml")
            elif key in {"s", "q", ""}:
                give_back(book, who, now())
                say(f"flag {shown.flag.no} returned to the queue")
                if key != "s":
                    say(f"{counted(decided, 'flag')} decided")
                    return 0
                skipped.add(shown.flag.no)
                break
            elif key in _KEYS:
                flag = _ask_reason(book, shown.flag.no, _KEYS[key], who)
                if flag is not None:
                    decided += 1
                    say(_what_now(flag) + "\n")
                    break


def _ask_reason(book: Casebook, number: int, outcome: str, who: str) -> Flag | None:
    """Ask for the reason, and the days of `later`; None where the reviewer thought better of it."""
    fitting = book.settings.reasons_for(outcome)[:9]
    for position, reason in enumerate(fitting, 1):
        say(f"  {position} {reason.name}: {reason.text}")
    say("  any other key: back")
    key = _key()
    if not (key.isascii() and key.isdigit() and 1 <= int(key) <= len(fitting)):
        return None
    until = 0
    if outcome == "later":
        say("  back in how many days? 1 to 9")
        days = _key()
        if not (days.isascii() and days.isdigit() and days != "0"):
            return None
        until = now() + int(days) * 86_400
    return _decide(book, number, outcome, fitting[int(key) - 1].name, who, "", until)


def _key() -> str:
    """Read one key from the terminal, or the first character of a line from a pipe; empty at its end."""
    if not sys.stdin.isatty():
        line = sys.stdin.readline()
        return line.strip()[:1].lower() if line.strip() else ("" if not line else " ")
    import termios
    import tty

    sys.stdout.flush()
    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    try:
        tty.setcbreak(handle, termios.TCSADRAIN)
        return sys.stdin.read(1).lower()
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)
