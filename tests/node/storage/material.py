"""Made-up entries, and everything a store says as one comparable value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

from tocsin.node.model import Append, Charge
from tocsin.node.ports import Snapshot, Store, Transaction
from tocsin.tlog.entry import Entry, SealedBody, retract_header, sealed_header
from tocsin.tlog.merkle import Frontier
from tocsin.wire.values import Kept, MemberId, Stored

FEDERATION = "test.tocsin.example"
OWN = MemberId(bytes([1]) * 16)
PEER = MemberId(bytes([2]) * 16)
THIRD = MemberId(bytes([3]) * 16)
MEMBERS = (OWN, PEER, THIRD)


def tag(number: int) -> bytes:
    return sha256(b"tag %d" % number).digest()[:16]


def sealed(number: int, *, period: int = 7, not_after: int = 3000, version: int = 0) -> Entry:
    """An entry under `tag(number)`; `version` makes another body under the same tag."""
    noise = sha256(b"%d %d" % (number, version)).digest()
    body = SealedBody(tag(number), noise[:24], (noise * 17)[:528])
    return Entry(sealed_header(3, 1, period, not_after), body)


def retract(index: int) -> Entry:
    return Entry(retract_header(index))


def erased(entry: Entry) -> Kept:
    return Kept(entry.header, None)


def body_hash(entry: Entry) -> bytes:
    return sha256(entry.body_bytes()).digest()


def append(snapshot: Snapshot, member: MemberId, entries: Sequence[Entry], **more: object) -> Append:
    """The append that puts `entries` at the end of the log as `reading` sees it."""
    frontier = snapshot.tip(member).frontier
    placed = [Stored(frontier.size + at, entry, body_hash(entry)) for at, entry in enumerate(entries)]
    return append_stored(frontier, member, placed, **more)


def append_stored(frontier: Frontier, member: MemberId, placed: Sequence[Stored], **more: object) -> Append:
    after, nodes = frontier.append([stored.leaf_hash() for stored in placed])
    values: dict[str, object] = {
        "checkpoint": b"checkpoint %d" % after.size,
        "time": 1000 + after.size,
        **more,
    }
    return Append(member, frontier.size, placed, nodes, after, **values)  # type: ignore[arg-type] # by name


def publish(
    transaction: Transaction, member: MemberId = OWN, *, limit: int = 10**6, erase: Iterable[int] = ()
) -> Append:
    """One tick: everything pending, in order of acknowledgement."""
    pending = transaction.pending(limit)
    start = transaction.tip(member).size
    assigned = {(one.submission, one.position): start + at for at, one in enumerate(pending)}
    step = append(transaction, member, [one.entry for one in pending], assigned=assigned, erase=tuple(erase))
    transaction.append(step)
    return step


def fill(store: Store, member: MemberId, entries: Sequence[Entry], **more: object) -> None:
    with store.write() as transaction:
        transaction.append(append(transaction, member, entries, **more))


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def charge(batch: int, amount: int = 1, *, limit: int = 100, seat: int = 1, epoch: int = 1) -> Charge:
    return Charge(PEER, 3, epoch, seat, sha256(b"%d" % batch).digest() * 2, amount, limit)


def contents(snapshot: Snapshot) -> dict[str, object]:
    """All that a store can be asked, as plain values."""
    everything: dict[str, object] = {
        "members": snapshot.members(),
        "pending": snapshot.pending(10**6),
        "retractions": [(one.submission, one.tags) for one in snapshot.pending_retractions()],
        "waiting": snapshot.waiting(),
        "submissions": [snapshot.submission(key(number)) for number in range(40)],
        "charters": [snapshot.charter(version) for version in range(1, 10)],
        "forks": snapshot.forks(),
        "audit": snapshot.audit(100),
        "seen": snapshot.seen_time(),
        "intermediates": snapshot.intermediates(0, 10**6),
        "used": [dict(snapshot.budget_used(member)) for member in MEMBERS],
    }
    for member in MEMBERS:
        tip = snapshot.tip(member)
        places = [(level, at) for level in range(8) for at in range(tip.size >> level)]
        everything[member.hex()] = (
            tip,
            snapshot.retracts_due(member),
            snapshot.overdue(member, 0),
            snapshot.entries(member, 0, 10**6),
            snapshot.nodes(member, places),
            snapshot.new_tags(member, 0, 10**6, 2**32 - 1),
            snapshot.look_up([(member, b"".join(tag(number) for number in range(40)))]),
        )
    return everything


def check_trees(snapshot: Snapshot) -> None:
    """Every log's entries, rebuilt from nothing, give its frontier, and every complete node is there."""
    for member in snapshot.members():
        tip = snapshot.tip(member)
        entries = snapshot.entries(member, 0, 10**6)
        assert [entry.index for entry in entries] == list(range(tip.size))
        rebuilt, nodes = Frontier().append([entry.leaf_hash() for entry in entries])
        assert rebuilt == tip.frontier
        assert snapshot.nodes(member, [(level, at) for level, at, _ in nodes]) == {
            (level, at): node for level, at, node in nodes
        }
        assert {stored.entry.body.tag for stored in entries if stored.entry.body is not None} == set(
            tags_of(snapshot, member)
        )


def tags_of(snapshot: Snapshot, member: MemberId) -> list[bytes]:
    found = snapshot.new_tags(member, 0, 10**6, 2**32 - 1).tags
    return [found[at : at + 16] for at in range(0, len(found), 16)]
