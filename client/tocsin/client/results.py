"""What the client's methods return: frozen values, nothing of a user's in any repr.

1. Every result has `to_dict()`: JSON-ready, ids and keys in hex, moments as `2026-06-05T12:00:00Z` (null for never),
   days as `2026-06-05`, enums as words such as `amber-strict`, buckets as the counts they stand for. It never holds
   values.
2. These dictionaries are the one JSON form of a result: `--json` prints them.
3. A moment in a field is unix seconds, 0 for never.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from tocsin.client.errors import DraftRefused, ValueRefused
from tocsin.client.timestamps import iso_time, week_bounds
from tocsin.indicators.registry import KeyClass, Observable
from tocsin.sealing.label import Dispute, Report, bucket_range

if TYPE_CHECKING:
    from tocsin.wire.values import LogStatus

Value = Observable | tuple[str, str]
"""An observable, or `(type, raw value)`."""


@dataclass(frozen=True, slots=True)
class ProofFiles:
    """An entry file and a C2SP tlog-proof, which with the charters are a piece of evidence."""

    entry: bytes
    proof: bytes

    def to_dict(self) -> dict[str, object]:
        """Return {entry: Base64, proof: text}."""
        return {
            "entry": base64.b64encode(self.entry).decode(),
            "proof": self.proof.decode("utf-8", "replace"),
        }


@dataclass(frozen=True, slots=True)
class Match:
    """An entry of another member about a value that you hold, verified and opened (M-7.2).

    `positions` are the places in the call where the value stood and `values` what stood there, as it was passed.
    From `watch` both are empty, since the vault keeps no values (M-7.7): `key`, the 16 bytes that `Client.key_of`
    gives for the value, says which it is. `checkpoint_time` is the newest cosignature on the log. `bands` is 0 where
    the value itself was reported; otherwise a similar prompt was, and the two agree in `bands` of `bands_of` bands.
    """

    type: str
    writer: bytes
    writer_name: str
    index: int
    label: Report | Dispute
    checkpoint_time: int
    positions: tuple[int, ...] = ()
    key: bytes = field(default=b"", repr=False)
    values: tuple[Value, ...] = field(default=(), repr=False)
    evidence: ProofFiles = field(default=ProofFiles(b"", b""), repr=False)
    bands: int = 0
    bands_of: int = 0

    @property
    def strength(self) -> tuple[int, ...]:
        """A sort key, larger for what says more: report before dispute, equal before similar, then its confidence."""
        equal = (0, self.bands) if self.bands else (1, 0)
        if isinstance(self.label, Dispute):
            return 0, *equal, 0, 0, 0
        return 1, *equal, self.label.confidence, self.label.bad_accounts_bucket, -self.label.hops

    def to_dict(self) -> dict[str, object]:
        """Return the one JSON form of a match.

        Of every match: `type`, `key`, `kind` (report or dispute), `writer`, `writer_name`, `index`, `similar` (null
        where the value itself was reported, else {bands, of}), `checkpoint_time`, `positions`. Of a report also
        `abuse`, `role`, `tlp`, `bad_accounts` and `exchanges` ({min, max}), `seen` ({from, to}, whole weeks),
        `evidence`, `rests_on` ([{writer, index}]), `hops`, `confidence` (0 to 100), `legal_basis`. Of a dispute
        `reason` and `disputed` ([{writer, index}]).
        """
        return {
            "type": self.type,
            "key": self.key.hex(),
            "kind": "dispute" if isinstance(self.label, Dispute) else "report",
            "writer": self.writer.hex(),
            "writer_name": self.writer_name,
            "index": self.index,
            "similar": {"bands": self.bands, "of": self.bands_of} if self.bands else None,
            "checkpoint_time": iso_time(self.checkpoint_time),
            "positions": list(self.positions),
        } | _label_dict(self.label)


@dataclass(frozen=True, slots=True)
class Retraction:
    """A match that was returned before and that its writer has retracted since. Fields as in `Match`."""

    type: str
    writer: bytes
    writer_name: str
    index: int
    positions: tuple[int, ...] = ()
    key: bytes = field(default=b"", repr=False)
    values: tuple[Value, ...] = field(default=(), repr=False)

    def to_dict(self) -> dict[str, object]:
        """Return {type, key, kind: retraction, writer, writer_name, index, positions}."""
        return {
            "type": self.type,
            "key": self.key.hex(),
            "kind": "retraction",
            "writer": self.writer.hex(),
            "writer_name": self.writer_name,
            "index": self.index,
            "positions": list(self.positions),
        }


@dataclass(frozen=True, slots=True)
class Problem:
    """An entry that was dropped because its writer made it wrong; the rest went on (M-7.11)."""

    writer: bytes
    writer_name: str
    index: int
    what: str

    def to_dict(self) -> dict[str, object]:
        """Return {writer, writer_name, index, what}."""
        return {
            "writer": self.writer.hex(),
            "writer_name": self.writer_name,
            "index": self.index,
            "what": self.what,
        }


@dataclass(frozen=True, slots=True)
class LastHeard:
    """When your node last reached another member: what that member reported since is not in the result."""

    member: bytes
    name: str
    time: int
    quarantined: bool
    problem: str

    def to_dict(self) -> dict[str, object]:
        """Return {member, name, time, quarantined, problem}."""
        return {
            "member": self.member.hex(),
            "name": self.name,
            "time": iso_time(self.time),
            "quarantined": self.quarantined,
            "problem": self.problem,
        }


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What a query found. True where something matched.

    `refused` names the values that have no canonical form. `retractions` are matches of these values that an earlier
    call returned and that are retracted now. `queried` counts the values screened, `evaluated` the evaluations paid
    for, `from_vault` the outputs that earlier calls had paid for; a template's bands count as outputs, not as values.
    `last_heard` has one row for each other member. `complete` is False in the `partial` of an error that ended the
    query early.
    """

    matches: tuple[Match, ...]
    refused: tuple[ValueRefused, ...]
    problems: tuple[Problem, ...]
    queried: int
    evaluated: int
    from_vault: int
    retractions: tuple[Retraction, ...] = ()
    last_heard: tuple[LastHeard, ...] = ()
    complete: bool = True

    def __bool__(self) -> bool:
        return bool(self.matches)

    def to_dict(self) -> dict[str, object]:
        """Return every field under its name, with lists of dictionaries for what has parts."""
        return {
            "matches": [match.to_dict() for match in self.matches],
            "retractions": [retraction.to_dict() for retraction in self.retractions],
            "refused": [refusal.to_dict() for refusal in self.refused],
            "problems": [problem.to_dict() for problem in self.problems],
            "queried": self.queried,
            "evaluated": self.evaluated,
            "from_vault": self.from_vault,
            "last_heard": [heard.to_dict() for heard in self.last_heard],
            "complete": self.complete,
        }


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the node acknowledged durably: entries accepted (or, for a retraction, covered) and the requests' keys.

    Entries are counted as they are in the log. A template with bands makes its report, its record, and one entry for
    each of its bands. A band that several templates of one call share makes one entry; a template that is given twice
    has two reports and one record. Where a retraction leaves other templates' slots in a band, the entry that keeps
    them counts as accepted too.
    """

    accepted: int
    refused: tuple[ValueRefused | DraftRefused, ...] = ()
    submissions: tuple[bytes, ...] = ()
    evaluated: int = 0
    from_vault: int = 0

    def to_dict(self) -> dict[str, object]:
        """Return every field under its name; `submissions` in hex."""
        return {
            "accepted": self.accepted,
            "refused": [refusal.to_dict() for refusal in self.refused],
            "submissions": [key.hex() for key in self.submissions],
            "evaluated": self.evaluated,
            "from_vault": self.from_vault,
        }


@dataclass(frozen=True, slots=True)
class SubmissionState:
    """Whether a submission is in a checkpoint, and at which indices of your log."""

    sequenced: bool
    indices: tuple[int, ...]

    def to_dict(self) -> dict[str, object]:
        """Return {sequenced, indices}."""
        return {"sequenced": self.sequenced, "indices": list(self.indices)}


@dataclass(frozen=True, slots=True)
class MemberName:
    """A member's id (16 bytes) and name."""

    id: bytes
    name: str

    def to_dict(self) -> dict[str, object]:
        """Return {id, name}."""
        return {"id": self.id.hex(), "name": self.name}


