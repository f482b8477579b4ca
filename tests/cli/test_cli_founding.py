from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from tocsin.charter.card import MemberCard, parse_card
from tocsin.charter.document import Charter
from tocsin.charter.envelope import SignedCharter
from tocsin.charter.errors import BadCharterSignature, NotAMember, NotEnoughSignatures
from tocsin.founding.certificates import LeafRole, issue_leaf, make_authority, spiffe_id
from tocsin.founding.charters import draft, install, read_draft, sign, verify_file, write_dealt
from tocsin.founding.keys import Seats, deal, seats_for
from tocsin.founding.members import FoundingError, init_member, open_part
from tocsin.oprf.group import Scalar, decode_scalar
from tocsin.oprf.shares import verify_share
from tocsin.sealing import hpke
from tocsin.sealing.keyring import KeyringError, Passphrase
from tocsin.wire.names import target_name

NOW = 1_790_000_000
FEDERATION = "fed.example"


def members(folder: Path, count: int = 3) -> list[tuple[Path, MemberCard]]:
    return [
        (folder / f"m{i}", init_member(folder / f"m{i}", FEDERATION, f"M{i}", f"127.0.0.1:{7000 + i}", NOW))
        for i in range(count)
    ]


def dealt(made: list[tuple[Path, MemberCard]]) -> tuple[Charter, dict[bytes, dict[str, bytes]]]:
    drafted = draft([card for _, card in made], FEDERATION, "test", 1, NOW)
    charter, files = deal(drafted, Seats([card.member.id for _, card in made], 2))
    return charter, {member: dict(shares) for member, shares in files.items()}


def test_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    members(tmp_path, 1)
    secret = [path for path in tmp_path.rglob("*") if path.suffix in {".keyring", ".key"}]
    assert len(secret) == 6
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_permissions_are_set_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        home = members(tmp_path / "new", 1)[0][0]
    finally:
        os.umask(before)
    modes = {
        path.relative_to(home).as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in (home, *home.rglob("*"))
    }
    secret = {name for name in modes if name.endswith((".keyring", "unlock.key"))}
    folders = {name for name in modes if (home / name).is_dir()}
    assert len(secret) == 6
    assert {modes[name] for name in secret} == {0o600}
    assert {modes[name] for name in folders} == {0o700}
    assert {mode for name, mode in modes.items() if name not in secret | folders} == {0o644}


def test_each_part_holds_its_own_keys_only(tmp_path: Path) -> None:
    members(tmp_path, 1)
    parts = {part: set(open_part(tmp_path / "m0", part)) for part in ("identity", "node", "client")}
    assert parts == {
        "identity": {"identity", "ca"},
        "node": {"log", "cosigner", "node", "node_hpke", "tls"},
        "client": {"client_hpke", "tls", "vault"},
    }


def test_no_secret_lies_in_the_open(tmp_path: Path) -> None:
    members(tmp_path, 1)
    secrets = [
        s for part in ("identity", "node", "client") for s in open_part(tmp_path / "m0", part).values()
    ]
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert [secret for secret in secrets if any(bytes(secret) in content for content in files)] == []


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    members(tmp_path, 1)
    with pytest.raises(FoundingError, match="not empty"):
        init_member(tmp_path / "m0", FEDERATION, "M0", "127.0.0.1:7000", NOW)


def test_a_passphrase_protects_every_part(tmp_path: Path) -> None:
    passphrase = Passphrase("correct horse battery staple")
    init_member(tmp_path / "m", FEDERATION, "M", "127.0.0.1:7000", NOW, passphrase)
    assert not list(tmp_path.rglob("unlock.key"))
    assert open_part(tmp_path / "m", "node", passphrase)
    with pytest.raises(KeyringError):
        open_part(tmp_path / "m", "node", Passphrase("another passphrase"))


def test_leaves_carry_the_names_that_the_other_side_checks() -> None:
    member = bytes(range(16))
    authority = make_authority(FEDERATION, member, NOW)
    node = issue_leaf(authority, FEDERATION, member, LeafRole.NODE, NOW).certificate
    client = issue_leaf(authority, FEDERATION, member, LeafRole.CLIENT, NOW).certificate
    names = node.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        spiffe_id(FEDERATION, member, LeafRole.NODE)
    ]
    assert names.get_values_for_type(x509.DNSName) == [target_name(FEDERATION, member)]
    names = client.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == []
    for leaf in (node, client):
        leaf.verify_directly_issued_by(authority.certificate)


