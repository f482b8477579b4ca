"""Charters that will not do, against real nodes, clients and the command: expired, rolled back, two of one version,
and with a wrong pepper."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.cli.session import RESALE
from tests.drafts import report_draft
from tests.faults.parties import (
    Wire,
    ask,
    ask_seat,
    audited,
    charged,
    class_of,
    cover_entries,
    elements,
    logged,
    refused,
    rows,
    start,
    until,
)
from tests.federation import Federation, running
from tocsin.charter.document import Charter, Period, parse_charter
from tocsin.charter.envelope import SignedCharter, parse_envelope, sign_document
from tocsin.client.errors import CharterRefused, UntrustedCharter, WrongPepper
from tocsin.client.system import now, random_bytes
from tocsin.founding.charters import draft, replace_file
from tocsin.founding.members import open_part
from tocsin.indicators.registry import KeyClass
from tocsin.localnet import federation as demo
from tocsin.localnet.errors import NodeDidNotStart
from tocsin.localnet.federation import Home
from tocsin.node.rpc.authorize import Role
from tocsin.proofs.two_charters import TwoCharters, encode_two_charters
from tocsin.sealing import hpke
from tocsin.sealing.label import AbuseKind
from tocsin.sealing.pepper import Pepper, pepper_commitment
from tocsin.v1 import publishing_pb2

pytestmark = pytest.mark.slow
MAIL = ("contact.email", "charters@example.com")
LIFE_S = 10
"""Of a charter that is to expire in a test: time to found the federation and start its nodes."""


@pytest.fixture(scope="module")
def chartered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Four members under charters that stay in force; the fourth leaves in the last test."""
    with running(tmp_path_factory.mktemp("chartered"), 4, committee=3, threshold=2) as started:
        yield started


def _in_force(home: Home, version: int | None = None) -> SignedCharter:
    """The charter of a version, by default the newest, that a node has stored."""
    found = rows(
        home, "SELECT envelope FROM charter WHERE version = ? OR ? IS NULL ORDER BY 1 DESC", version, version
    )
    return max(
        (parse_envelope(envelope) for (envelope,) in found),
        key=lambda envelope: parse_charter(envelope.document).version,
    )


def _newest(home: Home) -> Charter:
    return parse_charter(_in_force(home).document)


def _signed(homes: Sequence[Home], charter: Charter) -> bytes:
    """The charter with these members' signatures."""
    document = charter.encode()
    signatures = [
        (home.id, sign_document(document, open_part(home.folder, "identity")["identity"])) for home in homes
    ]
    return SignedCharter(document, tuple(signatures)).encode()


def _put_at_node(home: Home, envelope: bytes) -> None:
    replace_file(home.folder / "node" / "charter.json", envelope)


def _put_at_client(home: Home, envelope: bytes) -> None:
    replace_file(home.client / "charter.json", envelope)


def _bring_into_force(homes: Sequence[Home], signers: Sequence[Home], **changed: Any) -> bytes:
    """Have the next version signed, and put at every one of these nodes and clients; wait until it is in force."""
    before = _newest(homes[0])
    after = replace(before, version=before.version + 1, **changed)
    envelope = _signed(signers, after)
    for home in homes:
        _put_at_node(home, envelope)
        _put_at_client(home, envelope)
    until("the charter", lambda: all(_newest(home).version == after.version for home in homes))
    return envelope


