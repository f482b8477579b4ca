"""What is known of one campaign, gathered from the casebook for whoever shows it.

1. An account is its flag's number and a value its keyed hash, unless the caller asks for them by `unmasked`.
2. A report that its writer shares less widely than `widest` allows is counted and not shown: neither its writer nor its
   entry. One whose marking is unknown counts as TLP:RED.
3. The order of everything is fixed, so that the same casebook gives the same page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tocsin.detect.campaigns import Campaign, JoiningValue
from tocsin.detect.casebook import history
from tocsin.detect.casebook.book import Casebook
from tocsin.detect.casebook.campaigns import campaign_of_id
from tocsin.detect.casebook.flags import Flag, abuse_name
from tocsin.detect.casebook.record import Decided, Entry, record_of
from tocsin.detect.casebook.settings import CONFIRMED, REJECTED
from tocsin.detect.rules import in_bits
from tocsin.sealing.label import Tlp

DAY = 86_400


@dataclass(frozen=True, slots=True)
class Value:
    """A value that accounts of the campaign share. `shown` stands for it (rule 1); `accounts` are flags' numbers."""

    type: str
    key: str
    shown: str
    group: str
    accounts: tuple[int, ...]
    since: int
    hub: bool
    bits: float
    own: int
    holders: int
    established: int
    entries: tuple[Entry, ...]
    withheld: int
    disputed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the campaign; `first_day` and `last_day` where the holdings were read."""

    no: int
    shown: str
    state: str
    confirmed: bool
    sampled: bool
    known: bool
    bits: float
    flagged_at: int
    decided_at: int
    first_day: int | None = None
    last_day: int | None = None


@dataclass(frozen=True, slots=True)
class CampaignFile:
    """Everything about one campaign at `now`. `tlp` marks the whole: the strictest of what is in it, at least AMBER."""

    id: str
    name: str
    abuse: str
    room: str
    now: int
    created: int
    accounts: tuple[Account, ...]
    values: tuple[Value, ...]
    hubs: tuple[Value, ...]
    decisions: tuple[Decided, ...]
    events: tuple[history.Event, ...]
    tlp: Tlp
    withheld: int
    unmasked: bool

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every report that may be shown, once, by writer and index."""
        return tuple(sorted({entry for value in (*self.values, *self.hubs) for entry in value.entries}))

    @property
    def confirmed(self) -> int:
        """How many accounts people confirmed."""
        return sum(account.confirmed for account in self.accounts)


@dataclass(frozen=True, slots=True)
class Held:
    """What the member's holdings say of the campaign's accounts: (account, type, value, first day, last day)."""

    rows: tuple[tuple[str, str, str, int, int], ...] = field(default=(), repr=False)


def read_held(source: str, accounts: Iterable[str]) -> Held:
    """Read these accounts' holdings. Raises `BadHoldings`, `ExtraMissing`."""
    from tocsin.detect import holdings
    from tocsin.detect.errors import ExtraMissing

    try:
        import ibis
    except ImportError:
        raise ExtraMissing("ibis-framework") from None
    wanted = sorted(accounts)
    table: Any = holdings.holdings(holdings.open_table(source, ibis.duckdb.connect()), source)
    rows = table.filter(table.account.isin(wanted)).distinct().to_pyarrow().to_pydict()
    columns = ("account", "type", "value", "first_day", "last_day")
    return Held(tuple(sorted(zip(*(rows[name] for name in columns), strict=True))))


def gather(
    book: Casebook, id: str, now: int, *, widest: Tlp, held: Held | None, unmasked: bool
) -> CampaignFile:
    """Return what is known of a campaign. Raises `NoSuchCampaign`."""
    campaign = campaign_of_id(book, id, now)
    held = held or Held()
    record = record_of(book, campaign)
    flags, entries, verdicts = record.flags, record.entries, record.decisions
    texts = {book.key_of(type, value).hex(): value for _, type, value, _, _ in held.rows} if unmasked else {}
    reasons = _reasons(flags)
    number = {flag.account: flag.no for flag in flags}

    def value(of: JoiningValue) -> Value:
        said = reasons.get((of.type, of.key), {})
        all_entries = entries.get((of.type, of.key), ())
        may_be_shown = tuple(entry for entry in all_entries if entry.tlp >= widest)
        names = {entry.writer_name for entry in may_be_shown}
        return Value(
            of.type, of.key, texts.get(of.key, f"#{of.key[:8]}"), said.get("group", ""),
            tuple(sorted(number[account] for account in of.accounts)), of.since, of.hub, said.get("bits", 0),
            said.get("own", 0), said.get("holders", 0), said.get("established", 0), may_be_shown,
            len(all_entries) - len(may_be_shown),
            tuple(name for name in said.get("disputed", ()) if name in names),
        )  # fmt: skip

    def ordered(found: Sequence[JoiningValue]) -> tuple[Value, ...]:
        return tuple(
            sorted(map(value, found), key=lambda one: (-len(one.accounts), -one.bits, one.type, one.key))
        )

    seen = _seen(held)
    accounts = tuple(_account(flag, seen.get(flag.account), unmasked=unmasked) for flag in flags)
    values, hubs = ordered(campaign.values), ordered(campaign.hubs)
    shown = {entry for one in (*values, *hubs) for entry in one.entries}
    every = {entry for of_value in entries.values() for entry in of_value}
    kinds = Counter(flag.abuse for flag in flags)
    return CampaignFile(
        id, campaign.name, abuse_name(min(kinds, key=lambda kind: (-kinds[kind], kind))), campaign.room, now,
        record.created, accounts, values, hubs, verdicts, record.events,
        min([Tlp.AMBER, *(entry.tlp for entry in shown)]), sum(entry.tlp < widest for entry in every), unmasked,
    )  # fmt: skip


def accounts_of(book: Casebook, id: str, now: int) -> Campaign:
    """Return a campaign, for whoever reads holdings first. Raises `NoSuchCampaign`."""
    return campaign_of_id(book, id, now)


def _reasons(flags: Sequence[Flag]) -> dict[tuple[str, str], dict[str, Any]]:
    """What is said of each value, by its type and keyed hash: of the accounts, the one that says most."""
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for flag in flags:
        for reason in flag.explanation.get("reasons", ()):
            place = reason["type"], reason["value_key"]
            if place not in best or (reason["bits"], reason["own"]) > (
                best[place]["bits"],
                best[place]["own"],
            ):
                best[place] = reason
    return best


def _seen(held: Held) -> Mapping[str, tuple[int, int]]:
    days: dict[str, tuple[int, int]] = {}
    for account, _, _, first, last in held.rows:
        before = days.get(account, (first, last))
        days[account] = min(before[0], first), max(before[1], last)
    return days


def _account(flag: Flag, days: tuple[int, int] | None, *, unmasked: bool) -> Account:
    confirmed = flag.state == CONFIRMED or flag.known
    first, last = days or (None, None)
    state = (
        "confirmed before"
        if flag.known
        else "open"
        if flag.state not in {CONFIRMED, REJECTED}
        else flag.state
    )
    return Account(
        flag.no, flag.account if unmasked else f"#{flag.no}", state, confirmed, flag.sampled, flag.known,
        in_bits(flag.bits), flag.first_time, flag.decided, first, last,
    )  # fmt: skip
