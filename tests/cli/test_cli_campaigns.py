"""`tocsin campaigns`: from the detector's run to a room that two members see, through real nodes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.detect.populations import campaign, innocents, write_provider
from tests.federation import running
from tocsin.cli.main import run

WALLET = "eth:0x52908400098527886E0F7030069857D2E4169EE7"
VALUES = {"net.ipv4": "198.51.100.7", "contact.phone": "+15550100", "payment.wallet": WALLET}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector's run with a campaign of twelve accounts, eight of them confirmed."""
    folder = tmp_path_factory.mktemp("member")
    tables = innocents(400)
    campaign(tables, "north", 12, 8, VALUES)
    write_provider(folder, tables)
    arguments = [
        "detect", "run", "--holdings", str(folder / "holdings.parquet"), "--accounts", str(folder / "accounts.parquet"),
        "--confirmed", str(folder / "confirmed.parquet"), "--today", "1970-01-31", "--state", str(folder / "detect"),
        "--casebook", str(folder / "detect"),
    ]  # fmt: skip
    assert run(["review", "init", str(folder / "detect")]) == 0
    assert run(arguments) == 0
    return folder / "detect"


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert run(["campaigns", *arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_campaigns_are_listed_without_values(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [found] = said(capsys, "list", "--casebook", str(state))["campaigns"]
    assert (found["campaign"], len(found["accounts"]), len(found["confirmed"])) == ("C1", 12, 8)
    assert found["joining"] == {"contact.phone": 1, "net.ipv4": 1, "payment.wallet": 1}
    assert run(["campaigns", "list", "--casebook", str(state)]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    assert not any(value in out for value in VALUES.values())
    assert not any(value.encode() in (state / "casebook.db").read_bytes() for value in VALUES.values())
    assert said(capsys, "list", "--casebook", str(state))["campaigns"] == [found]


def test_a_campaign_that_does_not_exist(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["campaigns", "leave", "C7", "--casebook", str(state)]) == 2
    assert "there is no campaign C7 now" in capsys.readouterr().err
    assert run(["campaigns", "leave", "C1", "--casebook", str(state)]) == 2
    assert "C1 has no room; open one" in capsys.readouterr().err


@pytest.mark.slow
def test_a_room_is_opened_joined_and_left(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    states = [tmp_path / "aster", tmp_path / "borealis"]
    for folder in states:
        shutil.copytree(state, folder)
    with running(tmp_path / "federation", 3) as federation:
        options = [
            ["--config", str(home.client), "--casebook", str(folder)]
            for home, folder in zip(federation.homes, states, strict=False)
        ]
        about = ["--abuse", "distillation", "--confidence", "90"]
        opened = said(capsys, "open", "C1", *about, *options[0], "--state", str(states[0]))
        assert (opened["accepted"], opened["reported"]) == (2, 1)
        assert run(["campaigns", "open", "C1", *about, *options[0], "--state", str(states[0])]) == 2
        assert "already has room" in capsys.readouterr().err
        federation.await_followed()

        name = opened["room"]
        joining = ["update", "C1", "--room", name, *about, "--status", "acted-on", *options[1]]
        joining += ["--state", str(states[1])]
        assert run(["campaigns", *joining]) == 2
        assert f"no room {name} is known here" in capsys.readouterr().err
        with federation.client(1) as client:
            assert len(client.query([("payment.wallet", WALLET)]).matches) == 1
        assert said(capsys, "rooms", "--config", str(federation.homes[1].client)) == {"rooms": [name]}
        assert said(capsys, *joining)["accepted"] == 1
        federation.await_followed()
        shown = said(capsys, "show", "C1", *options[0])
        entries = shown["room"]["entries"]
        assert (shown["campaign"]["campaign"], shown["campaign"]["room"]) == ("C1", name)
        assert [(entry["writer_name"], entry["kind"], entry["status"]) for entry in entries] == [
            ("Aster", "campaign", "open"),
            ("Aster", "sighting", "open"),
            ("Borealis", "sighting", "acted-on"),
        ]
        assert entries[0]["accounts"] == {"min": 8, "max": 15}
        assert run(["campaigns", "show", "C1", *options[1]]) == 0
        out = capsys.readouterr().out
        assert "Borealis (you)" in out
        assert max(map(len, out.splitlines())) <= 100
        assert said(capsys, "leave", "C1", *options[1])["accepted"] == 1
        assert said(capsys, "rooms", "--config", str(federation.homes[2].client), code=1) == {"rooms": []}
