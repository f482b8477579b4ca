"""Transcripts of the client's commands: what goes where, and the exit codes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.session import RESALE, Session, terminal
from tests.client.fake_node import FakeFederation, FakeNode
from tocsin.cli.main import run
from tocsin.client import Client, ReportDraft
from tocsin.client.errors import Unavailable
from tocsin.sealing.label import AbuseKind
from tocsin.wire.values import ProvenEntries

__all__ = ["terminal"]

MAIL = ("contact.email", "mallory@example.com")
DAY = int(datetime(2026, 6, 5, tzinfo=UTC).timestamp())


def test_submit_then_query(terminal: Session, tmp_path: Path) -> None:
    code, out, err = terminal(1, "submit", "contact.email=mallory@example.com", *RESALE)
    assert (code, err) == (0, "")
    assert out == "1 value reported; others see them in about 2 s\n"
    file = tmp_path / "values.csv"
    file.write_text("type,value\ncontact.email,bob@example.com\ncontact.email,Mallory@example.com\n")
    code, out, err = terminal(0, "query", str(file))
    assert code == 0
    assert "1 value to review: a match is a lead, not a verdict" in out
    assert f"{file}:3" in out
    assert terminal.world.homes[1].name in out
    assert "mallory" not in out.lower() + err.lower()
    assert out.startswith("2 values screened, 1 match; 2 evaluations used\n")
    code, out, _ = terminal(0, "query", str(file), "--show-values", "--json")
    found = json.loads(out)
    assert (code, found["evaluated"], found["from_vault"]) == (0, 0, 2)
    assert found["matches"][0]["values"] == ["Mallory@example.com"]
    assert found["matches"][0]["abuse"] == "resale"


def test_nothing_found_is_exit_code_1(terminal: Session) -> None:
    code, out, _ = terminal(0, "query", "contact.email=bob@example.com")
    assert (code, out) == (1, "1 value screened, 0 matches; 1 evaluation used\n")


def test_a_bad_line_is_reported_without_its_value_and_the_rest_goes_on(
    terminal: Session, tmp_path: Path
) -> None:
    lines = [f"contact.email,user{number}@example.com" for number in range(40)]
    lines[5] = "payment.iban,GB00SECRETVALUE"
    lines[8] = "contact.email,user8@example.com,SECRETVALUE"
    file = tmp_path / "values.csv"
    file.write_text("\n".join(["type,value", *lines]) + "\n")
    code, out, err = terminal(0, "query", str(file))
    assert code == 2
    assert out.startswith("2 lines not screened; 38 values screened, 0 matches; ")
    assert f"1 line skipped: {file}:7: payment.iban: " in err
    assert "(iban." in err
    assert f"1 line skipped: {file}:10: the line has 3 fields, the header has 2 (csv.fields)" in err
    assert "SECRETVALUE" not in out + err


def test_strict_sends_nothing(terminal: Session, tmp_path: Path) -> None:
    file = tmp_path / "values.jsonl"
    file.write_text(
        '{"type": "contact.email", "value": "bob@example.com"}\n{"type": "contact.email", "value": 7}\n'
    )
    for command in (("query",), ("submit", *RESALE), ("retract",)):
        code, out, err = terminal(0, *command, str(file), "--strict")
        assert (code, out) == (2, "")
        assert "nothing was sent" in err
    assert terminal.node(0).evaluated == 0
    assert terminal.node(0).requests == []


def test_standard_input_and_columns(terminal: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        '{"type":"contact.email","value":"a@example.com","abuse":"account-farming","bad_accounts":37,'
        '"last_seen":"2026-06-05","first_seen":"2026-06-04","TLP":"red","confidence":75}\n'
        '{"type":"contact.email","value":"b@example.com","abuse":"nonsense","confidence":1,"first_seen":9}\n'
        '{"type":"contact.email","value":"c@example.com"}\n'
        "not json\n"
    )
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    code, out, err = terminal(1, "submit", "-", "--yes")
    assert code == 2
    assert out.startswith("3 lines skipped; 1 value reported"), err
    assert "standard input:2: abuse must be one of distillation" in err
    assert (
        "standard input:3: abuse: say what was done (--help lists the words), in a column or with --abuse"
        in err
    )
    assert "standard input:4: the line is not JSON" in err
    _, out, _ = terminal(0, "query", "contact.email=a@example.com", "--json")
    (match,) = json.loads(out)["matches"]
    assert (match["bad_accounts"], match["tlp"], match["seen"]["from"]) == (
        {"min": 32, "max": 63},
        "red",
        "2026-06-04",
    )


def test_retract_and_renew(terminal: Session) -> None:
    terminal(1, "submit", "contact.email=mallory@example.com", *RESALE)
    assert terminal(1, "renew")[1].startswith("0 entries renewed")
    assert terminal(1, "retract", "contact.email=mallory@example.com")[1].startswith("1 entry retracted")
    assert terminal(0, "query", "contact.email=mallory@example.com")[0] == 1


def test_watch_prints_a_match_a_line(terminal: Session) -> None:
    terminal(0, "query", "contact.email=mallory@example.com")
    terminal(1, "submit", "contact.email=mallory@example.com", *RESALE)
    code, out, _ = terminal(0, "watch", "--count", "1", "--json")
    assert code == 0
    assert json.loads(out)["writer_name"] == terminal.world.homes[1].name


def test_ctrl_c_is_exit_code_130(terminal: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "watch", interrupted)
    code, out, err = terminal(0, "watch")
    assert (code, out, err.splitlines()[-1]) == (130, "", "interrupted")


def test_evidence_is_exported_and_verifies_offline(terminal: Session, tmp_path: Path) -> None:
    terminal(1, "submit", "contact.email=mallory@example.com", *RESALE)
    folder = tmp_path / "evidence"
    code, out, err = terminal(0, "evidence", "export", "--match", f"{terminal.world.homes[1].id.hex()[:8]}:0",
                              "--out", str(folder))  # fmt: skip
    assert (code, err) == (0, "")
    assert sorted(path.name for path in folder.iterdir()) == [
        "about.json",
        "charter-1.json",
        "entry",
        "proof",
    ]
    for node in terminal.nodes.values():
        node.down = True
    code, out, _ = terminal(0, "evidence", "verify", str(folder))
    assert code == 0
    assert terminal.world.homes[1].name in out
    code, _, err = terminal(0, "evidence", "verify", str(folder), "--pin", "00" * 32)
    assert code == 5
    assert "pin" in err
    entry = (folder / "entry").read_bytes()
    (folder / "entry").write_bytes(entry[:-1] + bytes([entry[-1] ^ 1]))
    code, _, err = terminal(0, "evidence", "verify", str(folder))
    assert (code, "does not prove what it claims" in err) == (5, True)
    (folder / "entry").unlink()
    assert terminal(0, "evidence", "verify", str(folder))[0] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--writer", "nobody", "--index", "0"], "no member fits what was given"),
        (["--index", "0"], "name the entry"),
        (["--match", "abc"], "name the entry"),
        (["--match", "Borealis:600"], "Borealis's log has no entry 600"),
    ],
)
def test_evidence_of_what_is_not_there(
    terminal: Session, tmp_path: Path, arguments: list[str], message: str
) -> None:
    code, _, err = terminal(0, "evidence", "export", *arguments, "--out", str(tmp_path / "out"))
    assert (code, message in err) == (2, True)


def test_log_verify(terminal: Session) -> None:
    terminal(1, "submit", "contact.email=mallory@example.com", "contact.email=b@example.com", *RESALE)
    terminal(1, "retract", "contact.email=b@example.com")
    code, out, _ = terminal(0, "log", "verify", "--json")
    assert code == 0
    report = next(match for match in json.loads(out) if match["writer"] == terminal.world.homes[1].id.hex())
    assert (report["size"], report["sealed"], report["bodies"], report["retractions"]) == (3, 2, 1, 1)
    assert terminal(0, "log", "verify", "--member", terminal.world.homes[1].name)[0] == 0


def drop_leaf(world: FakeFederation, member: bytes) -> None:
    world.logs[member].leaves.pop()
    world.logs[member].entries.pop()


def swap_leaves(world: FakeFederation, member: bytes) -> None:
    world.logs[member].leaves.reverse()
    world.logs[member].entries.reverse()


def other_checkpoint(world: FakeFederation, member: bytes) -> None:
    world.logs[member].note = world.logs[world.homes[2].id].note


@pytest.mark.parametrize("tamper", [drop_leaf, swap_leaves, other_checkpoint])
def test_a_tampered_log_is_exit_code_5(
    terminal: Session, tamper: Callable[[FakeFederation, bytes], None]
) -> None:
    terminal(1, "submit", "contact.email=a@example.com", "contact.email=b@example.com", *RESALE)
    member = terminal.world.homes[1].id
    tamper(terminal.world, member)
    code, out, err = terminal(0, "log", "verify", "--member", member.hex())
    assert (code, out) == (5, "")
    assert "your node sent an invalid response" in err


def test_a_log_that_was_rewritten_is_caught(terminal: Session, tmp_path: Path) -> None:
    terminal(1, "submit", "contact.email=a@example.com", "contact.email=b@example.com", *RESALE)
    member = terminal.world.homes[1].id
    assert terminal(0, "log", "verify", "--member", member.hex())[0] == 0
    log = terminal.world.logs[member]
    entries = [entry for entry in log.entries if entry is not None]
    fresh = type(log)()
    terminal.world.logs[member] = fresh
    terminal.world.publish(member, entries[:1])
    assert terminal(0, "log", "verify", "--member", member.hex())[0] == 5
    terminal.world.publish(member, entries[:1])
    code, _, err = terminal(0, "log", "verify", "--member", member.hex())
    assert (code, "not those verified before" in err) == (5, True)


def test_status_and_budget(terminal: Session) -> None:
    code, out, _ = terminal(0, "status")
    assert code == 0
    for home in terminal.world.homes:
        assert home.name in out
    assert json.loads(terminal(0, "status", "--json")[1])["charter_version"] == 1
    code, out, _ = terminal(0, "budget")
    assert code == 0
    assert "ipv4-24" in out
    assert len(json.loads(terminal(0, "budget", "--json")[1])["budgets"]) == 30


def test_a_node_that_is_down_is_exit_code_3_and_it_is_said_that_nothing_waits(terminal: Session) -> None:
    terminal.node(1).down = True
    for command in (("submit", *RESALE), ("retract",)):
        code, out, err = terminal(1, *command, "contact.email=a@example.com")
        assert (code, out) == (3, "")
        assert err == (
            "tocsin: the node is down\n"
            "  nothing of this command was kept: run it again when the node can be reached\n"
        )
    terminal.node(1).down = False
    assert json.loads(terminal(1, "status", "--json")[1])["outbox"] == 0


def test_what_was_sealed_when_the_node_went_away_waits_and_is_sent(
    terminal: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise Unavailable("the node went away")

    with monkeypatch.context() as away:
        away.setattr(FakeNode, "submit", gone)
        code, _, err = terminal(1, "submit", "contact.email=a@example.com", *RESALE)
    said = "tocsin: the node went away\n  1 sealed request waits in the outbox; the next command sends it\n"
    assert (code, err) == (3, said)
    terminal.node(1).down = True
    code, _, err = terminal(1, "renew")
    assert (code, "1 sealed request waits" in err, "nothing of this command was kept" in err) == (
        3,
        True,
        True,
    )
    terminal.node(1).down = False
    assert terminal(1, "renew")[0] == 0
    assert json.loads(terminal(1, "status", "--json")[1])["outbox"] == 0
    assert json.loads(terminal(0, "query", "contact.email=a@example.com", "--json")[1])["matches"]


def test_budget_used_up_is_exit_code_4(terminal: Session) -> None:
    terminal.node(0).budget = 0
    code, _, err = terminal(0, "query", "contact.email=a@example.com")
    assert code == 4
    assert "BUDGET_EXHAUSTED" in err


def test_a_dropped_entry_is_exit_code_5(terminal: Session) -> None:
    from tests.client.test_client_adversary import tampered

    member = terminal.world.homes[1].id
    terminal.world.publish(member, [tampered(terminal.world)])
    code, _, err = terminal(0, "query", "contact.email=mallory@example.com")
    assert code == 5
    assert "skipped entry 1 of Borealis's log: its box does not open" in err


def test_a_forged_proof_is_exit_code_5(terminal: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(1, "submit", "contact.email=mallory@example.com", *RESALE)
    monkeypatch.setattr(FakeNode, "proven_entries", lambda *_: ProvenEntries((), {}))
    code, out, err = terminal(0, "query", "contact.email=mallory@example.com")
    assert (code, out) == (5, "")
    assert "your node sent an invalid response" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["query"],
        ["quary"],
        ["query", "contact.emial=mallory@example.com"],
        ["submit", "--colour"],
        ["log", "vrfy"],
    ],
)
def test_bad_usage_is_exit_code_2_and_shows_no_value(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err
    assert "mallory" not in err


def test_help_imports_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out, _ = capsys.readouterr()
    for command in (
        "query",
        "submit",
        "retract",
        "renew",
        "watch",
        "log",
        "evidence",
        "status",
        "budget",
        "node",
    ):
        assert command in out
    assert run(["query", "--help"]) == 0
    assert "Exit codes: 0 something matched" in capsys.readouterr().out


def test_a_report_draft_in_code_and_on_the_command_line_are_the_same(terminal: Session) -> None:
    terminal(1, "submit", "contact.email=mallory@example.com", *RESALE)
    with terminal.world.client(2, terminal.node(2)) as client:
        client.submit([ReportDraft(MAIL, AbuseKind.RESALE, confidence=80, first_seen=DAY, last_seen=DAY)])
    terminal.node(2).tick()
    with terminal.world.client(0) as client:
        one, other = client.query([MAIL]).matches
    assert one.label == other.label
