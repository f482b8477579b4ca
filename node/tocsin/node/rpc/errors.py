"""Errors to statuses: what a caller gets instead of an answer, by the wire's table of reasons.

1. Every error that a caller may see has a reason; the wire's table has its status code (M-10.1).
2. Any exception that is not one of ours is INTERNAL: the caller gets the id of a log line and none of the exception's
   text (M-10.3).
"""

from __future__ import annotations

from typing import ClassVar

from tocsin.node.errors import NodeError
from tocsin.node.ports import BudgetExhausted, IdempotencyConflict, StoreFull, StoreUnavailable
from tocsin.node.rpc.authorize import NotAllowed
from tocsin.node.service.errors import ServiceError
from tocsin.wire.errors import Malformed
from tocsin.wire.reasons import Reason
from tocsin.wire.status import Status, refuse


class CallRefused(NodeError):
    """The root of what the server refuses by itself, whatever the method."""

    reason: ClassVar[Reason]


class TooManyCalls(CallRefused):
    """The caller has as many calls open as it may."""

    reason = Reason.TOO_MANY_CALLS


class Stalled(CallRefused):
    """The request did not arrive in time."""

    reason = Reason.STALLED


class DeadlinePassed(CallRefused):
    """The call took longer than its deadline."""

    reason = Reason.DEADLINE


class Stopping(CallRefused):
    """The node is stopping."""

    reason = Reason.STOPPING


def known_status(error: Exception) -> Status | None:
    """Return the status of an error that a caller may see, or None for one that it may not (rule 2)."""
    if isinstance(error, ServiceError | Malformed):
        return refuse(error.reason, error.message, error.field)
    if isinstance(error, CallRefused | NotAllowed):
        return refuse(error.reason, str(error))
    if isinstance(error, NotImplementedError):
        return refuse(Reason.UNIMPLEMENTED, "this node does not serve the method")
    # Services map these themselves; one that slips through still says to its caller that nothing was stored.
    if isinstance(error, StoreFull):
        return refuse(Reason.STORE_FULL, "the node's disk is full; nothing was stored")
    if isinstance(error, StoreUnavailable):
        return refuse(Reason.STORE_UNAVAILABLE, "the node's store did not answer; try again")
    if isinstance(error, BudgetExhausted):
        return refuse(Reason.BUDGET_EXHAUSTED, str(error))
    if isinstance(error, IdempotencyConflict):
        return refuse(Reason.IDEMPOTENCY_CONFLICT, "the idempotency key was used with other content")
    return None


def internal(incident: str) -> Status:
    """Return the status of a fault of ours; `incident` is the id of its log line."""
    return refuse(Reason.INTERNAL, f"internal error; the node's log names it as {incident}")
