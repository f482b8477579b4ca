"""`tocsin campaigns`: which flagged accounts belong together, and the rooms in which members speak of a campaign.

1. Nothing is written in a room except by the commands here, which a person runs.
2. A sighting counts your confirmed accounts. Values are never shown, only counted by type.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from tocsin.cli.casebook import DEFAULT_CASEBOOK, By, CasebookFolder, now, open_book, reviewer
from tocsin.cli.options import DEFAULT_CONFIG, Config
from tocsin.cli.output import Cell, Json, counted, print_json, print_table, say, wrapped

if TYPE_CHECKING:
    from tocsin.client import Receipt, Room
    from tocsin.client.rooms import MemberEntry, RoomDraft
    from tocsin.detect.campaigns import Campaign
    from tocsin.sealing.rooms import CampaignKey

app = App(
    name="campaigns", help="Group flagged accounts into campaigns, and coordinate with who else sees them."
)

State = Annotated[Path, Parameter(help="Folder of the detector's runs.")]
DEFAULT_STATE = Path("detect")
MAX_NAME = 80
MAX_VALUES = 40
"""Most values of a campaign, and most hubs, that are printed."""
_DAY = 86_400


class NoSuchRoom(ValueError):
    """A room that is not known here, or a campaign without one."""


class BadName(ValueError):
    """A campaign's name that is empty, too long, or does not print."""


class NothingToSay(ValueError):
    """A campaign about which nothing can be said in a room yet."""


@app.command(name="list")
def list_campaigns(*, casebook: CasebookFolder = DEFAULT_CASEBOOK, json: Json = False) -> int:
    """List the campaigns in the casebook: connected flagged and confirmed accounts, under ids that last.

    Example: tocsin campaigns list

    Exit codes: 0 some; 1 none; 2 there is no casebook.
    """
    from tocsin.detect.casebook.campaigns import update_campaigns

    with open_book(casebook) as book:
        campaigns = update_campaigns(book, now())
    if json:
        print_json({"campaigns": [campaign.to_dict() for campaign in campaigns]})
        return 0 if campaigns else 1
    rows: list[tuple[Cell, ...]] = [
        (
            _named(campaign),
            f"{len(campaign.accounts):,}",
            f"{len(campaign.confirmed):,}",
            tuple(f"{many} {type}" for type, many in campaign.joining().items()),
            f"{len(campaign.hubs)}",
            _date(campaign.since or 0),
            campaign.room or "none",
        )
        for campaign in campaigns
    ]
    print_table("Campaigns", ("id", "accounts", "confirmed", "joined by", "hubs", "since", "room"), rows)
    return 0 if campaigns else 1


@app.command
def show(
    name: Annotated[str, Parameter(help="A campaign, such as C1, or a room's 16 hex digits.")],
    *,
    config: Config = DEFAULT_CONFIG,
    casebook: CasebookFolder = DEFAULT_CASEBOOK,
    json: Json = False,
) -> int:
    """Show a campaign's values and accounts; and of its room who else sees it, how large, since when, whom to call.

    Values are counted and never shown. A campaign without a room is shown without a node.

    Example: tocsin campaigns show C1

    Exit codes: 0 shown; 2 no such campaign or room; 3 the node is unavailable.
    """
    from tocsin.cli.options import connect

    found = _campaign(casebook, name) if _is_campaign(name) else None
    if found is not None and not json:
        _print_campaign(found)
    room = None
    if found is None or found.room:
        with connect(config) as client:
            room = client.room(_key(client.rooms(), name if found is None else found.room))
    if json:
        print_json({
            "campaign": found.to_dict() if found else None, "room": room.to_dict() if room else None,
        })  # fmt: skip
    elif room is not None:
        _print_room(room)
    else:
        say(f"no room: `tocsin campaigns open {name}` opens one, where a value of it can name it")
    return 0