@dataclass(frozen=True, slots=True)
class SeatBudget:
    """What one evaluator says is left of your evaluations of one class and epoch."""

    key_class: int
    key_class_name: str
    epoch: int
    seat: int
    evaluator: bytes
    evaluator_name: str
    limit: int
    left: int

    def to_dict(self) -> dict[str, object]:
        """Return {class, epoch, seat, evaluator, evaluator_name, limit, left}; `class` is its name."""
        return {
            "class": self.key_class_name,
            "epoch": self.epoch,
            "seat": self.seat,
            "evaluator": self.evaluator.hex(),
            "evaluator_name": self.evaluator_name,
            "limit": self.limit,
            "left": self.left,
        }


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """Every evaluator's answer by class, epoch and seat, and the evaluators that gave none."""

    budgets: tuple[SeatBudget, ...]
    unreachable: tuple[MemberName, ...]

    def to_dict(self) -> dict[str, object]:
        """Return {budgets, unreachable}."""
        return {
            "budgets": [budget.to_dict() for budget in self.budgets],
            "unreachable": [member.to_dict() for member in self.unreachable],
        }


@dataclass(frozen=True, slots=True)
class LogState:
    """How your node follows one member's log."""

    writer: bytes
    writer_name: str
    size: int
    checkpoint_time: int
    last_reached: int
    quarantined: bool
    problem: str
    holds: int
    """How many entries of your own log this member's node holds; 0 for your own."""

    @classmethod
    def of(cls, name: str, log: LogStatus) -> LogState:
        """Name the writer of what the node says of a log."""
        return cls(
            log.writer,
            name,
            log.size,
            log.checkpoint_time,
            log.last_reached,
            log.quarantined,
            log.problem,
            log.holds,
        )

    def to_dict(self) -> dict[str, object]:
        """Return every field under its name."""
        return {
            "writer": self.writer.hex(),
            "writer_name": self.writer_name,
            "size": self.size,
            "checkpoint_time": iso_time(self.checkpoint_time),
            "last_reached": iso_time(self.last_reached),
            "quarantined": self.quarantined,
            "problem": self.problem,
            "holds": self.holds,
        }


