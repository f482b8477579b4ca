"""Portkey: exports of its logs as JSON lines, and pages of its API.

1. The account is `metadata._user`, else a user that the metadata or the request names.
2. The conversation is a session that the metadata names, else a `trace_id` that is no random UUID: without the
   client's, Portkey makes one for each request.
3. The request is `request`, as an object, as JSON text, or with the body one level deeper, or the column `request.body`
   of the export.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..accounts import account_among
from ..exchange import BadExchange, Exchange
from ..times import time_of
from .bedrock import SESSION_NAMES, USER_NAMES
from .json_values import each_of, first_text, loads, mapping, text
from .messages import request_of
from .request_options import parameters_of, tools_beside

_OWN = frozenset( ("ai_org", "ai_model", "ai_provider", "virtual_key", "prompt_token", "req_units", "request_url",
"config", "mode", "trace_id") )  # fmt: skip


def is_record(document: Mapping[str, Any]) -> bool:
    """Whether an object is a log of Portkey's, by names that only they have together."""
    return (
        "created_at" in document
        and not {"request", "request.body", "metadata"}.isdisjoint(document)
        and len(_OWN.intersection(document)) >= 2
    )


def read(document: Any) -> Iterator[Exchange]:
    """The exchanges of a page, or the one of a log. Raises BadExchange, after those that could be read."""
    if type(document) is not dict:
        raise BadExchange("not a JSON object")
    page = document.get("data")
    yield from each_of(page if type(page) is list else [document], _exchange)


def _exchange(log: Any) -> Exchange:
    if type(log) is not dict:
        raise BadExchange("not a JSON object")
    given = log.get("request", log.get("request.body"))
    outer = mapping(loads(given) if type(given) is str and given[:1] == "{" else given)
    body = mapping(outer.get("body")) or outer
    metadata = _metadata(log.get("metadata"))
    named = account_among(
        (
            metadata.get("_user"),
            *(metadata.get(name) for name in USER_NAMES),
            body.get("user"),
            mapping(body.get("metadata")).get("user_id"),
        ),
        "neither metadata._user nor the request names an account",
    )
    turns = request_of(dict(body))
    return Exchange(
        account=named.account,
        conversation=first_text(metadata, *SESSION_NAMES) or named.conversation or _trace(log),
        time=time_of(log.get("created_at"), "created_at"),
        system=turns.system,
        tools=tools_beside(body),
        first_user_turn=turns.first,
        address=first_text(metadata, "client_address", "ip_address", "_ip"),
        parameters=parameters_of(body),
        last_user_turn=turns.last,
        device=named.device,
        user_turns=turns.user_turns,
        unread="request" if given and turns.first is None else None,
    )


def _metadata(given: Any) -> Mapping[str, Any]:
    # The export has two parallel lists, by the columns of its store.
    held = loads(given) if type(given) is str and given[:1] in ("[", "{") else given
    if type(held) is dict and type(held.get("key")) is list and type(held.get("value")) is list:
        return dict(zip((str(key) for key in held["key"]), held["value"], strict=False))
    return mapping(held)


def _trace(log: Mapping[str, Any]) -> str:
    trace = text(log.get("trace_id")) or ""
    is_uuid = len(trace) == 36 and trace[8] == trace[13] == trace[18] == trace[23] == "-"
    return "" if is_uuid or trace == log.get("id") else trace
