"""Takes a followed log forward, step by step, to what its origin shows (M-6.16, M-6.23).

1. A step ends at the next multiple of `STEP_ENTRIES`, or at the newest checkpoint if that comes first. Its entries are
   fetched, verified against its checkpoint (`batch_verifier`) and stored with our cosignature in one transaction of
   its own, so a follower that is cut off goes on where it was.
2. While one step is stored the next is verified and the one after it travels. Whatever the size of the log, three
   steps are in memory.
3. Bodies go from the origin when their RETRACT is appended, which may be many steps ahead. A live entry without its
   body is noted with the size of a checkpoint that was asked for after the entry came: its RETRACT is due by then,
   else the step that reaches that size is refused (M-6.17).
4. Steps whose leaves do not lead to the signed root are compared by the rule for two checkpoints: where a proof of a
   fork follows from them, it is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass

from tocsin.charter.document import Charter
from tocsin.node.model import LogTip
from tocsin.node.ports import Clock, Peers, Signer, Snapshot, Transaction, WrongStart
from tocsin.node.service.following.batch_verifier import BatchVerifier, WrongRoot
from tocsin.node.service.following.rule import Allowance, Forked, LogFault, TreeRolledBack, Unproven
from tocsin.node.service.log_keys import cosigner, log_verifier_of, member_cosigners, open_note, origin_time
from tocsin.node.service.notifications import ChangeNotifications
from tocsin.node.service.store_gateway import StoreGateway
from tocsin.tlog.checkpoint import SignedCheckpoint
from tocsin.tlog.cosignature import add_cosignature, merge_cosignatures
from tocsin.tlog.entry import WEEK_S, Kind
from tocsin.tlog.errors import TlogError
from tocsin.tlog.note import Note
from tocsin.wire.limits import MAX_ENTRIES, MAX_STEPS, STEP_ENTRIES
from tocsin.wire.values import MemberId, Stored

Contradiction = Callable[[SignedCheckpoint, SignedCheckpoint], Awaitable[None]]
"""Compares the checkpoint held with the one shown; raises `Forked` where a fork is proven."""


@dataclass(frozen=True)
class Target:
    """A checkpoint that the origin signed, and when it vouched for it, unix seconds."""

    signed: SignedCheckpoint
    time: int

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self.signed.checkpoint.size


class Stepping:
    """Steps of followed logs. `verifying` runs the hashing of entries."""

    def __init__(
        self,
        member: MemberId,
        gateway: StoreGateway,
        signer: Signer,
        peers: Peers,
        notifications: ChangeNotifications,
        clock: Clock,
        verifying: Executor,
    ) -> None:
        self._member = member
        self._gateway = gateway
        self._signer = signer
        self._peers = peers
        self._notifications = notifications
        self._clock = clock
        self._verifying = verifying

    async def advance(
        self, charter: Charter, origin: MemberId, tip: LogTip, held: SignedCheckpoint | None, newest: Target,
        compare: Contradiction,
    ) -> bool:  # fmt: skip
        """Take up to `MAX_STEPS` steps towards `newest`; say whether it was reached.

        `held` is the checkpoint of `tip` if this charter's log key signed it. Raises `LogFault`, `PeerError` and the
        store's errors; the steps before are stored all the same.
        """
        steps = await self._targets(charter, origin, tip, newest, compare)
        allowance = Allowance(tip.paced_until, charter.policy.entries_per_day)
        frontier, since = tip.frontier, tip.time
        fetching: asyncio.Task[list[Stored]] | None = None
        storing: asyncio.Task[None] | None = None
        try:
            for place, step in enumerate(steps):
                # M-6.16: what is above the allowance waits; the steps before it do not.
                paced_until = allowance.spend(origin, step.size - frontier.size, since, newest.time)
                verifier = BatchVerifier(charter, origin, frontier, step.signed, step.time, self._clock.now())
                entries = await (fetching or self._fetch(origin, frontier.size, step.size))
                fetching = None
                if place + 1 < len(steps):
                    fetching = asyncio.create_task(self._fetch(origin, step.size, steps[place + 1].size))
                try:
                    await self._verify(verifier, entries)
                except WrongRoot:
                    await _convict(compare, held, step, newest)
                    raise
                if storing is not None:
                    await storing
                storing = asyncio.create_task(
                    self._store(charter, origin, step, newest, verifier, paced_until)
                )
                frontier, since, held = verifier.frontier, step.time, step.signed
                allowance = Allowance(paced_until, allowance.per_day)
        finally:
            if fetching is not None:
                fetching.cancel()
                await asyncio.gather(fetching, return_exceptions=True)
            if storing is not None:
                await storing
        return not steps or steps[-1] is newest

    async def _targets(
        self, charter: Charter, origin: MemberId, tip: LogTip, newest: Target, compare: Contradiction
    ) -> list[Target]:
        """Return the next steps (rule 1). Raises `LogFault`."""
        targets: list[Target] = []
        size, time = tip.size, tip.time
        if _end_of_step(size) < newest.size:
            notes = await self._peers.intermediate_checkpoints(origin, size, MAX_STEPS)
            for note in notes:
                if _end_of_step(size) >= newest.size:
                    break
                target = self._opened(charter, origin, note)
                # M-6.23: one at each multiple.
                if target.size != _end_of_step(size):
                    raise LogFault(
                        origin,
                        f"it shows a checkpoint of {target.size} entries where one of {_end_of_step(size)} is due",
                    )
                if not time <= target.time <= newest.time:
                    await _convict(compare, None, target, newest)
                    raise TreeRolledBack(
                        origin,
                        f"its checkpoint of {target.size} entries is dated before or after its neighbours",
                    )
                targets.append(target)
                size, time = target.size, target.time
            if not targets:
                raise LogFault(origin, f"it shows no checkpoint of {_end_of_step(size)} entries")
        if _end_of_step(size) >= newest.size:
            targets.append(newest)
        return targets

    def _opened(self, charter: Charter, origin: MemberId, note: bytes) -> Target:
        try:
            signed = open_note(charter, origin, note)
            return Target(signed, origin_time(charter, origin, signed.note))
        except TlogError as error:
            raise LogFault(origin, f"one of its checkpoints is refused: {error}") from error

    async def _fetch(self, origin: MemberId, start: int, end: int) -> list[Stored]:
        entries: list[Stored] = []
        while start + len(entries) < end:
            place = start + len(entries)
            batch = await self._peers.entries(origin, origin, place, min(MAX_ENTRIES, end - place))
            if not batch:
                raise LogFault(origin, f"the log ends at {place}, its checkpoint says {end}")
            entries += batch
        return entries

    async def _verify(self, verifier: BatchVerifier, entries: list[Stored]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._verifying, verifier.add, entries)

    async def _store(
        self,
        charter: Charter,
        origin: MemberId,
        step: Target,
        newest: Target,
        verifier: BatchVerifier,
        paced_until: int,
    ) -> None:
        if verifier.missing:
            # Rule 3: asked for after the entries came, it covers whatever the origin had erased by then.
            latest = await self._latest(charter, origin, newest)
            verifier.await_retractions(latest.size, max(latest.time, self._clock.now()))
        sealed = await self._gateway.read(lambda snapshot: _sealed(snapshot, origin, verifier.targets_before))
        note = add_cosignature(
            trusted_note(charter, origin, step.signed),
            cosigner(charter, self._member, self._signer),
            self._clock.now(),
        )
        append = verifier.finish(note, sealed, paced_until)
        week = self._clock.now() // WEEK_S

        def write(transaction: Transaction) -> None:
            # Another exchange may have quarantined it while the entries travelled.
            if transaction.tip(origin).quarantined:
                raise Forked(origin, "the origin signed two histories")
            transaction.append(append)
            # M-6.17: without its body before its time, and without a RETRACT.
            overdue = transaction.overdue(origin, week)
            if overdue is not None:
                raise LogFault(
                    origin, f"the body of entry {overdue} is missing before its time, without a RETRACT"
                )

        try:
            await self._gateway.write_alone(write)
        except WrongStart as error:
            raise LogFault(origin, f"the log changed here while its entries travelled: {error}") from error
        if append.entries:
            self._notifications.notify()

    async def _latest(self, charter: Charter, origin: MemberId, newest: Target) -> Target:
        note = (await self._peers.checkpoints(origin)).get(origin)
        if note is None:
            raise LogFault(origin, "it shows no checkpoint of its own log any more")
        latest = self._opened(charter, origin, note)
        if latest.size < newest.size:
            raise TreeRolledBack(origin, f"it shows {latest.size} entries after it showed {newest.size}")
        return latest


async def _convict(
    compare: Contradiction, held: SignedCheckpoint | None, step: Target, newest: Target
) -> None:
    """Raise `Forked` where what the origin signed before or after a step proves it; the step is refused anyway."""
    for before, after in ((held, step.signed), (step.signed, newest.signed)):
        if before is not None and before is not after:
            with suppress(Unproven):
                await compare(before, after)


def _end_of_step(size: int) -> int:
    return size - size % STEP_ENTRIES + STEP_ENTRIES


def _sealed(snapshot: Snapshot, origin: MemberId, indices: list[int]) -> Mapping[int, bool]:
    if not indices:
        return {}
    entries = snapshot.entries_at(origin, indices)
    return {index: stored.entry.header.kind is Kind.SEALED for index, stored in entries.items()}


def trusted_note(charter: Charter, origin: MemberId, shown: SignedCheckpoint) -> bytes:
    """Return the note with the origin's signature and members' verified cosignatures, and nothing a stranger added."""
    verifier = log_verifier_of(charter, origin)
    own = tuple(line for line in shown.note.signatures if line.by(verifier))[:1]
    return merge_cosignatures(Note(shown.note.text, own).encode(), shown.raw, member_cosigners(charter))
