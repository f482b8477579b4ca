"""Spans and log records in OTLP JSON: OpenTelemetry's GenAI conventions and OpenInference, as exporters write them.

1. One line is one export request with `resourceSpans` or `resourceLogs`. What is no exchange with a model is passed
   over: an HTTP span, a tool's execution, an embedding.
2. Content is read from `gen_ai.input.messages`, `gen_ai.system_instructions` and `gen_ai.tool.definitions`, as JSON
   text or structured; from the deprecated `gen_ai.prompt`, whole or flattened; from events on the span and log records
   (`gen_ai.client.inference.operation.details`, `gen_ai.system.message`, `gen_ai.user.message`,
   `gen_ai.content.prompt`); and from OpenInference's flattened `llm.input_messages` and `llm.tools`.
3. A span and its events, in one request, are one exchange: they are put together by trace id and span id.
4. The account is `user.id`, else `enduser.id`, on the span, the event or the resource. The conventions do not have
   instrumentations set one; the gateway must. An exchange without one is refused, and the others go on. They have no
   name for JA4 either: it is read from `tls.client.ja4`, `client.ja4` or `ja4`.
5. The conversation is `gen_ai.conversation.id` or `session.id`, never the trace id, which is new with every request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..record import BadRecord, GatewayRecord, checked_time
from .turns import each_of, loads, mapping, opening, parameters_of, text, text_of, tools_of

_SCALARS = frozenset(("stringValue", "boolValue", "doubleValue"))
_MAX_DEPTH = 64  # of structured values; messages need about ten

_ACCOUNT = ("user.id", "enduser.id", "enduser.pseudo.id")
_CONVERSATION = ("gen_ai.conversation.id", "session.id")
_ADDRESS = ("client.address", "http.client_ip", "client.socket.address")
_USER_AGENT = ("user_agent.original", "http.user_agent")
_JA4 = ("tls.client.ja4", "client.ja4", "ja4")

_NO_EXCHANGE = frozenset(("create_agent", "embeddings", "execute_tool", "invoke_workflow", "retrieval"))
_MARKS = frozenset(
    (
        "gen_ai.input.messages",
        "gen_ai.prompt",
        "gen_ai.prompt.0.role",
        "gen_ai.request.model",
        "gen_ai.system_instructions",
    )
)
_DETAILS = frozenset(
    ("gen_ai.client.inference.operation.details", "event.gen_ai.client.inference.operation.details")
)
_PROMPTS = frozenset(("gen_ai.content.prompt",))
_ROLES = {"gen_ai.system.message": "system", "gen_ai.user.message": "user"}


@dataclass(slots=True)
class _Exchange:
    """What is known of one span: its attributes, those of its events, and the messages of its events in order."""

    attributes: dict[str, Any] = field(default_factory=dict)
    messages: list[dict[str, Any]] = field(default_factory=list)
    time: float | None = None
    is_exchange: bool = False


def read(document: Any) -> Iterator[GatewayRecord]:
    """The exchanges of one export request. Raises BadRecord, after those that could be read."""
    if type(document) is not dict:
        raise BadRecord("not a JSON object")
    if "resourceSpans" not in document and "resourceLogs" not in document:
        raise BadRecord("has neither resourceSpans nor resourceLogs")
    exchanges: dict[Any, _Exchange] = {}
    for resource, span in _parts(document, "resourceSpans", "scopeSpans", "spans"):
        _span(_exchange(exchanges, span), resource, span)
    for resource, entry in _parts(document, "resourceLogs", "scopeLogs", "logRecords"):
        attributes = _attributes(entry.get("attributes"))
        name = text(entry.get("eventName")) or text(attributes.get("event.name")) or ""
        if name in _DETAILS or name in _PROMPTS or name in _ROLES:
            exchange = _exchange(exchanges, entry)
            exchange.is_exchange = True
            exchange.attributes = {**resource, **exchange.attributes}
            _event(exchange, name, attributes, _value(entry.get("body"), 0))
            if exchange.time is None:
                exchange.time = _nanoseconds(entry, "timeUnixNano", "observedTimeUnixNano")
    yield from each_of((each for each in exchanges.values() if each.is_exchange), _record)


def _parts(
    document: dict[str, Any], top: str, scopes: str, leaves: str
) -> Iterator[tuple[dict[str, Any], Any]]:
    for group in _objects(document.get(top)):
        resource = _attributes(mapping(group.get("resource")).get("attributes"))
        for scope in _objects(group.get(scopes)):
            for leaf in _objects(scope.get(leaves)):
                yield resource, leaf


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if type(item) is dict] if type(value) is list else []


def _exchange(exchanges: dict[Any, _Exchange], leaf: Mapping[str, Any]) -> _Exchange:
    trace, span = text(leaf.get("traceId")), text(leaf.get("spanId"))
    # Without both ids, nothing else can be said to belong to it.
    key: Any = (trace, span) if trace and span else id(leaf)
    return exchanges.setdefault(key, _Exchange())


def _span(exchange: _Exchange, resource: Mapping[str, Any], span: Mapping[str, Any]) -> None:
    attributes = _attributes(span.get("attributes"))
    operation = text(attributes.get("gen_ai.operation.name"))
    exchange.is_exchange = operation not in _NO_EXCHANGE and (
        not _MARKS.isdisjoint(attributes)
        or attributes.get("openinference.span.kind") == "LLM"
        or "llm.input_messages.0.message.role" in attributes
    )
    exchange.attributes = {**resource, **attributes}
    exchange.time = _nanoseconds(span, "startTimeUnixNano")
    for event in _objects(span.get("events")):
        name = text(event.get("name")) or ""
        if name in _DETAILS or name in _PROMPTS or name in _ROLES:
            _event(exchange, name, _attributes(event.get("attributes")), None)


def _event(exchange: _Exchange, name: str, attributes: dict[str, Any], body: Any) -> None:
    role = _ROLES.get(name)
    if role is None:
        if type(body) is dict:
            attributes = {**body, **attributes}
        exchange.attributes.update(attributes)
        return
    # An event for each message: its body, or, on a span, JSON text in an attribute.
    message = body if type(body) is dict else mapping(attributes.get("gen_ai.event.content"))
    content = message.get("content", attributes.get("content"))
    exchange.messages.append({"role": role, "content": content})
    for key in (*_ACCOUNT, *_CONVERSATION, *_ADDRESS, *_USER_AGENT, *_JA4):
        if key in attributes:
            exchange.attributes[key] = attributes[key]


def _record(exchange: _Exchange) -> GatewayRecord:
    attributes = exchange.attributes
    invocation = mapping(attributes.get("llm.invocation_parameters"))
    account = _first(attributes, _ACCOUNT) or text(invocation.get("user"))
    if account is None:
        raise BadRecord("none of user.id, enduser.id and enduser.pseudo.id names an account")
    if exchange.time is None:
        raise BadRecord("has no time in nanoseconds")
    system, turn = _content(attributes, exchange.messages)
    prefix = "gen_ai.request."
    requested = {
        name.removeprefix(prefix): value for name, value in attributes.items() if name.startswith(prefix)
    }
    return GatewayRecord(
        account=account,
        conversation=_first(attributes, _CONVERSATION) or "",
        time=exchange.time,
        system=system,
        tools=_tools(attributes),
        first_user_turn=turn,
        address=_first(attributes, _ADDRESS),
        user_agent=_first(attributes, _USER_AGENT),
        ja4=_first(attributes, _JA4),
        parameters=parameters_of({**invocation, **requested}),
    )


def _content(attributes: Mapping[str, Any], messages: list[dict[str, Any]]) -> tuple[str | None, str | None]:
    instructions = attributes.get("gen_ai.system_instructions")
    if type(instructions) is str and instructions[:1] == "[":
        instructions = loads(instructions)
    for found in (
        attributes.get("gen_ai.input.messages"),
        messages,
        attributes.get("gen_ai.prompt"),
        _flattened(attributes, "gen_ai.prompt.", "."),
        _flattened(attributes, "llm.input_messages.", ".message."),
    ):
        if found:
            system, turn = opening(found)
            return text_of(instructions) or system, turn
    return text_of(instructions), None


def _flattened(attributes: Mapping[str, Any], prefix: str, infix: str) -> list[dict[str, Any]]:
    """Messages of `prefix` N `infix` role and content, up to the first of a user."""
    messages: list[dict[str, Any]] = []
    while True:
        stem = f"{prefix}{len(messages)}{infix}"
        role = attributes.get(f"{stem}role")
        if role is None:
            return messages
        content = attributes.get(f"{stem}content")
        messages.append(
            {"role": role, "content": _flattened_parts(attributes, stem) if content is None else content}
        )
        if role == "user":
            return messages


def _flattened_parts(attributes: Mapping[str, Any], stem: str) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    while (kind := attributes.get(f"{stem}contents.{len(parts)}.message_content.type")) is not None:
        parts.append(
            {"type": kind, "text": attributes.get(f"{stem}contents.{len(parts)}.message_content.text")}
        )
    return parts


def _tools(attributes: Mapping[str, Any]) -> str | None:
    defined = tools_of(attributes.get("gen_ai.tool.definitions"))
    if defined is not None:
        return defined
    schemas: list[Any] = []
    while type(schema := attributes.get(f"llm.tools.{len(schemas)}.tool.json_schema")) is str:
        schemas.append(loads(schema))
    return tools_of(schemas)


def _first(attributes: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((found for name in names if (found := text(attributes.get(name)))), None)


def _nanoseconds(leaf: Mapping[str, Any], *names: str) -> float | None:
    for name in names:
        value = _integer(leaf.get(name))
        if value:
            try:
                return checked_time(value / 1e9, name)
            except BadRecord:
                return None
    return None


def _integer(value: Any) -> int | None:
    # 64-bit integers are text in the JSON form of protobuf; some exporters write numbers.
    if type(value) is str and len(value) < 21:
        try:
            return int(value)
        except ValueError:
            return None
    return value if type(value) is int else None


def _attributes(value: Any) -> dict[str, Any]:
    return {
        item["key"]: _value(item.get("value"), 0) for item in _objects(value) if type(item.get("key")) is str
    }


def _value(value: Any, depth: int) -> Any:
    """An AnyValue as plain JSON; None beyond the depth that messages need."""
    if type(value) is not dict or depth > _MAX_DEPTH:
        return None
    for kind, held in value.items():
        if kind in _SCALARS:
            return held
        if kind == "intValue":
            return (
                int(held) if type(held) is str and held.lstrip("-").isdecimal() and len(held) < 21 else held
            )
        if kind == "arrayValue":
            return [_value(item, depth + 1) for item in _objects(mapping(held).get("values"))]
        if kind == "kvlistValue":
            return {
                item["key"]: _value(item.get("value"), depth + 1)
                for item in _objects(mapping(held).get("values"))
                if type(item.get("key")) is str
            }
    return None
