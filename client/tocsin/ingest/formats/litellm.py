"""LiteLLM `StandardLoggingPayload`, as its callbacks and its object storage loggers write it, one JSON object a line.

1. The account is `metadata.user_api_key_user_id`, else the end user. `default_user_id` is the proxy's own master key,
   shared by everybody who has it, and names nobody.
2. The conversation is `session_id`, else a `trace_id` that the client chose. Where the client gave neither, LiteLLM
   fills `trace_id` with a random UUID for each request; that shape is therefore never a conversation.
3. Embeddings, images, speech, moderation, reranking and searches are no conversations and are passed over.
4. JA4 is where the edge put it: `metadata.requester_metadata.ja4`, or the header `x-ja4` among the custom headers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..exchange import BadExchange, Exchange, checked_time
from .messages import OTHER_CALLS, mapping, opening, parameters_of, text, text_of, tools_of

_SHARED = "default_user_id"


def read(document: Any) -> Iterator[Exchange]:
    """The exchange of one payload. Raises BadExchange."""
    if type(document) is not dict:
        raise BadExchange("not a JSON object")
    get = document.get
    call = get("call_type")
    if type(call) is str and call in OTHER_CALLS:
        return
    metadata = mapping(get("metadata"))
    parameters = mapping(get("model_parameters"))
    account = metadata.get("user_api_key_user_id")
    if type(account) is not str or not account or account == _SHARED:
        account = (
            text(get("end_user"))
            or text(metadata.get("user_api_key_end_user_id"))
            or text(parameters.get("user"))
        )
        if account is None:
            raise BadExchange("neither metadata.user_api_key_user_id nor end_user names an account")
    time = checked_time(get("startTime"), "startTime is not a number of unix seconds")
    system, turn = opening(get("messages"))
    if system is None:
        # Anthropic's `system` and the Responses API's `instructions` stand beside the messages.
        system = text_of(parameters.get("system")) or text_of(parameters.get("instructions"))
    yield Exchange(
        account,
        _conversation(document),
        time,
        system,
        tools_of(parameters.get("tools")) or tools_of(parameters.get("functions")),
        turn,
        text(metadata.get("requester_ip_address")) or text(get("requester_ip_address")),
        text(metadata.get("user_agent")) or text(get("user_agent")),
        _ja4(metadata),
        parameters_of(parameters),
    )


def _conversation(document: Mapping[str, Any]) -> str:
    session = document.get("session_id")
    if type(session) is str and session:
        return session
    trace = document.get("trace_id")
    if type(trace) is not str or trace in (document.get("id"), document.get("litellm_call_id")):
        return ""
    return "" if _is_random_uuid(trace) else trace


def _is_random_uuid(value: str) -> bool:
    return len(value) == 36 and value[14] == "4" and value[8] == value[13] == value[18] == value[23] == "-"


def _ja4(metadata: Mapping[str, Any]) -> str | None:
    given = metadata.get("requester_metadata")
    if given:
        found = text(mapping(given).get("ja4"))
        if found:
            return found
    headers = metadata.get("requester_custom_headers")
    return text(mapping(headers).get("x-ja4")) if headers else None