@app.command
def rename(
    campaign: Annotated[str, Parameter(help="A campaign, such as C1.")],
    name: Annotated[str, Parameter(help="What your team calls it.")],
    *,
    by: By = "",
    casebook: CasebookFolder = DEFAULT_CASEBOOK,
) -> int:
    """Give a campaign a name of your own; its id stays.

    Example: tocsin campaigns rename C1 "winter tutors"

    Exit codes: 0 done; 2 no such campaign.
    """
    from tocsin.detect.casebook.campaigns import rename

    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise BadName(f"a name has 1 to {MAX_NAME} printable characters")
    with open_book(casebook) as book:
        rename(book, campaign, name, reviewer(by), now())
    say(f"{campaign} is called {name}")
    return 0


@app.command
def rooms(*, config: Config = DEFAULT_CONFIG, json: Json = False) -> int:
    """List the rooms that reports of your values named, or that you opened.

    Example: tocsin campaigns rooms

    Exit codes: 0 some; 1 none.
    """
    from tocsin.cli.options import connect
    from tocsin.sealing.rooms import room_id

    with connect(config) as client:
        names = [room_id(key).hex() for key in client.rooms()]
    if json:
        print_json({"rooms": names})
    else:
        print_table("Rooms that you can read", ("room",), [(name,) for name in names])
    return 0 if names else 1


@app.command(name="open")
def open_room(
    campaign: Annotated[str, Parameter(help="A campaign, such as C1, of which you confirmed accounts.")],
    *,
    abuse: Annotated[str, Parameter(help="Such as distillation; see `tocsin submit --help`.")],
    confidence: Annotated[int, Parameter(help="How sure you are, in percent.")],
    embargo: Annotated[str | None, Parameter(help="Ask everybody not to act before this day.")] = None,
    exchanges: Annotated[int, Parameter(help="Exchanges of the campaign at you, as a power of two.")] = 0,
    config: Config = DEFAULT_CONFIG,
    casebook: CasebookFolder = DEFAULT_CASEBOOK,
    state: State = DEFAULT_STATE,
    json: Json = False,
) -> int:
    """Open a room: report the values that name it, and say in it what you see.

    Only values of types that may stand alone name a room, and only where two of your confirmed accounts hold them.

    Example: tocsin campaigns open C1 --abuse distillation --confidence 90

    Exit codes: 0 opened; 2 nothing can name the room; 3 unavailable; 4 refused.
    """
    from tocsin.cli.options import sending
    from tocsin.client import ReportDraft
    from tocsin.client.rooms import new_campaign_key
    from tocsin.detect.campaigns import naming_values
    from tocsin.sealing.rooms import room_id

    found = _campaign(casebook, campaign)
    if found.room:
        raise NothingToSay(
            f"{found.id} already has room {found.room}; use `tocsin campaigns update {found.id}`"
        )
    sighting = _draft(state, found, abuse, confidence, embargo, exchanges)
    naming = naming_values(state, found)
    if not naming:
        raise NothingToSay(
            f"no value of {found.id} can name a room: it takes a template, a set of tools, a wallet or a payment "
            "account that two confirmed accounts hold and nobody reported yet. Join the room of whoever reported it"
        )
    key = new_campaign_key()
    drafts = [
        ReportDraft(
            (value.type, value.value), abuse, confidence=confidence, first_seen=value.first_day * _DAY,
            last_seen=value.last_day * _DAY, bad_accounts=value.confirmed, campaign_key=key,
        )
        for value in naming
    ]  # fmt: skip
    with sending(config) as client:
        # Reported first: if the rest fails, opening again under a fresh key replaces these labels.
        reported = client.submit(drafts)
        if reported.refused and not reported.accepted:
            raise reported.refused[0]
        receipt = client.update_room(key, sighting=sighting, campaign=sighting)
        _set_room(casebook, found.id, room_id(key).hex())
    return _said(receipt, room_id(key).hex(), json, reported=reported.accepted)


