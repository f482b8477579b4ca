"""A provider's analysts in the demonstration: the product's own commands, on the provider's own files.

1. `open` scores the provider's accounts alone, finds the campaign among those it banned, and opens a room for it.
2. `join` asks what others reported, scores again, and says in the room that others opened what this provider sees.
3. `page` writes the campaign's page and reads who is in the room.
4. An account that the provider knows is 200 days old, and its values were seen in the last five days.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from tocsin.client.system import now

_DAY = 86_400
_AGE_DAYS, _SEEN_DAYS = 200, 5
_SAID = ("--abuse", "distillation", "--confidence", "80")
INDICATORS, PAGE = "indicators.parquet", "campaign.html"


class CommandFailed(RuntimeError):
    """A command of the demonstration ended with another exit code than it should."""


def open_room(client: Path, data: Path) -> dict[str, object]:
    """Find the campaign among the provider's own accounts and open a room (rule 1)."""
    _write_tables(data)
    _command("review", "init", str(data / "casebook"))
    _score(data)
    campaign = _campaign(data)
    said = _json("campaigns", "open", campaign["campaign"], *_SAID, *_team(data), *_own(client))
    return {"campaign": campaign, "room": said["room"]}


def join_room(client: Path, data: Path) -> dict[str, object]:
    """Score with what others reported, and join their room (rule 2)."""
    if not (data / "casebook").exists():
        _write_tables(data)
        _command("review", "init", str(data / "casebook"))
    signals = str(data / "signals.parquet")
    _command("detect", "match", "--holdings", str(data / "holdings.parquet"), "--out", signals, *_own(client))
    found = _score(data, "--signals", signals)
    campaign = _campaign(data)
    if not campaign["room"]:
        (room, *_) = _json("campaigns", "rooms", *_own(client))["rooms"]
        _command(
            "campaigns", "update", campaign["campaign"], "--room", room, *_SAID, *_team(data), *_own(client)
        )
    return {"campaign": _campaign(data), "flagged": found["flagged"]}


def page(client: Path, data: Path) -> dict[str, object]:
    """Write the campaign's page and say who is in its room (rule 3)."""
    campaign = _campaign(data)
    shown = _json(
        "campaigns", "show", campaign["campaign"], "--casebook", str(data / "casebook"), *_own(client)
    )
    out = data / PAGE
    _command(
        "report", "campaign", campaign["campaign"], "--out", str(out), "--holdings", str(data / "holdings.parquet"),
        "--casebook", str(data / "casebook"), "--prove", *_own(client),
    )  # fmt: skip
    return {"campaign": campaign, "room": shown["room"], "page": str(out)}


def _score(data: Path, *more: str) -> dict[str, Any]:
    return _json(
        "detect", "run", "--holdings", str(data / "holdings.parquet"), "--accounts", str(data / "created.csv"),
        "--confirmed", str(data / "banned.csv"), *_team(data), *more,
    )  # fmt: skip


def _campaign(data: Path) -> dict[str, Any]:
    """Return the campaign with most accounts."""
    found = _json("campaigns", "list", "--casebook", str(data / "casebook"))["campaigns"]
    return max(found, key=lambda campaign: len(campaign["accounts"]))


def _team(data: Path) -> tuple[str, ...]:
    return "--casebook", str(data / "casebook"), "--state", str(data / "detect")


def _own(client: Path) -> tuple[str, ...]:
    return "--config", str(client)


def _json(*arguments: str) -> dict[str, Any]:
    return dict(json.loads(_command(*arguments, "--json")))


def _command(*arguments: str) -> str:
    """Run one of the product's commands in this process; return what it printed. Raises `CommandFailed`."""
    from tocsin.cli.main import run

    printed = StringIO()
    with redirect_stdout(printed):
        code = run(arguments)
    if code:
        raise CommandFailed(f"tocsin {' '.join(arguments[:2])} ended with exit code {code}")
    return printed.getvalue()


def _write_tables(data: Path) -> None:
    """Write what detection reads, from what the provider's database and `tocsin ingest` wrote (rule 4)."""
    import duckdb

    with (data / "accounts.jsonl").open(encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    moment = now()
    _write_csv(
        data / "created.csv",
        [{"account": one["account"], "created": moment - _AGE_DAYS * _DAY} for one in records],
    )
    banned = [{"account": one["account"]} for one in records if one["status"] == "confirmed-abuse"]
    _write_csv(data / "banned.csv", banned)
    files = [str(data / name) for name in ("values.csv", "bad-accounts.csv")]
    with duckdb.connect() as connection:
        connection.execute(
            """CREATE TABLE holdings AS
            SELECT account, type, value, ?::BIGINT AS first_seen, ?::BIGINT AS last_seen
                FROM read_csv(?, all_varchar = true)
            UNION ALL SELECT account, type, value, first_seen, last_seen FROM read_parquet(?)""",
            [moment - _SEEN_DAYS * _DAY, moment, files, str(data / INDICATORS)],
        )
        connection.sql("FROM holdings").write_parquet(str(data / "holdings.parquet"))


def _write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
