"""From outputs to tags, from tags to entries, from entries to matches.

Rules
1. A value's entries of one kind are looked for under every writer × live period × live epoch (M-7.4). Tags are computed
   when they are needed, in one order: slot by slot, within a slot writer by writer.
2. Of several live indices under one (log, tag) the highest counts (M-7.3).
3. A match counts only once its inclusion in a checkpoint signed by the writer's log key, of the writer's own origin,
   is verified (M-7.1, M-7.2). Keys come from the charter that the client verified.
4. An entry that cannot be in that log, or that answers another question than was asked, is the node's fault and ends
   the call. An entry whose writer made it wrong (a tag copied onto another header, a box that does not open, a label
   that cannot be read or is of another type) is dropped and reported with the writer's name; the rest goes on (M-7.11).
5. A body that is gone was erased between look-up and reading: no match, and nobody's fault.
6. A band's entries hold slots, never a label, and are opened by `open_bands` alone: they are no matches (M-7.12).
   Nor are a room's entries, which `open_room_entries` opens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tocsin.charter.document import Charter, Member
from tocsin.client import deadline
from tocsin.client.charters import ActiveCharter
from tocsin.client.errors import NodeMisbehaved
from tocsin.client.ports import NodeApi
from tocsin.client.results import Match, Problem, ProofFiles, Value
from tocsin.indicators.ptf2.bands import BANDINGS
from tocsin.indicators.registry import TYPES, KeyClass
from tocsin.oprf.rfc9497 import Output
from tocsin.proofs.entry import encode_entry_file, encode_tlog_proof
from tocsin.sealing.box import TAG_BYTES, BadBox, Purpose, SealInfo, Tagger, open_body
from tocsin.sealing.label import BadLabel, Dispute, Report, parse_label, parse_record
from tocsin.sealing.pepper import Pepper, PeriodSecret, period_secret
from tocsin.sealing.record import BadBand, BandSlot, RecordKey, parse_band
from tocsin.sealing.rooms import PURPOSES as ROOM_PURPOSES
from tocsin.sealing.rooms import BadRoomEntry, CampaignKey, RoomEntry, parse_room_entry
from tocsin.tlog.checkpoint import SignedCheckpoint, log_origin, open_checkpoint
from tocsin.tlog.cosignature import cosigned_at, cosigner_name, cosigner_verifier
from tocsin.tlog.entry import Entry, Kind
from tocsin.tlog.errors import TlogError
from tocsin.tlog.merkle import verify_inclusion
from tocsin.wire.limits import MAX_LOCATIONS, MAX_TAGS
from tocsin.wire.values import ProvenEntry

PURPOSES = (Purpose.REPORT, Purpose.DISPUTE)
_DAY = 86_400

_Content = TypeVar("_Content")


@dataclass(frozen=True, slots=True)
class Subject:
    """A value whose entries are looked for: its vault key, its type, F under one class epoch, what was passed where.

    For a template's record `output` is the record key and `bands` says how many of its `bands_of` bands gave it; for a
    room it is the campaign key.
    """

    key: bytes
    type: str
    key_class: int
    epoch: int
    output: Output | RecordKey | CampaignKey
    positions: tuple[int, ...] = ()
    given: tuple[Value, ...] = field(default=(), repr=False)
    bands: int = 0
    bands_of: int = 0


@dataclass(frozen=True, slots=True)
class Slot:
    """One subject, purpose and period: what one run of tags is computed from."""

    subject: Subject
    purpose: Purpose
    info: SealInfo
    secret: PeriodSecret


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry that carries the tag expected of `slot` under `writer`, if the node tells the truth."""

    writer: bytes
    index: int
    tag: bytes
    slot: Slot


@dataclass(frozen=True, slots=True)
class Opened(Generic[_Content]):
    """A verified entry with what is in its box: a label, or a band's slots."""

    candidate: Candidate
    entry: Entry
    content: _Content
    checkpoint: SignedCheckpoint
    proof: ProofFiles


@dataclass(frozen=True, slots=True)
class OpenedAll(Generic[_Content]):
    """What was opened, and what was dropped with its writer named."""

    opened: tuple[Opened[_Content], ...]
    problems: tuple[Problem, ...]


