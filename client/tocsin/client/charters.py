"""Which charter a client uses, and the peppers it got from charters.

Rules
1. Trust begins at the pinned hash of one version. Every later version is verified against the one before it, and what
   was verified is kept in the vault with the time of adoption; keys come from nowhere else.
2. A client never goes back: it resumes from the newest charter in its vault, expired or not. A file or a node that
   offers an older one is refused, and so is another document of a version that the vault has; that one is kept beside
   the charter as proof (M-3.13).
3. An expired charter serves only to verify its successor.
4. A pepper is opened with the client's key and must match its charter's commitment. It is kept while a period of it
   is live, since look-ups cover every period of the last 60 days.
5. The newest charter is also written to client/charter.json, in one step.
6. Nothing is evaluated by other tables of canonical forms than those the charter names.
7. When a charter is adopted that is in force, the vault drops the peppers that no live period needs (rule 4), the
   outputs of key epochs that ended 60 days ago, and the bands that nothing needs then. A
   period, epoch or type that this charter and release do not know belongs to another process, and stays.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tocsin.charter.chain import verify_step
from tocsin.charter.document import PERIOD_SECONDS, Charter, ClassKey, Member, parse_charter
from tocsin.charter.envelope import SignedCharter, charter_hash, parse_envelope
from tocsin.charter.eras import Adopted, live_peppers, readable_keys
from tocsin.charter.rules import BadCharter, NotYetValid, check_fresh, verify_pinned
from tocsin.client.config import ClientConfig
from tocsin.client.errors import (
    BadConfig,
    CharterRefused,
    NodeMisbehaved,
    Unavailable,
    UntrustedCharter,
    WrongPepper,
)
from tocsin.client.ports import NodeApi
from tocsin.client.vault import Vault
from tocsin.indicators.registry import SNAPSHOT_NAMES, TYPES
from tocsin.proofs.two_charters import TwoCharters, encode_two_charters
from tocsin.sealing import hpke
from tocsin.sealing.pepper import Pepper, ratchet, verify_pepper
from tocsin.sealing.pepper import WrongPepper as NotCommitted


@dataclass(frozen=True, slots=True)
class ActiveCharter:
    """What a call works under: the verified charters, this member in the newest of them, and the peppers.

    `chain` ascends to `charter`, with the times of adoption; `peppers` are those received, by the period's number that
    their charter states.
    """

    charter: Charter
    member: Member
    chain: tuple[Adopted, ...] = field(repr=False)
    peppers: Mapping[int, Pepper] = field(repr=False)

    @property
    def others(self) -> tuple[Member, ...]:
        """Every member but this one, in the charter's order."""
        return tuple(member for member in self.charter.members if member.id != self.member.id)

    @property
    def newest_period(self) -> int:
        """The last period that this charter reaches: the next pepper begins above it."""
        return self.charter.last_period

    def pepper(self, period: int) -> Pepper:
        """Return the pepper of a live period."""
        number = max((first for first in self.peppers if first <= period), default=None)
        if number is None:
            raise CharterRefused(
                f"the pepper of period {period} was never received; wait for the next charter"
            )
        return ratchet(self.peppers[number], period - number)

    def periods(self, since: int, now: int) -> tuple[int, ...]:
        """Return, newest first, every period of the last 60 days (M-7.4) that did not end before `since`."""
        periods: set[int] = set()
        for era in live_peppers(self.chain, now):
            own = era.charter.period
            if own.number in self.peppers:
                periods.update(
                    period
                    for period in era.periods
                    if own.start + (period - own.number + 1) * PERIOD_SECONDS > since
                )
        return tuple(sorted(periods, reverse=True))

    def check_tables(self) -> None:
        """Check that values are folded here by the tables that the charter names (rule 6). Raises `CharterRefused`."""
        if set(self.charter.snapshots) != set(SNAPSHOT_NAMES):
            raise CharterRefused(
                f"charter version {self.charter.version} names the tables {', '.join(self.charter.snapshots)}, this "
                f"release ships {', '.join(SNAPSHOT_NAMES)}: values would be hashed differently than by the other "
                "members; install the release that ships the charter's tables"
            )

    def live_classes(self, key_class: int, now: int) -> tuple[ClassKey, ...]:
        """Return a class's keys that are evaluated now, newest epoch first. Raises `CharterRefused`."""
        try:
            keys = self.charter.live_classes(key_class, now)
        except BadCharter as error:
            raise CharterRefused(str(error)) from None
        if not keys:
            raise CharterRefused(
                f"no epoch of class {key_class} is live in charter version {self.charter.version}"
            )
        return keys

    def readable_keys(self, key_class: int, now: int) -> tuple[ClassKey, ...]:
        """Return the keys of a class under which an entry may still live, newest epoch first; some are over.

        Raises `CharterRefused` for a class that no charter has.
        """
        keys = readable_keys(self.chain, key_class, now)
        if not keys:
            raise CharterRefused(f"charter version {self.charter.version} has no key for class {key_class}")
        return keys

    def is_evaluated(self, key: ClassKey, now: int) -> bool:
        """Say whether the committee still evaluates under a readable key."""
        return key in self.charter.classes and key.is_live(now)

    def readable_key(self, key_class: int, epoch: int, now: int) -> ClassKey:
        """Return one of `readable_keys`. Raises `CharterRefused`."""
        for key in self.readable_keys(key_class, now):
            if key.epoch == epoch:
                return key
        raise CharterRefused(f"epoch {epoch} of class {key_class} is over, and its last entry has expired")


