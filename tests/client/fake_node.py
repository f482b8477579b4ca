"""A federation in one process behind the client's port: the real core, no network, and every way to cheat.

Members are founded as people found them; evaluators, logs and proofs are the real ones. A `FakeNode` is honest; tests
override the method in which theirs lies.
"""

from __future__ import annotations

import queue
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tocsin.charter.document import Charter, ClassKey, parse_charter
from tocsin.charter.envelope import parse_envelope
from tocsin.client import Client
from tocsin.client.charters import CharterKeeper
from tocsin.client.config import load_config, open_secrets
from tocsin.client.errors import BudgetExhausted, RefusedByNode, StaleCharter, Unavailable
from tocsin.client.session import Session
from tocsin.client.system import now, random_bytes
from tocsin.client.vault import open_vault
from tocsin.founding.members import open_part
from tocsin.localnet.federation import Home, found
from tocsin.oprf import threshold
from tocsin.oprf.group import Element, Scalar, decode_scalar
from tocsin.oprf.threshold import Context, InvalidPartial, PartialEvaluation
from tocsin.primitives.ed25519 import SigningKey
from tocsin.sealing import hpke
from tocsin.tlog.checkpoint import Checkpoint, log_origin, log_verifier, sign_checkpoint
from tocsin.tlog.cosignature import add_cosignature, cosigner_name, cosigner_verifier
from tocsin.tlog.entry import Entry, Kind, Leaf, in_tick_order, parse_entry, retract_header
from tocsin.tlog.merkle import Frontier, Hash, inclusion_proof, plan_inclusion
from tocsin.tlog.note import Signer
from tocsin.wire.values import (
    Acknowledged,
    BudgetLeft,
    Budgets,
    Kept,
    KeptFork,
    LogCheckpoint,
    LogStatus,
    NewTags,
    NodeStatus,
    ProvenEntries,
    ProvenEntry,
    SignedPartial,
    Stored,
    SubmissionStatus,
    TagHit,
    WireEntry,
)


@dataclass
class Log:
    """One member's log."""

    leaves: list[Leaf] = field(default_factory=list)
    entries: list[Entry | None] = field(default_factory=list)  # None once the body was erased
    frontier: Frontier = field(default_factory=Frontier)
    nodes: dict[tuple[int, int], Hash] = field(default_factory=dict)
    note: bytes = b""

    def stored(self, index: int) -> Stored:
        """The entry at an index, without its body once that was erased."""
        leaf, entry = self.leaves[index], self.entries[index]
        return Stored(index, entry or Kept(leaf.header, None), leaf.body_hash)

    def live(self, tag: bytes) -> list[int]:
        """Indices of live entries under a tag."""
        return [
            i
            for i, e in enumerate(self.entries)
            if e is not None and e.body is not None and e.body.tag == tag
        ]


@dataclass(frozen=True)
class Founded:
    """What founding one federation of three leaves: its files, and what its nodes read from them."""

    homes: tuple[Home, ...]  # in a folder that is gone
    files: Mapping[Path, tuple[int, bytes]]  # by path below the folder: mode, content
    keys: Mapping[bytes, Mapping[str, bytes]]
    shares: Mapping[tuple[int, int, int], Scalar]  # by class, epoch, seat

    def write(self, folder: Path) -> list[Home]:
        """Write the federation into another folder. Its files name no path."""
        for path, (mode, content) in self.files.items():
            target = folder / path
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(mode)
        return [replace(home, folder=folder / home.folder.name) for home in self.homes]


