"""The evaluator: decode, charge, multiply, prove, sign.

1. Elements arrive decoded (M-4.3); a batch is 1 to 4,096 of them (M-4.4). A batch that is refused costs nothing and
   does not touch the share (M-4.5).
2. The request names the committee it was made for; another than this node's charter has is STALE_CHARTER (M-4.9).
3. The quorum is exactly t distinct seats of 1..c, ascending, with the seat asked, which must be this node's own
   (M-4.8).
4. The charge and its audit event are one transaction, made durable before anything is multiplied. If the store cannot
   take it, nothing is evaluated (M-4.21).
5. A batch that was charged before costs nothing again under any quorum, while it is remembered (M-4.22). Under the same
   quorum it gets the answer that was signed, while that is kept. How many elements may be repeated is limited by a rate
   of its own, which malformed batches share (M-4.23). What is decoded for nothing (malformed, or refused) has another
   besides: who has used that up is refused before anything is decoded.
6. Decoding and multiplying go through `fair_pool`: who asks for much waits for itself.
7. The signature covers the context, both element lists, the proof, the budget left and the time (M-4.15).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from tocsin.charter.document import ClassKey
from tocsin.node.model import Charge, Charged
from tocsin.node.ports import BudgetExhausted, Clock, Shares, Signer, Transaction
from tocsin.node.service.errors import (
    EvaluationsUsedUp,
    InvalidQuorum,
    NotReady,
    RepeatedTooOften,
    StaleCharter,
    TooManyElements,
)
from tocsin.node.service.fair_pool import FairPool
from tocsin.node.service.membership import Membership
from tocsin.node.service.rate import RateLimit
from tocsin.node.service.signed_answers import SignedAnswers
from tocsin.node.service.store_gateway import StoreGateway
from tocsin.oprf import threshold
from tocsin.oprf.group import Random, Scalar
from tocsin.oprf.shares import BadQuorum, BadShare, check_quorum, verify_share
from tocsin.oprf.threshold import Context, PartialEvaluation
from tocsin.wire.limits import MAX_ELEMENTS
from tocsin.wire.values import BudgetLeft, MemberId, PartialRequest, SignedPartial

FREE_REPEATS = 4.0 * MAX_ELEMENTS
REPEATS_PER_SECOND = 512.0
"""Elements; multiplying and proving takes about 0.1 ms each, so 1 in 20 of a core for each caller at most."""

_T = TypeVar("_T")


def check_count(count: int) -> None:
    """Refuse a batch of no elements or of too many. Raises `TooManyElements`."""
    # M-4.4: 1 to 4,096 elements.
    if not 1 <= count <= MAX_ELEMENTS:
        raise TooManyElements(
            f"a batch is 1 to {MAX_ELEMENTS} elements, this one has {count}; split it", "blinded_elements"
        )


def check_committee(key: ClassKey, committee_hash: bytes) -> None:
    """Refuse a request made for another committee. Raises `StaleCharter`."""
    # M-4.9: STALE_CHARTER, and nothing is charged.
    if committee_hash != key.committee_hash:
        raise StaleCharter(
            f"class {key.key_class}, epoch {key.epoch} has another committee here than the request names; "
            "compare the charters of both sides and fetch the newer one",
            "committee_hash",
        )


class Evaluating:
    """This node's own seats. `curve` runs the multiplications."""

    def __init__(
        self,
        member: MemberId,
        membership: Membership,
        gateway: StoreGateway,
        signer: Signer,
        shares: Shares,
        clock: Clock,
        random: Random,
        curve: FairPool,
        free_repeats: float,
    ) -> None:
        self._member = member
        self._membership = membership
        self._gateway = gateway
        self._signer = signer
        self._shares = shares
        self._clock = clock
        self._random = random
        self._curve = curve
        self._repeats = RateLimit(free_repeats, REPEATS_PER_SECOND, clock)
        self._wasted = RateLimit(free_repeats, REPEATS_PER_SECOND, clock)
        self._answers = SignedAnswers()

    async def decode(self, caller: MemberId, count: int, parse: Callable[[], _T]) -> _T:
        """Run `parse` of `count` elements in the caller's turn. Raises `RepeatedTooOften`, and what `parse` does."""
        self.check_decoding(caller)
        return await asyncio.get_running_loop().run_in_executor(self._curve.share(caller, count), parse)

    def check_decoding(self, caller: MemberId) -> None:
        """Refuse to decode for a caller whose batches were refused too often. Raises `RepeatedTooOften`."""
        if not self._wasted.allows(caller):
            raise RepeatedTooOften(_TOO_OFTEN)

    def refused(self, caller: MemberId, count: int) -> None:
        """Count elements that were decoded and then refused by the caller's own fault."""
        self._wasted.owe(caller, count)

    def malformed(self, caller: MemberId, count: int) -> None:
        """Count elements that could not be decoded. Raises `RepeatedTooOften` beyond the caller's rate."""
        self._wasted.owe(caller, count)
        if not self._repeats.take(caller, count):
            raise RepeatedTooOften(_TOO_OFTEN)

    async def evaluate(self, caller: MemberId, request: PartialRequest) -> SignedPartial:
        """Evaluate a batch with the asked seat's share.

        Raises `TooManyElements`, `UnknownKeyClass`, `UnknownKeyEpoch`, `StaleCharter`, `InvalidQuorum`,
        `EvaluationsUsedUp`, `RepeatedTooOften`, `CharterExpired`, `NotAMemberOfCharter`, `NotReady` (the share is
        not on this node), `CannotStore` or `DiskFull`; none of them costs anything.
        """
        check_count(len(request.blinded))
        now = self._clock.now()
        charter = self._membership.check_fresh(now)
        self._membership.caller(caller)
        key = self._membership.live_class(request.key_class, request.epoch, now)
        check_committee(key, request.committee_hash)
        # M-4.5: whatever is refused from here to the charge costs nothing, and the share is not used.
        share = self._share(key, request)
        # M-4.12: the caller is the member whose certificate was verified.
        context = charter.context(key, request.seat, caller, request.quorum)
        batch = threshold.batch_identity(caller, key.key_class, key.epoch, request.blinded)
        charged = await self._charge(caller, key, request, batch, now)
        if charged.repeated:
            signed = self._answers.find(caller, batch, request)
            if signed is not None:
                return signed
        partial = await asyncio.get_running_loop().run_in_executor(
            self._curve.share(caller, len(request.blinded)),
            threshold.evaluate,
            share,
            key.commitments,
            context,
            request.blinded,
            self._random,
        )
        signed = self._signed(context, request, partial, charged.left, now)
        self._answers.keep(caller, batch, request, signed)
        return signed

    async def budgets(self, caller: MemberId) -> list[BudgetLeft]:
        """Return what is left for a member on each of this node's live seats. Raises `NotAMemberOfCharter`."""
        self._membership.caller(caller)
        used = await self._gateway.read(lambda snapshot: snapshot.budget_used(caller))
        charter, now = self._membership.charter, self._clock.now()
        left = []
        for number in sorted({key.key_class for key in charter.classes}):
            for key in charter.live_classes(number, now):
                for seat in key.seats_of(self._member):
                    limit = self._membership.budget(key, seat)
                    unused = max(0, limit - used.get((key.key_class, key.epoch, seat), 0))
                    left.append(BudgetLeft(key.key_class, key.epoch, seat, self._member, limit, unused))
        return left

    def _share(self, key: ClassKey, request: PartialRequest) -> Scalar:
        try:
            check_quorum(request.quorum, len(key.committee), key.threshold, request.seat)
        except BadQuorum as error:
            raise InvalidQuorum(str(error), "quorum") from error
        if key.committee[request.seat - 1] != self._member:
            raise InvalidQuorum(f"seat {request.seat} is not this node's", "seat")
        share = self._shares.share(key.key_class, key.epoch, request.seat)
        if share is None:
            raise NotReady(
                f"this node has no share for class {key.key_class}, epoch {key.epoch}, seat {request.seat}; "
                "put the share file that was dealt to it in its shares folder"
            )
        try:
            # M-4.11: before anything is charged.
            verify_share(share, request.seat, key.commitments)
        except BadShare as error:
            raise NotReady(f"class {key.key_class}, epoch {key.epoch}: {error}") from error
        return share

    async def _charge(
        self, caller: MemberId, key: ClassKey, request: PartialRequest, batch: bytes, now: int
    ) -> Charged:
        charge = Charge(
            caller,
            key.key_class,
            key.epoch,
            request.seat,
            batch,
            len(request.blinded),
            self._membership.budget(key, request.seat),
        )
        place = f"class={key.key_class} epoch={key.epoch} seat={request.seat}"

        def write(transaction: Transaction) -> Charged:
            charged = transaction.charge(charge, now)
            if not charged.repeated:
                transaction.record(
                    "evaluated", f"{place} caller={caller.hex()} count={charge.amount}", b"", now
                )
            return charged

        try:
            # M-4.21: durable before anything is multiplied. M-4.24: a charge that does not fit is refused whole.
            charged = await self._gateway.write(write)
        except BudgetExhausted as error:
            raise EvaluationsUsedUp(
                f"{place}: {error.asked} evaluations requested, {error.left} of {charge.limit} left in this epoch"
            ) from error
        # M-4.23: repeated batches have a rate of their own, in elements.
        if charged.repeated and not self._repeats.take(caller, charge.amount):
            raise RepeatedTooOften(_TOO_OFTEN)
        return charged

    def _signed(
        self,
        context: Context,
        request: PartialRequest,
        partial: PartialEvaluation,
        left: int,
        now: int,
    ) -> SignedPartial:
        statement = threshold.signed_statement(context, request.blinded, partial, left, now)
        return SignedPartial(
            request.seat,
            self._member,
            request.quorum,
            partial,
            left,
            now,
            self._signer.sign_node(statement),
        )


_TOO_OFTEN = (
    "too many repeated or malformed batches; wait a few seconds, and do not repeat batches that were answered"
)
