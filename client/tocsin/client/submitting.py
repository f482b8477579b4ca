"""Reporting a member's own values.

Rules
1. Every draft of a chunk is checked before any of it is evaluated. A draft that the rules refuse is named by position
   and the others go on; an argument of a wrong type ends the call before its chunk is sent.
2. What is sealed is in the outbox before it is sent: where the node cannot be reached, a later call sends the same
   bytes. What is not sealed by then is not kept.
"""

from __future__ import annotations

from collections.abc import Iterable

from tocsin.client import deadline, system
from tocsin.client.arguments import InputValue, add_value, iterable, parse_value
from tocsin.client.charters import ActiveCharter
from tocsin.client.drafts import ReportDraft, label_of
from tocsin.client.errors import BadArgument, DraftRefused, ValueRefused
from tocsin.client.matching import Subject
from tocsin.client.outputs import Epochs, Spending, all_outputs
from tocsin.client.querying import Progress, chunks
from tocsin.client.results import Receipt
from tocsin.client.sealing import seal_label
from tocsin.client.session import Session
from tocsin.client.templates.records import TemplateRecords
from tocsin.client.vault import Vault
from tocsin.indicators.registry import Mode
from tocsin.sealing.label import Report


def submit(session: Session, drafts: Iterable[ReportDraft], progress: Progress | None, now: int) -> Receipt:
    """Report values; returns once the node holds them durably."""
    refused: list[ValueRefused | DraftRefused] = []
    submissions: list[bytes] = []
    spending = Spending()
    accepted = count = 0
    for chunk in chunks(enumerate(iterable("drafts", drafts))):
        deadline.check()
        values, labels = _checked(session, session.charter(now), chunk, refused, now)
        outputs = all_outputs(session, values, spending, now, Epochs.NEWEST)
        count += len(outputs.values) + len(outputs.bands)
        active, by_key = outputs.active, {subject.key: subject for subject in outputs.values}
        entries = []
        for key, label in labels:
            subject = by_key[key]
            class_key = active.charter.class_key(subject.key_class, subject.epoch)
            entries.append(seal_label(active, class_key, subject.output, label, now, system.random_bytes))
        # Marked first: renewal asks the log what is live, so a mark without an entry does no harm.
        for epoch, keys in _by_epoch(outputs.values).items():
            session.vault.mark_reported(epoch, keys)
        requests = session.outbox.enqueue_entries(entries, now)
        mark_sealed(session.vault, outputs.values, active.charter.period_at(now))
        requests += TemplateRecords(session).report(active, outputs.skeletons, labels, outputs.bands, now)
        accepted += session.outbox.flush(session.node, now).accepted(requests)
        submissions += requests
        if progress is not None:
            progress(len(chunk))
    return Receipt(accepted, tuple(refused), tuple(submissions), spending.paid, count - spending.paid)


def flush(session: Session, now: int) -> Receipt:
    """Send what an earlier call left in the outbox."""
    session.charter(now)
    counts = session.outbox.flush(session.node, now).counts
    return Receipt(sum(counts.values()), (), tuple(counts))


def mark_sealed(vault: Vault, subjects: Iterable[Subject], period: int) -> None:
    """Note that entries of these values, sealed in a period, are in the outbox."""
    for epoch, keys in _by_epoch(subjects).items():
        vault.mark_sealed(epoch, keys, period)


def _checked(
    session: Session,
    active: ActiveCharter,
    chunk: Iterable[tuple[int, ReportDraft]],
    refused: list[ValueRefused | DraftRefused],
    now: int,
) -> tuple[dict[bytes, InputValue], list[tuple[bytes, Report]]]:
    """Return the values of good drafts, and their labels by the values' keys; the others go to `refused` (rule 1)."""
    values: dict[bytes, InputValue] = {}
    labels: list[tuple[bytes, Report]] = []
    mode, max_hops = Mode(active.charter.mode), active.charter.policy.max_hops
    for position, draft in chunk:
        if not isinstance(draft, ReportDraft):
            raise BadArgument("draft", "a ReportDraft", draft, position)
        try:
            observable = parse_value(draft.observable, mode, position)
            label = label_of(position, draft, observable.type, now, max_hops=max_hops)
        except (ValueRefused, DraftRefused) as refusal:
            refused.append(refusal)
            continue
        key = session.vault.key_of(observable)
        add_value(values, key, observable, position, draft.observable)
        labels.append((key, label))
    return values, labels


def _by_epoch(subjects: Iterable[Subject]) -> dict[int, list[bytes]]:
    by_epoch: dict[int, list[bytes]] = {}
    for subject in subjects:
        by_epoch.setdefault(subject.epoch, []).append(subject.key)
    return by_epoch
