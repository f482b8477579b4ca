"""Rooms: reading what members say of a campaign, and saying it oneself.

Rules
1. A room is read under every member, this one too, every live period and every live epoch of class `content`. Of each
   writer's entries of one kind the one with the highest index counts (M-5.30).
2. Nothing is written but by `update`, `link` and `leave`, which a person calls (M-5.32), and by the renewal of what
   they wrote. A sighting takes the number of accounts that a person confirmed, and at least one (M-5.29).
3. What is written is class `content`, newest epoch, current period (M-5.25). An update keeps the links of the entry it
   replaces.
4. A link is shown only where one member's entries in both rooms name the other room (M-5.31).
5. Leaving retracts every tag of this member's in the room; what others wrote stays.
6. A campaign key is in no repr and in no JSON. A room is named by `room_id`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import date

from tocsin.charter.document import Charter, Contact
from tocsin.client import system
from tocsin.client.arguments import Moment, confidence, enum_member, moment, whole_number
from tocsin.client.charters import ActiveCharter
from tocsin.client.errors import BadArgument, DraftRefused, NotInRoom, RoomDraftRefused
from tocsin.client.matching import (
    Candidate,
    Opened,
    Subject,
    Taggers,
    freshness,
    look_up,
    open_room_entries,
)
from tocsin.client.results import Match, Problem, ProofFiles, Receipt, count_range, word
from tocsin.client.sealing import seal_content
from tocsin.client.session import Session
from tocsin.client.timestamps import day_of, iso_time, week_bounds
from tocsin.client.vault import Vault
from tocsin.client.vault_rooms import WrittenEntry
from tocsin.indicators.registry import TYPES, KeyClass
from tocsin.sealing.label import CAMPAIGN_KEY_BYTES, AbuseKind, ContentKind, Report, bucket
from tocsin.sealing.rooms import (
    MAX_LINKED,
    PURPOSES,
    BadRoomEntry,
    CampaignKey,
    RoomEntry,
    RoomStatus,
    check_embargo,
    decode_profile,
    encode_profile,
    encode_room_entry,
    parse_room_entry,
    room_id,
)
from tocsin.tlog.entry import WEEK_S
from tocsin.wire.values import WireEntry

_DAY = 86_400
_EPOCH = date(1970, 1, 1)
# Rooms that a room's entries name and that are opened to see whether the link stands there too.
_MAX_FOLLOWED = 16


@dataclass(frozen=True, slots=True)
class RoomDraft:
    """What a member wants to say in a room, of its own accounts (a sighting) or of the whole campaign.

    `accounts` and `exchanges` are counts, written as powers of two; `accounts` of a sighting are those that a person
    confirmed. `embargo` is a day before which you ask everybody not to act, at most 30 days ahead. `active` are the
    accounts active in each hour of the week, 168 counts from Monday 00:00 UTC. `joining` says how many values of each
    type join the campaign. Enums are also accepted as words, moments as in `ReportDraft`.
    """

    abuse: AbuseKind | str
    accounts: int
    _: KW_ONLY
    confidence: int | float
    first_seen: Moment
    last_seen: Moment
    exchanges: int = 0
    status: RoomStatus | str = RoomStatus.OPEN
    embargo: date | None = None
    active: Sequence[int] = ()
    joining: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MemberEntry:
    """What one member says in a room now, verified, and whom to call there. `mine` is your own entry."""

    writer: bytes
    writer_name: str
    mine: bool
    index: int
    content: RoomEntry
    checkpoint_time: int
    contact: Contact
    evidence: ProofFiles = field(default=ProofFiles(b"", b""), repr=False)

    def to_dict(self) -> dict[str, object]:
        """Return the one JSON form of a room's entry; linked campaigns by the names of their rooms."""
        content = self.content
        first, last = week_bounds(content.first_week, content.last_week)
        return {
            "writer": self.writer.hex(),
            "writer_name": self.writer_name,
            "mine": self.mine,
            "index": self.index,
            "kind": word(content.kind),
            "abuse": word(content.abuse),
            "accounts": count_range(content.accounts_bucket),
            "exchanges": count_range(content.exchanges_bucket),
            "seen": {"from": first, "to": last},
            "status": word(content.status),
            "confidence": content.confidence,
            "embargo": day_of(content.embargo_day),
            "profile": list(decode_profile(content.profile)) if any(content.profile) else None,
            "joining": [{"type": name, "values": count_range(many)} for name, many in content.joining],
            "linked": [room_id(key).hex() for key in content.linked],
            "checkpoint_time": iso_time(self.checkpoint_time),
            "contact": self.contact.json(),
        }


