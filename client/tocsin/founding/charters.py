"""The first charter: drafted from the members' cards, completed by dealt keys, then signed and installed by each.

1. A draft is version 1 without class keys; `keys deal` adds them. Only then it is signed.
2. Before a member signs, its own client key must open the pepper and the commitment must match (SPEC.md §5).
3. Whoever installs a charter pins the hash of version 1, which members compare with each other by other means.
4. A member that holds seats installs a charter with the shares of all of them, or nothing: without them its node would
   start and evaluate nothing.
5. Existing files are never overwritten, except a charter file by its successor, and that in one step.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tocsin.charter.card import MemberCard, parse_card
from tocsin.charter.chain import verify_step
from tocsin.charter.document import Charter, ClassKey, Member, Mode, Period, Policy, parse_charter
from tocsin.charter.envelope import (
    SignedCharter,
    charter_hash,
    merge_signatures,
    parse_envelope,
    sign_document,
)
from tocsin.charter.rules import check_fresh, verify_founding
from tocsin.client.system import random_bytes
from tocsin.founding.certificates import federation_of
from tocsin.founding.keys import share_name
from tocsin.founding.members import FoundingError, open_part, own_folder
from tocsin.indicators.registry import SNAPSHOT_NAMES
from tocsin.sealing import hpke
from tocsin.sealing.keyring import Passphrase
from tocsin.sealing.pepper import Pepper, WrongPepper, pepper_commitment, verify_pepper

CHARTER_DAYS = 180
FIRST_PERIOD = 1
ENTRIES_PER_DAY = 1_000_000
MAX_HOPS = 4
ENUMERABLE_PERCENT = 1.0


def draft(cards: Sequence[MemberCard], federation: str, mode: Mode, tick_seconds: int, now: int) -> Charter:
    """Return version 1 without class keys. Raises `BadCharter` where cards or terms do not fit together.

    Raises FoundingError for a card whose member was made for another federation: its certificates name that one, so no
    connection to or from it would be accepted.
    """
    for card in cards:
        made_for = federation_of(card.member.ca)
        if made_for != federation:
            raise FoundingError(
                f"the card of {card.member.name} was made for {made_for or 'no federation'}, not for {federation}: "
                f"name that one, or ask for a card made with `tocsin member init … --federation {federation}`"
            )
    members = tuple(sorted((card.member for card in cards), key=lambda member: member.id))
    pepper = Pepper(random_bytes(32))
    return Charter(
        federation=federation,
        version=1,
        attempt=1,
        mode=mode,
        issued=now,
        expires=now + CHARTER_DAYS * 86_400,
        period=Period(
            number=FIRST_PERIOD,
            start=now,
            commitment=pepper_commitment(pepper),
            sealed={
                member.id: hpke.seal_to(
                    member.client_hpke, hpke.pepper_info(federation, FIRST_PERIOD, member.id), pepper
                )
                for member in members
            },
        ),
        members=members,
        classes=(),
        tick_seconds=tick_seconds,
        snapshots=SNAPSHOT_NAMES,
        policy=Policy(entries_per_day=ENTRIES_PER_DAY, max_hops=MAX_HOPS),
    )


def sign(folder: Path, signed: SignedCharter, passphrase: Passphrase | None = None) -> SignedCharter:
    """Add the signature of the member whose folder it is, after opening the pepper. Raises FoundingError."""
    charter = parse_charter(signed.document)
    if not charter.classes:
        raise FoundingError(
            "this is a draft without class keys: complete it with `tocsin keys deal`, then sign that"
        )
    member = _own_member(folder, charter)
    own = open_part(folder, "client", passphrase)
    period = charter.period
    info = hpke.pepper_info(charter.federation, period.number, member.id)
    try:
        verify_pepper(
            Pepper(hpke.open_sealed(own["client_hpke"], info, period.sealed[member.id])), period.commitment
        )
    except (hpke.CannotOpen, WrongPepper):
        raise FoundingError(
            f"the pepper in this charter does not open for {member.name}, or is not the one committed to: "
            "do not sign, ask for a new draft"
        ) from None
    identity = open_part(folder, "identity", passphrase)["identity"]
    return merge_signatures(
        signed, SignedCharter(signed.document, ((member.id, sign_document(signed.document, identity)),))
    )


def install(folder: Path, signed: SignedCharter, shares: Path | None, now: int) -> bytes:
    """Put a founding charter, its pin and the member's share files in place for node and client; returns the pin.

    Shares that are in place already need not be given again. Raises FoundingError, with nothing written, where one is
    missing; `BadCharter` for a charter that not all signed.
    """
    pin = charter_hash(signed.document)
    charter = verify_founding(signed, pin, now)
    member = _own_member(folder, charter)
    own = folder / "node" / "shares"
    for name, sealed in _own_shares(charter, member, own if shares is None else shares / member.id.hex()):
        replace_file(own / name, sealed)
    for part in ("node", "client"):
        replace_file(folder / part / "charter.json", signed.encode())
        toml = folder / part / f"{part}.toml"
        pinned = re.sub(
            r'(?m)^charter_pin = "[0-9a-f]*".*$', f'charter_pin = "{pin.hex()}"', toml.read_text()
        )
        replace_file(toml, pinned.encode())
    return pin


def read_draft(path: Path) -> Charter:
    """Return the charter that `draft` wrote. Raises FoundingError for a missing file, `BadCharter` for a bad one."""
    try:
        return parse_charter(path.read_bytes())
    except FileNotFoundError:
        raise FoundingError(f"{path} does not exist: write it with `tocsin charter draft`") from None


def write_dealt(folder: Path, charter: Charter, shares: Mapping[bytes, Mapping[str, bytes]]) -> None:
    """Write `charter.json`, complete and unsigned, and `shares/<member id>/` with each member's sealed files."""
    if folder.exists() and any(folder.iterdir()):
        raise FoundingError(
            f"{folder} is not empty: name a new folder; existing shares are never overwritten"
        )
    for member, files in shares.items():
        own = folder / "shares" / member.hex()
        own_folder(own)
        for name, sealed in files.items():
            (own / name).write_bytes(sealed)
    (folder / "charter.json").write_bytes(SignedCharter(charter.encode(), ()).encode())


