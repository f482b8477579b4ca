"""Blind, have evaluated, verify, finalize: from values to outputs F.

Rules
1. Each element is blinded with a fresh scalar; a batch that has to be repeated is repeated with the same elements,
   also by a later call or process: the vault keeps it from before it is sent until it is answered (`vault_pending`).
   Where less than half of it is wanted by then, new evaluations cost everybody less.
2. Nothing derived from a partial is used before all t of one quorum verified: one S, |S| = t, distinct seats, each
   evaluator in its seat of the committee that this client verified, its signature over exactly the client's context
   and elements, its proof against commitments from the client's own charter.
3. A partial that is signed for exactly this batch and whose proof fails convicts its evaluator: the batch is repeated
   with it attached, so that the node routes around. When no quorum without it can be had, `BadPartial` names it.
4. Everything else that does not fit is the node's fault (M-7.11).
5. A batch that was refused for what it is will be refused again, so it is forgotten.
6. Several threads work on batches: while one waits for the network, another computes.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass

from tocsin.charter.document import ClassKey
from tocsin.client import deadline, system
from tocsin.client.charters import ActiveCharter
from tocsin.client.errors import BadPartial, BudgetExhausted, NodeMisbehaved, RefusedByNode, Unavailable
from tocsin.client.ports import NodeApi
from tocsin.client.vault_pending import PendingBatch, PendingTable
from tocsin.indicators.registry import Observable
from tocsin.oprf import rfc9497, threshold
from tocsin.oprf.group import BadElement, Element, Random
from tocsin.oprf.rfc9497 import Blinding, Output
from tocsin.oprf.threshold import InvalidPartial, MixedContexts
from tocsin.primitives.ed25519 import BadKey, BadSignature, verify_signature
from tocsin.wire.limits import MAX_COMPLAINTS
from tocsin.wire.reasons import Reason
from tocsin.wire.values import SignedPartial

logger = logging.getLogger("tocsin.client")

_REFUSED_FOR_GOOD = frozenset(
    {
        Reason.BUDGET_EXHAUSTED,
        Reason.INVALID_ELEMENT,
        Reason.TOO_MANY_ELEMENTS,
        Reason.UNKNOWN_CLASS,
        Reason.UNKNOWN_EPOCH,
    }
)


@dataclass(frozen=True, slots=True, repr=False)
class Wanted:
    """A value to evaluate, under the 16 bytes that stand for it in the vault."""

    key: bytes
    observable: Observable


@dataclass(frozen=True, slots=True, repr=False)
class _Answer:
    """The outputs of a batch's values, and the request that they came from."""

    sent: PendingBatch
    outputs: list[Output]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Values to evaluate in one request; `sent` is an earlier request that holds them all, None for a new one."""

    wanted: Sequence[Wanted]
    sent: PendingBatch | None


class Evaluator:
    """Evaluates batches through the member's own node."""

    def __init__(
        self, node: NodeApi, pending: PendingTable, random: Random, batch_size: int, in_flight: int
    ) -> None:
        self._node = node
        self._pending = pending
        self._under_way: set[int] = set()
        self._random = random
        self._batch_size = batch_size
        self._in_flight = in_flight
        self._threads = ThreadPoolExecutor(max_workers=in_flight, thread_name_prefix="tocsin-evaluate")

    def close(self) -> None:
        """Stop the threads; batches not begun are dropped."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def evaluate(
        self,
        active: ActiveCharter,
        class_key: ClassKey,
        wanted: Sequence[Wanted],
        keep: Callable[[Sequence[Wanted], Sequence[Output]], None],
    ) -> None:
        """Evaluate values under one class key. `keep` gets each batch as it is done, from this thread.

        Raises `BadPartial`, `NodeMisbehaved`, `BudgetExhausted`, `StaleCharter`, `RefusedByNode`, `Unavailable`; what
        was kept by then stays kept.
        """
        waiting: deque[tuple[Sequence[Wanted], Future[_Answer]]] = deque()
        failure: Exception | None = None
        for batch in self._batches(class_key, wanted):
            run = copy_context().run
            waiting.append((batch.wanted, self._threads.submit(run, self._batch, active, class_key, batch)))
            if len(waiting) >= self._in_flight and (failure := self._finish(waiting, keep)) is not None:
                break
        # What was sent has been paid for, so it is kept even where another batch failed.
        while waiting:
            failure = self._finish(waiting, keep) or failure
        if failure is not None:
            raise failure

    def _finish(
        self,
        waiting: deque[tuple[Sequence[Wanted], Future[_Answer]]],
        keep: Callable[[Sequence[Wanted], Sequence[Output]], None],
    ) -> Exception | None:
        wanted, future = waiting.popleft()
        try:
            answer = future.result()
        except Exception as error:  # handed to the caller once every batch under way is kept
            return error
        keep(wanted, answer.outputs)
        if len(wanted) == len(answer.sent.keys):
            self._pending.settle(answer.sent.id)
        return None

    def _batches(self, class_key: ClassKey, wanted: Sequence[Wanted]) -> Iterator[_Batch]:
        """Yield the batches to send: first those that were sent before and hold what is wanted, then new ones."""
        missing = {value.key: value for value in wanted}
        for sent in self._pending.batches(class_key.key_class, class_key.epoch):
            again = [missing[key] for key in sent.keys if key in missing]
            if 2 * len(again) >= len(sent.keys) and sent.id not in self._under_way:
                for value in again:
                    del missing[value.key]
                yield _Batch(again, sent)
        new = [value for value in wanted if value.key in missing]
        for start in range(0, len(new), self._batch_size):
            yield _Batch(new[start : start + self._batch_size], None)

    def _batch(self, active: ActiveCharter, class_key: ClassKey, batch: _Batch) -> _Answer:
        deadline.check()
        began = system.monotonic()
        inputs = [
            threshold.oprf_input(value.observable.type, value.observable.canonical) for value in batch.wanted
        ]
        if batch.sent is None:
            # M-2.1: values stay here; what leaves is blinded.
            blindings, blinded = rfc9497.blind(inputs, self._random)
            keys, blinds = [value.key for value in batch.wanted], [blinding.blind for blinding in blindings]
            sent = self._pending.keep(class_key.key_class, class_key.epoch, keys, blinds, blinded)
            places: Sequence[int] = range(len(blinded))
        else:
            sent = batch.sent
            at = {key: place for place, key in enumerate(sent.keys)}
            places = [at[value.key] for value in batch.wanted]
            blindings = [
                Blinding(sent.blinds[place], input) for place, input in zip(places, inputs, strict=True)
            ]
        evaluated = self._sent(active, class_key, sent)
        outputs = rfc9497.finalize(blindings, [evaluated[place] for place in places])
        logger.debug(
            "evaluated %d elements of class %d, epoch %d, in %.2f s",
            len(outputs),
            class_key.key_class,
            class_key.epoch,
            system.monotonic() - began,
        )
        return _Answer(sent, outputs)

    def _sent(self, active: ActiveCharter, class_key: ClassKey, sent: PendingBatch) -> list[Element]:
        self._under_way.add(sent.id)
        try:
            evaluated = self._evaluated(active, class_key, sent.blinded)
        except RefusedByNode as error:
            if error.reason in _REFUSED_FOR_GOOD:
                self._pending.settle(sent.id)
            raise
        finally:
            self._under_way.discard(sent.id)
        return evaluated

    def _evaluated(
        self, active: ActiveCharter, class_key: ClassKey, blinded: Sequence[Element]
    ) -> list[Element]:
        complaints: list[SignedPartial] = []
        culprits: dict[bytes, str] = {}
        while True:
            try:
                answered = self._node.evaluate(
                    class_key.key_class, class_key.epoch, class_key.committee_hash, blinded, complaints
                )
            except (Unavailable, RefusedByNode) as error:
                if culprits and not isinstance(error, BudgetExhausted):
                    raise BadPartial(culprits) from error
                raise
            bad = self._verify(active, class_key, blinded, answered)
            if not bad:
                try:
                    return threshold.combine([answer.partial for answer in answered])
                except (BadElement, MixedContexts, ValueError) as error:
                    raise NodeMisbehaved("partials that cannot be combined") from error
            again = [partial for partial in bad if partial.evaluator in culprits]
            for partial in bad:
                culprits[partial.evaluator] = active.charter.member(partial.evaluator).name
            # M-4.19: nothing of the batch is used; it is repeated with the partial as a complaint.
            complaints += bad
            if again or len(complaints) > MAX_COMPLAINTS:
                raise BadPartial(culprits)

    def _verify(
        self,
        active: ActiveCharter,
        class_key: ClassKey,
        blinded: Sequence[Element],
        answered: Sequence[SignedPartial],
    ) -> list[SignedPartial]:
        """Return the partials that convict their evaluators (rule 3); raise `NodeMisbehaved` (rule 4)."""
        if len(answered) != class_key.threshold:
            raise NodeMisbehaved(f"{len(answered)} partials where the threshold is {class_key.threshold}")
        contexts = []
        for answer in answered:
            if (
                not 1 <= answer.seat <= len(class_key.committee)
                or class_key.committee[answer.seat - 1] != answer.evaluator
            ):
                raise NodeMisbehaved(
                    f"a partial of seat {answer.seat} from another member than the seat's holder"
                )
            try:
                contexts.append(
                    active.charter.context(class_key, answer.seat, active.member.id, answer.quorum)
                )
            except ValueError as error:
                raise NodeMisbehaved(f"a partial for an impossible quorum ({error})") from None
        try:
            threshold.check_contexts(contexts)
        except MixedContexts as error:
            raise NodeMisbehaved(f"partials that do not belong together ({error})") from None
        bad = []
        for answer, context in zip(answered, contexts, strict=True):
            if len(answer.partial.evaluated) != len(blinded):
                raise NodeMisbehaved(
                    f"a partial of seat {answer.seat} with another number of elements than were sent"
                )
            statement = threshold.signed_statement(
                context, blinded, answer.partial, answer.budget_left, answer.time
            )
            try:
                verify_signature(active.charter.member(answer.evaluator).node, statement, answer.signature)
            except (BadKey, BadSignature):
                raise NodeMisbehaved(
                    f"a partial of seat {answer.seat} that its evaluator did not sign for exactly this batch"
                ) from None
            try:
                threshold.verify(class_key.commitments, context, blinded, answer.partial)
            except InvalidPartial:
                bad.append(answer)
            except ValueError as error:
                raise NodeMisbehaved(
                    f"a partial of seat {answer.seat} for an impossible quorum ({error})"
                ) from None
        return bad
