"""Google: Vertex AI's request logs in BigQuery, and batch files of Vertex AI and the Gemini API.

1. Request logs have `full_request` and `logging_time`. Batch files have a `request` a line, beside a `key` (Gemini
   API) or a `status` and `processed_time` (Vertex AI's output); the input has no times, and the reader gives it that
   of the file.
2. The account is a label of the request, `labels.user` or the like; the file names no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..accounts import account_among
from ..exchange import UNDATED, BadExchange, Exchange
from ..times import time_of
from .bedrock import SESSION_NAMES, USER_NAMES
from .json_values import first_text, mapping
from .messages import request_of
from .request_options import parameters_of, tools_beside

_NO_CONVERSATION = ("countTokens", "embedContent", "batchEmbedContents", "computeTokens")


def is_record(document: Mapping[str, Any]) -> bool:
    """Whether an object is one of these records, by names that only they have."""
    if "full_request" in document and "logging_time" in document:
        return True
    request = document.get("request")
    return type(request) is dict and (
        "contents" in request or ("labels" in request and "messages" in request)
    )


def read(document: Any) -> Iterator[Exchange]:
    """The exchange of one row or request. Raises BadExchange."""
    if type(document) is not dict:
        raise BadExchange("not a JSON object")
    if document.get("api_method") in _NO_CONVERSATION:
        return
    request = mapping(document.get("full_request")) or mapping(document.get("request"))
    if not request:
        raise BadExchange("has neither full_request nor request")
    labels = {**mapping(mapping(document.get("metadata")).get("labels")), **mapping(request.get("labels"))}
    named = account_among(
        (
            *(labels.get(name) for name in USER_NAMES),
            mapping(request.get("metadata")).get("user_id"),
            request.get("user"),
        ),
        "no label of the request names an account; have the gateway set labels.user_id",
    )
    time = document.get("logging_time") or document.get("processed_time")
    turns = request_of(request)
    yield Exchange(
        account=named.account,
        conversation=first_text(labels, *SESSION_NAMES) or named.conversation,
        time=time_of(time, "logging_time") if time else UNDATED,
        system=turns.system,
        tools=tools_beside(request),
        first_user_turn=turns.first,
        parameters=parameters_of(
            {**request, **mapping(request.get("generationConfig") or request.get("generation_config"))}
        ),
        last_user_turn=turns.last,
        device=named.device,
        user_turns=turns.user_turns,
        unread="full_request" if turns.first is None else None,
    )
