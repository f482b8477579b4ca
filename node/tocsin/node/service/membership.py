"""Which charter this node goes by, and how it comes by the next one.

1. The first charter is pinned by its hash, out of band. Every stored version is verified from there at start, so a
   store that somebody changed cannot bring in a member or a key.
2. Version n+1 replaces version n if it verifies against it; nothing ever goes back, and no version is skipped.
3. Two documents of one version are kept, both, as evidence; the first one known stays in force. One pair for each
   version and culprit is enough: who signs document after document must not fill the disk, nor must a node that is
   started again and again on a file with the second one.
4. A new charter is stored before it is in force. If this member signed it, the CHARTER entry that says so is queued
   in the same transaction, and the next tick puts it into the log.
5. An expired charter stays in force for following and for being succeeded, and for nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from tocsin.charter.chain import verify_step
from tocsin.charter.document import Charter, ClassKey, Member, NotAMember, UnknownClass, UnknownEpoch
from tocsin.charter.envelope import SignedCharter, charter_hash, parse_envelope
from tocsin.charter.rules import (
    Expired,
    ForeignFederation,
    NotYetValid,
    RolledBack,
    TwoCharters,
    check_fresh,
    conflict,
)
from tocsin.node.ports import Clock, Snapshot, Transaction
from tocsin.node.service.errors import (
    CharterExpired,
    NotAMemberOfCharter,
    NotReady,
    UnknownKeyClass,
    UnknownKeyEpoch,
    UnknownVersion,
)
from tocsin.node.service.store_gateway import StoreGateway
from tocsin.proofs.two_charters import TwoCharters as TwoCharterProof
from tocsin.proofs.two_charters import encode_two_charters
from tocsin.tlog.entry import Entry, charter_header
from tocsin.wire.limits import MAX_CHARTERS, MAX_CHARTERS_BYTES
from tocsin.wire.values import MemberId

"""Of one answer, below what callers receive; one envelope is at most half of it."""

RECENT_RECORDS = 1_000
"""Of the audit trail, in which a pair of charters that was recorded before is looked for."""


class Membership:
    """The current charter, atomically replaced, and the rules it is asked for most.

    `pin` is the SHA-256 of version 1's document. Call `load()` before anything else.
    """

    def __init__(
        self, federation: str, member: MemberId, pin: bytes | None, gateway: StoreGateway, clock: Clock
    ) -> None:
        self._federation = federation
        self._member = member
        self._pin = pin
        self._gateway = gateway
        self._clock = clock
        self._current: tuple[Charter, SignedCharter] | None = None
        self._subscribers: list[Callable[[Charter], None]] = []
        self._convicted: set[tuple[int, bytes]] = set()  # version, culprit

    @property
    def charter(self) -> Charter:
        """The charter in force. Raises `NotReady` before `load()`."""
        if self._current is None:
            raise NotReady("no charter is in force yet: install one with `tocsin charter install`")
        return self._current[0]

    def load(self, file: bytes | None) -> Charter:
        """Bring the stored charters, then the one of the member's file, into force; return the newest. Blocks.

        The file may hold version 1, the version in force, or the next one. Raises `BadCharter` (for example
        `WrongPin`, `RolledBack`, `Skipped`) or `NotReady` if there is no charter at all; for two documents of one
        version `TwoCharters`, after both were recorded.
        """
        now = self._clock.now()
        for envelope in self._gateway.read_now(_stored_charters):
            self._current = self._verify(parse_envelope(envelope), now)
        if file is not None:
            signed = parse_envelope(file)
            try:
                step = self._judge(signed, now)
            except TwoCharters as error:
                self._gateway.write_now(partial(_record_both, second=signed, error=error, now=now))
                raise
            if step is not None:
                self._gateway.write_now(lambda transaction: self._save(transaction, step[0], signed, now))
                self._current = step
        return self.charter

    async def adopt(self, envelope: bytes) -> Charter:
        """Verify a charter, store it and put it in force; the one in force again is no change.

        Raises `BadCharter`; for two documents of one version `TwoCharters`, after both were recorded.
        """
        now = self._clock.now()
        signed = parse_envelope(envelope)
        try:
            step = await asyncio.to_thread(self._judge, signed, now)
        except TwoCharters as error:
            await self._keep_both(signed, error, now)
            raise
        if step is None:
            return self.charter
        await self._gateway.write(lambda transaction: self._save(transaction, step[0], signed, now))
        # Two peers may have brought the same version at once; it comes into force once.
        if self.charter.version >= step[0].version:
            return self.charter
        self._current = step
        for subscriber in self._subscribers:
            subscriber(step[0])
        return step[0]

    def subscribe(self, subscriber: Callable[[Charter], None]) -> None:
        """Call `subscriber` with each charter that comes into force after this, in the event loop's thread."""
        self._subscribers.append(subscriber)

    async def charters(self, first_version: int) -> list[bytes]:
        """Return signed envelopes ascending from a version: one at least, 16 and 3 MiB at most.

        Fewer do not mean that there are no more. Raises `UnknownVersion`.
        """
        newest = self.charter.version
        if not 1 <= first_version <= newest:
            raise UnknownVersion(
                f"this node holds the charters 1 to {newest}, not {first_version}", "first_version"
            )
        last = min(newest, first_version + MAX_CHARTERS - 1)

        def look(snapshot: Snapshot) -> list[bytes]:
            found: list[bytes] = []
            size = 0
            for version in range(first_version, last + 1):
                envelope = snapshot.charter(version)
                if envelope is None:
                    continue
                size += len(envelope)
                if found and size > MAX_CHARTERS_BYTES:
                    break
                found.append(envelope)
            return found

        return await self._gateway.read(look)

    def check_fresh(self, now: int) -> Charter:
        """Return the charter if it has not expired. Raises `CharterExpired`."""
        charter = self.charter
        try:
            check_fresh(charter, now)
        except Expired as error:
            raise CharterExpired(
                f"charter {charter.version} has expired; the members must sign version {charter.version + 1}"
            ) from error
        except NotYetValid as error:
            raise NotReady(f"charter {charter.version}: {error}") from error
        return charter

    def live_class(self, key_class: int, epoch: int, now: int) -> ClassKey:
        """Return the key of a class and epoch if it is live. Raises `UnknownKeyClass`, `UnknownKeyEpoch`."""
        try:
            key = self.charter.class_key(key_class, epoch)
        except UnknownClass as error:
            raise UnknownKeyClass(f"the charter has no key class {key_class}", "key_class") from error
        except UnknownEpoch as error:
            raise UnknownKeyEpoch(f"class {key_class} has no key epoch {epoch}", "key_epoch") from error
        if key not in self.charter.live_classes(key_class, now):
            raise UnknownKeyEpoch(
                f"epoch {epoch} of class {key_class} is over; ask under a newer one", "key_epoch"
            )
        return key

    def caller(self, member: MemberId) -> Member:
        """Return a calling member's record. Raises `NotAMemberOfCharter`."""
        try:
            return self.charter.member(member)
        except NotAMember as error:
            raise NotAMemberOfCharter(
                f"{member.hex()} is no member of charter {self.charter.version}"
            ) from error

    def others(self) -> list[MemberId]:
        """Return every member of the charter but this node's own."""
        return [MemberId(member.id) for member in self.charter.members if member.id != self._member]

    def _judge(self, signed: SignedCharter, now: int) -> tuple[Charter, SignedCharter] | None:
        """Return what comes into force, None if nothing changes; raise `BadCharter`. Blocks on the store."""
        if self._current is None:
            return self._verify(signed, now)
        _, in_force = self._current
        if signed.document == in_force.document:
            return None
        try:
            return self._verify(signed, now)
        except RolledBack:
            # Two documents of one version are named as that, whoever shows the second.
            for envelope in self._gateway.read_now(_stored_charters):
                earlier = parse_envelope(envelope)
                if earlier.document == signed.document:
                    return None
                conflict(earlier, signed)
            raise

    def _verify(self, signed: SignedCharter, now: int) -> tuple[Charter, SignedCharter]:
        current = None if self._current is None else self._current[0]
        charter = verify_step(current, signed, self._pin, now)
        if charter.federation != self._federation:
            raise ForeignFederation(
                "federation",
                "$.federation",
                f"it is of {charter.federation}, this node is configured for {self._federation}",
            )
        return charter, signed

    def _save(self, transaction: Transaction, charter: Charter, signed: SignedCharter, now: int) -> None:
        transaction.save_charter(charter.version, signed.encode(), now)
        if any(signer == self._member for signer, _ in signed.signatures):
            hashed = charter_hash(signed.document)
            # The hash is its own idempotency key: one document is logged once, however often it arrives.
            transaction.submit(hashed[:16], hashed, [Entry(charter_header(hashed))], now)
        transaction.forget_epochs((key.key_class, key.epoch) for key in charter.classes)

    async def _keep_both(self, signed: SignedCharter, error: TwoCharters, now: int) -> None:
        culprits = {(error.version, member) for member in error.members}
        if culprits <= self._convicted:
            return
        await self._gateway.write(lambda transaction: _record_both(transaction, signed, error, now))
        self._convicted |= culprits


def _record_both(transaction: Transaction, second: SignedCharter, error: TwoCharters, now: int) -> None:
    kind, detail = "two-charters", str(error)
    # What this process has not convicted, an earlier one may have.
    if any(known[1:3] == (kind, detail) for known in transaction.audit(RECENT_RECORDS)):
        return
    first = transaction.charter(error.version)
    if first is not None:
        transaction.record(
            kind, detail, encode_two_charters(TwoCharterProof(parse_envelope(first), second)), now
        )


def _stored_charters(snapshot: Snapshot) -> list[bytes]:
    found: list[bytes] = []
    while (envelope := snapshot.charter(len(found) + 1)) is not None:
        found.append(envelope)
    return found
