"""One exchange with a member: its charters, its checkpoints of every log, and what its own log has grown by.

1. Ask for its charters from ours on, and adopt what verifies.
2. Ask for the newest checkpoint that it knows of every log (M-6.19). Those of third logs are compared with ours: that
   is how a fork is caught. Those of this node's log show what peers hold of it, and bring their cosignatures.
3. Its own log: what `rule` accepts is fetched, verified (`batch_verifier`) and stored with the tree, the checkpoint and
   our cosignature in one transaction (M-6.8, M-6.16).
4. An origin that forked is quarantined for good with the portable proof, and its log followed no further (M-6.20). On
   any other fault nothing is stored, and the next exchange tries again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

import structlog

from tocsin.charter.document import Charter, NotAMember
from tocsin.charter.errors import BadCharter
from tocsin.node.model import LogTip
from tocsin.node.ports import Clock, PeerError, Peers, Signer, Snapshot, Transaction, WrongStart
from tocsin.node.service.following import rule
from tocsin.node.service.following.batch_verifier import BatchVerifier
from tocsin.node.service.following.rule import CLOCK_AHEAD_S, Allowance, Cosign, Forked, Held, LogFault, Path
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
from tocsin.proofs.fork import ForkProof, encode_fork
from tocsin.tlog.checkpoint import SignedCheckpoint
from tocsin.tlog.cosignature import add_cosignature, merge_cosignatures
from tocsin.tlog.entry import Kind
from tocsin.tlog.errors import TlogError
from tocsin.tlog.merkle import Frontier, consistency_proof, plan_consistency, plan_frontier
from tocsin.tlog.note import Note, Verifier
from tocsin.wire.limits import MAX_ENTRIES
from tocsin.wire.reasons import Reason
from tocsin.wire.values import MemberId

MOST_PER_STEP = 250_000
CHARTER_ROUNDS = 10

_log = structlog.get_logger(__name__)


@dataclass
class Progress:
    """How far a member has been followed. `last_reached` is unix seconds, 0 for never."""

    last_reached: int = 0
    exchanges: int = 0
    allowance: Allowance | None = None  # None before the first step


class Fetching:
    """Exchanges with other members. `verifying` runs the hashing of entries."""

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
        verifying: Executor,
        most_per_step: int,
    ) -> None:
        self._member = member
        self._membership = membership
        self._gateway = gateway
        self._signer = signer
        self._peers = peers
        self._publishing = publishing
        self._notifications = notifications
        self._clock = clock
        self._verifying = verifying
        self._most_per_step = most_per_step

    async def exchange(self, peer: MemberId, progress: Progress) -> list[str]:
        """Do one exchange; return what is wrong with the peer or its log. Raises `PeerError` and the store's errors."""
        await self._fetch_charters(peer, progress.exchanges)
        progress.exchanges += 1
        notes = await self._peers.checkpoints(peer)
        progress.last_reached = self._clock.now()
        problems: list[str] = []
        if self._member in notes:
            await self._publishing.seen_at_peer(peer, notes[self._member])
        if peer in notes:
            try:
                problems += await self._follow(peer, progress, notes[peer])
            except LogFault as error:
                problems.append(f"{type(error).__name__}: {error}")
        for writer, note, tip in await self._shown_otherwise(peer, notes):
            problems += await self._compare(peer, writer, note, tip)
        return problems

    async def _fetch_charters(self, peer: MemberId, exchanges: int) -> None:
        version = self._membership.charter.version
        # Asking for ours too, now and then, is how two documents of one version come to light (M-3.12).
        first = version if exchanges % CHARTER_ROUNDS == 0 else version + 1
        try:
            envelopes = await self._peers.charters(peer, first)
        except PeerError as error:
            if error.reason != Reason.UNKNOWN_VERSION:
                raise
            return
        for envelope in envelopes:
            try:
                await self._membership.adopt(envelope)
            except BadCharter as error:
                _log.warning("charter-refused", peer=peer.hex(), problem=str(error))
                return

    async def _shown_otherwise(
        self, shower: MemberId, notes: Mapping[MemberId, bytes]
    ) -> list[tuple[MemberId, bytes, LogTip]]:
        """Return the notes of third logs whose text is not that of our checkpoint, with our tips.

        The same text is the same size and root: it shows nothing new, and most exchanges bring nothing else.
        """
        third = [writer for writer in notes if writer not in (shower, self._member)]
        tips = await self._gateway.read(lambda snapshot: {writer: snapshot.tip(writer) for writer in third})
        return [
            (writer, notes[writer], tip)
            for writer, tip in tips.items()
            if tip.checkpoint and not tip.quarantined and _text(notes[writer]) != _text(tip.checkpoint)
        ]

    async def _compare(self, shower: MemberId, writer: MemberId, note: bytes, tip: LogTip) -> list[str]:
        """Compare what a member shows of a third one's log; return what is wrong with the shower."""
        charter = self._membership.charter
        try:
            if not is_signed(charter, writer, tip.checkpoint):
                return []  # what is held under an earlier log key convicts nobody
            held = open_note(charter, writer, tip.checkpoint)
            shown = open_note(charter, writer, note)
        except (TlogError, NotAMember):
            return [f"shows a checkpoint that {writer.hex()} did not sign"]
        try:
            path = await self._path(shower, writer, held, shown)
            fork = rule.contradiction(shower, held, shown, path)
        except LogFault as error:
            return [str(error)]
        if fork is not None:
            await self._quarantine(writer, fork)
        return []

    async def _follow(self, origin: MemberId, progress: Progress, note: bytes) -> list[str]:
        """Bring a log up to what its origin shows; return a warning, if any. Raises `LogFault`."""
        charter, now = self._membership.charter, self._clock.now()
        tip = await self._gateway.read(lambda snapshot: snapshot.tip(origin))
        if tip.quarantined:
            return ["quarantined: the origin signed two histories"]
        try:
            shown = open_note(charter, origin, note)
            time = origin_time(charter, origin, shown.note)
        except TlogError as error:
            raise LogFault(origin, f"its checkpoint is refused: {error}") from error
        held = _held(charter, origin, tip)
        path = None if held.signed is None else await self._path(origin, origin, held.signed, shown)
        decision = rule.decide(origin, held, shown, path, time, now)
        if not isinstance(decision, Cosign):
            await self._quarantine(origin, decision)
            raise Forked(origin, "the origin signed two histories; its log is quarantined and the proof kept")
        per_day = charter.policy.entries_per_day
        allowance = (progress.allowance or Allowance(per_day, tip.time)).at(time, per_day)
        if not decision.grown and tip.checkpoint:
            await self._refresh(charter, origin, shown, time, now)
            after = allowance.spend(origin, 0, per_day, 0)
        else:
            after = allowance.spend(origin, decision.grown, per_day, self._most_per_step)
            await self._apply(charter, origin, tip, shown, time, now)
        # Only what was stored counts: a step that was cut off is to be taken again.
        progress.allowance = after
        silent = now - time
        if silent > 2 * REFRESH_TICKS * charter.tick_seconds + CLOCK_AHEAD_S:
            return [f"stale: the origin last vouched for its log {silent} s ago"]
        return []

    async def _path(
        self, shower: MemberId, origin: MemberId, held: SignedCheckpoint, shown: SignedCheckpoint
    ) -> Path | None:
        """Obtain the proof that the rule asks for. Raises `PeerError`."""
        needed = rule.need(held, shown)
        old, new = held.checkpoint.size, shown.checkpoint.size
        if needed is rule.Need.NOTHING:
            return None
        if needed is rule.Need.OWN_TREE:
            return await self._gateway.read(lambda snapshot: _own_path(snapshot, origin, new, old))
        path = Path(tuple(await self._peers.consistency(shower, origin, old, new)))
        if old & (old - 1) or rule.extends(held, shown, path):
            return path
        first = await self._peers.entries(shower, origin, 0, 1)
        if not first:
            return path
        from_first = await self._peers.consistency(shower, origin, 1, new)
        return Path(path.hashes, None, first[0].leaf_hash(), tuple(from_first))

    async def _refresh(
        self, charter: Charter, origin: MemberId, shown: SignedCheckpoint, time: int, now: int
    ) -> None:
        def write(transaction: Transaction) -> None:
            tip = transaction.tip(origin)
            if tip.quarantined or tip.size != shown.checkpoint.size or time <= tip.time:
                return
            if is_signed(charter, origin, tip.checkpoint):
                merged = merge_cosignatures(tip.checkpoint, shown.raw, _cosigners(charter))
            else:
                merged = _trusted_note(charter, origin, shown)
            merged = add_cosignature(merged, cosigner(charter, self._member, self._signer), now)
            transaction.save_checkpoint(origin, merged, time)

        await self._gateway.write(write)

    async def _apply(
        self, charter: Charter, origin: MemberId, tip: LogTip, shown: SignedCheckpoint, time: int, now: int
    ) -> None:
        verifier = BatchVerifier(charter, origin, tip, shown, time, now)
        await self._fetch_entries(origin, verifier, tip.size, shown.checkpoint.size)
        note = add_cosignature(
            _trusted_note(charter, origin, shown), cosigner(charter, self._member, self._signer), now
        )
        sealed = await self._gateway.read(lambda snapshot: _sealed(snapshot, origin, verifier.targets_before))
        loop = asyncio.get_running_loop()
        append = await loop.run_in_executor(self._verifying, verifier.finish, note, sealed)

        def write(transaction: Transaction) -> None:
            # Another exchange may have quarantined it while the entries travelled.
            if transaction.tip(origin).quarantined:
                raise Forked(origin, "the origin signed two histories")
            transaction.append(append)

        try:
            await self._gateway.write(write)
        except WrongStart as error:
            raise LogFault(origin, f"the log changed here while its entries travelled: {error}") from error
        if append.entries:
            self._notifications.notify()

    async def _fetch_entries(self, origin: MemberId, verifier: BatchVerifier, start: int, size: int) -> None:
        """Feed the verifier; the next batch travels while one is verified."""
        loop = asyncio.get_running_loop()
        checking: asyncio.Future[None] | None = None
        try:
            while start < size:
                limit = min(MAX_ENTRIES, size - start)
                batch = await self._peers.entries(origin, origin, start, limit)
                if checking is not None:
                    await checking
                checking = loop.run_in_executor(self._verifying, verifier.add, batch)
                start += len(batch)
                if not batch:
                    await checking
        finally:
            if checking is not None:
                await checking

    async def _quarantine(self, origin: MemberId, fork: ForkProof) -> None:
        proof, now = encode_fork(fork), self._clock.now()

        def write(transaction: Transaction) -> None:
            if not transaction.tip(origin).quarantined:
                transaction.quarantine(origin, proof, now)
                transaction.record("fork", f"origin={origin.hex()}", proof, now)

        await self._gateway.write(write)
        _log.error("log-quarantined", origin=origin.hex())


