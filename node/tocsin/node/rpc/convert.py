"""Wire messages to values and back: every byte that arrives is parsed once, here.

1. Counts are checked before anything is done per item, lengths before any curve work.
2. What a parse function returns is trusted by everything behind it; what it refuses is an error with a reason that
   names the field, with its index where there are many: a `ServiceError` where the wire's comments list the reason,
   else `MalformedRequest`.
3. `parse_*` reads a request or a peer's answer; `wire_*` builds what is sent. Nothing here decides anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from tocsin.node.rpc.errors import MalformedRequest
from tocsin.node.service.errors import (
    InvalidCursor,
    InvalidElement,
    InvalidEntry,
    InvalidIdempotencyKey,
    InvalidQuorum,
    TooManyElements,
    TooManyEntries,
    TooManyLocations,
    TooManyTags,
)
from tocsin.oprf.dleq import InvalidProof, decode_proof
from tocsin.oprf.group import ELEMENT_BYTES, BadElement, Element, decode_elements
from tocsin.oprf.threshold import PartialEvaluation
from tocsin.tlog.entry import TAG_BYTES, Entry, parse_body, parse_entry, parse_header
from tocsin.tlog.errors import TlogError
from tocsin.tlog.merkle import Hash, parse_hash
from tocsin.v1 import entry_pb2, evaluation_pb2, log_pb2, lookup_pb2, membership_pb2, publishing_pb2
from tocsin.wire.values import (
    BudgetLeft,
    Kept,
    LogCheckpoint,
    MemberId,
    NewTags,
    NodeStatus,
    PartialRequest,
    ProvenEntries,
    SignedPartial,
    Stored,
    TagHit,
)

MAX_ELEMENTS = 4_096
MAX_COMPLAINTS = 6
MAX_SEATS = 7
MAX_ENTRIES = 1_000
MAX_PROVEN = 256
MAX_LOOKUP_TAGS = 50_000
MAX_WRITERS = 1_000

_T = TypeVar("_T")


# -- fields that occur everywhere


def parse_member(raw: bytes, field: str) -> MemberId:
    """Take 16 bytes for a member id. Raises `MalformedRequest`."""
    return MemberId(_exactly(raw, 16, field))


def _exactly(raw: bytes, length: int, field: str) -> bytes:
    if len(raw) != length:
        raise MalformedRequest(f"{field} must be {length} bytes, it has {len(raw)}", field)
    return raw


def parse_elements(raw: Sequence[bytes], field: str) -> list[Element]:
    """Decode a batch of 1 to 4,096 elements: about 5 µs each. Raises `TooManyElements`, `InvalidElement`."""
    if not 1 <= len(raw) <= MAX_ELEMENTS:
        raise TooManyElements(
            f"{field} must be 1 to {MAX_ELEMENTS:,} elements, there are {len(raw):,}", field
        )
    for index, element in enumerate(raw):
        if len(element) != ELEMENT_BYTES:
            raise InvalidElement(
                f"{field}[{index}] must be {ELEMENT_BYTES} bytes, it has {len(element)}", f"{field}[{index}]"
            )
    try:
        return decode_elements(raw)
    except BadElement as error:
        raise InvalidElement(str(error), f"{field}[{error.index}]") from None


def _parse_quorum(raw: Sequence[int], field: str) -> tuple[int, ...]:
    if not 1 <= len(raw) <= MAX_SEATS or any(not 1 <= seat <= MAX_SEATS for seat in raw):
        raise InvalidQuorum(f"{field} must be 1 to {MAX_SEATS} seats of 1 to {MAX_SEATS}", field)
    return tuple(raw)


def _parse_class(key_class: int) -> int:
    if key_class >= 2**16:
        raise MalformedRequest("key_class must be below 65,536", "key_class")
    return key_class


# -- evaluation


class EvaluationRequest:
    """A client's batch, parsed."""

    __slots__ = ("blinded", "committee_hash", "complaints", "epoch", "key_class")

    def __init__(self, message: evaluation_pb2.EvaluateRequest) -> None:
        self.key_class = _parse_class(message.key_class)
        self.epoch = message.key_epoch
        self.committee_hash = _exactly(message.committee_hash, 32, "committee_hash")
        if len(message.complaints) > MAX_COMPLAINTS:
            raise MalformedRequest(f"complaints must be at most {MAX_COMPLAINTS}", "complaints")
        self.blinded = parse_elements(message.blinded_elements, "blinded_elements")
        self.complaints = [
            parse_signed_partial(complaint, f"complaints[{index}]")
            for index, complaint in enumerate(message.complaints)
        ]


