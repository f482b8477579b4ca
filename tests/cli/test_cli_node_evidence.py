"""`tocsin node evidence`: the proofs in a node's database as files that anybody verifies."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.session import Session, terminal
from tests.cli.test_cli_forks import forked, pin
from tests.federation import Federation
from tocsin.charter.envelope import SignedCharter, parse_envelope
from tocsin.cli.main import run
from tocsin.client import system
from tocsin.founding.charters import sign
from tocsin.node.config import load_config
from tocsin.node.storage.open import open_store
from tocsin.oprf.group import from_uniform
from tocsin.oprf.threshold import evaluate
from tocsin.proofs.bad_partial import BadPartial, SignedEvaluation, encode_bad_partial
from tocsin.proofs.two_charters import TwoCharters, encode_two_charters

__all__ = ["terminal"]


def bad_partial(terminal: Session, liar: int) -> bytes:
    """What a member signed over elements that it did not evaluate."""
    world = terminal.world
    key = world.charter.classes[0]
    seat = key.committee.index(world.homes[liar].id) + 1
    quorum = tuple(sorted({seat, 1, 2}))[:2] if seat < 3 else (1, seat)
    blinded = from_uniform([bytes([1]) * 64])
    context = world.context(world.homes[0].id, key, quorum, seat)
    share = world.shares[key.key_class, key.epoch, seat]
    honest = evaluate(share, key.commitments, context, blinded, system.random_bytes)
    wrong = replace(honest, evaluated=tuple(from_uniform([bytes([2]) * 64])))
    signed = world.signed(context, blinded, wrong)
    evaluation = SignedEvaluation(wrong, signed.budget_left, signed.time, signed.signature)
    return encode_bad_partial(BadPartial(context, tuple(blinded), evaluation))


def two_charters(terminal: Session, liar: int) -> bytes:
    """What a member signed besides the charter that holds."""
    world = terminal.world
    other = SignedCharter(replace(world.charter, tick_seconds=7).encode(), ())
    return encode_two_charters(
        TwoCharters(parse_envelope(world.envelopes[0]), sign(world.homes[liar].folder, other))
    )


@pytest.fixture
def node(terminal: Session) -> Path:
    """A node's folder, whose database keeps one proof of each kind and an event that is none."""
    home = terminal.world.homes[0]
    config = load_config(home.folder / "node")
    store = open_store(config.database_url, config.federation, config.member_id)
    with store.write() as transaction:
        transaction.save_charter(1, terminal.world.envelopes[0], 5)
        transaction.record("evaluated", "1 element", b"", 10)
        transaction.record("fork", "origin", forked(terminal, 1).proof, 11)
        transaction.record("bad-partial", "seat 3", bad_partial(terminal, 2), 12)
        transaction.record("two-charters", "version 1", two_charters(terminal, 1), 13)
    store.close()
    return home.folder / "node"


def test_every_kind_is_shown_written_and_verified_by_anybody(
    terminal: Session, node: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "proofs"
    capsys.readouterr()
    assert run(["node", "evidence", "--config", str(node), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    kinds = ("fork", "bad-partial", "two-charters")
    names = [f"{number}.{kind}" for number, kind in enumerate(kinds, 2)]
    assert sorted(path.name for path in out.iterdir()) == sorted([*names, "charter-1.json"])
    assert max(len(line) for line in shown.splitlines() if "verify it" not in line) <= 100
    for name, kind in zip(names, kinds, strict=True):
        assert f"tocsin evidence verify {out / name}" in shown
        code, text, _ = terminal(2, "evidence", "verify", str(out / name), "--pin", pin(terminal), "--json")
        assert (code, json.loads(text)["kind"]) == (0, kind)
    assert run(["node", "evidence", "--config", str(node), "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert [(record["file"], record["kind"], record["accuses"]) for record in records] == [
        (name, kind, True) for name, kind in zip(names, kinds, strict=True)
    ]
    assert records[0]["recorded"] == "1970-01-01T00:00:11Z"
    homes = terminal.world.homes
    assert [record["members"][0]["name"] for record in records] == [
        homes[1].name,
        homes[2].name,
        homes[1].name,
    ]
    assert run(["node", "evidence", "--config", str(node), "--out", str(out)]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_a_kept_proof_that_proves_nothing_is_named(
    node: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(node / "node.db") as database:
        database.execute("UPDATE audit SET evidence = substr(evidence, 1, length(evidence) - 1) WHERE no = 3")
    database.close()
    capsys.readouterr()
    assert run(["node", "evidence", "--config", str(node), "--out", str(tmp_path / "proofs")]) == 5
    assert "3.bad-partial: does not prove what it claims" in capsys.readouterr().err
    assert not (tmp_path / "proofs").exists()


def test_what_cannot_be_read_is_named_and_nothing_is_made(
    terminal: Session, node: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = terminal.world.homes[1].folder / "node"
    before = sorted(other.iterdir())
    assert run(["node", "evidence", "--config", str(other)]) == 3
    assert "there is no database" in capsys.readouterr().err
    assert sorted(other.iterdir()) == before
    (other / "node.db").write_bytes((node / "node.db").read_bytes())
    assert run(["node", "evidence", "--config", str(other)]) == 2
    assert "the database belongs to member" in capsys.readouterr().err
    with sqlite3.connect(other / "node.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    assert run(["node", "evidence", "--config", str(other)]) == 2
    assert "run the later release" in capsys.readouterr().err
    (other / "node.db").write_bytes(b"no database at all, but long enough to be read as one")
    assert run(["node", "evidence", "--config", str(other)]) == 3


def test_a_running_node_is_read_and_goes_on(
    federation: Federation, capsys: pytest.CaptureFixture[str]
) -> None:
    home = federation.homes[0]
    assert run(["node", "evidence", "--config", str(home.folder / "node"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    with federation.client(0) as client:
        assert client.status().member == home.id
