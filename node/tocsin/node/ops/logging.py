"""The node's own log: one JSON object a line on standard error.

1. An event is a fixed name of `events.EVENTS`; everything that varies is a field.
2. No value of a user, tag, token, element, key or label is ever a field. A slip is caught here: bytes are written
   as their length, except the 16 of a member id under one of the names in `ID_FIELDS`, and any object that is not
   a plain number, text, word of an enumeration or container of these as the name of its type.
3. An exception is logged by its type. Its text and traceback, which may quote what a peer sent, appear only at level
   debug.
4. A warning or error that says the same again within ten minutes is counted, not written; the next one that is written
   carries the count as `repeated`. At level debug everything is written.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from enum import StrEnum
from typing import Any, TextIO

import structlog

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
ID_FIELDS = frozenset({"member", "writer", "evaluator", "caller", "origin", "peer"})
REPEAT_S = 600.0
MOST_REMEMBERED = 256
_TEXT_LIMIT = 500


def _plain(name: str, value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        if name in ID_FIELDS and len(value) == 16:
            return bytes(value).hex()
        return f"({len(value)} bytes)"
    # A member of an enumeration is a word of the program's own. Other types that derive from str may be masked secrets.
    if isinstance(value, StrEnum):
        return value.value
    if type(value) is str:
        return value if len(value) <= _TEXT_LIMIT else value[:_TEXT_LIMIT] + "…"
    if isinstance(value, Mapping):
        return {str(key): _plain(str(key), inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(name, element) for element in value]
    return f"({type(value).__name__})"


def mask(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """structlog processor of rules 2 and 3: replace what must not be written."""
    error = event.pop("error", None)
    masked: dict[str, Any] = {name: _plain(name, value) for name, value in event.items()}
    if isinstance(error, BaseException):
        masked["error"] = type(error).__name__
        if event.get("debug_errors"):
            import traceback

            masked["traceback"] = "".join(traceback.format_exception(error))
    elif error is not None:
        masked["error"] = _plain("error", error)
    masked.pop("debug_errors", None)
    return masked


class Repeats:
    """structlog processor of rule 4. It remembers at most `MOST_REMEMBERED` different events."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._written: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Return the event, with what was held back of it. Raises `structlog.DropEvent` for a repeated one."""
        if event.get("level") not in ("warning", "error"):
            return event
        said = json.dumps(event, sort_keys=True, default=str)
        now = self._monotonic()
        with self._lock:
            at, held_back = self._written.get(said, (-REPEAT_S, 0))
            if now - at < REPEAT_S:
                self._written[said] = at, held_back + 1
                raise structlog.DropEvent
            self._written[said] = now, 0
            self._written.move_to_end(said)
            while len(self._written) > MOST_REMEMBERED:
                self._written.popitem(last=False)
        return {**event, "repeated": held_back} if held_back else event


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send this process's log to `stream` (standard error if None) as JSON lines, from `level` up."""
    threshold = LEVELS[level]
    debug = threshold <= LEVELS["debug"]

    def mark(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        return {**event, "debug_errors": debug}

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            mark,
            mask,
            *([] if debug else [Repeats(time.monotonic)]),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(file=stream if stream is not None else sys.stderr),
        cache_logger_on_first_use=False,
    )
    # grpc and asyncio speak through the standard library and quote what peers sent: only their warnings count
    # occurrences here, and their text is kept for debugging.
    logging.basicConfig(handlers=[_Forwarding(debug)], level=logging.WARNING, force=True)


class _Forwarding(logging.Handler):
    """Carries other libraries' records into the one log."""

    def __init__(self, debug: bool) -> None:
        super().__init__()
        self._debug = debug

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, object] = {"logger": record.name}
        if self._debug:
            fields["text"] = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = record.exc_info[1]
        structlog.get_logger().warning("library-warning", **fields)
