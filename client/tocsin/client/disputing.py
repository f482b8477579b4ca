"""Disputing other members' reports of a member's own value.

Rules
1. A dispute is written by a person: this is called for it alone, never from a match (M-7.8).
2. It names entries that are live reports of the value, verified here, and so rests on an evaluation of it (M-7.14).
3. A member writes at most `MAX_DISPUTES_A_DAY` a day.
4. Renewing follows each named entry to the newest of its writer with the same label, and ends where none is left.
5. `retract` takes a dispute back, with whatever else the member said of the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tocsin.client import system
from tocsin.client.arguments import (
    InputValue,
    add_value,
    enum_member,
    fixed_bytes,
    iterable,
    parse_value,
    whole_number,
)
from tocsin.client.charters import ActiveCharter
from tocsin.client.errors import BadArgument, DraftRefused, ValueRefused
from tocsin.client.matching import Subject, Taggers, look_up, open_all
from tocsin.client.outputs import Epochs, Spending, all_outputs
from tocsin.client.ports import NodeApi
from tocsin.client.results import Receipt, Value
from tocsin.client.sealing import seal_label
from tocsin.client.session import Session
from tocsin.client.submitting import mark_sealed
from tocsin.indicators.registry import Mode
from tocsin.sealing.box import Purpose
from tocsin.sealing.label import BadLabel, Dispute, DisputeReason, Report

MAX_DISPUTES_A_DAY = 100
_DAY = 86_400
_MEMBER_BYTES = 16


@dataclass(frozen=True, slots=True)
class DisputeDraft:
    """Why entries about one of your values are wrong. `entries` are 1 to 8 pairs (writer id, index), as a match has
    them; `reason` is also accepted as a word such as `"shared-by-many"`.
    """

    observable: Value = field(repr=False)
    reason: DisputeReason | str
    entries: Sequence[tuple[bytes, int]]


def dispute(session: Session, drafts: Iterable[DisputeDraft], now: int) -> Receipt:
    """Dispute reports of your own values; returns once the node holds the disputes durably."""
    refused: list[ValueRefused | DraftRefused] = []
    labels: list[tuple[int, bytes, Dispute]] = []
    readable: dict[bytes, InputValue] = {}
    mode = Mode(session.charter(now).charter.mode)
    for position, draft in enumerate(iterable("drafts", drafts)):
        if not isinstance(draft, DisputeDraft):
            raise BadArgument("draft", "a DisputeDraft", draft, position)
        try:
            observable = parse_value(draft.observable, mode, position)
            label = _label(position, draft, observable.type)
        except (ValueRefused, DraftRefused) as refusal:
            refused.append(refusal)
            continue
        key = session.vault.key_of(observable)
        add_value(readable, key, observable, position, draft.observable)
        labels.append((position, key, label))
    spending = Spending()
    outputs = all_outputs(session, readable, spending, now, Epochs.READABLE)
    active = outputs.active
    live = _live_reports(session.node, active, outputs.values, now)
    newest: dict[bytes, Subject] = {}
    for subject in outputs.values:
        if subject.key not in newest or newest[subject.key].epoch < subject.epoch:
            newest[subject.key] = subject
    entries, subjects = [], []
    for position, key, label in labels:
        if missing := [entry for entry in label.disputed if (key, *entry) not in live]:
            writer, index = missing[0]
            refused.append(
                DraftRefused(
                    position, "entries", "dispute.entry",
                    f"entry {index} of member {writer.hex()} is no live report of this value: query it again",
                )
            )  # fmt: skip
            continue
        subject = newest[key]
        class_key = active.readable_key(subject.key_class, subject.epoch, now)
        entries.append(seal_label(active, class_key, subject.output, label, now, system.random_bytes))
        subjects.append(subject)
    if entries and not session.vault.count_disputes(now // _DAY, len(entries), MAX_DISPUTES_A_DAY):
        raise DraftRefused(
            0, "entries", "dispute.limit",
            f"a member writes at most {MAX_DISPUTES_A_DAY} disputes a day, and these would be more: go on tomorrow",
        )  # fmt: skip
    for subject in subjects:
        session.vault.mark_reported(subject.epoch, [subject.key])
    requests = session.outbox.enqueue_entries(entries, now)
    mark_sealed(session.vault, subjects, active.charter.period_at(now))
    accepted = session.outbox.flush(session.node, now).accepted(requests)
    return Receipt(
        accepted, tuple(refused), tuple(requests), spending.paid, len(outputs.values) - spending.paid
    )


def followed_dispute(
    node: NodeApi, active: ActiveCharter, subject: Subject, label: Dispute, now: int
) -> Dispute | None:
    """Return a dispute with each entry replaced by the newest of its writer with that label (rule 4)."""
    live = _live_reports(node, active, [subject], now)
    entries: dict[tuple[bytes, int], None] = {}
    for writer, index in label.disputed:
        said = live.get((subject.key, writer, index))
        same = [at for (_, by, at), report in live.items() if by == writer and report == said]
        if said is not None and same:
            entries[writer, max(same)] = None
    return Dispute(label.type, tuple(entries), label.reason) if entries else None


def _live_reports(
    node: NodeApi, active: ActiveCharter, subjects: Iterable[Subject], now: int
) -> dict[tuple[bytes, bytes, int], Report]:
    """The live reports of other members by (value key, writer, index)."""
    taggers = Taggers(
        active, [member.id for member in active.others], active.periods(0, now), (Purpose.REPORT,)
    )
    opened = open_all(node, active, look_up(node, taggers, subjects), now).opened
    return {
        (live.candidate.slot.subject.key, live.candidate.writer, live.candidate.index): live.content
        for live in opened
        if isinstance(live.content, Report)
    }


def _label(position: int, draft: DisputeDraft, type: str) -> Dispute:
    if not isinstance(draft.entries, tuple | list):
        raise BadArgument("entries", "a list of pairs (writer id, index)", draft.entries, position)
    entries = []
    for entry in draft.entries:
        if not isinstance(entry, tuple | list) or len(entry) != 2:
            raise BadArgument("entries", "a list of pairs (writer id, index)", entry, position)
        writer = fixed_bytes("writer in entries", entry[0], _MEMBER_BYTES, position)
        entries.append((writer, whole_number("index in entries", entry[1], position)))
    try:
        return Dispute(type, tuple(entries), enum_member(DisputeReason, "reason", draft.reason, position))
    except BadLabel as error:
        raise DraftRefused(position, error.field, f"label.{error.field}", str(error)) from error
