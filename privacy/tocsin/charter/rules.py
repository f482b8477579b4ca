"""When a charter may be believed. The rules follow TUF's root role.

1. Version 1 is signed by every member. The hash of one version is pinned out of band.
2. Version n+1 is signed by a quorum of version n, under the keys of n, and by a quorum of version n+1, under the keys
   of n+1: f = ⌊(n − 1)/3⌋, q = ⌊(n + f)/2⌋ + 1 of n members.
3. It never goes back: no lower version, no skipped one, no other federation or mode, no earlier issue or expiry.
4. Where members or client keys change, the pepper is fresh and its period number is above every one that an earlier
   charter reaches before it expires; elsewhere the period stays as it is. (Because of rule 3's expiry the preceding
   charter reaches furthest.)
5. A class and epoch keep their public key, and their threshold does not fall; a new key takes an epoch above all
   earlier ones of its class. So that this shows from one version to the next, a class stays, and its newest epoch
   stays or is succeeded by a higher one. An overlap that is past is not extended.
6. Every CA certificate satisfies `authority`. Every signature verifies under a member's identity key.
7. It must not come from the future. A chain may pass through expired versions; the newest must be `check_fresh`.
8. A member signs one document per version and attempt: `conflict` shows who signed two.
"""

import hmac
from collections.abc import Mapping, Sequence

from tocsin.charter import signing
from tocsin.charter.authority import check_authorities
from tocsin.charter.document import Charter, ClassKey, parse_charter
from tocsin.charter.envelope import DOMAIN, SignedCharter, charter_hash
from tocsin.charter.errors import (
    BadAuthority,
    BadCharter,
    BadCharterSignature,
    EpochDropped,
    EpochReopened,
    EpochReused,
    Expired,
    ExpiresEarlier,
    ForeignFederation,
    KeyReplaced,
    NotAMember,
    NotEnoughSignatures,
    NotYetValid,
    PepperKept,
    PeriodChanged,
    PeriodReused,
    RolledBack,
    Skipped,
    ThresholdLowered,
    TwoCharters,
    UnknownClass,
    UnknownEpoch,
    WrongPin,
)

__all__ = [
    "CLOCK_SKEW_SECONDS",
    "BadAuthority",
    "BadCharter",
    "BadCharterSignature",
    "EpochDropped",
    "EpochReopened",
    "EpochReused",
    "Expired",
    "ExpiresEarlier",
    "ForeignFederation",
    "KeyReplaced",
    "NotAMember",
    "NotEnoughSignatures",
    "NotYetValid",
    "PepperKept",
    "PeriodChanged",
    "PeriodReused",
    "RolledBack",
    "Skipped",
    "ThresholdLowered",
    "TwoCharters",
    "UnknownClass",
    "UnknownEpoch",
    "WrongPin",
    "check_fresh",
    "conflict",
    "quorum",
    "signers_of_both",
    "verified_signatures",
    "verify_founding",
    "verify_next",
    "verify_pinned",
]

CLOCK_SKEW_SECONDS = 600
"""How far the clock of whoever issued a charter may be ahead."""


