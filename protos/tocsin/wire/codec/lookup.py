"""LookupService: tags asked, hits, new tags. The rules are those of `tocsin.wire.codec`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tocsin.tlog.entry import TAG_BYTES
from tocsin.v1 import lookup_pb2 as pb
from tocsin.wire.codec import fields
from tocsin.wire.errors import Malformed
from tocsin.wire.limits import MAX_HIT_INDICES, MAX_LOGS, MAX_STREAMED_TAGS, MAX_TAGS
from tocsin.wire.reasons import Reason
from tocsin.wire.values import MemberId, NewTags, TagHit


def parse_look_up(message: pb.LookUpRequest) -> list[tuple[MemberId, bytes]]:
    """Parse concatenated tags per writer, 50,000 at most in all. Raises `Malformed`."""
    groups = fields.at_most(message.tags, MAX_LOGS, "tags")
    if sum(len(group.tags) for group in groups) > MAX_TAGS * TAG_BYTES:
        raise Malformed(
            f"tags must be at most {MAX_TAGS:,} in one call; split them", "tags", Reason.TOO_MANY_TAGS
        )
    for index, group in enumerate(groups):
        if len(group.tags) % TAG_BYTES:
            raise Malformed(
                f"tags[{index}].tags must be a multiple of {TAG_BYTES} bytes, got {len(group.tags)}",
                f"tags[{index}].tags",
                Reason.TOO_MANY_TAGS,
            )
    return [
        (fields.parse_member(group.writer, f"tags[{index}].writer"), group.tags)
        for index, group in enumerate(groups)
    ]


def build_look_up(groups: Iterable[tuple[bytes, bytes]]) -> pb.LookUpRequest:
    """Build a look-up of concatenated tags per writer."""
    return pb.LookUpRequest(tags=[pb.WriterTags(writer=writer, tags=tags) for writer, tags in groups])


def parse_hits(message: pb.LookUpResponse, groups: Sequence[tuple[bytes, bytes]]) -> list[TagHit]:
    """Parse the answer to a look-up of `groups`: one hit at most for each tag. Raises `Malformed`."""
    fields.at_most(message.hits, sum(len(tags) for _, tags in groups) // TAG_BYTES, "hits")
    hits = []
    for number, hit in enumerate(message.hits):
        field = f"hits[{number}]"
        if hit.group >= len(groups) or hit.position >= len(groups[hit.group][1]) // TAG_BYTES:
            raise Malformed(f"{field} must be of a tag that was asked", field)
        if not hit.indices:
            raise Malformed(f"{field}.indices must not be empty", f"{field}.indices")
        fields.at_most(hit.indices, MAX_HIT_INDICES, f"{field}.indices")
        indices = fields.parse_indices(hit.indices, f"{field}.indices")
        hits.append(TagHit(hit.group, hit.position, indices))
    return hits


def build_hits(hits: Iterable[TagHit]) -> pb.LookUpResponse:
    """Build the answer to a look-up."""
    return pb.LookUpResponse(
        hits=[pb.Hit(group=hit.group, position=hit.position, indices=hit.indices) for hit in hits]
    )


def parse_watch(message: pb.WatchTagsRequest) -> tuple[dict[MemberId, int], int]:
    """Parse the next index wanted per log, and the newest period. Raises `Malformed`."""
    cursor: dict[MemberId, int] = {}
    for index, position in enumerate(fields.at_most(message.cursor, MAX_LOGS, "cursor")):
        writer = fields.parse_member(position.writer, f"cursor[{index}].writer")
        if writer in cursor:
            raise Malformed(
                f"cursor[{index}] names a writer for the second time",
                f"cursor[{index}]",
                Reason.INVALID_CURSOR,
            )
        cursor[writer] = fields.parse_index(position.next_index, f"cursor[{index}].next_index")
    return cursor, message.newest_period


def build_watch(cursor: Mapping[bytes, int], newest_period: int) -> pb.WatchTagsRequest:
    """Build the request for a stream of new tags."""
    return pb.WatchTagsRequest(
        cursor=[pb.LogPosition(writer=writer, next_index=index) for writer, index in cursor.items()],
        newest_period=newest_period,
    )


def parse_new_tags(message: pb.WatchTagsResponse) -> NewTags:
    """Parse one message of the stream. Raises `Malformed`."""
    indices = fields.parse_indices(fields.at_most(message.indices, MAX_STREAMED_TAGS, "indices"), "indices")
    next_index = fields.parse_index(message.next_index, "next_index")
    if indices and indices[-1] >= next_index:
        raise Malformed(f"next_index must be above every index, got {next_index}", "next_index")
    return NewTags(
        fields.parse_member(message.writer, "writer"),
        indices,
        fields.parse_bytes(message.tags, TAG_BYTES * len(indices), "tags"),
        next_index,
        message.caught_up,
    )


def build_new_tags(new: NewTags) -> pb.WatchTagsResponse:
    """Build one message of the stream."""
    return pb.WatchTagsResponse(
        writer=new.writer,
        indices=new.indices,
        tags=new.tags,
        next_index=new.next_index,
        caught_up=new.caught_up,
    )
