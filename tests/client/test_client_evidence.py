"""Proofs of every kind as files: what each proves offline, with the charters beside it and the pin."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.charter.charter_drafts import NOW, signed
from tests.client.fake_node import FakeFederation
from tests.client.test_client_flow import MAIL, report
from tests.proofs.test_proofs_verify import CHARTER, FILES, ONE, note
from tocsin.charter.envelope import charter_hash
from tocsin.client.errors import (
    BadEvidence,
)
from tocsin.client.evidence import export_evidence, finding_dict, verify_evidence, verify_proof_file
from tocsin.proofs.entry import encode_entry_file, encode_tlog_proof
from tocsin.proofs.verify import ProofKind
from tocsin.tlog.merkle import inclusion_proof

PIN = charter_hash(CHARTER.encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "charter-1.json").write_bytes(signed(CHARTER, [1, 2, 3]).encode())
    return tmp_path


@pytest.mark.parametrize("kind", sorted(FILES))
def test_a_file_says_what_it_proves(folder: Path, kind: ProofKind) -> None:
    path = folder / kind
    path.write_bytes(FILES[kind])
    shown = finding_dict(verify_proof_file(path, PIN, NOW))
    assert (shown["kind"], shown["accuses"]) == (kind, True)
    assert json.loads(json.dumps(shown)) == shown


def test_an_entry_lies_beside_its_proof(folder: Path) -> None:
    (folder / "entry").write_bytes(encode_entry_file(ONE.entries[3]))
    (folder / "proof").write_bytes(encode_tlog_proof(3, inclusion_proof(3, 12, ONE.nodes), note(ONE, 12)))
    shown = finding_dict(verify_proof_file(folder / "proof", PIN, NOW))
    assert (shown["kind"], shown["entry_kind"], shown["index"]) == ("entry", "sealed", 3)


def test_another_pin_or_a_damaged_file_proves_nothing(folder: Path) -> None:
    path = folder / "fork"
    path.write_bytes(FILES[ProofKind.FORK])
    with pytest.raises(BadEvidence, match="pin"):
        verify_proof_file(path, bytes(32), NOW)
    path.write_bytes(FILES[ProofKind.FORK][:-1])
    with pytest.raises(BadEvidence, match="does not prove"):
        verify_proof_file(path, PIN, NOW)


def test_evidence_outlives_its_charter(world: FakeFederation, tmp_path: Path) -> None:
    report(world, 1, MAIL)
    with world.client(0) as client:
        (match,) = client.query([MAIL]).matches
        folder = tmp_path / "evidence"
        export_evidence(
            folder, match.evidence, client.charter_chain(), writer=match.writer, name="x", index=match.index
        )
        pin, expires = client._session.config.charter_pin, client.charter.expires
    assert verify_evidence(folder, pin, expires + 10**9).writer == world.homes[1].id
