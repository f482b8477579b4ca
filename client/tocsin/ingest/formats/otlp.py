"""Spans and log records in OTLP JSON: OpenTelemetry's GenAI conventions and OpenInference, as exporters write them.

1. One line is one export request with `resourceSpans` or `resourceLogs`. What is no exchange with a model is passed
   over: an HTTP span, a tool's execution, an embedding. A model's name alone marks no exchange: LiteLLM puts it on
   every span of a request.
2. Content is read from `gen_ai.input.messages`, `gen_ai.system_instructions` and `gen_ai.tool.definitions`, as JSON
   text or structured; from the deprecated `gen_ai.prompt`, whole or flattened; from events on the span and log records
   (`gen_ai.client.inference.operation.details`, `gen_ai.system.message`, `gen_ai.user.message`,
   `gen_ai.content.prompt`); from OpenInference's flattened `llm.input_messages` and `llm.tools`; and from
   `langfuse.observation.input` of a generation. Tools are also read from the flattened `llm.request.functions`.
3. A span and its events, in one request, are one exchange: they are put together by trace id and span id. Across
   requests they are not: what is read would depend on where a file is cut into pieces. A span that is no exchange is
   held only where a log record of its request may make it one.
4. The account is the first of `ACCOUNT` on the span, the event or the resource; of a resource nothing is read but who
   and where. The conventions do not have instrumentations set one; the gateway must. LiteLLM's `default_user_id` is its
   master key and names nobody, and the hash of a key is no account: a key may serve many. An exchange without an
   account is refused, and the others go on.
5. The conversation is the first of `CONVERSATION`, never the trace id, which is new with every request.
6. The conventions have no name for JA4: it is read from `tls.client.ja4`, `client.ja4` or `ja4`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..exchange import BadExchange, Exchange, checked_time
from .messages import OTHER_CALLS, each_of, loads, mapping, opening, parameters_of, text, text_of, tools_of

_SCALARS = frozenset(("stringValue", "boolValue", "doubleValue"))
_MAX_DEPTH = 64  # of structured values; messages need about ten

# In order of preference: the conventions; Langfuse; LiteLLM's two integrations, the key's user and then the end user;
# OpenLLMetry's association properties; and the `user` of a request as OpenLLMetry, LiteLLM and OpenLIT have it.
ACCOUNT = (
    "user.id",
    "enduser.id",
    "enduser.pseudo.id",
    "langfuse.user.id",
    "litellm.metadata.user_api_key_user_id",
    "metadata.user_api_key_user_id",
    "litellm.end_user.id",
    "litellm.metadata.user_api_key_end_user_id",
    "metadata.user_api_key_end_user_id",
    "traceloop.association.properties.user_id",
    "gen_ai.user",
    "llm.user",
    "gen_ai.request.user",
)
CONVERSATION = (
    "gen_ai.conversation.id",
    "session.id",
    "langfuse.session.id",
    "traceloop.association.properties.session_id",
)
_NOBODY = "default_user_id"
_ADDRESS = (
    "client.address", "http.client_ip", "client.socket.address", "litellm.metadata.requester_ip_address",
    "metadata.requester_ip_address",
)  # fmt: skip
_USER_AGENT = ("user_agent.original", "http.user_agent", "metadata.user_agent")
_JA4 = ("tls.client.ja4", "client.ja4", "ja4")
_WHO = frozenset((*ACCOUNT, *CONVERSATION, *_ADDRESS, *_USER_AGENT, *_JA4))

_NO_EXCHANGE = OTHER_CALLS.union(
    ("create_agent", "embeddings", "execute_tool", "invoke_workflow", "retrieval")
)
_CONTENT = frozenset(
    ("gen_ai.input.messages", "gen_ai.prompt", "gen_ai.prompt.0.role", "gen_ai.system_instructions")
)
# One of these beside the model: the current conventions, the earlier ones, OpenLLMetry and LiteLLM.
_CALL = frozenset(("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.system", "llm.request.type"))
_DETAILS = frozenset(
    ("gen_ai.client.inference.operation.details", "event.gen_ai.client.inference.operation.details")
)
_PROMPTS = frozenset(("gen_ai.content.prompt",))
# The specification's before it had a field, and LiteLLM's.
_EVENT_NAME = ("event.name", "event_name")
_ROLES = {"gen_ai.system.message": "system", "gen_ai.user.message": "user"}


@dataclass(slots=True)
class _Exchange:
    """What is known of one span: its attributes, those of its events, and the messages of its events in order."""

    attributes: dict[str, Any] = field(default_factory=dict)
    resources: list[dict[str, Any]] = field(default_factory=list)
    """Of its span and its log records: shared with all others of theirs, so never copied."""
    messages: list[dict[str, Any]] = field(default_factory=list)
    time: float | None = None
    is_exchange: bool = False
    has_span: bool = False


def read(document: Any) -> Iterator[Exchange]:
    """The exchanges of one export request. Raises BadExchange, after those that could be read."""
    if type(document) is not dict:
        raise BadExchange("not a JSON object")
    if "resourceSpans" not in document and "resourceLogs" not in document:
        raise BadExchange("has neither resourceSpans nor resourceLogs")
    exchanges: dict[Any, _Exchange] = {}
    logged = _logged(document) if "resourceSpans" in document and "resourceLogs" in document else set()
    for resource, span in _parts(document, "resourceSpans", "scopeSpans", "spans"):
        attributes = _attributes(span.get("attributes"))
        is_exchange, key = _is_exchange(attributes), _key(span)
        if is_exchange or key in logged or key in exchanges:
            exchange = exchanges.setdefault(key, _Exchange())
            exchange.is_exchange = is_exchange
            _span(exchange, resource, span, attributes)
    for resource, entry in _parts(document, "resourceLogs", "scopeLogs", "logRecords"):
        attributes = _attributes(entry.get("attributes"))
        if name := _event_name(entry, attributes):
            exchange = exchanges.setdefault(_key(entry), _Exchange())
            exchange.is_exchange = True
            exchange.resources.append(resource)
            _event(exchange, name, attributes, _value(entry.get("body"), 0))
            if exchange.time is None:
                exchange.time = _nanoseconds(entry, "timeUnixNano", "observedTimeUnixNano")
    yield from each_of((each for each in exchanges.values() if each.is_exchange), _finished)


def _logged(document: dict[str, Any]) -> set[Any]:
    """What the log records that make an exchange belong to."""
    return {
        _key(entry)
        for _, entry in _parts(document, "resourceLogs", "scopeLogs", "logRecords")
        if _event_name(entry, _attributes(entry.get("attributes")))
    }


def _parts(
    document: dict[str, Any], top: str, scopes: str, leaves: str
) -> Iterator[tuple[dict[str, Any], Any]]:
    for group in _objects(document.get(top)):
        resource = _attributes(mapping(group.get("resource")).get("attributes"), _WHO)
        for scope in _objects(group.get(scopes)):
            for leaf in _objects(scope.get(leaves)):
                yield resource, leaf


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if type(item) is dict] if type(value) is list else []


def _key(leaf: Mapping[str, Any]) -> Any:
    trace, span = text(leaf.get("traceId")), text(leaf.get("spanId"))
    # Without both ids, nothing else can be said to belong to it.
    return (trace, span) if trace and span else id(leaf)


def _is_exchange(attributes: dict[str, Any]) -> bool:
    return text(attributes.get("gen_ai.operation.name")) not in _NO_EXCHANGE and (
        not _CONTENT.isdisjoint(attributes)
        or ("gen_ai.request.model" in attributes and not _CALL.isdisjoint(attributes))
        or attributes.get("openinference.span.kind") == "LLM"
        or "llm.input_messages.0.message.role" in attributes
        or attributes.get("langfuse.observation.type") == "generation"
    )


def _event_name(entry: Mapping[str, Any], attributes: dict[str, Any]) -> str | None:
    """The name of a log record, where it is one that makes an exchange."""
    name = text(entry.get("eventName")) or _first(attributes, _EVENT_NAME) or ""
    return name if name in _DETAILS or name in _PROMPTS or name in _ROLES else None


def _span(
    exchange: _Exchange, resource: dict[str, Any], span: Mapping[str, Any], attributes: dict[str, Any]
) -> None:
    exchange.has_span = True
    exchange.attributes = attributes
    exchange.resources.append(resource)
    exchange.time = _nanoseconds(span, "startTimeUnixNano")
    for event in _objects(span.get("events")):
        name = text(event.get("name")) or ""
        if name in _DETAILS or name in _PROMPTS or name in _ROLES:
            _event(exchange, name, _attributes(event.get("attributes")), None)


def _event(exchange: _Exchange, name: str, attributes: dict[str, Any], body: Any) -> None:
    role = _ROLES.get(name)
    if role is None and type(body) is dict and name in _PROMPTS:
        role = text(body.get("role"))  # LiteLLM has a prompt event for each message
    if role is None:
        if type(body) is dict:
            attributes = {**body, **attributes}
        exchange.attributes.update(attributes)
        return
    # An event for each message: its body, or, on a span, JSON text in an attribute.
    message = body if type(body) is dict else mapping(attributes.get("gen_ai.event.content"))
    content = message.get("content", attributes.get("content"))
    exchange.messages.append({"role": role, "content": content})
    for key in _WHO.intersection(attributes):
        exchange.attributes[key] = attributes[key]


def _finished(exchange: _Exchange) -> Exchange:
    attributes = exchange.attributes
    for resource in exchange.resources:
        for key, value in resource.items():
            attributes.setdefault(key, value)
    invocation = mapping(attributes.get("llm.invocation_parameters"))
    account = _first(attributes, ACCOUNT, _NOBODY) or text(invocation.get("user"))
    if account is None and exchange.has_span:
        raise BadExchange("no attribute names an account; have the gateway set user.id on the span")
    if account is None:
        raise BadExchange(
            "the log record names no account; have the gateway set user.id on it, as on its span"
        )
    if exchange.time is None:
        raise BadExchange("has no time in nanoseconds")
    system, turn = _content(attributes, exchange.messages)
    langfuse = mapping(attributes.get("langfuse.observation.model.parameters"))
    prefix = "gen_ai.request."
    requested = {
        name.removeprefix(prefix): value for name, value in attributes.items() if name.startswith(prefix)
    }
    return Exchange(
        account=account,
        conversation=_first(attributes, CONVERSATION) or "",
        time=exchange.time,
        system=system,
        tools=_tools(attributes),
        first_user_turn=turn,
        address=_first(attributes, _ADDRESS),
        user_agent=_first(attributes, _USER_AGENT),
        ja4=_first(attributes, _JA4),
        parameters=parameters_of({**invocation, **langfuse, **requested}),
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
        attributes.get("langfuse.observation.input"),
    ):
        if found:
            system, turn = opening(found)
            return text_of(instructions) or system, turn
    return text_of(instructions), None


def _flattened(attributes: Mapping[str, Any], prefix: str, infix: str) -> list[dict[str, Any]]:
    """Messages of `prefix` N `infix` role and content, up to the first text of a user."""
    messages: list[dict[str, Any]] = []
    while True:
        stem = f"{prefix}{len(messages)}{infix}"
        role = attributes.get(f"{stem}role")
        if role is None:
            return messages
        content = attributes.get(f"{stem}content")
        if content is None:
            content = _flattened_parts(attributes, stem)
        messages.append({"role": role, "content": content})
        if role == "user" and text_of(content):
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
    return tools_of(schemas or _functions(attributes))


def _functions(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    functions: list[dict[str, Any]] = []
    while name := text(attributes.get(f"{(stem := f'llm.request.functions.{len(functions)}.')}name")):
        function: dict[str, Any] = {"name": name}
        if description := text(attributes.get(f"{stem}description")):
            function["description"] = description
        if parameters := mapping(attributes.get(f"{stem}parameters")):
            function["parameters"] = parameters
        functions.append(function)
    return functions


def _first(attributes: Mapping[str, Any], names: tuple[str, ...], besides: str | None = None) -> str | None:
    """The first that is text, or a whole number as it is written, and not `besides`."""
    for name in names:
        value = attributes.get(name)
        if type(value) is int:
            return str(value)
        if type(value) is str and value and value != besides:
            return value
    return None


def _nanoseconds(leaf: Mapping[str, Any], *names: str) -> float | None:
    for name in names:
        value = _integer(leaf.get(name))
        if value:
            try:
                return checked_time(value / 1e9, name)
            except BadExchange:
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


def _attributes(value: Any, wanted: frozenset[str] | None = None) -> dict[str, Any]:
    return {
        key: _value(item.get("value"), 0)
        for item in _objects(value)
        if type(key := item.get("key")) is str and (wanted is None or key in wanted)
    }


def _value(value: Any, depth: int) -> Any:
    """An AnyValue as plain JSON; None beyond the depth that messages need."""
    if type(value) is not dict or depth > _MAX_DEPTH:
        return None
    for kind, held in value.items():
        if kind in _SCALARS:
            return held
        if kind == "intValue":
            return _integer(held)
        if kind == "arrayValue":
            return [_value(item, depth + 1) for item in _objects(mapping(held).get("values"))]
        if kind == "kvlistValue":
            return {
                item["key"]: _value(item.get("value"), depth + 1)
                for item in _objects(mapping(held).get("values"))
                if type(item.get("key")) is str
            }
    return None
