"""New entries of other members, joined with the vault as they arrive.

Rules
1. The node streams (writer, index, tag). The client computes the tags of its whole vault in memory, compares them with
   what has gathered, then fetches and opens the hits. The node never learns what is watched (M-7.6).
2. A pass over the vault begins after the entries it is joined with arrived, so a value evaluated meanwhile is either
   in the pass or was looked up after those entries were there.
3. A pass takes its time; the next one waits until the process has been idle nine times as long, unless the stream
   is still catching up. So watching takes at most a tenth of one core.
4. The cursor is stored after the consumer has taken every match of a batch and asks for more: a match is delivered at
   least once, never lost; after a crash the last batch is repeated.
5. A batch needs only the periods that its entries can have been sealed in: those since a week before the node last
   reached the log when the cursor stood where it does (a client sends nothing that is older).
6. A node ends a stream in good order every few minutes, and it is opened again from the cursor. So is a broken one,
   with growing pauses; each outage is reported once. So is one whose
   log was quarantined between its tags and its entries: the next stream goes without it.
7. A band that arrives leads to what the node has by then of its skeletons in the vault. Since a tick may come in parts,
   the record behind its bands, a pass looks once more where the bands of the pass before led. A record is delivered
   once in a run, and what is wrong with a writer's bands or records is reported once, however often they are repeated.
8. Where a log has grown, matches of its writer that were returned before are checked for retraction, a bounded number
   in each pass. A retraction is passed to the consumer before it is forgotten.
"""

from __future__ import annotations

import logging
import queue
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from tocsin.client import system
from tocsin.client.charters import ActiveCharter
from tocsin.client.errors import BadVault, Cancelled, RefusedByNode, StaleCharter, TocsinError, Unavailable
from tocsin.client.matching import Candidate, Slot, Subject, Taggers, matches_of, open_all
from tocsin.client.ports import NodeApi, TagStream
from tocsin.client.results import Match, Problem, Retraction
from tocsin.client.retractions import remember, retracted_lately
from tocsin.client.session import REFRESH_SECONDS, Session
from tocsin.client.templates.bands import watched_records
from tocsin.client.vault import KEY_BYTES, Cursor, Vault
from tocsin.indicators.ptf2.bands import BANDINGS
from tocsin.indicators.registry import TYPES
from tocsin.oprf.rfc9497 import OUTPUT_BYTES, Output
from tocsin.sealing.box import TAG_BYTES
from tocsin.sealing.pepper import period_secret
from tocsin.wire.reasons import Reason
from tocsin.wire.values import LogStatus, NewTags

logger = logging.getLogger("tocsin.client")

# How many tags are joined in one pass at most: bounds memory when a client comes back after weeks.
MAX_GATHERED = 500_000
_WEEK = 7 * 86_400
_RECORD = struct.Struct(f"{KEY_BYTES}s{OUTPUT_BYTES}s")
_POLL_SECONDS = 0.2
_IDLE_FACTOR = 9
_LONGEST_PAUSE = 60.0
_FIRST_PAUSE = 0.5
_PASSING = frozenset({Reason.QUARANTINED, Reason.TOO_MANY_CALLS, Reason.STORE_FULL})


@dataclass
class Gathered:
    """What the stream brought since the last pass."""

    tags: dict[bytes, dict[bytes, int]] = field(default_factory=dict)
    positions: dict[bytes, int] = field(default_factory=dict)
    count: int = 0

    def moves(self, cursors: Mapping[bytes, Cursor]) -> bool:
        """Say whether anything came that the cursors do not cover yet."""
        return any(
            writer not in cursors or cursors[writer].next_index < position
            for writer, position in self.positions.items()
        )

    def add(self, new: NewTags) -> None:
        """Take in one message; of one (log, tag) the highest index counts."""
        if not new.writer:
            return
        by_tag = self.tags.setdefault(new.writer, {})
        for place, index in enumerate(new.indices):
            by_tag[new.tags[place * TAG_BYTES : (place + 1) * TAG_BYTES]] = index
        self.positions[new.writer] = max(self.positions.get(new.writer, 0), new.next_index)
        self.count += len(new.indices)


