"""`tocsin detect`: score your own accounts, explain a score, try a rule in shadow, calibrate a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from tocsin.cli.options import DEFAULT_CONFIG, Config
from tocsin.cli.output import Json, counted, note, print_json, print_table, say, warn, wrapped
from tocsin.cli.usage import BadUsage

if TYPE_CHECKING:
    from tocsin.detect.explaining import Flagged
    from tocsin.detect.rules import Rules
    from tocsin.detect.runs import Sources

app = App(name="detect", help="Score your accounts, explain a score, try rules in shadow, calibrate.")

State = Annotated[Path, Parameter(help="Folder of your own that keeps the detector's runs.")]
RulesFile = Annotated[
    Path | None, Parameter(name="--rules", help="TOML file with other thresholds (docs/detection.md).")
]
Holdings = Annotated[
    str,
    Parameter(help="Parquet or CSV file, such as `tocsin ingest` writes, or URL#schema.table of a database."),
]
DEFAULT_STATE = Path("detect")
_SHOWN = 20


@app.command
def match(
    *,
    holdings: Holdings,
    out: Annotated[Path, Parameter(help="File of signals to write (Parquet); it must not exist.")],
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> int:
    """Ask the federation about every distinct value you hold, and write what matched for `tocsin detect run --signals`.

    Only blinded values leave this machine, and only those that your vault has not kept from before.

    Example: tocsin detect match --holdings holdings.parquet --out signals.parquet

    Exit codes: 0 written; 2 bad usage; 3 unavailable; 4 budget used up; 5 a check failed.
    """
    from tocsin.cli.options import connect
    from tocsin.detect.matching import ask
    from tocsin.detect.sources import distinct_values, write_signals

    if out.exists():
        raise FileExistsError(17, "File exists", str(out))
    with connect(config) as client:
        found = ask(client, distinct_values(holdings))
    write_signals(found.signals, out)
    if found.refused:
        warn(f"{counted(found.refused, 'value')} with no canonical form: not asked about")
    if json:
        print_json({
            "asked": found.asked, "refused": found.refused, "signals": len(found.signals), "unwound": found.unwound,
            "victims": len(found.victims), "written": str(out),
        })  # fmt: skip
    else:
        say(f"{counted(len(found.signals), 'signal')} about {found.asked:,} values, written to {out}")
        if found.unwound:
            say(f"{counted(found.unwound, 'report')} left out: all that they rest on was retracted")
        if found.victims:
            victims = counted(len(found.victims), "value")
            say(f"{victims} of yours reported as a victim's: these customers may need protection")
    return 0


@app.command
def run(
    *,
    holdings: Holdings,
    accounts: Annotated[
        str, Parameter(help="Your accounts with the day of their creation: account, created.")
    ],
    confirmed: Annotated[
        str | None, Parameter(help="Accounts that you confirmed as abusive: account.")
    ] = None,
    rejected: Annotated[str | None, Parameter(help="Accounts that your reviewers cleared: account.")] = None,
    signals: Annotated[str | None, Parameter(help="Signals that `tocsin detect match` wrote.")] = None,
    trusted: Annotated[
        tuple[str, ...], Parameter(help="Members whose judgement may flag alone, after 20 verdicts of yours.")
    ] = (),
    rules: RulesFile = None,
    shadow: Annotated[str, Parameter(help="Name of a rule to try: the run has no effect.")] = "",
    today: Annotated[
        str | None, Parameter(help="Score as of this day (YYYY-MM-DD); by default today.")
    ] = None,
    casebook: Annotated[
        Path | None,
        Parameter(
            env_var="TOCSIN_CASEBOOK",
            help="The team's casebook: its verdicts count, and flags and candidates are written to it.",
        ),
    ] = None,
    measure_lift: Annotated[
        bool,
        Parameter(negative=(), help="Run twice more in shadow, as if alone, for `tocsin report lift`."),
    ] = False,
    state: State = DEFAULT_STATE,
    json: Json = False,
) -> int:
    """Score every account once. Nothing is blocked: a flag is a reason to look, with its explanation.

    Without --signals you see what you would find alone.

    Example: tocsin detect run --holdings holdings.parquet --accounts accounts.parquet --signals signals.parquet

    Exit codes: 0 done; 2 a file or an option cannot be used.
    """
    from dataclasses import asdict

    from tocsin.detect.explaining import flagged
    from tocsin.detect.runs import Sources, detect, last_run

    if measure_lift and (casebook is None or shadow):
        raise BadUsage("--measure-lift goes with --casebook and without --shadow")
    thresholds = rules_of(rules)
    sources = Sources(holdings, accounts, confirmed, rejected, signals, frozenset(trusted))
    if casebook is not None:
        sources = _with_verdicts(sources, casebook, thresholds)
    summary = detect(state, sources, _day(today), thresholds, shadow=shadow)
    if casebook is not None and not shadow:
        _write_flags(casebook, state, summary.number, thresholds)
    if casebook is not None and measure_lift:
        _run_alone(casebook, state, sources, _day(today), thresholds)
    if not summary.established:
        warn(
            "no account is older than 60 days, so nothing shows which values are common: no account can be flagged; "
            "check the column `created`"
        )
    flags = []
    if not shadow:
        with last_run(state) as connection:
            flags = flagged(connection)
    if json:
        print_json(asdict(summary) | {"shadow": shadow, "flags": [asdict(flag) for flag in flags]})
        return 0
    rows = [
        ("accounts", summary.accounts),
        ("of them established", summary.established),
        ("holdings", summary.holdings),
        ("signals", summary.signals),
        ("values that weigh something", summary.values_weighed),
        ("flagged", summary.flagged),
        ("flagged for the first time", summary.new_flags),
        ("candidates", summary.candidates),
    ]
    if summary.muted_signals:
        rows.insert(4, ("signals of muted members", summary.muted_signals))
    title = f"Run {summary.number}" + (f", shadow rule {shadow} (no effect)" if shadow else "")
    print_table(title, ("what", "how many"), [(what, f"{count:,}") for what, count in rows])
    if flags:
        _print_flagged(flags)
    return 0


def _print_flagged(flags: Sequence[Flagged]) -> None:
    print_table(
        "Flagged, the strongest first",
        ("account", "bits", "evidence", "reported by"),
        [
            (
                flag.account,
                f"{flag.bits:g}",
                ", ".join(flag.groups),
                wrapped(", ".join(flag.reporters) or "only you", 30),
            )
            for flag in flags[:_SHOWN]
        ],
    )
    if len(flags) > _SHOWN:
        say(f"and {len(flags) - _SHOWN:,} more; --json has them all")
    say("tocsin detect explain ACCOUNT says why")


@app.command
def explain(
    account: str,
    *,
    rules: RulesFile = None,
    values: Annotated[bool, Parameter(negative=(), help="Show the values themselves.")] = False,
    state: State = DEFAULT_STATE,
    json: Json = False,
) -> int:
    """Show why an account is flagged, or what is missing, by the last run.

    Example: tocsin detect explain acct-00417

    Exit codes: 0 done; 2 there is no run, or the account is not in it.
    """
    from dataclasses import asdict

    from tocsin.detect import explaining
    from tocsin.detect.rules import in_bits
    from tocsin.detect.runs import last_run

    thresholds = rules_of(rules)
    with last_run(state) as connection:
        found = explaining.explain(connection, account, thresholds)
        muted = explaining.muted_reports(connection, account)
    if json:
        document = asdict(found)
        for reason in document["reasons"]:
            reason["weight"], reason["counts"] = in_bits(reason["weight"]), reason["counts"] / 20
            if not values:
                del reason["value"]
        print_json(document | {"bits": in_bits(found.bits), "muted": muted})
        return 0
    say(
        f"{account}: {'flagged' if found.flag else 'not flagged'}, {in_bits(found.bits):g} bits from "
        f"{', '.join(found.groups)}"
    )
    for reason in found.reasons:
        shown = f": {reason.value}" if values else ""
        say(f"  {explaining.sentence(reason)}; counts {reason.counts / 20:g}{shown}")
    for text in muted:
        say(f"  {text}")
    for what in found.missing:
        say(f"  to be flagged: {what}")
    for what in found.would_end:
        say(f"  the flag would go if {what}")
    return 0


@app.command
def compare(*, state: State = DEFAULT_STATE, json: Json = False) -> int:
    """Compare the newest shadow run with the live one, on your own verdicts.

    Example: tocsin detect compare

    Exit codes: 0 done; 2 there is no shadow run or no live one.
    """
    from dataclasses import asdict

    from tocsin.detect import comparing
    from tocsin.detect.runs import last_run

    with last_run(state) as connection:
        found = comparing.compare(connection)
    if json:
        print_json(asdict(found))
        return 0
    rows = [
        (name, f"{side.flagged:,}", f"{side.confirmed:,}", f"{side.rejected:,}", f"{side.undecided:,}")
        for name, side in (("live", found.live), (f"shadow {found.shadow_name}", found.shadow))
    ]
    print_table("Flags by your verdicts", ("rules", "flagged", "confirmed", "rejected", "undecided"), rows)
    say(
        f"only live: {counted(len(found.only_live), 'account')}; "
        f"only shadow: {counted(len(found.only_shadow), 'account')}"
    )
    return 0


@app.command
def calibrate(
    *,
    verdicts: Annotated[
        str, Parameter(help="Your verdicts: account, day, confirmed, random, bits and, if known, campaign.")
    ],
    aim: Annotated[float, Parameter(help="Precision that a flag must reach.")] = 0.99,
    rules: RulesFile = None,
    json: Json = False,
) -> int:
    """Choose the flag threshold from the verdicts on the random share of your queue.

    Chosen on earlier days and half of the campaigns, checked on the rest. With too few verdicts the default stays.

    Example: tocsin detect calibrate --verdicts verdicts.parquet

    Exit codes: 0 done; 2 a file or an option cannot be used.
    """
    from dataclasses import asdict

    from tocsin.detect import calibrating
    from tocsin.detect.rules import in_bits
    from tocsin.detect.sources import read_verdicts

    if not 0 < aim < 1:
        raise BadUsage("--aim must be above 0 and below 1")
    found = calibrating.calibrate(read_verdicts(verdicts), rules_of(rules), aim)
    if json:
        print_json(asdict(found) | {"threshold_bits": in_bits(found.threshold)})
        return 0
    shown = [point for point in found.curve if point.threshold % 4 == 0 and point.flagged]
    rows = [
        (f"{in_bits(point.threshold):g}", f"{point.flagged:,}", f"{point.confirmed:,}", f"{point.least_precision:.3f}",
         f"{point.recall:.3f}")
        for point in shown
    ]  # fmt: skip
    columns = ("bits", "flagged", "confirmed", "precision at least", "of the confirmed")
    print_table(f"Thresholds on {counted(found.verdicts, 'verdict')} drawn at random", columns, rows)
    kept = found.kept_apart
    if found.chosen:
        say(f"use flag = {found.threshold} ({in_bits(found.threshold):g} bits) in the rules file")
        say(f"on later days and other campaigns: {kept.confirmed:,} of {kept.flagged:,} flags confirmed")
    else:
        say(
            f"too few verdicts: about {found.missing:,} more confirmed ones; "
            f"the threshold stays {in_bits(found.threshold):g} bits"
        )
    return 0


def rules_of(path: Path | None) -> Rules:
    """Return the thresholds of a file, or the default ones."""
    from tocsin.detect.rules import DEFAULT, load_rules

    return DEFAULT if path is None else load_rules(path)


def _day(text: str | None) -> int:
    from datetime import date

    if text is None:
        from tocsin.client.system import now

        return now() // 86_400
    try:
        return (date.fromisoformat(text) - date(1970, 1, 1)).days
    except ValueError:
        raise BadUsage("--today must be a day such as 2026-05-31") from None


def _with_verdicts(sources: Sources, casebook: Path, rules: Rules) -> Sources:
    """Add what the team decided, and whom its verdicts trust."""
    from dataclasses import replace

    from tocsin.cli.casebook import open_book
    from tocsin.detect.casebook.measuring import judged, muted, trusted
    from tocsin.detect.weights import CONFIRMED, REJECTED

    with open_book(casebook) as book, book.database.reading() as connection:
        verdicts = tuple(
            (verdict.account, CONFIRMED if verdict.confirmed else REJECTED, verdict.abuse)
            for verdict in judged(connection)
        )
        silent = muted(connection, rules)
        for member, decided in silent.items():
            note(
                f"{member} is muted: your reviewers rejected {decided.rejected} of "
                f"{decided.rejected + decided.confirmed} accounts that rested on it alone; its reports weigh nothing"
            )
        return replace(
            sources,
            verdicts=verdicts,
            trusted=sources.trusted | trusted(connection, rules),
            muted=frozenset(silent),
        )


def _run_alone(casebook: Path, state: Path, sources: Sources, today: int, rules: Rules) -> None:
    from tocsin.cli.casebook import open_book
    from tocsin.detect.casebook.measuring import judged
    from tocsin.detect.reports.lift import run_alone

    with open_book(casebook) as book, book.database.reading() as connection:
        verdicts = judged(connection)
    run_alone(state, sources, verdicts, today, rules)


def _write_flags(casebook: Path, state: Path, number: int, rules: Rules) -> None:
    from tocsin.cli.casebook import drawing, now, open_book
    from tocsin.detect.casebook.campaigns import update_campaigns
    from tocsin.detect.casebook.last_run import take_run
    from tocsin.detect.runs import last_run

    with open_book(casebook) as book, last_run(state) as connection:
        taken = take_run(book, connection, number, rules, now(), drawing().sample)
        campaigns = update_campaigns(book, now())
    note(
        f"casebook: {counted(taken.new, 'new account')}, {taken.updated:,} updated, {taken.reopened:,} opened again, "
        f"{taken.gone:,} gone; {counted(len(campaigns), 'campaign')}"
    )
