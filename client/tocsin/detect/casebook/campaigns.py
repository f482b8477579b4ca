"""Campaigns in the casebook: their names, and which flags belong to them."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import insert, select, update

from tocsin.detect.casebook import history, tables
from tocsin.detect.casebook.book import Casebook
from tocsin.detect.casebook.intake import DETECTOR

_FLAG, _CAMPAIGN = tables.flag.c, tables.campaign.c


def set_campaigns(book: Casebook, campaign_of: Mapping[str, str], names: Mapping[str, str], now: int) -> None:
    """Write which campaign each account belongs to; accounts that are not named belong to none.

    `campaign_of` maps accounts to campaign ids, `names` campaign ids to what people call them. A name that is known
    stays.
    """
    with book.database.writing() as connection:
        known = set(connection.execute(select(_CAMPAIGN.id)).scalars())
        for id in sorted(set(campaign_of.values()) - known):
            connection.execute(insert(tables.campaign).values(id=id, name=names.get(id, id), created=now))
            history.write(connection, now, DETECTOR, "campaign", None, {"campaign": id})
        rows = connection.execute(
            select(_FLAG.no, _FLAG.account, _FLAG.campaign).where(_FLAG.account.is_not(None))
        ).all()
        for number, account, before in rows:
            after = campaign_of.get(account)
            if after != before:
                connection.execute(update(tables.flag).where(_FLAG.no == number).values(campaign=after))
                history.write(
                    connection, now, DETECTOR, "campaign", number, {"campaign": after, "before": before}
                )


def rename(book: Casebook, campaign: str, name: str, who: str, now: int) -> None:
    """Give a campaign another name."""
    with book.database.writing() as connection:
        connection.execute(update(tables.campaign).where(_CAMPAIGN.id == campaign).values(name=name))
        history.write(connection, now, who, "campaign renamed", None, {"campaign": campaign})


def names(book: Casebook) -> dict[str, str]:
    """Return every campaign's name by its id."""
    with book.database.reading() as connection:
        rows = connection.execute(select(_CAMPAIGN.id, _CAMPAIGN.name)).all()
        return {row.id: row.name for row in rows}
