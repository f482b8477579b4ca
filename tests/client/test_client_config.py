"""client.toml: environment over file, unknown keys refused, secrets only with the right permissions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.cli.unlocking import UnlockBy, passphrase_for
from tocsin.client.config import load_config, open_secrets
from tocsin.client.errors import BadConfig
from tocsin.client.system import random_bytes
from tocsin.sealing.keyring import Argon2Cost, Passphrase, UnlockKey, seal_keyring

GOOD = f"""
federation = "test.example"
member = "{"ab" * 16}"
node = "127.0.0.1:7443"
keyring = "client.keyring"
unlock = "unlock.key"
certificate = "client.crt"
charter = "charter.json"
charter_pin = "{"cd" * 32}"
vault = "vault.db"
"""
SECRETS = {"client_hpke": b"h" * 32, "tls": b"t", "vault": b"v" * 32}


def written(folder: Path, text: str = GOOD) -> Path:
    (folder / "client.toml").write_text(text)
    return folder


def test_paths_begin_at_the_file_and_the_environment_takes_precedence(tmp_path: Path) -> None:
    config = load_config(
        written(tmp_path), {"TOCSIN_CLIENT_NODE": "[::1]:9", "TOCSIN_CLIENT_BATCH_SIZE": "7"}
    )
    assert config.keyring == tmp_path / "client.keyring"
    assert (config.node, config.batch_size, config.in_flight) == ("[::1]:9", 7, 4)
    assert load_config(tmp_path / "client.toml", {}).member == b"\xab" * 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (GOOD + 'colour = "red"\n', "unknown key colour"),
        (GOOD.replace("127.0.0.1:7443", "somewhere"), "host:port"),
        (GOOD.replace("ab" * 16, "ab"), "16 bytes in hex"),
        (GOOD.replace("cd" * 32, ""), "tocsin charter install"),
        (GOOD.replace('unlock = "unlock.key"', ""), "the key unlock is missing"),
        (GOOD + "batch_size = 5000\n", "whole number from 1 to 4096"),
        (GOOD + "batch_size = true\n", "whole number"),
        ("federation = ", "is not TOML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, change: str, message: str) -> None:
    with pytest.raises(BadConfig, match=message):
        load_config(written(tmp_path, change), {})


def test_a_missing_file_and_an_unknown_variable_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="does not exist"):
        load_config(tmp_path, {})
    with pytest.raises(BadConfig, match="TOCSIN_CLIENT_NODDE"):
        load_config(written(tmp_path), {"TOCSIN_CLIENT_NODDE": "x"})


def test_the_unlock_key_must_be_its_owners_alone(tmp_path: Path) -> None:
    config = load_config(written(tmp_path), {})
    key = random_bytes(32)
    (tmp_path / "client.keyring").write_bytes(seal_keyring(SECRETS, UnlockKey(key), random_bytes))
    (tmp_path / "unlock.key").write_bytes(key)
    (tmp_path / "unlock.key").chmod(0o644)
    with pytest.raises(BadConfig, match="chmod 600"):
        open_secrets(config)
    (tmp_path / "unlock.key").chmod(0o600)
    assert open_secrets(config) == SECRETS
    assert "hhhh" not in repr(open_secrets(config))
    (tmp_path / "unlock.key").write_bytes(bytes(32))
    with pytest.raises(BadConfig, match="key file"):
        open_secrets(config)


def test_a_passphrase_comes_from_a_named_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(written(tmp_path, GOOD.replace("unlock.key", "passphrase")), {})
    unlock = Passphrase("open sesame", Argon2Cost(1, 8))
    (tmp_path / "client.keyring").write_bytes(seal_keyring(SECRETS, unlock, random_bytes))
    (tmp_path / "phrase").write_text("open sesame\n")
    monkeypatch.setenv("TOCSIN_PASSPHRASE_FILE", str(tmp_path / "phrase"))
    assert open_secrets(config) == SECRETS
    (tmp_path / "phrase").write_text("wrong\n")
    with pytest.raises(BadConfig, match="passphrase"):
        open_secrets(config)


def test_another_parts_keyring_is_refused(tmp_path: Path) -> None:
    config = load_config(written(tmp_path), {})
    key = random_bytes(32)
    (tmp_path / "client.keyring").write_bytes(seal_keyring({"log": b"x"}, UnlockKey(key), random_bytes))
    (tmp_path / "unlock.key").write_bytes(key)
    (tmp_path / "unlock.key").chmod(0o600)
    with pytest.raises(BadConfig, match="has no secret `client_hpke`"):
        open_secrets(config)


def test_one_passphrase_file_means_one_passphrase_to_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pass"
    file.write_bytes("päss word\r\n".encode())
    monkeypatch.setenv("TOCSIN_PASSPHRASE_FILE", str(file))
    made = passphrase_for(UnlockBy.PASSPHRASE)
    assert made is not None
    sealed = seal_keyring(SECRETS, Passphrase(made.text, Argon2Cost(1, 8 * 1024)), random_bytes)
    config = load_config(
        written(
            tmp_path, (written(tmp_path) / "client.toml").read_text().replace("unlock.key", "passphrase")
        ),
        {},
    )
    (tmp_path / "client.keyring").write_bytes(sealed)
    assert open_secrets(config) == SECRETS
    file.write_bytes(b"secret\xff")
    with pytest.raises(BadConfig, match="not UTF-8") as client_side:
        open_secrets(config)
    with pytest.raises(BadConfig, match="not UTF-8") as founding_side:
        passphrase_for(UnlockBy.PASSPHRASE)
    assert "0xff" not in str(client_side.value) + str(founding_side.value)
