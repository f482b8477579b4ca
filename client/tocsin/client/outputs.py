"""Outputs F of a member's own values: from the vault, and the rest evaluated and paid for.

Rules
1. A value counts under every epoch of its class under which entries may live, a report only under the newest. An
   epoch that is over is not evaluated any more, but what the vault has under it counts. What the vault has is never
   paid for again. A template is evaluated together with its bands.
2. What fails is noted in `Spending`, and what the vault had or was paid for by then is still returned: the caller
   decides whether that is enough.
3. A used-up budget ends the evaluating of its class epoch, any other failure that of the whole call.
4. Where the committee knows a newer charter, or the vault dropped an epoch that a newer charter ended, the charter is
   fetched and everything starts again, once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from tocsin.charter.document import ClassKey
from tocsin.client.arguments import Values
from tocsin.client.charters import ActiveCharter
from tocsin.client.errors import (
    BadPartial,
    BudgetExhausted,
    Misbehaved,
    RefusedByNode,
    StaleCharter,
    TocsinError,
    Unavailable,
)
from tocsin.client.evaluating import Wanted
from tocsin.client.matching import Subject
from tocsin.client.session import Session
from tocsin.client.templates.bands import Skeleton, split_bands, with_bands
from tocsin.indicators.registry import TYPES
from tocsin.oprf.rfc9497 import Output
from tocsin.wire.reasons import Reason


class Epochs(Enum):
    """The key epochs of its class under which a value counts (rule 1)."""

    READABLE = auto()  # all whose entries may live
    NEWEST = auto()


@dataclass
class Spending:
    """What one call paid for, and what ended its evaluating (rule 3). `advance` is called with each batch's size."""

    paid: int = 0
    failure: TocsinError | None = None
    advance: Callable[[int], None] = lambda _: None
    _stopped: bool = False
    _used_up: set[tuple[int, int]] = field(default_factory=set)

    def may_ask(self, class_key: ClassKey) -> bool:
        """Say whether evaluating under a class key is still worth a try."""
        return not self._stopped and (class_key.key_class, class_key.epoch) not in self._used_up

    def end(self, class_key: ClassKey, failure: TocsinError) -> None:
        """Note a failure: the first is the one to raise, unless a later one accuses somebody."""
        if self.failure is None or isinstance(failure, Misbehaved):
            self.failure = failure
        if isinstance(failure, BudgetExhausted):
            self._used_up.add((class_key.key_class, class_key.epoch))
        else:
            self._stopped = True


@dataclass(frozen=True, slots=True)
class Outputs:
    """Under one charter: values with F, and of the templates among them the skeletons and the bands with F."""

    active: ActiveCharter
    values: list[Subject]
    skeletons: list[Skeleton]
    bands: list[Subject]


def stored_outputs(session: Session, active: ActiveCharter, values: Values, now: int) -> list[Subject]:
    """Return F of the values that the vault has, under every epoch under which entries may live."""
    return [
        _subject(values, class_key, key, output)
        for class_key, keys in _by_class(active, values, now, Epochs.READABLE)
        for key, output in session.vault.outputs(class_key.epoch, keys).items()
    ]


def all_outputs(session: Session, values: Values, spending: Spending, now: int, epochs: Epochs) -> Outputs:
    """Return F of every value. Raises what ended the evaluating."""
    outputs = available_outputs(session, values, spending, now, epochs)
    if spending.failure is not None:
        raise spending.failure
    return outputs


def available_outputs(
    session: Session, values: Values, spending: Spending, now: int, epochs: Epochs
) -> Outputs:
    """Return F of every value that the vault has or that can be evaluated; `spending` notes the rest (rules 2, 3)."""
    skeletons, wanted = with_bands(session.vault, values)
    active = session.charter(now)
    try:
        subjects = _attempt(session, active, wanted, spending, now, epochs, last=False)
    except StaleCharter:
        active = session.refresh(now)
        subjects = _attempt(session, active, wanted, spending, now, epochs, last=True)
    of_values, of_bands = split_bands(session.vault, skeletons, subjects)
    return Outputs(active, of_values, skeletons, of_bands)


def _attempt(
    session: Session,
    active: ActiveCharter,
    values: Values,
    spending: Spending,
    now: int,
    epochs: Epochs,
    *,
    last: bool,
) -> list[Subject]:
    active.check_tables()
    subjects: list[Subject] = []
    for class_key, keys in _by_class(active, values, now, epochs):
        asked = active.is_evaluated(class_key, now) and spending.may_ask(class_key)
        outputs = session.vault.outputs(class_key.epoch, keys)
        missing = [Wanted(key, values[key].observable) for key in keys if key not in outputs]
        try:
            if asked and missing:
                _evaluate(session, active, class_key, missing, spending)
            # Read back: a charter adopted meanwhile, by another process too, may have ended the epoch.
            outputs = session.vault.outputs(class_key.epoch, keys)
            if asked and len(outputs) < len(keys):
                raise StaleCharter(
                    Reason.STALE_CHARTER, "a newer charter ended a key epoch meanwhile; try again"
                )
        except (BadPartial, RefusedByNode, Unavailable) as error:
            if isinstance(error, StaleCharter) and not last:
                raise
            spending.end(class_key, error)
            outputs = session.vault.outputs(class_key.epoch, keys)
        subjects += [_subject(values, class_key, key, outputs[key]) for key in keys if key in outputs]
    return subjects


def _evaluate(
    session: Session,
    active: ActiveCharter,
    class_key: ClassKey,
    wanted: Sequence[Wanted],
    spending: Spending,
) -> None:
    def keep(batch: Sequence[Wanted], outputs: Sequence[Output]) -> None:
        by_type: dict[str, dict[bytes, Output]] = {}
        for value, output in zip(batch, outputs, strict=True):
            by_type.setdefault(value.observable.type, {})[value.key] = output
        for type, of_type in by_type.items():
            session.vault.keep_outputs(type, class_key.epoch, of_type)
        spending.paid += len(batch)
        spending.advance(len(batch))

    session.evaluator.evaluate(active, class_key, wanted, keep)


def _by_class(
    active: ActiveCharter, values: Values, now: int, epochs: Epochs
) -> list[tuple[ClassKey, list[bytes]]]:
    grouped: dict[int, list[bytes]] = {}
    for key, value in values.items():
        grouped.setdefault(int(TYPES[value.observable.type].key_class), []).append(key)
    return [
        (class_key, keys)
        for number, keys in grouped.items()
        for class_key in active.readable_keys(number, now)[: 1 if epochs is Epochs.NEWEST else None]
    ]


def _subject(values: Values, class_key: ClassKey, key: bytes, output: Output) -> Subject:
    value = values[key]
    return Subject(
        key,
        value.observable.type,
        class_key.key_class,
        class_key.epoch,
        output,
        tuple(value.positions),
        tuple(value.given),
    )
