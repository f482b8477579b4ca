"""Following every other member's log, and comparing what everybody knows (SPEC.md §6).

One round with a member:
1. Ask for its charters beyond ours, and adopt what verifies.
2. Ask for the newest checkpoint that it knows of every log. Those of third logs are compared with ours: that is how a
   fork is caught. Those of our own log tell what peers hold of it, and bring their cosignatures.
3. Its own log: the checkpoint must be signed by its log key, cosigned by itself at a time that is neither in the future
   nor before the last one, and not smaller than what we have. Then its entries are fetched, checked (`delta`) and
   stored with the tree, the checkpoint and our cosignature in one transaction.
4. An origin that forked is quarantined for good with the portable proof. Any other fault stops nothing but the round:
   nothing is stored, the problem is named, and the next round tries again.
5. A member that does not answer is asked again after a growing pause with jitter; the rounds of the others do not wait.
6. Where a charter gives an origin another log key, what is held under the old one convicts nobody any more, but the
   tree here still decides what the log may go on with.
7. An origin may grow by the charter's entries per day, counted by its own checkpoints' times. What is above waits, and
   so is followed more slowly; a single step is bounded, too, because it is held in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

import structlog

from tocsin.charter.document import Charter, NotAMember
from tocsin.charter.rules import BadCharter
from tocsin.node.model import LogTip
from tocsin.node.ports import Clock, PeerError, Peers, Signer, Snapshot, StoreError, Transaction, WrongStart
from tocsin.node.service.errors import ServiceError
from tocsin.node.service.following.batch_verifier import CLOCK_AHEAD_S, BatchVerifier, OriginAtFault
from tocsin.node.service.following.fork_search import find_fork
from tocsin.node.service.log_keys import (
    cosigner,
    cosigner_of,
    is_signed,
    log_verifier_of,
    open_note,
    origin_time,
)
from tocsin.node.service.membership import Membership
from tocsin.node.service.notifications import ChangeNotifications
from tocsin.node.service.publishing import REFRESH_TICKS, Publishing
from tocsin.node.service.store_gateway import StoreGateway
from tocsin.oprf.group import Random
from tocsin.proofs.fork import ForkProof, encode_fork
from tocsin.tlog.checkpoint import SignedCheckpoint
from tocsin.tlog.cosignature import add_cosignature, merge_cosignatures
from tocsin.tlog.entry import Kind
from tocsin.tlog.errors import TlogError
from tocsin.tlog.note import Note, Verifier
from tocsin.wire.values import MemberId

ENTRIES_PER_CALL = 1_000
MOST_PER_STEP = 250_000
LONGEST_PAUSE_S = 300.0
CHARTER_ROUNDS = 10
DAY_S = 86_400

_log = structlog.get_logger(__name__)


class Forked(OriginAtFault):
    """The origin signed two histories; the proof is kept and its log quarantined."""


class RolledBack(OriginAtFault):
    """The origin shows a smaller or an older tree than it showed before."""


class FromTheFuture(OriginAtFault):
    """The origin's checkpoint is dated more than 10 minutes ahead of this node's clock."""


class TooFast(OriginAtFault):
    """The log grew by more than the charter allows, or by more than one step holds."""


@dataclass(frozen=True)
class FollowingSettings:
    """How often and how much. `follow_seconds` None means the charter's tick."""

    follow_seconds: float | None = None
    most_per_step: int | None = None  # None: MOST_PER_STEP
    entries_per_day: int | None = None  # None: the charter's policy


@dataclass
class Peer:
    """How the last rounds with a member went. `last_reached` is unix seconds, 0 for never."""

    last_reached: int = 0
    problem: str = ""
    rounds: int = 0
    consecutive_failures: int = 0
    not_before: float = 0.0  # monotonic
    allowance: float | None = (
        None  # entries that may come beyond what time brings; None before the first step
    )