@dataclass(frozen=True, slots=True)
class Room:
    """A room as it is now: one row for each writer and kind, by name. `linked` are the links that stand (rule 4)."""

    key: CampaignKey
    entries: tuple[MemberEntry, ...]
    linked: tuple[CampaignKey, ...] = field(default=(), repr=False)
    problems: tuple[Problem, ...] = ()

    @property
    def id(self) -> str:
        """The room's name, 16 hex digits, the same at every member."""
        return room_id(self.key).hex()

    @property
    def mine(self) -> tuple[MemberEntry, ...]:
        """Your own entries."""
        return tuple(entry for entry in self.entries if entry.mine)

    @property
    def embargo(self) -> int:
        """The latest day, since 1970-01-01, before which a member asks not to act; 0 for none."""
        return max((entry.content.embargo_day for entry in self.entries), default=0)

    def to_dict(self) -> dict[str, object]:
        """Return {room, entries, linked, embargo, problems}; never a key."""
        return {
            "room": self.id,
            "entries": [entry.to_dict() for entry in self.entries],
            "linked": [room_id(key).hex() for key in self.linked],
            "embargo": day_of(self.embargo),
            "problems": [problem.to_dict() for problem in self.problems],
        }


def new_campaign_key() -> CampaignKey:
    """Return 32 random bytes that name a campaign from now on (M-5.24)."""
    return CampaignKey(system.random_bytes(CAMPAIGN_KEY_BYTES))


def remember_rooms(vault: Vault, matches: Iterable[Match], now: int) -> None:
    """Keep the campaign keys of reports that are about to be returned; nothing is written to any log (M-7.8)."""
    keys = {
        CampaignKey(match.label.campaign_key)
        for match in matches
        if isinstance(match.label, Report) and match.label.campaign_key is not None
    }
    if keys:
        vault.rooms.remember(keys, now)


def read(session: Session, key: CampaignKey, now: int) -> Room:
    """Read a room (rules 1 and 4)."""
    active = session.charter(now)
    entries, problems = _entries(session, active, key, now)
    named = sorted({other for entry in entries for other in entry.content.linked if other != key})
    linked = []
    for other in named[:_MAX_FOLLOWED]:
        # M-5.31: by one member, in both rooms.
        there, _ = _entries(session, active, other, now)
        back = {entry.writer for entry in there if key in entry.content.linked}
        if any(entry.writer in back for entry in entries if other in entry.content.linked):
            linked.append(other)
    return Room(key, entries, tuple(linked), problems)


def update(
    session: Session,
    key: CampaignKey,
    *,
    sighting: RoomDraft | None,
    campaign: RoomDraft | None,
    now: int,
) -> Receipt:
    """Say in a room what you see now, in place of what you said before. Raises `RoomDraftRefused`, `BadArgument`."""
    drafts = {ContentKind.CAMPAIGN: campaign, ContentKind.SIGHTING: sighting}
    given = {kind: draft for kind, draft in drafts.items() if draft is not None}
    if not given:
        raise BadArgument("sighting", "a RoomDraft, here or as campaign", None)
    active = session.charter(now)
    before = _own_contents(session, active, key, now)
    contents = []
    for kind, draft in given.items():
        linked = before[kind].linked if kind in before else ()
        contents.append(_content_of(kind, draft, linked, now))
    return _write(session, active, key, contents, now)


def link(session: Session, first: CampaignKey, second: CampaignKey, now: int) -> Receipt:
    """Say in both rooms that they are one campaign. Raises `NotInRoom` unless you have an entry in each."""
    if first == second:
        raise RoomDraftRefused("second", "link.same", "a room cannot be linked with itself; name two rooms")
    active = session.charter(now)
    contents = {}
    for key, other in ((first, second), (second, first)):
        own = _own_contents(session, active, key, now)
        if not own:
            raise NotInRoom(room_id(key).hex())
        content = own.get(ContentKind.SIGHTING) or own[ContentKind.CAMPAIGN]
        linked = tuple(sorted({*content.linked, other}))
        if len(linked) > MAX_LINKED:
            raise RoomDraftRefused(
                "second",
                "link.count",
                f"your entry in room {room_id(key).hex()} already names {MAX_LINKED} other campaigns, the most it can",
            )
        try:
            contents[key] = replace(content, linked=linked)
        except BadRoomEntry as error:
            raise RoomDraftRefused(error.field, f"room.{error.field}", str(error)) from error
    receipts = [_write(session, active, key, [content], now) for key, content in contents.items()]
    return Receipt(
        sum(receipt.accepted for receipt in receipts),
        submissions=tuple(submission for receipt in receipts for submission in receipt.submissions),
    )


