"""Screening a member's own values: what did other members report of them, and what did they take back?

Rules
1. Values are evaluated under every live epoch of their class, unless the vault has them, and looked up in every other
   member's log.
2. What ends a query early hides no match: `error.partial` has those of every value that was evaluated by then or is in
   the vault. An accusation is never hidden behind a budget.
3. A value that was refused never passes for one that nobody reported: `ValuesRefused` is raised once the others are
   screened, unless the caller skips refused values.
4. Matches are remembered by key, writer and index, never by value (M-7.7). One that its writer has retracted since is
   returned as a retraction, once.
5. A match writes nothing to any log (M-7.8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from tocsin.client import deadline
from tocsin.client.arguments import Values, iterable, read_values
from tocsin.client.disputed import without_targetless
from tocsin.client.errors import Misbehaved, TocsinError, ValueRefused, ValuesRefused
from tocsin.client.matching import Taggers, look_up, matches_of, open_all
from tocsin.client.outputs import Epochs, Spending, available_outputs
from tocsin.client.results import LastHeard, Match, Problem, QueryResult, Retraction, Value
from tocsin.client.retractions import remember, retracted_since
from tocsin.client.session import Session
from tocsin.client.templates.bands import find_records
from tocsin.indicators.registry import Mode
from tocsin.wire.values import LogStatus

# How many values are worked on at once: bounds memory, and keeps several evaluation batches in flight.
CHUNK = 16_000

Progress = Callable[[int], None]
"""Called with how many more values are done."""

_Item = TypeVar("_Item")


def query(session: Session, values: Iterable[Value], progress: Progress | None, now: int) -> QueryResult:
    """Screen values, skipping those without a canonical form (rules 1 and 2)."""
    return _Query(session, progress or (lambda _: None), now).run(values)


def require_all(result: QueryResult) -> QueryResult:
    """Return a result in which no value was refused. Raises `ValuesRefused` (rule 3)."""
    if result.refused:
        raise ValuesRefused(result.refused, result)
    return result


def chunks(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """Yield items in lists of at most `CHUNK`."""
    rest = iter(items)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


class _Query:
    """One query under way."""

    def __init__(self, session: Session, progress: Progress, now: int) -> None:
        self._session = session
        self._progress = progress
        self._now = now
        self._spending = Spending()
        self._matches: list[Match] = []
        self._retractions: list[Retraction] = []
        self._refused: list[ValueRefused] = []
        self._problems: list[Problem] = []
        self._last_heard: tuple[LastHeard, ...] = ()
        self._queried = 0
        self._outputs = 0

    def run(self, values: Iterable[Value]) -> QueryResult:
        try:
            for number, chunk in enumerate(chunks(enumerate(iterable("values", values)))):
                if number == 0:
                    self._last_heard = last_heard(self._session, self._now)
                self._screen(chunk)
        except TocsinError as error:
            cause = error if isinstance(error, Misbehaved) else self._spending.failure or error
            cause.partial = self._result(complete=False)
            raise cause from cause.__cause__
        if self._spending.failure is not None:
            self._spending.failure.partial = self._result(complete=False)
            raise self._spending.failure
        return self._result(complete=True)

    def _screen(self, chunk: list[tuple[int, Value]]) -> None:
        deadline.check()
        session, now = self._session, self._now
        mode = Mode(session.charter(now).charter.mode)
        values, refused = read_values(chunk, mode, session.vault.key_of)
        self._refused += refused
        rest = self._advance_by_batches(values, len(chunk))
        outputs = available_outputs(session, values, self._spending, now, Epochs.READABLE)
        self._outputs += len(outputs.values) + len(outputs.bands)
        active = outputs.active
        writers = [member.id for member in active.others]
        taggers = Taggers(active, writers, active.periods(0, now))
        candidates = look_up(session.node, taggers, outputs.values)
        opened = open_all(session.node, active, candidates, now)
        screened = {subject.key: subject for subject in outputs.values}
        self._queried += sum(len(subject.positions) for subject in screened.values())
        self._problems += opened.problems
        matches = without_targetless(matches_of(active.charter, opened.opened))
        self._matches += matches
        records = find_records(session.node, active, outputs.skeletons, outputs.bands, writers, now)
        self._problems += records.problems
        similar = matches_of(active.charter, records.opened)
        self._matches += similar
        matches += similar
        self._retractions += retracted_since(session, active, values, matches, now)
        remember(session.vault, matches, now)
        self._progress(rest())

    def _advance_by_batches(self, values: Values, count: int) -> Callable[[], int]:
        """Report progress as batches are evaluated; the function returned says what is left of the chunk at its end."""
        left = count

        def advance(done: int) -> None:
            nonlocal left
            # Bands and further epochs are evaluated too, and are no values of the call.
            step = min(done, left)
            left -= step
            if step:
                self._progress(step)

        self._spending.advance = advance
        return lambda: left

    def _result(self, *, complete: bool) -> QueryResult:
        self._matches.sort(key=lambda match: (match.positions, match.writer, match.index))
        return QueryResult(
            tuple(self._matches),
            tuple(self._refused),
            tuple(self._problems),
            self._queried,
            self._spending.paid,
            max(0, self._outputs - self._spending.paid),
            tuple(self._retractions),
            self._last_heard,
            complete,
        )


def last_heard(session: Session, now: int) -> tuple[LastHeard, ...]:
    """Return when the node last reached each other member, in the charter's order."""
    logs: dict[bytes, LogStatus] = {log.writer: log for log in session.node.status().logs}
    return tuple(
        LastHeard(
            member.id,
            member.name,
            log.last_reached if (log := logs.get(member.id)) is not None else 0,
            log is not None and log.quarantined,
            log.problem if log is not None else "your node does not follow this log yet",
        )
        for member in session.charter(now).others
    )
