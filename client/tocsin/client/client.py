"""The client: what a provider's own programs use to screen, report and watch.

Rules
1. Raw values, outputs F, period secrets and peppers never leave this process. What leaves it: blinded elements, tags,
   sealed entries.
2. A value is evaluated once per key epoch; its output stays in the vault, so asking again is free.
3. A value that has no canonical form is refused by its position; the others go on. `check` says beforehand.
4. A client may be used from several threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import TracebackType
from typing import TypeVar

from tocsin.charter.document import Charter, parse_charter
from tocsin.charter.envelope import parse_envelope
from tocsin.client import system
from tocsin.client.arguments import fixed_bytes, iterable, parse_value, whole_number
from tocsin.client.banding import find_records, parted, skeletons_of
from tocsin.client.charters import CharterKeeper, Standing
from tocsin.client.config import ClientConfig, load_config, open_secrets
from tocsin.client.drafts import ReportDraft, label_of
from tocsin.client.errors import (
    BadArgument,
    DraftRefused,
    Misbehaved,
    TocsinError,
    ValueRefused,
    ValuesRefused,
)
from tocsin.client.evaluating import Evaluator
from tocsin.client.evidence import fetch_proof
from tocsin.client.forks import ProvenFork, fetch_forks
from tocsin.client.log_audit import LogReport, audit_log
from tocsin.client.matching import Subject, Taggers, look_up, matches_of, open_all
from tocsin.client.obtaining import InputValue, Obtainer, Spending, Values, add_value
from tocsin.client.ports import NodeApi
from tocsin.client.recording import Recorder
from tocsin.client.reporting import Reporter, renewals, retraction_tags, seal_label
from tocsin.client.results import (
    BudgetReport,
    ClientStatus,
    LogState,
    Match,
    MemberName,
    Problem,
    ProofFiles,
    QueryResult,
    Receipt,
    SeatBudget,
    SubmissionState,
    Value,
    key_class_name,
)
from tocsin.client.turn import Turn
from tocsin.client.vault import Vault, open_vault
from tocsin.indicators.ptf2.template import BAND
from tocsin.indicators.registry import Mode, Observable
from tocsin.sealing.label import Report

# How many values are worked on at a time: bounds memory, and keeps several evaluation batches in flight.
CHUNK = 16_000
_REFRESH_SECONDS = 300.0

Progress = Callable[[int], None]
"""Told how many more values are done."""

_Item = TypeVar("_Item")


class Client:
    """A member's client. `Client.connect` makes one; it is a context manager.

    >>> with Client.connect("client/") as tocsin:
    ...     result = tocsin.query([("contact.email", "nobody-reported@example.com")])
    >>> result.matches
    ()
    """

    def __init__(
        self,
        config: ClientConfig,
        vault: Vault,
        keeper: CharterKeeper,
        connect: Callable[[bytes], NodeApi],
    ) -> None:
        """Wire a client together; `connect` opens the node under a CA (DER)."""
        self._config = config
        self._vault = vault
        self._keeper = keeper
        self._connect = connect
        self._lock = threading.RLock()
        self._closed = False
        self._refreshed: float | None = None
        self._standing = keeper.load(system.now())
        self._authority = keeper.certificate_authority()
        self._node = connect(self._authority)
        self._evaluator = Evaluator(self._node, system.random_bytes, config.batch_size, config.in_flight)
        self._obtainer = Obtainer(vault, self._current, self._refresh, lambda: self._evaluator)
        self._reporter = Reporter(self._node, vault, system.random_bytes)
        self._recorder = Recorder(self._node, vault, self._reporter, system.random_bytes, Turn(config.vault))

    @classmethod
    def connect(cls, path: str | os.PathLike[str] | ClientConfig) -> Client:
        """Open a client from its client.toml, or the folder that holds it.

        Nothing is sent yet. Raises `BadConfig`, `ForeignVault`, `BadVault`, `CharterRefused`, `WrongPepper`.
        """
        config = path if isinstance(path, ClientConfig) else load_config(path)
        secrets = open_secrets(config)

        def open_channel(authority: bytes) -> NodeApi:
            from tocsin.client.transport import GrpcNode

            return GrpcNode(config, secrets["tls"], authority)

        vault = open_vault(
            config.vault,
            secrets["vault"],
            federation=config.federation,
            member=config.member,
            pin=config.charter_pin,
            random=system.random_bytes,
        )
        try:
            return cls(config, vault, CharterKeeper(config, vault, secrets["client_hpke"]), open_channel)
        except BaseException:
            vault.close()
            raise

    def __repr__(self) -> str:
        return f"Client(federation={self._config.federation!r}, member={self._config.member.hex()})"

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End threads, channel and vault. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        # The channel first: what is still under way then ends at once, which matters when a user interrupts.
        self._node.close()
        self._evaluator.close()
        self._vault.close()

    @property
    def charter(self) -> Charter:
        """The charter that the client stands on now. Raises as `query` does."""
        return self._current().charter

    def charter_chain(self) -> list[bytes]:
        """Return the envelope of every charter verified, from the pinned one on."""
        self._current()
        return self._vault.charters()

    def key_of(self, value: Value) -> bytes:
        """Return the 16 bytes that stand for a value in this vault, as `Match.key` does. Raises `ValueRefused`."""
        return self._vault.key_of(self._observable(self._current(), value, None))

    def check(self, values: Iterable[Value]) -> tuple[ValueRefused, ...]:
        """Return a refusal, by position, of every value that has no canonical form. Nothing is sent.

        >>> with Client.connect("client/") as tocsin:
        ...     tocsin.check([("payment.iban", "GB00 0000 0000 0000 0000 00")])[0].type
        'payment.iban'
        """
        standing = self._current()
        refused = []
        for position, value in enumerate(iterable("values", values)):
            try:
                self._observable(standing, value, position)
            except ValueRefused as refusal:
                refused.append(refusal)
        return tuple(refused)

    def query(
        self, values: Iterable[Value], *, skip_refused: bool = False, progress: Progress | None = None
    ) -> QueryResult:
        """Screen values of this member's own: which did other members report?

        Values are evaluated under every live epoch of their class, unless the vault has them. Raises
        `BudgetExhausted`, `BadPartial`, `NodeMisbehaved`, `Unavailable`, `RefusedByNode`, `CharterRefused`.

        A value without a canonical form raises `ValuesRefused` once all others are screened; with `skip_refused` it is
        named in `QueryResult.refused` alone.

        Where something ends the query early, what it could still find is in `error.partial`, a `QueryResult`: the
        matches of every value that was evaluated by then or is in the vault. What was paid for stays in the vault.

        A prompt template that has bands is looked for by them too (`Match.bands`).

        >>> with Client.connect("client/") as tocsin:
        ...     first = tocsin.query([("contact.email", "asked-twice@example.com")])
        ...     again = tocsin.query([("contact.email", "asked-twice@example.com")])
        >>> first.evaluated, again.evaluated
        (1, 0)
        """
        matches: list[Match] = []
        refused: list[ValueRefused] = []
        problems: list[Problem] = []
        spending = Spending()
        queried = outputs = 0

        def so_far(*, complete: bool) -> QueryResult:
            matches.sort(key=lambda match: (match.positions, match.writer, match.index))
            return QueryResult(
                tuple(matches),
                tuple(refused),
                tuple(problems),
                queried,
                spending.paid,
                max(0, outputs - spending.paid),
                complete=complete,
            )

        try:
            for chunk in _chunks(enumerate(iterable("values", values))):
                skeletons, wanted = skeletons_of(self._vault, self._readable(chunk, refused))
                standing, subjects = self._obtainer.available(wanted, spending, newest_only=False)
                outputs += len(subjects)
                subjects, bands = parted(self._vault, skeletons, subjects)
                now = system.now()
                writers = [each.id for each in standing.others]
                taggers = Taggers(standing, writers, standing.periods(0, now))
                opened = open_all(self._node, standing, look_up(self._node, taggers, subjects), now)
                queried += sum(len(each) for each in {each.key: each.positions for each in subjects}.values())
                matches += matches_of(standing.charter, opened.opened)
                problems += opened.problems
                opened = find_records(self._node, standing, skeletons, bands, writers, now)
                matches += matches_of(standing.charter, opened.opened)
                problems += opened.problems
                if progress is not None:
                    progress(len(chunk))
        except TocsinError as error:
            # An accusation is never hidden behind a budget; else what ended the evaluating is the first cause.
            cause = error if isinstance(error, Misbehaved) else spending.failure or error
            cause.partial = so_far(complete=False)
            raise cause from cause.__cause__
        if spending.failure is not None:
            spending.failure.partial = so_far(complete=False)
            raise spending.failure
        result = so_far(complete=True)
        if refused and not skip_refused:
            raise ValuesRefused(refused, result)
        return result

    def submit(self, drafts: Iterable[ReportDraft], *, progress: Progress | None = None) -> Receipt:
        """Report values of this member's own; returns once the node holds them durably.

        Drafts that the rules refuse are named in `Receipt.refused` by position, the others go on. Raises as `query`
        does, and `SubmissionLost`. What is sealed is in the outbox before it is sent: if this raises `Unavailable`, the
        next `submit`, `retract`, `renew` or `flush` sends the same bytes. What is not sealed by then is not kept: a
        first call asks for newer charters, values are evaluated, and bands go beside what the own log has there. Where
        `outbox` did not grow, submit again.

        >>> from datetime import date
        >>> draft = ReportDraft(
        ...     ("contact.email", "mallory@example.com"), "resale", confidence=0.9, first_seen=date(2026, 5, 1)
        ... )
        >>> with Client.connect("client/") as tocsin:
        ...     tocsin.submit([draft]).accepted
        1
        """
        refused: list[ValueRefused | DraftRefused] = []
        accepted = evaluated = from_vault = 0
        submissions: list[bytes] = []
        for chunk in _chunks(enumerate(iterable("drafts", drafts))):
            standing = self._current()
            now = system.now()
            good: dict[bytes, InputValue] = {}
            labels: list[tuple[bytes, Report]] = []
            for position, draft in chunk:
                if not isinstance(draft, ReportDraft):
                    raise BadArgument("draft", "a ReportDraft", draft, position)
                try:
                    observable = self._observable(standing, draft.observable, position)
                    hops = standing.charter.policy.max_hops
                    label = label_of(position, draft, observable.type, now, max_hops=hops)
                except (ValueRefused, DraftRefused) as refusal:
                    refused.append(refusal)
                    continue
                key = self._vault.key_of(observable)
                add_value(good, key, observable, position, draft.observable)
                labels.append((key, label))
            skeletons, wanted = skeletons_of(self._vault, good)
            standing, subjects, paid = self._obtainer.every(wanted, newest_only=True)
            evaluated += paid
            from_vault += len(subjects) - paid
            subjects, bands = parted(self._vault, skeletons, subjects)
            by_key = {each.key: each for each in subjects}
            entries, period = [], standing.charter.period_at(system.now())
            for key, label in labels:
                subject = by_key[key]
                class_key = standing.charter.class_key(subject.key_class, subject.epoch)
                entries.append(
                    seal_label(standing, class_key, subject.output, label, system.now(), system.random_bytes)
                )
            # Marked first: renewal asks the log what is live, so a mark without an entry does no harm.
            for epoch in {each.epoch for each in subjects}:
                self._vault.mark_reported(epoch, [each.key for each in subjects if each.epoch == epoch])
            keys = self._reporter.enqueue_entries(entries, system.now())
            self._mark_sealed(subjects, period)
            keys += self._recorder.report(standing, skeletons, labels, bands, system.now())
            accepted += self._reporter.flush(system.now()).accepted(keys)
            submissions += keys
            if progress is not None:
                progress(len(chunk))
        return Receipt(accepted, tuple(refused), tuple(submissions), evaluated, from_vault)

    def retract(self, values: Iterable[Value]) -> Receipt:
        """Take back every live report and dispute of these values in the own log. `accepted` counts entries covered.

        Of a prompt template the record and its slots in the bands too, whichever client of this member wrote them.

        Raises as `submit` does. Where a value cannot be evaluated (no budget, no quorum), what this vault itself
        reported was taken back before that is raised.

        >>> with Client.connect("client/") as tocsin:
        ...     tocsin.retract([("contact.email", "never-reported@example.com")]).accepted
        0
        """
        standing = self._current()
        refused: list[ValueRefused | DraftRefused] = []
        good: dict[bytes, InputValue] = {}
        for position, value in enumerate(iterable("values", values)):
            try:
                observable = self._observable(standing, value, position)
            except ValueRefused as refusal:
                refused.append(refusal)
                continue
            add_value(good, self._vault.key_of(observable), observable, position, value)
        now = system.now()
        held = self._obtainer.held(standing, good)
        keys = self._reporter.enqueue_retraction(retraction_tags(standing, held, now), now)
        keys += self._recorder.retract(standing, good, now)
        self._vault.unmark_reported(good)
        skeletons, wanted = skeletons_of(self._vault, good)
        try:
            keys += self._recorder.clear(standing, good, now)
            standing, subjects, paid = self._obtainer.every(wanted, newest_only=False)
        except TocsinError:
            # Taking back needs neither budget nor committee where the vault has the output.
            self._reporter.flush(now)
            raise
        from_vault = len(subjects) - paid
        subjects, bands = parted(self._vault, skeletons, subjects)
        known = {(each.key, each.epoch) for each in held}
        rest = [each for each in subjects if (each.key, each.epoch) not in known]
        keys += self._reporter.enqueue_retraction(retraction_tags(standing, rest, now), now)
        keys += self._recorder.clear_unknown(standing, skeletons, bands, now)
        accepted = self._reporter.flush(now).accepted(keys)
        return Receipt(accepted, tuple(refused), keys, paid, from_vault)

    def renew(self) -> Receipt:
        """Seal again, in the current period, what this client reported and still stands by. Raises as `submit` does.

        Run it at least once after each turn of the period, for instance daily; what is in the period already costs
        nothing.
        """
        standing, now = self._current(), system.now()
        renewed = renewals(self._node, self._vault, standing, now, system.random_bytes)
        keys = self._reporter.enqueue_entries([entry for _, entry, _ in renewed], now)
        self._mark_sealed([subject for subject, _, _ in renewed], standing.charter.period_at(now))
        labels = [(each.key, label) for each, _, label in renewed if isinstance(label, Report)]
        keys += self._recorder.renew(standing, labels, now)
        return Receipt(self._reporter.flush(now).accepted(keys), (), keys)

    @property
    def outbox(self) -> int:
        """How many sealed requests wait to be sent."""
        return len(self._vault.outbox())

    def flush(self) -> Receipt:
        """Send what an earlier call left in the outbox."""
        self._current()
        counts = self._reporter.flush(system.now()).counts
        return Receipt(sum(counts.values()), (), tuple(counts))

    def submission(self, key: bytes) -> SubmissionState | None:
        """Say whether a request of a receipt is in a checkpoint, and where; None for an unknown key."""
        found = self._node.submission(fixed_bytes("key", key, 16))
        return SubmissionState(found.sequenced, found.indices) if found is not None else None

    def watch(
        self,
        stop: threading.Event | None = None,
        *,
        on_problem: Callable[[Problem], None] | None = None,
        on_outage: Callable[[TocsinError], None] | None = None,
    ) -> Iterator[Match]:
        """Yield matches of values in the vault with entries as they appear, until `stop` is set. Blocks.

        A value enters the vault when it is queried, reported or retracted; what others had reported of it before, only
        `query` tells.

        Resumes from its cursor, also in another process, and connects again by itself. A match is delivered at least
        once: the cursor moves when the consumer asks for the next match after a batch's last. Several watchers on one
        vault share a cursor, so use one. `on_outage` is told once of each time the node cannot be had. Raises what
        `query` raises, but for `Unavailable`.
        """
        from tocsin.client.watching import Watcher

        watcher = Watcher(
            lambda: self._node,
            self._vault,
            self._current,
            stop if stop is not None else threading.Event(),
            on_problem if on_problem is not None else lambda _: None,
            on_outage if on_outage is not None else lambda _: None,
        )
        return watcher.matches()

    def watched(self) -> tuple[int, int]:
        """Return how many values `watch` knows, and in how many members' logs it looks for them.

        A type counts by the epoch under which most of its values are kept. Raises as `query` does.
        """
        by_type: dict[str, int] = {}
        for (type, _), count in self._vault.kept().items():
            if type != BAND:
                by_type[type] = max(count, by_type.get(type, 0))
        return sum(by_type.values()), len(self._current().others)

    def budget(self) -> BudgetReport:
        """Return what every evaluator says is left of this member's budgets."""
        answer = self._node.budgets()
        names = self._names()
        return BudgetReport(
            tuple(
                SeatBudget(
                    left.key_class,
                    key_class_name(left.key_class),
                    left.epoch,
                    left.seat,
                    left.evaluator,
                    names.get(left.evaluator, left.evaluator.hex()),
                    left.limit,
                    left.left,
                )
                for left in sorted(answer.budgets, key=lambda left: (left.key_class, left.epoch, left.seat))
            ),
            tuple(MemberName(member, names.get(member, member.hex())) for member in answer.unreachable),
        )

    def status(self) -> ClientStatus:
        """Return the state of client and node, and of every log that the node follows."""
        standing = self._current()
        node = self._node.status()
        names = self._names()
        return ClientStatus(
            federation=standing.charter.federation,
            member=standing.member.id,
            member_name=standing.member.name,
            charter_version=standing.charter.version,
            charter_expires=standing.charter.expires,
            node_version=node.software_version,
            node_charter_version=node.charter_version,
            waiting=node.waiting,
            outbox=self.outbox,
            outputs=sum(self._vault.kept().values()),
            logs=tuple(LogState.of(names.get(log.writer, log.writer.hex()), log) for log in node.logs),
        )

    def prove(self, writer: bytes, index: int) -> ProofFiles:
        """Fetch and verify one entry of a member's log as evidence.

        Raises `UnknownMember`, `EntryErased`, `NodeMisbehaved`, `RefusedByNode`.
        """
        fixed_bytes("writer", writer, 16)
        whole_number("index", index)
        return fetch_proof(self._node, self._current().charter, writer, index)

    def forks(self) -> list[ProvenFork]:
        """Fetch and verify every proof the node keeps that a log showed two histories. Raises `NodeMisbehaved`."""
        charters = [parse_charter(parse_envelope(each).document) for each in self.charter_chain()]
        return fetch_forks(self._node, charters)

    def verify_log(self, member: bytes, *, progress: Progress | None = None) -> LogReport:
        """Read the node's whole copy of a member's log and verify signature, every leaf, root and growth.

        Raises `PeerMisbehaved` or `NodeMisbehaved` naming what is wrong.
        """
        fixed_bytes("member", member, 16)
        standing = self._current()
        return audit_log(self._node, self._vault, standing.charter, member, progress or (lambda _: None))

    def _readable(self, chunk: Iterable[tuple[int, Value]], refused: list[ValueRefused]) -> Values:
        """Return the values of a chunk by vault key; those without a canonical form are added to `refused`."""
        standing = self._current()
        good: dict[bytes, InputValue] = {}
        for position, value in chunk:
            try:
                observable = self._observable(standing, value, position)
            except ValueRefused as refusal:
                refused.append(refusal)
                continue
            add_value(good, self._vault.key_of(observable), observable, position, value)
        return good

    def _observable(self, standing: Standing, value: Value, position: int | None) -> Observable:
        return parse_value(value, Mode(standing.charter.mode), position)

    def _names(self) -> dict[bytes, str]:
        return {member.id: member.name for member in self._current().charter.members}

    def _current(self) -> Standing:
        """Return the standing to work under, fetching newer charters now and then."""
        with self._lock:
            due = self._refreshed is None or system.monotonic() - self._refreshed > _REFRESH_SECONDS
            if self._standing is None or due:
                return self._refresh()
            if system.now() >= self._standing.charter.expires:
                return self._refresh()
            return self._standing

    def _refresh(self) -> Standing:
        with self._lock:
            self._standing = self._keeper.refresh(self._node, self._standing, system.now())
            self._refreshed = system.monotonic()
            return self._standing

    def _mark_sealed(self, subjects: Iterable[Subject], period: int) -> None:
        by_epoch: dict[int, list[bytes]] = {}
        for each in subjects:
            by_epoch.setdefault(each.epoch, []).append(each.key)
        for epoch, keys in by_epoch.items():
            self._vault.mark_sealed(epoch, keys, period)


def _chunks(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    rest = iter(items)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
