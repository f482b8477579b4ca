"""One exchange with a member: its charters, its checkpoints of every log, and steps of its own log.

1. Ask for its charters from ours on, and adopt what verifies.
2. Ask for the newest checkpoint that it knows of every log (M-6.19). Those of third logs are compared with ours: that
   is how a fork is caught. Those of this node's log show what peers hold of it, and bring their cosignatures.
3. Its own log: towards what `rule` accepts it is taken forward in steps (`stepping`), each stored with its tree, its
   checkpoint and our cosignature in one transaction (M-6.8, M-6.16).
4. An origin that forked is quarantined for good with the portable proof, and its log followed no further (M-6.20). On
   any other fault nothing is stored, and the next exchange tries again.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import NoReturn

import structlog

from tocsin.charter.document import Charter, NotAMember
from tocsin.charter.errors import BadCharter
from tocsin.node.model import LogTip
from tocsin.node.ports import Clock, PeerError, Peers, Signer, Snapshot, Transaction
from tocsin.node.service.following import rule
from tocsin.node.service.following.rule import (
    CLOCK_AHEAD_S,
    Cosign,
    Forked,
    Held,
    LogFault,
    Path,
    TreeRolledBack,
)
from tocsin.node.service.following.stepping import Stepping, Target, trusted_note
from tocsin.node.service.log_keys import cosigner, is_signed, member_cosigners, open_note, origin_time
from tocsin.node.service.membership import Membership
from tocsin.node.service.notifications import ChangeNotifications
from tocsin.node.service.own_history import OwnHistory
from tocsin.node.service.publishing import REFRESH_TICKS
from tocsin.node.service.store_gateway import StoreGateway
from tocsin.proofs.fork import ForkProof, encode_fork
from tocsin.tlog.checkpoint import SignedCheckpoint
from tocsin.tlog.cosignature import add_cosignature, merge_cosignatures
from tocsin.tlog.errors import TlogError
from tocsin.tlog.merkle import Frontier, consistency_proof, plan_consistency, plan_frontier
from tocsin.wire.reasons import Reason
from tocsin.wire.values import MemberId

CHARTER_ROUNDS = 10

_log = structlog.get_logger(__name__)


@dataclass
class Progress:
    """How far a member has been followed. `last_reached` is unix seconds, 0 for never."""

    last_reached: int = 0
    exchanges: int = 0
    behind: bool = False  # more steps could be taken at once


class Fetching:
    """Exchanges with other members. `verifying` runs the hashing of entries."""

    def __init__(
        self,
        member: MemberId,
        membership: Membership,
        gateway: StoreGateway,
        signer: Signer,
        peers: Peers,
        history: OwnHistory,
        notifications: ChangeNotifications,
        clock: Clock,
        verifying: Executor,
    ) -> None:
        self._member = member
        self._membership = membership
        self._gateway = gateway
        self._signer = signer
        self._peers = peers
        self._history = history
        self._clock = clock
        self._stepping = Stepping(member, gateway, signer, peers, notifications, clock, verifying)

    async def exchange(self, peer: MemberId, progress: Progress) -> list[str]:
        """Do one exchange; return what is wrong with the peer or its log. Raises `PeerError` and the store's errors."""
        await self._fetch_charters(peer, progress.exchanges)
        progress.exchanges += 1
        notes = await self._peers.checkpoints(peer)
        progress.last_reached = self._clock.now()
        progress.behind = False
        problems: list[str] = []
        if self._member in notes:
            await self._history.seen_at_peer(peer, notes[self._member])
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
        tip, due = await self._gateway.read(
            lambda snapshot: (snapshot.tip(origin), snapshot.retracts_due(origin))
        )
        if tip.quarantined:
            return ["quarantined: the origin signed two histories"]
        try:
            shown = open_note(charter, origin, note)
            time = origin_time(charter, origin, shown.note)
        except TlogError as error:
            raise LogFault(origin, f"its checkpoint is refused: {error}") from error
        if due is not None and shown.checkpoint.size < due:
            raise TreeRolledBack(origin, f"it shows {shown.checkpoint.size} entries after it showed {due}")
        held = _held(charter, origin, tip)
        path = None if held.signed is None else await self._path(origin, origin, held.signed, shown)
        decision = rule.decide(origin, held, shown, path, time, now)
        if not isinstance(decision, Cosign):
            await self._convict(origin, decision)
        if decision.grown or not tip.checkpoint:

            async def compare(held_then: SignedCheckpoint, step: SignedCheckpoint) -> None:
                between = await self._path(origin, origin, held_then, step)
                fork = rule.contradiction(origin, held_then, step, between)
                if fork is not None:
                    await self._convict(origin, fork)

            newest = Target(shown, time)
            reached = await self._stepping.advance(charter, origin, tip, held.signed, newest, compare)
            progress.behind = not reached
        else:
            await self._refresh(charter, origin, shown, time, now)
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
                merged = merge_cosignatures(tip.checkpoint, shown.raw, member_cosigners(charter))
            else:
                merged = trusted_note(charter, origin, shown)
            merged = add_cosignature(merged, cosigner(charter, self._member, self._signer), now)
            transaction.save_checkpoint(origin, merged, time)

        await self._gateway.write(write)

    async def _convict(self, origin: MemberId, fork: ForkProof) -> NoReturn:
        await self._quarantine(origin, fork)
        raise Forked(origin, "the origin signed two histories; its log is quarantined and the proof kept")

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


def _text(note: bytes) -> bytes:
    """Return what a note says, without its signatures."""
    return note.partition(b"\n\n")[0]