def verify_file(path: Path, pin: str | None, previous: Path | None, now: int) -> tuple[Charter, bytes]:
    """Return a signed charter file, verified as a founding one or as the successor of `previous`, and its hash."""
    signed = parse_envelope(path.read_bytes())
    before = [] if previous is None else [parse_charter(parse_envelope(previous.read_bytes()).document)]
    charter = verify_step(before, signed, None if pin is None else _pin(pin), now)
    check_fresh(charter, now)
    return charter, charter_hash(signed.document)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def coverage_text(key: ClassKey) -> str:
    """Return, in words, how much of a class's smallest space the holder of one seat can search in one epoch."""
    share = key.coverage(1)
    if share is None:
        return "no bound: one seat holds the key"
    percent = min(100.0, float(share * 100))
    return f"{percent:.3g} %" + (", enumerable" if percent > ENUMERABLE_PERCENT else "")


def _pin(text: str) -> bytes:
    try:
        pin = bytes.fromhex(text)
    except ValueError:
        pin = b""
    if len(pin) != 32:
        raise FoundingError("a pin must be 64 hex digits: the SHA-256 of version 1's document")
    return pin


def _own_shares(charter: Charter, member: Member, folder: Path) -> list[tuple[str, bytes]]:
    names = [
        share_name(key.key_class, key.epoch, seat)
        for key in charter.classes
        for seat in key.seats_of(member.id)
    ]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise FoundingError(
            f"{member.name} holds {len(names)} seats, and {folder} lacks the shares of {len(missing)} of them "
            f"({missing[0]} is the first): name with --shares the shares folder that `tocsin keys deal` wrote"
        )
    return [(name, (folder / name).read_bytes()) for name in names]


def _own_member(folder: Path, charter: Charter) -> Member:
    try:
        card = parse_card((folder / "card.json").read_bytes())
    except FileNotFoundError:
        raise FoundingError(
            f"{folder} holds no card.json: name the folder that `tocsin member init` made"
        ) from None
    return charter.member(card.member.id)
