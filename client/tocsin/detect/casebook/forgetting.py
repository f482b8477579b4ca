"""Forgetting an account: everything that names or describes it goes, and the trace says only that something did.

1. Its id, its evidence and explanation, its verdicts' notes and the team's notes are deleted. The verdicts' outcomes
   stay, without an account, so that measures remain true.
2. What was shared on from it must be retracted first: the report is the member's, and nobody could find it afterwards.
3. A later round may flag the account anew if the holdings still name it: delete it there too.
"""

from __future__ import annotations

from sqlalchemy import delete, select, update

from tocsin.detect.casebook import history, tables
from tocsin.detect.casebook.book import Casebook
from tocsin.detect.casebook.errors import NotOpen
from tocsin.detect.casebook.flags import FORGOTTEN, flag_of_account

_FLAG = tables.flag.c


def forget(book: Casebook, account: str, who: str, now: int) -> None:
    """Remove an account. Raises `NoSuchFlag`, `NotOpen` where values of it are shared on."""
    with book.database.writing() as connection:
        flag = flag_of_account(connection, account)
        shared = tables.shared.c
        live = connection.execute(
            select(shared.no).where(shared.flag == flag.no, shared.withdrawn == 0)
        ).first()
        if live is not None:  # rule 2
            raise NotOpen(
                "values of this account are shared on: retract them with `tocsin retract` first, then forget it"
            )
        connection.execute(
            update(tables.flag)
            .where(_FLAG.no == flag.no)
            .values(
                account=None, state=FORGOTTEN, explanation="{}", campaign=None, root=None, golden=False,
                claimed_by=None, claimed_until=0,
            )
        )  # fmt: skip
        connection.execute(
            update(tables.verdict).where(tables.verdict.c.flag == flag.no).values(note="", root=None)
        )
        for table in (tables.evidence, tables.resting, tables.note, tables.campaign_sample, tables.delivery):
            connection.execute(delete(table).where(table.c.flag == flag.no))
        connection.execute(delete(tables.shared_on).where(
            tables.shared_on.c.shared.in_(select(shared.no).where(shared.flag == flag.no))
        ))  # fmt: skip
        connection.execute(delete(tables.shared).where(shared.flag == flag.no))
        history.write(connection, now, who, "an account was forgotten", flag.no)
    book.database.erase_log()
