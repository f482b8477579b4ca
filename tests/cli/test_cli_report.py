"""`tocsin report campaign` and `tocsin case export`, from others' reports through real nodes to proofs that verify."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.detect.populations import campaign, innocents, write_provider
from tests.federation import Federation, running
from tocsin.charter.envelope import charter_hash, parse_envelope
from tocsin.cli.main import run
from tocsin.client import ReportDraft

TODAY = int(time.time()) // 86_400  # noqa: TID251 - nodes go by the system's clock
DAY = 86_400
VALUES = {
    "net.ipv4": "198.18.7.7",
    "contact.phone": "+447700900123",
    "payment.wallet": "eth:0x52908400098527886E0F7030069857D2E4169EE7",
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Federation, Path]]:
    """Two members reported values that twelve accounts of the first member hold; it matched and ran its detector."""
    folder = tmp_path_factory.mktemp("report")
    tables = innocents(400)
    campaign(tables, "north", 12, 0, VALUES)
    tables["holdings"] = [(*row[:3], TODAY - 9, TODAY, *row[5:]) for row in tables["holdings"]]
    tables["accounts"] = [(account, TODAY + created - 9) for account, created in tables["accounts"]]
    write_provider(folder, tables)
    with running(folder / "federation", 3) as federation:
        for number, tlp in ((1, "amber"), (2, "red")):
            drafts = [
                ReportDraft(
                    value, "distillation", confidence=90, first_seen=(TODAY - 8) * DAY, last_seen=TODAY * DAY,
                    bad_accounts=9, tlp=tlp, supporting=True,
                )
                for value in VALUES.items()
            ]  # fmt: skip
            with federation.client(number) as client:
                assert client.submit(drafts).accepted == len(VALUES)
        federation.await_followed()
        config = ["--config", str(federation.homes[0].client)]
        holdings = ["--holdings", str(folder / "holdings.parquet")]
        assert run(["detect", "match", *holdings, "--out", str(folder / "signals.parquet"), *config]) == 0
        book = folder / "casebook"
        assert run(["review", "init", str(book)]) == 0
        (book / "casebook.toml").write_text(f'holdings = "{folder / "holdings.parquet"}"\n')
        arguments = [
            "detect", "run", *holdings, "--accounts", str(folder / "accounts.parquet"), "--signals",
            str(folder / "signals.parquet"), "--state", str(folder / "detect"), "--casebook", str(book),
        ]  # fmt: skip
        assert run(arguments) == 0
        yield federation, folder


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert run([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_the_page_of_a_campaign_with_proofs(
    seen: tuple[Federation, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    federation, folder = seen
    options = ["--casebook", str(folder / "casebook"), "--config", str(federation.homes[0].client)]
    out = tmp_path / "report.html"
    command = ["report", "campaign", "C1", "--out", str(out), *options]
    written = said(capsys, *command, "--prove")
    assert written == {
        "campaign": "C1", "file": str(out), "tlp": "TLP:AMBER", "accounts": 12, "values": 3, "reports": 3,
        "withheld": 3, "proven": 3,
    }  # fmt: skip
    page = out.read_text()
    assert out.stat().st_mode & 0o777 == 0o600
    assert "3 of 3 proofs were fetched and verified" in page
    assert federation.homes[1].name in page
    assert federation.homes[2].name not in page, "its reports are TLP:RED"
    assert not any(value in page for value in VALUES.values())
    assert run(command) == 2
    assert "already exists" in capsys.readouterr().err
    assert out.read_text() == page
    wider = said(capsys, *command[:4], str(tmp_path / "all.html"), *options, "--tlp", "red", "--show-values")
    assert (wider["tlp"], wider["reports"], wider["withheld"]) == ("TLP:RED", 6, 0)
    assert all(value in (tmp_path / "all.html").read_text() for value in VALUES.values())
    assert run([*command[:4], str(tmp_path / "x.html"), *options, "--tlp", "pink"]) == 2
    assert run(["report", "campaign", "C9", "--out", str(tmp_path / "y.html"), *options]) == 2
    assert "there is no campaign C9 now" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.html", "report.html"]


def test_a_folder_for_legal_whose_files_and_proofs_verify(
    seen: tuple[Federation, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    federation, folder = seen
    options = [
        "--casebook",
        str(folder / "casebook"),
        "--config",
        str(federation.homes[0].client),
        "--by",
        "ann",
    ]
    out = tmp_path / "case-C1"
    written = said(capsys, "case", "export", "C1", "--out", str(out), *options)
    assert written["proofs"] == 3
    assert written["manifest_sha256"] == hashlib.sha256((out / "MANIFEST.sha256").read_bytes()).hexdigest()
    listed = {line.split("  ")[1] for line in (out / "MANIFEST.sha256").read_text().splitlines()}
    present = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert listed == present - {"MANIFEST.sha256"}
    check = ["sha256sum", "-c", "--quiet", "MANIFEST.sha256"]
    assert subprocess.run(check, cwd=out, check=False, capture_output=True).returncode == 0

    proofs = sorted((out / "evidence").iterdir())
    pin = charter_hash(parse_envelope((proofs[0] / "charter-1.json").read_bytes()).document).hex()
    capsys.readouterr()
    assert run(["evidence", "verify", *map(str, proofs), "--pin", pin]) == 0
    assert capsys.readouterr().out.count(federation.homes[1].name) == 3
    moved = tmp_path / "moved"
    shutil.copytree(proofs[0], moved)
    (moved / "entry").write_bytes((proofs[1] / "entry").read_bytes())
    assert run(["evidence", "verify", str(moved), "--pin", pin]) == 5

    rows = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert {"flagged", "campaign"} <= {row["what"] for row in rows}
    assert [row["no"] for row in rows] == sorted(row["no"] for row in rows)
    facts = json.loads((out / "campaign.json").read_text())
    assert [report["member"] for report in facts["reports"]] == [federation.homes[1].name] * 3
    text = "".join(path.read_text("utf-8", "replace") for path in out.rglob("*") if path.is_file())
    assert not any(value in text for value in (*VALUES.values(), "north0"))

    before = (out / "campaign.json").read_bytes()
    assert run(["case", "export", "C1", "--out", str(out), *options]) == 2
    assert "already exists" in capsys.readouterr().err
    assert (out / "campaign.json").read_bytes() == before
    assert run(["review", "verify", "--casebook", str(folder / "casebook")]) == 0


def test_a_folder_that_cannot_be_finished_is_not_left(
    seen: tuple[Federation, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from tocsin.detect.reports import case

    federation, folder = seen
    options = ["--casebook", str(folder / "casebook"), "--config", str(federation.homes[0].client)]

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "case" / "evidence"))

    monkeypatch.setattr(case, "export_evidence", full)
    assert run(["case", "export", "C1", "--out", str(tmp_path / "case"), *options]) == 2
    assert "No space left" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_transparency_counts_reports_in_and_out_and_what_people_decided(
    seen: tuple[Federation, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    federation, folder = seen
    options = ["--state", str(folder / "detect"), "--casebook", str(folder / "casebook")]
    command = ["report", "transparency", *options]
    for account, outcome, reason in (
        ("north0", "confirmed", "own-evidence"), ("north1", "rejected", "known-customer"),
        ("north2", "confirmed", "own-evidence"),
    ):  # fmt: skip
        number = said(capsys, "account", account, *options[2:])["flag"]
        decision = ["review", "decide", str(number), "--outcome", outcome, "--reason", reason, *options[2:]]
        assert run(decision) == 0
    assert run(["account", "north2", "--appeal", *options[2:]]) == 0
    decision = ["--outcome", "rejected", "--reason", "shared-value", *options[2:]]
    number = said(capsys, "account", "north2", *options[2:])["flag"]
    assert run(["review", "decide", str(number), *decision]) == 0
    found = said(capsys, *command, "--local")
    assert {row["type"]: row["reports_in"] for row in found["types"]} == dict.fromkeys(VALUES, 2)
    assert {row["hit_percent"] for row in found["types"]} == {100 / 3}
    assert (found["decisions"], found["reversed"]) == (4, {"confirmed": 1})
    out = said(capsys, *command, "--config", str(federation.homes[1].client))
    assert {row["type"]: row["reported_out"] for row in out["types"]} == dict.fromkeys(VALUES, 1)
    capsys.readouterr()
    assert run([*command, "--local"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    assert "4 final decisions; replaced later: 1 confirmed" in shown
    assert run([*command[:2], "--local", "--state", str(folder / "none"), *options[2:]]) == 2