@cache
def founded(which: int) -> Founded:
    """Found a federation, once a process for each number: founding writes and syncs eighty files."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        homes = found(folder, 3, committee=3, threshold=2, tick_seconds=1)
        charter = parse_charter(parse_envelope((homes[0].client / "charter.json").read_bytes()).document)
        keys = {home.id: open_part(home.folder, "node") for home in homes}
        shares: dict[tuple[int, int, int], Scalar] = {}
        for home in homes:
            for file in (home.folder / "node" / "shares").glob("*.share"):
                numbers = re.fullmatch(r"(\d+)-(\d+)-(\d+)", file.stem)
                assert numbers is not None
                key_class, epoch, seat = (int(number) for number in numbers.groups())
                info = hpke.share_info(charter.federation, key_class, epoch, seat, home.id)
                plain = hpke.open_sealed(keys[home.id]["node_hpke"], info, file.read_bytes())
                shares[key_class, epoch, seat] = decode_scalar(plain)
        files = {
            path.relative_to(folder): (stat.S_IMODE(path.stat().st_mode), path.read_bytes())
            for home in homes
            for path in home.folder.rglob("*")
            if path.is_file()
        }
    return Founded(tuple(homes), files, keys, shares)


class FakeFederation:
    """Everything that all nodes together hold. Those of another number share neither members nor keys."""

    def __init__(self, folder: Path, which: int = 0) -> None:
        made = founded(which)
        self.homes = made.write(folder)
        envelope = (self.homes[0].client / "charter.json").read_bytes()
        self.envelopes = [envelope]
        self.charter: Charter = parse_charter(parse_envelope(envelope).document)
        self.keys = {member: dict(seeds) for member, seeds in made.keys.items()}
        self.shares = dict(made.shares)
        self.logs = {home.id: Log() for home in self.homes}
        self.forks: list[KeptFork] = []
        self.offset = 0
        for home in self.homes:
            self.publish(home.id, [])

    def sign(self, member: bytes, size: int, root: Hash) -> bytes:
        """A checkpoint by a member's log key and cosigner."""
        federation = self.charter.federation
        log, cosigner = SigningKey(self.keys[member]["log"]), SigningKey(self.keys[member]["cosigner"])
        origin = log_origin(federation, member)
        note = sign_checkpoint(
            Checkpoint(origin, size, root), Signer(log_verifier(origin, log.public_key), log.sign)
        )
        name = cosigner_name(federation, member)
        return add_cosignature(
            note, Signer(cosigner_verifier(name, cosigner.public_key), cosigner.sign), now()
        )

    def publish(self, member: bytes, entries: Sequence[Entry]) -> None:
        """One tick of one member."""
        log = self.logs[member]
        for entry in in_tick_order(entries):
            if entry.header.kind is Kind.RETRACT:
                log.entries[entry.header.retracts] = None
            log.entries.append(entry)
            log.leaves.append(Leaf(entry.header, entry.leaf()[48:]))
            log.frontier, fresh = log.frontier.append([entry.leaf_hash()])
            log.nodes.update({(level, index): node for level, index, node in fresh})
        log.note = self.sign(member, log.frontier.size, log.frontier.root())

    def partial(
        self, caller: bytes, key: ClassKey, quorum: tuple[int, ...], seat: int, blinded: Sequence[Element]
    ) -> SignedPartial:
        """What an honest evaluator answers."""
        context = self.context(caller, key, quorum, seat)
        share = self.shares[key.key_class, key.epoch, seat]
        return self.signed(
            context, blinded, threshold.evaluate(share, key.commitments, context, blinded, random_bytes)
        )

    def context(self, caller: bytes, key: ClassKey, quorum: tuple[int, ...], seat: int) -> Context:
        """The context of one partial."""
        return Context(
            self.charter.federation, key.key_class, key.epoch, key.committee_hash, seat,
            key.committee[seat - 1], caller, quorum,
        )  # fmt: skip

    def signed(
        self, context: Context, blinded: Sequence[Element], partial: PartialEvaluation
    ) -> SignedPartial:
        """A partial under its evaluator's signature, right or wrong."""
        node = SigningKey(self.keys[context.evaluator]["node"])
        at = now()
        statement = threshold.signed_statement(context, blinded, partial, 1_000, at)
        return SignedPartial(
            context.seat, context.evaluator, context.quorum, partial, 1_000, at, node.sign(statement)
        )

    def node(self, number: int) -> FakeNode:
        """An honest node of a member."""
        return FakeNode(self, self.homes[number].id)

    def client(self, number: int, node: FakeNode | None = None) -> Client:
        """A member's client on a node."""
        config = load_config(self.homes[number].client)
        secrets = open_secrets(config)
        vault = open_vault(
            config.vault, secrets["vault"], federation=config.federation, member=config.member,
            pin=config.charter_pin, random=random_bytes,
        )  # fmt: skip
        serving = node or self.node(number)
        try:
            keeper = CharterKeeper(config, vault, secrets["client_hpke"])
            return Client(Session(config, vault, keeper, lambda _: serving))
        except BaseException:
            vault.close()
            raise


