"""Sealing a template's record and the entries of its bands, and taking them back.

Rules
1. Beside the report of a template that has bands goes one record under a fresh key, saying the same, and for each
   band one report that holds the record's slot: current period, newest epoch of the bands' class.
2. The highest index under a tag counts (M-7.3), so a band's report carries every slot that still stands under its tag,
   8 at most, newest first: those of this vault's records, which need not be in the log yet, then those that the log
   shows and this vault does not know, for another client may have written them.
3. A re-report of a skeleton replaces its record of that period: no new box carries the old slots. It may be one that
   this vault did not seal, where the member's log has a slot of it in every band.
4. Taking a skeleton back covers its records, in whatever period they were sealed, and leaves no slot of theirs in the
   newest box of a tag: the box is written again where other slots stand there, otherwise the tag is retracted (M-7.10).
   In an earlier period nothing more is written; a slot that stays there leads to a record that is gone.
5. A record that this vault did not seal is taken back too, recognised as in rule 3. Two skeletons that agree in every
   band cannot be distinguished: whoever finds one finds the other.
6. Reading which slots stand and queueing what follows from it is one step under the vault's lock. What a client with
   another vault wrote is seen from the node's next tick on: of two that report into one band within a tick, one may
   miss the other's slot; renewing fixes that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tocsin.charter.document import ClassKey
from tocsin.client import system
from tocsin.client.charters import ActiveCharter
from tocsin.client.matching import Opened, Subject, Taggers, look_up, open_bands
from tocsin.client.ports import NodeApi
from tocsin.client.sealing import seal_content
from tocsin.client.session import Session
from tocsin.client.templates.bands import Skeleton, stored_bands
from tocsin.client.templates.vault_tables import KeptRecord
from tocsin.indicators.ptf2 import bands as ptf2
from tocsin.indicators.registry import KeyClass
from tocsin.oprf.group import Random
from tocsin.sealing.box import Purpose, SealInfo, tags
from tocsin.sealing.label import Report, encode_record
from tocsin.sealing.pepper import period_secret
from tocsin.sealing.record import MAX_SLOTS, BadRecord, BandSlot, Record, combine, encode_band, make_record
from tocsin.tlog.entry import WEEK_S, weeks_after
from tocsin.wire.values import WireEntry

_DAY = 86_400

_Shown = Sequence[Opened[tuple[BandSlot, ...]]]


class TemplateRecords:
    """Queues what one client sends of its skeletons besides their reports."""

    def __init__(self, session: Session) -> None:
        self._node: NodeApi = session.node
        self._vault = session.vault
        self._outbox = session.outbox
        self._lock = session.vault_lock
        self._random: Random = system.random_bytes

    def report(
        self,
        active: ActiveCharter,
        skeletons: Iterable[Skeleton],
        labels: Iterable[tuple[bytes, Report]],
        bands: Iterable[Subject],
        now: int,
    ) -> tuple[bytes, ...]:
        """Queue the records of those reports that are of skeletons, and the entries of their bands (rules 1 to 3).

        `labels` are by the value's key. `bands` is F of the bands; of several epochs the newest counts that has all
        of a skeleton's, and a skeleton without all is skipped. Returns the requests' keys. Raises as a look-up does.
        """
        by_key = {skeleton.key: skeleton for skeleton in skeletons}
        # Of one skeleton reported twice in a call the last label stands, in one record.
        latest = {key: label for key, label in labels if key in by_key}
        todo = [(by_key[key], label) for key, label in latest.items()]
        by_epoch: dict[int, dict[bytes, Subject]] = {}
        for band in bands:
            by_epoch.setdefault(band.epoch, {})[band.key] = band
        entries: list[WireEntry] = []
        with self._lock:
            for epoch, subjects in sorted(by_epoch.items(), reverse=True):
                whole = [
                    (skeleton, label) for skeleton, label in todo if subjects.keys() >= set(skeleton.bands)
                ]
                todo = [
                    (skeleton, label)
                    for skeleton, label in todo
                    if not subjects.keys() >= set(skeleton.bands)
                ]
                if whole:
                    class_key = active.charter.class_key(int(KeyClass.CONTENT_BAND), epoch)
                    entries += self._of_epoch(active, class_key, whole, subjects, now)
            return self._outbox.enqueue_entries(entries, now)

    def renew(
        self, active: ActiveCharter, labels: Sequence[tuple[bytes, Report]], now: int
    ) -> tuple[bytes, ...]:
        """Queue fresh records of renewed reports, by what the vault has of their skeletons. Returns the keys."""
        known = self._vault.templates.bands(key for key, _ in labels)
        skeletons = [Skeleton(key, bands) for key, bands in known.items()]
        bands = stored_bands(self._vault, active, skeletons, now)
        return self.report(active, skeletons, labels, bands, now)

    def retract(self, active: ActiveCharter, skeletons: Iterable[bytes], now: int) -> tuple[bytes, ...]:
        """Queue taking back every live record kept of these skeletons; the node is not asked (rule 4)."""
        retracted = b"".join(
            tags(
                period_secret(active.pepper(kept.period), kept.record.key),
                Purpose.RECORD,
                SealInfo(int(KeyClass.CONTENT_BAND), kept.epoch, kept.period),
                active.member.id,
            )
            for kept in self._live(active, skeletons, now)
        )
        return self._outbox.enqueue_retraction(retracted, now)

    def clear(self, active: ActiveCharter, skeletons: Iterable[bytes], now: int) -> tuple[bytes, ...]:
        """Queue taking the slots of these skeletons' records out of their bands (rule 4). Raises as a look-up does."""
        keys = list(skeletons)
        with self._lock:
            retracted, entries = self._cleared(active, keys, now)
            return self._outbox.enqueue_retraction(retracted, now) + self._outbox.enqueue_entries(
                entries, now
            )

    def clear_unknown(
        self, active: ActiveCharter, skeletons: Sequence[Skeleton], bands: Sequence[Subject], now: int
    ) -> tuple[bytes, ...]:
        """Queue taking back the records of these skeletons that another client of this member sealed (rule 5)."""
        if not skeletons or not bands:
            return ()
        with self._lock:
            shown = self._shown(active, bands, active.periods(0, now), now)
            adopted = self._unknown(skeletons, shown, now)
            self._vault.templates.keep_records(adopted, now)
            keys = [kept.skeleton for kept in adopted]
            return self.retract(active, keys, now) + self.clear(active, keys, now) if keys else ()

    def _shown(
        self, active: ActiveCharter, bands: Sequence[Subject], periods: Sequence[int], now: int
    ) -> _Shown:
        """Return the newest box of each of these bands, period by period, that the member's log shows."""
        taggers = Taggers(active, [active.member.id], periods, (Purpose.REPORT,))
        return open_bands(self._node, active, look_up(self._node, taggers, bands), now).opened

    def _unknown(self, skeletons: Sequence[Skeleton], shown: _Shown, now: int) -> list[KeptRecord]:
        """Return the records of these skeletons that this vault did not seal (rules 3 and 5)."""
        known = self._vault.templates.known_refs()
        by_ref: dict[tuple[int, int, bytes], dict[tuple[bytes, int], tuple[BandSlot, int]]] = {}
        types: dict[bytes, str] = {}
        for box in shown:
            info, band = box.candidate.slot.info, box.candidate.slot.subject.key
            types[band] = box.candidate.slot.subject.type
            for slot in box.content:
                if slot.ref not in known:
                    at = by_ref.setdefault((info.epoch, info.period, slot.ref), {})
                    at[band, slot.x] = slot, box.entry.header.not_after * WEEK_S
        unknown = []
        for (epoch, period, ref), at in by_ref.items():
            for skeleton in skeletons:
                places = [(band, x) for x, band in enumerate(skeleton.bands, 1)]
                if not all(place in at for place in places):
                    continue
                slots = [at[place][0] for place in places]
                try:
                    key = combine(slots, ptf2.BANDINGS[types[skeleton.bands[0]]].threshold)
                except BadRecord:
                    continue
                record = Record(key, ref, tuple(slot.share for slot in slots))
                until = max(at[place][1] for place in places)
                unknown.append(KeptRecord(record, skeleton.key, epoch, period, now, until))
                break
        return unknown

    def _cleared(
        self, active: ActiveCharter, skeletons: Sequence[bytes], now: int
    ) -> tuple[bytes, list[WireEntry]]:
        records = self._live(active, skeletons, now)
        self._vault.templates.take_back(skeletons)
        bands = self._vault.templates.bands({kept.skeleton for kept in records})
        touched: dict[tuple[int, int], set[bytes]] = {}
        for kept in records:
            touched.setdefault((kept.epoch, kept.period), set()).update(bands.get(kept.skeleton, ()))
        current = active.charter.period_at(now)
        retracted: bytes = b""
        entries: list[WireEntry] = []
        for (epoch, period), wanted in touched.items():
            class_key = active.charter.class_key(int(KeyClass.CONTENT_BAND), epoch)
            types = self._vault.types(wanted)
            subjects = [
                Subject(band, types[band], class_key.key_class, epoch, output)
                for band, output in self._vault.outputs(epoch, wanted).items()
            ]
            shown = self._shown(active, subjects, [period], now)
            slots = self._standing_slots([subject.key for subject in subjects], epoch, period, shown, now)
            taggers = Taggers(active, [active.member.id], [period], (Purpose.REPORT,))
            for subject in subjects:
                left = slots.get(subject.key)
                if not left:
                    retracted += b"".join(of_slot for _, of_slot in taggers.slots(subject))
                elif period == current:
                    entries.append(self._band_entry(active, class_key, subject, left, now))
        return retracted, entries

    def _live(self, active: ActiveCharter, skeletons: Iterable[bytes], now: int) -> list[KeptRecord]:
        periods = set(active.periods(0, now))
        epochs = {key.epoch for key in active.charter.classes if key.key_class == int(KeyClass.CONTENT_BAND)}
        return [
            kept
            for kept in self._vault.templates.records(skeletons)
            if kept.not_after > now and kept.period in periods and kept.epoch in epochs
        ]

    def _of_epoch(
        self,
        active: ActiveCharter,
        class_key: ClassKey,
        labels: Sequence[tuple[Skeleton, Report]],
        subjects: Mapping[bytes, Subject],
        now: int,
    ) -> list[WireEntry]:
        period = active.charter.period_at(now)
        touched = dict.fromkeys(band for skeleton, _ in labels for band in skeleton.bands)
        shown = self._shown(active, [subjects[band] for band in touched], [period], now)
        slots = self._standing_slots(list(touched), class_key.epoch, period, shown, now)
        adopted = self._unknown([skeleton for skeleton, _ in labels], shown, now)
        old = [*adopted, *self._vault.templates.records(skeleton.key for skeleton, _ in labels)]
        replaced = {kept.record.ref for kept in old}
        until = weeks_after(now, class_key.retention_days * _DAY) * WEEK_S
        entries: list[WireEntry] = []
        fresh: list[KeptRecord] = []
        made: dict[bytes, list[BandSlot]] = {}
        for skeleton, label in labels:
            banding = ptf2.BANDINGS[subjects[skeleton.bands[0]].type]
            record = make_record(len(skeleton.bands), banding.threshold, self._random)
            for x, band in enumerate(skeleton.bands, 1):
                made.setdefault(band, []).insert(0, record.slot(x))
            # M-5.17: the record says what the report says.
            content = encode_record(label)
            entries.append(
                seal_content(active, class_key, record.key, Purpose.RECORD, content, now, self._random)
            )
            fresh.append(KeptRecord(record, skeleton.key, class_key.epoch, period, now, until))
        for band in touched:
            others = [slot for slot in slots.get(band, ()) if slot.ref not in replaced]
            slots[band] = made[band] + others
        entries += [self._band_entry(active, class_key, subjects[band], slots[band], now) for band in touched]
        # Kept before anything is queued: a record kept without an entry does no harm.
        self._vault.templates.keep_records([*adopted, *fresh], now)
        return entries

    def _standing_slots(
        self, bands: Sequence[bytes], epoch: int, period: int, shown: _Shown, now: int
    ) -> dict[bytes, list[BandSlot]]:
        """Return the slots that stand under the tags of bands of one epoch in a period, newest first (rule 2)."""
        slots = self._vault.templates.slots(bands, epoch, period, now)
        known = self._vault.templates.known_refs()
        for box in shown:
            carried = [slot for slot in box.content if slot.ref not in known]
            slots.setdefault(box.candidate.slot.subject.key, []).extend(carried)
        return slots

    def _band_entry(
        self,
        active: ActiveCharter,
        class_key: ClassKey,
        subject: Subject,
        slots: Sequence[BandSlot],
        now: int,
    ) -> WireEntry:
        # M-5.22: every slot that still stands under the tag, of more than 8 the newest.
        content = encode_band(subject.type, slots[:MAX_SLOTS])
        return seal_content(active, class_key, subject.output, Purpose.REPORT, content, now, self._random)
