"""The casebook's tables.

1. An account is in `flag` alone; every other table names the flag's number. So forgetting an account touches one place,
   and the history, which is never changed, holds no account.
2. Values are in no table: `value_key` is a keyed hash of 16 bytes.
3. Times are unix seconds; bits are steps of half a bit.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, Text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

_Number = BigInteger().with_variant(Integer, "sqlite")
"""A key that the database counts up itself: SQLite does that for a column of type INTEGER only."""


class _Table(SQLModel, registry=registry()):
    """What every table of this database derives from."""


def _key() -> Column[int]:
    return Column(BigInteger, primary_key=True, autoincrement=False)


def _number() -> Column[int]:
    return Column(BigInteger, nullable=False)


def _text() -> Column[str]:
    return Column(Text, nullable=False)


def _truth() -> Column[bool]:
    return Column(Boolean, nullable=False)


def _bytes() -> Column[bytes]:
    return Column(LargeBinary, nullable=False)


class Meta(_Table, table=True):
    """One row: a mark of the key that the hashes were made with, the last detection run taken, the history's last
    hash.
    """

    __tablename__ = "meta"
    no: int = Field(sa_column=_key())
    key_mark: bytes = Field(sa_column=_bytes())
    run: int = Field(sa_column=_number())
    last_hash: bytes = Field(sa_column=_bytes())


class Flag(_Table, table=True):
    """An account that something speaks against: a flag, a candidate, or one drawn at random.

    `run` is the last run that scored it; `known` says that the member's own list has it as confirmed, outside the
    casebook. `account` is NULL once forgotten. `root` is the one member whose judgement it rests on, or NULL. `round`
    counts reopenings: only verdicts of the current one count. `closed_bits` is the score that was last rejected.
    """

    __tablename__ = "flag"
    no: int | None = Field(default=None, sa_column=Column(_Number, primary_key=True))
    account: str | None = Field(sa_column=Column(Text, unique=True))
    state: str = Field(sa_column=_text())
    flagged: bool = Field(sa_column=_truth())
    random: bool = Field(sa_column=_truth())
    golden: bool = Field(sa_column=_truth())
    sampled: bool = Field(sa_column=_truth())
    abuse: int = Field(sa_column=_number())
    bits: int = Field(sa_column=_number())
    closed_bits: int = Field(sa_column=_number())
    root: str | None = Field(sa_column=Column(Text))
    campaign: str | None = Field(sa_column=Column(Text))
    explanation: str = Field(sa_column=_text())
    first_time: int = Field(sa_column=_number())
    changed: int = Field(sa_column=_number())
    decided: int = Field(sa_column=_number())
    returns: int = Field(sa_column=_number())
    round: int = Field(sa_column=_number())
    votes_needed: int = Field(sa_column=_number())
    claimed_by: str | None = Field(sa_column=Column(Text))
    claimed_at: int = Field(sa_column=_number())
    claimed_until: int = Field(sa_column=_number())
    run: int = Field(sa_column=_number())
    known: bool = Field(sa_column=_truth())


class Evidence(_Table, table=True):
    """A value that speaks against a flag's account."""

    __tablename__ = "evidence"
    flag: int = Field(sa_column=_key())
    type: str = Field(sa_column=Column(Text, primary_key=True))
    value_key: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    weight: int = Field(sa_column=_number())
    own: int = Field(sa_column=_number())
    hub: bool = Field(sa_column=_truth())


class Resting(_Table, table=True):
    """An entry of another member's log that a piece of evidence rests on."""

    __tablename__ = "resting"
    flag: int = Field(sa_column=_key())
    type: str = Field(sa_column=Column(Text, primary_key=True))
    value_key: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    writer: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    entry: int = Field(sa_column=_key())
    writer_name: str = Field(sa_column=_text())
    hops: int = Field(sa_column=_number())
    tlp: int = Field(sa_column=_number())


class Verdict(_Table, table=True):
    """What a person decided. `note` is for its writer's eyes only. `golden` verdicts measure and decide nothing."""

    __tablename__ = "verdict"
    no: int | None = Field(default=None, sa_column=Column(_Number, primary_key=True))
    flag: int = Field(sa_column=_number())
    round: int = Field(sa_column=_number())
    outcome: str = Field(sa_column=_text())
    reason: str = Field(sa_column=_text())
    matched: bool = Field(sa_column=_truth())
    note: str = Field(sa_column=_text())
    reviewer: str = Field(sa_column=_text())
    time: int = Field(sa_column=_number())
    seconds: int = Field(sa_column=_number())
    bits: int = Field(sa_column=_number())
    golden: bool = Field(sa_column=_truth())
    random: bool = Field(sa_column=_truth())
    sampled: bool = Field(sa_column=_truth())
    root: str | None = Field(sa_column=Column(Text))


