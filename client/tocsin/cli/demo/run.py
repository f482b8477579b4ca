"""The demonstration itself: found, start, report, follow, query, show, stop.

1. Each provider's client is a process of its own; only what it prints reaches this one.
2. This process knows the generated truth, so it can say what was found and what was missed. No provider does.
3. Whatever happens, nodes are stopped and the folder is removed unless it was asked to be kept.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from tocsin.cli.demo.population import Provider, generate, write
from tocsin.cli.demo.provider import holdings
from tocsin.cli.demo.story import story
from tocsin.cli.demo.views import View, evaluator, non_holder, thief
from tocsin.cli.output import print_table, progress, say
from tocsin.client import Client
from tocsin.client.system import monotonic
from tocsin.indicators.registry import KeyClass
from tocsin.ingest.prompts import read_prompts
from tocsin.localnet.federation import Federation, Home, Nodes, found

BUDGET = 100_000
_FOLLOW_SECONDS = 30


class DemoFailed(RuntimeError):
    """The demonstration did not show what it promises; the message says which part."""


class ImpossibleDemo(ValueError):
    """What the demonstration was asked for cannot be; nothing was started."""


class Detail(Enum):
    """What is printed: the story alone, or the tables before it."""

    STORY = "story"
    TABLES = "tables"


@dataclass
class Phases:
    """Seconds by phase, in order."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase and say that it runs."""
        started = monotonic()
        with progress(name):
            yield
        self.seconds[name] = monotonic() - started


def run(
    folder: Path,
    *,
    members: int,
    committee: int,
    threshold: int,
    seed: int,
    prompts: Path | None,
    detail: Detail,
    keep: bool,
) -> dict[str, Any]:
    """Run the demonstration in `folder` and tell its story; returns what it is told from. Raises DemoFailed."""
    phases = Phases()
    with phases.phase("generating accounts and gateway logs"):
        texts = [prompt.strip() for prompt in read_prompts(prompts)] if prompts else []
        providers = generate(members, seed, texts)
        for provider in providers:
            write(provider, folder / provider.name.lower() / "data")
    with phases.phase(f"founding {members} members, committee {committee}, threshold {threshold}"):
        homes = found(
            folder / "members",
            members,
            committee=committee,
            threshold=threshold,
            budgets=dict.fromkeys(KeyClass, BUDGET),
        )
    data = {home.name: folder / home.name.lower() / "data" for home in homes}
    with Nodes(homes) as nodes:
        phases.seconds["starting the nodes"] = nodes.started_seconds
        with phases.phase("each provider ingests its gateway's log"):
            ingested = _all("ingest", homes, data)
        with phases.phase(f"{homes[0].name}'s analysts find the campaign and open a room"):
            opened = _all("open", homes[:1], data)
        with phases.phase("each provider reports what its confirmed accounts hold"):
            reported = _all("report", homes, data)
        with phases.phase("publishing and following"):
            Federation(homes, nodes).await_followed(_FOLLOW_SECONDS)
        with phases.phase("each provider queries everything else it holds"):
            queried = _all("query", homes, data)
        with phases.phase("each provider's analysts score what matched and join the room"):
            joined = _all("join", homes, data)
            Federation(homes, nodes).await_followed(_FOLLOW_SECONDS)
            shown = _all("page", homes[:1], data)[homes[0].name]
        outcome = {
            "ingested": ingested, "opened": opened, "reported": reported, "queried": queried, "joined": joined,
            "campaign": shown,
        }  # fmt: skip
        values = {value.canonical for path in data.values() for value in holdings(path)[0]}
        stolen = thief(homes[0], values)
        by_template = [_by_template(provider, queried[provider.name]) for provider in providers]
        if detail is Detail.TABLES:
            _show(providers, homes, outcome, stolen, by_template)
        with phases.phase("stopping"):
            codes = nodes.stop()
    if any(codes.values()):
        raise DemoFailed(f"a node did not stop cleanly: exit codes {codes}")
    if any(row[-1] != "0" for row in stolen.rows):
        raise DemoFailed("a value was found on a node's disk")
    if detail is Detail.TABLES:
        print_table(
            "Time by phase",
            ("phase", "seconds"),
            [(name, f"{taken:.1f}") for name, taken in phases.seconds.items()],
        )
    total = sum(len(outcome["matches"]) for outcome in queried.values())
    if total == 0:
        raise DemoFailed("no match was found: every provider should hold values that others reported")
    following = "tocsin demo --details shows the tables; --keep DIR keeps the members to try commands on."
    shown["page"] = str(_lasting(Path(shown["page"]), keep=keep))
    for line in story(providers, queried, stolen, shown, following):
        say(line)
    return outcome | {"seconds": phases.seconds, "matches": total}


