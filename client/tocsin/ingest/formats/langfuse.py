"""Langfuse: its exports, its downloads and the pages of its API, as JSON.

1. Read are enriched observations, observations of the API, traces (the deprecated export, the API, the table of the
   web interface), a trace or a session downloaded as JSON, and a page of the API, `data` beside `meta`.
2. Names are those of the blob storage export (`user_id`) or of the API (`userId`); both are read.
3. The account is the user id. Observations of the deprecated export have none, theirs stands in the traces file: they
   are refused with the advice to export enriched observations.
4. The conversation is the session id, never the trace id: without sessions, Langfuse makes a trace for each request.
5. Of observations, generations are exchanges; spans, events, tools and scores are skipped. A trace that comes with its
   observations is read from them, and from the trace's input where none of them is a generation.
6. `input` is JSON, or JSON text in the blob storage export; `tool_definitions` maps a name to a schema there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..accounts import account_among
from ..exchange import BadExchange, Exchange
from ..times import time_of
from .json_values import dumps, each_of, loads, mapping, text
from .messages import request_of
from .request_options import parameters_of, tools_beside

_EXCHANGES = ("GENERATION", "generation")


def read(document: Any) -> Iterator[Exchange]:
    """The exchanges of one observation, trace, session or page. Raises BadExchange, after those that could be read."""
    if type(document) is not dict:
        raise BadExchange("not a JSON object")
    page = document.get("data")
    items = page if type(page) is list and type(document.get("meta")) is dict else [document]
    yield from each_of(_found(items), lambda pair: _exchange(*pair))


def _found(items: list[Any]) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Each exchange with the trace that it belongs to; what is no object comes with nothing, to be refused."""
    for item in items:
        traces = item.get("traces") if type(item) is dict else None
        if type(traces) is not list:
            yield from _of_one(item, {})
            continue
        for trace in traces:
            yield from _of_one(trace, {"session_id": item.get("id")})


def _of_one(item: Any, session: Mapping[str, Any]) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    if type(item) is not dict:
        yield item, session
        return
    if type(item.get("trace")) is dict and "observations" in item:
        item = {**item["trace"], "observations": item["observations"]}
    observations = item.get("observations")
    if type(observations) is list and any(_is_exchange(observation) for observation in observations):
        trace = {**session, **item}
        yield from ((observation, trace) for observation in observations if _is_exchange(observation))
    elif _is_exchange(item) or (item.get("type") is None and not _is_score(item)):
        yield item, session


def _is_score(item: Mapping[str, Any]) -> bool:
    return "value" in item and ("data_type" in item or "dataType" in item)


def _is_exchange(value: Any) -> bool:
    return type(value) is dict and value.get("type") in _EXCHANGES


def _exchange(document: Any, trace: Mapping[str, Any]) -> Exchange:
    if type(document) is not dict:
        raise BadExchange("not a JSON object")
    is_observation = "traceId" in document or "trace_id" in document
    metadata = {**mapping(trace.get("metadata")), **mapping(document.get("metadata"))}
    named = account_among(
        (
            *(holder.get(name) for holder in (document, trace) for name in ("user_id", "userId")),
            metadata.get("user_id"),
            metadata.get("userId"),
            metadata.get("langfuse_user_id"),
        ),
        "the observation names no user; export enriched observations, which do"
        if is_observation
        else "the trace names no user",
    )
    time = next(
        (document[name] for name in ("start_time", "startTime", "timestamp") if document.get(name)), None
    )
    given = document.get("input")
    turns = request_of(given)
    return Exchange(
        account=named.account,
        conversation=_named(document, "session_id", "sessionId")
        or _named(trace, "session_id", "sessionId")
        or named.conversation
        or _named(metadata, "session_id", "chat_id", "langfuse_session_id")
        or "",
        time=time_of(time, "the start time"),
        system=turns.system,
        tools=_tools(document, given),
        first_user_turn=turns.first,
        address=_named(metadata, "client_address", "client.address", "ip_address"),
        user_agent=_named(metadata, "user_agent", "user_agent.original"),
        ja4=_named(metadata, "ja4"),
        parameters=parameters_of(
            mapping(document.get("model_parameters") or document.get("modelParameters"))
        ),
        last_user_turn=turns.last,
        user_turns=turns.user_turns,
        device=named.device,
        unread="input" if given and turns.first is None else None,
    )


def _named(values: Mapping[str, Any], *names: str) -> str | None:
    return next((value for name in names if (value := text(values.get(name)))), None)


def _tools(document: Mapping[str, Any], given: Any) -> str | None:
    # The Langfuse wrapper of the OpenAI client puts the tools beside the messages.
    inline = tools_beside(mapping(given))
    if inline is not None:
        return inline
    defined = document.get("tool_definitions") or document.get("toolDefinitions")
    if type(defined) is str:
        defined = loads(defined)
    if type(defined) is not dict:
        return None
    schemas = []
    for name in sorted(defined):
        schema = defined[name]
        schema = mapping(schema) if type(schema) is str else schema
        schemas.append({"name": name, **schema} if type(schema) is dict else {"name": name})
    return dumps(schemas) if schemas else None
