"""`tocsin report`: a campaign's page, and what the federation is worth to you."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from tocsin.cli.casebook import (
    DEFAULT_CASEBOOK,
    CasebookFolder,
    HoldingsSource,
    ShowValues,
    now,
    open_book,
)
from tocsin.cli.detect import DEFAULT_STATE, State
from tocsin.cli.options import DEFAULT_CONFIG, Config
from tocsin.cli.output import Json, counted, print_json, print_table, say
from tocsin.cli.usage import BadUsage

if TYPE_CHECKING:
    from tocsin.detect.reports.campaign import CampaignFile, Held
    from tocsin.detect.reports.provenance import Proven
    from tocsin.sealing.label import Tlp

app = App(
    name="report", help="Write a campaign's page; show signals in and out, and what the federation gave you."
)

Widest = Annotated[
    str,
    Parameter(
        name="--tlp",
        help="The strictest marking of others' reports that may be in it: red, amber-strict, amber, green or clear.",
    ),
]
Prove = Annotated[
    bool, Parameter(negative=(), help="Fetch, verify and include the proof of every report, from your node.")
]
DEFAULT_TLP = "amber-strict"


@app.command
def campaign(
    id: Annotated[str, Parameter(help="A campaign, such as C1.")],
    *,
    out: Annotated[Path, Parameter(help="A new file, such as report.html.")],
    tlp: Widest = DEFAULT_TLP,
    prove: Prove = False,
    show_values: ShowValues = False,
    holdings: HoldingsSource = "",
    config: Config = DEFAULT_CONFIG,
    casebook: CasebookFolder = DEFAULT_CASEBOOK,
    json: Json = False,
) -> int:
    """Write one self-contained page about a campaign: growth, values, evidence, provenance, decisions.

    Values and account ids are masked unless --show-values; TLP:RED reports are left out unless --tlp red. With holdings
    (of casebook.toml, or --holdings) it shows when accounts were first seen.

    Example: tocsin report campaign C1 --out report.html --prove

    Exit codes: 0 written; 2 no such campaign, or the file exists; 3 the node is unavailable; 5 a proof fails.
    """
    from tocsin.detect.reports.page import render, tlp_name
    from tocsin.detect.reports.writing import check_new, write_new

    check_new(out)
    about, proven = gathered(casebook, id, tlp, holdings, config if prove else None, unmasked=show_values)
    write_new(out, render(about, proven).encode())
    if json:
        print_json({
            "campaign": id, "file": str(out), "tlp": tlp_name(about.tlp), "accounts": len(about.accounts),
            "values": len(about.values), "reports": len(about.entries), "withheld": about.withheld,
            "proven": None if proven is None else sum(not one.missing for one in proven),
        })  # fmt: skip
        return 0
    say(f"{id} is in {out}, marked {tlp_name(about.tlp)}: {counted(len(about.accounts), 'account')}")
    if about.withheld:
        say(f"{counted(about.withheld, 'report')} left out for its marking")
    return 0


def gathered(
    casebook: Path, id: str, tlp: str, holdings: str, config: Path | None, *, unmasked: bool
) -> tuple[CampaignFile, tuple[Proven, ...] | None]:
    """Return what is known of a campaign, with proofs where a client's configuration is given."""
    from tocsin.detect.reports.campaign import accounts_of, gather, read_held

    widest = tlp_of(tlp)
    with open_book(casebook) as book:
        source = holdings or book.settings.holdings
        if unmasked and not source:
            raise BadUsage("values are read from your holdings: give --holdings, or set it in casebook.toml")
        held: Held | None = read_held(source, accounts_of(book, id, now()).accounts) if source else None
        about = gather(book, id, now(), widest=widest, held=held, unmasked=unmasked)
    if config is None:
        return about, None
    from tocsin.cli.options import connect
    from tocsin.detect.reports.provenance import prove

    with connect(config) as client:
        return about, prove(client, about.entries)


def tlp_of(text: str) -> Tlp:
    """Read a marking such as amber-strict. Raises `BadUsage`."""
    from tocsin.sealing.label import Tlp

    names = {marking.name.lower().replace("_", "-"): marking for marking in Tlp}
    if text not in names:
        raise BadUsage(f"--tlp must be one of {', '.join(names)}")
    return names[text]