def _lasting(page: Path, *, keep: bool) -> Path:
    """Return where the page stays: in a kept folder, else in a file of its own among the temporary ones."""
    if keep:
        return page
    handle, name = tempfile.mkstemp(prefix="tocsin-campaign-", suffix=".html")
    with os.fdopen(handle, "wb") as file:
        file.write(page.read_bytes())
    return Path(name)


def temporary_folder(keep: Path | None) -> Any:
    """A context that gives the folder to run in: a new one that is removed, or `keep`."""
    if keep is None:
        return tempfile.TemporaryDirectory(prefix="tocsin-demo-")
    if keep.exists() and any(keep.iterdir()):
        raise ImpossibleDemo(f"{keep} is not empty: name a new folder, existing files are never overwritten")
    keep.mkdir(parents=True, exist_ok=True)
    return _Kept(keep)


class _Kept:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> str:
        return str(self._folder)

    def __exit__(self, *_: object) -> None:
        home, data = self._folder / "members" / "aster", self._folder / "aster" / "data"
        say(f"kept in {self._folder}. To use it, run each member's node in a terminal of its own:")
        say(f"  tocsin node run --config {home / 'node'}")
        say("then, for example:")
        say(f"  tocsin query {data / 'values.csv'} --config {home / 'client'}")
        say(f"  tocsin ingest {data / 'logs'} --out indicators.parquet --test")