def join(
    vault: Vault, active: ActiveCharter, tags: Mapping[bytes, Mapping[bytes, int]], since: int, now: int
) -> list[Candidate]:
    """Compute the vault's tags of every writer and find those that arrived (rule 1)."""
    writers = [member.id for member in active.others if tags.get(member.id)]
    arrived = frozenset(tag for writer in writers for tag in tags[writer])
    if not arrived:
        return []
    taggers = Taggers(active, writers, active.periods(since, now))
    split = struct.Struct(f"{TAG_BYTES}s" * len(writers)).unpack
    nothing = arrived.isdisjoint
    candidates: list[Candidate] = []
    live = [
        (type, epoch)
        for type, epoch in vault.output_counts()
        if type in TYPES
        and any(key.epoch == epoch for key in active.readable_keys(TYPES[type].key_class, now))
    ]
    for block in vault.blocks(live):
        key_class = int(TYPES[block.type].key_class)
        made = taggers.of(key_class, block.epoch)
        # This runs once per value kept: 10⁶ times in a row. Everything that does not depend on F is outside, and what
        # is needed of a hit is looked at only when there is one.
        for key, output in _RECORD.iter_unpack(block.records):
            for pepper, of_period in made:
                secret = period_secret(pepper, output)
                for purpose, info, tagger in of_period:
                    computed = split(tagger.tags(secret))
                    if nothing(computed):
                        continue
                    subject = Subject(key, block.type, key_class, block.epoch, Output(output))
                    slot = Slot(subject, purpose, info, secret)
                    candidates += [
                        Candidate(writer, tags[writer][tag], tag, slot)
                        for writer, tag in zip(writers, computed, strict=True)
                        if tag in tags[writer]
                    ]
    return candidates


def watch(
    session: Session,
    stop: threading.Event | None,
    on_problem: Callable[[Problem], None] | None,
    on_outage: Callable[[TocsinError], None] | None,
    on_retraction: Callable[[Retraction], None] | None,
) -> Iterator[Match]:
    """Yield matches as they appear; see `Client.watch`."""

    def ignore(_: object) -> None:
        pass

    stop = stop if stop is not None else threading.Event()
    watcher = Watcher(session, stop, on_problem or ignore, on_outage or ignore, on_retraction or ignore)
    return watcher.matches()