@app.command
def update(
    campaign: Annotated[str, Parameter(help="A campaign, such as C1, of which you confirmed accounts.")],
    *,
    abuse: Annotated[str, Parameter(help="Such as distillation.")],
    confidence: Annotated[int, Parameter(help="How sure you are, in percent.")],
    room: Annotated[
        str, Parameter(help="The room to join, 16 hex digits; by default the campaign's own.")
    ] = "",
    status: Annotated[str, Parameter(help="open, acted-on, closed or withdrawn.")] = "open",
    embargo: Annotated[str | None, Parameter(help="Ask everybody not to act before this day.")] = None,
    exchanges: Annotated[int, Parameter(help="Exchanges of the campaign at you, as a power of two.")] = 0,
    config: Config = DEFAULT_CONFIG,
    casebook: CasebookFolder = DEFAULT_CASEBOOK,
    state: State = DEFAULT_STATE,
    json: Json = False,
) -> int:
    """Say in a room what you see now, in place of what you said before; this joins a room that others opened.

    Example: tocsin campaigns update C1 --room 0123456789abcdef --abuse resale --confidence 80

    Exit codes: 0 said; 2 no such campaign or room, or no confirmed account; 3 unavailable; 4 refused.
    """
    from tocsin.cli.options import sending

    found = _campaign(casebook, campaign)
    name = room or found.room
    if not name:
        raise NoSuchRoom(f"{found.id} has no room; name one with --room, or open one")
    sighting = _draft(state, found, abuse, confidence, embargo, exchanges, status)
    with sending(config) as client:
        receipt = client.update_room(_key(client.rooms(), name), sighting=sighting)
    _set_room(casebook, found.id, name)
    return _said(receipt, name, json)


@app.command
def leave(
    name: Annotated[str, Parameter(help="A campaign, such as C1, or a room's 16 hex digits.")],
    *,
    config: Config = DEFAULT_CONFIG,
    casebook: CasebookFolder = DEFAULT_CASEBOOK,
    json: Json = False,
) -> int:
    """Take back everything that you said in a room.

    Example: tocsin campaigns leave C1

    Exit codes: 0 done; 2 no such campaign or room; 3 unavailable.
    """
    from tocsin.cli.options import sending

    room = _room_of(casebook, name)
    with sending(config) as client:
        receipt = client.leave_room(_key(client.rooms(), room))
    return _said(receipt, room, json)


@app.command
def link(
    first: Annotated[str, Parameter(help="A campaign or a room in which you have an entry.")],
    second: Annotated[str, Parameter(help="Another one.")],
    *,
    config: Config = DEFAULT_CONFIG,
    casebook: CasebookFolder = DEFAULT_CASEBOOK,
    json: Json = False,
) -> int:
    """Say in two rooms that they are one campaign. Members of each room can then read the other.

    Example: tocsin campaigns link C1 0123456789abcdef

    Exit codes: 0 said; 2 no such room, or no entry of yours in it; 3 unavailable.
    """
    from tocsin.cli.options import sending

    names = _room_of(casebook, first), _room_of(casebook, second)
    with sending(config) as client:
        known = client.rooms()
        receipt = client.link_rooms(_key(known, names[0]), _key(known, names[1]))
    return _said(receipt, " and ".join(names), json)


def _campaign(casebook: Path, id: str) -> Campaign:
    from tocsin.detect.casebook.campaigns import campaign_of_id

    with open_book(casebook) as book:
        return campaign_of_id(book, id, now())


def _set_room(casebook: Path, campaign: str, room: str) -> None:
    from tocsin.detect.casebook.campaigns import set_room

    with open_book(casebook) as book:
        set_room(book, campaign, room, reviewer(""), now())


def _is_campaign(name: str) -> bool:
    return name.startswith("C")


def _named(campaign: Campaign) -> Cell:
    return campaign.id if campaign.name == campaign.id else (campaign.id, *wrapped(campaign.name, 20))


def _room_of(casebook: Path, name: str) -> str:
    if not _is_campaign(name):
        return name
    room = _campaign(casebook, name).room
    if not room:
        raise NoSuchRoom(f"{name} has no room; open one with `tocsin campaigns open {name}`")
    return room