@dataclass(frozen=True, slots=True)
class ClientStatus:
    """The state of client and node.

    `waiting` counts entries that wait for the node's next tick, `outputs` the outputs in the vault.
    """

    federation: str
    member: bytes
    member_name: str
    charter_version: int
    charter_expires: int
    node_version: str
    node_charter_version: int
    waiting: int
    outbox: int
    outputs: int
    logs: tuple[LogState, ...]

    @property
    def own_size(self) -> int:
        """How many entries your own log has at your node."""
        return next((log.size for log in self.logs if log.writer == self.member), 0)

    @property
    def peers_hold(self) -> int:
        """How many of them every other member's node holds, as far as your node knows."""
        held = [log.holds for log in self.logs if log.writer != self.member]
        return min([*held, self.own_size])

    def to_dict(self) -> dict[str, object]:
        """Return every field under its name."""
        return {
            "federation": self.federation,
            "member": self.member.hex(),
            "member_name": self.member_name,
            "charter_version": self.charter_version,
            "charter_expires": iso_time(self.charter_expires),
            "node_version": self.node_version,
            "node_charter_version": self.node_charter_version,
            "waiting": self.waiting,
            "outbox": self.outbox,
            "outputs": self.outputs,
            "own_size": self.own_size,
            "peers_hold": self.peers_hold,
            "logs": [log.to_dict() for log in self.logs],
        }


def key_class_name(number: int) -> str:
    """Return the name of a key class, or its number where this release does not know it."""
    return next((known.label for known in KeyClass if known == number), str(number))


def word(member: IntEnum) -> str:
    """Return the word that stands for an enum's member in text and JSON, such as `amber-strict`."""
    return member.name.lower().replace("_", "-")


def _label_dict(label: Report | Dispute) -> dict[str, object]:
    if isinstance(label, Dispute):
        entries = [{"writer": writer.hex(), "index": index} for writer, index in label.disputed]
        return {"reason": word(label.reason), "disputed": entries}
    first, last = week_bounds(label.first_week, label.last_week)
    return {
        "abuse": word(label.abuse),
        "role": word(label.role),
        "tlp": word(label.tlp),
        "bad_accounts": count_range(label.bad_accounts_bucket),
        "exchanges": count_range(label.exchanges_bucket),
        "seen": {"from": first, "to": last},
        "evidence": word(label.evidence),
        "rests_on": [{"writer": writer.hex(), "index": index} for writer, index in label.rests_on],
        "hops": label.hops,
        "confidence": label.confidence,
        "legal_basis": word(label.legal_basis),
    }


def count_range(bucket: int) -> dict[str, int]:
    """Return {min, max}: the counts that a bucket stands for."""
    low, high = bucket_range(bucket)
    return {"min": low, "max": high}
