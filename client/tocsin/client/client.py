"""The client: what a provider's own programs use to screen, report and watch.

1. Raw values, outputs F, period secrets and peppers never leave this process: only blinded elements, tags and sealed
   entries do. A value is evaluated once per key epoch; its output stays in the vault, so asking again is free.
2. A client may be used from several threads, not across a fork. Callbacks run in the thread that works for the call.
3. Every call takes a `timeout` in seconds and then raises `TimedOut`; what was done by then is kept. Without it a call
   lasts as long as it must, each of its requests at most `timeout_seconds` of client.toml.
4. Besides what a method names, a call may raise `BadArgument`, `Unavailable`, `NodeMisbehaved`, `RefusedByNode`,
   `CharterRefused`, `WrongPepper`, `BadVault`, `ClientClosed` and `ForkedClient`, all of them a `TocsinError`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator

from tocsin.charter.document import Charter
from tocsin.client import (
    disputing,
    evidence,
    forks,
    log_audit,
    querying,
    results,
    retracting,
    retractions,
    rooms,
    state,
    submitting,
)
from tocsin.client.config import ClientConfig
from tocsin.client.disputing import DisputeDraft
from tocsin.client.drafts import ReportDraft
from tocsin.client.errors import TocsinError, ValueRefused
from tocsin.client.querying import Progress
from tocsin.client.results import Match, Receipt, Value
from tocsin.client.rooms import Room, RoomDraft
from tocsin.client.session import Session, open_session
from tocsin.sealing.rooms import CampaignKey


class Client:
    """A member's client. `Client.connect` opens one; it is a context manager. `AsyncClient` has the same methods.

    >>> with Client.connect("client/") as tocsin:
    ...     bool(tocsin.query([("contact.email", "nobody-reported@example.com")]))
    False
    """

    def __init__(self, session: Session) -> None:
        """Take over an open session; `connect` opens one."""
        self._session = session

    @classmethod
    def connect(cls, path: str | os.PathLike[str] | ClientConfig) -> Client:
        """Open a client from its client.toml, or the folder that holds it. Nothing is sent yet.

        Raises `BadConfig`, `ForeignVault`, `BadVault`, `CharterRefused`, `WrongPepper`.
        """
        return cls(open_session(path))

    def __repr__(self) -> str:
        config = self._session.config
        return f"Client(federation={config.federation!r}, member={config.member.hex()})"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End calls under way, threads, channel and vault. Idempotent; in a forked child nothing happens."""
        self._session.close()

    @property
    def charter(self) -> Charter:
        """The charter that the client works under."""
        with self._session.call() as now:
            return self._session.charter(now).charter

    @property
    def outbox(self) -> int:
        """How many sealed requests wait to be sent."""
        with self._session.call():
            return len(self._session.vault.outbox())

    def charter_chain(self, *, timeout: float | None = None) -> list[bytes]:
        """Return the envelope of every charter verified, from the pinned one on."""
        with self._session.call(timeout) as now:
            return state.charter_chain(self._session, now)

    def key_of(self, value: Value, *, timeout: float | None = None) -> bytes:
        """Return the 16 bytes that stand for a value in this vault, as in `Match.key`. Raises `ValueRefused`."""
        with self._session.call(timeout) as now:
            return state.key_of(self._session, value, now)

    def check(self, values: Iterable[Value], *, timeout: float | None = None) -> tuple[ValueRefused, ...]:
        """Return a refusal, by position, of every value that has no canonical form. No value is sent."""
        with self._session.call(timeout) as now:
            return state.check(self._session, values, now)

    def query(
        self, values: Iterable[Value], *, skip_refused: bool = False, progress: Progress | None = None,
        timeout: float | None = None,
    ) -> results.QueryResult:  # fmt: skip
        """Screen values of your own: which did other members report, and what did they retract since?

        Values that the vault does not have are evaluated, which costs budget. A prompt template is looked for by its
        bands too (`Match.bands`). Raises `BudgetExhausted` and `BadPartial`, and `ValuesRefused` once all others are
        screened, unless `skip_refused` is set. What a query found before an error ended it is in `error.partial`.

        >>> with Client.connect("client/") as tocsin:
        ...     first = tocsin.query([("contact.email", "asked-twice@example.com")])
        ...     again = tocsin.query([("contact.email", "asked-twice@example.com")])
        >>> first.evaluated, again.evaluated
        (1, 0)
        """
        with self._session.call(timeout) as now:
            result = querying.query(self._session, values, progress, now)
            return result if skip_refused else querying.require_all(result)

    def submit(
        self, drafts: Iterable[ReportDraft], *, progress: Progress | None = None, timeout: float | None = None
    ) -> Receipt:
        """Report values of your own; returns once the node holds them durably.

        Drafts that the rules refuse are in `Receipt.refused`, the others go on. Raises `BudgetExhausted`, `BadPartial`,
        `SubmissionLost`. Where `Unavailable` is raised and `outbox` grew, the next call sends the same bytes; where it
        did not, nothing was kept: submit again.

        >>> from datetime import date
        >>> mail, seen = ("contact.email", "mallory@example.com"), date(2026, 5, 1)
        >>> with Client.connect("client/") as tocsin:
        ...     tocsin.submit([ReportDraft(mail, "resale", confidence=0.9, first_seen=seen)]).accepted
        1
        """
        with self._session.call(timeout) as now:
            return submitting.submit(self._session, drafts, progress, now)

    def dispute(self, drafts: Iterable[DisputeDraft], *, timeout: float | None = None) -> Receipt:
        """Dispute other members' reports of your own values; every holder sees it beside them.

        For a person's decision, never a program's. `retract` takes it back. Raises as `submit` does, and `DraftRefused`
        above the limit of a day; single drafts that the rules refuse are in `Receipt.refused`.
        """
        with self._session.call(timeout) as now:
            return disputing.dispute(self._session, drafts, now)

    def retract(self, values: Iterable[Value], *, timeout: float | None = None) -> Receipt:
        """Take back every live report and dispute of these values. `accepted` counts the entries covered.

        Raises as `submit` does. Where a value cannot be evaluated, what this vault itself reported is taken back first.
        """
        with self._session.call(timeout) as now:
            return retracting.retract(self._session, values, now)

    def renew(self, *, timeout: float | None = None) -> Receipt:
        """Seal your live reports again in the current period. Run it daily; what is not due costs nothing."""
        with self._session.call(timeout) as now:
            return retracting.renew(self._session, now)

    def flush(self, *, timeout: float | None = None) -> Receipt:
        """Send what an earlier call left in the outbox. Raises `SubmissionLost`."""
        with self._session.call(timeout) as now:
            return submitting.flush(self._session, now)

    def submission(self, key: bytes, *, timeout: float | None = None) -> results.SubmissionState | None:
        """Return whether a request of a receipt is in a checkpoint, and where; None for an unknown key."""
        with self._session.call(timeout):
            return state.submission(self._session, key)

    def rooms(self, *, timeout: float | None = None) -> tuple[CampaignKey, ...]:
        """Return the key of every room that a matched report named or that you wrote in."""
        with self._session.call(timeout):
            return self._session.vault.rooms.keys()

    def room(self, key: CampaignKey, *, timeout: float | None = None) -> Room:
        """Read what the members in a room say, you included. Reading writes nothing."""
        with self._session.call(timeout) as now:
            return rooms.read(self._session, key, now)

    def update_room(
        self, key: CampaignKey, *, sighting: RoomDraft | None = None, campaign: RoomDraft | None = None,
        timeout: float | None = None,
    ) -> Receipt:  # fmt: skip
        """Say in a room what you see, in place of what you said before: joins it, or opens one under a new key.

        Call it only where a person decided so. `rooms.new_campaign_key` makes a key; `ReportDraft.campaign_key` hands
        it to the holders of a value. Raises `RoomDraftRefused`.
        """
        with self._session.call(timeout) as now:
            return rooms.update(self._session, key, sighting=sighting, campaign=campaign, now=now)

    def link_rooms(self, first: CampaignKey, second: CampaignKey, *, timeout: float | None = None) -> Receipt:
        """Say in two rooms that they are one campaign. Raises `NotInRoom`, `RoomDraftRefused`."""
        with self._session.call(timeout) as now:
            return rooms.link(self._session, first, second, now)

    def leave_room(self, key: CampaignKey, *, timeout: float | None = None) -> Receipt:
        """Take back everything you said in a room. `accepted` counts the entries covered."""
        with self._session.call(timeout) as now:
            return rooms.leave(self._session, key, now)

    def watch(
        self, stop: threading.Event | None = None, *,
        on_problem: Callable[[results.Problem], None] | None = None,
        on_outage: Callable[[TocsinError], None] | None = None,
        on_retraction: Callable[[results.Retraction], None] | None = None,
    ) -> Iterator[Match]:  # fmt: skip
        """Yield matches of values in the vault as entries about them appear, until `stop` is set. Blocks.

        A value enters the vault when it is queried, reported or retracted; what was reported of it before, only `query`
        finds. A match is delivered at least once: the cursor moves when the consumer asks for the next, and another run
        resumes there. Use one watcher on a vault. A lost connection is opened again; `on_outage` gets each outage.
        """
        from tocsin.client.watching import watch

        self._session.check_open()
        return watch(self._session, stop, on_problem, on_outage, on_retraction)

    def watched(self, *, timeout: float | None = None) -> tuple[int, int]:
        """Return how many values `watch` knows, and in how many members' logs it looks for them."""
        with self._session.call(timeout) as now:
            return state.watched(self._session, now)

    def current_entries(
        self, entries: Iterable[tuple[bytes, int]], *, timeout: float | None = None
    ) -> dict[tuple[bytes, int], tuple[bytes, int] | None]:
        """Return what stands in the place of entries, (writer id, index): each itself, or a newer one under its tag, or
        None where its writer took it back before it expired.
        """
        with self._session.call(timeout) as now:
            return retractions.current_entries(self._session, self._session.charter(now), entries, now)

    def budget(self, *, timeout: float | None = None) -> results.BudgetReport:
        """Return what every evaluator says is left of your evaluations."""
        with self._session.call(timeout) as now:
            return state.budget(self._session, now)

    def status(self, *, timeout: float | None = None) -> results.ClientStatus:
        """Return the state of client and node, and of every log that the node follows."""
        with self._session.call(timeout) as now:
            return state.status(self._session, now)

    def reported(self, *, timeout: float | None = None) -> dict[bytes, str]:
        """Return the type of every value that this client reported and did not retract, by key (`key_of`)."""
        with self._session.call(timeout):
            return state.reported(self._session)

    def prove(self, writer: bytes, index: int, *, timeout: float | None = None) -> results.ProofFiles:
        """Fetch and verify one entry of a member's log as evidence. Raises `UnknownMember`, `EntryErased`."""
        with self._session.call(timeout) as now:
            return evidence.fetch_proof(self._session.node, self._session.charter(now).charter, writer, index)

    def forks(self, *, timeout: float | None = None) -> list[forks.ProvenFork]:
        """Fetch and verify every proof the node keeps that a log showed two histories."""
        with self._session.call(timeout) as now:
            return forks.fetch_forks(self._session.node, state.charters(self._session, now))

    def verify_log(
        self, member: bytes, *, progress: Progress | None = None, timeout: float | None = None
    ) -> log_audit.LogReport:
        """Verify the node's whole copy of a log: signature, leaves, root, growth. Raises `PeerMisbehaved`."""
        with self._session.call(timeout) as now:
            charter = self._session.charter(now).charter
            return log_audit.audit_log(self._session.node, self._session.vault, charter, member, progress)
