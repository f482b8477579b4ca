"""Sharing on what reviewers confirmed after a match: which values, resting on what, and when they are taken back.

1. Shared on are the values of accounts that people confirmed one by one, for a reason of their own: never by sample,
   and never where only the match speaks against the account.
2. A report names up to 16 of the entries that its accounts rest on, those with the fewest hops first, and has one hop
   more than the farthest of them. What is marked red or amber-strict, or has as many hops as the charter allows, is not
   passed on. A report is marked as strictly as the strictest of what it rests on.
3. Left out are values that many of your accounts hold, and values that you report yourself: that says more.
4. What no longer rests on anything that stands, or of which no account is confirmed any more, is taken back. Where your
   own list has the account, the report stays and says so: it is your own detection then.
5. The casebook says what is to be sent before it is sent, so an interrupted call is finished by the next one.
6. Nothing is shared on until the team's verdicts have been shown to agree.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tocsin.client.drafts import ReportDraft
from tocsin.detect.casebook import measuring
from tocsin.detect.casebook.book import Casebook
from tocsin.detect.casebook.shared import (
    Confirmed,
    Place,
    Resting,
    SharedRow,
    confirmed_accounts,
    note_act,
    note_planned,
    note_sent,
    note_withdrawn,
    shared_rows,
)
from tocsin.detect.errors import AgreementTooLow
from tocsin.detect.held import Held, HeldValue, held_by
from tocsin.detect.unwinding import EntryId
from tocsin.indicators.registry import TYPES
from tocsin.sealing.label import MAX_RESTS_ON, AbuseKind, Evidence, Tlp

if TYPE_CHECKING:
    from tocsin.client import Client
    from tocsin.client.errors import DraftRefused, ValueRefused

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class SharedValue:
    """A value to share on: `accounts` confirmed ones hold it; no `rests_on` where your own list has them."""

    type: str
    value: str = field(repr=False)
    flags: frozenset[int]
    rests_on: tuple[EntryId, ...]
    hops: int
    tlp: Tlp
    abuse: int
    first_day: int
    last_day: int

    def draft(self, confidence: int) -> ReportDraft:
        """Return the report that says so."""
        return ReportDraft(
            (self.type, self.value), AbuseKind(self.abuse), confidence=confidence,
            first_seen=self.first_day * _DAY, last_seen=self.last_day * _DAY, bad_accounts=len(self.flags),
            tlp=self.tlp, rests_on=self.rests_on, hops=self.hops,
            evidence=Evidence.REVIEWED_MATCH if self.rests_on else Evidence.OWN_DETECTION,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class SharingPlan:
    """What is to be sent. `left_out` counts values by why not; `lost` are types of values that the holdings no longer
    have, so that nobody can take them back by this command.
    """

    share: tuple[SharedValue, ...]
    withdraw: tuple[tuple[str, str], ...] = field(repr=False)
    unchanged: int
    left_out: Mapping[str, int]
    lost: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """Return counts by type, JSON-ready; never a value."""
        return {
            "share": dict(sorted(Counter(value.type for value in self.share).items())),
            "withdraw": dict(sorted(Counter(type for type, _ in self.withdraw).items())),
            "unchanged": self.unchanged,
            "left_out": dict(sorted(self.left_out.items())),
            "lost": dict(sorted(Counter(self.lost).items())),
        }


@dataclass(frozen=True, slots=True)
class SharingDone:
    """How many values were shared on and taken back, and the reports that the rules refused."""

    shared: int
    withdrawn: int
    refused: tuple[ValueRefused | DraftRefused, ...]

    def to_dict(self) -> dict[str, object]:
        """Return every field under its name, JSON-ready."""
        return {
            "shared": self.shared, "withdrawn": self.withdrawn,
            "refused": [refusal.to_dict() for refusal in self.refused],
        }  # fmt: skip


def check_agreement(book: Casebook) -> None:
    """Raise `AgreementTooLow` where the team's verdicts do not allow sharing on (rule 6)."""
    with book.database.reading() as connection:
        agreed = measuring.agreement(connection)
    pairs, percent = book.settings.share_pairs, book.settings.share_agreement
    if agreed.pairs < pairs or (agreed.percent or 0) < percent:
        raise AgreementTooLow(
            f"sharing on needs {percent} % agreement over {pairs} pairs of verdicts; there are {agreed.pairs} pairs"
            + (f" with {agreed.percent:.0f} %" if agreed.percent is not None else "")
            + ": put decided flags into the golden set (`tocsin review golden`) and let others decide them, too"
        )


