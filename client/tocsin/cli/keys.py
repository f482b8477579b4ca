"""`tocsin keys`: class keys."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from tocsin.cli.output import Json, print_json, print_table, warn

app = App(name="keys", help="Class keys of the committee.")


@app.command
def deal(
    draft: Path,
    *,
    out: Path,
    threshold: int = 2,
    committee: list[str] | None = None,
    json: Json = False,
) -> None:
    """Deal the class keys of a draft charter: sealed shares for each member, and the charter with its commitments.

    The process that runs this could know every class key. Distributed generation is to follow.

    Example: tocsin keys deal draft.json --out dealt

    Exit codes: 0 dealt; 2 bad usage, or a folder that is not empty.

    Parameters
    ----------
    draft
        The file that `tocsin charter draft` wrote.
    out
        A new folder for charter.json, to be signed by every member, and a folder of shares with one folder
        for each member, named by its id.
    threshold
        How many evaluators an evaluation needs.
    committee
        Names or ids of the members that hold shares, by seat, at most 7; by default the first three of the draft.
    json
        Print what was written as JSON.
    """
    from tocsin.founding.charters import read_draft, write_dealt
    from tocsin.founding.keys import WARNING, Seats, seats_for
    from tocsin.founding.keys import deal as deal_keys

    warn(WARNING)
    drafted = read_draft(draft)
    charter, shares = deal_keys(drafted, Seats(seats_for(drafted, committee), threshold))
    write_dealt(out, charter, shares)
    rows = [(charter.member(member).name, member.hex(), str(len(files))) for member, files in shares.items()]
    if json:
        print_json(
            {
                "charter": str(out / "charter.json"),
                "shares": {member: int(count) for _, member, count in rows},
            }
        )
        return
    print_table(f"Dealt into {out}", ("member", "id", "sealed shares"), rows)
