"""`tocsin submit`, `tocsin retract`, `tocsin renew`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from cyclopts import Parameter

from tocsin.cli.options import DEFAULT_CONFIG, Config, Indicators, Inputs, SomeAccounts, Strict
from tocsin.cli.output import Json, counted, print_json, progress, say
from tocsin.cli.reading import Record

if TYPE_CHECKING:
    from tocsin.cli.lines import Lines
    from tocsin.client import Receipt, ReportDraft

EXIT_INPUT = 2

_COLUMNS = (
    "abuse",
    "role",
    "bad_accounts",
    "exchanges",
    "first_seen",
    "last_seen",
    "tlp",
    "confidence",
    "legal_basis",
    "supporting",
)
_OF_THE_FILE = ("bad_accounts", "exchanges", "first_seen", "last_seen")
_Word = TypeVar("_Word", bound=IntEnum)


class BadColumn(ValueError):
    """A column whose content does not fit; the message names the column and what fits."""


@dataclass(frozen=True)
@Parameter(name="*")
class Defaults:
    """What a report says where its line has no column of the name."""

    abuse: str | None = None
    "distillation, account-farming, resale, payment-fraud, jailbreak-service or other."
    role: str = "operator"
    "operator or victim."
    bad_accounts: int = 1
    "How many of your own bad accounts hold the value."
    exchanges: int = 0
    "How many exchanges they had."
    first_seen: str | None = None
    "A day (2026-06-05) or unix seconds; today if not given."
    last_seen: str | None = None
    "A day or unix seconds; today if not given."
    tlp: str = "amber"
    "red, amber-strict, amber, green or clear."
    confidence: int = 80
    "0 to 100."
    legal_basis: str = "legitimate-interest"
    "legitimate-interest, legal-obligation, contract, public-task or not-personal-data."
    supporting: Annotated[bool, Parameter(negative=())] = False
    "The line supports another report of the same account (payment.composite needs it)."


def submit(
    *inputs: Inputs,
    from_: Indicators = None,
    accounts: Annotated[
        Path | None,
        Parameter(help="File of the account ids that you confirmed, one a line; --from needs it."),
    ] = None,
    defaults: Defaults | None = None,
    config: Config = DEFAULT_CONFIG,
    strict: Strict = False,
    json: Json = False,
) -> int:
    """Report own values to the federation; done when the node holds them durably.

    Reads type=value, CSV or JSON lines; further columns abuse, role, bad_accounts, exchanges, first_seen, last_seen,
    tlp, confidence, legal_basis and supporting override the options. A bad line is reported and the others go on.
    What is sealed before the node can no longer be reached waits in the outbox, and the next command sends it; the
    error says whether anything does.

    A value that is given again is reported again, as a further entry: give what is new, and let `renew` carry on the
    rest.

    With --from, what `tocsin ingest` made: the values of the named accounts and of no others. How many of them hold a
    value, their exchanges and their times are what its report says. JA4 is reported beside other values only.

    Exit codes: 0 done, 2 some lines were bad, 3 unavailable, 4 refused or budget used up, 5 a check failed.
    """
    from tocsin.cli.lines import read_some, stop_if_bad, without_lone_ja4
    from tocsin.cli.options import sending
    from tocsin.cli.reading import BadInput
    from tocsin.client import system
    from tocsin.client.drafts import label_of
    from tocsin.client.errors import DraftRefused
    from tocsin.indicators.registry import TYPES
    from tocsin.sealing.label import AbuseKind

    if from_ is not None and accounts is None:
        raise BadInput("--from needs --accounts: a file of the account ids that you confirmed, one a line")
    options = {key: str(value) for key, value in vars(defaults or Defaults()).items() if value is not None}
    if from_ is not None:
        # What is wrong here would be wrong for every row.
        said, plain = vars(defaults or Defaults()), vars(Defaults())
        if given := [name for name in _OF_THE_FILE if said[name] != plain[name]]:
            option = given[0].replace("_", "-")
            raise BadInput(
                f"--{option} does not go with --from, whose file says it of each value: leave it out"
            )
        if "abuse" not in options:
            raise BadInput(f"--from needs --abuse: what the accounts did, one of {_names(AbuseKind)}")
        try:
            label_of(0, _draft(Record(str(from_), 0, "", ""), options), "contact.email", system.now())
        except (BadColumn, DraftRefused) as error:
            why = error.fix if isinstance(error, DraftRefused) else error
            raise BadInput(f"an option does not fit: {why}") from None
    lines = read_some(inputs, from_, accounts)
    without_lone_ja4(lines)
    good, drafts, wrong = [], [], []
    for position, record in enumerate(lines.records):
        try:
            draft = _draft(record, options)
            if record.type in TYPES:
                label_of(position, draft, record.type, system.now())
        except BadColumn as error:
            wrong.append((position, str(error)))
        except DraftRefused as error:
            wrong.append((position, f"{error.fix} ({error.rule})"))
        else:
            good.append(record)
            drafts.append(draft)
    with sending(config) as client:
        if strict and stop_if_bad(client, lines, wrong):
            return EXIT_INPUT
        for position, reason in wrong:
            lines.refuse(position, reason)
        lines.records = good
        with progress("reporting", len(drafts)) as advance:
            receipt = client.submit(drafts, progress=advance)
    return _tell(receipt, lines, json=json, what=("entry is with the node", "entries are with the node"))


def retract(
    *inputs: Inputs,
    from_: Indicators = None,
    accounts: SomeAccounts = None,
    config: Config = DEFAULT_CONFIG,
    strict: Strict = False,
    json: Json = False,
) -> int:
    """Take back every live report and dispute of these values, in every period and epoch.

    Reads type=value, CSV or JSON lines, or with --from what `tocsin ingest` made. A value is taken back whole, also
    where accounts that are not named hold it: submit those again. One that this vault does not know is evaluated, for
    another client of this member may have reported it.

    Exit codes: 0 done, 2 some lines were bad, 3 unavailable, 4 refused or budget used up, 5 a check failed.
    """
    from tocsin.cli.lines import read_some, stop_if_bad
    from tocsin.cli.options import sending

    lines = read_some(inputs, from_, accounts)
    with sending(config) as client:
        if strict and stop_if_bad(client, lines):
            return EXIT_INPUT
        with progress("retracting"):
            receipt = client.retract((each.type, each.value) for each in lines.records)
    return _tell(receipt, lines, json=json, what=("entry is retracted", "entries are retracted"))


def renew(*, config: Config = DEFAULT_CONFIG, json: Json = False) -> int:
    """Seal own live reports again in the current period. Run it daily; it costs nothing when nothing is due.

    Exit codes: 0 done, 3 unavailable, 4 refused, 5 a check failed.
    """
    from tocsin.cli.lines import Lines
    from tocsin.cli.options import sending

    with sending(config) as client, progress("renewing"):
        receipt = client.renew()
    return _tell(receipt, Lines(), json=json, what=("entry is renewed", "entries are renewed"))


def _tell(receipt: Receipt, lines: Lines, *, json: bool, what: tuple[str, str]) -> int:
    for refusal in receipt.refused:
        lines.refuse_value(refusal)
    if json:
        print_json(
            {
                "accepted": receipt.accepted,
                "submissions": [each.hex() for each in receipt.submissions],
                "evaluated": receipt.evaluated,
                "from_vault": receipt.from_vault,
            }
            | lines.json()
        )
    else:
        lines.say_read()
        say(
            f"{counted(receipt.accepted, *what)}, {counted(receipt.evaluated, 'evaluation')} paid, "
            f"{receipt.from_vault} from the vault"
        )
    lines.tell()
    return EXIT_INPUT if lines.bad else 0


def _draft(record: Record, options: Mapping[str, str]) -> ReportDraft:
    from tocsin.client import ReportDraft, system
    from tocsin.sealing.label import AbuseKind, LegalBasis, Role, Tlp

    said = dict(options) | {key: text.strip() for key, text in record.extra.items() if key in _COLUMNS}
    if "abuse" not in said:
        raise BadColumn("abuse: say what was done, in a column or with --abuse")
    first, last = _time("first_seen", said.get("first_seen")), _time("last_seen", said.get("last_seen"))
    return ReportDraft(
        (record.type, record.value),
        abuse=_word(AbuseKind, "abuse", said["abuse"]),
        role=_word(Role, "role", said["role"]),
        bad_accounts=_number("bad_accounts", said["bad_accounts"]),
        exchanges=_number("exchanges", said["exchanges"]),
        first_seen=first if first is not None else last if last is not None else system.now(),
        last_seen=last,
        tlp=_word(Tlp, "tlp", said["tlp"]),
        confidence=_number("confidence", said["confidence"]),
        legal_basis=_word(LegalBasis, "legal_basis", said["legal_basis"]),
        supporting=said["supporting"].lower() in ("true", "yes", "1"),
    )


def _word(kind: type[_Word], column: str, text: str) -> _Word:
    try:
        return kind[text.upper().replace("-", "_")]
    except KeyError:
        raise BadColumn(f"{column}: must be one of {_names(kind)}") from None


def _names(kind: type[IntEnum]) -> str:
    return ", ".join(each.name.lower().replace("_", "-") for each in kind)


def _number(column: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise BadColumn(f"{column}: must be a whole number, 0 or more")
    return int(text)


def _time(column: str, text: str | None) -> int | None:
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 12:
        return int(text)
    try:
        return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise BadColumn(f"{column}: must be a day such as 2026-06-05, or unix seconds") from None