def parse_partial_request(message: evaluation_pb2.EvaluatePartialRequest) -> PartialRequest:
    """Parse what one seat is asked. Raises by rule 2."""
    quorum = _parse_quorum(message.quorum, "quorum")
    if message.seat not in quorum:
        raise InvalidQuorum(f"seat {message.seat} is not in the quorum", "seat")
    return PartialRequest(
        key_class=_parse_class(message.key_class),
        epoch=message.key_epoch,
        committee_hash=_exactly(message.committee_hash, 32, "committee_hash"),
        quorum=quorum,
        seat=message.seat,
        blinded=parse_elements(message.blinded_elements, "blinded_elements"),
    )


def wire_partial_request(request: PartialRequest) -> evaluation_pb2.EvaluatePartialRequest:
    """Build what one seat is asked."""
    return evaluation_pb2.EvaluatePartialRequest(
        key_class=request.key_class,
        key_epoch=request.epoch,
        committee_hash=request.committee_hash,
        quorum=request.quorum,
        seat=request.seat,
        blinded_elements=request.blinded,
    )


def parse_signed_partial(message: evaluation_pb2.SignedPartial, field: str) -> SignedPartial:
    """Parse one evaluator's part; its signature and proof are the receiver's to verify. Raises by rule 2."""
    evaluated = parse_elements(message.evaluated_elements, f"{field}.evaluated_elements")
    try:
        proof = decode_proof(message.proof)
    except InvalidProof as error:
        raise MalformedRequest(f"{field}.proof: {error}", f"{field}.proof") from None
    quorum = _parse_quorum(message.quorum, f"{field}.quorum")
    if message.seat not in quorum:
        raise InvalidQuorum(f"{field}.seat {message.seat} is not in its quorum", f"{field}.seat")
    return SignedPartial(
        seat=message.seat,
        evaluator=parse_member(message.evaluator, f"{field}.evaluator"),
        quorum=quorum,
        partial=PartialEvaluation(tuple(evaluated), proof),
        budget_left=message.budget_left,
        time=message.time,
        signature=_exactly(message.signature, 64, f"{field}.signature"),
    )


def wire_signed_partial(signed: SignedPartial) -> evaluation_pb2.SignedPartial:
    """Build one evaluator's part."""
    return evaluation_pb2.SignedPartial(
        seat=signed.seat,
        evaluator=signed.evaluator,
        quorum=signed.quorum,
        evaluated_elements=signed.partial.evaluated,
        proof=signed.partial.proof,
        budget_left=signed.budget_left,
        time=signed.time,
        signature=signed.signature,
    )


def parse_budgets(message: evaluation_pb2.GetBudgetResponse) -> list[BudgetLeft]:
    """Parse what an evaluator says is left. Raises by rule 2."""
    return [
        BudgetLeft(
            key_class=_parse_class(budget.key_class),
            epoch=budget.key_epoch,
            seat=budget.seat,
            evaluator=parse_member(budget.evaluator, f"budgets[{index}].evaluator"),
            limit=budget.limit,
            left=budget.left,
        )
        for index, budget in enumerate(_at_most(message.budgets, MAX_ENTRIES, "budgets"))
    ]


def wire_budget(budget: BudgetLeft) -> evaluation_pb2.Budget:
    """Build one budget."""
    return evaluation_pb2.Budget(
        key_class=budget.key_class,
        key_epoch=budget.epoch,
        seat=budget.seat,
        evaluator=budget.evaluator,
        limit=budget.limit,
        left=budget.left,
    )


# -- publishing


def parse_key(raw: bytes) -> bytes:
    """Take 16 bytes for an idempotency key. Raises `InvalidIdempotencyKey`."""
    if len(raw) != 16:
        raise InvalidIdempotencyKey(
            f"idempotency_key must be 16 random bytes, it has {len(raw)}", "idempotency_key"
        )
    return raw


