"""What the client's methods take and give: plain frozen values, with nothing of a user's in any repr."""

from __future__ import annotations

from dataclasses import dataclass, field

from tocsin.client.errors import TocsinError
from tocsin.indicators.registry import Observable, Refused
from tocsin.sealing.label import AbuseKind, Dispute, Evidence, LegalBasis, Report, Role, Tlp
from tocsin.wire.values import LogStatus

Value = Observable | tuple[str, str]
"""An observable, or `(type, raw value)`."""


@dataclass(frozen=True, slots=True)
class ReportDraft:
    """What a member wants to say about one value of its own.

    `observable` as in `query`. `bad_accounts` and `exchanges` are counts; the label carries only their power-of-two
    bucket. `first_seen` and `last_seen` are unix seconds, of which the label carries the week; None means now.
    `confidence` is 0 to 100. `rests_on` names entries as (writer id, index). `campaign_key` is 32 bytes, and refused
    for a type that may not stand alone. A `payment.composite` is refused unless `supporting` says that it is reported
    beside a stronger indicator of the same account.
    """

    observable: Value = field(repr=False)
    abuse: AbuseKind
    role: Role = Role.OPERATOR
    bad_accounts: int = 1
    exchanges: int = 0
    first_seen: int | None = None
    last_seen: int | None = None
    tlp: Tlp = Tlp.AMBER
    evidence: Evidence = Evidence.OWN_DETECTION
    rests_on: tuple[tuple[bytes, int], ...] = ()
    hops: int = 0
    confidence: int = 80
    campaign_key: bytes | None = field(default=None, repr=False)
    legal_basis: LegalBasis = LegalBasis.LEGITIMATE_INTEREST
    supporting: bool = False


@dataclass(frozen=True, slots=True)
class ProofFiles:
    """An entry file and a C2SP tlog-proof, which with the charters are a piece of evidence."""

    entry: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class Match:
    """An entry of another member about a value that this member holds, verified and opened.

    `positions` are the places in the call where the value stood (none from `watch`), `key` is the 16 bytes that
    `Client.key_of` gives for the value, `observable` the value itself where this process has it (None from `watch`,
    for the vault keeps no values). `checkpoint_time` is the freshest cosignature in unix seconds, 0 without one.
    `bands` is 0 where the value itself was reported; else the entry is the record of a similar prompt template, and
    `bands` says in how many bands the two agree.
    """

    type: str
    writer: bytes
    writer_name: str
    index: int
    label: Report | Dispute
    checkpoint_time: int
    positions: tuple[int, ...] = ()
    key: bytes = field(default=b"", repr=False)
    observable: Observable | None = field(default=None, repr=False)
    evidence: ProofFiles = field(default=ProofFiles(b"", b""), repr=False)
    bands: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """An entry that was dropped because its writer made it wrong; the rest went on."""

    writer: bytes
    writer_name: str
    index: int
    what: str


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What a query found. `refused` names positions whose value has no canonical form.

    `queried` counts the values looked up (in the `partial` result of an error, those that could be), `evaluated`
    evaluations paid for, `from_vault` outputs that were kept from before. A template's bands count as outputs, not as
    values.
    """

    matches: tuple[Match, ...]
    refused: tuple[tuple[int, Refused], ...]
    problems: tuple[Problem, ...]
    queried: int
    evaluated: int
    from_vault: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the node acknowledged durably: entries accepted (or, for a retraction, covered) and the requests' keys.

    Entries are counted as they lie in the log. A template with bands makes its report, its record, and one entry for
    each of its bands; a band that several templates of one call share makes one, and a template that is given twice has
    two reports and one record. Where a retraction leaves other
    templates' slots in a band, the entry that says so counts as accepted too.
    """

    accepted: int
    refused: tuple[tuple[int, Refused | TocsinError], ...] = ()
    submissions: tuple[bytes, ...] = ()
    evaluated: int = 0
    from_vault: int = 0


@dataclass(frozen=True, slots=True)
class ClientStatus:
    """How client and node stand. Times are unix seconds."""

    federation: str
    member: bytes
    member_name: str
    charter_version: int
    charter_expires: int
    node_version: str
    node_charter_version: int
    waiting: int
    outbox: int
    kept: int
    logs: tuple[tuple[str, LogStatus], ...]
