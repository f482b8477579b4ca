"""`tocsin account`: everything that is known about one account; and the appeal against a decision about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from tocsin.cli.casebook import (
    DEFAULT_CASEBOOK,
    By,
    CasebookFolder,
    HoldingsSource,
    ShowValues,
    now,
    open_book,
    print_dossier,
    reviewer,
)
from tocsin.cli.output import Json, print_json, say
from tocsin.cli.usage import BadUsage


def account(
    id: str,
    *,
    appeal: Annotated[bool, Parameter(negative=(), help="Open a decided flag again.")] = False,
    why: Annotated[str, Parameter(help="Note for the team: why the decision is appealed.")] = "",
    note: Annotated[str, Parameter(help="Add a note for the team.")] = "",
    show_values: ShowValues = False,
    holdings: HoldingsSource = "",
    by: By = "",
    casebook: CasebookFolder = DEFAULT_CASEBOOK,
    json: Json = False,
) -> int:
    """Show one account: what speaks against it and how much, what is missing, verdicts, notes, history, campaign.

    Example: tocsin account acct-00417 --note "card in another name"

    Exit codes: 0 done; 2 nothing is known about the account, or --appeal of a flag that is open.
    """
    from tocsin.detect.casebook.deciding import add_note
    from tocsin.detect.casebook.deciding import appeal as open_again
    from tocsin.detect.review import dossier, values_of

    who = reviewer(by)
    with open_book(casebook) as book:
        if appeal:
            open_again(book, id, who, why, now())
        shown = dossier(book, id, who)
        if note:
            add_note(book, shown.flag.no, who, note, now())
            shown = dossier(book, id, who)
        if show_values:
            source = holdings or book.settings.holdings
            if not source:
                raise BadUsage(
                    "values are read from your holdings: give --holdings, or set it in casebook.toml"
                )
            shown = replace(shown, values=values_of(book, id, source))
    if json:
        print_json(shown.to_dict())
        return 0
    if appeal:
        say(f"flag {shown.flag.no} is open again")
    print_dossier(shown)
    return 0
