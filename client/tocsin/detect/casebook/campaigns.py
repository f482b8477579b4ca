"""Campaigns in the casebook: found over its flags and verdicts, with ids, first days, names and rooms that last.

1. Taking part: accounts that are flagged and not rejected, those that a reviewer confirmed, and those that the member's
   own list has as confirmed. A candidate takes part once it is confirmed.
2. Values are those that spoke against an account in the last run taken: what was retracted joins nobody.
3. Every change is in the history: which accounts came and went, and what a campaign grew out of or went into.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, insert, or_, select, update

from tocsin.detect.campaigns import Campaign, JoiningValue, Memory, find_campaigns
from tocsin.detect.casebook import history, tables
from tocsin.detect.casebook.book import Casebook
from tocsin.detect.casebook.errors import NoSuchCampaign
from tocsin.detect.casebook.flags import FORGOTTEN, GONE
from tocsin.detect.casebook.intake import DETECTOR
from tocsin.detect.casebook.settings import CONFIRMED, REJECTED

_FLAG, _CAMPAIGN, _JOINING, _EVIDENCE = (
    tables.flag.c, tables.campaign.c, tables.joining.c, tables.evidence.c,
)  # fmt: skip
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Join:
    """A value of an account that others of its campaign hold: how many, since which day. A hub joins nobody."""

    type: str
    others: int
    since: int
    hub: bool

    def to_dict(self) -> dict[str, object]:
        """Return every field under its name."""
        return {"type": self.type, "others": self.others, "since": self.since, "hub": self.hub}


def update_campaigns(book: Casebook, now: int) -> tuple[Campaign, ...]:
    """Find the campaigns of now, the largest first, and remember them."""
    with book.database.writing() as connection:
        before = _memory(connection)
        values, confirmed = _values(connection)
        campaigns, after = find_campaigns(before, values, confirmed, now // _DAY)
        _remember(connection, before, after, campaigns, now)
    return campaigns


def campaign_of_id(book: Casebook, id: str, now: int) -> Campaign:
    """Return a campaign as it is now. Raises `NoSuchCampaign`."""
    for campaign in update_campaigns(book, now):
        if campaign.id == id:
            return campaign
    raise NoSuchCampaign(f"there is no campaign {id} now: `tocsin campaigns list` shows them")


def set_room(book: Casebook, campaign: str, room: str, who: str, now: int) -> None:
    """Remember which room a campaign has; an empty name for none."""
    with book.database.writing() as connection:
        connection.execute(update(tables.campaign).where(_CAMPAIGN.id == campaign).values(room=room))
        history.write(connection, now, who, "campaign room", None, {"campaign": campaign, "room": room})


def rename(book: Casebook, campaign: str, name: str, who: str, now: int) -> None:
    """Give a campaign another name. Raises `NoSuchCampaign`."""
    with book.database.writing() as connection:
        changed = connection.execute(
            update(tables.campaign).where(_CAMPAIGN.id == campaign).values(name=name)
        )
        if not changed.rowcount:
            raise NoSuchCampaign(f"there is no campaign {campaign}: `tocsin campaigns list` shows them")
        history.write(connection, now, who, "campaign renamed", None, {"campaign": campaign})


def names(book: Casebook) -> dict[str, str]:
    """Return every campaign's name by its id."""
    with book.database.reading() as connection:
        rows = connection.execute(select(_CAMPAIGN.id, _CAMPAIGN.name)).all()
        return {row.id: row.name for row in rows}


def joins_of(connection: Connection, flag: int, campaign: str | None) -> list[Join]:
    """Return which values of a flag's account others of its campaign hold, those of most accounts first."""
    if campaign is None:
        return []
    mine = connection.execute(
        select(_EVIDENCE.type, _EVIDENCE.value_key, _EVIDENCE.hub, _JOINING.since)
        .outerjoin(
            tables.joining,
            and_(_JOINING.type == _EVIDENCE.type, _JOINING.value_key == _EVIDENCE.value_key),
        )
        .where(_EVIDENCE.flag == flag)
    ).all()
    joins = []
    for type, key, hub, since in mine:
        others = connection.execute(
            select(_FLAG.no)
            .join(tables.evidence, _EVIDENCE.flag == _FLAG.no)
            .where(
                _EVIDENCE.type == type,
                _EVIDENCE.value_key == key,
                _FLAG.campaign == campaign,
                _FLAG.no != flag,
            )
        ).all()
        if others and (hub or since is not None):
            joins.append(Join(type, len(others), since or 0, hub))
    return sorted(joins, key=lambda join: (join.hub, -join.others, join.type))


