"""From gateway logs to matched accounts over real nodes: ingest, then submit, query, renew and retract `--from`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random  # noqa: TID251  the same words each time
from typing import Any

import pytest

from tests.cli.session import SURE
from tests.federation import Federation, running
from tests.ingest import made_logs
from tocsin.charter.document import PERIOD_SECONDS
from tocsin.cli.main import run
from tocsin.client import system
from tocsin.indicators.ptf2.bands import LONG
from tocsin.indicators.ptf2.template import TEMPLATE
from tocsin.localnet import federation as founding
from tocsin.tlog.entry import WEEK_S

A, B, C = range(3)
EACH = 12
"""Conversations of one account."""
TURN = 300
"""Seconds from the foundation to the next period; tests that come there set their clients' clocks ahead."""

FARMED = (
    "Assume the part of a seasoned lecturer in {} who prepares graded material for a model. Produce five numbered "
    "questions about {}, each followed by a worked solution that shows every step, names the rule applied and "
    "rejects two tempting mistakes. Keep sentences plain, avoid greetings, never mention these orders, mark each "
    "final result between double brackets, append a difficulty from one to nine, then close with the word complete "
    "on its own line so that the harness may split the batch."
)
COOKED = (
    "My grandmother left me a box of cards about {} and I would like to cook from them for friends on {}. Please "
    "read the card below as kindly as you can, guess the missing amounts, turn ounces into grams, tell me what to "
    "buy at the market the day before, warn me where beginners usually burn something, suggest a wine that is not "
    "expensive, and finish with a cheerful line that I could write on the invitation itself."
)
HIRED = (
    "We received an application for the position of {} in our workshop near {}. Compare the letter with the advert, "
    "list which of the required certificates are enclosed and which are absent, draft three polite questions for a "
    "telephone call, point out any gap longer than half a year without judging it, and leave the decision about an "
    "interview to the foreman, who wants the summary to fit on a single printed page."
)
NOISE = (*made_logs.TOPICS, "lanterns", "violins", "harvests", "ferries", "beetles", "orchards", "compasses")


def rewritten(template: str, every: int = 10) -> str:
    """The template with every tenth word another one."""
    words = template.split(" ")
    return " ".join(
        f"other{chr(97 + at // every)}" if at % every == 5 and "{" not in word else word
        for at, word in enumerate(words)
    )


def logs_of(accounts: dict[str, str], net: int) -> list[str]:
    """Conversations of accounts with their templates; no two accounts share an address, nor does one have a JA4."""
    chosen = Random(net)
    return [
        made_logs.line(
            account,
            f"{account}-{conversation}",
            template.format(chosen.choice(NOISE), f"{chosen.choice(NOISE)} {chosen.choice(NOISE)}"),
            time=system.now() - 86_400 + conversation,
            metadata={
                "user_api_key_user_id": account,
                "requester_ip_address": f"51.{net}.{number}.8",
            },
        )
        for number, (account, template) in enumerate(accounts.items())
        for conversation in range(EACH)
    ]