def test_every_dealt_share_opens_for_its_holder_and_fits_the_commitments(tmp_path: Path) -> None:
    made = members(tmp_path)
    charter, files = dealt(made)
    seen: set[Scalar] = set()
    for folder, card in made:
        key = open_part(folder, "node")["node_hpke"]
        for name, sealed in files[card.member.id].items():
            key_class, epoch, seat = (int(part) for part in name.removesuffix(".share").split("-"))
            info = hpke.share_info(FEDERATION, key_class, epoch, seat, card.member.id)
            share = decode_scalar(hpke.open_sealed(key, info, sealed))
            verify_share(share, seat, charter.class_key(key_class, epoch).commitments)
            seen.add(share)
    assert len(seen) == 3 * len(charter.classes)


def test_a_charter_is_founded_by_all_and_by_no_fewer(tmp_path: Path) -> None:
    made = members(tmp_path)
    charter, files = dealt(made)
    signed = SignedCharter(charter.encode(), ())
    for folder, _ in made[:2]:
        signed = sign(folder, signed)
    with pytest.raises(NotEnoughSignatures):
        install(made[0][0], signed, None, NOW)
    signed = sign(made[2][0], signed)
    write_dealt(tmp_path / "dealt", charter, files)
    pins = {install(folder, signed, tmp_path / "dealt" / "shares", NOW) for folder, _ in made}
    (pin,) = pins
    for folder, _ in made:
        assert f'charter_pin = "{pin.hex()}"' in (folder / "node" / "node.toml").read_text()
        verified, digest = verify_file(folder / "client" / "charter.json", pin.hex(), None, NOW)
        assert (verified, digest) == (charter, pin)
        assert len(list((folder / "node" / "shares").iterdir())) == len(charter.classes)


def test_a_draft_cannot_be_signed(tmp_path: Path) -> None:
    made = members(tmp_path)
    drafted = draft([card for _, card in made], FEDERATION, "test", 1, NOW)
    with pytest.raises(FoundingError, match="keys deal"):
        sign(made[0][0], SignedCharter(drafted.encode(), ()))


def test_a_pepper_other_than_the_committed_one_is_not_signed(tmp_path: Path) -> None:
    made = members(tmp_path)
    charter, _ = dealt(made)
    member = made[0][1].member
    sealed = dict(charter.period.sealed)
    info = hpke.pepper_info(FEDERATION, charter.period.number, member.id)
    sealed[member.id] = hpke.seal_to(member.client_hpke, info, bytes(32))
    other = replace(charter, period=replace(charter.period, sealed=sealed))
    with pytest.raises(FoundingError, match="do not sign"):
        sign(made[0][0], SignedCharter(other.encode(), ()))


def test_a_stranger_cannot_sign(tmp_path: Path) -> None:
    made = members(tmp_path, 4)
    charter, _ = dealt(made[:3])
    with pytest.raises(NotAMember):
        sign(made[3][0], SignedCharter(charter.encode(), ()))


def test_an_altered_card_is_refused(tmp_path: Path) -> None:
    ((folder, card),) = members(tmp_path, 1)
    altered = (folder / "card.json").read_bytes().replace(b"127.0.0.1:7000", b"127.0.0.9:7000")
    with pytest.raises(BadCharterSignature):
        parse_card(altered)
    assert parse_card((folder / "card.json").read_bytes()) == card


def test_dealt_shares_are_never_written_over(tmp_path: Path) -> None:
    charter, files = dealt(members(tmp_path))
    write_dealt(tmp_path / "dealt", charter, files)
    with pytest.raises(FoundingError, match="not empty"):
        write_dealt(tmp_path / "dealt", charter, files)


def test_an_impossible_committee_is_refused(tmp_path: Path) -> None:
    made = members(tmp_path)
    drafted = draft([card for _, card in made], FEDERATION, "test", 1, NOW)
    with pytest.raises(FoundingError, match="threshold"):
        deal(drafted, Seats([made[0][1].member.id], 2))
    with pytest.raises(FoundingError, match="no member is called"):
        seats_for(drafted, ["nobody"])
    assert seats_for(drafted, ["m1", "M0"]) == [made[1][1].member.id, made[0][1].member.id]


def test_a_missing_draft_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(FoundingError, match="tocsin charter draft"):
        read_draft(tmp_path / "none.json")
