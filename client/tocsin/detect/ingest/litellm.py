"""LiteLLM `StandardLoggingPayload` records, one JSON object a line, read as exchanges.

1. One line is one exchange. A line that cannot be read raises BadRecord with its number and the rule, never its text.
2. The account is `metadata.user_api_key_user_id`, else `end_user`; without either the line is refused.
3. Only what indicators are made of is kept: address, JA4 where the edge put it into `requester_metadata`, tool schemas
   and the first user turn. Answers and the resent history are not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

_END_OF_TIME = 253_402_300_800  # the year 10000, where dates end


class BadRecord(ValueError):
    """A line that is no exchange. `line` counts from 1."""

    def __init__(self, line: int, rule: str) -> None:
        super().__init__(f"line {line}: {rule}")
        self.line = line
        self.rule = rule


@dataclass(frozen=True)
class Exchange:
    """One exchange of an account with the model. What a user typed or holds stays out of the repr."""

    account: str
    conversation: str
    time: float  # unix seconds
    address: str | None = field(default=None, repr=False)
    ja4: str | None = field(default=None, repr=False)
    tools: str | None = field(default=None, repr=False)  # JSON text of the tool schemas
    first_user_turn: str | None = field(default=None, repr=False)


def read_exchanges(lines: Iterable[str]) -> Iterator[Exchange]:
    """Exchanges in the order of the lines; empty lines are passed over. Raises BadRecord at the first bad line."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield parse_exchange(line, number)


def parse_exchange(line: str, number: int) -> Exchange:
    """One `StandardLoggingPayload` in JSON. Raises BadRecord."""
    try:
        payload = json.loads(line)
    except (ValueError, RecursionError):
        raise BadRecord(number, "not JSON") from None
    if not isinstance(payload, dict):
        raise BadRecord(number, "not a JSON object")
    metadata = _object(payload.get("metadata"))
    account = metadata.get("user_api_key_user_id") or payload.get("end_user")
    if not isinstance(account, str) or not account:
        raise BadRecord(number, "neither metadata.user_api_key_user_id nor end_user names an account")
    time = payload.get("startTime")
    if isinstance(time, bool) or not isinstance(time, int | float) or not 0 <= time < _END_OF_TIME:
        raise BadRecord(number, "startTime is not a number of unix seconds")
    tools = _object(payload.get("model_parameters")).get("tools")
    return Exchange(
        account=account,
        conversation=_text(payload.get("trace_id")) or _text(payload.get("id")) or str(number),
        time=float(time),
        address=_text(metadata.get("requester_ip_address")) or _text(payload.get("requester_ip_address")),
        ja4=_text(_object(metadata.get("requester_metadata")).get("ja4")),
        tools=json.dumps(tools, ensure_ascii=False) if isinstance(tools, list) and tools else None,
        first_user_turn=_first_user_turn(payload.get("messages")),
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _first_user_turn(messages: Any) -> str | None:
    if not isinstance(messages, list):
        return None
    for message in messages:
        turn = _object(message)
        if turn.get("role") == "user":
            content = turn.get("content")
            if isinstance(content, list):
                parts = (_text(_object(part).get("text")) for part in content)
                return "\n".join(part for part in parts if part) or None
            return _text(content)
    return None
