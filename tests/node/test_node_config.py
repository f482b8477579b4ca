"""Every mistake of an operator gets one line that names the file, the key and the way out."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from tests.certificates import tls_identity
from tocsin.charter.document import Charter, parse_charter
from tocsin.charter.envelope import parse_envelope
from tocsin.founding.certificates import Issued, LeafRole, issue_leaf, make_authority
from tocsin.founding.members import open_part
from tocsin.localnet.federation import FEDERATION, Home, found
from tocsin.node import keys as material
from tocsin.node.config import ConfigError, NodeConfig, load_config
from tocsin.node.shares import FileShares

NOW = int(time.time())  # noqa: TID251 - the federation is founded by the system's clock
DAY = 86_400


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> list[Home]:
    return found(tmp_path_factory.mktemp("federation"), 2, committee=2, threshold=2)


@pytest.fixture
def folder(founded: list[Home], tmp_path: Path) -> Path:
    return Path(shutil.copytree(founded[0].folder, tmp_path / "member"))


@pytest.fixture
def config(folder: Path) -> Path:
    return folder / "node" / "node.toml"


def change(config: Path, old: str, new: str) -> None:
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))


def charter_of(config: NodeConfig) -> Charter:
    envelope = material.read_charter(config)
    assert envelope is not None
    return parse_charter(parse_envelope(envelope).document)


def refusal(config: Path) -> str:
    with pytest.raises(ConfigError) as error:
        load_config(config)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_member_init_and_charter_install_wrote_is_accepted(config: Path) -> None:
    settings = load_config(config)
    assert load_config(config.parent) == settings
    assert settings.database_url == f"sqlite:///{config.parent}/node.db"
    keys = material.open_keys(settings)
    charter = charter_of(settings)
    material.check_keys(settings, keys, charter)
    material.load_identity(settings, keys, charter, NOW)
    shares = FileShares(settings, keys)
    shares.load(charter, NOW)
    for key in charter.classes:
        (seat,) = key.seats_of(settings.member_id)
        assert shares.share(key.key_class, key.epoch, seat) is not None
    assert shares.share(99, 1, 1) is None


def test_the_environment_stands_above_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_NODE_LISTEN", "[::1]:7443")
    monkeypatch.setenv("TOCSIN_NODE_TICK_SECONDS", "7")
    settings = load_config(config)
    assert (settings.listen, settings.tick_seconds) == ("[::1]:7443", 7)


def test_mistakes_in_the_file_are_named(config: Path, tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "nothing.toml")
    original = config.read_text()
    for old, new, words in (
        ("federation = ", "fedration = ", ["unknown key 'fedration'", str(config)]),
        ("federation = ", "federation ", ["not valid TOML", "line "]),
        ("listen = ", 'listen = "127.0.0.1:70000"\n#', ["'listen'", "must be 0 to 65535, got 70000"]),
        ("listen = ", 'listen = "7443"\n#', ["'listen'", "host:port"]),
        ("member = ", 'member = "12"\n#', ["'member'"]),
        ("member = ", "#", ["'member'", "required"]),
        ("charter_pin = ", 'charter_pin = ""\n#', ["'charter_pin'", "tocsin charter install"]),
        ("shares = ", "tick_seconds = 0\n#", ["'tick_seconds'"]),
    ):
        change(config, old, new)
        message = refusal(config)
        for word in words:
            assert word in message
        config.write_text(original)


def test_mistakes_in_the_environment_are_named(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_NODE_PORT", "1")
    assert "TOCSIN_NODE_PORT" in refusal(config)
    monkeypatch.delenv("TOCSIN_NODE_PORT")
    monkeypatch.setenv("TOCSIN_NODE_TICK_SECONDS", "soon")
    assert "TOCSIN_NODE_TICK_SECONDS" in refusal(config)


def test_a_databases_password_does_not_show(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql+psycopg://node:s3cret@localhost/tocsin"
    monkeypatch.setenv("TOCSIN_NODE_DATABASE", url)
    settings = load_config(config)
    assert settings.database_url == url
    assert "s3cret" not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize("name", ["unlock.key", "node.keyring"])
def test_a_secret_that_others_may_read_is_refused(config: Path, name: str) -> None:
    path = config.parent / name
    path.chmod(0o640)
    with pytest.raises(ConfigError, match=f"chmod 600 .*{name}"):
        material.open_keys(load_config(config))


def test_a_key_file_of_another_user_is_refused(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = config.parent / "unlock.key"
    if os.geteuid() == 0:
        os.chown(path, 54_321, -1)
    # Only root can give a file away, and root may read it: so who runs the tests becomes yet another user.
    monkeypatch.setattr("tocsin.node.keys.os.geteuid", lambda: 54_322)
    with pytest.raises(ConfigError, match=r"belongs to another user .*; run: chown .*unlock\.key"):
        material.open_keys(load_config(config))


def test_keyrings_that_do_not_open_are_told_apart(config: Path, founded: list[Home]) -> None:
    settings = load_config(config)
    unlock, keyring = config.parent / "unlock.key", config.parent / "node.keyring"
    right = unlock.read_bytes()
    unlock.write_bytes((founded[1].folder / "node" / "unlock.key").read_bytes())
    with pytest.raises(ConfigError, match="wrong passphrase or key file"):
        material.open_keys(settings)
    unlock.write_bytes(b"short")
    with pytest.raises(ConfigError, match="32 bytes"):
        material.open_keys(settings)
    unlock.write_bytes(right)
    keyring.write_bytes(keyring.read_bytes()[:-1])
    with pytest.raises(ConfigError, match="damaged"):
        material.open_keys(settings)
    keyring.unlink()
    with pytest.raises(ConfigError, match="no such file"):
        material.open_keys(settings)


def test_a_missing_passphrase_is_named(config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    change(config, 'unlock = "unlock.key"', 'unlock = "passphrase"')
    settings = load_config(config)
    monkeypatch.setattr("os.isatty", lambda _: False)
    with pytest.raises(ConfigError, match="TOCSIN_PASSPHRASE_FILE"):
        material.open_keys(settings)
    (tmp_path / "passphrase").write_text("correct horse\n")
    monkeypatch.setenv("TOCSIN_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
    with pytest.raises(ConfigError, match="unlock key file") as error:
        material.open_keys(settings)
    assert "correct horse" not in str(error.value)


def test_keys_and_shares_of_another_member_are_refused(config: Path, founded: list[Home]) -> None:
    settings = load_config(config)
    keys, charter = material.open_keys(settings), charter_of(settings)
    other = load_config(founded[1].folder / "node")
    with pytest.raises(ConfigError, match="'log'"):
        material.check_keys(settings, material.open_keys(other), charter)
    with pytest.raises(ConfigError, match="not in charter version 1"):
        material.check_keys(settings.model_copy(update={"member": "0" * 32}), keys, charter)
    folder = config.parent / "shares"
    shares = FileShares(settings, keys)
    shares.load(charter, NOW)
    held = [
        shares.share(key.key_class, key.epoch, *key.seats_of(settings.member_id)) for key in charter.classes
    ]
    first = sorted(folder.glob("*.share"))[0]
    (other_share,) = (founded[1].folder / "node" / "shares").glob(first.name.rpartition("-")[0] + "-*.share")
    first.write_bytes(other_share.read_bytes())
    shares.load(charter, NOW)
    with pytest.raises(ConfigError, match=first.name):
        shares.check()
    first.unlink()
    shares.load(charter, NOW)
    with pytest.raises(ConfigError, match=f"{first.name}: no such file"):
        shares.check()
    # One bad file costs its seat, and no other.
    now_held = [
        shares.share(key.key_class, key.epoch, *key.seats_of(settings.member_id)) for key in charter.classes
    ]
    assert [share for share in now_held if share is None] == [None]
    assert all(now in (None, before) for now, before in zip(now_held, held, strict=True))


def test_certificates_that_will_not_do_are_refused(config: Path, folder: Path, founded: list[Home]) -> None:
    settings = load_config(config)
    keys, charter = material.open_keys(settings), charter_of(settings)
    own = bytes.fromhex(settings.member)
    certificate = config.parent / "node.crt"
    right = certificate.read_bytes()

    def refused() -> str:
        with pytest.raises(ConfigError) as error:
            material.load_identity(settings, keys, charter, NOW)
        return str(error.value)

    certificate.write_bytes((folder / "client" / "client.crt").read_bytes())
    assert "client" in refused()
    certificate.write_bytes((founded[1].folder / "node" / "node.crt").read_bytes())
    assert founded[1].id.hex() in refused()
    stranger = make_authority(FEDERATION, own, NOW)
    certificate.write_bytes(issue_leaf(stranger, FEDERATION, own, LeafRole.NODE, NOW).pem)
    assert "did not issue it" in refused()
    certificate.write_bytes(b"nothing")
    assert "not a PEM certificate" in refused()
    certificate.write_bytes(_reissued(folder, own, NOW))
    assert "does not belong to the TLS key" in refused()
    certificate.write_bytes(right)
    with pytest.raises(ConfigError, match="expired on"):
        material.load_identity(settings, keys, charter, NOW + 400 * DAY)
    with pytest.raises(ConfigError, match="clock"):
        material.load_identity(settings, keys, charter, NOW - 2 * DAY)


def _reissued(folder: Path, member: bytes, now: int) -> bytes:
    from cryptography import x509

    authority = x509.load_pem_x509_certificate((folder / "identity" / "ca.crt").read_bytes())
    issued = Issued(authority, open_part(folder, "identity")["ca"])
    leaf = issue_leaf(issued, FEDERATION, member, LeafRole.NODE, now)
    assert tls_identity(leaf).certificate == leaf.pem
    return leaf.pem


def test_secrets_do_not_show(config: Path) -> None:
    settings = load_config(config)
    keys = material.open_keys(settings)
    identity = material.load_identity(settings, keys, charter_of(settings), NOW)
    shown = repr(keys) + repr(identity) + repr(material.NodeSigner(keys))
    assert "PRIVATE" not in shown
    assert all(repr(bytes(secret))[2:10] not in shown for secret in keys.secrets.values())
