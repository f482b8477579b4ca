"""Files of keys and passphrases: whose they may be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.client.test_client_config import GOOD, SECRETS, written
from tocsin.cli.main import run
from tocsin.cli.unlocking import UnlockBy, passphrase_for
from tocsin.client.config import load_config, open_secrets
from tocsin.client.errors import BadConfig
from tocsin.client.secret_files import read_key_file
from tocsin.client.system import random_bytes
from tocsin.sealing.keyring import Argon2Cost, Passphrase, UnlockKey, seal_keyring

OTHER = 54_321
ANOTHER = 54_322


def give_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Let a file belong to another user than who runs this, who is not root; return whose it is."""
    if os.geteuid() == 0:
        os.chown(path, OTHER, -1)
    # Only root can give a file away, and root may read it: so who runs the tests becomes yet another user.
    monkeypatch.setattr("tocsin.client.secret_files.os.geteuid", lambda: ANOTHER)
    return path.stat().st_uid


def test_a_key_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(written(tmp_path), {})
    key, file = random_bytes(32), tmp_path / "unlock.key"
    (tmp_path / "client.keyring").write_bytes(seal_keyring(SECRETS, UnlockKey(key), random_bytes))
    file.write_bytes(key)
    file.chmod(0o600)
    assert open_secrets(config) == SECRETS
    owner = give_away(file, monkeypatch)
    with pytest.raises(BadConfig, match=f"unlock.key belongs to another user .id {owner}.*; run: chown "):
        open_secrets(config)


def test_a_passphrase_file_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load_config(written(tmp_path, GOOD.replace("unlock.key", "passphrase")), {})
    sealed = seal_keyring(SECRETS, Passphrase("open sesame", Argon2Cost(1, 8)), random_bytes)
    (tmp_path / "client.keyring").write_bytes(sealed)
    file = tmp_path / "phrase"
    file.write_text("open sesame\n")
    # Others may read it, where it is handed over in a container.
    file.chmod(0o644)
    monkeypatch.setenv("TOCSIN_PASSPHRASE_FILE", str(file))
    assert open_secrets(config) == SECRETS
    give_away(file, monkeypatch)
    with pytest.raises(BadConfig, match="phrase belongs to another user"):
        open_secrets(config)
    with pytest.raises(BadConfig, match="phrase belongs to another user"):
        passphrase_for(UnlockBy.PASSPHRASE)
    member = tmp_path / "member"
    who = ("--federation", "a.example", "--name", "A", "--endpoint", "127.0.0.1:1")
    assert run(["member", "init", str(member), *who, "--unlock", "passphrase"]) == 2
    err = capsys.readouterr().err
    assert "belongs to another user" in err
    assert "sesame" not in err
    assert not member.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to root")
def test_a_key_file_of_root_is_anybodys_to_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "unlock.key"
    file.write_bytes(b"k" * 32)
    file.chmod(0o600)
    monkeypatch.setattr("tocsin.client.secret_files.os.geteuid", lambda: OTHER)
    assert read_key_file(file) == b"k" * 32


def test_a_passphrase_may_come_through_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"open sesame\n")
    os.close(writing)
    monkeypatch.setenv("TOCSIN_PASSPHRASE_FILE", f"/dev/fd/{reading}")
    found = passphrase_for(UnlockBy.PASSPHRASE)
    os.close(reading)
    assert found is not None
    assert found.text == "open sesame"
