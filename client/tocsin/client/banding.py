"""From a prompt template's bands to the records of similar ones.

Rules
1. A template that has bands is evaluated together with them; a band is never asked for or reported by itself.
2. The vault remembers which bands a skeleton has, so that `watch` finds what comes later from what is stored.
3. Slots combine only within one writer, epoch and ref, and only from τ bands on. Fewer say nothing, not even that
   there is a record.
4. A record counts only in the log of the writer whose slots gave its key, once it is verified as any entry is. A key
   whose record is gone (retracted or expired) says nothing.
5. A writer whose slots name another band, or τ of whose shares give no key of their ref, is named; the others go on.
6. Finding that out is bounded: in one look-up at most 256 subsets of one writer's shares may give no key, however many
   skeletons and refs reach them, and what cost a try is remembered for the skeletons that reach the same slots. Beyond
   that the writer is named, and its further refs are passed over. Honest shares never come to this: any τ of one ref
   give its key, and nobody else writes in their writer's log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tocsin.client.charters import Standing
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
from tocsin.client.obtaining import InputValue, Values
from tocsin.client.ports import NodeApi
from tocsin.client.results import Problem, Value
from tocsin.client.vault import Vault
from tocsin.indicators.ptf2 import bands as ptf2
from tocsin.indicators.ptf2.template import BAND, TEMPLATE
from tocsin.indicators.registry import KeyClass
from tocsin.sealing.box import Purpose
from tocsin.sealing.label import Dispute, Report
from tocsin.sealing.record import BadRecord, BandSlot, RecordKey, Tries, combine

_PASSED_OVER = "its bands were looked at no further: too many of its shares open no record"


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A template that has bands: its key in the vault, theirs (band 1 first), and where it was asked."""

    key: bytes
    bands: tuple[bytes, ...] = field(repr=False)
    positions: tuple[int, ...] = ()
    given: tuple[Value, ...] = field(default=(), repr=False)


@dataclass
class _Group:
    """The slots of one writer, epoch and ref that one skeleton reaches."""

    slots: list[BandSlot] = field(default_factory=list)
    index: int = 0


@dataclass
class _Writer:
    """What combining one writer's slots cost so far in a look-up, and what came of it (rule 6)."""

    tries: Tries = field(default_factory=Tries)
    outcomes: dict[frozenset[BandSlot], RecordKey | str] = field(default_factory=dict)
    passed_over: int | None = None

    def key(self, group: _Group) -> RecordKey | str | None:
        """Return the key that slots of one ref give, or why they give none; None where they are passed over."""
        known = self.outcomes.get(frozenset(group.slots)) if self.outcomes else None
        if known is not None:
            return known
        if not self.tries.left:
            self.passed_over = max(group.index, self.passed_over or 0)
            return None
        left = self.tries.left
        found: RecordKey | str
        try:
            found = combine(group.slots, ptf2.BAND_THRESHOLD, self.tries)
        except BadRecord as error:
            found = f"its bands open no record: {error}"
        # Each that is kept cost a try at least, so they are few.
        if self.tries.left < left:
            self.outcomes[frozenset(group.slots)] = found
        return found


def skeletons_of(vault: Vault, values: Values) -> tuple[list[Skeleton], Values]:
    """Return the templates with bands among values, and all values with these bands; the vault remembers them."""
    found: list[Skeleton] = []
    bands: dict[bytes, InputValue] = {}
    for key, value in values.items():
        if value.observable.bands:
            keys = tuple(vault.key_of(band) for band in value.observable.bands)
            found.append(Skeleton(key, keys, tuple(value.positions), tuple(value.given)))
            bands |= {key: InputValue(band) for key, band in zip(keys, value.observable.bands, strict=True)}
    if not found:
        return [], values
    vault.skeletons.remember({each.key: each.bands for each in found})
    return found, {**values, **bands}


def parted(
    vault: Vault, skeletons: Iterable[Skeleton], subjects: Iterable[Subject]
) -> tuple[list[Subject], list[Subject]]:
    """Return the subjects that are values, and those that are bands, whose outputs the vault has by now.

    What it remembers of the skeletons it may have dropped meanwhile, for a charter that ended the bands' epoch.
    """
    if found := {each.key: each.bands for each in skeletons}:
        vault.skeletons.remember(found)
    values: list[Subject] = []
    bands: list[Subject] = []
    for each in subjects:
        (bands if each.type == BAND else values).append(each)
    return values, bands


def stored_bands(vault: Vault, standing: Standing, skeletons: Iterable[Skeleton], now: int) -> list[Subject]:
    """Return F of the skeletons' bands that the vault has, under every live epoch."""
    wanted = {band for each in skeletons for band in each.bands}
    if not wanted:
        return []
    return [
        Subject(band, BAND, class_key.key_class, class_key.epoch, output)
        for class_key in standing.live_classes(KeyClass.CONTENT_BAND, now)
        for band, output in vault.outputs(class_key.epoch, wanted).items()
    ]


