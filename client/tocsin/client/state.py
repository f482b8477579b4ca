"""What a client knows without screening anything: charters, keys of values, status, budgets, submissions."""

from __future__ import annotations

from collections.abc import Iterable

from tocsin.charter.document import Charter, parse_charter
from tocsin.charter.envelope import parse_envelope
from tocsin.client.arguments import fixed_bytes, iterable, parse_value, read_values
from tocsin.client.errors import ValueRefused
from tocsin.client.results import (
    BudgetReport,
    ClientStatus,
    LogState,
    MemberName,
    SeatBudget,
    SubmissionState,
    Value,
    key_class_name,
)
from tocsin.client.session import Session
from tocsin.indicators.ptf2.bands import BANDINGS
from tocsin.indicators.registry import Mode
from tocsin.wire.limits import IDEMPOTENCY_KEY_BYTES


def charter_chain(session: Session, now: int) -> list[bytes]:
    """Return the envelope of every charter verified, from the pinned one on."""
    session.charter(now)
    return [kept.envelope for kept in session.vault.charters()]


def charters(session: Session, now: int) -> list[Charter]:
    """Return every charter verified, from the pinned one on."""
    return [parse_charter(parse_envelope(envelope).document) for envelope in charter_chain(session, now)]


def key_of(session: Session, value: Value, now: int) -> bytes:
    """Return the 16 bytes that stand for a value in this vault. Raises `ValueRefused`."""
    return session.vault.key_of(parse_value(value, Mode(session.charter(now).charter.mode)))


def check(session: Session, values: Iterable[Value], now: int) -> tuple[ValueRefused, ...]:
    """Return a refusal of every value that has no canonical form."""
    mode = Mode(session.charter(now).charter.mode)
    return tuple(read_values(enumerate(iterable("values", values)), mode, session.vault.key_of)[1])


def submission(session: Session, key: bytes) -> SubmissionState | None:
    """Return whether a request of a receipt is in a checkpoint, and where; None for an unknown key."""
    answer = session.node.submission(fixed_bytes("key", key, IDEMPOTENCY_KEY_BYTES))
    return SubmissionState(answer.sequenced, answer.indices) if answer is not None else None


def reported(session: Session) -> dict[bytes, str]:
    """Return the type of every value that this client reported and did not retract, by its key."""
    return {row.key: row.type for row in session.vault.reported()}


def status(session: Session, now: int) -> ClientStatus:
    """Return the state of client and node, and of every log that the node follows."""
    active = session.charter(now)
    node = session.node.status()
    names = _names(session, now)
    return ClientStatus(
        federation=active.charter.federation,
        member=active.member.id,
        member_name=active.member.name,
        charter_version=active.charter.version,
        charter_expires=active.charter.expires,
        node_version=node.software_version,
        node_charter_version=node.charter_version,
        waiting=node.waiting,
        outbox=len(session.vault.outbox()),
        outputs=sum(session.vault.output_counts().values()),
        logs=tuple(LogState.of(names.get(log.writer, log.writer.hex()), log) for log in node.logs),
    )


def budget(session: Session, now: int) -> BudgetReport:
    """Return what every evaluator says is left of this member's budgets."""
    answer = session.node.budgets()
    names = _names(session, now)
    return BudgetReport(
        tuple(
            SeatBudget(
                left.key_class,
                key_class_name(left.key_class),
                left.epoch,
                left.seat,
                left.evaluator,
                names.get(left.evaluator, left.evaluator.hex()),
                left.limit,
                left.left,
            )
            for left in sorted(answer.budgets, key=lambda left: (left.key_class, left.epoch, left.seat))
        ),
        tuple(MemberName(member, names.get(member, member.hex())) for member in answer.unreachable),
    )


def watched(session: Session, now: int) -> tuple[int, int]:
    """Return how many values `watch` knows, and in how many members' logs it looks for them.

    A type counts by the epoch under which the vault has most of its values.
    """
    by_type: dict[str, int] = {}
    for (type, _), count in session.vault.output_counts().items():
        if type not in BANDINGS:
            by_type[type] = max(count, by_type.get(type, 0))
    return sum(by_type.values()), len(session.charter(now).others)


def _names(session: Session, now: int) -> dict[bytes, str]:
    return {member.id: member.name for member in session.charter(now).charter.members}
