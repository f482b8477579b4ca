"""Helicone: pages of its API, and exports of its table of requests as JSON lines or CSV.

1. The account is the user id that the client sent with the request (`Helicone-User-Id`), else the `user` of the
   request.
2. The conversation is the session of the properties (`Helicone-Session-Id`).
3. The request is `request_body`. A body that is kept elsewhere (`signed_body_url`) is not fetched: the exchange counts
   without content.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..accounts import account_among
from ..exchange import BadExchange, Exchange
from ..times import time_of
from .json_values import each_of, first_text, loads, mapping
from .messages import request_of
from .request_options import parameters_of, tools_beside

_SESSION = ("Helicone-Session-Id", "helicone-session-id", "Helicone-Session-ID", "session_id", "sessionId")
_NO_CONVERSATION = (
    "/embeddings",
    "/images/generations",
    "/moderations",
    "/audio/speech",
    "/audio/transcriptions",
    "/rerank",
)


def is_record(document: Mapping[str, Any]) -> bool:
    """Whether an object is a request of Helicone's, by names that only they have."""
    return "request_created_at" in document and ("request_id" in document or "request_user_id" in document)


def read(document: Any) -> Iterator[Exchange]:
    """The exchanges of a page, or the one of a request. Raises BadExchange, after those that could be read."""
    if type(document) is not dict:
        raise BadExchange("not a JSON object")
    page = document.get("data")
    requests = page if type(page) is list else [page] if type(page) is dict else [document]
    yield from each_of((request for request in requests if not _is_other(request)), _exchange)


def _is_other(request: Any) -> bool:
    path = request.get("request_path") if type(request) is dict else None
    return type(path) is str and path.partition("?")[0].endswith(_NO_CONVERSATION)


def _exchange(request: Any) -> Exchange:
    if type(request) is not dict:
        raise BadExchange("not a JSON object")
    given = request.get("request_body")
    body = loads(given) if type(given) is str and given[:1] in ("[", "{") else given
    fields = mapping(body)
    properties = {**mapping(request.get("properties")), **mapping(request.get("request_properties"))}
    for name in _SESSION:  # CSV has a column for each property
        properties.setdefault(name, request.get(name) or request.get(f"property.{name}"))
    named = account_among(
        (
            request.get("request_user_id"),
            request.get("user_id"),
            properties.get("Helicone-User-Id"),
            fields.get("user"),
            mapping(fields.get("metadata")).get("user_id"),
        ),
        "neither request_user_id nor the request names an account; have the client send Helicone-User-Id",
    )
    turns = request_of(body)
    return Exchange(
        account=named.account,
        conversation=first_text(properties, *_SESSION) or named.conversation,
        time=time_of(request.get("request_created_at"), "request_created_at"),
        system=turns.system,
        tools=tools_beside(fields),
        first_user_turn=turns.first,
        address=first_text(request, "request_ip"),
        parameters=parameters_of(fields),
        last_user_turn=turns.last,
        device=named.device,
        user_turns=turns.user_turns,
        unread="request_body" if given and turns.first is None else None,
    )
