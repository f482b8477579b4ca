"""Proofs of forks: shown by your node, exported, and verified by somebody who has only the pin."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.session import RESALE, Session, terminal
from tocsin.proofs.fork import encode_fork, fork_of
from tocsin.tlog.checkpoint import log_origin, open_checkpoint
from tocsin.tlog.merkle import Hash
from tocsin.wire.values import KeptFork

__all__ = ["terminal"]


def forked(terminal: Session, liar: int = 1) -> KeptFork:
    world = terminal.world
    home = world.homes[liar]
    terminal(liar, "submit", "contact.email=a@example.com", *RESALE)
    origin, key = log_origin(world.charter.federation, home.id), world.charter.member(home.id).log
    one = open_checkpoint(world.logs[home.id].note, origin, key)
    other = open_checkpoint(world.sign(home.id, one.checkpoint.size, Hash(bytes(32))), origin, key)
    return KeptFork(home.id, encode_fork(fork_of(one, other)))


def pin(terminal: Session) -> str:
    text = (terminal.world.homes[0].client / "client.toml").read_text()
    return text.partition('charter_pin = "')[2].partition('"')[0]


def test_no_fork_is_known(terminal: Session) -> None:
    assert terminal(0, "log", "forks") == (0, "no log is known to have forked\n", "")
    assert terminal(0, "log", "forks", "--json") == (0, "[]\n", "")


def test_a_fork_is_shown_written_and_verified_offline(terminal: Session, tmp_path: Path) -> None:
    liar = terminal.world.homes[1]
    terminal.world.forks = [forked(terminal)]
    out = tmp_path / "forks"
    code, shown, err = terminal(0, "log", "forks", "--out", str(out))
    assert (code, err) == (0, "")
    assert f"tocsin evidence verify {out / liar.id.hex()}.fork" in shown
    assert liar.name in shown
    assert "two roots for one size" in shown
    file = out / f"{liar.id.hex()}.fork"
    assert sorted(path.name for path in out.iterdir()) == sorted(["charter-1.json", file.name])
    (found,) = json.loads(terminal(0, "log", "forks", "--json")[1])
    assert (found["writer"], found["proof"]) == (liar.id.hex(), base64.b64encode(file.read_bytes()).decode())
    for node in terminal.nodes.values():
        node.down = True
    code, shown, _ = terminal(2, "evidence", "verify", str(file), "--pin", pin(terminal))
    assert (code, liar.id.hex() in shown) == (0, True)
    code, shown, _ = terminal(2, "evidence", "verify", str(file), "--json")
    finding = json.loads(shown)
    assert (code, finding["kind"], finding["accuses"]) == (0, "fork", True)
    assert finding["members"] == [{"id": liar.id.hex(), "name": liar.name}]
    assert terminal(2, "evidence", "verify", str(file), "--pin", "00" * 32)[0] == 5
    assert terminal(2, "evidence", "verify", str(file), "--pin", "00")[0] == 2
    proof = file.read_bytes()
    for damaged in (proof[:-1], proof[:-2] + bytes([proof[-2] ^ 1]) + proof[-1:], b""):
        file.write_bytes(damaged)
        code, shown, err = terminal(2, "evidence", "verify", str(file))
        assert (code, shown, str(file) in err) == (5, "", True)
    file.unlink()
    assert terminal(2, "evidence", "verify", str(file))[0] == 2


def test_proofs_are_not_written_over(terminal: Session, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    code, _, err = terminal(0, "log", "forks", "--out", str(tmp_path))
    assert (code, "not empty" in err, (tmp_path / "mine").read_text()) == (2, True, "kept")


@pytest.mark.parametrize("lie", ["another member", "a kind not in use", "one checkpoint twice", "nonsense"])
def test_a_node_cannot_make_up_a_fork(terminal: Session, lie: str) -> None:
    true = forked(terminal)
    note = terminal.world.logs[true.writer].note
    made_up = {
        "another member": replace(true, writer=terminal.world.homes[2].id),
        "a kind not in use": replace(
            true, proof=b"tocsin/1 fork\n\x03" + (len(note).to_bytes(4, "big") + note) * 2 + b"\x00"
        ),
        "one checkpoint twice": replace(
            true, proof=b"tocsin/1 fork\n\x01" + (len(note).to_bytes(4, "big") + note) * 2
        ),
        "nonsense": replace(true, proof=b"nonsense"),
    }
    terminal.world.forks = [made_up[lie]]
    code, out, err = terminal(0, "log", "forks")
    assert (code, out) == (5, "")
    assert "your node sent an invalid response" in err


def test_a_fork_signed_with_another_key_proves_nothing(terminal: Session) -> None:
    kept = forked(terminal)
    other = terminal.world.homes[2].id
    # The same two notes, with another member's log named as their origin.
    proof = kept.proof.replace(kept.writer.hex().encode(), other.hex().encode())
    assert proof != kept.proof
    terminal.world.forks = [KeptFork(other, proof)]
    assert terminal(0, "log", "forks")[0] == 5
