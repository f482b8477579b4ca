"""What the columns hold that are more than one value, and back.

Rules
1. Waiting entries are `header ‖ body` concatenated; the kind in the header says whether a body follows.
   Waiting retractions are their 16-byte tags concatenated.
2. Given indices are u64be at their position; a position not sequenced yet is 2^64−1, which no index reaches.
3. The nodes that leaf `i` completes are those of levels 1 to the number of trailing zero bits of `i + 1`.
4. Rows read back were parsed when they came in: a column that no rule fits means a damaged database and raises
   `StoreUnavailable`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

from tocsin.node.model import Append
from tocsin.node.ports import StoreUnavailable, WrongStart
from tocsin.tlog.entry import (
    BODY_BYTES,
    HEADER_BYTES,
    NONCE_BYTES,
    TAG_BYTES,
    Entry,
    Header,
    Kind,
    SealedBody,
    parse_header,
)
from tocsin.tlog.errors import TlogError
from tocsin.tlog.merkle import HASH_BYTES, Frontier, Hash
from tocsin.wire.values import Kept, Stored, SubmissionStatus

ENTRIES, RETRACTION = 1, 2
"""Kinds of a submission."""

_NOT_YET = (2**64 - 1).to_bytes(8, "big")


class Headers:
    """Parses headers, each distinct one once: the entries of a tick differ in few."""

    def __init__(self) -> None:
        self._known: dict[bytes, Header] = {}

    def __getitem__(self, data: bytes) -> Header:
        try:
            return self._known[data]
        except KeyError:
            pass
        try:
            header = self._known[data] = parse_header(data)
        except TlogError as error:
            raise StoreUnavailable(f"the database is damaged: {error}; restore it from a backup") from None
        return header


def pack_entries(entries: Iterable[Entry]) -> bytes:
    """Lay entries concatenated (rule 1)."""
    return b"".join([part for entry in entries for part in (entry.header.encode(), entry.body_bytes())])


def unpack_entries(content: bytes) -> list[Entry]:
    """Read what `pack_entries` laid."""
    headers, entries, at = Headers(), [], 0
    while at < len(content):
        header = headers[content[at : at + HEADER_BYTES]]
        at += HEADER_BYTES
        if header.kind is Kind.SEALED:
            entries.append(Entry(header, split_body(content[at : at + BODY_BYTES])))
            at += BODY_BYTES
        else:
            entries.append(Entry(header))
    return entries


def split_tags(tags: bytes) -> list[bytes]:
    """Cut concatenated tags."""
    return [tags[at : at + TAG_BYTES] for at in range(0, len(tags), TAG_BYTES)]


def split_body(data: bytes) -> SealedBody:
    """Cut a body into its parts."""
    nonce_end = TAG_BYTES + NONCE_BYTES
    return _body(data[:TAG_BYTES], data[TAG_BYTES:nonce_end], data[nonce_end:])


EntryRow = tuple[int, bytes, bytes, bytes | None, bytes | None]
"""Index, header, body hash, tag, sealed; the last two are None where no body is kept."""


def stored(headers: Headers, row: EntryRow) -> Stored:
    """Put an entry together from its columns."""
    index, header, body_hash, tag, sealed = row
    parsed = headers[header]
    if tag is not None and sealed is not None:
        return Stored(index, Entry(parsed, _body(tag, sealed[:NONCE_BYTES], sealed[NONCE_BYTES:])), body_hash)
    if parsed.kind is Kind.SEALED:
        return Stored(index, Kept(parsed, None), body_hash)
    return Stored(index, Entry(parsed), body_hash)


def order(number: int, position: int) -> int:
    """Return the order of acknowledgement of an entry from its submission's number and its place in it."""
    return number << 32 | position


def no_indices(count: int) -> bytes:
    """Return the column of `count` positions of which none is sequenced (rule 2)."""
    return _NOT_YET * count


