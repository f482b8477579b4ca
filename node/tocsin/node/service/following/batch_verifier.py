"""Checks a step of a log against its signed checkpoint, before anything of it is stored (M-6.15).

1. Entries come in order, without a gap, and no further than the checkpoint; their leaves lead to its root (M-6.4).
2. A body is the one its leaf committed to. A SEALED entry that is live has its body, or a RETRACT of it in this step,
   or one that is still to come: then whoever feeds the step says by which size (M-6.17).
3. A RETRACT names a lower index that is a SEALED entry of this log (M-6.3). A RETRACT or CHARTER has no body (M-6.1).
4. A live SEALED entry is of a class and epoch of the charter, of a period that has begun, and does not outlive its
   class's retention.
5. Whoever breaks one of these is the log's origin. Copied tags and bodies of others break none: they match nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

from tocsin.charter.document import Charter, UnknownClass, UnknownEpoch
from tocsin.node.model import Append
from tocsin.node.service.following.rule import CLOCK_AHEAD_S, LogFault
from tocsin.tlog.checkpoint import SignedCheckpoint
from tocsin.tlog.entry import NO_BODY_HASH, Header, Kind, check_reference, weeks_after
from tocsin.tlog.errors import TlogError
from tocsin.tlog.merkle import Frontier, Hash
from tocsin.wire.values import Kept, MemberId, Stored


class WrongRoot(LogFault):
    """The leaves do not lead to the root that the origin signed."""


class BatchVerifier:
    """The entries from the end of a tree up to a checkpoint's size: `add`ed, then `finish`ed. One thread at a time.

    `time` is when the origin vouched for the checkpoint, `now` this node's time, unix seconds.
    """

    def __init__(
        self,
        charter: Charter,
        origin: MemberId,
        frontier: Frontier,
        signed: SignedCheckpoint,
        time: int,
        now: int,
    ) -> None:
        self._charter = charter
        self._origin = origin
        self._start = frontier.size
        self._signed = signed
        self._time = time
        self._now = now
        self._frontier = frontier
        self._stored: list[Stored] = []
        self._nodes: list[tuple[int, int, Hash]] = []
        self._retracted: dict[int, int] = {}  # target → RETRACT
        self._missing: list[tuple[int, Header]] = []
        self._awaited_by = signed.checkpoint.size
        self._allowed: set[tuple[int, int, int, int]] = set()

    @property
    def frontier(self) -> Frontier:
        """The tree up to the checkpoint, once `add` has returned."""
        return self._frontier

    @property
    def missing(self) -> bool:
        """Whether a live entry has neither its body nor its RETRACT in this step."""
        return any(index not in self._retracted for index, _ in self._missing)

    @property
    def targets_before(self) -> list[int]:
        """The entries stored before this batch that it retracts; `finish` needs to know which are SEALED."""
        return sorted(index for index in self._retracted if index < self._start)

    def add(self, entries: Sequence[Stored]) -> None:
        """Take all entries of the step. Raises `LogFault`, `WrongRoot` if they are not those that were signed."""
        head = self._signed.checkpoint
        leaves: list[Hash] = []
        for index, stored in enumerate(entries, self._start):
            if stored.index != index or index >= head.size:
                raise LogFault(self._origin, f"entry {index} was asked for, {stored.index} came")
            leaves.append(stored.leaf_hash())
            self._stored.append(self._checked(stored))
        self._frontier, self._nodes = self._frontier.append(leaves)
        if (self._frontier.size, self._frontier.root()) != (head.size, head.root):
            raise WrongRoot(
                self._origin, f"the entries up to {head.size} do not lead to the root that was signed"
            )

    def await_retractions(self, size: int, time: int) -> None:
        """Expect the RETRACTs of what is missing and still live at `time` before the log has `size` entries."""
        self._missing = [(index, header) for index, header in self._missing if header.is_live(time)]
        self._awaited_by = size

    def finish(self, note: bytes, sealed_before: Mapping[int, bool], paced_until: int) -> Append:
        """Return what is to be stored, with `note` as the checkpoint. Raises `LogFault`."""
        for target, index in self._retracted.items():
            if target >= self._start:
                sealed = self._stored[target - self._start].entry.header.kind is Kind.SEALED
            else:
                sealed = sealed_before.get(target, False)
            if not sealed:
                raise LogFault(
                    self._origin, f"the RETRACT at {index} names {target}, which cannot be retracted"
                )
        awaited = [
            (index, header.not_after) for index, header in self._missing if index not in self._retracted
        ]
        return Append(
            self._origin,
            self._start,
            self._stored,
            self._nodes,
            self._frontier,
            note,
            self._time,
            sorted(self._retracted),
            paced_until=paced_until,
            awaited=awaited,
            awaited_by=self._awaited_by,
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
            # A clock that is a little ahead of ours may have seen it expire.
            if header.is_live(max(self._time, self._now)):
                self._missing.append((index, header))
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
        if header.not_after > weeks_after(self._now + CLOCK_AHEAD_S, key.retention_days * 86_400):
            raise LogFault(
                self._origin,
                f"entry {index} is to be kept longer than the {key.retention_days} days of class {key.key_class}",
            )
        if header.period > self._charter.period_at(self._now + CLOCK_AHEAD_S):
            raise LogFault(self._origin, f"entry {index} is of period {header.period}, which has not begun")
        self._allowed.add(group)
