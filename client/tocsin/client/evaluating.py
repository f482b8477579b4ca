"""Blind, have evaluated, verify, finalize: from values to outputs F.

Rules
1. Each element is blinded with a fresh scalar; a batch that has to be repeated is repeated with the same elements.
2. Nothing derived from a partial is used before all t of one quorum verified: one S, |S| = t, distinct seats, each
   evaluator in its seat of the committee that this client verified, its signature over exactly the client's context
   and elements, its proof against commitments from the client's own charter.
3. A partial that is signed for exactly this batch and whose proof fails convicts its evaluator: the batch is repeated
   with it attached, so that the node routes around. When no quorum without it can be had, `BadPartial` names it.
4. Everything else that does not fit is the node's fault (M-7.11).
5. Several threads work on batches: while one waits for the network, another computes.
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
from tocsin.indicators.registry import Observable
from tocsin.oprf import rfc9497, threshold
from tocsin.oprf.group import BadElement, Element, Random
from tocsin.oprf.rfc9497 import Output
from tocsin.oprf.threshold import InvalidPartial, MixedContexts
from tocsin.primitives.ed25519 import BadKey, BadSignature, verify_signature
from tocsin.wire.limits import MAX_COMPLAINTS
from tocsin.wire.values import SignedPartial

logger = logging.getLogger("tocsin.client")


@dataclass(frozen=True, slots=True, repr=False)
class Wanted:
    """A value to evaluate, under the 16 bytes that stand for it in the vault."""

    key: bytes
    observable: Observable


class Evaluator:
    """Evaluates batches through the member's own node."""

    def __init__(self, node: NodeApi, random: Random, batch_size: int, in_flight: int) -> None:
        self._node = node
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
        waiting: deque[tuple[Sequence[Wanted], Future[list[Output]]]] = deque()
        batches: Iterator[Sequence[Wanted]] = (
            wanted[start : start + self._batch_size] for start in range(0, len(wanted), self._batch_size)
        )
        failure: Exception | None = None
        for batch in batches:
            run = copy_context().run
            waiting.append((batch, self._threads.submit(run, self._batch, active, class_key, batch)))
            if len(waiting) >= self._in_flight and (failure := _finish(waiting, keep)) is not None:
                break
        # What was sent has been paid for, so it is kept even where another batch failed.
        while waiting:
            failure = _finish(waiting, keep) or failure
        if failure is not None:
            raise failure

    def _batch(self, active: ActiveCharter, class_key: ClassKey, batch: Sequence[Wanted]) -> list[Output]:
        deadline.check()
        began = system.monotonic()
        inputs = [threshold.oprf_input(value.observable.type, value.observable.canonical) for value in batch]
        # M-2.1: values stay here; what leaves is blinded.
        blindings, blinded = rfc9497.blind(inputs, self._random)
        outputs = rfc9497.finalize(blindings, self._evaluated(active, class_key, blinded))
        logger.debug(
            "evaluated %d elements of class %d, epoch %d, in %.2f s",
            len(batch),
            class_key.key_class,
            class_key.epoch,
            system.monotonic() - began,
        )
        return outputs

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


def _finish(
    waiting: deque[tuple[Sequence[Wanted], Future[list[Output]]]],
    keep: Callable[[Sequence[Wanted], Sequence[Output]], None],
) -> Exception | None:
    batch, future = waiting.popleft()
    try:
        outputs = future.result()
    except Exception as error:  # handed to the caller once every batch under way is kept
        return error
    keep(batch, outputs)
    return None
