"""`tocsin flags`: what the detector flagged, and how far the team has come with it."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from tocsin.cli.casebook import DEFAULT_CASEBOOK, CasebookFolder, now, open_book, print_flags
from tocsin.cli.output import Json, counted, print_json
from tocsin.cli.usage import BadUsage


def flags(
    *,
    state: Annotated[
        str,
        Parameter(help="waiting, open, second, unsure, later, confirmed, rejected or gone; by default all."),
    ] = "",
    campaign: Annotated[str, Parameter(help="Only this campaign's accounts.")] = "",
    claimed_by: Annotated[str, Parameter(help="Only what this reviewer has now.")] = "",
    type: Annotated[str, Parameter(help="Only flags with evidence of this type.")] = "",
    reporter: Annotated[str, Parameter(help="Only flags that this member's reports speak for.")] = "",
    bits: Annotated[float, Parameter(help="Only flags of at least so many bits.")] = 0,
    limit: Annotated[int, Parameter(help="At most so many.")] = 100,
    casebook: CasebookFolder = DEFAULT_CASEBOOK,
    json: Json = False,
) -> int:
    """List flags and candidates, the highest score first.

    A flag is a reason to look, never a verdict: `tocsin review` decides, `tocsin account ID` shows everything.

    Example: tocsin flags --state waiting --bits 14

    Exit codes: 0 done; 2 there is no casebook or a filter is wrong.
    """
    from tocsin.detect.casebook.flags import STATES, list_flags

    if state and state not in (*STATES, "waiting"):
        raise BadUsage(f"--state must be waiting or one of {', '.join(STATES)}")
    with open_book(casebook) as book, book.database.reading() as connection:
        listed = list_flags(
            connection, now(), state=state, campaign=campaign, reviewer=claimed_by, type=type, reporter=reporter,
            least_bits=round(bits * 2), limit=limit,
        )  # fmt: skip
    if json:
        print_json({"flags": [flag.to_dict() for flag in listed]})
    else:
        print_flags(counted(len(listed), "flag"), listed)
    return 0