@app.command
def transparency(
    *,
    local: Annotated[
        bool, Parameter(negative=(), help="Do not open your client's vault: what you reported is left out.")
    ] = False,
    state: State = DEFAULT_STATE,
    config: Config = DEFAULT_CONFIG,
    casebook: CasebookFolder = DEFAULT_CASEBOOK,
    json: Json = False,
) -> int:
    """Show reports in and out by type, how many that they spoke against were confirmed, reversals, time to retract.

    Example: tocsin report transparency --local

    Exit codes: 0 shown; 2 no casebook, or no run of the detector yet; 3 the node is unavailable.
    """
    from tocsin.detect.reports.transparency import reports_of_last_run, transparency

    reported: dict[str, int] = {}
    if not local:
        from tocsin.cli.options import connect

        with connect(config) as client:
            reported = dict(Counter(client.reported().values()))
    with open_book(casebook) as book:
        found = transparency(book, reports_of_last_run(state), reported)
    if json:
        print_json(found.to_dict())
        return 0
    rows = [
        (
            one.type, f"{one.reports_in:,}", f"{one.reported_out:,}", f"{one.shared_on:,}", f"{one.confirmed:,}",
            f"{one.rejected:,}", "-" if one.hit_percent is None else f"{one.hit_percent:.0f} %",
        )
        for one in found.types
    ]  # fmt: skip
    columns = (
        "type",
        "reports in",
        ("values", "reported"),
        ("shared", "on"),
        "confirmed",
        "rejected",
        "hit rate",
    )
    print_table("Reports in and out, and what people decided of accounts they spoke against", columns, rows)
    reversals = ", ".join(f"{many:,} {outcome}" for outcome, many in found.reversed.items()) or "none"
    say(f"{counted(found.decisions, 'final decision')}; replaced later: {reversals}")
    if found.median_hours_to_retract is None:
        say("nothing that was shared on was withdrawn")
    else:
        hours = f"{found.median_hours_to_retract:.0f}"
        say(f"{counted(found.withdrawn, 'value')} withdrawn, median {hours} hours after being shared on")
    return 0


@app.command
def lift(
    *,
    simulated: Annotated[
        Path | None,
        Parameter(help="A folder that `tocsin simulate --scenario --out` wrote, instead of your runs."),
    ] = None,
    mode: Annotated[str, Parameter(help="With --simulated: the mode to compare with alone.")] = "reviewed",
    holdings: HoldingsSource = "",
    state: State = DEFAULT_STATE,
    casebook: CasebookFolder = DEFAULT_CASEBOOK,
    json: Json = False,
) -> int:
    """Show what the federation gave you, as bounds: accounts found only through others, days earlier, false flags.

    It compares runs made with `tocsin detect run --measure-lift` with shadow runs that saw no report. Exchanges need
    holdings that count them.

    Example: tocsin report lift --state detect

    Exit codes: 0 shown; 2 no casebook, or no run with --measure-lift yet.
    """
    from tocsin.detect.casebook.measuring import judged
    from tocsin.detect.reports.lift import lift, read_exchanges

    if simulated is not None:
        return _show_simulated(simulated, mode, json=json)
    with open_book(casebook) as book, book.database.reading() as connection:
        verdicts = judged(connection)
        source = holdings or book.settings.holdings
    found = lift(state, verdicts, read_exchanges(source) if source else {}, now() // 86_400)
    if json:
        print_json(found.to_dict())
        return 0
    rows = [
        ("flagged with the reports of others", f"{found.flagged:,}"),
        ("of them found only through others", str(found.only_through_others)),
        ("  and confirmed by people", str(found.confirmed)),
        ("  and rejected by people: false flags", str(found.rejected)),
        ("days earlier, of what is found alone too", str(found.days_earlier or "not known")),
        ("exchanges prevented", str(found.exchanges_prevented or "not known: holdings count none")),
    ]
    print_table(f"What others gave you, over {counted(found.runs, 'run')}", ("what", "least to most"), rows)
    for title, part in (("type", found.by_type), ("member", found.by_member)):
        print_table(
            f"Found only through others, by {title} of report", (title, "accounts"),
            [(name, str(of)) for name, of in part.items()],
        )  # fmt: skip
    say("Bounds, because nobody knows which verdicts you would have reached alone.")
    return 0


def _show_simulated(folder: Path, mode: str, *, json: bool) -> int:
    from tocsin.detect.reports.simulated_lift import simulated_lift

    found = simulated_lift(folder / "population", folder / "alone", folder / mode)
    if json:
        print_json({"mode": mode, "providers": [one.to_dict() for one in found]})
        return 0
    rows = [
        (
            one.provider, f"{one.hostile:,}", f"{one.alone:,}", f"{one.sharing:,}", f"{one.only_through_others:,}",
            "-" if one.days_earlier is None else f"{one.days_earlier:.1f}", f"{one.false_alone:,}",
            f"{one.false_sharing:,}", f"{one.exchanges_prevented:,}",
        )
        for one in found
    ]  # fmt: skip
    columns = (
        "provider", "hostile", ("found", "alone"), ("found", "sharing"), ("only through", "others"),
        ("days", "earlier"), ("false", "alone"), ("false", "sharing"), ("exchanges", "prevented"),
    )  # fmt: skip
    print_table(f"What sharing ({mode}) gave each provider of a simulation", columns, rows)
    return 0