class Taggers:
    """The taggers of a call, made once per (purpose, class, epoch, period).

    A class of bands has reports alone, whatever else `purposes` names.
    """

    def __init__(
        self,
        active: ActiveCharter,
        writers: Iterable[bytes],
        periods: Sequence[int],
        purposes: Sequence[Purpose] = PURPOSES,
    ) -> None:
        self._purposes = tuple(purposes)
        self.writers = tuple(writers)
        self._joined = b"".join(self.writers)
        self._peppers: tuple[tuple[int, Pepper], ...] = tuple(
            (period, active.pepper(period)) for period in periods
        )
        self._made: dict[
            tuple[int, int], tuple[tuple[Pepper, tuple[tuple[Purpose, SealInfo, Tagger], ...]], ...]
        ] = {}

    def of(
        self, key_class: int, epoch: int
    ) -> tuple[tuple[Pepper, tuple[tuple[Purpose, SealInfo, Tagger], ...]], ...]:
        """Return, period by period, the pepper and one tagger per purpose."""
        made = self._made.get((key_class, epoch))
        if made is None:
            purposes = [
                purpose
                for purpose in self._purposes
                if purpose is not Purpose.DISPUTE or key_class != KeyClass.CONTENT_BAND
            ]
            made = tuple(
                (pepper, tuple(self._tagger(purpose, key_class, epoch, period) for purpose in purposes))
                for period, pepper in self._peppers
            )
            self._made[key_class, epoch] = made
        return made

    def _tagger(
        self, purpose: Purpose, key_class: int, epoch: int, period: int
    ) -> tuple[Purpose, SealInfo, Tagger]:
        info = SealInfo(key_class, epoch, period)
        return purpose, info, Tagger(purpose, info, self._joined)

    def slots(self, subject: Subject) -> list[tuple[Slot, bytes]]:
        """Return a subject's slots, each with one 16-byte tag per writer, concatenated."""
        slots = []
        for pepper, taggers in self.of(subject.key_class, subject.epoch):
            secret = period_secret(pepper, subject.output)
            for purpose, info, tagger in taggers:
                slots.append((Slot(subject, purpose, info, secret), tagger.tags(secret)))
        return slots


def look_up(node: NodeApi, taggers: Taggers, subjects: Iterable[Subject]) -> list[Candidate]:
    """Ask the node which entries of the subjects exist (rules 1 and 2)."""
    if not taggers.writers:
        return []
    room = MAX_TAGS // len(taggers.writers)
    candidates: list[Candidate] = []
    slots: list[tuple[Slot, bytes]] = []
    for subject in subjects:
        slots += taggers.slots(subject)
        while len(slots) >= room:
            candidates += _ask(node, taggers.writers, slots[:room])
            del slots[:room]
    if slots:
        candidates += _ask(node, taggers.writers, slots)
    return candidates


def _ask(node: NodeApi, writers: Sequence[bytes], slots: Sequence[tuple[Slot, bytes]]) -> list[Candidate]:
    deadline.check()

    def tag(place: int, position: int) -> bytes:
        return slots[position][1][place * TAG_BYTES : (place + 1) * TAG_BYTES]

    # M-7.1: the tags of a writer are looked for in that writer's log alone.
    groups = [
        (writer, b"".join(tag(place, position) for position in range(len(slots))))
        for place, writer in enumerate(writers)
    ]
    candidates: dict[tuple[int, int], Candidate] = {}
    for hit in node.look_up(groups):
        if not (0 <= hit.group < len(writers) and 0 <= hit.position < len(slots) and hit.indices):
            raise NodeMisbehaved("results that nobody requested")
        place = hit.group, hit.position
        index = max(hit.indices)
        # M-7.3: of several live entries under one (log, tag) the highest index counts.
        if place not in candidates or candidates[place].index < index:
            candidates[place] = Candidate(writers[hit.group], index, tag(*place), slots[hit.position][0])
    return list(candidates.values())


