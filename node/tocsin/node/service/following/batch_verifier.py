"""Checks what a log has grown by against its signed checkpoint, before anything of it is stored (M-6.15).

1. Entries come in order, without a gap, and no further than the checkpoint; their leaves lead to its root (M-6.4).
2. A body is the one its leaf committed to. A SEALED entry that is live at the checkpoint's time has its body, or a
   RETRACT of it within the checkpoint (M-6.17).
3. A RETRACT names a lower index that is a SEALED entry of this log (M-6.3). A RETRACT or CHARTER has no body (M-6.1).
4. A live SEALED entry is of a class and epoch of the charter, of a period that has begun, and does not outlive its
   class's retention.
5. Whoever breaks one of these is the log's origin. Copied tags and bodies of others break none: they match nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

from tocsin.charter.document import Charter, UnknownClass, UnknownEpoch
from tocsin.node.model import Append, LogTip
from tocsin.node.service.following.rule import CLOCK_AHEAD_S, LogFault
from tocsin.tlog.checkpoint import SignedCheckpoint
from tocsin.tlog.entry import NO_BODY_HASH, Header, Kind, check_reference, weeks_after
from tocsin.tlog.errors import TlogError
from tocsin.tlog.merkle import Hash
from tocsin.wire.values import Kept, MemberId, Stored


class BatchVerifier:
    """Entries `tip.size` up to the checkpoint's size, fed in order with `add`, then `finish`ed. One thread at a time.

    `time` is when the origin vouched for the checkpoint, `now` this node's time, unix seconds.
    """

    def __init__(
        self,
        charter: Charter,
        origin: MemberId,
        tip: LogTip,
        signed: SignedCheckpoint,
        time: int,
        now: int,
    ) -> None:
        self._charter = charter
        self._origin = origin
        self._start = tip.size
        self._signed = signed
        self._time = time
        self._now = now
        self._frontier = tip.frontier
        self._stored: list[Stored] = []
        self._nodes: list[tuple[int, int, Hash]] = []
        self._retracted: dict[int, int] = {}  # target → RETRACT
        self._missing: list[int] = []
        self._allowed: set[tuple[int, int, int, int]] = set()

    @property
    def next_index(self) -> int:
        """Where the next batch must begin."""
        return self._start + len(self._stored)

    @property
    def targets_before(self) -> list[int]:
        """The entries stored before this batch that it retracts; `finish` needs to know which are SEALED."""
        return sorted(index for index in self._retracted if index < self._start)

    def add(self, batch: Sequence[Stored]) -> None:
        """Take the next entries. Raises `LogFault`."""
        if not batch:
            raise LogFault(
                self._origin,
                f"the log ends at {self.next_index}, its checkpoint says {self._signed.checkpoint.size}",
            )
        leaves: list[Hash] = []
        for stored in batch:
            if stored.index != self.next_index or stored.index >= self._signed.checkpoint.size:
                raise LogFault(self._origin, f"entry {self.next_index} was asked for, {stored.index} came")
            leaves.append(stored.leaf_hash())
            self._stored.append(self._checked(stored))
        self._frontier, nodes = self._frontier.append(leaves)
        self._nodes += nodes

    def finish(self, note: bytes, sealed_before: Mapping[int, bool]) -> Append:
        """Return what is to be stored, with `note` as the checkpoint. Raises `LogFault`."""
        head = self._signed.checkpoint
        if (self._frontier.size, self._frontier.root()) != (head.size, head.root):
            raise LogFault(
                self._origin, f"the entries up to {head.size} do not lead to the root that was signed"
            )
        for target, index in self._retracted.items():
            if target >= self._start:
                sealed = self._stored[target - self._start].entry.header.kind is Kind.SEALED
            else:
                sealed = sealed_before.get(target, False)
            if not sealed:
                raise LogFault(
                    self._origin, f"the RETRACT at {index} names {target}, which cannot be retracted"
                )
        for index in self._missing:
            if index not in self._retracted:
                raise LogFault(
                    self._origin, f"the body of entry {index} is missing before its time, without a RETRACT"
                )
        return Append(
            self._origin,
            self._start,
            self._stored,
            self._nodes,
            self._frontier,
            note,
            self._time,
            sorted(self._retracted),
        )

    def _checked(self, stored: Stored) -> Stored:
        header, body, index = stored.entry.header, stored.entry.body, stored.index
        if header.kind is not Kind.SEALED:
            if body is not None or stored.body_hash != NO_BODY_HASH:
                raise LogFault(self._origin, f"the {header.kind.name} at {index} has a body")
            if header.kind is Kind.RETRACT:
                try:
                    check_reference(header, index)
                except TlogError as error:
                    raise LogFault(self._origin, str(error)) from error
                self._retracted.setdefault(header.retracts, index)
            return stored
        if stored.body_hash == NO_BODY_HASH:
            raise LogFault(self._origin, f"the sealed entry {index} never had a body")
        if body is None:
            if header.is_live(self._time):
                self._missing.append(index)
        elif sha256(body.encode()).digest() != stored.body_hash:
            raise LogFault(self._origin, f"the body of entry {index} is not the one its leaf committed to")
        if header.is_live(self._now):
            self._check_header(header, index)
            return stored
        return Stored(index, Kept(header, None), stored.body_hash)

    def _check_header(self, header: Header, index: int) -> None:
        group = (header.key_class, header.epoch, header.period, header.not_after)
        if group in self._allowed:
            return
        try:
            key = self._charter.class_key(header.key_class, header.epoch)
        except (UnknownClass, UnknownEpoch):
            # Its live entries outlast an epoch that the charter no longer lists; what nobody holds a key of is inert.
            known = {key.key_class: key for key in self._charter.classes}
            if header.key_class not in known:
                raise LogFault(
                    self._origin,
                    f"entry {index} is of class {header.key_class}, which the charter does not have",
                ) from None
            key = known[header.key_class]
        if header.not_after > weeks_after(self._time + CLOCK_AHEAD_S, key.retention_days * 86_400):
            raise LogFault(
                self._origin,
                f"entry {index} is to be kept longer than the {key.retention_days} days of class {key.key_class}",
            )
        if header.period > self._charter.period_at(self._now + CLOCK_AHEAD_S):
            raise LogFault(self._origin, f"entry {index} is of period {header.period}, which has not begun")
        self._allowed.add(group)