def plan_sharing(book: Casebook, client: Client, source: str) -> SharingPlan:
    """Compare what should be shared on with what is. Raises `BadHoldings`, `ExtraMissing` and the client's errors."""
    with book.database.reading() as connection:
        confirmed, recorded = confirmed_accounts(connection), shared_rows(connection)
    current = client.current_entries(
        {entry.id for account in confirmed for entry in account.resting}
        | {entry for row in recorded for entry in row.rests_on}
    )
    held = held_by(book, source, [account.account for account in confirmed], {row.place for row in recorded})
    left_out: Counter[str] = Counter()
    wanted = _wanted(book, client, confirmed, recorded, current, held, left_out)
    rows: dict[Place, list[SharedRow]] = defaultdict(list)
    for row in recorded:
        rows[row.place].append(row)
    share, withdraw, lost, unchanged = [], [], [], 0
    for place, value in wanted.items():
        before = rows.get(place, [])
        now = {current.get(entry, entry) for row in before for entry in row.rests_on}
        same = before and {row.flag for row in before} == value.flags and now == set(value.rests_on)
        if same and all(row.sent for row in before):
            unchanged += 1
        else:
            share.append(value)
    for place in rows.keys() - wanted.keys():
        found = held.values.get(place)
        if found is None:
            lost.append(place[0])
        else:
            withdraw.append((place[0], found.value))
    return SharingPlan(tuple(share), tuple(sorted(withdraw)), unchanged, left_out, tuple(sorted(lost)))


def _wanted(
    book: Casebook, client: Client, confirmed: Collection[Confirmed], recorded: Collection[SharedRow],
    current: Mapping[EntryId, EntryId | None], held: Held, left_out: Counter[str],
) -> dict[Place, SharedValue]:  # fmt: skip
    """Return every value that should be shared on, by its place (rules 1 to 4)."""
    is_shared = {row.place for row in recorded}
    holders: dict[Place, list[Confirmed]] = defaultdict(list)
    for account in confirmed:
        for place in held.places.get(account.account, ()):
            holders[place].append(account)
    known = {place: held.values[place] for place in holders}
    own = _own_reports(client, known) - is_shared
    wanted = {}
    for place, accounts in sorted(holders.items()):
        value = known[place]
        resting = _standing(
            (entry for account in accounts for entry in account.resting),
            current,
            client.charter.policy.max_hops,
        )
        why = _why_not(place, value.accounts, book.settings.share_holders, own)
        if why is not None:
            left_out[why] += 1
            continue
        # Rule 4: what nothing stands for any more stays only as a detection of the member's own.
        if not resting and not (place in is_shared and any(account.known for account in accounts)):
            continue
        wanted[place] = SharedValue(
            place[0], value.value, frozenset(account.flag for account in accounts),
            tuple(entry.id for entry in resting), max((entry.hops + 1 for entry in resting), default=0),
            min((entry.tlp for entry in resting), default=Tlp.AMBER),
            Counter(account.abuse for account in accounts).most_common(1)[0][0], value.first_day, value.last_day,
        )  # fmt: skip
    return wanted


def _why_not(place: Place, accounts: int, most: int, own: Collection[Place]) -> str | None:
    if place[0] not in TYPES or place[0] == "payment.composite":
        return "a type that is not reported alone"
    if accounts > most:
        return f"held by more than {most} of your accounts"
    return "reported by you already" if place in own else None


def _standing(
    entries: Iterable[Resting], current: Mapping[EntryId, EntryId | None], max_hops: int
) -> list[Resting]:
    """Rule 2: what stands of these and may be passed on."""
    best: dict[EntryId, Resting] = {}
    for entry in entries:
        now = current.get(entry.id, entry.id)
        if now is None or entry.tlp <= Tlp.AMBER_STRICT or entry.hops >= max_hops:
            continue
        found = Resting(now, entry.hops, entry.tlp)
        best[now] = min(best.get(now, found), found, key=lambda one: one.hops)
    return sorted(best.values(), key=lambda entry: (entry.hops, entry.id))[:MAX_RESTS_ON]


def _own_reports(client: Client, held: Mapping[Place, HeldValue]) -> set[Place]:
    """Return which of these values the member's client has reported."""
    reported = client.reported()
    places = list(held)
    refused = {
        refusal.position for refusal in client.check((type, held[type, key].value) for type, key in places)
    }
    return {
        place
        for position, place in enumerate(places)
        if position not in refused and client.key_of((place[0], held[place].value)) in reported
    }


def carry_out(
    book: Casebook, client: Client, plan: SharingPlan, confidence: int, who: str, now: int
) -> SharingDone:
    """Send what a plan says (rule 5). Raises the client's errors; what was done by then is written down."""
    places = {(value.type, book.key_of(value.type, value.value)): value for value in plan.share}
    with book.database.writing() as connection:
        for place, value in places.items():
            note_planned(connection, place, value.flags)
    if plan.withdraw:
        client.retract(plan.withdraw)
        with book.database.writing() as connection:
            for type, text in plan.withdraw:
                note_withdrawn(connection, (type, book.key_of(type, text)), now)
    refused: tuple[ValueRefused | DraftRefused, ...] = ()
    if plan.share:
        refused = client.submit(value.draft(confidence) for value in plan.share).refused
    positions = {refusal.position for refusal in refused}
    with book.database.writing() as connection:
        for position, (place, value) in enumerate(places.items()):
            if position in positions:
                note_withdrawn(connection, place, now)
            else:
                note_sent(connection, place, value.flags, value.rests_on, now)
        note_act(connection, who, len(places) - len(positions), len(plan.withdraw), now)
    return SharingDone(len(places) - len(positions), len(plan.withdraw), refused)
