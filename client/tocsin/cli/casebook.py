"""Options that the commands on the casebook share, and how a flag is printed."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tocsin.cli.output import Cell, counted, date, print_table, say, utc, wrapped
from tocsin.cli.usage import BadUsage

if TYPE_CHECKING:
    from tocsin.detect.casebook.book import Casebook
    from tocsin.detect.casebook.drawing import Drawing
    from tocsin.detect.casebook.flags import Flag
    from tocsin.detect.review import Dossier

CasebookFolder = Annotated[
    Path, Parameter(name="--casebook", env_var="TOCSIN_CASEBOOK", help="Folder with casebook.toml.")
]
DEFAULT_CASEBOOK = Path("casebook")
By = Annotated[
    str, Parameter(name="--by", env_var="TOCSIN_REVIEWER", help="Who you are; by default your login name.")
]
HoldingsSource = Annotated[
    str,
    Parameter(
        name="--holdings", help="File or table that values are read from; by default of casebook.toml."
    ),
]
ShowValues = Annotated[
    bool, Parameter(negative=(), help="Show the values themselves, for your own eyes only.")
]


def open_book(folder: Path) -> Casebook:
    """Open the casebook of a command."""
    from tocsin.detect.casebook.book import open_casebook

    return open_casebook(folder)


def drawing() -> Drawing:
    """Return a source of random draws."""
    from tocsin.client import system
    from tocsin.detect.casebook.drawing import Drawing

    return Drawing(system.random_bytes)


def now() -> int:
    """Return unix seconds."""
    from tocsin.client import system

    return system.now()


def reviewer(by: str) -> str:
    """Return who works: the name given, else the login name."""
    return by or getpass.getuser()


def day_of(text: str) -> int:
    """Read a day such as 2026-06-05 as unix seconds of its begin, UTC. Raises `BadUsage`."""
    from datetime import UTC, datetime

    try:
        return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise BadUsage("--until must be a day such as 2026-06-05") from None


def print_flags(title: str, flags: list[Flag]) -> None:
    """Print flags as a table of at most 100 columns."""
    rows: list[tuple[Cell, ...]] = [
        (
            str(flag.no),
            flag.account if len(flag.account) <= 24 else flag.account[:23] + "…",
            ("flag" if flag.flagged else "candidate") + (", random" if flag.random else ""),
            f"{flag.bits / 2:g}",
            wrapped(" ".join(flag.explanation.get("groups", ())), 14),
            wrapped(_reporters(flag), 18),
            flag.state if flag.state != "later" else ("later", date(flag.returns)),
            flag.claimed_by or "",
        )
        for flag in flags
    ]
    print_table(title, ("no", "account", "kind", "bits", "evidence", "reported by", "state", "with"), rows)


def _reporters(flag: Flag) -> str:
    from tocsin.detect.casebook.wording import reporters

    return ", ".join(reporters(flag.explanation)) or "only you"


def print_dossier(dossier: Dossier) -> None:
    """Print everything that is known about one account."""
    from tocsin.detect.casebook.wording import reason_in_words

    flag = dossier.flag
    kind = "flagged" if flag.flagged else "candidate"
    say(f"{flag.account}  (flag {flag.no}, {kind}, {flag.bits / 2:g} bits, {flag.state})")
    if flag.campaign:
        named = f" ({flag.campaign})" if dossier.campaign_name != flag.campaign else ""
        say(f"  campaign {dossier.campaign_name}{named}")
    for join in dossier.joins:
        others = counted(join.others, "other account")
        said = f"shared with {others}, a hub that joins nobody" if join.hub else f"joins it with {others}"
        say(f"    `{join.type}` {said}" + ("" if join.hub else f", since {date(join.since * 86_400)}"))
    if flag.root:
        say(f"  rests on the judgement of {flag.root} alone")
    for reason in flag.explanation.get("reasons", ()):
        say(f"  {reason_in_words(reason)}")
        if value := dossier.values.get(reason["value_key"]):
            say(f"      {value}")
    for text in flag.explanation.get("missing", ()):
        say(f"  to be flagged: {text}")
    for text in flag.explanation.get("would_end", ()):
        say(f"  the flag would go if {text}")
    for verdict in dossier.verdicts:
        note = f"; your note: {verdict.note}" if verdict.note else ""
        say(f"  {utc(verdict.time)}  {verdict.reviewer}: {verdict.outcome}, {verdict.reason}{note}")
    for writer, time, text in dossier.notes:
        say(f"  {utc(time)}  note by {writer}: {text}")
    for event in dossier.history:
        say(f"  {utc(event.time)}  {event.who}: {event.what}")
