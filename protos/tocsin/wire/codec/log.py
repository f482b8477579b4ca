"""LogService: checkpoints, entries, proofs and forks. The rules are those of `tocsin.wire.codec`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

from tocsin.tlog.entry import parse_body, parse_header
from tocsin.tlog.errors import TlogError
from tocsin.tlog.merkle import Hash
from tocsin.v1 import entry_pb2
from tocsin.v1 import log_pb2 as pb
from tocsin.wire.codec import fields
from tocsin.wire.errors import Malformed
from tocsin.wire.limits import (
    MAX_CONSISTENCY_HASHES,
    MAX_ENTRIES,
    MAX_INCLUSION_HASHES,
    MAX_LOCATIONS,
    MAX_LOGS,
    MAX_STEPS,
)
from tocsin.wire.reasons import Reason
from tocsin.wire.values import (
    Kept,
    KeptFork,
    LogCheckpoint,
    MemberId,
    ProvenEntries,
    ProvenEntry,
    Stored,
)

_BODY_HASH_BYTES = sha256().digest_size


def parse_checkpoints(message: pb.ListCheckpointsResponse) -> list[LogCheckpoint]:
    """Parse the newest signed note of every log, each named once; the notes stay as they came. Raises `Malformed`."""
    return _checkpoints(message.checkpoints)


def parse_time(message: pb.ListCheckpointsResponse) -> int:
    """Parse what the answering node's clock says, unix seconds. Raises `Malformed`."""
    return fields.parse_index(message.time, "time")


def build_checkpoints(checkpoints: Iterable[LogCheckpoint], time: int) -> pb.ListCheckpointsResponse:
    """Build the newest signed note of every log, and what this node's clock says, unix seconds."""
    return pb.ListCheckpointsResponse(
        time=time,
        checkpoints=[
            pb.LogCheckpoint(writer=head.writer, checkpoint=head.note, quarantined=head.quarantined)
            for head in checkpoints
        ],
    )


def parse_steps_request(message: pb.ListIntermediateCheckpointsRequest) -> tuple[int, int]:
    """Parse above which size intermediate checkpoints are asked, and how many. Raises `Malformed`."""
    return fields.parse_index(message.after, "after"), message.limit


def build_steps_request(after: int, limit: int) -> pb.ListIntermediateCheckpointsRequest:
    """Build the request for intermediate checkpoints."""
    return pb.ListIntermediateCheckpointsRequest(after=after, limit=limit)


def parse_steps(message: pb.ListIntermediateCheckpointsResponse, limit: int) -> list[bytes]:
    """Parse intermediate checkpoints; the notes stay as they came. Raises `Malformed`."""
    return list(fields.at_most(message.checkpoints, min(limit, MAX_STEPS), "checkpoints"))


def build_steps(notes: Iterable[bytes]) -> pb.ListIntermediateCheckpointsResponse:
    """Build intermediate checkpoints."""
    return pb.ListIntermediateCheckpointsResponse(checkpoints=notes)


def parse_page(message: pb.ListEntriesRequest) -> tuple[MemberId, int, int]:
    """Parse whose entries are asked, from which index, and how many. Raises `Malformed`."""
    writer = fields.parse_member(message.writer, "writer")
    return writer, fields.parse_index(message.start, "start"), message.limit


def build_page(writer: bytes, start: int, limit: int) -> pb.ListEntriesRequest:
    """Build the request for entries of a log."""
    return pb.ListEntriesRequest(writer=writer, start=start, limit=limit)


def parse_entries(message: pb.ListEntriesResponse, start: int, limit: int) -> list[Stored]:
    """Parse entries from `start` on, `limit` at most. Leaves and bodies are the caller's to check.

    Raises `Malformed`.
    """
    return [
        _stored(start + offset, entry, f"entries[{offset}]")
        for offset, entry in enumerate(fields.at_most(message.entries, min(limit, MAX_ENTRIES), "entries"))
    ]


def build_entries(entries: Iterable[Stored]) -> pb.ListEntriesResponse:
    """Build entries: without the body where that was erased or never was."""
    return pb.ListEntriesResponse(entries=map(_build_entry, entries))


def parse_consistency_request(message: pb.GetConsistencyProofRequest) -> tuple[MemberId, int, int]:
    """Parse between which sizes of whose log a proof is asked. Raises `Malformed`."""
    return (
        fields.parse_member(message.writer, "writer"),
        fields.parse_index(message.old_size, "old_size"),
        fields.parse_index(message.new_size, "new_size"),
    )


def build_consistency_request(writer: bytes, old_size: int, new_size: int) -> pb.GetConsistencyProofRequest:
    """Build the request for a proof of consistency."""
    return pb.GetConsistencyProofRequest(writer=writer, old_size=old_size, new_size=new_size)