class CharterKeeper:
    """Finds, verifies and keeps charters (rules 1 to 5)."""

    def __init__(self, config: ClientConfig, vault: Vault, client_hpke: bytes) -> None:
        self._config = config
        self._vault = vault
        self._client_hpke = client_hpke

    def certificate_authority(self) -> bytes:
        """Return the member's CA (DER) for the channel to its node, from the newest charter available.

        The file need not be verified yet: the chain that then comes through the channel is verified.
        """
        kept = self._vault.charters()
        try:
            envelope = kept[-1].envelope if kept else self._config.charter.read_bytes()
            return parse_charter(parse_envelope(envelope).document).member(self._config.member).ca
        except OSError as error:
            raise self._unreadable(error) from None
        except BadCharter as error:
            raise CharterRefused(f"{self._config.charter}: {error}") from None

    def load(self, now: int) -> ActiveCharter | None:
        """Return what can be used without asking the node; None where a newer charter must be fetched first.

        Raises `CharterRefused` and `WrongPepper`.
        """
        try:
            file = parse_envelope(self._config.charter.read_bytes())
            offered = parse_charter(file.document)
        except OSError as error:
            raise self._unreadable(error) from None
        except BadCharter as error:
            raise CharterRefused(f"{self._config.charter}: {error}") from None
        chain = self._chain()
        if not chain:
            if charter_hash(file.document) != self._config.charter_pin:
                if offered.version == 1:
                    raise UntrustedCharter(
                        f"{self._config.charter} is version 1, but not the one that charter_pin in "
                        f"{self._config.path} names; install the right charter, or compare pins with the other members"
                    )
                return None
            self._adopt(chain, file, now)
        newest = chain[-1].charter
        if offered.version < newest.version:
            raise UntrustedCharter(
                f"{self._config.charter} holds version {offered.version}, but this client has already verified version "
                f"{newest.version}, and never goes back; restore the newer file"
            )
        if offered.version == newest.version:
            self._check_same(newest.version, file, str(self._config.charter))
        adopted = offered.version == newest.version + 1
        if adopted:
            self._adopt(chain, file, now)
        # An expired charter still leads to its successor, which only the node can have.
        if now >= chain[-1].charter.expires:
            return None
        active = self._standing(now)
        if adopted and active is not None:
            self._forget(active, now)
        return active

    def refresh(self, node: NodeApi, active: ActiveCharter | None, now: int) -> ActiveCharter:
        """Fetch and verify what is newer than the vault's newest charter. Returns the active to use.

        Raises `CharterRefused`, `WrongPepper`, `NodeMisbehaved`, `Unavailable`.
        """
        chain = self._chain()
        known = chain[-1].charter.version if chain else None
        first = known or 1
        while True:
            offered = [self._parse_offer(envelope) for envelope in node.charters(first)]
            if not offered:
                if known is None and first == 1:
                    raise CharterRefused("the node has no charter yet; install one there first")
                if first == known:
                    raise Unavailable(
                        f"the node does not hold charter version {known} yet, which this client has verified; install "
                        "it on the node"
                    )
                break
            versions = [parse_charter(signed.document).version for signed in offered]
            if versions != list(range(first, first + len(offered))):
                raise NodeMisbehaved("charters of other versions than requested")
            for signed, version in zip(offered, versions, strict=True):
                if version == known:
                    self._check_same(version, signed, "the node")
                elif chain or charter_hash(signed.document) == self._config.charter_pin:
                    self._adopt(chain, signed, now)
            # A page ends where the node's message was full: ask on until there is nothing more.
            if versions == [known]:
                break
            first = versions[-1] + 1
        fresh = self._standing(now)
        if fresh is None:
            raise CharterRefused("no charter could be verified from the pinned one on; check charter_pin")
        if active is None or active.charter.version < fresh.charter.version:
            self._forget(fresh, now)
        return fresh

    def _parse_offer(self, envelope: bytes) -> SignedCharter:
        try:
            return parse_envelope(envelope)
        except BadCharter as error:
            raise NodeMisbehaved(f"a charter that cannot be read ({error})") from error

    def _chain(self) -> list[Adopted]:
        """Return every charter in the vault; they were verified when they were adopted."""
        return [
            Adopted(parse_charter(parse_envelope(kept.envelope).document), kept.adopted)
            for kept in self._vault.charters()
        ]

    def _check_same(self, version: int, offered: SignedCharter, where: str) -> None:
        """Check that a document is the vault's of this version (M-3.13). Raises `UntrustedCharter`."""
        known = next(
            parse_envelope(kept.envelope) for kept in self._vault.charters() if kept.version == version
        )
        if offered.document == known.document:
            return
        proof = self._config.charter.with_name(f"charter-{version}.two-charters")
        self._replace_file(proof, encode_two_charters(TwoCharters(known, offered)))
        raise UntrustedCharter(
            f"{where} holds another charter of version {version} than the one that this client verified: two charters "
            f"of one version exist. Both are kept in {proof}: check it with `tocsin evidence verify`, and show it to "
            "the other members"
        )

    def _adopt(self, chain: list[Adopted], signed: SignedCharter, now: int) -> None:
        """Verify the next charter against the chain, keep it, and add it to the chain."""
        try:
            known = [kept.charter for kept in chain]
            pin = self._config.charter_pin
            charter = verify_step(known, signed, None, now) if chain else verify_pinned(signed, pin, now)
        except NotYetValid as error:
            raise CharterRefused(f"a charter was refused: {error}") from None
        except BadCharter as error:
            raise UntrustedCharter(f"a charter was refused: {error}") from None
        if charter.federation != self._config.federation:
            raise CharterRefused(
                f"the charter is of federation {charter.federation}, but {self._config.path} names "
                f"{self._config.federation}"
            )
        self._keep_pepper(charter)
        self._write_file(signed.encode())
        self._vault.keep_charter(charter.version, signed.encode(), now)
        chain.append(Adopted(charter, now))

    def _keep_pepper(self, charter: Charter) -> None:
        period = charter.period
        if any(number == period.number for number, _, _ in self._vault.peppers()):
            return
        sealed = period.sealed.get(self._config.member)
        if sealed is None:
            return
        info = hpke.pepper_info(charter.federation, period.number, self._config.member)
        try:
            pepper = Pepper(hpke.open_sealed(self._client_hpke, info, sealed))
            verify_pepper(pepper, period.commitment)
        except (hpke.CannotOpen, NotCommitted, ValueError):
            # An older charter may have been sealed to a key this client no longer has. `_standing` insists on the
            # newest one's.
            return
        self._vault.keep_pepper(period.number, period.start, pepper)

    def _standing(self, now: int) -> ActiveCharter | None:
        chain = self._chain()
        if not chain:
            return None
        charter = chain[-1].charter
        try:
            check_fresh(charter, now)
            member = charter.member(self._config.member)
        except BadCharter as error:
            raise CharterRefused(str(error)) from None
        peppers = {number: Pepper(pepper) for number, _, pepper in self._vault.peppers()}
        try:
            verify_pepper(peppers[charter.period.number], charter.period.commitment)
        except (KeyError, NotCommitted):
            raise WrongPepper(
                f"the pepper of charter version {charter.version} does not open with this client's key, or is not the "
                "one the charter commits to. Check that the keyring is this member's; else ask for a new charter"
            ) from None
        return ActiveCharter(charter, member, tuple(chain), peppers)

    def _forget(self, active: ActiveCharter, now: int) -> None:
        """Drop what nothing live needs (rule 7)."""
        charter = active.charter
        for type, epoch in self._vault.output_counts():
            if type not in TYPES:
                continue
            keys = active.readable_keys(TYPES[type].key_class, now)
            # What is newer than all of these belongs to another process.
            if keys and epoch < keys[0].epoch and not any(key.epoch == epoch for key in keys):
                self._vault.forget_epoch(type, epoch)
        self._vault.templates.forget(now)
        live = {era.charter.period.number for era in live_peppers(active.chain, now)}
        for number in active.peppers:
            if number < charter.period.number and number not in live:
                self._vault.forget_pepper(number)

    def _write_file(self, envelope: bytes) -> None:
        path = self._config.charter
        try:
            if path.read_bytes() == envelope:
                return
        except OSError as error:
            raise self._unreadable(error) from None
        self._replace_file(path, envelope)

    def _replace_file(self, path: Path, content: bytes) -> None:
        try:
            # Two processes may do this at once; either replaces the whole file.
            fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
            with fresh.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except OSError as error:
            raise BadConfig(f"{path}: cannot be written ({error.strerror})") from None

    def _unreadable(self, error: OSError) -> BadConfig:
        path: Path = self._config.charter
        return BadConfig(f"{path}: cannot be read ({error.strerror}); run `tocsin charter install`")