def assign(indices: bytes, given: Iterable[tuple[int, int]]) -> bytes:
    """Enter indices at their positions; a position beyond the end makes the column longer."""
    column = bytearray(indices)
    for position, index in given:
        end = (position + 1) * 8
        if end > len(column):
            column += _NOT_YET * (end // 8 - len(column) // 8)
        column[end - 8 : end] = index.to_bytes(8, "big")
    return bytes(column)


def given_indices(indices: bytes) -> list[int | None]:
    """Read the column of rule 2; None stands for a position that is not sequenced."""
    parts = (indices[at : at + 8] for at in range(0, len(indices), 8))
    return [None if part == _NOT_YET else int.from_bytes(part, "big") for part in parts]


def submission_status(indices: bytes, *, waits: bool) -> SubmissionStatus:
    """Read the column of rule 2 of a submission, some of which may wait."""
    given = [] if waits else [index for index in given_indices(indices) if index is not None]
    return SubmissionStatus(not waits, tuple(given))


def completed_nodes(step: Append) -> list[bytes]:
    """Return, for each leaf of an append, the nodes it completes (rule 3). Raises `ValueError` if one is missing."""
    completed: list[list[Hash]] = [[] for _ in step.entries]
    try:
        for level, index, node in step.nodes:
            if level:
                place = node_place(level, index) - step.start
                leaf = completed[place]
                if place < 0 or len(leaf) != level - 1:
                    raise IndexError
                leaf.append(node)
    except IndexError:
        raise ValueError("the nodes of an append are those its leaves complete, level by level") from None
    for index, nodes in enumerate(completed, start=step.start + 1):
        if len(nodes) != (index & -index).bit_length() - 1:
            raise ValueError(f"the append does not bring every node that leaf {index - 1} completes")
    return [b"".join(nodes) for nodes in completed]


def node_place(level: int, index: int) -> int:
    """Return the index of the leaf whose row holds a node."""
    return ((index + 1) << level) - 1


def node_at(level: int, header: bytes, body_hash: bytes, nodes: bytes) -> Hash | None:
    """Read a node from the columns of its leaf; None where the leaf completed no node of that level."""
    if level == 0:
        return Hash(sha256(b"\x00" + header + body_hash).digest())
    return (
        Hash(nodes[(level - 1) * HASH_BYTES : level * HASH_BYTES])
        if len(nodes) >= level * HASH_BYTES
        else None
    )


def check_start(step: Append, size: int) -> None:
    """Check that an append begins where the log ends and is without gaps. Raises `WrongStart`."""
    end = step.start + len(step.entries)
    if step.start != size:
        raise WrongStart(f"the log of {step.member.hex()} ends at {size}, the append begins at {step.start}")
    if step.frontier.size != end:
        raise WrongStart(
            f"{len(step.entries)} entries end at {end}, the tree has {step.frontier.size} leaves"
        )
    if any(entry.index != index for index, entry in enumerate(step.entries, start=size)):
        raise WrongStart(f"the entries from {size} to {end} are not in order")


def frontier(data: bytes) -> Frontier:
    """Read a frontier column."""
    try:
        return Frontier.decode(data)
    except TlogError as error:
        raise StoreUnavailable(f"the database is damaged: {error}; restore it from a backup") from None


def _body(tag: bytes, nonce: bytes, box: bytes) -> SealedBody:
    try:
        return SealedBody(tag, nonce, box)
    except TlogError as error:
        raise StoreUnavailable(f"the database is damaged: {error}; restore it from a backup") from None


def by_submission(assigned: Sequence[tuple[tuple[bytes, int], int]]) -> dict[bytes, list[tuple[int, int]]]:
    """Group `Append.assigned` items: idempotency key → (position, index)."""
    grouped: dict[bytes, list[tuple[int, int]]] = {}
    for (key, position), index in assigned:
        grouped.setdefault(key, []).append((position, index))
    return grouped
