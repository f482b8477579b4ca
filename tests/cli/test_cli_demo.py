from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tocsin.charter.card import parse_card
from tocsin.cli.demo.population import GATEWAY, generate, write
from tocsin.indicators.registry import Mode, observable
from tocsin.ingest import input_files, log_reader
from tocsin.localnet.federation import Home, Nodes

COMMAND = [sys.executable, "-m", "tocsin.cli.main"]
DEMO = [*COMMAND, "demo"]
README = (Path(__file__).parents[2] / "README.md").read_text()


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *arguments],
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, "TMPDIR": str(folder)},
        check=False,
    )


def nodes_under(folder: Path) -> list[str]:
    """The command lines of processes that name `folder`."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            lines.append(line)
    return lines


@pytest.mark.slow
def test_the_demonstration_finds_matches_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = run(tmp_path, "--details")
    assert done.returncode == 0, done.stderr
    for title in ("Matches", "Opened labels", "Found by its template",
                  "What a non-holder sees", "What an evaluator sees",
                  "What a thief", "Budgets", "Time by phase"):  # fmt: skip
        assert title in done.stdout
    told = done.stdout[done.stdout.index("3 providers have") :].splitlines()
    assert len(told) < 20
    assert max(len(line) for line in told if not line.startswith("Its page: ")) <= 80
    assert told[-1].endswith("try commands on.")
    # The path may be long, and stays whole.
    (page,) = [Path(line.removeprefix("Its page: ")) for line in told if line.startswith("Its page: ")]
    assert list(tmp_path.iterdir()) == [page]
    assert page.read_text().startswith("<!doctype html>")
    assert nodes_under(tmp_path) == []


def test_its_json_names_no_value_and_its_folder_can_be_kept(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    prompts = tmp_path / "prompts.jsonl.gz"
    prompts.write_bytes(gzip.compress(b'{"prompt": "Tell me about lighthouses."}\n' * 3))
    done = run(
        tmp_path,
        "--members",
        "2",
        "--committee",
        "2",
        "--keep",
        str(kept),
        "--json",
        "--prompts",
        str(prompts),
    )
    assert done.returncode == 0, done.stderr
    # The commands that replay a kept demonstration hold the folder's path, however long.
    told, _, commands = done.stdout.partition("\n{\n")[0].partition("kept in ")
    assert "tocsin node run --config" in commands
    assert "Matches" not in told, "tables are shown with --details"
    assert len(told.splitlines()) < 20
    assert max(len(line) for line in told.splitlines() if not line.startswith("Its page: ")) <= 80
    for part in (
        "Alone: Aster banned 4, Borealis banned 4",
        "Aster learned from Borealis",
        "Aster named the campaign, C1, in a room that only holders of its values can open; Borealis joined",
        f"Its page: {kept / 'aster' / 'data' / 'campaign.html'}",
        "A thief of Aster's",
    ):
        assert part in " ".join(told.split())
    outcome = json.loads(done.stdout[done.stdout.index("\n{\n") :])
    assert outcome["matches"] > 0
    text = json.dumps(outcome)
    accounts = [
        json.loads(line) for line in (kept / "aster" / "data" / "accounts.jsonl").read_text().splitlines()
    ]
    assert not [
        field for account in accounts for field in ("email", "phone", "par") if account[field] in text
    ]
    assert "lighthouses" in (kept / "aster" / "data" / GATEWAY).read_text()
    assert (kept / "members" / "aster" / "node" / "node.db").exists()
    assert nodes_under(kept) == []
    replay(kept)


def replay(kept: Path) -> None:
    """What is kept works as the README says: its nodes run, its values are screened, its two lines of code too."""
    homes = []
    for name in ("aster", "borealis"):
        member = parse_card((kept / "members" / name / "card.json").read_bytes()).member
        port = int(member.endpoints[0].rpartition(":")[2])
        homes.append(Home(member.name, member.id, kept / "members" / name, port))
    client, data = homes[0].client, kept / "aster" / "data"
    with Nodes(homes):
        query = ["query", str(data / "values.csv"), "--config", str(client), "--json"]
        done = subprocess.run([*COMMAND, *query], capture_output=True, text=True, timeout=120, check=False)
        outcome = json.loads(done.stdout)
        assert (done.returncode, outcome["bad_lines"]) == (0, []), done.stderr
        assert all(
            account.startswith("acct-") for match in outcome["matches"] for account in match["accounts"]
        )
        _, _, code = README.partition("```python\n")
        code = code.partition("```")[0].replace("member/client", str(client))
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout) == (0, "()\n"), done.stderr
    ingest = ["ingest", str(data / "logs"), "--out", str(kept / "i.parquet"), "--test", "--workers", "1"]
    assert subprocess.run([*COMMAND, *ingest], capture_output=True, timeout=60, check=False).returncode == 0


def test_an_impossible_committee_is_refused_before_anything_starts(tmp_path: Path) -> None:
    done = run(tmp_path, "--members", "3", "--committee", "3", "--threshold", "4")
    assert done.returncode == 2
    assert "threshold" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "something").write_text("mine")
    done = run(tmp_path, "--keep", str(tmp_path))
    assert done.returncode == 2
    assert "not empty" in done.stderr
    assert (tmp_path / "something").read_text() == "mine"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "prompts.jsonl does not exist"),
        (b"\xff", "is not UTF-8"),
        (b'{"text": "x"}\n', "prompts.jsonl:1: "),
        (b"{\n", "prompts.jsonl:1: "),
        (gzip.compress(b"a prompt\n", mtime=0)[:-9], "the gzip stream is damaged"),
    ],
)
def test_prompts_that_cannot_be_read_are_bad_usage(tmp_path: Path, content: bytes | None, told: str) -> None:
    prompts = tmp_path / "prompts.jsonl"
    if content is not None:
        prompts.write_bytes(content)
    done = run(tmp_path, "--prompts", str(prompts))
    assert (done.returncode, told in done.stderr, "Traceback" in done.stderr) == (2, True, False)


@pytest.mark.parametrize(("signalled", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("begun", ["*/*/data/accounts.jsonl", "*/members/*/node/node.log"])
def test_ending_it_stops_every_process_and_removes_the_folder(
    tmp_path: Path, begun: str, signalled: signal.Signals, code: int
) -> None:
    process = subprocess.Popen(
        DEMO, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(begun)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signalled)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors.decode()
    assert b"Traceback" not in errors
    assert list(tmp_path.iterdir()) == []
    assert nodes_under(tmp_path) == []


def test_the_population_repeats_under_its_seed_and_is_accepted_by_the_registry() -> None:
    first, again, other = generate(3, 7), generate(3, 7), generate(3, 8)
    assert first == again != other
    for provider in first:
        for account in provider.accounts:
            for type, value in (("contact.email", account.email), ("contact.phone", account.phone),
                                ("payment.par", account.par), ("device.id", account.device),
                                ("net.ipv4", account.address)):  # fmt: skip
                observable(type, value, mode=Mode.TEST)


def test_the_operator_is_spread_over_every_provider() -> None:
    for provider in generate(4, 1):
        operator = [account for account in provider.accounts if account.operator]
        assert 0 < sum(account.confirmed for account in operator) < len(operator)
        assert not [account for account in provider.accounts if account.confirmed and not account.operator]


def test_gateway_logs_are_read_as_written() -> None:
    with tempfile.TemporaryDirectory() as folder:
        provider = generate(1, 3)[0]
        write(provider, Path(folder))
        bad = log_reader.BadLines()
        pieces = log_reader.cut(input_files.find([str(Path(folder) / GATEWAY)]).sources, 1)
        exchanges = [
            exchange
            for piece in pieces
            for exchange in log_reader.read(piece, "litellm", bad, log_reader.Counts())
        ]
        assert bad.kept == []
    assert len(exchanges) == sum(len(account.prompts) for account in provider.accounts)
    by_account = {account.id: account for account in provider.accounts}
    for exchange in exchanges:
        account = by_account[exchange.account]
        assert exchange.address == account.address
        assert exchange.ja4 == account.ja4
        assert exchange.first_user_turn in account.prompts
        assert (exchange.tools is None) == (account.tools is None)
