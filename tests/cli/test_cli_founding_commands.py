"""Founding as a person types it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tocsin.charter.card import parse_card
from tocsin.cli.main import run

FEDERATION = "fed.example"


def tocsin(*arguments: str | Path) -> int:
    return run([str(argument) for argument in arguments])


@pytest.fixture
def three(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    for number, name in enumerate(("aster", "borealis", "cinder")):
        assert tocsin("member", "init", tmp_path / name, "--federation", FEDERATION, "--name", name.title(),
                      "--endpoint", f"127.0.0.1:{7100 + number}") == 0  # fmt: skip
    assert tocsin("charter", "draft", *(tmp_path.glob("*/card.json")), "--federation", FEDERATION,
                  "--mode", "test", "--out", tmp_path / "draft.json") == 0  # fmt: skip
    assert tocsin("keys", "deal", tmp_path / "draft.json", "--out", tmp_path / "dealt") == 0
    capsys.readouterr()
    return tmp_path


def test_founding_from_cards_to_installed_charters(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    charter = three / "dealt" / "charter.json"
    assert tocsin("charter", "verify", charter) == 5
    capsys.readouterr()
    for name in ("aster", "borealis", "cinder"):
        assert tocsin("charter", "sign", charter, "--member", three / name) == 0
    assert tocsin("charter", "verify", charter, "--json") == 0
    verified = json.loads(capsys.readouterr().out.partition("{")[2].join(["{", ""]))
    assert verified["valid"] is True
    assert tocsin("charter", "verify", charter, "--pin", verified["hash"]) == 0
    assert tocsin("charter", "verify", charter, "--pin", "00" * 32) == 5
    for name in ("aster", "borealis", "cinder"):
        assert (
            tocsin(
                "charter",
                "install",
                charter,
                "--member",
                three / name,
                "--shares",
                three / "dealt" / "shares",
            )
            == 0
        )
        assert verified["hash"] in (three / name / "node" / "node.toml").read_text()
        assert len(list((three / name / "node" / "shares").iterdir())) == 10


def test_a_charter_is_not_installed_without_the_shares_of_every_seat(
    three: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    charter, shares = three / "dealt" / "charter.json", three / "dealt" / "shares"
    for name in ("aster", "borealis", "cinder"):
        assert tocsin("charter", "sign", charter, "--member", three / name) == 0
    install = ("charter", "install", charter, "--member", three / "aster")
    before = {path: path.read_bytes() for path in (three / "aster").rglob("*") if path.is_file()}
    for given, named in ((), three / "aster" / "node" / "shares"), (("--shares", three), three):
        capsys.readouterr()
        assert tocsin(*install, *given) == 2
        message = capsys.readouterr().err
        assert str(named) in message
        assert "Aster holds 10 seats" in message
        assert "--shares" in message
    own = shares / parse_card((three / "aster" / "card.json").read_bytes()).member.id.hex()
    (lost,) = own.glob("3-*.share")
    kept = lost.read_bytes()
    lost.unlink()
    assert tocsin(*install, "--shares", shares) == 2
    assert f"of 1 of them ({lost.name}" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (three / "aster").rglob("*") if path.is_file()} == before
    lost.write_bytes(kept)
    assert tocsin(*install, "--shares", shares) == 0
    assert tocsin(*install) == 0


def test_a_member_without_a_seat_needs_no_shares(three: Path) -> None:
    assert tocsin("keys", "deal", three / "draft.json", "--out", three / "two", "--committee", "Aster",
                  "--committee", "Borealis") == 0  # fmt: skip
    charter = three / "two" / "charter.json"
    for name in ("aster", "borealis", "cinder"):
        assert tocsin("charter", "sign", charter, "--member", three / name) == 0
    assert tocsin("charter", "install", charter, "--member", three / "cinder") == 0


def test_dealing_warns_that_the_dealer_could_know_the_keys(
    three: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tocsin("keys", "deal", three / "draft.json", "--out", three / "again") == 0
    assert "could know every class key" in capsys.readouterr().err


def test_the_charter_shows_members_classes_and_what_can_be_searched(
    three: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tocsin("charter", "show", three / "dealt" / "charter.json") == 0
    shown = capsys.readouterr().out
    for expected in ("Aster", "Borealis", "Cinder", "2 of 3", "ipv4-24", "enumerable", "coverage:"):
        assert expected in shown
    assert tocsin("charter", "show", three / "dealt" / "charter.json", "--json") == 0
    assert json.loads(capsys.readouterr().out)["federation"] == FEDERATION


def test_a_card_is_shown_and_its_signature_checked(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tocsin("member", "show", three / "aster") == 0
    assert "Aster" in capsys.readouterr().out
    card = three / "aster" / "card.json"
    card.write_bytes(card.read_bytes().replace(b"Aster", b"Astor"))
    assert tocsin("member", "show", card) == 5
    assert "Traceback" not in capsys.readouterr().err


def test_no_output_carries_a_private_key(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tocsin.founding.members import open_part

    tocsin("member", "show", three / "aster", "--json")
    tocsin("charter", "show", three / "dealt" / "charter.json", "--json")
    printed = "".join(capsys.readouterr())
    secrets = [
        secret
        for part in ("identity", "node", "client")
        for secret in open_part(three / "aster", part).values()
    ]
    assert [secret for secret in secrets if bytes(secret).hex() in printed] == []


INIT = "member init {folder}/%s --federation %s --name A --endpoint %s"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (INIT % ("aster", FEDERATION, "a:1"), "not empty"),
        (INIT % ("new", "Not_A_Name", "a:1"), "DNS name"),
        (INIT % ("new", FEDERATION, "nowhere"), "host:port"),
        ("keys deal {folder}/none.json --out {folder}/x", "tocsin charter draft"),
        ("keys deal {folder}/draft.json --out {folder}/x --committee Nobody", "no member is called"),
        ("charter sign {folder}/dealt/charter.json --member {folder}", "card.json"),
        ("charter install {folder}/dealt/charter.json --member {folder}/aster", "sign"),
        ("charter show {folder}/aster/card.json", "charter"),
        ("charter verify {folder}/dealt/charter.json --pin xyz", "64 hex"),
        ("charter verify {folder}/dealt/none.json", "dealt/none.json does not exist"),
        ("charter sign {folder}/none.json --member {folder}/aster", "none.json does not exist"),
        (
            "charter draft {folder}/nope.json --federation fed.example --out {folder}/d",
            "nope.json does not exist",
        ),
        (
            "charter draft {folder}/aster/card.json --federation other.example --out {folder}/d",
            "the card of Aster was made for fed.example, not for other.example",
        ),
        (
            "charter draft {folder}/aster/card.json {folder}/borealis/card.json --federation fed.example "
            "--out {folder}/draft.json",
            "draft.json already exists",
        ),
    ],
)
def test_mistakes_are_named_and_change_nothing(
    three: Path, capsys: pytest.CaptureFixture[str], command: str, told: str
) -> None:
    before = {path: path.read_bytes() for path in three.rglob("*") if path.is_file()}
    assert tocsin(*(part.format(folder=three) for part in command.split())) in (2, 5)
    message = capsys.readouterr().err
    assert told in message
    assert "Traceback" not in message
    assert re.search(r"\S", message)
    assert {path: path.read_bytes() for path in three.rglob("*") if path.is_file()} == before