class Following:
    """Rounds with every other member. `verifying` runs the hashing of entries."""

    def __init__(
        self,
        member: MemberId,
        membership: Membership,
        gateway: StoreGateway,
        signer: Signer,
        peers: Peers,
        publishing: Publishing,
        notifications: ChangeNotifications,
        clock: Clock,
        random: Random,
        verifying: Executor,
        settings: FollowingSettings = FollowingSettings(),
    ) -> None:
        self._member = member
        self._membership = membership
        self._gateway = gateway
        self._signer = signer
        self._peers = peers
        self._publishing = publishing
        self._notifications = notifications
        self._clock = clock
        self._random = random
        self._verifying = verifying
        self._settings = settings
        self._state: dict[MemberId, Peer] = {}

    def peer(self, member: MemberId) -> Peer:
        """Return how it went with a member so far."""
        return self._state.setdefault(member, Peer())

    async def run(self) -> None:
        """Do rounds with everybody until cancelled; each member has at most one under way."""
        under_way: dict[MemberId, asyncio.Task[None]] = {}
        try:
            while True:
                for member in self._membership.others():
                    task = under_way.get(member)
                    if task is not None and not task.done():
                        continue
                    if self._clock.monotonic() >= self.peer(member).not_before:
                        under_way[member] = asyncio.create_task(self.round(member))
                await asyncio.sleep(self._seconds() * self._jitter())
        finally:
            for task in under_way.values():
                task.cancel()
            await asyncio.gather(*under_way.values(), return_exceptions=True)

    async def round(self, member: MemberId) -> None:
        """Do one round with a member. What went wrong is told in `peer(member).problem`, never raised."""
        peer = self.peer(member)
        try:
            problem = await self._round(member, peer)
        except PeerError as error:
            peer.consecutive_failures += 1
            pause = min(LONGEST_PAUSE_S, self._seconds() * 2 ** min(peer.consecutive_failures, 12))
            peer.not_before = self._clock.monotonic() + pause * self._jitter()
            self._tell(member, peer, str(error))
            return
        except (OriginAtFault, ServiceError, StoreError, TlogError, NotAMember) as error:
            problem = f"{type(error).__name__}: {error}"
        peer.consecutive_failures, peer.not_before = 0, 0.0
        self._tell(member, peer, problem)

    async def _round(self, member: MemberId, peer: Peer) -> str:
        await self._learn(member, peer.rounds)
        peer.rounds += 1
        notes = await self._peers.checkpoints(member)
        peer.last_reached = self._clock.now()
        problems: list[str] = []
        if self._member in notes:
            await self._publishing.seen_at_peer(member, notes[self._member])
        if member in notes:
            try:
                problems.append(await self._follow(member, peer, notes[member]))
            except OriginAtFault as error:
                problems.append(f"{type(error).__name__}: {error}")
        for writer, note, tip in await self._shown_otherwise(member, notes):
            problems.append(await self._compare(member, writer, note, tip))
        return "; ".join(problem for problem in problems if problem)

    async def _learn(self, member: MemberId, rounds: int) -> None:
        version = self._membership.charter.version
        # Asking for ours too, now and then, is how two documents of one version come to light.
        first = version if rounds % CHARTER_ROUNDS == 0 else version + 1
        try:
            envelopes = await self._peers.charters(member, first)
        except PeerError as error:
            if error.reason != "UNKNOWN_VERSION":
                raise
            return
        for envelope in envelopes:
            try:
                await self._membership.adopt(envelope)
            except BadCharter as error:
                _log.warning("a peer's charter is refused", peer=member.hex(), problem=str(error))
                return

    async def _shown_otherwise(
        self, shower: MemberId, notes: Mapping[MemberId, bytes]
    ) -> list[tuple[MemberId, bytes, LogTip]]:
        """Return the notes of third logs whose text is not that of our checkpoint, with our tips.

        The same text is the same size and root: it tells nothing, and most rounds show nothing else.
        """
        third = [writer for writer in notes if writer not in (shower, self._member)]
        tips = await self._gateway.read(lambda snapshot: {writer: snapshot.tip(writer) for writer in third})
        return [
            (writer, notes[writer], tip)
            for writer, tip in tips.items()
            if tip.checkpoint and not tip.quarantined and _text(notes[writer]) != _text(tip.checkpoint)
        ]

    async def _compare(self, shower: MemberId, writer: MemberId, note: bytes, tip: LogTip) -> str:
        """Compare what a member shows of a third one's log; return what is wrong with the shower, if anything."""
        charter = self._membership.charter
        if _same_text(note, tip.checkpoint):
            return ""
        try:
            if not is_signed(charter, writer, tip.checkpoint):
                return ""  # rule 6
            ours = open_note(charter, writer, tip.checkpoint)
            shown = open_note(charter, writer, note)
        except (TlogError, NotAMember):
            return f"shows a checkpoint that {writer.hex()} did not sign"
        try:
            fork = await find_fork(self._gateway, self._peers, shower, writer, ours, shown)
        except OriginAtFault as error:
            return str(error)
        if fork is not None:
            await self._quarantine(writer, fork)
        return ""

    async def _follow(self, origin: MemberId, peer: Peer, note: bytes) -> str:
        """Bring a log up to what its origin shows; return a warning, if any. Raises `OriginAtFault`."""
        charter, now = self._membership.charter, self._clock.now()
        tip = await self._gateway.read(lambda snapshot: snapshot.tip(origin))
        if tip.quarantined:
            return "quarantined: the origin signed two histories"
        try:
            signed = open_note(charter, origin, note)
            time = origin_time(charter, origin, signed.note)
        except TlogError as error:
            raise OriginAtFault(f"its checkpoint is refused: {error}") from error
        if time > now + CLOCK_AHEAD_S:
            raise FromTheFuture(f"its checkpoint is dated {time - now} s ahead; compare the clocks")
        if tip.checkpoint:
            await self._check_history(charter, origin, tip, signed, time)
        allowed, grown = self._allowed(charter, peer, tip, time), signed.checkpoint.size - tip.size
        if not grown and tip.checkpoint:
            await self._refresh(charter, origin, signed, time, now)
        else:
            self._check_growth(charter, allowed, grown)
            await self._apply(charter, origin, tip, signed, time, now)
        # Only what was stored counts: a step that was cut off is to be taken again.
        peer.allowance = min(self._per_day(charter), allowed - grown)
        stale = now - time
        if stale > 2 * REFRESH_TICKS * charter.tick_seconds + CLOCK_AHEAD_S:
            return f"stale: the origin last vouched for its log {stale} s ago"
        return ""

    async def _check_history(
        self, charter: Charter, origin: MemberId, tip: LogTip, signed: SignedCheckpoint, time: int
    ) -> None:
        if is_signed(charter, origin, tip.checkpoint):
            ours = open_note(charter, origin, tip.checkpoint)
            fork = await find_fork(self._gateway, self._peers, origin, origin, ours, signed)
            if fork is not None:
                await self._quarantine(origin, fork)
                raise Forked("the origin signed two histories; its log is quarantined and the proof kept")
        elif signed.checkpoint.size == tip.size and signed.checkpoint.root != tip.frontier.root():
            raise OriginAtFault(f"its new log key signs another history of the {tip.size} entries held here")
        if signed.checkpoint.size < tip.size:
            raise RolledBack(f"it shows {signed.checkpoint.size} entries after it showed {tip.size}")
        if signed.checkpoint.size > tip.size and time < tip.time:
            raise RolledBack(f"its larger checkpoint is dated {tip.time - time} s before the smaller one")

    async def _refresh(
        self, charter: Charter, origin: MemberId, signed: SignedCheckpoint, time: int, now: int
    ) -> None:
        def write(transaction: Transaction) -> None:
            tip = transaction.tip(origin)
            if tip.quarantined or tip.size != signed.checkpoint.size or time <= tip.time:
                return
            if is_signed(charter, origin, tip.checkpoint):
                merged = merge_cosignatures(tip.checkpoint, signed.raw, _cosigners(charter))
            else:
                merged = _trusted_note(charter, origin, signed)
            merged = add_cosignature(merged, cosigner(charter, self._member, self._signer), now)
            transaction.save_checkpoint(origin, merged, time)

        await self._gateway.write(write)

    def _per_day(self, charter: Charter) -> int:
        return self._settings.entries_per_day or charter.policy.entries_per_day

    def _allowed(self, charter: Charter, peer: Peer, tip: LogTip, time: int) -> float:
        per_day = self._per_day(charter)
        carried = per_day if peer.allowance is None else peer.allowance
        return carried + max(0, time - tip.time) * per_day / DAY_S

    def _check_growth(self, charter: Charter, allowed: float, grown: int) -> None:
        if grown > allowed:
            raise TooFast(
                f"flood: it grew by {grown} entries, {int(allowed)} are allowed by now "
                f"({self._per_day(charter)} a day); it is followed again when the rest is due"
            )
        most = self._settings.most_per_step or MOST_PER_STEP
        if grown > most:
            raise TooFast(
                f"it grew by {grown} entries since the last round, one step holds {most}; "
                "raise follow_entries in the node's settings to follow it"
            )

    async def _apply(
        self,
        charter: Charter,
        origin: MemberId,
        tip: LogTip,
        signed: SignedCheckpoint,
        time: int,
        now: int,
    ) -> None:
        loop, size = asyncio.get_running_loop(), signed.checkpoint.size
        delta = BatchVerifier(charter, origin, tip, signed, time, now)
        checking: asyncio.Future[None] | None = None
        start = tip.size
        try:
            while start < size:
                limit = min(ENTRIES_PER_CALL, size - start)
                batch = await self._peers.entries(origin, origin, start, limit)
                if checking is not None:
                    await checking
                # The next batch travels while this one is checked.
                checking = loop.run_in_executor(self._verifying, delta.add, batch)
                start += len(batch)
                if not batch:
                    await checking
        finally:
            if checking is not None:
                await checking
        note = add_cosignature(
            _trusted_note(charter, origin, signed), cosigner(charter, self._member, self._signer), now
        )
        sealed = await self._gateway.read(lambda snapshot: _sealed(snapshot, origin, delta.targets_before))
        append = await loop.run_in_executor(self._verifying, delta.finish, note, sealed)

        def write(transaction: Transaction) -> None:
            # Another round may have quarantined it while the entries travelled.
            if transaction.tip(origin).quarantined:
                raise Forked("the origin signed two histories")
            transaction.append(append)

        try:
            await self._gateway.write(write)
        except WrongStart as error:
            raise OriginAtFault(f"the log changed here while its entries travelled: {error}") from error
        if append.entries:
            self._notifications.notify()

    async def _quarantine(self, origin: MemberId, fork: ForkProof) -> None:
        proof, now = encode_fork(fork), self._clock.now()

        def write(transaction: Transaction) -> None:
            if not transaction.tip(origin).quarantined:
                transaction.quarantine(origin, proof, now)
                transaction.record("fork", f"origin={origin.hex()}", proof, now)

        await self._gateway.write(write)
        _log.error("an origin signed two histories; its log is quarantined", origin=origin.hex())

    def _seconds(self) -> float:
        return self._settings.follow_seconds or self._membership.charter.tick_seconds

    def _jitter(self) -> float:
        """Return a factor of 0.75 to 1.25, so that nodes started together do not ask together."""
        return 0.75 + self._random(1)[0] / 510

    def _tell(self, member: MemberId, peer: Peer, problem: str) -> None:
        if problem != peer.problem and problem:
            _log.warning("following", member=member.hex(), problem=problem)
        peer.problem = problem


def _sealed(snapshot: Snapshot, origin: MemberId, indices: list[int]) -> Mapping[int, bool]:
    if not indices:
        return {}
    found = snapshot.entries_at(origin, indices)
    return {index: stored.entry.header.kind is Kind.SEALED for index, stored in found.items()}


def _same_text(note: bytes, other: bytes) -> bool:
    """Say whether two notes state the same, whoever signed them; the usual case costs no signature check."""
    return note.rpartition(b"\n\n")[0] == other.rpartition(b"\n\n")[0]


def _text(note: bytes) -> bytes:
    """Return what a note says, without its signatures."""
    return note.partition(b"\n\n")[0]


def _cosigners(charter: Charter) -> list[Verifier]:
    return [cosigner_of(charter, member) for member in charter.members]


def _trusted_note(charter: Charter, origin: MemberId, signed: SignedCheckpoint) -> bytes:
    """Return the note with the origin's signature and members' verified cosignatures, and nothing a stranger added."""
    verifier = log_verifier_of(charter, origin)
    own = tuple(line for line in signed.note.signatures if line.by(verifier))[:1]
    return merge_cosignatures(Note(signed.note.text, own).encode(), signed.raw, _cosigners(charter))