def _all(step: str, homes: Sequence[Home], data: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """One step in every provider's client process at once."""
    running = {
        home.name: subprocess.Popen(  # noqa: S603 - our own program, no shell
            [sys.executable, "-m", "tocsin.cli.demo.provider", step, str(home.client), str(data[home.name])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # It may be killed, and what it leaves then goes with the folder.
            env=os.environ | {"TMPDIR": str(data[home.name])},
        )
        for home in homes
    }
    try:
        outcomes = {}
        for name, process in running.items():
            output, errors = process.communicate()
            if process.returncode:
                failure = DemoFailed(f"{name} could not {step} (exit code {process.returncode}):")
                for line in errors.decode(errors="replace")[-2000:].splitlines():
                    failure.add_note(line)
                raise failure
            outcomes[name] = json.loads(output)
        return outcomes
    finally:
        for process in running.values():
            process.kill()
            process.wait()


def _show(
    providers: Sequence[Provider], homes: Sequence[Home], outcome: dict[str, Any], stolen: View,
    by_template: Sequence[tuple[str, ...]],
) -> None:  # fmt: skip
    queried = outcome["queried"]
    print_table(
        "Matches: values that the reader holds and the writer reported",
        ("reader", *(home.name for home in homes)),
        [
            (
                reader.name,
                *("-" if writer is reader else _kinds(queried[reader.name], writer.name) for writer in homes),
            )
            for reader in homes
        ],
    )
    reader = next((home for home in homes if queried[home.name]["matches"]), homes[0])
    print_table(
        f"Opened labels: {reader.name}'s first matches, for its own analysts",
        (
            "type",
            "reported by",
            "accused of",
            ("bad", "accounts"),
            "evidence",
            "confidence",
            "TLP",
            ("your", "accounts"),
        ),
        [
            (
                match["type"],
                match["writer_name"],
                match["abuse"],
                _counts(match["bad_accounts"]),
                match["evidence"],
                f"{match['confidence']} %",
                match["tlp"],
                str(len(match["accounts"])),
            )
            for match in queried[reader.name]["matches"][:8]
        ],
    )
    print_table(
        "Leads for review: accounts matched by two types or more, beside the generated truth",
        (
            "provider",
            "leads",
            "of the operator",
            "innocent",
            ("careless operator accounts", "not confirmed before"),
        ),
        [_leads(provider, queried[provider.name]) for provider in providers],
    )
    print_table(
        "Found by its template: operator accounts with new payment, address, telephone, device and domain",
        (
            "provider",
            ("rotating", "accounts"),
            ("matched by", "any other type"),
            ("matched by", "prompt.template"),
            "bands agreed",
            ("innocent accounts", "matched by it"),
        ),
        by_template,
    )
    _show_views(homes, outcome, stolen)
    _show_budgets(homes, outcome)


def _by_template(provider: Provider, outcome: dict[str, Any]) -> tuple[str, ...]:
    rotating = {account.id for account in provider.accounts if account.rotating}
    operator = {account.id for account in provider.accounts if account.operator}
    template: set[str] = set()
    other: set[str] = set()
    bands = []
    of: set[int] = set()
    for match in outcome["matches"]:
        (template if match["type"] == "prompt.template" else other).update(match["accounts"])
        if match["similar"] and rotating & set(match["accounts"]):
            bands.append(match["similar"]["bands"])
            of.add(match["similar"]["of"])
    if not rotating <= template:
        raise DemoFailed("an account of the operator was not found by its template")
    return (
        provider.name,
        str(len(rotating)),
        str(len(rotating & other)),
        f"{len(rotating & template)} of {len(rotating)}",
        f"{min(bands)} to {max(bands)} of {max(of)}" if bands else "none",
        str(len(template - operator)),
    )


def _counts(bounds: dict[str, int]) -> str:
    low, high = bounds["min"], bounds["max"]
    return str(low) if low == high else f"{low} to {high}"


def _kinds(outcome: dict[str, Any], writer: str) -> tuple[str, ...]:
    counts = Counter(match["type"] for match in outcome["matches"] if match["writer_name"] == writer)
    return tuple(f"{count} {type}" for type, count in sorted(counts.items())) or ("none",)


def _leads(provider: Provider, outcome: dict[str, Any]) -> tuple[str, ...]:
    types = defaultdict(set)
    for match in outcome["matches"]:
        for account in match["accounts"]:
            types[account].add(match["type"])
    leads = {account for account, kinds in types.items() if len(kinds) >= 2}
    hidden = {
        account.id
        for account in provider.accounts
        if account.operator and not account.confirmed and not account.rotating
    }
    return (
        provider.name,
        str(len(leads)),
        f"{len(leads & hidden)} of {len(hidden)}",
        str(len(leads - hidden)),
        str(len(hidden)),
    )


def _show_views(homes: Sequence[Home], outcome: dict[str, Any], stolen: View) -> None:
    queried = outcome["queried"]
    reader, writer = homes[0], homes[1]
    held = {
        match["index"] for match in queried[reader.name]["matches"] if match["writer_name"] == writer.name
    }
    view = non_holder(reader, writer, held)
    print_table(view.title, view.columns, view.rows)
    view = evaluator(homes[0], homes)
    print_table(view.title, view.columns, view.rows)
    print_table(stolen.title, stolen.columns, stolen.rows)


def _show_budgets(homes: Sequence[Home], outcome: dict[str, Any]) -> None:
    rows = []
    for home in homes:
        with Client.connect(home.client) as client:
            left = client.budget()
        used = sum(seat.limit - seat.left for seat in left.budgets)
        limit = sum(seat.limit for seat in left.budgets)
        reported, queried = outcome["reported"][home.name], outcome["queried"][home.name]
        rows.append(
            (
                home.name,
                f"{reported['reported']:,}",
                f"{queried['queried']:,}",
                f"{reported['evaluated'] + queried['evaluated']:,}",
                f"{queried['from_vault']:,}",
                f"{used:,} of {limit:,}",
                f"{reported['seconds'] + queried['seconds']:.1f} s",
            )
        )
    print_table(
        "Budgets: evaluations and what they cost",
        (
            "provider",
            "reported",
            "queried",
            ("values", "evaluated"),
            ("known", "before"),
            ("budget used,", "all evaluators"),
            ("client", "time"),
        ),
        rows,
    )
