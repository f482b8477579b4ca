"""The log says nothing under a name that operators cannot look up, and documents none that it never says."""

from __future__ import annotations

import ast
import io
import json
import re
from pathlib import Path

import structlog

from tocsin.node.ops import events, logging
from tocsin.wire.reasons import Conclusion

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


def test_reasons_are_written_and_masked_values_are_not() -> None:
    stream = io.StringIO()
    logging.configure("info", stream)

    class Masked(str):
        """As secrets are."""

    structlog.get_logger().info("evaluator-skipped", reason=Conclusion.DEADLINE, key=Masked("top secret"))
    line = json.loads(stream.getvalue())
    assert (line["reason"], line["key"]) == ("DEADLINE", "(Masked)")