def parse_consistency(message: pb.GetConsistencyProofResponse) -> list[Hash]:
    """Parse a proof of consistency. Raises `Malformed`."""
    return list(fields.parse_hashes(message.hashes, MAX_CONSISTENCY_HASHES, "hashes"))


def build_consistency(hashes: Iterable[Hash]) -> pb.GetConsistencyProofResponse:
    """Build a proof of consistency."""
    return pb.GetConsistencyProofResponse(hashes=hashes)


def parse_locations(message: pb.GetProvenEntriesRequest) -> list[tuple[MemberId, int]]:
    """Parse 1 to 256 places in logs. Raises `Malformed`."""
    count = len(message.locations)
    if not 1 <= count <= MAX_LOCATIONS:
        raise Malformed(
            f"locations must be 1 to {MAX_LOCATIONS}, got {count:,}", "locations", Reason.TOO_MANY_LOCATIONS
        )
    return [_location(location, f"locations[{index}]") for index, location in enumerate(message.locations)]


def build_locations(locations: Iterable[tuple[bytes, int]]) -> pb.GetProvenEntriesRequest:
    """Build the request for entries with proofs."""
    return pb.GetProvenEntriesRequest(
        locations=[entry_pb2.EntryLocation(writer=writer, index=index) for writer, index in locations]
    )


def parse_proven(message: pb.GetProvenEntriesResponse) -> ProvenEntries:
    """Parse entries with their proofs, and the checkpoints these are against. Raises `Malformed`."""
    proven = []
    for number, answer in enumerate(fields.at_most(message.entries, MAX_LOCATIONS, "entries")):
        field = f"entries[{number}]"
        writer, index = _location(answer.location, f"{field}.location")
        stored = _stored(index, answer.entry, f"{field}.entry")
        hashes = fields.parse_hashes(answer.hashes, MAX_INCLUSION_HASHES, f"{field}.hashes")
        proven.append(ProvenEntry(writer, stored, hashes))
    return ProvenEntries(
        tuple(proven), {head.writer: head.note for head in _checkpoints(message.checkpoints)}
    )


def build_proven(proven: ProvenEntries) -> pb.GetProvenEntriesResponse:
    """Build entries with their proofs, and the checkpoints these are against."""
    return pb.GetProvenEntriesResponse(
        entries=[
            pb.ProvenEntry(
                location=entry_pb2.EntryLocation(writer=entry.writer, index=entry.stored.index),
                entry=_build_entry(entry.stored),
                hashes=entry.hashes,
            )
            for entry in proven.entries
        ],
        checkpoints=[
            pb.LogCheckpoint(writer=writer, checkpoint=note) for writer, note in proven.checkpoints.items()
        ],
    )


def parse_forks(message: pb.ListForksResponse) -> list[KeptFork]:
    """Parse the proofs that a node keeps, one a log; they stay as they came. Raises `Malformed`."""
    return [
        KeptFork(fields.parse_member(fork.writer, f"forks[{index}].writer"), fork.proof)
        for index, fork in enumerate(fields.at_most(message.forks, MAX_LOGS, "forks"))
    ]


def build_forks(forks: Iterable[KeptFork]) -> pb.ListForksResponse:
    """Build the proofs that a node keeps."""
    return pb.ListForksResponse(forks=[pb.Fork(writer=fork.writer, proof=fork.proof) for fork in forks])


def _checkpoints(messages: Sequence[pb.LogCheckpoint]) -> list[LogCheckpoint]:
    heads: dict[MemberId, LogCheckpoint] = {}
    for index, head in enumerate(fields.at_most(messages, MAX_LOGS, "checkpoints")):
        writer = fields.parse_member(head.writer, f"checkpoints[{index}].writer")
        if writer in heads:
            raise Malformed(
                f"checkpoints[{index}] names a writer for the second time", f"checkpoints[{index}].writer"
            )
        heads[writer] = LogCheckpoint(writer, head.checkpoint, head.quarantined)
    return list(heads.values())


def _location(message: entry_pb2.EntryLocation, field: str) -> tuple[MemberId, int]:
    writer = fields.parse_member(message.writer, f"{field}.writer")
    return writer, fields.parse_index(message.index, f"{field}.index")


def _stored(index: int, message: entry_pb2.Entry, field: str) -> Stored:
    try:
        kept = Kept(parse_header(message.header), parse_body(message.body) if message.body else None)
    except TlogError as error:
        raise Malformed(f"{field}: {error}", field) from None
    return Stored(index, kept, fields.parse_bytes(message.body_hash, _BODY_HASH_BYTES, f"{field}.body_hash"))


def _build_entry(stored: Stored) -> entry_pb2.Entry:
    body = stored.entry.body
    return entry_pb2.Entry(
        header=stored.entry.header.encode(),
        body=body.encode() if body is not None else b"",
        body_hash=stored.body_hash,
    )
