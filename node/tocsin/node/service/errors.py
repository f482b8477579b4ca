"""Refusals of the services: one class for each machine-readable reason (M-10.1, M-10.2).

1. `reason` is the SCREAMING_SNAKE word of the wire's comments; it never changes for one cause.
2. `message` says what is wrong, where, and how to fix it. It holds no value, tag, element or key.
3. `field` names the offending part of the request as the wire spells it, for example `blinded_elements[7]`.
4. An error of this module promises that nothing was charged and nothing was stored (M-10.2).
"""

from __future__ import annotations

from typing import ClassVar

from tocsin.node.errors import NodeError
from tocsin.wire.reasons import Reason


class ServiceError(NodeError):
    """The root: a request that was refused, or that cannot be served now."""

    reason: ClassVar[Reason]

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class TooManyElements(ServiceError):
    """More elements than one batch may hold, or none."""

    reason = Reason.TOO_MANY_ELEMENTS


class InvalidQuorum(ServiceError):
    """Seats that are not a quorum of the committee that includes the evaluator asked."""

    reason = Reason.INVALID_QUORUM


class UnknownKeyClass(ServiceError):
    """A key class that the charter does not name."""

    reason = Reason.UNKNOWN_CLASS


class UnknownKeyEpoch(ServiceError):
    """A key epoch that is not live."""

    reason = Reason.UNKNOWN_EPOCH


class StaleCharter(ServiceError):
    """The committee that was named is not the one of this node's charter."""

    reason = Reason.STALE_CHARTER


class CharterExpired(ServiceError):
    """The newest charter has expired: nothing is evaluated or published until a newer one is adopted."""

    reason = Reason.CHARTER_EXPIRED


class EvaluationsUsedUp(ServiceError):
    """The caller's budget does not cover the batch."""

    reason = Reason.BUDGET_EXHAUSTED


class RepeatedTooOften(ServiceError):
    """Too many repeated or malformed batches in a short time."""

    reason = Reason.REPEATED_TOO_OFTEN


class QuorumUnavailable(ServiceError):
    """Fewer than t evaluators answered."""

    reason = Reason.QUORUM_UNAVAILABLE


class CannotStore(ServiceError):
    """The store did not take it; asking again later is safe."""

    reason = Reason.STORE_UNAVAILABLE


class DiskFull(ServiceError):
    """The disk is full; reads go on."""

    reason = Reason.STORE_FULL


class NotReady(ServiceError):
    """The node must not do this in its present state; the message names the state and the way out."""

    reason = Reason.NOT_READY


class InvalidEntry(ServiceError):
    """An entry whose header or body breaks a rule."""

    reason = Reason.INVALID_ENTRY


class TooManyEntries(ServiceError):
    """More entries or tags than one request may hold, or none."""

    reason = Reason.TOO_MANY_ENTRIES


class InvalidIdempotencyKey(ServiceError):
    """An idempotency key that is not 16 bytes."""

    reason = Reason.INVALID_IDEMPOTENCY_KEY


class KeyReused(ServiceError):
    """The idempotency key was used before with other content."""

    reason = Reason.IDEMPOTENCY_CONFLICT


class ExpiredEntry(ServiceError):
    """An entry that has expired already, or that would outlive its class's retention."""

    reason = Reason.EXPIRED_ENTRY


class UnknownSubmission(ServiceError):
    """No submission has that idempotency key."""

    reason = Reason.UNKNOWN_SUBMISSION


class UnknownLog(ServiceError):
    """The node holds no log of that member."""

    reason = Reason.UNKNOWN_LOG


class OutOfRange(ServiceError):
    """An index or size beyond the newest checkpoint."""

    reason = Reason.OUT_OF_RANGE


class LogQuarantined(ServiceError):
    """The log's origin signed two histories."""

    reason = Reason.QUARANTINED


class TooManyTags(ServiceError):
    """More tags than one request may hold, or a length that is not a multiple of 16."""

    reason = Reason.TOO_MANY_TAGS


class TooManyLocations(ServiceError):
    """More entries asked with proofs than one request may name, or none."""

    reason = Reason.TOO_MANY_LOCATIONS


class InvalidCursor(ServiceError):
    """A position beyond a log's end."""

    reason = Reason.INVALID_CURSOR


class UnknownVersion(ServiceError):
    """This node has no charter of that version."""

    reason = Reason.UNKNOWN_VERSION


class NotAMemberOfCharter(ServiceError):
    """The caller is not a member of the charter in force."""

    reason = Reason.NOT_A_MEMBER