class Watcher:
    """One run of `Client.watch`."""

    def __init__(
        self,
        session: Session,
        stop: threading.Event,
        on_problem: Callable[[Problem], None],
        on_outage: Callable[[TocsinError], None],
        on_retraction: Callable[[Retraction], None],
    ) -> None:
        self._session = session
        self._vault = session.vault
        self._stop = stop
        self._on_problem = on_problem
        self._on_outage = on_outage
        self._on_retraction = on_retraction
        self._idle_until = 0.0
        self._before: list[Candidate] = []
        self._delivered: set[tuple[bytes, int, bytes]] = set()
        self._reported: set[tuple[bytes, str]] = set()
        self._sizes: dict[bytes, int] = {}

    def matches(self) -> Iterator[Match]:
        """Yield matches until `stop` is set. Raises what is not cured by connecting again."""
        pause = _FIRST_PAUSE
        while not self._stop.is_set():
            self._session.check_open()
            try:
                for match in self._connected():
                    if match is None:
                        pause = _FIRST_PAUSE
                    else:
                        yield match
                self._stop.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            except (Unavailable, RefusedByNode, BadVault) as error:
                # Closing the client ends the stream and the vault, each in its own words.
                self._session.check_open()
                if isinstance(error, BadVault | Cancelled):
                    raise
                if not isinstance(error, Unavailable | StaleCharter) and error.reason not in _PASSING:
                    raise
                if pause == _FIRST_PAUSE:
                    logger.warning("the stream of new tags ended: %s", error)
                    self._on_outage(error)
                self._stop.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _connected(self) -> Iterator[Match | None]:
        """Yield the matches of one connection, and None each time it has proved to be alive."""
        active = self._session.charter(system.now())
        version = active.charter.version
        node = self._session.node
        cursors = self._vault.cursors()
        stream = node.watch_tags(
            {writer: cursor.next_index for writer, cursor in cursors.items()}, active.newest_period
        )
        messages: queue.Queue[NewTags | Exception | _Ended] = queue.Queue(maxsize=64)
        ended = threading.Event()
        reader = threading.Thread(
            target=_read, args=(stream, messages, ended), name="tocsin-watch", daemon=True
        )
        reader.start()
        gathered, caught_up, news = Gathered(), False, False
        checked = system.monotonic()
        try:
            while not self._stop.is_set():
                try:
                    message = messages.get(timeout=_POLL_SECONDS)
                except queue.Empty:
                    message = None
                # A client that was carried over a fork or closed has no reader that would ever answer.
                self._session.check_open()
                if isinstance(message, Exception):
                    raise message
                # M-10.5: a stream that ends in good order is no outage.
                if isinstance(message, _Ended):
                    return
                if message is not None:
                    gathered.add(message)
                    caught_up = message.caught_up
                    news = news or caught_up
                    yield None
                due = caught_up and system.monotonic() >= self._idle_until
                if gathered.moves(cursors) and (due or gathered.count >= MAX_GATHERED):
                    yield from self._pass(node, gathered, cursors)
                    gathered = Gathered()
                if due and news:
                    self._report_retractions(node)
                    news = False
                if system.monotonic() - checked > REFRESH_SECONDS:
                    checked = system.monotonic()
                    if self._session.charter(system.now()).charter.version != version:
                        return
        finally:
            ended.set()
            stream.cancel()

    def _pass(self, node: NodeApi, gathered: Gathered, cursors: dict[bytes, Cursor]) -> Iterator[Match]:
        began, now = system.monotonic(), system.now()
        active = self._session.charter(now)
        others = {member.id for member in active.others}
        since = min(
            (
                cursors[writer].since if writer in cursors else 0
                for writer, tags in gathered.tags.items()
                if tags and writer in others
            ),
            default=now,
        )
        # Asked before the join: what arrives later was sequenced after these times.
        logs: dict[bytes, LogStatus] = {log.writer: log for log in node.status().logs if log.writer in others}
        candidates = join(self._vault, active, gathered.tags, since - _WEEK, now)
        bands = [candidate for candidate in candidates if candidate.slot.subject.type in BANDINGS]
        values = [candidate for candidate in candidates if candidate.slot.subject.type not in BANDINGS]
        result = open_all(node, active, values, now)
        records = watched_records(node, self._vault, active, bands + self._before, now)
        self._before = bands
        took = system.monotonic() - began
        self._idle_until = system.monotonic() + took * _IDLE_FACTOR
        for problem in result.problems:
            self._on_problem(problem)
        for problem in records.problems:
            wrong = problem.writer, problem.what
            if wrong not in self._reported:
                self._reported.add(wrong)
                self._on_problem(problem)
        matches = matches_of(active.charter, result.opened)
        similar = matches_of(active.charter, records.opened)
        remember(self._vault, (*matches, *similar), now)
        yield from matches
        for match in similar:
            place = match.writer, match.index, match.key
            if place not in self._delivered:
                yield match
                self._delivered.add(place)
        moved = {
            writer: Cursor(position, _since(logs.get(writer), position, cursors.get(writer), now))
            for writer, position in gathered.positions.items()
        }
        self._vault.move_cursors(moved)
        cursors.update(moved)

    def _report_retractions(self, node: NodeApi) -> None:
        """Report what was retracted in logs that grew: the stream has no tag of a retraction, only that it went on."""
        now = system.now()
        active = self._session.charter(now)
        sizes: dict[bytes, int] = {log.writer: log.size for log in node.status().logs}
        grown = [member.id for member in active.others if sizes.get(member.id) != self._sizes.get(member.id)]
        self._sizes = sizes
        for remembered, retraction in retracted_lately(self._session, active, grown, now):
            self._on_retraction(retraction)
            # Forgotten once the consumer has it: after a crash it comes again.
            self._vault.matches.forget([remembered])


def _since(log: LogStatus | None, position: int, before: Cursor | None, now: int) -> int:
    # Only where the cursor stands at the log's end was everything behind it sequenced after that round.
    if log is not None and log.size <= position:
        return min(log.last_reached, now)
    return before.since if before is not None else 0


class _Ended:
    """The node ended the stream in good order."""


def _read(
    stream: TagStream, messages: queue.Queue[NewTags | Exception | _Ended], ended: threading.Event
) -> None:
    def put(message: NewTags | Exception | _Ended) -> None:
        while not ended.is_set():
            try:
                messages.put(message, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return

    try:
        for message in stream:
            put(message)
            if ended.is_set():
                return
    except TocsinError as error:
        put(error)
        return
    put(_Ended())
