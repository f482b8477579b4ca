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


def test_a_warning_that_says_the_same_again_is_counted_and_written_after_ten_minutes() -> None:
    now = [0.0]
    repeats = logging.Repeats(lambda: now[0])

    def written(event: str, level: str = "warning", **fields: object) -> dict[str, object] | None:
        try:
            return dict(repeats(None, level, {"event": event, "level": level, **fields}))
        except structlog.DropEvent:
            return None

    assert written("following-failed", problem="a") == {
        "event": "following-failed", "level": "warning", "problem": "a",
    }  # fmt: skip
    assert [written("following-failed", problem="a") for _ in range(3)] == [None] * 3
    # Another problem, and what is no warning, is written at once.
    assert written("following-failed", problem="b") is not None
    assert [written("serving", "info") is None for _ in range(2)] == [False, False]
    now[0] = logging.REPEAT_S
    again = written("following-failed", problem="a")
    assert again is not None
    assert again["repeated"] == 3
    assert written("following-failed", problem="a") is None


def test_only_so_many_warnings_are_remembered() -> None:
    repeats = logging.Repeats(lambda: 0.0)
    for number in range(2 * logging.MOST_REMEMBERED):
        repeats(None, "warning", {"event": "caller-refused", "level": "warning", "problem": str(number)})
    assert len(repeats._written) == logging.MOST_REMEMBERED


def test_what_is_repeated_is_held_back_in_the_real_log_but_not_at_level_debug() -> None:
    for level, lines in (("info", 1), ("debug", 3)):
        stream = io.StringIO()
        logging.configure(level, stream)
        for _ in range(3):
            structlog.get_logger().warning("tick-failed", problem="disk full")
        assert stream.getvalue().count("tick-failed") == lines