def leave(session: Session, key: CampaignKey, now: int) -> Receipt:
    """Take back everything you said in a room (rule 5). `accepted` counts the entries covered."""
    active = session.charter(now)
    # M-5.32: in every live period and epoch.
    taggers = _taggers(active, [active.member.id], now)
    tags = b"".join(tags for subject in _subjects(active, key, now) for _, tags in taggers.slots(subject))
    requests = session.outbox.enqueue_retraction(tags, now)
    session.vault.rooms.forget_written(key)
    return Receipt(session.outbox.flush(session.node, now).accepted(requests), (), requests)


def renew(session: Session, active: ActiveCharter, now: int) -> tuple[bytes, ...]:
    """Put into the outbox again what this client wrote in rooms and is live only in an earlier period (M-5.32, M-7.9).

    Returns the requests' keys.
    """
    current = active.charter.period_at(now)
    requests: tuple[bytes, ...] = ()
    for written in session.vault.rooms.written():
        if written.period >= current:
            continue
        live = _own_entries(session, active, written.key, now).get(written.kind)
        if live is None or live.candidate.slot.info.period >= current:
            continue
        requests += _enqueue(session, active, written.key, [live.content], now)
    return requests


def _content_of(kind: ContentKind, draft: RoomDraft, linked: tuple[CampaignKey, ...], now: int) -> RoomEntry:
    accounts = whole_number("accounts", draft.accounts)
    exchanges = whole_number("exchanges", draft.exchanges)
    if kind is ContentKind.SIGHTING and accounts < 1:
        # M-5.29: without a confirmed account there is no sighting.
        raise RoomDraftRefused(
            "accounts",
            "sighting.confirmed",
            "a sighting needs at least one account that a person of yours confirmed; review the campaign first",
        )
    if min(accounts, exchanges) < 0:
        raise RoomDraftRefused("accounts", "count.range", "accounts and exchanges must be 0 or more")
    first, last = _moment("first_seen", draft.first_seen), _moment("last_seen", draft.last_seen)
    if last < first or last > now + _DAY:
        raise RoomDraftRefused(
            "last_seen", "last-seen.order", "last_seen must be neither before first_seen nor in the future"
        )
    for name, many in draft.joining.items():
        if name not in TYPES or whole_number("joining", many) < 1:
            raise RoomDraftRefused(
                "joining",
                "joining.type",
                "joining must name registered types, each with a count of at least 1",
            )
    embargo = 0 if draft.embargo is None else (draft.embargo - _EPOCH).days
    try:
        # M-5.28: at most 30 days after the day of writing.
        check_embargo(embargo, now // _DAY)
        return RoomEntry(
            kind=kind,
            abuse=enum_member(AbuseKind, "abuse", draft.abuse, 0),
            accounts_bucket=bucket(accounts),
            exchanges_bucket=bucket(exchanges),
            first_week=first // WEEK_S,
            last_week=last // WEEK_S,
            status=enum_member(RoomStatus, "status", draft.status, 0),
            confidence=confidence(draft.confidence, 0),
            embargo_day=embargo,
            profile=encode_profile(draft.active, accounts) if draft.active else bytes(42),
            joining=tuple(sorted((name, bucket(many)) for name, many in draft.joining.items())),
            linked=linked,
        )
    except BadRoomEntry as error:
        raise RoomDraftRefused(error.field, f"room.{error.field.replace('_', '-')}", str(error)) from error
    except DraftRefused as error:
        raise RoomDraftRefused(error.field, error.rule, error.fix) from error


def _moment(name: str, given: Moment) -> int:
    try:
        return moment(name, given, 0)
    except DraftRefused as error:
        raise RoomDraftRefused(error.field, error.rule, error.fix) from error


def _write(
    session: Session, active: ActiveCharter, key: CampaignKey, contents: Sequence[RoomEntry], now: int
) -> Receipt:
    requests = _enqueue(session, active, key, contents, now)
    return Receipt(session.outbox.flush(session.node, now).accepted(requests), (), requests)


def _enqueue(
    session: Session, active: ActiveCharter, key: CampaignKey, contents: Sequence[RoomEntry], now: int
) -> tuple[bytes, ...]:
    requests = session.outbox.enqueue_entries([_seal(active, key, content, now) for content in contents], now)
    period = active.charter.period_at(now)
    for content in contents:
        written = WrittenEntry(key, content.kind, encode_room_entry(content), period, requests[0])
        session.vault.rooms.keep_written(written, now)
    return requests


def _seal(active: ActiveCharter, key: CampaignKey, content: RoomEntry, now: int) -> WireEntry:
    # M-5.25: class `content`, its newest epoch, the current period.
    newest = active.live_classes(KeyClass.CONTENT, now)[0]
    purpose = PURPOSES[content.kind]
    return seal_content(active, newest, key, purpose, encode_room_entry(content), now, system.random_bytes)


def _subjects(active: ActiveCharter, key: CampaignKey, now: int) -> list[Subject]:
    return [
        Subject(room_id(key), "", class_key.key_class, class_key.epoch, key)
        for class_key in active.readable_keys(KeyClass.CONTENT, now)
    ]


def _taggers(active: ActiveCharter, writers: Iterable[bytes], now: int) -> Taggers:
    return Taggers(active, writers, active.periods(0, now), tuple(PURPOSES.values()))


def _opened(
    session: Session, active: ActiveCharter, key: CampaignKey, writers: Iterable[bytes], now: int
) -> tuple[list[Opened[RoomEntry]], tuple[Problem, ...]]:
    taggers = _taggers(active, writers, now)
    newest: dict[tuple[bytes, str], Candidate] = {}
    for candidate in look_up(session.node, taggers, _subjects(active, key, now)):
        # M-5.30: of each writer and kind the entry with the highest index.
        place = candidate.writer, candidate.slot.purpose
        if place not in newest or newest[place].index < candidate.index:
            newest[place] = candidate
    opened = open_room_entries(session.node, active, list(newest.values()), now)
    return list(opened.opened), opened.problems


def _entries(
    session: Session, active: ActiveCharter, key: CampaignKey, now: int
) -> tuple[tuple[MemberEntry, ...], tuple[Problem, ...]]:
    writers = [member.id for member in active.charter.members]
    opened, problems = _opened(session, active, key, writers, now)
    entries = [_member_entry(active.charter, entry, active.member.id) for entry in opened]
    return tuple(sorted(entries, key=lambda entry: (entry.writer_name, entry.content.kind))), problems


def _member_entry(charter: Charter, opened: Opened[RoomEntry], me: bytes) -> MemberEntry:
    member = charter.member(opened.candidate.writer)
    return MemberEntry(
        writer=member.id,
        writer_name=member.name,
        mine=member.id == me,
        index=opened.candidate.index,
        content=opened.content,
        checkpoint_time=freshness(charter, opened.checkpoint),
        contact=member.contact,
        evidence=opened.proof,
    )


def _own_entries(
    session: Session, active: ActiveCharter, key: CampaignKey, now: int
) -> dict[ContentKind, Opened[RoomEntry]]:
    opened, _ = _opened(session, active, key, [active.member.id], now)
    return {entry.content.kind: entry for entry in opened}


def _own_contents(
    session: Session, active: ActiveCharter, key: CampaignKey, now: int
) -> dict[ContentKind, RoomEntry]:
    """Return what this member last said in a room: by the vault while that waits for a tick, else by the log."""
    contents = {kind: entry.content for kind, entry in _own_entries(session, active, key, now).items()}
    for written in session.vault.rooms.written():
        if written.key == key and _is_waiting(session, written.submission):
            contents[written.kind] = parse_room_entry(written.content, now // _DAY)
    return contents


def _is_waiting(session: Session, submission: bytes) -> bool:
    if any(row.idempotency_key == submission for row in session.vault.outbox()):
        return True
    state = session.node.submission(submission)
    return state is not None and not state.sequenced
