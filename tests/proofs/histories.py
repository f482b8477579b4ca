"""Logs told twice by one key: what a fork proof is made of."""

from __future__ import annotations

from tocsin.primitives.ed25519 import SigningKey
from tocsin.tlog.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    log_origin,
    log_verifier,
    open_checkpoint,
    sign_checkpoint,
)
from tocsin.tlog.entry import Entry, SealedBody, retract_header, sealed_header
from tocsin.tlog.merkle import Frontier
from tocsin.tlog.note import Signer

ORIGIN = log_origin("ring.example", bytes(16))
KEY = SigningKey(bytes(32))
SIGNER = Signer(log_verifier(ORIGIN, KEY.public_key), KEY.sign)


class History:
    """One telling of a log: entries 0 to n − 1 and a RETRACT; another `third` byte makes another history."""

    def __init__(self, third: int, count: int = 11) -> None:
        self.entries = [
            Entry(
                sealed_header(1, 1, 1, 2900),
                SealedBody(bytes([third if n == 3 else n]) * 16, bytes(24), bytes(528)),
            )
            for n in range(count)
        ]
        self.entries.append(Entry(retract_header(4)))
        self.hashes = [entry.leaf_hash() for entry in self.entries]
        self.nodes = {(level, at): node for level, at, node in Frontier().append(self.hashes)[1]}

    def note(self, size: int) -> bytes:
        """The log's signed checkpoint of `size` entries."""
        return sign_checkpoint(Checkpoint(ORIGIN, size, Frontier.of(size, self.nodes).root()), SIGNER)

    def opened(self, size: int) -> SignedCheckpoint:
        """The same, opened."""
        return open_checkpoint(self.note(size), ORIGIN, KEY.public_key)


ONE, OTHER = History(3), History(200)