class Note(_Table, table=True):
    """A note that the whole team reads."""

    __tablename__ = "note"
    no: int | None = Field(default=None, sa_column=Column(_Number, primary_key=True))
    flag: int = Field(sa_column=_number())
    writer: str = Field(sa_column=_text())
    time: int = Field(sa_column=_number())
    text: str = Field(sa_column=_text())


class Campaign(_Table, table=True):
    """A campaign; its accounts are the flags that name it. `room` is its room's name, or empty."""

    __tablename__ = "campaign"
    id: str = Field(sa_column=Column(Text, primary_key=True))
    name: str = Field(sa_column=_text())
    created: int = Field(sa_column=_number())
    room: str = Field(sa_column=_text())


class Joining(_Table, table=True):
    """A value that joins accounts of a campaign now, and the first day, since 1970-01-01, on which it did."""

    __tablename__ = "joining"
    type: str = Field(sa_column=Column(Text, primary_key=True))
    value_key: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    since: int = Field(sa_column=_number())


class CampaignSample(_Table, table=True):
    """A flag of the random sample that stands for a campaign."""

    __tablename__ = "campaign_sample"
    campaign: str = Field(sa_column=Column(Text, primary_key=True))
    flag: int = Field(sa_column=_key())


class CampaignVote(_Table, table=True):
    """A person's vote to decide a whole campaign."""

    __tablename__ = "campaign_vote"
    campaign: str = Field(sa_column=Column(Text, primary_key=True))
    reviewer: str = Field(sa_column=Column(Text, primary_key=True))
    outcome: str = Field(sa_column=_text())
    reason: str = Field(sa_column=_text())
    time: int = Field(sa_column=_number())


class Shared(_Table, table=True):
    """A confirmed account's value that was shared on as `reviewed-match`."""

    __tablename__ = "shared"
    no: int | None = Field(default=None, sa_column=Column(_Number, primary_key=True))
    flag: int = Field(sa_column=_number())
    type: str = Field(sa_column=_text())
    value_key: bytes = Field(sa_column=_bytes())
    time: int = Field(sa_column=_number())
    withdrawn: int = Field(sa_column=_number())


class SharedOn(_Table, table=True):
    """An entry that a value shared on names as what it rests on."""

    __tablename__ = "shared_on"
    shared: int = Field(sa_column=_key())
    writer: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    entry: int = Field(sa_column=_key())


class Delivery(_Table, table=True):
    """A decision on its way to one of the member's own systems. `name` is what makes a repeated one recognisable."""

    __tablename__ = "delivery"
    no: int | None = Field(default=None, sa_column=Column(_Number, primary_key=True))
    name: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    verdict: int = Field(sa_column=_number())
    flag: int = Field(sa_column=_number())
    due: int = Field(sa_column=_number())
    attempts: int = Field(sa_column=_number())
    delivered: int = Field(sa_column=_number())


class History(_Table, table=True):
    """Who did what, when. Never changed: `hash` covers the row and the hash before it."""

    __tablename__ = "history"
    no: int = Field(sa_column=_key())
    time: int = Field(sa_column=_number())
    who: str = Field(sa_column=_text())
    what: str = Field(sa_column=_text())
    flag: int | None = Field(sa_column=Column(BigInteger))
    detail: str = Field(sa_column=_text())
    hash: bytes = Field(sa_column=_bytes())


metadata: MetaData = _Table.metadata
meta, flag, evidence, resting, verdict, note = (
    metadata.tables[name] for name in ("meta", "flag", "evidence", "resting", "verdict", "note")
)
campaign, campaign_sample, campaign_vote, joining = (
    metadata.tables[name] for name in ("campaign", "campaign_sample", "campaign_vote", "joining")
)
shared, shared_on, delivery, history = (
    metadata.tables[name] for name in ("shared", "shared_on", "delivery", "history")
)

Index("flag_queue", flag.c.state, flag.c.flagged, flag.c.bits)
Index("flag_campaign", flag.c.campaign)
Index("evidence_value", evidence.c.type, evidence.c.value_key)
Index("resting_entry", resting.c.writer, resting.c.entry)
Index("verdict_flag", verdict.c.flag)
Index("history_flag", history.c.flag)
