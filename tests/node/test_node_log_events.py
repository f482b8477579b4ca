"""The log says nothing under a name that operators cannot look up, and documents none that it never says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tocsin.node.ops import events

LEVELS = {"debug", "info", "warning", "error"}
SOURCES = sorted(Path(events.__file__).parent.parent.rglob("*.py"))


def logged() -> set[tuple[str, str]]:
    """Every (level, first argument) of a call of a logger in the node's source."""
    calls = set()
    for source in SOURCES:
        for call in ast.walk(ast.parse(source.read_text())):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
                continue
            logger = ast.unparse(call.func.value)
            if call.func.attr in LEVELS and ("_log" in logger or "get_logger" in logger):
                (name,) = [first.value for first in call.args[:1] if isinstance(first, ast.Constant)]
                calls.add((call.func.attr, str(name)))
    return calls


def test_every_event_is_documented_at_its_level_and_every_documented_one_is_logged() -> None:
    documented = {(meaning.partition(":")[0], name) for name, meaning in events.EVENTS.items()}
    assert logged() == documented


def test_names_are_kebab_case() -> None:
    assert [name for name in events.EVENTS if not re.fullmatch(r"[a-z]+(-[a-z]+)*", name)] == []