def _command(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tocsin.cli.main", *arguments, "--config", str(home.client)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _refused_files(home: Home) -> list[str]:
    return [event["problem"] for event in logged(home) if event["event"] == "file-refused"]


def _submit(wire: Wire, home: Home) -> None:
    request = publishing_pb2.SubmitRequest(idempotency_key=os.urandom(16), entries=cover_entries(home, 1))
    wire.publishing.Submit(request, timeout=10)


def test_an_expired_charter_stops_everything_until_it_is_succeeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short_lived(*arguments: Any) -> Charter:
        return replace(draft(*arguments), expires=now() + LIFE_S)

    monkeypatch.setattr(demo, "draft", short_lived)
    with running(tmp_path / "short", 2, committee=2, threshold=2) as federation:
        home, other = federation.homes
        key = class_of(home, KeyClass.CONTACT)
        expires = _newest(home).expires
        with (
            federation.client(0) as client,
            Wire(home, Role.CLIENT, home) as own,
            Wire(other, Role.NODE, home) as peer,
        ):
            assert client.query([MAIL]).evaluated == 1
            assert now() < expires, "the machine is too slow for this test"
            until("the expiry", lambda: now() >= expires)
            before = [charged(home) for home in federation.homes]
            with pytest.raises(CharterRefused, match="expired"):
                client.query([MAIL])
            with refused(grpc.StatusCode.FAILED_PRECONDITION, "CHARTER_EXPIRED"):
                own.evaluation.Evaluate(ask(key, elements(1)), timeout=10)
            with refused(grpc.StatusCode.FAILED_PRECONDITION, "CHARTER_EXPIRED"):
                peer.evaluation.EvaluatePartial(ask_seat(key, elements(1)), timeout=10)
            with refused(grpc.StatusCode.FAILED_PRECONDITION, "CHARTER_EXPIRED"):
                _submit(own, home)
        told = _command(home, "submit", *RESALE, "contact.email=expired@example.com")
        assert told.returncode == 2, told.stderr
        assert "version 1 has expired" in told.stderr
        assert "expired@example.com" not in told.stderr
        assert [charged(home) for home in federation.homes] == before
        until("the node's own word", lambda: [e for e in logged(home) if "charter 1 has expired" in str(e)])

        _bring_into_force(federation.homes, federation.homes, expires=expires + 86_400)
        with federation.client(0) as client, Wire(home, Role.CLIENT, home) as own:
            assert client.query([("contact.email", "later@example.com")]).evaluated == 1
            _submit(own, home)
        federation.await_followed()


def test_a_rolled_back_charter_changes_nothing(chartered: Federation) -> None:
    home = chartered.homes[0]
    old = _in_force(home).encode()
    _bring_into_force(chartered.homes, chartered.homes[:3])
    version = _newest(home).version
    with chartered.client(0) as client:
        assert client.status().charter_version == version
    _put_at_node(home, old)
    _put_at_client(home, old)
    with pytest.raises(UntrustedCharter, match="never goes back"):
        chartered.client(0)
    told = _command(home, "query", "=".join(MAIL))
    assert told.returncode == 5, told.stderr
    assert f"already verified version {version}" in told.stderr

    # The node reads its file when it starts, too, and is not taken back by what is in its chain.
    assert chartered.nodes.stop_one(home) == 0
    start(chartered, home)
    _put_at_client(home, _in_force(home).encode())
    with chartered.client(0) as client:
        assert client.status().node_charter_version == version
    # A document of an old version that is not in its chain is refused by name.
    altered = replace(parse_charter(parse_envelope(old).document), tick_seconds=7)
    _put_at_node(home, SignedCharter(altered.encode(), ()).encode())
    assert f"not newer than {version}" in until("the refusal", lambda: _refused_files(home))[-1]
    assert _newest(home).version == version
    _put_at_node(home, _in_force(home).encode())


def test_two_charters_of_one_version_are_refused_and_kept(chartered: Federation, tmp_path: Path) -> None:
    home, signers = chartered.homes[1], chartered.homes[:3]
    before = _newest(home)
    first = _bring_into_force(chartered.homes, signers)
    with chartered.client(1) as client:
        assert client.status().charter_version == before.version + 1
    second = _signed(signers, replace(before, version=before.version + 1, tick_seconds=9))
    _put_at_node(home, second)
    _put_at_client(home, second)
    (detail,) = until("the evidence", lambda: audited(home, "two-charters"))
    assert all(signer.id.hex() in detail for signer in signers)
    ((evidence,),) = rows(home, "SELECT evidence FROM audit WHERE kind = 'two-charters'")
    assert evidence == encode_two_charters(TwoCharters(parse_envelope(first), parse_envelope(second)))
    assert detail in until("the refusal", lambda: _refused_files(home))[-1]
    assert _in_force(home).encode() == first

    with pytest.raises(UntrustedCharter, match="two charters of one version"):
        chartered.client(1)
    told = _command(home, "query", "=".join(MAIL))
    assert told.returncode == 5, told.stderr
    _put_at_client(home, first)

    # A node that finds the second one when it starts does not start, and says who signed both.
    assert chartered.nodes.stop_one(home) == 0
    with pytest.raises(NodeDidNotStart, match=signers[0].id.hex()):
        start(chartered, home)
    assert chartered.nodes.stop_one(home) == 2
    assert audited(home, "two-charters") == [detail]
    _put_at_node(home, first)
    start(chartered, home)
    with chartered.client(1) as client:
        assert client.query([MAIL]).queried == 1


def test_a_wrong_pepper_is_refused_by_whom_it_was_sealed_to(chartered: Federation) -> None:
    """The fourth member leaves, so the pepper is fresh; for one of those who stay, another is sealed."""
    *homes, _ = chartered.homes
    wronged, version = homes[2], _newest(homes[0]).version + 1
    before = _newest(wronged)
    members = tuple(member for member in before.members if member.id in {home.id for home in homes})
    pepper, number, began = Pepper(random_bytes(32)), before.last_period + 1, now()

    def sealed(version: int, wrong: bytes | None) -> dict[bytes, bytes]:
        return {
            member.id: hpke.seal_to(
                member.client_hpke,
                hpke.pepper_info(before.federation, number, member.id),
                Pepper(random_bytes(32)) if member.id == wrong else pepper,
            )
            for member in members
        }

    period = Period(number, began, pepper_commitment(pepper), sealed(version, wronged.id))
    _bring_into_force(homes, homes, members=members, period=period, issued=began)
    used = [charged(home) for home in homes]
    submissions = rows(wronged, "SELECT idempotency_key FROM submission ORDER BY 1")
    with chartered.client(2) as client, pytest.raises(WrongPepper, match=f"version {version}"):
        client.submit([report_draft(MAIL, AbuseKind.RESALE)])
    for command in (("query",), ("submit", *RESALE)):
        told = _command(wronged, *command, "=".join(MAIL))
        assert told.returncode == 2, told.stderr
        assert f"the pepper of charter version {version} does not open" in told.stderr
    assert [charged(home) for home in homes] == used
    assert rows(wronged, "SELECT idempotency_key FROM submission ORDER BY 1") == submissions
    with chartered.client(0) as client:
        assert client.submit([report_draft(MAIL, AbuseKind.RESALE)]).accepted == 1

    # The next version seals the one committed to; the file brings it to a client that works under none.
    _bring_into_force(homes, homes, period=replace(period, sealed=sealed(version + 1, None)))
    with chartered.client(2) as client:
        until("the report", lambda: client.query([MAIL]).matches)
        assert client.status().outbox == 0
