"""PublishingService: submissions and retractions. The rules are those of `tocsin.wire.codec`."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.tlog.entry import TAG_BYTES, Entry, parse_entry
from tocsin.tlog.errors import TlogError
from tocsin.v1 import entry_pb2
from tocsin.v1 import publishing_pb2 as pb
from tocsin.wire.codec import fields
from tocsin.wire.errors import Malformed
from tocsin.wire.limits import MAX_ENTRIES
from tocsin.wire.reasons import Reason
from tocsin.wire.values import Acknowledged, SubmissionStatus, WireEntry


def parse_submission(message: pb.SubmitRequest) -> tuple[bytes, list[Entry]]:
    """Parse an idempotency key and 1 to 1,000 entries. Raises `Malformed`."""
    key = fields.parse_idempotency_key(message.idempotency_key)
    count = len(message.entries)
    if not 1 <= count <= MAX_ENTRIES:
        raise Malformed(
            f"entries must be 1 to {MAX_ENTRIES:,}, got {count:,}", "entries", Reason.TOO_MANY_ENTRIES
        )
    return key, [_new_entry(entry, f"entries[{index}]") for index, entry in enumerate(message.entries)]


def build_submission(idempotency_key: bytes, entries: Sequence[WireEntry]) -> pb.SubmitRequest:
    """Build a submission of encoded entries."""
    return pb.SubmitRequest(
        idempotency_key=idempotency_key,
        entries=[entry_pb2.Entry(header=entry.header, body=entry.body) for entry in entries],
    )


def parse_retraction(message: pb.RetractRequest) -> tuple[bytes, list[bytes]]:
    """Parse an idempotency key and 1 to 1,000 tags. Raises `Malformed`."""
    key = fields.parse_idempotency_key(message.idempotency_key)
    count, rest = divmod(len(message.tags), TAG_BYTES)
    if rest or not 1 <= count <= MAX_ENTRIES:
        raise Malformed(
            f"tags must be 1 to {MAX_ENTRIES:,} tags of {TAG_BYTES} bytes, got {len(message.tags):,} bytes",
            "tags",
            Reason.TOO_MANY_ENTRIES,
        )
    return key, [message.tags[at : at + TAG_BYTES] for at in range(0, len(message.tags), TAG_BYTES)]


def build_retraction(idempotency_key: bytes, tags: bytes) -> pb.RetractRequest:
    """Build a retraction of concatenated tags."""
    return pb.RetractRequest(idempotency_key=idempotency_key, tags=tags)


def parse_submitted(message: pb.SubmitResponse) -> Acknowledged:
    """Parse the acknowledgement of a submission."""
    return Acknowledged(message.accepted, message.repeated_request)


def build_submitted(done: Acknowledged) -> pb.SubmitResponse:
    """Build the acknowledgement of a submission."""
    return pb.SubmitResponse(accepted=done.count, repeated_request=done.repeated)


def parse_retracted(message: pb.RetractResponse) -> Acknowledged:
    """Parse the acknowledgement of a retraction."""
    return Acknowledged(message.covered, message.repeated_request)


def build_retracted(done: Acknowledged) -> pb.RetractResponse:
    """Build the acknowledgement of a retraction."""
    return pb.RetractResponse(covered=done.count, repeated_request=done.repeated)


def parse_submission_status(message: pb.GetSubmissionResponse) -> SubmissionStatus:
    """Parse what became of a submission: no indices before all of it is sequenced. Raises `Malformed`."""
    if message.indices and not message.sequenced:
        raise Malformed("indices must be empty until all of the submission is sequenced", "indices")
    return SubmissionStatus(
        message.sequenced,
        tuple(
            fields.parse_index(index, f"indices[{position}]")
            for position, index in enumerate(message.indices)
        ),
    )


def build_submission_status(status: SubmissionStatus) -> pb.GetSubmissionResponse:
    """Build what became of a submission."""
    return pb.GetSubmissionResponse(sequenced=status.sequenced, indices=status.indices)


def _new_entry(message: entry_pb2.Entry, field: str) -> Entry:
    if message.body_hash:
        raise Malformed(
            f"{field}.body_hash must be empty in a submission", f"{field}.body_hash", Reason.INVALID_ENTRY
        )
    try:
        return parse_entry(message.header, message.body)
    except TlogError as error:
        raise Malformed(f"{field}: {error}", field, Reason.INVALID_ENTRY) from None
