"""`tocsin forget`: remove an account from the casebook."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from tocsin.cli.casebook import DEFAULT_CASEBOOK, By, CasebookFolder, now, open_book, reviewer
from tocsin.cli.output import say


def forget(
    account: str,
    *,
    yes: Annotated[bool, Parameter(negative=(), help="Do it; without, only say what would go.")] = False,
    by: By = "",
    casebook: CasebookFolder = DEFAULT_CASEBOOK,
) -> int:
    """Remove an account from the casebook: its id, evidence, notes. The history keeps that one was removed, not which.

    Delete it in your holdings too, or a later run may flag it anew. Values that were shared on must be withdrawn first.

    Example: tocsin forget acct-00417 --yes

    Exit codes: 0 done; 2 nothing is known about the account, or its values are shared on.
    """
    from tocsin.detect.casebook.flags import flag_of_account
    from tocsin.detect.casebook.forgetting import forget as remove

    with open_book(casebook) as book:
        with book.database.reading() as connection:
            flag = flag_of_account(connection, account)
        if not yes:
            say(f"would remove flag {flag.no} with its evidence, notes and campaign; add --yes to do it")
            return 0
        remove(book, account, reviewer(by), now())
    say("the account was removed; the history says only that one was")
    return 0