@dataclass
class Terminals:
    """Members' terminals, in a folder for their files."""

    federation: Federation
    folder: Path
    capture: pytest.CaptureFixture[str]

    def __call__(self, number: int, *arguments: object) -> tuple[int, dict[str, Any]]:
        """Run a client command of a member; returns exit code and JSON document."""
        home = self.federation.homes[number].client
        code = run([*map(str, arguments), "--config", str(home), "--json"])
        out, err = self.capture.readouterr()
        assert err == ""
        found: dict[str, Any] = json.loads(out)
        return code, found

    def ingest(self, name: str, accounts: dict[str, str], net: int) -> Path:
        """Ingest made logs of these accounts; returns the file of indicators."""
        logs, out = self.folder / f"{name}.jsonl", self.folder / f"{name}.parquet"
        made_logs.write(logs, logs_of(accounts, net))
        assert run(["ingest", str(logs), "--out", str(out), "--workers", "1"]) == 0
        self.capture.readouterr()
        return out

    def names(self, *accounts: str) -> Path:
        """A file that names accounts."""
        path = self.folder / f"{'-'.join(accounts)}.txt"
        path.write_text("".join(f"{account}\n" for account in accounts))
        return path

    def report(self, command: str, *arguments: object) -> int:
        """Let A submit, renew or retract, and wait until all nodes have it; returns how many entries it is of."""
        code, told = self(A, command, *arguments)
        assert code == 0
        deadline = system.monotonic() + 20
        with self.federation.client(A) as client:
            for key in map(bytes.fromhex, told["submissions"]):
                while (submission := client.submission(key)) is None or not submission.sequenced:
                    assert system.monotonic() < deadline
                    system.pause(0.05)
        self.federation.await_followed()
        return int(told["accepted"])

    def query(self, number: int, indicators: Path) -> list[dict[str, Any]]:
        """Let a member screen; returns the matches, which nobody's entry may have spoilt."""
        code, told = self(number, "query", "--from", indicators)
        assert told["problems"] == []
        matches: list[dict[str, Any]] = told["matches"]
        assert code == (0 if matches else 1)
        return matches


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Three real nodes whose period turns `TURN` seconds after their foundation."""
    with pytest.MonkeyPatch.context() as patch:
        early = system.now() - PERIOD_SECONDS + TURN
        patch.setattr(founding, "now", lambda: early)
        with running(tmp_path_factory.mktemp("from")) as started:
            yield started


@pytest.fixture
def terminals(nodes: Federation, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Terminals:
    return Terminals(nodes, tmp_path, capsys)


def accounts_of(matches: Sequence[dict[str, Any]]) -> set[str]:
    return {account for match in matches for account in match["accounts"]}


def test_accounts_with_a_template_rewritten_in_a_tenth_are_found_until_it_is_taken_back(
    terminals: Terminals,
) -> None:
    mine = terminals.ingest("mine", {"a1": FARMED, "a2": FARMED, "a3": COOKED}, 15)
    theirs = terminals.ingest(
        "theirs", {"b1": rewritten(FARMED), "b2": rewritten(FARMED), "b3": COOKED, "b4": HIRED}, 16
    )
    copied = terminals.ingest("copied", {"b5": FARMED, "b6": COOKED}, 17)
    others = terminals.ingest("others", {"c1": COOKED, "c2": HIRED}, 18)
    chosen = "--from", mine, "--accounts", terminals.names("a1", "a2")
    sent = terminals.report("submit", *chosen, "--abuse", "distillation", *SURE)
    similar = terminals.query(B, theirs)
    assert accounts_of(similar) == {"b1", "b2"}
    # Every exact token differs: it is the bands that tell.
    assert all(match["similar"]["bands"] >= LONG.threshold for match in similar)
    exact = terminals.query(B, copied)
    assert accounts_of(exact) == {"b5"}
    assert any(match["similar"] is None for match in exact)
    assert {(match["type"], match["writer"]) for match in similar + exact} == {
        (TEMPLATE, terminals.federation.homes[A].id.hex())
    }
    assert terminals.query(C, others) == []
    assert terminals.report("retract", *chosen) == sent
    assert terminals.query(B, theirs) == terminals.query(B, copied) == []


@pytest.mark.slow
def test_what_was_renewed_is_found_in_the_next_period_by_its_bands(
    terminals: Terminals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nodes' clocks are right. The clients' run ahead by less than a node puts up with, over the turn."""
    mine = terminals.ingest("mine", {"a4": HIRED}, 19)
    theirs = terminals.ingest("theirs", {"b7": rewritten(HIRED), "b8": rewritten(COOKED)}, 20)
    chosen = "--from", mine, "--accounts", terminals.names("a4")
    sent = terminals.report("submit", *chosen, "--abuse", "resale", *SURE)
    before = terminals.query(B, theirs)
    assert accounts_of(before) == {"b7"}
    assert terminals.report("renew") == 0
    if system.now() // WEEK_S != (system.now() + TURN) // WEEK_S:
        pytest.skip("a week ends now: a node keeps no entry for a week longer because a clock runs ahead")
    now = system.now
    monkeypatch.setattr(system, "now", lambda: now() + TURN)
    assert terminals.report("renew") == sent
    old = {match["index"] for match in before}
    renewed = [match for match in terminals.query(B, theirs) if match["index"] not in old]
    assert accounts_of(renewed) == {"b7"}
    assert [match["similar"] for match in renewed] == [match["similar"] for match in before]
    assert terminals.report("renew") == 0
    assert terminals.report("retract", *chosen) == 2 * sent
    assert terminals.query(B, theirs) == []
