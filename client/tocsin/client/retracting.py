"""Taking back what a member reported, and renewing what it still stands by.

Rules
1. Taking back needs neither budget nor committee where the vault has the output: that part is sent even where a value
   of the call cannot be evaluated.
2. Retracting covers every live index under the value's tags, for every purpose, live period and live epoch; of a
   template also its records and its slots in the bands, whichever client of this member wrote them (M-7.10).
3. Renewing seals again, from the stored F, what is live in the member's own log and not yet in the current period
   (M-7.9). So one client does not renew what another retracted. What this client sealed in the current period is not
   due, though the log does not show it before the tick: otherwise an old label would come to lie above a new report.
"""

from __future__ import annotations

from collections.abc import Iterable

from tocsin.charter.document import ClassKey
from tocsin.client import rooms, system
from tocsin.client.arguments import iterable, read_values
from tocsin.client.charters import ActiveCharter
from tocsin.client.disputing import followed_dispute
from tocsin.client.errors import TocsinError
from tocsin.client.matching import Subject, Taggers, look_up, open_all
from tocsin.client.outputs import Epochs, Spending, all_outputs, stored_outputs
from tocsin.client.ports import NodeApi
from tocsin.client.results import Receipt, Value
from tocsin.client.sealing import seal_label
from tocsin.client.session import Session
from tocsin.client.submitting import mark_sealed
from tocsin.client.templates.records import TemplateRecords
from tocsin.client.vault import Vault
from tocsin.indicators.registry import TYPES, Mode
from tocsin.oprf.group import Random
from tocsin.sealing.box import Purpose
from tocsin.sealing.label import Dispute, Report
from tocsin.wire.values import WireEntry


def retract(session: Session, values: Iterable[Value], now: int) -> Receipt:
    """Take back every live report and dispute of these values (rules 1 and 2)."""
    active, vault, outbox = session.charter(now), session.vault, session.outbox
    mode = Mode(active.charter.mode)
    readable, refused = read_values(enumerate(iterable("values", values)), mode, vault.key_of)
    records = TemplateRecords(session)
    stored = stored_outputs(session, active, readable, now)
    keys = outbox.enqueue_retraction(_retraction_tags(active, stored, now), now)
    keys += records.retract(active, readable, now)
    vault.unmark_reported(readable)
    spending = Spending()
    try:
        keys += records.clear(active, readable, now)
        outputs = all_outputs(session, readable, spending, now, Epochs.READABLE)
    except TocsinError:
        outbox.flush(session.node, now)
        raise
    known = {(subject.key, subject.epoch) for subject in stored}
    rest = [subject for subject in outputs.values if (subject.key, subject.epoch) not in known]
    keys += outbox.enqueue_retraction(_retraction_tags(outputs.active, rest, now), now)
    keys += records.clear_unknown(outputs.active, outputs.skeletons, outputs.bands, now)
    accepted = outbox.flush(session.node, now).accepted(keys)
    from_vault = len(outputs.values) + len(outputs.bands) - spending.paid
    return Receipt(accepted, tuple(refused), keys, spending.paid, from_vault)


def renew(session: Session, now: int) -> Receipt:
    """Seal again, in the current period, what this client reported and still stands by (rule 3)."""
    active = session.charter(now)
    renewed = _renewals(session.node, session.vault, active, now, system.random_bytes)
    keys = session.outbox.enqueue_entries([entry for _, entry, _ in renewed], now)
    mark_sealed(session.vault, [subject for subject, _, _ in renewed], active.charter.period_at(now))
    labels = [(subject.key, label) for subject, _, label in renewed if isinstance(label, Report)]
    keys += TemplateRecords(session).renew(active, labels, now)
    keys += rooms.renew(session, active, now)
    return Receipt(session.outbox.flush(session.node, now).accepted(keys), (), keys)


def _renewals(
    node: NodeApi, vault: Vault, active: ActiveCharter, now: int, random: Random
) -> list[tuple[Subject, WireEntry, Report | Dispute]]:
    """Seal again what this client reported and what is live only in an earlier period (rule 3), with its label."""
    current = active.charter.period_at(now)
    taggers = Taggers(active, [active.member.id], active.periods(0, now))
    renewed: list[tuple[Subject, WireEntry, Report | Dispute]] = []
    for class_key, subjects in _reported(vault, active, now):
        newest: dict[tuple[bytes, Purpose], int] = {}
        candidates = look_up(node, taggers, subjects)
        for candidate in candidates:
            place = candidate.slot.subject.key, candidate.slot.purpose
            newest[place] = max(newest.get(place, 0), candidate.slot.info.period)
        due = [
            candidate
            for candidate in candidates
            if candidate.slot.info.period
            == newest[candidate.slot.subject.key, candidate.slot.purpose]
            < current
        ]
        for live in open_all(node, active, due, now).opened:
            subject = live.candidate.slot.subject
            label = live.content
            if isinstance(label, Dispute):
                followed = followed_dispute(node, active, subject, label, now)
                if followed is None:
                    continue
                label = followed
            entry = seal_label(active, class_key, subject.output, label, now, random)
            renewed.append((subject, entry, label))
    return renewed


def _retraction_tags(active: ActiveCharter, subjects: Iterable[Subject], now: int) -> bytes:
    """Return every tag under which the member's own log may hold live entries of these values (rule 2)."""
    taggers = Taggers(active, [active.member.id], active.periods(0, now))
    return b"".join(tags for subject in subjects for _, tags in taggers.slots(subject))


def _reported(vault: Vault, active: ActiveCharter, now: int) -> list[tuple[ClassKey, list[Subject]]]:
    by_epoch: dict[tuple[str, int], list[bytes]] = {}
    current = active.charter.period_at(now)
    for value in vault.reported():
        if value.sealed is not None and value.sealed >= current:
            continue
        by_epoch.setdefault((value.type, value.epoch), []).append(value.key)
    by_class = []
    for (type, epoch), keys in by_epoch.items():
        if type not in TYPES:
            continue
        for class_key in active.readable_keys(TYPES[type].key_class, now):
            if class_key.epoch == epoch:
                subjects = [
                    Subject(key, type, class_key.key_class, epoch, output)
                    for key, output in vault.outputs(epoch, keys).items()
                ]
                by_class.append((class_key, subjects))
    return by_class
