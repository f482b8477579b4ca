"""What the demonstration showed, told in a few lines of at most 80 columns.

Every number is counted from what the providers' own clients printed, beside the truth that only the generator knows.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tocsin.cli.demo.population import Provider
from tocsin.cli.demo.views import View

WIDTH = 80
_SHOWN = 3
"""Providers named one by one; of the others only the total is given."""


def story(
    providers: Sequence[Provider], queried: Mapping[str, Mapping[str, Any]], thief: View,
    campaign: Mapping[str, Any], next_command: str,
) -> list[str]:  # fmt: skip
    """Return the lines of the story; a path is never broken."""
    accounts = sum(len(provider.accounts) for provider in providers)
    banned = [sum(account.confirmed for account in provider.accounts) for provider in providers]
    said = [
        f"{len(providers)} providers have {accounts:,} accounts. One operator is spread over all of them, below "
        "each one's notice.",
        "Alone: "
        + ", ".join(
            f"{one.name} banned {many}" for one, many in list(zip(providers, banned, strict=True))[:_SHOWN]
        )
        + (f", the others {sum(banned[_SHOWN:])}" if len(providers) > _SHOWN else "")
        + " of its accounts and reported what these held.",
    ]
    said += [_learned(provider, queried[provider.name]) for provider in providers[:_SHOWN]]
    rotating = [_rotating(provider, queried[provider.name]) for provider in providers]
    changed, by_template, by_other = (sum(column) for column in zip(*rotating, strict=True))
    said.append(
        f"In {changed} accounts the operator had changed card, telephone, address and domain: {by_other} of them "
        f"matched by these, {by_template} by the template of their prompts."
    )
    searched = sum(int(row[1].replace(",", "")) for row in thief.rows)
    found = sum(int(row[2].replace(",", "")) for row in thief.rows)
    said.append(
        f"A thief of {providers[0].name}'s whole node looked for {searched:,} values and their hashes and found "
        f"{found}. Nobody learned of a value that it does not hold itself."
    )
    said.append(f"Next: {next_command}")
    lines = [line for text in said for line in textwrap.wrap(text, WIDTH, subsequent_indent="  ")]
    at = next(number for number, line in enumerate(lines) if line.startswith("A thief"))
    return [*lines[:at], *_campaign(providers, campaign), *lines[at:]]


def _campaign(providers: Sequence[Provider], campaign: Mapping[str, Any]) -> list[str]:
    """Who named the campaign, who joined its room, and where its page is."""
    sightings = [entry for entry in campaign["room"]["entries"] if entry["kind"] == "sighting"]
    joined = [entry["writer_name"] for entry in sightings if not entry["mine"]]
    least = sum(entry["accounts"]["min"] for entry in sightings)
    others = f"{len(joined)} others" if len(joined) > _SHOWN else " and ".join(joined) or "nobody"
    text = (
        f"{providers[0].name} named the campaign, {campaign['campaign']['campaign']}, in a room that only holders of "
        f"its values can open; {others} joined: they confirmed at least {least} accounts."
    )
    return [*textwrap.wrap(text, WIDTH, subsequent_indent="  "), f"Its page: {campaign['page']}"]


def _learned(provider: Provider, outcome: Mapping[str, Any]) -> str:
    matches = outcome["matches"]
    matched = {account for match in matches for account in match["accounts"]}
    hidden = {account.id for account in provider.accounts if account.operator and not account.confirmed}
    writers = sorted({match["writer_name"] for match in matches})
    of_hidden = Counter(match["type"] for match in matches if hidden & set(match["accounts"]))
    types = [name for name, _ in sorted(of_hidden.items(), key=lambda pair: (-pair[1], pair[0]))[:_SHOWN]]
    named = (
        writers[0]
        if len(writers) == 1
        else f"{', '.join(writers[:-1])} and {writers[-1]}"
        if writers
        else "nobody"
    )
    if len(writers) > _SHOWN:
        named = f"{len(writers)} others"
    return (
        f"{provider.name} learned from {named} of {len(hidden & matched)} of its {len(hidden)} other accounts of the "
        f"operator, most by {', '.join(types) or 'nothing'}."
    )


def _rotating(provider: Provider, outcome: Mapping[str, Any]) -> tuple[int, int, int]:
    """How many accounts rotate, how many of them matched by a template, and how many by anything else."""
    rotating = {account.id for account in provider.accounts if account.rotating}
    by_template: set[str] = set()
    by_other: set[str] = set()
    for match in outcome["matches"]:
        (by_template if match["type"] == "prompt.template" else by_other).update(match["accounts"])
    return len(rotating), len(rotating & by_template), len(rotating & by_other)
