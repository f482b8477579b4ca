"""Sealing a template's record and the entries of its bands, and taking them back.

Rules
1. Beside the report of a template that has bands goes one record under a fresh key, saying the same, and for each
   band one report that holds the record's slot: current period, newest epoch of the bands' class.
2. The highest index under a tag is what counts, so a band's report carries every slot that still stands under the
   tag it is written under, 8 at most, newest first: those of this vault's records, which need not be in the log yet,
   then those that the own log shows and this vault does not know, for another client may have written them.
3. A re-report of a skeleton replaces its record of that period: no new box carries the old slots. It may be one that
   this vault did not seal, where the own log has a slot of it in every band.
4. Taking a skeleton back covers its records, in whatever period they were sealed, and leaves no slot of theirs in the
   newest box of a tag: the box is written again where other slots stand there, else the tag is retracted. Of an
   earlier period nothing is written any more; a slot that stays there leads to a record that is gone.
5. A record that this vault did not seal is taken back too, known as in rule 3. Two skeletons that agree in every band
   cannot be told apart so: who finds the one finds the other.
6. Reading which slots stand and queueing what follows from it is one step, taken by one at a time of all threads and
   processes on this vault. A client with another vault is seen from the node's next tick on: of two that report into
   one band within a tick, one may not see the other's slot; renewing mends that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tocsin.charter.document import ClassKey
from tocsin.client.banding import Skeleton, stored_bands
from tocsin.client.charters import Standing
from tocsin.client.matching import Opened, Subject, Taggers, look_up, open_bands
from tocsin.client.ports import NodeApi
from tocsin.client.reporting import Reporter, seal_content
from tocsin.client.turn import Turn
from tocsin.client.vault import Vault
from tocsin.client.vault_skeletons import KeptRecord
from tocsin.indicators.ptf2 import bands as ptf2
from tocsin.indicators.ptf2.template import BAND
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


class Recorder:
    """Queues what one client sends of its skeletons besides their reports."""

    def __init__(self, node: NodeApi, vault: Vault, reporter: Reporter, random: Random, turn: Turn) -> None:
        self._node = node
        self._vault = vault
        self._reporter = reporter
        self._random = random
        self._turn = turn

    def report(
        self,
        standing: Standing,
        skeletons: Iterable[Skeleton],
        labels: Iterable[tuple[bytes, Report]],
        bands: Iterable[Subject],
        now: int,
    ) -> tuple[bytes, ...]:
        """Queue the records of those reports that are of skeletons, and the entries of their bands (rules 1 to 3).

        `labels` are by the value's key. `bands` is F of the bands; of several epochs the newest counts that has all
        of a skeleton's, and a skeleton without all is passed over. Returns the requests' keys. Raises as a look-up
        does.
        """
        by_key = {each.key: each for each in skeletons}
        # Of one skeleton reported twice in a call the last label stands, in one record.
        latest = {key: label for key, label in labels if key in by_key}
        todo = [(by_key[key], label) for key, label in latest.items()]
        by_epoch: dict[int, dict[bytes, Subject]] = {}
        for each in bands:
            by_epoch.setdefault(each.epoch, {})[each.key] = each
        entries: list[WireEntry] = []
        with self._turn:
            for epoch, subjects in sorted(by_epoch.items(), reverse=True):
                whole = [each for each in todo if subjects.keys() >= set(each[0].bands)]
                todo = [each for each in todo if not subjects.keys() >= set(each[0].bands)]
                if whole:
                    class_key = standing.charter.class_key(int(KeyClass.CONTENT_BAND), epoch)
                    entries += self._of_epoch(standing, class_key, whole, subjects, now)
            return self._reporter.enqueue_entries(entries, now)

    def renew(
        self, standing: Standing, labels: Sequence[tuple[bytes, Report]], now: int
    ) -> tuple[bytes, ...]:
        """Queue fresh records of renewed reports, by what the vault has of their skeletons. Returns the keys."""
        held = self._vault.skeletons.bands(key for key, _ in labels)
        skeletons = [Skeleton(key, bands) for key, bands in held.items()]
        bands = stored_bands(self._vault, standing, skeletons, now)
        return self.report(standing, skeletons, labels, bands, now)

    def retract(self, standing: Standing, skeletons: Iterable[bytes], now: int) -> tuple[bytes, ...]:
        """Queue taking back every live record kept of these skeletons; the node is not asked (rule 4)."""
        found = b"".join(
            tags(
                period_secret(standing.pepper(each.period), each.record.key),
                Purpose.RECORD,
                SealInfo(int(KeyClass.CONTENT_BAND), each.epoch, each.period),
                standing.member.id,
            )
            for each in self._live(standing, skeletons, now)
        )
        return self._reporter.enqueue_retraction(found, now)

    def clear(self, standing: Standing, skeletons: Iterable[bytes], now: int) -> tuple[bytes, ...]:
        """Queue taking the slots of these skeletons' records out of their bands (rule 4). Raises as a look-up does."""
        keys = list(skeletons)
        with self._turn:
            retracted, entries = self._cleared(standing, keys, now)
            return self._reporter.enqueue_retraction(retracted, now) + self._reporter.enqueue_entries(
                entries, now
            )

    def clear_unknown(
        self, standing: Standing, skeletons: Sequence[Skeleton], bands: Sequence[Subject], now: int
    ) -> tuple[bytes, ...]:
        """Queue taking back the records of these skeletons that another client of this member sealed (rule 5)."""
        if not skeletons or not bands:
            return ()
        with self._turn:
            shown = self._shown(standing, bands, standing.periods(0, now), now)
            adopted = self._unknown(skeletons, shown, now)
            self._vault.skeletons.keep_records(adopted, now)
            keys = [each.skeleton for each in adopted]
            return self.retract(standing, keys, now) + self.clear(standing, keys, now) if keys else ()

    def _shown(
        self, standing: Standing, bands: Sequence[Subject], periods: Sequence[int], now: int
    ) -> _Shown:
        """Return the newest box of each of these bands, period by period, that the own log shows."""
        taggers = Taggers(standing, [standing.member.id], periods, (Purpose.REPORT,))
        return open_bands(self._node, standing, look_up(self._node, taggers, bands), now).opened

    def _unknown(self, skeletons: Sequence[Skeleton], shown: _Shown, now: int) -> list[KeptRecord]:
        """Return the records of these skeletons that this vault did not seal (rules 3 and 5)."""
        known = self._vault.skeletons.known_refs()
        found: dict[tuple[int, int, bytes], dict[tuple[bytes, int], tuple[BandSlot, int]]] = {}
        for each in shown:
            info, band = each.candidate.slot.info, each.candidate.slot.subject.key
            for slot in each.content:
                if slot.ref not in known:
                    at = found.setdefault((info.epoch, info.period, slot.ref), {})
                    at[band, slot.x] = slot, each.entry.header.not_after * WEEK_S
        unknown = []
        for (epoch, period, ref), at in found.items():
            for skeleton in skeletons:
                places = [(band, x) for x, band in enumerate(skeleton.bands, 1)]
                if not all(place in at for place in places):
                    continue
                slots = [at[place][0] for place in places]
                try:
                    key = combine(slots, ptf2.BAND_THRESHOLD)
                except BadRecord:
                    continue
                record = Record(key, ref, tuple(each.share for each in slots))
                until = max(at[place][1] for place in places)
                unknown.append(KeptRecord(record, skeleton.key, epoch, period, now, until))
                break
        return unknown

    def _cleared(
        self, standing: Standing, skeletons: Sequence[bytes], now: int
    ) -> tuple[bytes, list[WireEntry]]:
        records = self._live(standing, skeletons, now)
        self._vault.skeletons.take_back(skeletons)
        bands = self._vault.skeletons.bands({each.skeleton for each in records})
        touched: dict[tuple[int, int], set[bytes]] = {}
        for each in records:
            touched.setdefault((each.epoch, each.period), set()).update(bands.get(each.skeleton, ()))
        current = standing.charter.period_at(now)
        retracted: bytes = b""
        entries: list[WireEntry] = []
        for (epoch, period), wanted in touched.items():
            class_key = standing.charter.class_key(int(KeyClass.CONTENT_BAND), epoch)
            subjects = [
                Subject(band, BAND, class_key.key_class, epoch, output)
                for band, output in self._vault.outputs(epoch, wanted).items()
            ]
            shown = self._shown(standing, subjects, [period], now)
            slots = self._standing_slots([each.key for each in subjects], epoch, period, shown, now)
            taggers = Taggers(standing, [standing.member.id], [period], (Purpose.REPORT,))
            for subject in subjects:
                left = slots.get(subject.key)
                if not left:
                    retracted += b"".join(found for _, found in taggers.slots(subject))
                elif period == current:
                    entries.append(self._band_entry(standing, class_key, subject, left, now))
        return retracted, entries

    def _live(self, standing: Standing, skeletons: Iterable[bytes], now: int) -> list[KeptRecord]:
        periods = set(standing.periods(0, now))
        epochs = {
            each.epoch for each in standing.charter.classes if each.key_class == int(KeyClass.CONTENT_BAND)
        }
        return [
            each
            for each in self._vault.skeletons.records(skeletons)
            if each.not_after > now and each.period in periods and each.epoch in epochs
        ]

    def _of_epoch(
        self,
        standing: Standing,
        class_key: ClassKey,
        labels: Sequence[tuple[Skeleton, Report]],
        subjects: Mapping[bytes, Subject],
        now: int,
    ) -> list[WireEntry]:
        period = standing.charter.period_at(now)
        touched = dict.fromkeys(band for skeleton, _ in labels for band in skeleton.bands)
        shown = self._shown(standing, [subjects[band] for band in touched], [period], now)
        slots = self._standing_slots(list(touched), class_key.epoch, period, shown, now)
        adopted = self._unknown([skeleton for skeleton, _ in labels], shown, now)
        old = [*adopted, *self._vault.skeletons.records(skeleton.key for skeleton, _ in labels)]
        replaced = {each.record.ref for each in old}
        until = weeks_after(now, class_key.retention_days * _DAY) * WEEK_S
        entries: list[WireEntry] = []
        fresh: list[KeptRecord] = []
        made: dict[bytes, list[BandSlot]] = {}
        for skeleton, label in labels:
            record = make_record(len(skeleton.bands), ptf2.BAND_THRESHOLD, self._random)
            for x, band in enumerate(skeleton.bands, 1):
                made.setdefault(band, []).insert(0, record.slot(x))
            # M-5.17: the record says what the report says.
            content = encode_record(label)
            entries.append(
                seal_content(standing, class_key, record.key, Purpose.RECORD, content, now, self._random)
            )
            fresh.append(KeptRecord(record, skeleton.key, class_key.epoch, period, now, until))
        for band in touched:
            others = [each for each in slots.get(band, ()) if each.ref not in replaced]
            slots[band] = made[band] + others
        entries += [
            self._band_entry(standing, class_key, subjects[band], slots[band], now) for band in touched
        ]
        # Kept before anything is queued: a record kept without an entry does no harm.
        self._vault.skeletons.keep_records([*adopted, *fresh], now)
        return entries

    def _standing_slots(
        self, bands: Sequence[bytes], epoch: int, period: int, shown: _Shown, now: int
    ) -> dict[bytes, list[BandSlot]]:
        """Return the slots that stand under the tags of bands of one epoch in a period, newest first (rule 2)."""
        slots = self._vault.skeletons.slots(bands, epoch, period, now)
        known = self._vault.skeletons.known_refs()
        for each in shown:
            carried = [slot for slot in each.content if slot.ref not in known]
            slots.setdefault(each.candidate.slot.subject.key, []).extend(carried)
        return slots

    def _band_entry(
        self,
        standing: Standing,
        class_key: ClassKey,
        subject: Subject,
        slots: Sequence[BandSlot],
        now: int,
    ) -> WireEntry:
        # M-5.22: every slot that still stands under the tag, of more than 8 the newest.
        content = encode_band(BAND, slots[:MAX_SLOTS])
        return seal_content(standing, class_key, subject.output, Purpose.REPORT, content, now, self._random)
