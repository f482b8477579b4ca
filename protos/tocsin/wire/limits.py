"""How much a request or an answer may hold: every number of M-10.4 that is the wire's, and the bounds on answers.

1. A limit has one name and one place: this one. What the core defines (a committee's seats, a tag's bytes, a note's
   size) is imported from the core by whoever needs it.
2. Whoever receives checks; whoever sends splits by the same number.
"""

from __future__ import annotations

from tocsin.tlog.merkle import MAX_SIZE

MAX_ELEMENTS = 4_096
"""Elements in a batch, blinded or evaluated; none is too few."""
MAX_COMPLAINTS = 6
"""Partials that a client may attach to one batch as bad."""
MAX_ENTRIES = 1_000
"""Entries in a submission, tags in a retraction, entries in one answer of ListEntries."""
STEP_ENTRIES = 1_000
"""An origin signs a checkpoint at every multiple of this size; a follower takes no more in one step."""
MAX_STEPS = 64
"""Intermediate checkpoints in one answer."""
MAX_TAGS = 50_000
"""Tags in one look-up, over all writers."""
MAX_HIT_INDICES = 64
"""Indices that are answered for one tag: the highest."""
MAX_STREAMED_TAGS = 10_000
"""New tags in one message of a stream."""
MAX_LOCATIONS = 256
"""Entries with proofs in one request."""
MAX_LOGS = 1_000
"""Logs that one message may name: more than any federation has members."""
MAX_BUDGETS = 1_000
"""Seats whose budget one message may state: every class, live epoch and seat of a committee."""
MAX_CHARTERS = 16
"""Charters in one answer."""
MAX_CHARTERS_BYTES = 3 * 1024 * 1024
"""Bytes of the charters in one answer, but for the first, which is always sent."""
MAX_INDEX = MAX_SIZE
"""The highest index or size of a log, 2^63-1: what any store holds."""
MAX_FIELDS_AT_FAULT = 16
"""Fields at fault that are read from one refusal."""

MAX_INCLUSION_HASHES = 63
"""Hashes in a proof of inclusion: the depth of the largest tree."""
MAX_CONSISTENCY_HASHES = 64
"""Hashes in a proof of consistency: 63 splits and the first subtree."""

IDEMPOTENCY_KEY_BYTES = 16

MESSAGE_BYTES = 1024 * 1024
"""A request, after decompression."""
PEER_ANSWER_BYTES = 4 * 1024 * 1024
"""An answer between nodes: a page of charters, and the first of them besides."""
CLIENT_ANSWER_BYTES = 8 * 1024 * 1024
"""An answer of a member's node to its client: a full look-up, or proofs with the notes of many logs."""
MESSAGE_CHARACTERS = 1_000
"""The text of a refusal: it is for a person, and HTTP/2 bounds the headers that carry it."""

DEADLINE_S = 30.0
"""The longest deadline of a unary call, seconds."""