def quorum(n: int) -> int:
    """Return how many of n members must sign (M-3.5): ⌊(n + f)/2⌋ + 1 with f = ⌊(n − 1)/3⌋. Any two quorums overlap."""
    return (n + (n - 1) // 3) // 2 + 1


def verify_founding(signed: SignedCharter, pin: bytes | None, now: int) -> Charter:
    """Return version 1, signed by all its members; `pin` is its 32-byte hash, None only where it is being made.

    Raises `BadCharter`: `WrongPin`, `Skipped`, `NotEnoughSignatures`, `BadCharterSignature`, `BadAuthority` or
    `NotYetValid`.
    """
    # The pin first: it costs one hash, and nothing of an unpinned document needs to be understood.
    if pin is not None:
        _check_pin(signed, pin)
    charter = parse_charter(signed.document)
    if charter.version != 1:
        raise Skipped("founding", "$.version", f"a federation begins with version 1, not {charter.version}")
    signers = _signers(signed, _identities(charter))
    _check_quorum(charter, signers, len(charter.members), "founding")
    _check_issued(charter, now)
    check_authorities(charter)
    return charter


def verify_pinned(signed: SignedCharter, pin: bytes, now: int) -> Charter:
    """Return the charter, of any version, whose 32-byte hash was pinned out of band (M-3.13).

    A quorum of its own members must have signed it; who else did cannot be known without the version before it. Raises
    `BadCharter`, as `verify_founding` does.
    """
    _check_pin(signed, pin)
    charter = parse_charter(signed.document)
    if charter.version == 1:
        return verify_founding(signed, pin, now)
    signers = _verified(signed, [_identities(charter)])
    _check_quorum(charter, signers, quorum(len(charter.members)), "quorum-of-new")
    _check_issued(charter, now)
    check_authorities(charter)
    return charter


def verify_next(current: Charter, signed: SignedCharter, now: int) -> Charter:
    """Return the version that follows `current`. It may be expired: `check_fresh` is for the newest only.

    Raises `BadCharter`, as a subclass that names the rule.
    """
    charter = parse_charter(signed.document)
    # M-3.7: the same federation and mode, the next number, and no earlier issue or expiry.
    if (charter.federation, charter.mode) != (current.federation, current.mode):
        raise ForeignFederation(
            "federation", "$.federation", "must be of the same federation and mode as its predecessor"
        )
    if charter.version <= current.version:
        raise RolledBack(
            "version",
            "$.version",
            f"version {charter.version} is not newer than {current.version}, already trusted",
        )
    if charter.version != current.version + 1:
        raise Skipped(
            "version",
            "$.version",
            f"version {current.version} is succeeded by the next one, not {charter.version}",
        )
    signers = _signers(signed, _identities(current), _identities(charter))
    _check_quorum(current, signers, quorum(len(current.members)), "quorum-of-old")
    _check_quorum(charter, signers, quorum(len(charter.members)), "quorum-of-new")
    _check_issued(charter, now)
    if charter.issued < current.issued:
        raise RolledBack("issued", "$.issued", "it was issued before its predecessor")
    if charter.expires < current.expires:
        raise ExpiresEarlier("expires", "$.expires", "it expires before its predecessor: give it longer")
    _check_period(current, charter)
    _check_keys(current, charter)
    check_authorities(charter)
    return charter


def check_fresh(charter: Charter, now: int) -> None:
    """Check that the newest charter known is in force at `now`. Raises `Expired` or `NotYetValid`."""
    _check_issued(charter, now)
    # M-3.11: an expired charter is only succeeded and followed under.
    if now >= charter.expires:
        raise Expired(
            "expired",
            "$.expires",
            f"version {charter.version} has expired: draft the next version and have a quorum sign it",
        )


def conflict(known: SignedCharter, other: SignedCharter, previous: Charter | None = None) -> None:
    """Check that two envelopes are not two documents of one version and attempt (M-3.12); `known` is verified.

    Identity keys are taken from `known`'s document and, for members that it removed, from `previous`, never from
    `other`'s. Raises `TwoCharters` naming the members that signed both, and `BadCharter` for an unreadable one.
    Returns where versions, attempts or federations differ, or where nobody is shown to have signed both.
    """
    trusted = parse_charter(known.document)
    signers = signers_of_both(known, other, [trusted] if previous is None else [trusted, previous])
    if signers:
        raise TwoCharters(trusted.version, signers)


def signers_of_both(
    first: SignedCharter, second: SignedCharter, trusted: Sequence[Charter]
) -> tuple[bytes, ...]:
    """Return the ids of the members that signed two documents of one version and attempt with one key of `trusted`.

    Ascending, and none where the two are one document or not of one federation, version and attempt. Raises
    `BadCharter` for an unreadable document.
    """
    if first.document == second.document:
        return ()
    ours, theirs = parse_charter(first.document), parse_charter(second.document)
    # M-3.12: a draft that was withdrawn half signed leaves its attempt behind, and convicts nobody.
    if (ours.federation, ours.version, ours.attempt) != (theirs.federation, theirs.version, theirs.attempt):
        return ()
    keys = [_identities(charter) for charter in trusted]
    both = _verified(first, keys) & _verified(second, keys)
    return tuple(sorted({member for member, _ in both}))


def verified_signatures(signed: SignedCharter, trusted: Sequence[Charter]) -> set[tuple[bytes, bytes]]:
    """Return those (member id, signature) of an envelope that verify under an identity key of `trusted`."""
    keys = [_identities(charter) for charter in trusted]
    return {
        (member, signature)
        for member, signature in signed.signatures
        if _verified(SignedCharter(signed.document, ((member, signature),)), keys)
    }


def _check_pin(signed: SignedCharter, pin: bytes) -> None:
    # M-3.4, M-3.13
    if not hmac.compare_digest(charter_hash(signed.document), pin):
        raise WrongPin(
            "pin",
            "$",
            "its hash is not the pinned one: take the charter and its pin from another member, out of band",
        )


def _identities(charter: Charter) -> Mapping[bytes, bytes]:
    return {member.id: member.identity for member in charter.members}


def _verified(signed: SignedCharter, identities: list[Mapping[bytes, bytes]]) -> set[tuple[bytes, bytes]]:
    """Return (member, identity key) of each signature that verifies under one of a member's keys."""
    return {
        (member, keys[member])
        for member, signature in signed.signatures
        for keys in identities
        if member in keys and signing.is_signed_by(keys[member], DOMAIN, signed.document, signature)
    }


def _signers(signed: SignedCharter, *identities: Mapping[bytes, bytes]) -> set[tuple[bytes, bytes]]:
    signers: set[tuple[bytes, bytes]] = set()
    for at, (member, signature) in enumerate(signed.signatures):
        mine = _verified(SignedCharter(signed.document, ((member, signature),)), list(identities))
        # M-3.6: somebody must have made every signature.
        if not mine:
            raise BadCharterSignature(
                "signature",
                f"$.signatures[{at}]",
                f"the signature of {member.hex()} verifies under none of its identity keys: drop it, or sign again",
            )
        signers |= mine
    return signers


def _check_quorum(charter: Charter, signers: set[tuple[bytes, bytes]], needed: int, rule: str) -> None:
    present = frozenset(member for member, key in signers if (member, key) in _identities(charter).items())
    if len(present) < needed:
        raise NotEnoughSignatures(
            rule,
            "$.signatures",
            f"version {charter.version} needs {needed} of its {len(charter.members)} members, {len(present)} signed",
            present,
        )


def _check_issued(charter: Charter, now: int) -> None:
    # M-3.7: not from the future.
    if charter.issued > now + CLOCK_SKEW_SECONDS:
        raise NotYetValid(
            "issued", "$.issued", f"version {charter.version} is from the future: check this machine's clock"
        )


def _check_period(current: Charter, charter: Charter) -> None:
    old, new = current.period, charter.period
    readers = {member.id: member.client_hpke for member in charter.members}
    if readers == {member.id: member.client_hpke for member in current.members}:
        if (old.number, old.start, old.commitment) != (new.number, new.start, new.commitment):
            raise PeriodChanged(
                "same-period",
                "$.period",
                "members and client keys are the same, so the period stays as it is",
            )
        return
    # M-3.8: a fresh pepper, under a number above every one that an earlier charter reaches.
    if hmac.compare_digest(old.commitment, new.commitment):
        raise PepperKept(
            "fresh-pepper", "$.period.commitment", "members or client keys changed: draw a fresh pepper"
        )
    if new.number <= current.last_period:
        raise PeriodReused(
            "fresh-number",
            "$.period.number",
            f"version {current.version} reaches period {current.last_period} before it expires: start above it",
        )


def _check_same_epoch(before: ClassKey, key: ClassKey, path: str, issued: int) -> None:
    if before.public_key != key.public_key:
        raise KeyReplaced(
            "same-key", f"{path}.commitments", "the epoch has another public key: take a new epoch"
        )
    # M-3.17: fewer seats than were needed once must not be enough later.
    if key.threshold < before.threshold:
        raise ThresholdLowered(
            "threshold",
            f"{path}.threshold",
            f"{before.threshold} seats were needed in this epoch: keep that many, or take a new epoch",
        )
    ended = before.overlap_until
    # M-3.18: what has ended stays ended.
    if ended is not None and ended <= issued and (key.overlap_until is None or key.overlap_until > ended):
        raise EpochReopened(
            "overlap",
            f"{path}.overlap_until",
            "the epoch ended before this version was issued: leave its overlap as it was",
        )


def _check_keys(current: Charter, charter: Charter) -> None:
    old = {(key.key_class, key.epoch): key for key in current.classes}
    newest = {key.key_class: key.epoch for key in current.classes}
    kept = {key.key_class: key.epoch for key in charter.classes}
    for number, epoch in newest.items():
        # M-3.9: a class stays, and its newest epoch stays or is succeeded.
        if kept.get(number, -1) < epoch:
            raise EpochDropped(
                "epochs-stay",
                "$.classes",
                f"class {number} has reached epoch {epoch}: keep that epoch, or add a newer one",
            )
    for at, key in enumerate(charter.classes):
        before = old.get((key.key_class, key.epoch))
        # M-3.9: an epoch keeps its key, and a new key takes a new epoch.
        if before is not None:
            _check_same_epoch(before, key, f"$.classes[{at}]", charter.issued)
        elif key.epoch <= newest.get(key.key_class, -1):
            raise EpochReused(
                "new-epoch",
                f"$.classes[{at}].epoch",
                f"a new key takes an epoch above {newest[key.key_class]}",
            )