def _key(known: tuple[CampaignKey, ...], name: str) -> CampaignKey:
    from tocsin.sealing.rooms import room_id

    for key in known:
        if room_id(key).hex() == name:
            return key
    raise NoSuchRoom(
        f"no room {name} is known here; `tocsin campaigns rooms` lists those that reports of your values named"
    )


def _draft(
    state: Path,
    found: Campaign,
    abuse: str,
    confidence: int,
    embargo: str | None,
    exchanges: int,
    status: str = "open",
) -> RoomDraft:
    from tocsin.client.rooms import RoomDraft
    from tocsin.detect.campaigns import seen_days
    from tocsin.indicators.registry import TYPES

    if not found.confirmed:
        # M-5.29: a sighting counts what a person confirmed.
        raise NothingToSay(f"no account of {found.id} is confirmed; review it first")
    first, last = seen_days(state, found.confirmed)
    try:
        day = None if embargo is None else date.fromisoformat(embargo)
    except ValueError:
        raise NothingToSay("--embargo must be a day such as 2026-06-05") from None
    return RoomDraft(
        abuse, len(found.confirmed), confidence=confidence, first_seen=first * _DAY, last_seen=last * _DAY,
        exchanges=exchanges, status=status, embargo=day,
        joining={type: many for type, many in found.joining().items() if type in TYPES},
    )  # fmt: skip


def _said(receipt: Receipt, room: str, json: bool, *, reported: int = 0) -> int:
    if json:
        print_json({"room": room, "accepted": receipt.accepted, "reported": reported})
    else:
        said = f"{counted(receipt.accepted, 'entry', 'entries')} of room {room} accepted"
        say(said + (f", and {counted(reported, 'report')} that name it" if reported else ""))
    return 0


def _print_campaign(campaign: Campaign) -> None:
    called = "" if campaign.name == campaign.id else f", called {campaign.name}"
    accounts = counted(len(campaign.accounts), "account")
    since = f", since {_date(campaign.since)}" if campaign.since is not None else ""
    say(f"{campaign.id}{called}: {accounts}, {len(campaign.confirmed):,} confirmed{since}\n")
    values = sorted(campaign.values, key=lambda value: (-len(value.accounts), value.type, value.key))
    hubs = sorted(campaign.hubs, key=lambda value: (-len(value.accounts), value.type, value.key))
    rows: list[tuple[Cell, ...]] = [
        (value.type, value.key[:8], f"{len(value.accounts):,}", _date(value.since), joins)
        for shown, joins in ((values, "yes"), (hubs, "no, a hub"))
        for value in shown[:MAX_VALUES]
    ]
    columns = ("type", "keyed hash", "accounts", "since", "joins them")
    print_table("Values that its accounts share", columns, rows)
    if (left := len(values) + len(hubs) - len(rows)) > 0:
        say(f"and {counted(left, 'value')} more: `--json` has the counts by type")


def _print_room(room: Room) -> None:
    from tocsin.client.results import word
    from tocsin.sealing.label import bucket_range

    def row(entry: MemberEntry) -> tuple[Cell, ...]:
        content, contact = entry.content, entry.contact
        low, high = bucket_range(content.accounts_bucket)
        return (
            (entry.writer_name + (" (you)" if entry.mine else ""), word(content.kind)),
            (f"{word(content.abuse)},", f"{content.confidence} %"),
            str(low) if low == high else f"{low:,}-{high:,}",
            (_week(content.first_week), _week(content.last_week)),
            (word(content.status), f"not before {_date(content.embargo_day)}" if content.embargo_day else ""),
            tuple(filter(None, (contact.email, contact.phone, contact.note))) or "no contact",
        )

    columns: tuple[Cell, ...] = ("member", "sees", "accounts", ("weeks", "seen"), "status", "call")
    print_table(f"Room {room.id}", columns, [row(entry) for entry in room.entries])
    for problem in room.problems:
        say(f"skipped entry {problem.index} of {problem.writer_name}: {problem.what}")


def _date(days: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=days)).isoformat()


def _week(week: int) -> str:
    return _date(week * 7)
