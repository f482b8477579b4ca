"""The vault: nothing readable at rest, bound to its owner, shared by threads and processes."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from tocsin.client.errors import BadVault, ForeignVault
from tocsin.client.system import random_bytes
from tocsin.client.vault import BLOCK_OUTPUTS, Cursor, KeptCharter, OutboxKind, Vault, open_vault
from tocsin.indicators.registry import Observable
from tocsin.oprf.rfc9497 import Output

KEY, MEMBER, PIN = bytes(range(32)), b"m" * 16, b"p" * 32
TYPE = "contact.email"


def opened(path: Path, **changed: object) -> Vault:
    owner: dict[str, object] = {"federation": "test.example", "member": MEMBER, "pin": PIN} | changed
    return open_vault(path, owner.pop("key", KEY), random=random_bytes, **owner)  # type: ignore[arg-type] # a double takes what the port takes


def outputs(count: int, start: int = 0) -> dict[bytes, Output]:
    return {
        number.to_bytes(16, "big"): Output(number.to_bytes(64, "big"))
        for number in range(start, start + count)
    }


def test_outputs_come_back_over_block_borders(tmp_path: Path) -> None:
    vault = opened(tmp_path / "v")
    kept = outputs(2 * BLOCK_OUTPUTS + 7)
    items = list(kept.items())
    for start in range(0, len(items), 301):
        vault.keep_outputs(TYPE, 1, dict(items[start : start + 301]))
    vault.keep_outputs(TYPE, 1, dict(items[:5]))
    assert vault.outputs(1, kept) == kept
    assert vault.outputs(2, kept) == {}
    assert vault.output_counts() == {(TYPE, 1): len(kept)}
    blocks = list(vault.blocks([(TYPE, 1)]))
    assert [len(block.records) // 80 for block in blocks] == [1000, 1000, 7]
    assert "Block(contact.email" in repr(blocks[0])
    vault.close()
    again = opened(tmp_path / "v")
    assert again.outputs(1, kept) == kept
    again.forget_epoch(TYPE, 1)
    assert again.output_counts() == {}


def test_values_and_outputs_are_not_readable_at_rest(tmp_path: Path) -> None:
    vault = opened(tmp_path / "v")
    value = Observable(TYPE, b"mallory@example.com")
    output = Output(b"F-of-mallory".ljust(64, b"!"))
    vault.keep_outputs(TYPE, 1, {vault.key_of(value): output})
    vault.keep_pepper(1, 2, b"P" * 32)
    vault.enqueue(OutboxKind.SUBMIT, b"k" * 16, b"sealed entry bytes", 3)
    assert len(vault.key_of(value)) == 16
    vault.close()
    disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in (b"mallory", b"F-of", b"P" * 32, b"sealed entry", KEY):
        assert secret not in disk
    assert (tmp_path / "v").stat().st_mode & 0o777 == 0o600


def test_a_value_has_another_key_in_another_vault_and_type(tmp_path: Path) -> None:
    one, other = opened(tmp_path / "one"), opened(tmp_path / "other", key=bytes(32))
    value = Observable(TYPE, b"mallory@example.com")
    assert one.key_of(value) != other.key_of(value)
    assert one.key_of(value) != one.key_of(Observable("org.domain", value.canonical))


@pytest.mark.parametrize(
    "changed",
    [{"member": b"x" * 16}, {"federation": "other.example"}, {"pin": bytes(32)}, {"key": bytes(32)}],
)
def test_anothers_vault_is_refused(tmp_path: Path, changed: dict[str, object]) -> None:
    opened(tmp_path / "v").close()
    with pytest.raises(ForeignVault, match="vault"):
        opened(tmp_path / "v", **changed)
    opened(tmp_path / "v").close()


def test_what_is_no_vault_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v").write_bytes(b"not a database" * 100)
    with pytest.raises(BadVault, match="cannot be used"):
        opened(tmp_path / "v")
    with pytest.raises(BadVault):
        opened(tmp_path / "no" / "folder" / "v")


def test_a_later_schema_is_refused(tmp_path: Path) -> None:
    opened(tmp_path / "v").close()
    with sqlite3.connect(tmp_path / "v") as db:
        db.execute("UPDATE meta SET value = '3' WHERE name = 'schema'")
    with pytest.raises(BadVault, match="another release"):
        opened(tmp_path / "v")


def test_a_block_moved_in_the_file_does_not_open(tmp_path: Path) -> None:
    vault = opened(tmp_path / "v")
    vault.keep_outputs(TYPE, 1, outputs(3))
    vault.keep_outputs(TYPE, 2, outputs(3))
    vault.close()
    with sqlite3.connect(tmp_path / "v") as db:
        db.execute("UPDATE block SET sealed = (SELECT sealed FROM block WHERE id = 1) WHERE id = 2")
    vault = opened(tmp_path / "v")
    assert len(vault.outputs(1, outputs(3))) == 3
    with pytest.raises(BadVault, match="does not open"):
        vault.outputs(2, outputs(3))


def test_the_outbox_keeps_order_and_bytes(tmp_path: Path) -> None:
    vault = opened(tmp_path / "v")
    for number in range(3):
        kind = OutboxKind.RETRACT if number == 1 else OutboxKind.SUBMIT
        vault.enqueue(kind, bytes([number] * 16), b"payload%d" % number, number)
    vault.settle(bytes(16))
    rows = vault.outbox()
    assert [(row.kind, row.payload, row.created) for row in rows] == [
        (OutboxKind.RETRACT, b"payload1", 1),
        (OutboxKind.SUBMIT, b"payload2", 2),
    ]


def test_marks_cursors_charters_heads_and_peppers_persist(tmp_path: Path) -> None:
    vault = opened(tmp_path / "v")
    vault.keep_outputs(TYPE, 1, outputs(3))
    vault.mark_reported(1, list(outputs(2)))
    vault.unmark_reported(list(outputs(1)))
    vault.move_cursors({b"w" * 16: Cursor(5, 6)})
    vault.keep_charter(1, b"one", 7)
    vault.keep_charter(1, b"another", 8)
    vault.keep_pepper(4, 5, b"P" * 32)
    vault.keep_head(b"w" * 16, 9, b"r" * 32)
    vault.close()
    vault = opened(tmp_path / "v")
    assert [report.key for report in vault.reported()] == [(1).to_bytes(16, "big")]
    assert vault.cursors() == {b"w" * 16: Cursor(5, 6)}
    assert vault.charters() == [KeptCharter(1, b"one", 7)]
    assert vault.peppers() == [(4, 5, b"P" * 32)]
    assert vault.heads() == {b"w" * 16: (9, b"r" * 32)}


def test_threads_and_processes_write_side_by_side(tmp_path: Path) -> None:
    one, other = opened(tmp_path / "v"), opened(tmp_path / "v")

    def write(vault: Vault, start: int) -> None:
        for number in range(start, start + 200, 20):
            vault.keep_outputs(TYPE, 1, outputs(20, number))

    threads = [
        threading.Thread(target=write, args=(vault, start))
        for vault, start in ((one, 0), (one, 200), (other, 400), (other, 500))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert one.outputs(1, outputs(700)) == outputs(700)
    assert one.output_counts() == other.output_counts() == {(TYPE, 1): 700}


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
