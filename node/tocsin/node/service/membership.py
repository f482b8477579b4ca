"""Under which charter this node works, and how it obtains the next one.

1. The first charter is pinned by its hash, out of band. Every stored version is verified from there at start, so a
   store that somebody changed cannot bring in a member or a key (M-3.4).
2. `charter_states` decides what a charter that arrives leads to. This module stores first and acts then.
3. Of two documents of one version the first one known stays in force; one pair is kept for each version and culprit
   (M-3.12). Who signs document after document must not fill the disk, nor must a node that is started again and again
   on a file with the second one.
4. If this member signed a charter, the CHARTER entry that says so is queued in the same transaction, and the next tick
   puts it into the log (M-3.12).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from tocsin.charter.document import (
    Charter,
    ClassKey,
    Member,
    NotAMember,
    UnknownClass,
    UnknownEpoch,
    parse_charter,
)
from tocsin.charter.envelope import SignedCharter, charter_hash, parse_envelope
from tocsin.charter.errors import Expired, NotYetValid
from tocsin.charter.rules import check_fresh
from tocsin.node.ports import Clock, Snapshot, Transaction
from tocsin.node.service.charter_states import (
    Announce,
    InForce,
    NoCharter,
    Received,
    Refuse,
    State,
    Step,
    StoreCharter,
    StoreConflict,
    Terms,
    step,
)
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
from tocsin.proofs.two_charters import encode_two_charters, parse_two_charters, verify_two_charters
from tocsin.tlog.entry import Entry, charter_header
from tocsin.wire.limits import MAX_CHARTERS, MAX_CHARTERS_BYTES
from tocsin.wire.values import MemberId

TWO_CHARTERS = "two-charters"
MAX_PROOFS = 1_000
"""Pairs of charters that are read back at a start: one is kept for each version and culprit."""


class Membership:
    """The charter in force, and the rules it is asked for most. Call `load()` before anything else.

    `pin` is the SHA-256 of version 1's document.
    """

    def __init__(
        self, federation: str, member: MemberId, pin: bytes | None, gateway: StoreGateway, clock: Clock
    ) -> None:
        self._terms = Terms(federation, member, pin)
        self._gateway = gateway
        self._clock = clock
        self._state: State = NoCharter()
        self._one_at_a_time = asyncio.Lock()
        self._subscribers: list[Callable[[Charter], None]] = []

    @property
    def charter(self) -> Charter:
        """The charter in force. Raises `NotReady` before `load()`."""
        if not isinstance(self._state, InForce):
            raise NotReady("no charter is in force yet; install one with `tocsin charter install`")
        return self._state.charter

    def load(self, file: bytes | None) -> Charter:
        """Bring the stored charters, then the one of the member's file, into force; return the newest. Blocks.

        The file may hold version 1, the version in force, or the next one. Raises `BadCharter` (for example
        `WrongPin`, `RolledBack`, `Skipped`) or `NotReady` if there is no charter at all; for two documents of one
        version `TwoCharters`, after both were recorded.
        """
        now = self._clock.now()
        for envelope in self._gateway.read_now(_stored_charters):
            self._act(step(self._terms, self._state, Received(parse_envelope(envelope), None, now)))
        if isinstance(self._state, InForce):
            convicted = self._gateway.read_now(partial(_convicted, chain=self._state.chain))
            self._state = replace(self._state, convicted=convicted)
        if file is not None:
            taken = self._step(parse_envelope(file), now)
            if taken.store is not None:
                self._gateway.write_now(lambda transaction: _store(transaction, taken, now))
            self._act(taken)
        return self.charter

    async def adopt(self, envelope: bytes) -> Charter:
        """Verify a charter, store it and put it in force; the one in force again is no change.

        Raises `BadCharter`; for two documents of one version `TwoCharters`, after both were recorded.
        """
        # A caller that gives up must not leave a charter that is stored but not in force.
        return await asyncio.shield(self._adopt(parse_envelope(envelope), self._clock.now()))

    async def _adopt(self, signed: SignedCharter, now: int) -> Charter:
        # Two peers may bring the same version at once; it comes into force once.
        async with self._one_at_a_time:
            taken = await asyncio.to_thread(self._step, signed, now)
            if taken.store is not None:
                await self._gateway.write(lambda transaction: _store(transaction, taken, now))
            self._act(taken)
        return self.charter

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
            page: list[bytes] = []
            size = 0
            for version in range(first_version, last + 1):
                envelope = snapshot.charter(version)
                if envelope is None:
                    continue
                size += len(envelope)
                if page and size > MAX_CHARTERS_BYTES:
                    break
                page.append(envelope)
            return page

        return await self._gateway.read(look)

    def check_fresh(self, now: int) -> Charter:
        """Return the charter if it has not expired (M-3.11). Raises `CharterExpired`."""
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

    def enterable_class(self, key_class: int, epoch: int) -> ClassKey:
        """Return the newest key of a class under one of whose epochs an entry may be written (M-3.19).

        Epochs that are over are taken: their entries are renewed and retracted to the end. Raises `UnknownKeyClass` and
        `UnknownKeyEpoch`.
        """
        newest = max(
            (key for key in self.charter.classes if key.key_class == key_class),
            key=lambda key: key.epoch,
            default=None,
        )
        if newest is None:
            raise UnknownKeyClass(f"the charter has no key class {key_class}", "key_class")
        if epoch > newest.epoch:
            raise UnknownKeyEpoch(f"class {key_class} has no key epoch {epoch}", "key_epoch")
        return newest

    def budget(self, key: ClassKey, seat: int) -> int:
        """Return Q, or none for a seat that another member held in this epoch: its count is not known here (M-4.26)."""
        holder = key.committee[seat - 1]
        for charter in self._chain():
            for before in charter.classes:
                if (before.key_class, before.epoch) != (key.key_class, key.epoch):
                    continue
                if seat > len(before.committee) or before.committee[seat - 1] != holder:
                    return 0
        return key.budget

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
        return [MemberId(member.id) for member in self.charter.members if member.id != self._terms.member]

    def _chain(self) -> tuple[Charter, ...]:
        return self._state.chain if isinstance(self._state, InForce) else ()

    def _step(self, signed: SignedCharter, now: int) -> Step:
        """Return what a charter leads to. Raises `BadCharter` if it cannot be read. Blocks on the store."""
        version = parse_charter(signed.document).version
        envelope = self._gateway.read_now(lambda snapshot: snapshot.charter(version))
        stored = None if envelope is None else parse_envelope(envelope)
        return step(self._terms, self._state, Received(signed, stored, now))

    def _act(self, taken: Step) -> None:
        """Take a step that is durable. Raises what it refuses."""
        self._state = taken.state
        if isinstance(taken.effect, Refuse):
            raise taken.effect.error
        if isinstance(taken.effect, Announce):
            for subscriber in self._subscribers:
                subscriber(taken.effect.charter)


def _store(transaction: Transaction, taken: Step, now: int) -> None:
    if isinstance(taken.store, StoreConflict):
        proof = encode_two_charters(TwoCharterProof(taken.store.first, taken.store.second))
        transaction.record(TWO_CHARTERS, str(taken.store.error), proof, now)
    elif taken.store is not None:
        transaction.save_charter(taken.store.version, taken.store.signed.encode(), now)
        if taken.store.logged:
            _log_own_signature(transaction, taken.store.signed, now)
        if isinstance(taken.store, StoreCharter):
            transaction.forget_epochs((key.key_class, key.epoch) for key in taken.store.charter.classes)


def _log_own_signature(transaction: Transaction, signed: SignedCharter, now: int) -> None:
    hashed = charter_hash(signed.document)
    # The hash is its own idempotency key: one document is logged once, however often it arrives.
    transaction.submit(hashed[:16], hashed, [Entry(charter_header(hashed))], now)


def _convicted(snapshot: Snapshot, chain: tuple[Charter, ...]) -> frozenset[tuple[int, bytes]]:
    """Return the (version, member) pairs that the stored proofs convict."""
    pairs: set[tuple[int, bytes]] = set()
    for proof in snapshot.proofs(TWO_CHARTERS, MAX_PROOFS):
        document, members = verify_two_charters(parse_two_charters(proof), chain)
        pairs.update((document.version, member) for member in members)
    return frozenset(pairs)


def _stored_charters(snapshot: Snapshot) -> list[bytes]:
    envelopes: list[bytes] = []
    while (envelope := snapshot.charter(len(envelopes) + 1)) is not None:
        envelopes.append(envelope)
    return envelopes
