"""What a member wants to say about one of its values, and the label that says it.

1. What only the reporter can know has no default: the abuse, the confidence, and when it was first seen.
2. No report has more hops than the charter's policy allows. A type that may not stand alone takes no campaign key. A
   `payment.composite` is supporting evidence, never alone.
3. Every field is checked here, before anything is evaluated or sealed, and an error names field and position.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field

from tocsin.client.arguments import (
    Moment,
    confidence,
    enum_member,
    fixed_bytes,
    moment,
    truth,
    whole_number,
)
from tocsin.client.errors import BadArgument, DraftRefused
from tocsin.client.results import Value
from tocsin.client.timestamps import iso_day
from tocsin.indicators.registry import TYPES
from tocsin.sealing.label import (
    CAMPAIGN_KEY_BYTES,
    MAX_HOPS,
    AbuseKind,
    BadLabel,
    Evidence,
    LegalBasis,
    Report,
    Role,
    Tlp,
    bucket,
)
from tocsin.tlog.entry import WEEK_S

_DAY = 86_400
_MEMBER_BYTES = 16


@dataclass(frozen=True, slots=True)
class ReportDraft:
    """What a member wants to say about one of its values.

    `observable` is a value as in `query`. Enums are also accepted as words: `"resale"`, `"amber-strict"`. `confidence`
    is an int from 0 to 100 or a float from 0.0 to 1.0: 1 is 1 %, 1.0 is 100 %. `first_seen` and `last_seen` are unix
    seconds, an aware datetime or a date; the label carries only their weeks, and without `last_seen` the value was seen
    once. `bad_accounts` and `exchanges` are counts; the label carries only their power-of-two bucket. `rests_on` names
    entries as (writer id, index). `campaign_key` is 32 bytes, refused for a type that may not stand alone. A
    `payment.composite` is refused unless `supporting` says that a stronger indicator of the same account is reported
    too.
    """

    observable: Value = field(repr=False)
    abuse: AbuseKind | str
    _: KW_ONLY
    confidence: int | float
    first_seen: Moment
    last_seen: Moment | None = None
    role: Role | str = Role.OPERATOR
    bad_accounts: int = 1
    exchanges: int = 0
    tlp: Tlp | str = Tlp.AMBER
    evidence: Evidence | str = Evidence.OWN_DETECTION
    rests_on: tuple[tuple[bytes, int], ...] = ()
    hops: int = 0
    campaign_key: bytes | None = field(default=None, repr=False)
    legal_basis: LegalBasis | str = LegalBasis.LEGITIMATE_INTEREST
    supporting: bool = False


def label_of(position: int, draft: ReportDraft, type: str, now: int, *, max_hops: int = MAX_HOPS) -> Report:
    """Make the label of a draft of a known type. Raises `DraftRefused`, `BadArgument`."""
    hops = whole_number("hops", draft.hops, position)
    if hops > max_hops:
        raise DraftRefused(
            position,
            "hops",
            "hops.policy",
            f"hops is {hops}, but the charter's policy allows {max_hops} at most",
        )
    campaign_key = draft.campaign_key
    if campaign_key is not None:
        campaign_key = fixed_bytes("campaign_key", campaign_key, CAMPAIGN_KEY_BYTES, position)
        # M-5.15: written only for a type that may stand alone.
        if not TYPES[type].alone:
            raise DraftRefused(
                position,
                "campaign_key",
                "campaign-key.alone",
                f"{type} may not stand alone, so it takes no campaign key: one guessed value must not open a room",
            )
    if not truth("supporting", draft.supporting, position) and type == "payment.composite":
        raise DraftRefused(
            position,
            "supporting",
            "composite.alone",
            "a payment.composite only supports another report; report a stronger indicator too and set `supporting`",
        )
    first, last = _seen(position, draft, now)
    try:
        return Report(
            type=type,
            tlp=enum_member(Tlp, "tlp", draft.tlp, position),
            abuse=enum_member(AbuseKind, "abuse", draft.abuse, position),
            role=enum_member(Role, "role", draft.role, position),
            bad_accounts_bucket=_bucket(position, "bad_accounts", draft.bad_accounts),
            exchanges_bucket=_bucket(position, "exchanges", draft.exchanges),
            first_week=first // WEEK_S,
            last_week=last // WEEK_S,
            evidence=enum_member(Evidence, "evidence", draft.evidence, position),
            rests_on=_rests_on(position, draft.rests_on),
            hops=hops,
            confidence=confidence(draft.confidence, position),
            campaign_key=campaign_key,
            legal_basis=enum_member(LegalBasis, "legal_basis", draft.legal_basis, position),
        )
    except BadLabel as error:
        raise DraftRefused(position, error.field, f"label.{error.field}", str(error)) from error


def _seen(position: int, draft: ReportDraft, now: int) -> tuple[int, int]:
    first = moment("first_seen", draft.first_seen, position)
    last = first if draft.last_seen is None else moment("last_seen", draft.last_seen, position)
    field, latest = ("first_seen", first) if draft.last_seen is None else ("last_seen", last)
    # A day of grace: the clocks that wrote the log may be ahead of this one.
    if latest > now + _DAY:
        raise DraftRefused(
            position,
            field,
            f"{field.replace('_', '-')}.future",
            f"{field} ({iso_day(latest)}) is in the future; today is {iso_day(now)}",
        )
    if last < first:
        raise DraftRefused(
            position,
            "last_seen",
            "last-seen.order",
            f"last_seen ({iso_day(last)}) is before first_seen ({iso_day(first)})",
        )
    return first, last


def _bucket(position: int, field: str, given: object) -> int:
    count = whole_number(field, given, position)
    if not 0 <= count < 2**63:
        raise DraftRefused(
            position, field, f"{field.replace('_', '-')}.range", f"{field} must be 0 or more, got {count}"
        )
    return bucket(count)


def _rests_on(position: int, given: object) -> tuple[tuple[bytes, int], ...]:
    if not isinstance(given, tuple | list):
        raise BadArgument("rests_on", "a list of pairs (writer id, index)", given, position)
    entries = []
    for entry in given:
        if not isinstance(entry, tuple | list) or len(entry) != 2:
            raise BadArgument("rests_on", "a list of pairs (writer id, index)", entry, position)
        writer = fixed_bytes("writer in rests_on", entry[0], _MEMBER_BYTES, position)
        entries.append((writer, whole_number("index in rests_on", entry[1], position)))
    return tuple(entries)