def watched_records(
    node: NodeApi, vault: Vault, standing: Standing, hits: Sequence[Candidate], now: int
) -> OpenedAll[Report | Dispute]:
    """Find the records that bands which just arrived lead to, for the skeletons in the vault (rule 2)."""
    held = vault.skeletons.holding({each.slot.subject.key for each in hits})
    skeletons = [Skeleton(key, bands) for key, bands in held.items()]
    subjects = stored_bands(vault, standing, skeletons, now)
    return find_records(node, standing, skeletons, subjects, sorted({each.writer for each in hits}), now)


def find_records(
    node: NodeApi,
    standing: Standing,
    skeletons: Sequence[Skeleton],
    bands: Sequence[Subject],
    writers: Sequence[bytes],
    now: int,
) -> OpenedAll[Report | Dispute]:
    """Find the records by these writers of templates that share τ bands with a skeleton (rules 3 to 6)."""
    if not skeletons or not bands or not writers:
        return OpenedAll((), ())
    periods = standing.periods(0, now)
    found = look_up(node, Taggers(standing, writers, periods, (Purpose.REPORT,)), bands)
    boxes = open_bands(node, standing, found, now)
    problems = list(boxes.problems)
    by_band = _by_band(standing, skeletons, boxes.opened, problems)
    wanted: dict[bytes, list[Subject]] = {}
    dealt: dict[bytes, _Writer] = {}
    for skeleton in skeletons:
        for (writer, epoch, _), group in _groups(skeleton, by_band).items():
            agreeing = len({each.x for each in group.slots})
            # M-7.12: fewer than τ bands of a record say nothing.
            if agreeing < ptf2.BAND_THRESHOLD:
                continue
            key = dealt.setdefault(writer, _Writer()).key(group)
            if not isinstance(key, RecordKey):
                if key is not None:
                    problems.append(_problem(standing, writer, group.index, key))
                continue
            wanted.setdefault(writer, []).append(
                Subject(
                    skeleton.key,
                    TEMPLATE,
                    int(KeyClass.CONTENT_BAND),
                    epoch,
                    key,
                    skeleton.positions,
                    skeleton.given,
                    agreeing,
                )
            )
    for writer, each in dealt.items():
        if each.passed_over is not None:
            problems.append(_problem(standing, writer, each.passed_over, _PASSED_OVER))
    opened: list[Opened[Report | Dispute]] = []
    for writer, subjects in wanted.items():
        taggers = Taggers(standing, [writer], periods, (Purpose.RECORD,))
        result = open_all(node, standing, look_up(node, taggers, subjects), now)
        opened += result.opened
        problems += result.problems
    return OpenedAll(tuple(opened), tuple(dict.fromkeys(problems)))


def _by_band(
    standing: Standing,
    skeletons: Sequence[Skeleton],
    opened: Iterable[Opened[tuple[BandSlot, ...]]],
    problems: list[Problem],
) -> dict[bytes, list[Opened[tuple[BandSlot, ...]]]]:
    """Return opened boxes by their band, without those that name another band (rule 5)."""
    numbers: dict[bytes, set[int]] = {}
    for skeleton in skeletons:
        for number, band in enumerate(skeleton.bands, 1):
            numbers.setdefault(band, set()).add(number)
    found: dict[bytes, list[Opened[tuple[BandSlot, ...]]]] = {}
    for each in opened:
        band, writer = each.candidate.slot.subject.key, each.candidate.writer
        # M-5.21: x is the number of the band whose F opened the box.
        if all(slot.x in numbers.get(band, ()) for slot in each.content):
            found.setdefault(band, []).append(each)
        else:
            problems.append(
                _problem(
                    standing, writer, each.candidate.index, "a slot of it names another band than its value's"
                )
            )
    return found


def _groups(
    skeleton: Skeleton, by_band: Mapping[bytes, Sequence[Opened[tuple[BandSlot, ...]]]]
) -> dict[tuple[bytes, int, bytes], _Group]:
    """Return the slots that a skeleton reaches, by writer, epoch and ref (rule 3)."""
    found: dict[tuple[bytes, int, bytes], _Group] = {}
    for number, band in enumerate(skeleton.bands, 1):
        for each in by_band.get(band, ()):
            for slot in each.content:
                if slot.x == number:
                    place = each.candidate.writer, each.candidate.slot.info.epoch, slot.ref
                    group = found.setdefault(place, _Group())
                    group.slots.append(slot)
                    group.index = max(group.index, each.candidate.index)
    return found


def _problem(standing: Standing, writer: bytes, index: int, what: str) -> Problem:
    return Problem(writer, standing.charter.member(writer).name, index, what)
