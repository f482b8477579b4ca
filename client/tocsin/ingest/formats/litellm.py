"""LiteLLM: `StandardLoggingPayload`, as its callbacks and object storage loggers write it, and rows of its spend logs.

1. Spend logs are rows of the table `LiteLLM_SpendLogs`, from the database, from `/spend/logs` or from the pages of
   `/spend/logs/ui` and `/spend/logs/v2`: `startTime` is ISO 8601, the user of the key is `user`, and what was said is
   in `messages` or `proxy_server_request`, where storing prompts is switched on.
2. The account is the user of the key, else the end user. `default_user_id` is the proxy's master key, shared by
   everybody who has it, and names nobody.
3. The conversation is `session_id`, else a `trace_id` that the client chose. Where the client gave neither, LiteLLM
   fills them with a random UUID for each request; that shape is therefore never a conversation in `trace_id`.
4. Embeddings, images, speech, moderation, reranking, searches, files and batches are no conversations and are skipped,
   and so is any other call that has LiteLLM's placeholder in place of messages.
5. JA4 is where the edge put it: `metadata.requester_metadata.ja4`, or the header `x-ja4` among the custom headers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..accounts import account_among
from ..exchange import BadExchange, Exchange
from ..times import time_of
from .json_values import each_of, mapping, text
from .messages import request_of, text_of
from .request_options import OTHER_CALLS, parameters_of, tools_beside
from .role_text import NOTHING, Turns

_PLACEHOLDER = "default-message-value"
_CONVERSATIONS = ("completion", "responses", "messages", "generate_content")


def read(document: Any) -> Iterator[Exchange]:
    """The exchange of one payload or row, or those of a page. Raises BadExchange, after those that could be read."""
    if type(document) is not dict:
        raise BadExchange("not a JSON object")
    page = document.get("data")
    rows = page if type(page) is list and "startTime" not in document else [document]
    yield from each_of((row for row in rows if not _is_other(row)), _exchange)


def _is_other(row: Any) -> bool:
    """Whether a call is no conversation (rule 4)."""
    call = row.get("call_type") if type(row) is dict else None
    return type(call) is str and (
        call in OTHER_CALLS or (_is_placeholder(row.get("messages")) and not _talks(call))
    )


def _exchange(document: Any) -> Exchange:
    if type(document) is not dict:
        raise BadExchange("not a JSON object")
    get = document.get
    messages = get("messages")
    metadata = mapping(get("metadata"))
    parameters = mapping(get("model_parameters"))
    request = mapping(get("proxy_server_request"))
    request = mapping(request.get("body")) or request
    named = account_among(
        (
            metadata.get("user_api_key_user_id"),
            get("user"),
            get("end_user"),
            metadata.get("user_api_key_end_user_id"),
            parameters.get("user"),
            mapping(request.get("metadata")).get("user_id"),
            request.get("user"),
        ),
        "neither metadata.user_api_key_user_id nor end_user names an account",
    )
    turns = _turns(messages, parameters, request)
    return Exchange(
        account=named.account,
        conversation=named.conversation or _conversation(document),
        time=time_of(get("startTime"), "startTime"),
        system=turns.system,
        tools=tools_beside(parameters) or tools_beside(request),
        first_user_turn=turns.first,
        address=text(metadata.get("requester_ip_address")) or text(get("requester_ip_address")),
        user_agent=text(metadata.get("user_agent")) or text(get("user_agent")),
        ja4=_ja4(metadata),
        parameters=parameters_of(parameters),
        last_user_turn=turns.last,
        device=named.device,
        user_turns=turns.user_turns,
        unread=None
        if turns.first
        else "messages"
        if messages
        else "proxy_server_request"
        if request
        else None,
    )


def _turns(messages: Any, parameters: Mapping[str, Any], request: Mapping[str, Any]) -> Turns:
    turns = request_of(messages) if messages else NOTHING
    if turns.first is None and request:
        nested = request_of(request)
        turns = nested if nested.first else turns._replace(system=turns.system or nested.system)
    if turns.system is None:
        # Anthropic's `system`, the Responses API's `instructions` and Gemini's stand beside the messages.
        for name in ("system", "instructions", "systemInstruction", "system_instruction"):
            if name in parameters and (system := text_of(parameters[name])):
                return turns._replace(system=system)
    return turns


def _is_placeholder(messages: Any) -> bool:
    if type(messages) is list and len(messages) == 1 and type(messages[0]) is dict:
        return bool(messages[0].get("content") == _PLACEHOLDER)
    return bool(messages == _PLACEHOLDER)


def _talks(call: str) -> bool:
    return call.removeprefix("a").removeprefix("_").endswith(_CONVERSATIONS)


def _conversation(document: Mapping[str, Any]) -> str:
    session = document.get("session_id")
    if type(session) is str and session and session != document.get("request_id"):
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
        ja4 = text(mapping(given).get("ja4"))
        if ja4:
            return ja4
    headers = metadata.get("requester_custom_headers")
    return text(mapping(headers).get("x-ja4")) if headers else None
