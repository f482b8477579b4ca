"""Vault, passphrase and gateway log under hostile conditions: full disks, other programs' files, odd bytes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.client.test_client_config import SECRETS, written
from tests.client.test_client_vault import TYPE, opened, outputs
from tocsin.cli.unlocking import UnlockBy, passphrase_for
from tocsin.client.config import load_config, open_secrets
from tocsin.client.errors import BadConfig, BadVault
from tocsin.client.system import random_bytes
from tocsin.ingest import input_files, log_reader
from tocsin.sealing.keyring import Argon2Cost, Passphrase, seal_keyring


def test_a_full_disk_is_named_and_the_vault_goes_on_when_there_is_room(tmp_path: Path) -> None:
    vault = opened(tmp_path / "v")
    connection = vault._connection
    vault.keep_outputs(TYPE, 1, outputs(10))
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(BadVault, match="full"):
        vault.keep_outputs(TYPE, 1, outputs(2_000, start=10))
    connection.execute("PRAGMA max_page_count = 1000000")
    assert vault.output_counts() == {(TYPE, 1): 10}
    vault.keep_outputs(TYPE, 1, outputs(2_000, start=10))
    assert vault.output_counts() == {(TYPE, 1): 2_010}


def test_a_commit_that_fails_leaves_no_transaction_open(tmp_path: Path) -> None:
    vault = opened(tmp_path / "v")
    vault._connection.executescript(
        "PRAGMA foreign_keys = ON; CREATE TABLE a (id INTEGER PRIMARY KEY);"
        "CREATE TABLE b (a INTEGER REFERENCES a (id) DEFERRABLE INITIALLY DEFERRED);"
    )
    with pytest.raises(BadVault, match="FOREIGN KEY"), vault._writing() as db:
        db.execute("INSERT INTO b VALUES (1)")
    vault.keep_outputs(TYPE, 1, outputs(1))


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "v")
    other.execute("CREATE TABLE customers (name TEXT)")
    other.commit()
    with pytest.raises(BadVault, match="the database of another program"):
        opened(tmp_path / "v")
    assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("customers",)]


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


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"end_user": "a", "startTime": NaN}',
        '{"end_user": "a", "startTime": -1}',
        '{"end_user": "a", "startTime": true}',
        json.dumps({"end_user": "a", "startTime": 10**400}),
    ],
)
def test_a_line_of_a_gateway_log_that_is_no_exchange_is_refused(tmp_path: Path, line: str) -> None:
    log = tmp_path / "gateway.jsonl"
    log.write_text('{"end_user": "a", "startTime": 1}\n\n' + line + "\n")
    bad = log_reader.BadLines()
    (piece,) = log_reader.cut(input_files.find([str(log)]).sources, 1)
    assert len(list(log_reader.read(piece, "litellm", bad, log_reader.Counts()))) == 1
    assert [each.place for each in bad.kept] == ["line 3"]