def open_all(
    node: NodeApi, active: ActiveCharter, candidates: Sequence[Candidate], now: int
) -> OpenedAll[Report | Dispute]:
    """Fetch, verify and open candidates that carry labels (rules 3 to 5). Raises `NodeMisbehaved`."""
    return _open_each(node, active, candidates, now, _read_label)


def open_bands(
    node: NodeApi, active: ActiveCharter, candidates: Sequence[Candidate], now: int
) -> OpenedAll[tuple[BandSlot, ...]]:
    """Fetch, verify and open candidates that are bands' reports (rule 6). Raises `NodeMisbehaved`."""
    return _open_each(node, active, candidates, now, _read_band)


def open_room_entries(
    node: NodeApi, active: ActiveCharter, candidates: Sequence[Candidate], now: int
) -> OpenedAll[RoomEntry]:
    """Fetch, verify and open candidates that are a room's entries (rule 6). Raises `NodeMisbehaved`."""

    def read(slot: Slot, content: bytes) -> RoomEntry:
        try:
            entry = parse_room_entry(content, now // _DAY)
        except BadRoomEntry as error:
            raise _Unreadable(f"it cannot be read: {error}") from None
        if ROOM_PURPOSES[entry.kind] is not slot.purpose:
            raise _Unreadable("it is of another kind than its tag")
        return entry

    return _open_each(node, active, candidates, now, read)


def _open_each(
    node: NodeApi,
    active: ActiveCharter,
    candidates: Sequence[Candidate],
    now: int,
    read: Callable[[Slot, bytes], _Content],
) -> OpenedAll[_Content]:
    opened: list[Opened[_Content]] = []
    problems: list[Problem] = []
    for start in range(0, len(candidates), MAX_LOCATIONS):
        deadline.check()
        part = candidates[start : start + MAX_LOCATIONS]
        answer = node.proven_entries([(candidate.writer, candidate.index) for candidate in part])
        if len(answer.entries) != len(part):
            raise NodeMisbehaved(f"{len(answer.entries)} entries where {len(part)} were requested")
        heads: dict[bytes, SignedCheckpoint] = {}
        for candidate, proven in zip(part, answer.entries, strict=True):
            if (proven.writer, proven.stored.index) != (candidate.writer, candidate.index):
                raise NodeMisbehaved("other entries than were requested")
            member = active.charter.member(candidate.writer)
            if member.id not in heads:
                heads[member.id] = _head(active.charter, member, answer.checkpoints.get(member.id))
            result = _open(active, member, candidate, proven, heads[member.id], now, read)
            if isinstance(result, Problem):
                problems.append(result)
            elif result is not None:
                opened.append(result)
    return OpenedAll(tuple(opened), tuple(problems))


def matches_of(charter: Charter, opened: Iterable[Opened[Report | Dispute]]) -> list[Match]:
    """Turn opened entries of other members into matches; an entry takes a draft of its own (M-7.8)."""
    times: dict[bytes, int] = {}
    matches = []
    for entry in opened:
        raw = entry.checkpoint.raw
        if raw not in times:
            times[raw] = freshness(charter, entry.checkpoint)
        subject = entry.candidate.slot.subject
        matches.append(
            Match(
                type=subject.type,
                writer=entry.candidate.writer,
                writer_name=charter.member(entry.candidate.writer).name,
                index=entry.candidate.index,
                label=entry.content,
                checkpoint_time=times[raw],
                positions=subject.positions,
                key=subject.key,
                values=subject.given,
                evidence=entry.proof,
                bands=subject.bands,
                bands_of=subject.bands_of,
            )
        )
    return matches


def freshness(charter: Charter, checkpoint: SignedCheckpoint) -> int:
    """Return the freshest time at which a member of the charter cosigned, in unix seconds; 0 for none."""
    newest = 0
    for member in charter.members:
        verifier = cosigner_verifier(cosigner_name(charter.federation, member.id), member.cosigner)
        if any(line.by(verifier) for line in checkpoint.note.signatures):
            try:
                newest = max(newest, cosigned_at(checkpoint.note, verifier))
            except TlogError:
                continue  # a forged cosignature vouches for nothing; the log's own signature was verified
    return newest


def verified_entry(charter: Charter, member: Member, proven: ProvenEntry, note: bytes | None) -> None:
    """Verify that an entry is in the log of a member whose checkpoint `note` is (M-7.2). Raises `NodeMisbehaved`."""
    _check_included(member, proven, _head(charter, member, note))


def _check_included(member: Member, proven: ProvenEntry, head: SignedCheckpoint) -> None:
    index = proven.stored.index
    try:
        verify_inclusion(
            index, head.checkpoint.size, proven.stored.leaf_hash(), proven.hashes, head.checkpoint.root
        )
    except TlogError as error:
        raise NodeMisbehaved(
            f"the inclusion proof of entry {index} in {member.name}'s log fails ({error})"
        ) from error
    if proven.stored.entry.header.kind is not Kind.SEALED:
        raise NodeMisbehaved(
            f"entry {index} of {member.name}'s log was found by its tag, but it is no sealed entry"
        )


def _head(charter: Charter, member: Member, note: bytes | None) -> SignedCheckpoint:
    if note is None:
        raise NodeMisbehaved(f"entries of {member.name}'s log came without its checkpoint")
    try:
        return open_checkpoint(note, log_origin(charter.federation, member.id), member.log)
    except TlogError as error:
        raise NodeMisbehaved(f"the checkpoint of {member.name}'s log is not that log's ({error})") from error


def _open(
    active: ActiveCharter,
    member: Member,
    candidate: Candidate,
    proven: ProvenEntry,
    head: SignedCheckpoint,
    now: int,
    read: Callable[[Slot, bytes], _Content],
) -> Opened[_Content] | Problem | None:
    header, body = proven.stored.entry.header, proven.stored.entry.body
    slot = candidate.slot
    _check_included(member, proven, head)
    # M-7.2, M-7.11: a body that is gone or expired is no match and nobody's fault.
    if body is None or not header.is_live(now):
        return None
    if body.tag != candidate.tag:
        raise NodeMisbehaved(
            f"entry {candidate.index} of {member.name}'s log does not carry the tag that it was found by"
        )

    def problem(what: str) -> Problem:
        return Problem(member.id, member.name, candidate.index, what)

    # M-5.6, M-7.2: the header's class, epoch and period are those that the tag was made for.
    if (header.key_class, header.epoch, header.period) != (
        slot.info.key_class,
        slot.info.epoch,
        slot.info.period,
    ):
        return problem("its header names another class, epoch or period than its tag was made for")
    try:
        content = open_body(
            slot.secret,
            slot.purpose,
            slot.info,
            federation=active.charter.federation,
            writer=member.id,
            header=header.encode(),
            body=body.encode(),
        )
        parsed = read(slot, content)
    except BadBox as error:
        return problem(f"its box does not open: {error}")
    except _Unreadable as error:
        return problem(str(error))
    entry = Entry(header, body)
    files = ProofFiles(encode_entry_file(entry), encode_tlog_proof(candidate.index, proven.hashes, head.raw))
    return Opened(candidate, entry, parsed, head, files)


class _Unreadable(Exception):
    """A box that opened, and whose content its writer made wrong."""


def _read_label(slot: Slot, content: bytes) -> Report | Dispute:
    label: Report | Dispute
    try:
        label = parse_record(content) if slot.purpose is Purpose.RECORD else parse_label(content)
    except BadLabel as error:
        raise _Unreadable(f"its label cannot be read: {error}") from None
    if isinstance(label, Dispute) is not (slot.purpose is Purpose.DISPUTE):
        raise _Unreadable("its label is of another kind than its tag")
    # M-5.16: the type is that of the value whose F opened the box.
    if label.type != slot.subject.type:
        raise _Unreadable("its label names another type than the value's")
    # M-5.15: believed only for a type that may stand alone.
    if isinstance(label, Report) and label.campaign_key is not None and not TYPES[label.type].alone:
        raise _Unreadable("its label carries a campaign key in a type that may not stand alone")
    return label


def _read_band(slot: Slot, content: bytes) -> tuple[BandSlot, ...]:
    try:
        return parse_band(content, slot.subject.type, BANDINGS[slot.subject.type].bands)
    except BadBand as error:
        raise _Unreadable(f"its slots cannot be read: {error}") from None
