"""Evaluations for this member's client: pick a quorum, fan out, relay t signed partials unchanged.

1. All partials of an answer are of one quorum S of exactly t seats: λ depends on S, so if one seat of S fails, the
   whole batch is asked again under another S. The evaluators that answered before charge nothing for it.
2. Order of choice: this node's own seat, then evaluators that have not failed lately, the quickest first.
3. A partial is relayed only if it names the seat, evaluator and quorum asked, has as many elements as were asked, and
   carries the evaluator's signature over exactly that (M-4.16). Its proof is the client's to verify.
4. A complaint counts if the evaluator's signature covers exactly these elements and that context and the proof
   fails: the evidence is recorded, and the seat is not asked again under this charter and epoch. Any other
   complaint is recorded as false and ignored (M-4.20). A restart does not forget: the seats are read back from the
   evidence.
5. An evaluator that says the budget is used up is skipped for the batch. If that leaves fewer than t, the answer is
   BUDGET_EXHAUSTED; if too few answered at all, QUORUM_UNAVAILABLE.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

import structlog

from tocsin.charter.document import Charter, ClassKey
from tocsin.node.ports import Clock, PeerError, Peers
from tocsin.node.service.errors import (
    EvaluationsUsedUp,
    QuorumUnavailable,
    ServiceError,
    StaleCharter,
)
from tocsin.node.service.evaluating import Evaluating, check_committee, check_count
from tocsin.node.service.membership import Membership
from tocsin.node.service.store_gateway import StoreGateway
from tocsin.oprf.group import Element
from tocsin.oprf.shares import BadQuorum
from tocsin.primitives.ed25519 import BadSignature
from tocsin.proofs.bad_partial import (
    BadPartial,
    SignedEvaluation,
    encode_bad_partial,
    judge_bad_partial,
    parse_bad_partial,
    verify_evaluator_signature,
)
from tocsin.proofs.errors import NotProven
from tocsin.wire.reasons import Conclusion
from tocsin.wire.values import BudgetLeft, Budgets, MemberId, PartialRequest, SignedPartial

DEADLINE_S = 28.0
SEAT_DEADLINE_S = 8.0
BACKOFF_S = 2.0
LONGEST_BACKOFF_S = 60.0
BAD_PARTIAL = "bad-partial"
MAX_PROOFS = 1_000
"""Of bad partials that are read back at a start: a seat needs one."""

_log = structlog.get_logger(__name__)


@dataclass
class _Health:
    consecutive_failures: int = 0
    avoid_until: float = 0.0
    latency_s: float = 0.05

    def answered(self, took_s: float) -> None:
        self.consecutive_failures = 0
        self.avoid_until = 0.0
        self.latency_s += (took_s - self.latency_s) / 8

    def failed(self, now: float) -> None:
        self.consecutive_failures += 1
        self.avoid_until = now + min(
            LONGEST_BACKOFF_S, BACKOFF_S * 2 ** min(self.consecutive_failures - 1, 8)
        )


@dataclass
class _Batch:
    """One batch on its way: what is asked, and why which seats are out of it."""

    charter: Charter
    key: ClassKey
    blinded: Sequence[Element]
    out: dict[int, str] = field(default_factory=dict)  # seat → reason


class Relaying:
    """The way from this member's clients to the evaluators. `curve` runs the check of complaints."""

    def __init__(
        self,
        member: MemberId,
        membership: Membership,
        evaluating: Evaluating,
        peers: Peers,
        gateway: StoreGateway,
        clock: Clock,
        curve: Executor,
        seat_deadline_s: float,
    ) -> None:
        self._member = member
        self._membership = membership
        self._evaluating = evaluating
        self._peers = peers
        self._gateway = gateway
        self._clock = clock
        self._curve = curve
        self._seat_deadline_s = seat_deadline_s
        self._health: dict[MemberId, _Health] = {}
        self._culprits: dict[tuple[int, int, bytes], set[int]] | None = None

    async def evaluate(
        self,
        key_class: int,
        epoch: int,
        committee_hash: bytes,
        blinded: Sequence[Element],
        complaints: Sequence[SignedPartial] = (),
    ) -> list[SignedPartial]:
        """Return exactly t signed partials of one quorum, in ascending order of seat.

        Raises `TooManyElements`, `UnknownKeyClass`, `UnknownKeyEpoch`, `StaleCharter`, `CharterExpired`,
        `EvaluationsUsedUp` or `QuorumUnavailable`.
        """
        check_count(len(blinded))
        now = self._clock.now()
        charter = self._membership.check_fresh(now)
        key = self._membership.live_class(key_class, epoch, now)
        check_committee(key, committee_hash)
        for complaint in complaints:
            await self._hear(charter, key, blinded, complaint)
        batch = _Batch(charter, key, blinded)
        for seat in (await self._convicted()).get((key_class, epoch, committee_hash), ()):
            batch.out[seat] = Conclusion.BAD_PROOF
        try:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    quorum = self._pick(batch)
                    partials = await self._ask(batch, quorum)
                    if partials is not None:
                        return partials
        except TimeoutError:
            raise QuorumUnavailable(
                f"no quorum answered within {DEADLINE_S:g} s: {_reasons(batch)}"
            ) from None

    async def budgets(self) -> Budgets:
        """Ask every evaluator of the charter what is left for this member."""
        committees = (key.committee for key in self._membership.charter.classes)
        members = sorted({MemberId(member) for committee in committees for member in committee})

        async def ask(member: MemberId) -> list[BudgetLeft] | None:
            try:
                async with asyncio.timeout(self._seat_deadline_s):
                    if member == self._member:
                        return await self._evaluating.budgets(self._member)
                    return await self._peers.budgets(member)
            except (PeerError, ServiceError, TimeoutError):
                return None

        answers = await asyncio.gather(*(ask(member) for member in members))
        return Budgets(
            tuple(budget for answer in answers for budget in answer or ()),
            tuple(member for member, answer in zip(members, answers, strict=True) if answer is None),
        )

    def _pick(self, batch: _Batch) -> tuple[int, ...]:
        key, now = batch.key, self._clock.monotonic()

        def order(seat: int) -> tuple[bool, bool, float]:
            member = MemberId(key.committee[seat - 1])
            health = self._health.get(member, _Health())
            return (member != self._member, health.avoid_until > now, health.latency_s)

        seats = sorted(
            (seat for seat in range(1, len(key.committee) + 1) if seat not in batch.out), key=order
        )
        # One evaluator answers for one seat of a quorum, however many it holds.
        chosen: dict[bytes, int] = {}
        for seat in seats:
            chosen.setdefault(key.committee[seat - 1], seat)
        if len(chosen) >= key.threshold:
            return tuple(sorted(list(chosen.values())[: key.threshold]))
        exhausted = sum(reason == EvaluationsUsedUp.reason for reason in batch.out.values())
        if len(chosen) + exhausted >= key.threshold:
            raise EvaluationsUsedUp(
                f"too few evaluators of class {key.key_class}, epoch {key.epoch} have budget left for this "
                f"member: {_reasons(batch)}; `tocsin budget` shows what is left"
            )
        if any(reason == StaleCharter.reason for reason in batch.out.values()):
            raise StaleCharter(
                f"evaluators of class {key.key_class}, epoch {key.epoch} work under another charter: {_reasons(batch)}"
            )
        raise QuorumUnavailable(
            f"{key.threshold} evaluators of class {key.key_class}, epoch {key.epoch} are needed, "
            f"{len(chosen)} are available: {_reasons(batch)}"
        )

    async def _ask(self, batch: _Batch, quorum: tuple[int, ...]) -> list[SignedPartial] | None:
        """Ask every seat of a quorum concurrently; None if one failed, which is then out of the batch."""
        tasks = {asyncio.create_task(self._ask_seat(batch, quorum, seat)): seat for seat in quorum}
        try:
            waiting = set(tasks)
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                failed = False
                for task in done:
                    error = task.exception()
                    if error is None:
                        continue
                    if not isinstance(error, PeerError):
                        raise error
                    failed = True
                    batch.out[tasks[task]] = error.reason
                    _log.info("evaluator-skipped", seat=tasks[task], reason=error.reason)
                if failed:
                    return None
            return [task.result() for task, _ in sorted(tasks.items(), key=lambda asked: asked[1])]
        finally:
            for task in tasks:
                task.cancel()

    async def _ask_seat(self, batch: _Batch, quorum: tuple[int, ...], seat: int) -> SignedPartial:
        key = batch.key
        member = MemberId(key.committee[seat - 1])
        request = PartialRequest(key.key_class, key.epoch, key.committee_hash, quorum, seat, batch.blinded)
        health = self._health.setdefault(member, _Health())
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._seat_deadline_s):
                signed = await self._call(member, request)
            if member != self._member:
                self._check_answer(batch, quorum, seat, signed)
        except TimeoutError:
            health.failed(self._clock.monotonic())
            raise PeerError(
                member, Conclusion.DEADLINE, f"no answer within {self._seat_deadline_s:g} s"
            ) from None
        except PeerError as error:
            # Who refuses in good order is healthy; only the batch goes elsewhere.
            if error.reason not in (EvaluationsUsedUp.reason, StaleCharter.reason):
                health.failed(self._clock.monotonic())
            raise
        health.answered(self._clock.monotonic() - started)
        return signed

    async def _call(self, member: MemberId, request: PartialRequest) -> SignedPartial:
        if member != self._member:
            return await self._peers.evaluate(member, request)
        try:
            return await self._evaluating.evaluate(self._member, request)
        except ServiceError as error:
            raise PeerError(member, error.reason, error.message) from error

    def _check_answer(self, batch: _Batch, quorum: tuple[int, ...], seat: int, signed: SignedPartial) -> None:
        member = MemberId(batch.key.committee[seat - 1])
        # M-4.16: seat, evaluator, quorum, number of elements and signature, before it is relayed unchanged.
        if (signed.seat, signed.evaluator, signed.quorum) != (seat, member, quorum):
            raise PeerError(
                member, Conclusion.INVALID_PARTIAL, "it answered for another seat or quorum than was asked"
            )
        if len(signed.partial.evaluated) != len(batch.blinded):
            raise PeerError(member, Conclusion.INVALID_PARTIAL, "it answered with another number of elements")
        try:
            verify_evaluator_signature(
                batch.charter.member(member).node,
                batch.charter.context(batch.key, seat, self._member, quorum),
                batch.blinded,
                _evaluation(signed),
            )
        except BadSignature as error:
            raise PeerError(
                member, Conclusion.INVALID_PARTIAL, "its signature does not cover what was asked"
            ) from error

    async def _hear(
        self, charter: Charter, key: ClassKey, blinded: Sequence[Element], complaint: SignedPartial
    ) -> None:
        seat, now = complaint.seat, self._clock.now()
        place = f"class={key.key_class} epoch={key.epoch} seat={seat}"
        try:
            evidence = await self._judge(charter, key, blinded, complaint)
        except NotProven as error:
            detail = f"{place} reason={error}"
            await self._gateway.write(
                lambda transaction: transaction.record("false-complaint", detail, b"", now)
            )
            _log.warning("false-complaint", seat=seat, problem=str(error))
            return
        convicted = await self._convicted()
        convicted.setdefault((key.key_class, key.epoch, key.committee_hash), set()).add(seat)
        detail = f"{place} evaluator={complaint.evaluator.hex()}"
        _log.error("bad-partial", evaluator=complaint.evaluator.hex())
        await self._gateway.write(lambda transaction: transaction.record(BAD_PARTIAL, detail, evidence, now))

    async def _convicted(self) -> dict[tuple[int, int, bytes], set[int]]:
        """Return the seats that were proven to lie, by class, epoch and committee hash; read once from the store."""
        if self._culprits is None:
            proofs = await self._gateway.read(lambda snapshot: snapshot.proofs(BAD_PARTIAL, MAX_PROOFS))
            culprits: dict[tuple[int, int, bytes], set[int]] = {}
            for proof in proofs:
                context = parse_bad_partial(proof).context
                place = (context.key_class, context.epoch, context.committee_hash)
                culprits.setdefault(place, set()).add(context.seat)
            # Another call may have read them, and added to them, meanwhile.
            if self._culprits is None:
                self._culprits = culprits
        return self._culprits

    async def _judge(
        self, charter: Charter, key: ClassKey, blinded: Sequence[Element], complaint: SignedPartial
    ) -> bytes:
        try:
            context = charter.context(key, complaint.seat, self._member, complaint.quorum)
        except BadQuorum as error:
            raise NotProven(str(error)) from error
        if context.evaluator != complaint.evaluator:
            raise NotProven("the seat is not that evaluator's")
        node_key = charter.member(complaint.evaluator).node
        proof = BadPartial(context, tuple(blinded), _evaluation(complaint))
        await asyncio.get_running_loop().run_in_executor(self._curve, judge_bad_partial, proof, node_key, key)
        return encode_bad_partial(proof)


def _evaluation(signed: SignedPartial) -> SignedEvaluation:
    return SignedEvaluation(signed.partial, signed.budget_left, signed.time, signed.signature)


def _reasons(batch: _Batch) -> str:
    if not batch.out:
        return "none was refused"
    return ", ".join(f"seat {seat} {reason}" for seat, reason in sorted(batch.out.items()))
