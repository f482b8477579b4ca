"""Langfuse exports: enriched observations, observations of the API, and traces, one JSON object each.

1. Names are those of the blob storage export (`user_id`) or of the API (`userId`); both are read.
2. The account is the user id. Observations of the legacy export have none, theirs stands in the traces file: they are
   refused with the advice to export enriched observations.
3. The conversation is the session id, never the trace id: without sessions, Langfuse makes a trace for each request.
4. Of observations, generations are exchanges; spans, events and tools are passed over. A trace that is downloaded with
   its observations is read by them, and by its own input where none of them is a generation.
5. `input` is JSON, or JSON text in the blob storage export; `tool_definitions` maps a name to a schema there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..record import BadRecord, GatewayRecord
from .turns import dumps, each_of, mapping, opening, parameters_of, text, time_of, tools_of

_EXCHANGES = ("GENERATION", "generation")


def read(document: Any) -> Iterator[GatewayRecord]:
    """The exchanges of one observation or trace. Raises BadRecord, after those that could be read."""
    if type(document) is not dict:
        raise BadRecord("not a JSON object")
    if type(document.get("trace")) is dict and "observations" in document:
        document = {**document["trace"], "observations": document["observations"]}
    observations = document.get("observations")
    if type(observations) is list and any(_is_exchange(item) for item in observations):
        yield from _of_trace(document, observations)
    elif document.get("type") is None or _is_exchange(document):
        yield _exchange(document, {})


def _of_trace(trace: Mapping[str, Any], observations: list[Any]) -> Iterator[GatewayRecord]:
    yield from each_of(filter(_is_exchange, observations), lambda each: _exchange(each, trace))


def _is_exchange(value: Any) -> bool:
    return type(value) is dict and value.get("type") in _EXCHANGES


def _exchange(own: Mapping[str, Any], trace: Mapping[str, Any]) -> GatewayRecord:
    account = _named(own, "user_id", "userId") or _named(trace, "user_id", "userId")
    if account is None:
        if "traceId" in own or "trace_id" in own:
            raise BadRecord("the observation names no user; export enriched observations, which do")
        raise BadRecord("the trace names no user")
    time = next((own[name] for name in ("start_time", "startTime", "timestamp") if own.get(name)), None)
    given = own.get("input")
    system, turn = opening(given)
    metadata = {**mapping(trace.get("metadata")), **mapping(own.get("metadata"))}
    return GatewayRecord(
        account=account,
        conversation=_named(own, "session_id", "sessionId") or _named(trace, "session_id", "sessionId") or "",
        time=time_of(time, "the start time"),
        system=system,
        tools=_tools(own, given),
        first_user_turn=turn,
        address=_named(metadata, "client_address", "client.address", "ip_address"),
        user_agent=_named(metadata, "user_agent", "user_agent.original"),
        ja4=_named(metadata, "ja4"),
        parameters=parameters_of(mapping(own.get("model_parameters") or own.get("modelParameters"))),
    )


def _named(values: Mapping[str, Any], *names: str) -> str | None:
    return next((found for name in names if (found := text(values.get(name)))), None)


def _tools(own: Mapping[str, Any], given: Any) -> str | None:
    # The Langfuse wrapper of the OpenAI client puts the tools beside the messages.
    inline = tools_of(mapping(given).get("tools"))
    if inline is not None:
        return inline
    defined = mapping(own.get("tool_definitions") or own.get("toolDefinitions"))
    schemas = []
    for name in sorted(defined):
        schema = defined[name]
        schema = mapping(schema) if type(schema) is str else schema
        schemas.append({"name": name, **schema} if type(schema) is dict else {"name": name})
    return dumps(schemas) if schemas else None
