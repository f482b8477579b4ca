"""Refused callers in the store's audit trail, without letting them fill the disk.

1. A record says the reason and the method, never a value, tag, key or address.
2. A token bucket bounds the writes; what it holds back is counted, and the count goes into the next record.
3. Auditing never blocks a call and never fails one: the refusal stands whether it could be recorded or not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

import structlog

from tocsin.node.ports import StoreError, Transaction

BURST = 20.0
PER_SECOND = 1.0
_DETAIL_LIMIT = 300


class AuditTrail:
    """Writes refusals through the node's writer; safe to use from any thread."""

    def __init__(
        self,
        submit: Callable[[Callable[[Transaction], None]], Future[None]],
        now: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        self._submit = submit
        self._now = now
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._tokens = BURST
        self._at = monotonic()
        self._held_back = 0
        self._log = structlog.get_logger()

    def refused(self, reason: str, detail: str) -> None:
        """Record that a caller was refused, if the rate allows."""
        with self._lock:
            moment = self._monotonic()
            self._tokens = min(BURST, self._tokens + (moment - self._at) * PER_SECOND)
            self._at = moment
            if self._tokens < 1:
                self._held_back += 1
                return
            self._tokens -= 1
            held_back, self._held_back = self._held_back, 0
        text = f"{reason}: {detail[:_DETAIL_LIMIT]}"
        if held_back:
            text += f" (and {held_back} refusals before it were not recorded)"
        now = self._now()
        self._log.warning("caller-refused", reason=reason, problem=detail, held_back=held_back)
        try:
            self._submit(lambda transaction: transaction.record("refused", text, b"", now)).add_done_callback(
                self._done
            )
        except StoreError as error:
            self._log.warning("audit-failed", error=error)

    def _done(self, future: Future[None]) -> None:
        if not future.cancelled() and future.exception() is not None:
            self._log.warning("audit-failed", error=future.exception())
