"""From a prompt template's bands to the records of similar templates.

Rules
1. A template that has bands is evaluated together with them; a band is never queried or reported by itself (M-7.13).
2. The vault remembers which bands a skeleton has, so that `watch` finds what comes later from what is stored.
3. Slots combine only within one writer, epoch and ref, and only from τ bands on. Fewer say nothing, not even that
   there is a record (M-7.12).
4. A record counts only in the log of the writer whose slots gave its key, once it is verified like any entry (M-7.2). A
   key whose record is gone (retracted or expired) says nothing.
5. A writer whose slots name another band, or τ of whose shares give no key of their ref, is named; the others go on.
6. Finding that out is bounded: in one look-up at most 256 subsets of one writer's shares may give no key, however many
   skeletons and refs reach them, and what cost a try is remembered for the skeletons that reach the same slots. Beyond
   that the writer is named, and its other refs are skipped. Honest shares never come to this: any τ of one ref give
   its key, and nobody else writes in their writer's log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tocsin.client.arguments import InputValue, Values
from tocsin.client.charters import ActiveCharter
from tocsin.client.matching import (
    Candidate,
    Opened,
    OpenedAll,
    Subject,
    Taggers,
    look_up,
    open_all,
    open_bands,
)
from tocsin.client.ports import NodeApi
from tocsin.client.results import Problem, Value
from tocsin.client.vault import Vault
from tocsin.indicators.ptf2 import bands as ptf2
from tocsin.indicators.registry import KeyClass
from tocsin.sealing.box import Purpose
from tocsin.sealing.label import Dispute, Report
from tocsin.sealing.record import BadRecord, BandSlot, RecordKey, Tries, combine

_SKIPPED = "its other bands were skipped: too many of its shares open no record"


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A template that has bands: its key in the vault, theirs (band 1 first), and where it stood in the call."""

    key: bytes
    bands: tuple[bytes, ...] = field(repr=False)
    positions: tuple[int, ...] = ()
    given: tuple[Value, ...] = field(default=(), repr=False)


@dataclass
class _Group:
    """The slots of one writer, epoch and ref that one skeleton reaches."""

    slots: list[BandSlot] = field(default_factory=list)
    index: int = 0
    type: str = ""
    """Of the bands."""


@dataclass
class _Writer:
    """What combining one writer's slots cost so far in a look-up, and what came of it (rule 6)."""

    tries: Tries = field(default_factory=Tries)
    outcomes: dict[frozenset[BandSlot], RecordKey | str] = field(default_factory=dict)
    skipped_at: int | None = None

    def key(self, group: _Group) -> RecordKey | str | None:
        """Return the key that slots of one ref give, or why they give none; None where they are skipped."""
        known = self.outcomes.get(frozenset(group.slots)) if self.outcomes else None
        if known is not None:
            return known
        if not self.tries.left:
            self.skipped_at = max(group.index, self.skipped_at or 0)
            return None
        left = self.tries.left
        outcome: RecordKey | str
        try:
            outcome = combine(group.slots, ptf2.BANDINGS[group.type].threshold, self.tries)
        except BadRecord as error:
            outcome = f"its bands open no record: {error}"
        # Each one remembered cost at least one try, so they are few.
        if self.tries.left < left:
            self.outcomes[frozenset(group.slots)] = outcome
        return outcome


def with_bands(vault: Vault, values: Values) -> tuple[list[Skeleton], Values]:
    """Return the templates with bands among values, and all values with these bands; the vault remembers them."""
    skeletons: list[Skeleton] = []
    bands: dict[bytes, InputValue] = {}
    for key, value in values.items():
        if value.observable.bands:
            keys = tuple(vault.key_of(band) for band in value.observable.bands)
            skeletons.append(Skeleton(key, keys, tuple(value.positions), tuple(value.given)))
            bands |= {key: InputValue(band) for key, band in zip(keys, value.observable.bands, strict=True)}
    if not skeletons:
        return [], values
    vault.templates.remember({skeleton.key: skeleton.bands for skeleton in skeletons})
    return skeletons, {**values, **bands}


def split_bands(
    vault: Vault, skeletons: Sequence[Skeleton], subjects: Iterable[Subject]
) -> tuple[list[Subject], list[Subject]]:
    """Return the subjects that are values, and those that are bands, whose outputs the vault has by now.

    The vault may have dropped the skeletons meanwhile, for a charter that ended the bands' epoch; it is reminded.
    """
    if skeletons:
        vault.templates.remember({skeleton.key: skeleton.bands for skeleton in skeletons})
    values: list[Subject] = []
    bands: list[Subject] = []
    for subject in subjects:
        (bands if subject.type in ptf2.BANDINGS else values).append(subject)
    return values, bands


def stored_bands(
    vault: Vault, active: ActiveCharter, skeletons: Iterable[Skeleton], now: int
) -> list[Subject]:
    """Return F of the skeletons' bands that the vault has, under every epoch under which entries may live."""
    wanted = {band for skeleton in skeletons for band in skeleton.bands}
    if not wanted:
        return []
    types = vault.types(wanted)
    return [
        Subject(band, types[band], class_key.key_class, class_key.epoch, output)
        for class_key in active.readable_keys(KeyClass.CONTENT_BAND, now)
        for band, output in vault.outputs(class_key.epoch, wanted).items()
    ]