def parse_submission(message: publishing_pb2.SubmitRequest) -> tuple[bytes, list[Entry]]:
    """Parse an idempotency key and 1 to 1,000 entries. Raises by rule 2."""
    key = parse_key(message.idempotency_key)
    count = len(message.entries)
    if not 1 <= count <= MAX_ENTRIES:
        raise TooManyEntries(f"entries must be 1 to {MAX_ENTRIES:,}, there are {count:,}", "entries")
    return key, [_parse_new_entry(entry, f"entries[{i}]") for i, entry in enumerate(message.entries)]


def _parse_new_entry(message: entry_pb2.Entry, field: str) -> Entry:
    if message.body_hash:
        raise InvalidEntry(f"{field}.body_hash is left empty in a submission", f"{field}.body_hash")
    try:
        return parse_entry(message.header, message.body)
    except TlogError as error:
        raise InvalidEntry(f"{field}: {error}", field) from None


def parse_retraction(message: publishing_pb2.RetractRequest) -> tuple[bytes, list[bytes]]:
    """Parse an idempotency key and 1 to 1,000 tags. Raises by rule 2."""
    key = parse_key(message.idempotency_key)
    count, rest = divmod(len(message.tags), TAG_BYTES)
    if rest or not 1 <= count <= MAX_ENTRIES:
        raise TooManyEntries(f"tags must be 1 to {MAX_ENTRIES:,} tags of {TAG_BYTES} bytes", "tags")
    return key, [message.tags[i : i + TAG_BYTES] for i in range(0, len(message.tags), TAG_BYTES)]


# -- look-up


def parse_look_up(message: lookup_pb2.LookUpRequest) -> list[tuple[MemberId, bytes]]:
    """Parse concatenated tags per writer, 50,000 at most in all. Raises by rule 2."""
    groups = _at_most(message.tags, MAX_WRITERS, "tags")
    if sum(len(group.tags) for group in groups) > MAX_LOOKUP_TAGS * TAG_BYTES:
        raise TooManyTags(f"at most {MAX_LOOKUP_TAGS:,} tags are looked up at a time", "tags")
    for index, group in enumerate(groups):
        if len(group.tags) % TAG_BYTES:
            raise TooManyTags(
                f"tags[{index}].tags must be a multiple of {TAG_BYTES} bytes", f"tags[{index}].tags"
            )
    return [(parse_member(group.writer, f"tags[{i}].writer"), group.tags) for i, group in enumerate(groups)]


def wire_hits(hits: Iterable[TagHit]) -> lookup_pb2.LookUpResponse:
    """Build the answer of a look-up."""
    return lookup_pb2.LookUpResponse(
        hits=[lookup_pb2.Hit(group=hit.group, position=hit.position, indices=hit.indices) for hit in hits]
    )


def parse_cursor(message: lookup_pb2.WatchTagsRequest) -> dict[MemberId, int]:
    """Parse the next index wanted per log. Raises `InvalidCursor`, `MalformedRequest`."""
    cursor: dict[MemberId, int] = {}
    for index, position in enumerate(_at_most(message.cursor, MAX_WRITERS, "cursor")):
        writer = parse_member(position.writer, f"cursor[{index}].writer")
        if writer in cursor:
            raise InvalidCursor(f"cursor[{index}] names a writer for the second time", f"cursor[{index}]")
        cursor[writer] = _index(position.next_index, f"cursor[{index}].next_index")
    return cursor


def wire_news(news: NewTags) -> lookup_pb2.WatchTagsResponse:
    """Build one message of the stream of new tags."""
    return lookup_pb2.WatchTagsResponse(
        writer=news.writer,
        indices=news.indices,
        tags=news.tags,
        next_index=news.next_index,
        caught_up=news.caught_up,
    )


# -- logs


