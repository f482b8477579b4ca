"""The client for asyncio: the methods of `Client`, awaited.

Rules
1. Each call runs `Client`'s method in a thread of this client's own pool. Callbacks run in that thread.
2. Cancelling an awaited call ends the wait at once, and the work at its next request. What was paid for by then is in
   the vault; what was sealed is in the outbox.
3. `close` ends calls under way, and waits until their threads have ended. A call after it raises `ClientClosed`.
4. `watch` is an async generator. Leaving its loop, or cancelling it, stops the watcher; the cursor moves only when the
   next match is asked for, as with `Client`.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from tocsin.charter.document import Charter
from tocsin.client import deadline
from tocsin.client.client import Client
from tocsin.client.config import ClientConfig
from tocsin.client.disputing import DisputeDraft
from tocsin.client.drafts import ReportDraft
from tocsin.client.errors import TocsinError, ValueRefused
from tocsin.client.forks import ProvenFork
from tocsin.client.log_audit import LogReport
from tocsin.client.querying import Progress
from tocsin.client.results import (
    BudgetReport,
    ClientStatus,
    Match,
    Problem,
    ProofFiles,
    QueryResult,
    Receipt,
    Retraction,
    SubmissionState,
    Value,
)
from tocsin.client.rooms import Room, RoomDraft
from tocsin.sealing.rooms import CampaignKey

_THREADS = 16
_Answer = TypeVar("_Answer")


class AsyncClient:
    """A member's client for asyncio. `AsyncClient.connect` makes one; it is an async context manager."""

    def __init__(self, client: Client) -> None:
        """Take over an open client; closing this one closes it."""
        self._client = client
        self._threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="tocsin-async")

    @classmethod
    async def connect(cls, path: str | os.PathLike[str] | ClientConfig) -> AsyncClient:
        """Open a client; see `Client.connect`."""
        return cls(await asyncio.to_thread(Client.connect, path))

    def __repr__(self) -> str:
        return f"Async{self._client!r}"

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End calls under way, threads, channel and vault; see rule 3."""
        await asyncio.to_thread(self._client.close)
        await asyncio.to_thread(self._threads.shutdown)

    async def _run(self, method: Callable[[], _Answer]) -> _Answer:
        self._client._session.check_open()
        with deadline.cancellable() as cancelled:
            work = asyncio.get_running_loop().run_in_executor(self._threads, copy_context().run, method)
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                cancelled.set()
                # Its end is nobody's to wait for, but its error must not be reported as one that nobody saw.
                work.add_done_callback(lambda done: done.cancelled() or done.exception())
                raise

    @property
    def charter(self) -> Coroutine[Any, Any, Charter]:
        """See `Client.charter`; await it."""
        return self._run(lambda: self._client.charter)

    @property
    def outbox(self) -> Coroutine[Any, Any, int]:
        """See `Client.outbox`; await it."""
        return self._run(lambda: self._client.outbox)

    async def charter_chain(self, *, timeout: float | None = None) -> list[bytes]:
        """See `Client.charter_chain`."""
        return await self._run(partial(self._client.charter_chain, timeout=timeout))

    async def key_of(self, value: Value, *, timeout: float | None = None) -> bytes:
        """See `Client.key_of`."""
        return await self._run(partial(self._client.key_of, value, timeout=timeout))

    async def check(
        self, values: Iterable[Value], *, timeout: float | None = None
    ) -> tuple[ValueRefused, ...]:
        """See `Client.check`."""
        return await self._run(partial(self._client.check, values, timeout=timeout))

    async def query(
        self,
        values: Iterable[Value],
        *,
        skip_refused: bool = False,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> QueryResult:
        """See `Client.query`."""
        return await self._run(
            partial(self._client.query, values, skip_refused=skip_refused, progress=progress, timeout=timeout)
        )

    async def submit(
        self,
        drafts: Iterable[ReportDraft],
        *,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> Receipt:
        """See `Client.submit`."""
        return await self._run(partial(self._client.submit, drafts, progress=progress, timeout=timeout))

    async def dispute(self, drafts: Iterable[DisputeDraft], *, timeout: float | None = None) -> Receipt:
        """See `Client.dispute`."""
        return await self._run(partial(self._client.dispute, drafts, timeout=timeout))

    async def retract(self, values: Iterable[Value], *, timeout: float | None = None) -> Receipt:
        """See `Client.retract`."""
        return await self._run(partial(self._client.retract, values, timeout=timeout))

    async def renew(self, *, timeout: float | None = None) -> Receipt:
        """See `Client.renew`."""
        return await self._run(partial(self._client.renew, timeout=timeout))

    async def flush(self, *, timeout: float | None = None) -> Receipt:
        """See `Client.flush`."""
        return await self._run(partial(self._client.flush, timeout=timeout))

    async def submission(self, key: bytes, *, timeout: float | None = None) -> SubmissionState | None:
        """See `Client.submission`."""
        return await self._run(partial(self._client.submission, key, timeout=timeout))

    async def rooms(self, *, timeout: float | None = None) -> tuple[CampaignKey, ...]:
        """See `Client.rooms`."""
        return await self._run(partial(self._client.rooms, timeout=timeout))

    async def room(self, key: CampaignKey, *, timeout: float | None = None) -> Room:
        """See `Client.room`."""
        return await self._run(partial(self._client.room, key, timeout=timeout))

    async def update_room(
        self,
        key: CampaignKey,
        *,
        sighting: RoomDraft | None = None,
        campaign: RoomDraft | None = None,
        timeout: float | None = None,
    ) -> Receipt:
        """See `Client.update_room`."""
        return await self._run(
            partial(self._client.update_room, key, sighting=sighting, campaign=campaign, timeout=timeout)
        )

    async def link_rooms(
        self, first: CampaignKey, second: CampaignKey, *, timeout: float | None = None
    ) -> Receipt:
        """See `Client.link_rooms`."""
        return await self._run(partial(self._client.link_rooms, first, second, timeout=timeout))

    async def leave_room(self, key: CampaignKey, *, timeout: float | None = None) -> Receipt:
        """See `Client.leave_room`."""
        return await self._run(partial(self._client.leave_room, key, timeout=timeout))

    async def watch(
        self,
        stop: threading.Event | None = None,
        *,
        on_problem: Callable[[Problem], None] | None = None,
        on_outage: Callable[[TocsinError], None] | None = None,
        on_retraction: Callable[[Retraction], None] | None = None,
    ) -> AsyncIterator[Match]:
        """See `Client.watch`, and rule 4."""
        ending = stop or threading.Event()
        matches = self._client.watch(
            ending, on_problem=on_problem, on_outage=on_outage, on_retraction=on_retraction
        )
        try:
            while (match := await self._run(lambda: next(matches, None))) is not None:
                yield match
        finally:
            ending.set()

    async def watched(self, *, timeout: float | None = None) -> tuple[int, int]:
        """See `Client.watched`."""
        return await self._run(partial(self._client.watched, timeout=timeout))

    async def current_entries(
        self, entries: Iterable[tuple[bytes, int]], *, timeout: float | None = None
    ) -> dict[tuple[bytes, int], tuple[bytes, int] | None]:
        """See `Client.current_entries`."""
        return await self._run(partial(self._client.current_entries, entries, timeout=timeout))

    async def budget(self, *, timeout: float | None = None) -> BudgetReport:
        """See `Client.budget`."""
        return await self._run(partial(self._client.budget, timeout=timeout))

    async def status(self, *, timeout: float | None = None) -> ClientStatus:
        """See `Client.status`."""
        return await self._run(partial(self._client.status, timeout=timeout))

    async def reported(self, *, timeout: float | None = None) -> dict[bytes, str]:
        """See `Client.reported`."""
        return await self._run(partial(self._client.reported, timeout=timeout))

    async def prove(self, writer: bytes, index: int, *, timeout: float | None = None) -> ProofFiles:
        """See `Client.prove`."""
        return await self._run(partial(self._client.prove, writer, index, timeout=timeout))

    async def forks(self, *, timeout: float | None = None) -> list[ProvenFork]:
        """See `Client.forks`."""
        return await self._run(partial(self._client.forks, timeout=timeout))

    async def verify_log(
        self, member: bytes, *, progress: Progress | None = None, timeout: float | None = None
    ) -> LogReport:
        """See `Client.verify_log`."""
        return await self._run(partial(self._client.verify_log, member, progress=progress, timeout=timeout))