def watched_records(
    node: NodeApi, vault: Vault, active: ActiveCharter, hits: Sequence[Candidate], now: int
) -> OpenedAll[Report | Dispute]:
    """Find the records that bands which just arrived lead to, for the skeletons in the vault (rule 2)."""
    known = vault.templates.with_any_of({hit.slot.subject.key for hit in hits})
    skeletons = [Skeleton(key, bands) for key, bands in known.items()]
    subjects = stored_bands(vault, active, skeletons, now)
    return find_records(node, active, skeletons, subjects, sorted({hit.writer for hit in hits}), now)


def find_records(
    node: NodeApi,
    active: ActiveCharter,
    skeletons: Sequence[Skeleton],
    bands: Sequence[Subject],
    writers: Sequence[bytes],
    now: int,
) -> OpenedAll[Report | Dispute]:
    """Find the records by these writers of templates that share τ bands with a skeleton (rules 3 to 6)."""
    if not skeletons or not bands or not writers:
        return OpenedAll((), ())
    periods = active.periods(0, now)
    candidates = look_up(node, Taggers(active, writers, periods, (Purpose.REPORT,)), bands)
    boxes = open_bands(node, active, candidates, now)
    problems = list(boxes.problems)
    by_band = _by_band(active, skeletons, boxes.opened, problems)
    wanted: dict[bytes, list[Subject]] = {}
    by_writer: dict[bytes, _Writer] = {}
    for skeleton in skeletons:
        for (writer, epoch, _), group in _groups(skeleton, by_band).items():
            agreeing = len({slot.x for slot in group.slots})
            # M-7.12: fewer than τ bands of a record say nothing.
            banding = ptf2.BANDINGS[group.type]
            if agreeing < banding.threshold:
                continue
            key = by_writer.setdefault(writer, _Writer()).key(group)
            if not isinstance(key, RecordKey):
                if key is not None:
                    problems.append(_problem(active, writer, group.index, key))
                continue
            wanted.setdefault(writer, []).append(
                Subject(
                    skeleton.key,
                    banding.of,
                    int(KeyClass.CONTENT_BAND),
                    epoch,
                    key,
                    skeleton.positions,
                    skeleton.given,
                    agreeing,
                    banding.bands,
                )
            )
    for writer, combining in by_writer.items():
        if combining.skipped_at is not None:
            problems.append(_problem(active, writer, combining.skipped_at, _SKIPPED))
    opened: list[Opened[Report | Dispute]] = []
    for writer, subjects in wanted.items():
        taggers = Taggers(active, [writer], periods, (Purpose.RECORD,))
        result = open_all(node, active, look_up(node, taggers, subjects), now)
        opened += result.opened
        problems += result.problems
    return OpenedAll(tuple(opened), tuple(dict.fromkeys(problems)))


def _by_band(
    active: ActiveCharter,
    skeletons: Sequence[Skeleton],
    opened: Iterable[Opened[tuple[BandSlot, ...]]],
    problems: list[Problem],
) -> dict[bytes, list[Opened[tuple[BandSlot, ...]]]]:
    """Return opened boxes by their band, without those that name another band (rule 5)."""
    numbers: dict[bytes, set[int]] = {}
    for skeleton in skeletons:
        for number, band in enumerate(skeleton.bands, 1):
            numbers.setdefault(band, set()).add(number)
    by_band: dict[bytes, list[Opened[tuple[BandSlot, ...]]]] = {}
    for box in opened:
        band, candidate = box.candidate.slot.subject.key, box.candidate
        # M-5.21: x is the number of the band whose F opened the box.
        if all(slot.x in numbers.get(band, ()) for slot in box.content):
            by_band.setdefault(band, []).append(box)
        else:
            what = "one of its slots names another band than its value's"
            problems.append(_problem(active, candidate.writer, candidate.index, what))
    return by_band


def _groups(
    skeleton: Skeleton, by_band: Mapping[bytes, Sequence[Opened[tuple[BandSlot, ...]]]]
) -> dict[tuple[bytes, int, bytes], _Group]:
    """Return the slots that a skeleton reaches, by writer, epoch and ref (rule 3)."""
    groups: dict[tuple[bytes, int, bytes], _Group] = {}
    for number, band in enumerate(skeleton.bands, 1):
        for box in by_band.get(band, ()):
            for slot in box.content:
                if slot.x == number:
                    place = box.candidate.writer, box.candidate.slot.info.epoch, slot.ref
                    group = groups.setdefault(place, _Group())
                    group.slots.append(slot)
                    group.type = box.candidate.slot.subject.type
                    group.index = max(group.index, box.candidate.index)
    return groups


def _problem(active: ActiveCharter, writer: bytes, index: int, what: str) -> Problem:
    return Problem(writer, active.charter.member(writer).name, index, what)
