"""A member's own folder: its keys, certificates, configuration and public card.

1. Three folders, for three machines: `identity/` (kept offline), `node/` and `client/`. The client's HPKE key, which
   opens peppers, is never in `node/`; the identity and CA keys are in neither.
2. Secrets are written only inside keyrings, encrypted under `unlock.key` (mode 0600) or a passphrase.
3. An existing folder is never overwritten.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tocsin.charter.card import MemberCard, sign_card
from tocsin.charter.checks import check_federation
from tocsin.charter.document import Contact, Member
from tocsin.client.secret_files import read_key_file
from tocsin.client.system import random_bytes
from tocsin.founding.certificates import LeafRole, issue_leaf, make_authority
from tocsin.primitives.ed25519 import SigningKey
from tocsin.sealing import hpke
from tocsin.sealing.keyring import Passphrase, UnlockKey, open_keyring, seal_keyring


class FoundingError(ValueError):
    """A founding command was given something it cannot use; the message says what, where and how to fix it."""


def init_member(
    folder: Path,
    federation: str,
    name: str,
    endpoint: str,
    now: int,
    passphrase: Passphrase | None = None,
    contact: Contact | None = None,
) -> MemberCard:
    """Make a member: keys, CA, certificates, configuration, card. Raises FoundingError for a folder in use."""
    if folder.exists() and any(folder.iterdir()):
        raise FoundingError(f"{folder} is not empty: name a new folder; existing files are never overwritten")
    check_federation(federation)
    member = random_bytes(16)
    seeds = {key: random_bytes(32) for key in ("identity", "log", "cosigner", "node")}
    node_hpke, client_hpke = hpke.generate(random_bytes), hpke.generate(random_bytes)
    authority = make_authority(federation, member, now)
    node_leaf = issue_leaf(authority, federation, member, LeafRole.NODE, now)
    client_leaf = issue_leaf(authority, federation, member, LeafRole.CLIENT, now)
    card = sign_card(
        Member(
            id=member,
            name=name,
            endpoints=(endpoint,),
            ca=authority.der,
            node_hpke=hpke.public_key(node_hpke),
            client_hpke=hpke.public_key(client_hpke),
            contact=contact or Contact(),
            **{key: SigningKey(seed).public_key for key, seed in seeds.items()},
        ),
        seeds["identity"],
    )
    parts: Mapping[str, Mapping[str, bytes]] = {
        "identity": {"identity": seeds["identity"], "ca": authority.private_key},
        "node": {
            **{key: seeds[key] for key in ("log", "cosigner", "node")},
            "node_hpke": node_hpke,
            "tls": node_leaf.private_key,
        },
        "client": {"client_hpke": client_hpke, "tls": client_leaf.private_key, "vault": random_bytes(32)},
    }
    for part, secrets in parts.items():
        _write_part(folder / part, part, secrets, passphrase)
    own_folder(folder / "node" / "shares")
    write_public(folder / "identity" / "ca.crt", authority.pem)
    write_public(folder / "node" / "node.crt", node_leaf.pem)
    write_public(folder / "client" / "client.crt", client_leaf.pem)
    unlock = "passphrase" if passphrase else "unlock.key"
    write_public(folder / "node" / "node.toml", _node_toml(federation, member, endpoint, unlock).encode())
    write_public(
        folder / "client" / "client.toml", _client_toml(federation, member, endpoint, unlock).encode()
    )
    write_public(folder / "card.json", card.encode())
    return card


def open_part(folder: Path, part: str, passphrase: Passphrase | None = None) -> dict[str, bytes]:
    """The secrets of `identity`, `node` or `client` of a member's folder. Raises FoundingError, `BadConfig`."""
    path = folder / part / f"{part}.keyring"
    try:
        sealed = path.read_bytes()
        unlock = passphrase or UnlockKey(read_key_file(path.parent / "unlock.key"))
    except FileNotFoundError as missing:
        raise FoundingError(
            f"{missing.filename} is missing: name the folder that `tocsin member init` made"
        ) from None
    return dict(open_keyring(sealed, unlock))


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads; never overwrite an existing one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)  # the umask may have taken from it
        file.write(content)


def write_public(path: Path, content: bytes) -> None:
    """Write a file that anybody may read who gets into its folder, whatever the umask."""
    path.write_bytes(content)
    path.chmod(0o644)


def own_folder(path: Path) -> None:
    """Make a folder, and those above it, that its owner alone enters, whatever the umask."""
    if not path.parent.exists():
        own_folder(path.parent)
    path.mkdir(mode=0o700)
    path.chmod(0o700)


def _write_part(folder: Path, part: str, secrets: Mapping[str, bytes], passphrase: Passphrase | None) -> None:
    own_folder(folder)
    unlock: UnlockKey | Passphrase
    if passphrase is None:
        unlock = UnlockKey(random_bytes(32))
        write_secret(folder / "unlock.key", unlock)
    else:
        unlock = passphrase
    write_secret(folder / f"{part}.keyring", seal_keyring(secrets, unlock, random_bytes))


def _node_toml(federation: str, member: bytes, endpoint: str, unlock: str) -> str:
    return f"""# A member's node. Variables TOCSIN_NODE_<KEY> take precedence. Paths are relative to this file.
federation = "{federation}"
member = "{member.hex()}"
listen = "{endpoint}"
database = "sqlite:///node.db"
keyring = "node.keyring"
unlock = "{unlock}"
certificate = "node.crt"
charter = "charter.json"
charter_pin = ""  # `tocsin charter install` writes it
shares = "shares"
"""


def _client_toml(federation: str, member: bytes, endpoint: str, unlock: str) -> str:
    return f"""# A member's client. Variables TOCSIN_CLIENT_<KEY> take precedence. Paths are relative to this file.
federation = "{federation}"
member = "{member.hex()}"
node = "{endpoint}"
keyring = "client.keyring"
unlock = "{unlock}"
certificate = "client.crt"
charter = "charter.json"
charter_pin = ""  # `tocsin charter install` writes it
vault = "vault.db"
"""
