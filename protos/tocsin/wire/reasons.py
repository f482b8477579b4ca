"""Why a node refuses: the machine-readable reasons (M-10.1), as both sides spell them.

1. A reason never changes its meaning. The status code of each is in `tocsin.wire.status`.
2. What a caller itself concludes where no reason came (`UNREACHABLE` and the like) is never sent.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """A reason that travels in google.rpc.ErrorInfo; the comments of the .proto files say when."""

    # evaluation.proto
    INVALID_ELEMENT = "INVALID_ELEMENT"
    TOO_MANY_ELEMENTS = "TOO_MANY_ELEMENTS"
    INVALID_QUORUM = "INVALID_QUORUM"
    UNKNOWN_CLASS = "UNKNOWN_CLASS"
    UNKNOWN_EPOCH = "UNKNOWN_EPOCH"
    STALE_CHARTER = "STALE_CHARTER"
    BUDGET_EXHAUSTED = "BUDGET_EXHAUSTED"
    REPEATED_TOO_OFTEN = "REPEATED_TOO_OFTEN"
    QUORUM_UNAVAILABLE = "QUORUM_UNAVAILABLE"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    # publishing.proto
    INVALID_ENTRY = "INVALID_ENTRY"
    TOO_MANY_ENTRIES = "TOO_MANY_ENTRIES"
    INVALID_IDEMPOTENCY_KEY = "INVALID_IDEMPOTENCY_KEY"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"
    EXPIRED_ENTRY = "EXPIRED_ENTRY"
    STORE_FULL = "STORE_FULL"
    UNKNOWN_SUBMISSION = "UNKNOWN_SUBMISSION"
    # log.proto, lookup.proto, membership.proto
    UNKNOWN_LOG = "UNKNOWN_LOG"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    QUARANTINED = "QUARANTINED"
    TOO_MANY_TAGS = "TOO_MANY_TAGS"
    INVALID_CURSOR = "INVALID_CURSOR"
    UNKNOWN_VERSION = "UNKNOWN_VERSION"
    TOO_MANY_LOCATIONS = "TOO_MANY_LOCATIONS"
    NOT_A_MEMBER = "NOT_A_MEMBER"
    # any service
    NOT_READY = "NOT_READY"
    CHARTER_EXPIRED = "CHARTER_EXPIRED"
    INVALID_REQUEST = "INVALID_REQUEST"
    TOO_MANY_CALLS = "TOO_MANY_CALLS"
    STALLED = "STALLED"
    DEADLINE = "DEADLINE"
    STOPPING = "STOPPING"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    INTERNAL = "INTERNAL"
    # who may call (M-8.4 to M-8.6)
    UNKNOWN_METHOD = "UNKNOWN_METHOD"
    OLD_TLS = "OLD_TLS"
    BAD_CERTIFICATE = "BAD_CERTIFICATE"
    UNKNOWN_MEMBER = "UNKNOWN_MEMBER"
    FOREIGN_CERTIFICATE = "FOREIGN_CERTIFICATE"
    EXPIRED_CERTIFICATE = "EXPIRED_CERTIFICATE"
    WRONG_ROLE = "WRONG_ROLE"


class Conclusion(StrEnum):
    """What a caller concludes by itself: from a status without a reason of ours, an answer, or silence."""

    UNREACHABLE = "UNREACHABLE"
    DEADLINE = "DEADLINE"
    NOT_ALLOWED = "NOT_ALLOWED"
    MALFORMED = "MALFORMED"
    CIRCUIT_OPEN = "CIRCUIT_OPEN"
    INVALID_PARTIAL = "INVALID_PARTIAL"
    BAD_PROOF = "BAD_PROOF"