class FakeNode:
    """A member's own node, honest unless a subclass lies."""

    def __init__(self, world: FakeFederation, member: bytes) -> None:
        self.world = world
        self.member = member
        self.pending: list[Entry] = []
        self.seen: dict[bytes, tuple[bytes, int]] = {}
        self.requests: list[tuple[bytes, bytes]] = []
        self.evaluated = 0
        self.budget: int | None = None
        self.complaints: list[SignedPartial] = []
        self.convicted: set[int] = set()
        self.down = False
        self.lose_answers = 0
        self.streams: list[FakeStream] = []
        self.closed = False

    # What a lying evaluator overrides.
    def answer(
        self, key: ClassKey, quorum: tuple[int, ...], seat: int, blinded: Sequence[Element]
    ) -> SignedPartial:
        return self.world.partial(self.member, key, quorum, seat, blinded)

    # What a lying relay overrides.
    def relay(self, partials: list[SignedPartial], blinded: Sequence[Element]) -> list[SignedPartial]:
        return partials

    def evaluate(
        self, key_class: int, epoch: int, committee_hash: bytes, blinded: Sequence[Element],
        complaints: Sequence[SignedPartial],
    ) -> list[SignedPartial]:  # fmt: skip
        self._up()
        key = self.world.charter.class_key(key_class, epoch)
        if committee_hash != key.committee_hash:
            raise StaleCharter("STALE_CHARTER", "another committee")
        for partial in complaints:
            context = self.world.context(self.member, key, partial.quorum, partial.seat)
            try:
                threshold.verify(key.commitments, context, blinded, partial.partial)
            except InvalidPartial:
                self.complaints.append(partial)
                self.convicted.add(partial.seat)
        if self.budget is not None and not complaints and self.evaluated + len(blinded) > self.budget:
            raise BudgetExhausted("BUDGET_EXHAUSTED", "nothing left")
        if not complaints:
            self.evaluated += len(blinded)
        seats = [seat for seat in range(1, len(key.committee) + 1) if seat not in self.convicted]
        if len(seats) < key.threshold:
            raise Unavailable("QUORUM_UNAVAILABLE")
        quorum = tuple(seats[: key.threshold])
        return self.relay([self.answer(key, quorum, seat, blinded) for seat in quorum], blinded)

    def budgets(self) -> Budgets:
        self._up()
        return Budgets(
            tuple(
                BudgetLeft(key.key_class, key.epoch, seat, holder, key.budget, key.budget - self.evaluated)
                for key in self.world.charter.classes
                for seat, holder in enumerate(key.committee, 1)
            ),
            (),
        )

    def submit(self, idempotency_key: bytes, entries: Sequence[WireEntry]) -> Acknowledged:
        raw = b"".join(entry.header + entry.body for entry in entries)
        return self._once(
            idempotency_key,
            raw,
            len(entries),
            lambda: [parse_entry(entry.header, entry.body) for entry in entries],
        )

    def retract(self, idempotency_key: bytes, tags: bytes) -> Acknowledged:
        self.tick()
        log = self.world.logs[self.member]
        hit = [index for at in range(0, len(tags), 16) for index in log.live(tags[at : at + 16])]
        return self._once(
            idempotency_key, tags, len(hit), lambda: [Entry(retract_header(index)) for index in hit]
        )

    def _once(self, key: bytes, raw: bytes, count: int, make: Callable[[], list[Entry]]) -> Acknowledged:
        self._up()
        self.requests.append((key, raw))
        repeated = key in self.seen
        if repeated and self.seen[key][0] != raw:
            raise RefusedByNode("IDEMPOTENCY_CONFLICT", "used before")
        if not repeated:
            self.seen[key] = (raw, count)
            self.pending += make()
        if self.lose_answers:
            self.lose_answers -= 1
            raise Unavailable("the answer was lost")
        return Acknowledged(self.seen[key][1], repeated)

    def tick(self) -> None:
        """Publish what is pending, and tell the streams of all."""
        entries, self.pending = self.pending, []
        if entries:
            self.world.publish(self.member, entries)

    def submission(self, idempotency_key: bytes) -> SubmissionStatus | None:
        self._up()
        return SubmissionStatus(True, ()) if idempotency_key in self.seen else None

    def look_up(self, groups: Sequence[tuple[bytes, bytes]]) -> list[TagHit]:
        self._up()
        hits = []
        for group, (writer, tags) in enumerate(groups):
            for position in range(len(tags) // 16):
                found_at = self.world.logs[writer].live(tags[position * 16 : position * 16 + 16])
                if found_at:
                    hits.append(TagHit(group, position, tuple(found_at)))
        return hits

    def proven_entries(self, locations: Sequence[tuple[bytes, int]]) -> ProvenEntries:
        self._up()
        for writer, index in locations:
            if index >= (size := self.world.logs[writer].frontier.size):
                raise RefusedByNode("OUT_OF_RANGE", f"the log has {size} entries", "locations")
        return ProvenEntries(
            tuple(self.prove(writer, index) for writer, index in locations),
            {writer: self.world.logs[writer].note for writer, _ in locations},
        )

    def prove(self, writer: bytes, index: int) -> ProvenEntry:
        log = self.world.logs[writer]
        plan = plan_inclusion(index, log.frontier.size)
        hashes = inclusion_proof(index, log.frontier.size, {node: log.nodes[node] for node in plan})
        return ProvenEntry(
            writer,
            log.stored(index),
            tuple(hashes),
        )

    def watch_tags(self, cursor: Mapping[bytes, int], newest_period: int) -> FakeStream:
        self._up()
        stream = FakeStream()
        self.streams.append(stream)
        for writer in self.world.logs:
            self.feed(stream, writer, cursor.get(writer, 0))
        return stream

    def feed(self, stream: FakeStream, writer: bytes, start: int) -> None:
        """Stream one log from an index on."""
        log = self.world.logs[writer]
        live = [
            (index, entry.body.tag)
            for index, entry in enumerate(log.entries)
            if index >= start and entry is not None and entry.body is not None
        ]
        stream.messages.put(
            NewTags(
                writer,
                tuple(index for index, _ in live),
                b"".join(tag for _, tag in live),
                log.frontier.size,
                True,
            )
        )

    def charters(self, first_version: int) -> list[bytes]:
        self._up()
        return self.world.envelopes[first_version - 1 :]

    def status(self) -> NodeStatus:
        self._up()
        return NodeStatus(
            self.member, "test", len(self.world.envelopes), len(self.pending),
            tuple(
                LogStatus(writer, log.frontier.size, now(), 0 if writer == self.member else now(), False, "")
                for writer, log in self.world.logs.items()
            ),
        )  # fmt: skip

    def checkpoints(self) -> list[LogCheckpoint]:
        self._up()
        return [LogCheckpoint(writer, log.note, False) for writer, log in self.world.logs.items()]

    def forks(self) -> list[KeptFork]:
        self._up()
        return self.world.forks

    def entries(self, writer: bytes, start: int, limit: int) -> list[Stored]:
        self._up()
        log = self.world.logs[writer]
        return [log.stored(index) for index in range(start, min(start + limit, len(log.entries)))]

    def close(self) -> None:
        self.closed = True

    def _up(self) -> None:
        if self.down:
            raise Unavailable("the node is down")


class FakeStream:
    """A stream of new tags that a test feeds."""

    def __init__(self) -> None:
        self.messages: queue.Queue[NewTags | Exception | None] = queue.Queue()

    def __iter__(self) -> Iterator[NewTags]:
        while (message := self.messages.get()) is not None:
            if isinstance(message, Exception):
                raise message
            yield message

    def cancel(self) -> None:
        self.messages.put(None)