def parse_locations(message: log_pb2.GetProvenEntriesRequest) -> list[tuple[MemberId, int]]:
    """Parse 1 to 256 places in logs. Raises by rule 2."""
    count = len(message.locations)
    if not 1 <= count <= MAX_PROVEN:
        raise TooManyLocations(f"locations must be 1 to {MAX_PROVEN}, there are {count:,}", "locations")
    return [
        (
            parse_member(location.writer, f"locations[{i}].writer"),
            _index(location.index, f"locations[{i}].index"),
        )
        for i, location in enumerate(message.locations)
    ]


def parse_index(number: int, field: str) -> int:
    """Take a number for an index or a size: at most 2^63-1, what any store holds. Raises `MalformedRequest`."""
    return _index(number, field)


def _index(number: int, field: str) -> int:
    if number >= 2**63:
        raise MalformedRequest(f"{field} must be below 2^63", field)
    return number


def wire_entry(stored: Stored) -> entry_pb2.Entry:
    """Build an entry as it stands: without its body where that was erased or never was."""
    body = stored.entry.body
    return entry_pb2.Entry(
        header=stored.entry.header.encode(),
        body=body.encode() if body is not None else b"",
        body_hash=stored.body_hash,
    )


def parse_entries(message: log_pb2.ListEntriesResponse, start: int, limit: int) -> list[Stored]:
    """Parse a peer's entries from `start` on, `limit` at most; hashes are the caller's to verify.

    Raises `MalformedRequest`.
    """
    stored = []
    for offset, item in enumerate(_at_most(message.entries, limit, "entries")):
        field = f"entries[{offset}]"
        try:
            kept = Kept(parse_header(item.header), parse_body(item.body) if item.body else None)
        except TlogError as error:
            raise MalformedRequest(f"{field}: {error}", field) from None
        stored.append(Stored(start + offset, kept, _exactly(item.body_hash, 32, f"{field}.body_hash")))
    return stored


def wire_checkpoint(checkpoint: LogCheckpoint) -> log_pb2.LogCheckpoint:
    """Build the newest checkpoint of one log."""
    return log_pb2.LogCheckpoint(
        writer=checkpoint.writer, checkpoint=checkpoint.note, quarantined=checkpoint.quarantined
    )


def wire_proven(proven: ProvenEntries) -> log_pb2.GetProvenEntriesResponse:
    """Build entries with their proofs, and the checkpoints these are against."""
    return log_pb2.GetProvenEntriesResponse(
        entries=[
            log_pb2.ProvenEntry(
                location=entry_pb2.EntryLocation(writer=item.writer, index=item.stored.index),
                entry=wire_entry(item.stored),
                hashes=item.hashes,
            )
            for item in proven.entries
        ],
        checkpoints=[
            log_pb2.LogCheckpoint(writer=writer, checkpoint=note)
            for writer, note in proven.checkpoints.items()
        ],
    )


def parse_checkpoints(message: log_pb2.ListCheckpointsResponse) -> dict[MemberId, bytes]:
    """Parse a peer's newest signed note of every log; the notes stay as they came. Raises by rule 2."""
    return {
        parse_member(item.writer, f"checkpoints[{i}].writer"): item.checkpoint
        for i, item in enumerate(_at_most(message.checkpoints, MAX_WRITERS, "checkpoints"))
    }


def parse_hashes(hashes: Sequence[bytes], field: str) -> list[Hash]:
    """Parse the hashes of a proof. Raises by rule 2."""
    try:
        return [parse_hash(item) for item in _at_most(hashes, 128, field)]
    except TlogError as error:
        raise MalformedRequest(f"{field}: {error}", field) from None


def _at_most(items: Sequence[_T], limit: int, field: str) -> Sequence[_T]:
    if len(items) > limit:
        raise MalformedRequest(f"{field} must be at most {limit:,}, there are {len(items):,}", field)
    return items


# -- membership


def wire_status(status: NodeStatus) -> membership_pb2.GetStatusResponse:
    """Build how the node stands."""
    return membership_pb2.GetStatusResponse(
        member=status.member,
        software_version=status.software_version,
        charter_version=status.charter_version,
        waiting=status.waiting,
        logs=[
            membership_pb2.LogStatus(
                writer=log.writer,
                size=log.size,
                checkpoint_time=log.checkpoint_time,
                last_reached=log.last_reached,
                quarantined=log.quarantined,
                problem=log.problem,
            )
            for log in status.logs
        ],
    )
