"""F of a member's own values: what the vault has, and the rest evaluated and paid for.

Rules
1. A value counts under every live epoch of its class (a report only under the newest). What is kept is never paid
   again.
2. What fails is noted in `Spending`, and what was kept or paid for by then is still handed back: the caller decides
   whether that is enough.
3. A used-up budget ends the evaluating of its class epoch, any other failure that of the whole call.
4. Where the committee knows a newer charter, or the vault dropped an epoch that a newer one ended, the charter is
   fetched and everything is begun again, once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tocsin.charter.document import ClassKey
from tocsin.client import system
from tocsin.client.charters import Standing
from tocsin.client.errors import (
    BadPartial,
    BudgetExhausted,
    Misbehaved,
    RefusedByNode,
    StaleCharter,
    TocsinError,
    Unavailable,
)
from tocsin.client.evaluating import Evaluator, Wanted
from tocsin.client.matching import Subject
from tocsin.client.results import Value
from tocsin.client.vault import Vault
from tocsin.indicators.registry import TYPES, Observable
from tocsin.oprf.rfc9497 import Output


@dataclass(slots=True)
class InputValue:
    """A value of one call: where it stood, and what the caller passed there. A band was not passed by itself."""

    observable: Observable = field(repr=False)
    positions: list[int] = field(default_factory=list)
    given: list[Value] = field(default_factory=list, repr=False)


Values = Mapping[bytes, InputValue]
"""The values of a call by the 16 bytes that stand for them in the vault."""


def add_value(
    values: dict[bytes, InputValue], key: bytes, observable: Observable, position: int, given: Value
) -> None:
    """Add a value at a position of the call. A template given with bands and without counts once, with them."""
    value = values.setdefault(key, InputValue(observable))
    if observable.bands:
        value.observable = observable
    value.positions.append(position)
    value.given.append(given)


@dataclass
class Spending:
    """What one call paid for, and what ended its evaluating (rule 3)."""

    paid: int = 0
    failure: TocsinError | None = None
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


class Obtainer:
    """Gets outputs for one client. The functions give its charter as it stands, a newer one, and its evaluator."""

    def __init__(
        self,
        vault: Vault,
        current: Callable[[], Standing],
        refresh: Callable[[], Standing],
        evaluator: Callable[[], Evaluator],
    ) -> None:
        self._vault = vault
        self._current = current
        self._refresh = refresh
        self._evaluator = evaluator

    def held(self, standing: Standing, values: Values) -> list[Subject]:
        """Return F of the values that the vault has, under every live epoch."""
        return [
            _subject(values, class_key, key, output)
            for class_key, keys in _by_class(standing, values, newest_only=False)
            for key, output in self._vault.outputs(class_key.epoch, keys).items()
        ]

    def every(self, values: Values, *, newest_only: bool) -> tuple[Standing, list[Subject], int]:
        """Return F of every value, and how many were paid for. Raises what ended the evaluating."""
        spending = Spending()
        standing, subjects = self.available(values, spending, newest_only=newest_only)
        if spending.failure is not None:
            raise spending.failure
        return standing, subjects, spending.paid

    def available(
        self, values: Values, spending: Spending, *, newest_only: bool
    ) -> tuple[Standing, list[Subject]]:
        """Return F of every value that is kept or can be evaluated; `spending` is told the rest (rules 2 and 3)."""
        standing = self._current()
        try:
            return standing, self._attempt(standing, values, spending, newest_only, last=False)
        except StaleCharter:
            standing = self._refresh()
            return standing, self._attempt(standing, values, spending, newest_only, last=True)

    def _attempt(
        self, standing: Standing, values: Values, spending: Spending, newest_only: bool, *, last: bool
    ) -> list[Subject]:
        standing.check_tables()
        subjects: list[Subject] = []
        for class_key, keys in _by_class(standing, values, newest_only=newest_only):
            asked = spending.may_ask(class_key)
            try:
                if asked:
                    self._evaluate_missing(standing, class_key, values, keys, spending)
                outputs = self._vault.outputs(class_key.epoch, keys)
                if asked and len(outputs) < len(keys):
                    raise StaleCharter(
                        "STALE_CHARTER", "a newer charter ended a key epoch meanwhile; try again"
                    )
            except (BadPartial, RefusedByNode, Unavailable) as error:
                if isinstance(error, StaleCharter) and not last:
                    raise
                spending.end(class_key, error)
                outputs = self._vault.outputs(class_key.epoch, keys)
            subjects += [_subject(values, class_key, key, outputs[key]) for key in keys if key in outputs]
        return subjects

    def _evaluate_missing(
        self,
        standing: Standing,
        class_key: ClassKey,
        values: Values,
        keys: Sequence[bytes],
        spending: Spending,
    ) -> None:
        kept = self._vault.outputs(class_key.epoch, keys)
        wanted = [Wanted(key, values[key].observable) for key in keys if key not in kept]

        def keep(batch: Sequence[Wanted], outputs: Sequence[Output]) -> None:
            by_type: dict[str, dict[bytes, Output]] = {}
            for each, output in zip(batch, outputs, strict=True):
                by_type.setdefault(each.observable.type, {})[each.key] = output
            for type, found in by_type.items():
                self._vault.keep_outputs(type, class_key.epoch, found)
            spending.paid += len(batch)

        if wanted:
            self._evaluator().evaluate(standing, class_key, wanted, keep)


def _by_class(standing: Standing, values: Values, *, newest_only: bool) -> list[tuple[ClassKey, list[bytes]]]:
    grouped: dict[int, list[bytes]] = {}
    for key, value in values.items():
        grouped.setdefault(int(TYPES[value.observable.type].key_class), []).append(key)
    now = system.now()
    return [
        (class_key, keys)
        for number, keys in grouped.items()
        for class_key in standing.live_classes(number, now)[: 1 if newest_only else None]
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