def _memory(connection: Connection) -> Memory:
    campaigns = connection.execute(select(tables.campaign)).all()
    numbers = [int(row.id[1:]) for row in campaigns]
    accounts = connection.execute(
        select(_FLAG.account, _FLAG.campaign).where(_FLAG.account.is_not(None), _FLAG.campaign.is_not(None))
    ).all()
    return Memory(
        campaign_of={row.account: row.campaign for row in accounts},
        since={row.value_key.hex(): row.since for row in connection.execute(select(tables.joining))},
        names={row.id: row.name for row in campaigns},
        rooms={row.id: row.room for row in campaigns if row.room},
        next_number=max(numbers, default=0) + 1,
    )


def _values(connection: Connection) -> tuple[tuple[JoiningValue, ...], frozenset[str]]:
    """Rules 1 and 2: every value against an account that takes part, and the confirmed ones of these."""
    confirmed_now = or_(_FLAG.state == CONFIRMED, _FLAG.known)
    takes_part = or_(confirmed_now, and_(_FLAG.flagged, _FLAG.state.not_in((REJECTED, GONE, FORGOTTEN))))
    last = select(tables.meta.c.run).scalar_subquery()
    rows = connection.execute(
        select(
            _EVIDENCE.type, _EVIDENCE.value_key, _EVIDENCE.hub, _FLAG.account,
            confirmed_now.label("confirmed"),
        )
        .join(tables.flag, _FLAG.no == _EVIDENCE.flag)
        .where(_FLAG.account.is_not(None), _FLAG.run == last, takes_part)
    ).all()  # fmt: skip
    holders: dict[tuple[str, bytes], set[str]] = defaultdict(set)
    hubs: set[tuple[str, bytes]] = set()
    for row in rows:
        holders[row.type, row.value_key].add(row.account)
        if row.hub:
            hubs.add((row.type, row.value_key))
    values = tuple(
        JoiningValue(place[0], place[1].hex(), frozenset(accounts), hub=place in hubs)
        for place, accounts in sorted(holders.items())
    )
    return values, frozenset(row.account for row in rows if row.confirmed)


def _remember(
    connection: Connection, before: Memory, after: Memory, campaigns: tuple[Campaign, ...], now: int
) -> None:
    sources, heirs = defaultdict(set), defaultdict(set)
    for account, id in after.campaign_of.items():
        if account in before.campaign_of:
            sources[id].add(before.campaign_of[account])
            heirs[before.campaign_of[account]].add(id)
    for campaign in campaigns:
        if campaign.id not in before.names:
            connection.execute(
                insert(tables.campaign).values(id=campaign.id, name=campaign.id, created=now, room="")
            )
            _event(connection, now, "campaign", campaign.id, {
                "accounts": len(campaign.accounts), "from": sorted(sources[campaign.id]),
            })  # fmt: skip
        elif merged := sources[campaign.id] - {campaign.id} - set(after.campaign_of.values()):
            _event(connection, now, "campaigns merged", campaign.id, {"from": sorted(merged)})
    for id in sorted(set(before.campaign_of.values()) - set(after.campaign_of.values())):
        _event(connection, now, "campaign ended", id, {"into": sorted(heirs[id])})
    _assign(connection, after.campaign_of, now)
    known = {row.value_key.hex(): row for row in connection.execute(select(tables.joining))}
    current = {value.key: value for campaign in campaigns for value in campaign.values}
    for key in known.keys() - current.keys():
        connection.execute(delete(tables.joining).where(_JOINING.value_key == bytes.fromhex(key)))
    if new := [
        {"type": value.type, "value_key": bytes.fromhex(key), "since": value.since}
        for key, value in current.items()
        if key not in known
    ]:
        connection.execute(insert(tables.joining), new)


def _event(connection: Connection, now: int, what: str, campaign: str, detail: Mapping[str, object]) -> None:
    history.write(connection, now, DETECTOR, what, None, {"campaign": campaign} | dict(detail))


def _assign(connection: Connection, campaign_of: Mapping[str, str], now: int) -> None:
    """Write which campaign each account belongs to; accounts that are not named belong to none."""
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
