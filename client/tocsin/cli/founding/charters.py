"""The first charter: drafted from the members' cards, given key commitments, signed by each, installed by each.

1. A draft is a charter document whose classes have no commitments yet; `keys deal` completes it. Only a complete document
   can be signed.
2. Before a member signs, its own client key must open the pepper and the commitment must match (SPEC.md §5).
3. Whoever installs a charter pins the hash of version 1, which members compare with each other by other means.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tocsin.charter.card import MemberCard
from tocsin.charter.document import Charter, ClassKey, Member, Period, Policy, parse_charter
from tocsin.charter.envelope import SignedCharter, charter_hash, merge_signatures, sign_document
from tocsin.charter.rules import verify_founding
from tocsin.cli.founding.members import FoundingError, open_part
from tocsin.client.system import random
from tocsin.indicators.registry import SNAPSHOT_NAMES, TYPES, KeyClass
from tocsin.sealing import hpke
from tocsin.sealing.keyring import Passphrase
from tocsin.sealing.period import Pepper, pepper_commitment

CHARTER_DAYS = 180
DEFAULT_TICK_SECONDS = 60


@dataclass(frozen=True)
class Terms:
    """What the founders agree on besides who they are. `budgets` is Q per class, evaluations per epoch and seat."""

    federation: str
    mode: str  # "live" or "test"
    committee: int
    threshold: int
    tick_seconds: int = DEFAULT_TICK_SECONDS
    budgets: Mapping[KeyClass, int] | None = None


# Q per seat and epoch: 1 % of the smallest space over the c/t quorum advantage would be far below what a provider must
# screen for the weak types, so those are listed as enumerable in the threat model and Q follows the screening volume.
_DEFAULT_BUDGET = 10_000_000


def draft(cards: Sequence[MemberCard], terms: Terms, now: int) -> Charter:
    """Version 1 without commitments. The committee is the first members in the order of the cards."""
    members = tuple(card.member for card in cards)
    if len({member.id for member in members}) != len(members):
        raise FoundingError("two cards are of one member: name each member's card once")
    if not 1 <= terms.threshold <= terms.committee <= min(7, len(members)):
        raise FoundingError(
            f"committee {terms.committee} with threshold {terms.threshold} does not fit {len(members)} members: "
            "1 ≤ threshold ≤ committee ≤ members, and at most 7 evaluators"
        )
    for card in cards:
        if card.federation != terms.federation:
            raise FoundingError(f"the card of {card.member.name} is for federation {card.federation}, not {terms.federation}")
    pepper = Pepper(random(32))
    return Charter(
        federation=terms.federation,
        version=1,
        mode=terms.mode,
        issued=now,
        expires=now + CHARTER_DAYS * 86400,
        period=Period(
            number=1,
            start=now,
            commitment=pepper_commitment(pepper),
            sealed={
                member.id: hpke.seal_to(member.client_hpke, hpke.pepper_info(terms.federation, 1, 1, member.id), pepper)
                for member in members
            },
        ),
        members=members,
        classes=tuple(_class_key(key_class, members, terms) for key_class in KeyClass),
        tick_seconds=terms.tick_seconds,
        snapshots=SNAPSHOT_NAMES,
        policy=Policy(),
    )


def _class_key(key_class: KeyClass, members: Sequence[Member], terms: Terms) -> ClassKey:
    strengths = [each.min_strength for each in TYPES.values() if each.key_class is key_class]
    return ClassKey(
        key_class=int(key_class),
        name=key_class.label,
        epoch=1,
        threshold=terms.threshold,
        committee=tuple(member.id for member in members[: terms.committee]),
        commitments=(),
        budget=(terms.budgets or {}).get(key_class, _DEFAULT_BUDGET),
        smallest_space=2 ** min(strengths, default=64),
        retention_days=key_class.retention_days,
        overlap_until=None,
    )


def sign(folder: Path, signed: SignedCharter, passphrase: Passphrase | None = None) -> SignedCharter:
    """Add the signature of the member whose folder it is, after opening the pepper. Raises FoundingError."""
    charter = parse_charter(signed.document)
    member = _own_member(folder, charter)
    own = open_part(folder, "client", passphrase)
    period = charter.period
    info = hpke.pepper_info(charter.federation, charter.version, period.number, member.id)
    try:
        pepper = Pepper(hpke.open_sealed(own["client_hpke"], info, period.sealed[member.id]))
    except hpke.CannotOpen:
        raise FoundingError(
            f"the pepper in this charter was not sealed to {member.name}'s client key: do not sign, ask for a new draft"
        ) from None
    if pepper_commitment(pepper) != period.commitment:
        raise FoundingError("the pepper sealed to this member is not the one committed to: do not sign, ask for a new draft")
    identity = open_part(folder, "identity", passphrase)["identity"]
    signature = sign_document(signed.document, identity)
    return merge_signatures(signed, SignedCharter(signed.document, ((member.id, signature),)))


def install(folder: Path, envelope: bytes, signed: SignedCharter, shares: Path | None, now: int) -> bytes:
    """Put a founding charter, its pin and the member's share files in place for node and client; returns the pin."""
    pin = charter_hash(signed.document)
    charter = verify_founding(signed, pin, now)
    member = _own_member(folder, charter)
    for part in ("node", "client"):
        _replace(folder / part / "charter.json", envelope)
        toml = folder / part / f"{part}.toml"
        pinned = re.sub(r'(?m)^charter_pin = "[0-9a-f]*".*$', f'charter_pin = "{pin.hex()}"', toml.read_text())
        _replace(toml, pinned.encode())
    if shares is not None:
        for file in sorted((shares / member.id.hex()).glob("*.share")):
            _replace(folder / "node" / "shares" / file.name, file.read_bytes())
    return pin


def _own_member(folder: Path, charter: Charter) -> Member:
    try:
        own = bytes.fromhex(json.loads((folder / "card.json").read_bytes())["id"])
    except FileNotFoundError:
        raise FoundingError(f"{folder} holds no card.json: name the folder that `tocsin member init` made") from None
    except (ValueError, KeyError, TypeError):
        raise FoundingError(f"{folder / 'card.json'} is not a member card") from None
    return charter.member(own)


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(content)
    os.replace(fresh, path)