def _held(charter: Charter, origin: MemberId, tip: LogTip) -> Held:
    signed = None
    if tip.checkpoint and is_signed(charter, origin, tip.checkpoint):
        signed = open_note(charter, origin, tip.checkpoint)
    return Held(tip.size, tip.frontier.root(), tip.time, signed)


def _own_path(snapshot: Snapshot, origin: MemberId, old: int, new: int) -> Path:
    root = Frontier.of(old, snapshot.nodes(origin, plan_frontier(old))).root()
    nodes = snapshot.nodes(origin, plan_consistency(old, new))
    return Path(tuple(consistency_proof(old, new, nodes)), root)


def _sealed(snapshot: Snapshot, origin: MemberId, indices: list[int]) -> Mapping[int, bool]:
    if not indices:
        return {}
    entries = snapshot.entries_at(origin, indices)
    return {index: stored.entry.header.kind is Kind.SEALED for index, stored in entries.items()}


def _text(note: bytes) -> bytes:
    """Return what a note says, without its signatures."""
    return note.partition(b"\n\n")[0]


def _cosigners(charter: Charter) -> list[Verifier]:
    return [cosigner_of(charter, member) for member in charter.members]


def _trusted_note(charter: Charter, origin: MemberId, shown: SignedCheckpoint) -> bytes:
    """Return the note with the origin's signature and members' verified cosignatures, and nothing a stranger added."""
    verifier = log_verifier_of(charter, origin)
    own = tuple(line for line in shown.note.signatures if line.by(verifier))[:1]
    return merge_cosignatures(Note(shown.note.text, own).encode(), shown.raw, _cosigners(charter))
