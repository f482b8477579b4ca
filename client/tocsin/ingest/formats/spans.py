"""Spans of calls of a model, whatever exported them: OpenTelemetry's GenAI conventions and what libraries write beside.

1. What is no call of a model is skipped: an HTTP span, a tool's execution, an embedding. A model's name alone marks no
   call: LiteLLM puts it on every span of a request.
2. A call counts once. Where a span of a call has another among its descendants, the innermost counts: ADK and LangChain
   wrap the client's span. Spans of an agent (`invoke_agent`, `ai.generateText`) hold what their calls hold and are
   no exchange, but for an agent that runs elsewhere (a span of kind client) and has no call beside it.
3. What the innermost span lacks, who it is and its turns, is taken from the spans around it.
4. A span and its log records, in one document, are one exchange: they are put together by trace id and span id. Across
   documents they are not: what is read would depend on where a file is cut into pieces.
5. The account is the first of `ACCOUNT` on the span, its log records, the spans around it or the resource; of a
   resource nothing is read but who and where. The conventions do not have instrumentations set one; the gateway must.
   The hash of a key is no account: a key may serve many. An exchange without an account is refused, and the others go
   on.
6. The conversation is the first of `CONVERSATION`, never the trace id, which is new with every request.
7. Content is the first of `_content` that holds a user's turn. An attribute that should hold content and is not
   understood is named, so that a warning can say where the content is.
8. The conventions have no name for JA4: it is read from `tls.client.ja4`, `client.ja4` or `ja4`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..accounts import account_among, is_placeholder
from ..exchange import BadExchange, Exchange
from .json_values import each_of, loads, mapping, text
from .messages import prompt_of, request_of, text_of
from .request_options import OTHER_CALLS, parameters_of, tools_beside, tools_of
from .role_text import NOTHING, Turns
from .span_names import ACCOUNT, ADDRESS, CONVERSATION, JA4, USER_AGENT, WHO

_NO_EXCHANGE = OTHER_CALLS.union(
    ("create_agent", "embeddings", "execute_tool", "invoke_workflow", "retrieval")
)
_OPERATIONS = frozenset(
    ("chat", "text_completion", "generate_content")
)  # calls by the conventions, whatever else is said
_NO_EXCHANGE_OF_AI = (
    "ai.embed",
    "ai.toolCall",
    "ai.rerank",
    "ai.generateImage",
    "ai.generateSpeech",
    "ai.transcribe",
)
_AGENT = frozenset(("invoke_agent",))
_CONTENT = frozenset(
    (
        "gen_ai.input.messages", "gen_ai.prompt", "gen_ai.prompt.0.role", "gen_ai.system_instructions",
        "ai.prompt.messages", "gcp.vertex.agent.llm_request", "llm.prompts.0.prompt.text",
        "llm.input_messages.0.message.role", "llm.input_messages",
    )
)  # fmt: skip
# One of these beside the model: the current conventions, the earlier ones, OpenLLMetry and LiteLLM.
_CALL = frozenset(("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.system", "llm.request.type"))
_DETAILS = frozenset(
    ("gen_ai.client.inference.operation.details", "event.gen_ai.client.inference.operation.details")
)
_PROMPTS = frozenset(("gen_ai.content.prompt",))
# The specification's before it had a field, and LiteLLM's.
_EVENT_NAME = ("event.name", "event_name")
_ROLES = {"gen_ai.system.message": "system", "gen_ai.user.message": "user"}
# What an unread attribute that may hold content has in its name, and what it does not.
_CONTENT_WORDS = ("prompt", "message", "input", "request_data", "llm_request", "content")
_NO_CONTENT_WORDS = (
    "token",
    "output",
    "completion",
    "response",
    "template",
    "mime_type",
    "usage",
    "cost",
    "format",
)
_MAX_ANCESTORS = 64
_CLIENT_KINDS = (3, "3", "SPAN_KIND_CLIENT", "client", "CLIENT", "SpanKind.CLIENT")


@dataclass(slots=True)
class Span:
    """One span, or the log records of one that is elsewhere: ids, attributes, events as name and attributes."""

    key: Any
    parent: Any
    time: float | None
    attributes: dict[str, Any]
    resource: dict[str, Any]
    kind: Any = None
    events: list[tuple[str, dict[str, Any], Any]] = field(default_factory=list)
    """Name, attributes and body of each event and log record that may say what was asked."""


@dataclass(slots=True)
class _Call:
    """What is known of one call: its attributes with those of its events, and the messages of its events in order."""

    attributes: dict[str, Any]
    resources: list[dict[str, Any]]
    """Of its span and its log records: shared with all others of theirs, so never copied."""
    time: float | None
    parent: Any
    has_span: bool
    is_call: bool
    agent: bool = False
    remote: bool = False
    messages: list[dict[str, Any]] = field(default_factory=list)


def event_name(name: str, attributes: Mapping[str, Any]) -> str | None:
    """The name of an event or log record, where it is one that says what was asked."""
    name = name or _first(attributes, _EVENT_NAME) or ""
    return name if name in _DETAILS or name in _PROMPTS or name in _ROLES else None


def exchanges_of(spans: Iterable[Span], logs: Iterable[Span] = ()) -> Iterator[Exchange]:
    """Yield the exchanges among the spans and log records of one document. Raises BadExchange at the end."""
    calls: dict[Any, _Call] = {}
    around: dict[Any, tuple[Any, dict[str, Any]]] = {}
    records = list(logs)
    logged = {record.key for record in records}
    for span in spans:
        attributes = span.attributes
        agent = _is_agent(attributes)
        is_call = agent or _is_call(attributes)
        if is_call or span.key in logged or span.key in calls:
            call = _Call(
                attributes,
                [span.resource],
                span.time,
                span.parent,
                True,
                is_call,
                agent,
                span.kind in _CLIENT_KINDS,
            )
            for name, said, body in span.events:
                _add_event(call, name, said, body)
            calls[span.key] = call
        else:
            who = {name: attributes[name] for name in WHO.intersection(attributes)}
            if who or span.parent is not None:
                around[span.key] = (span.parent, who)
    for record in records:
        call = calls.setdefault(record.key, _Call({}, [], None, None, False, True))
        call.is_call = True
        call.resources.append(record.resource)
        for name, said, body in record.events:
            _add_event(call, name, said, body)
        if call.time is None:
            call.time = record.time
    yield from each_of(_innermost(calls, around), _finished)


def _innermost(
    calls: dict[Any, _Call], around: dict[Any, tuple[Any, dict[str, Any]]]
) -> list[tuple[_Call, list[_Call]]]:
    """Each call that counts, with the calls around it that do not (rule 2)."""
    outer: set[Any] = set()
    wrapped: list[tuple[Any, _Call, list[_Call]]] = []
    traces = {key[0] for key, call in calls.items() if call.is_call and not call.agent and type(key) is tuple}
    for key, call in calls.items():
        if not call.is_call:
            continue
        others: list[_Call] = []
        parent = call.parent
        for _ in range(_MAX_ANCESTORS):
            if parent is None:
                break
            if (other := calls.get(parent)) is not None:
                if other.is_call:
                    outer.add(parent)
                others.append(other)
                parent = other.parent
            elif (beside := around.get(parent)) is not None:
                parent, who = beside
                _take(call.attributes, who)
            else:
                break
        wrapped.append((key, call, others))
    return [
        (call, others)
        for key, call, others in wrapped
        if key not in outer and (not call.agent or (call.remote and key[0] not in traces))
    ]


def _take(attributes: dict[str, Any], around: Mapping[str, Any]) -> None:
    """Add what is said around a call, also in place of a placeholder that stands for no account."""
    for name, value in around.items():
        given = attributes.get(name)
        if given is None or (type(given) is str and is_placeholder(given)):
            attributes[name] = value


def _is_agent(attributes: Mapping[str, Any]) -> bool:
    if text(attributes.get("gen_ai.operation.name")) in _AGENT:
        return True
    operation = attributes.get("ai.operationId")
    return (
        type(operation) is str
        and not _is_inner_operation(operation)
        and not operation.startswith(_NO_EXCHANGE_OF_AI)
    )


def _is_inner_operation(operation: str) -> bool:
    # `ai.generateText` runs steps; `ai.generateText.doGenerate` and `.doStream` are the calls.
    return operation.rpartition(".")[2] in ("doGenerate", "doStream")


def _is_call(attributes: Mapping[str, Any]) -> bool:
    operation = attributes.get("ai.operationId")
    if type(operation) is str and operation.startswith(_NO_EXCHANGE_OF_AI):
        return False
    named = text(attributes.get("gen_ai.operation.name"))
    return named not in _NO_EXCHANGE and (
        named in _OPERATIONS
        or not _CONTENT.isdisjoint(attributes)
        or ("gen_ai.request.model" in attributes and not _CALL.isdisjoint(attributes))
        or attributes.get("openinference.span.kind") == "LLM"
        or attributes.get("langsmith.span.kind") == "llm"
        or attributes.get("langfuse.observation.type") == "generation"
        or attributes.get("mlflow.spanType") in ("LLM", "CHAT_MODEL", '"LLM"', '"CHAT_MODEL"')
    )


def _add_event(call: _Call, name: str, attributes: dict[str, Any], body: Any) -> None:
    role = _ROLES.get(name)
    if role is None and type(body) is dict and name in _PROMPTS:
        role = text(body.get("role"))  # LiteLLM has a prompt event for each message
    if role is None:
        if type(body) is dict:
            attributes = {**body, **attributes}
        call.attributes.update(attributes)
        return
    # An event for each message: its body, or, on a span, JSON text in an attribute.
    message = body if type(body) is dict else mapping(attributes.get("gen_ai.event.content"))
    content = message.get("content", attributes.get("content"))
    call.messages.append({"role": role, "content": content})
    for key in WHO.intersection(attributes):
        call.attributes[key] = attributes[key]


def _finished(nested: tuple[_Call, list[_Call]]) -> Exchange:
    call, others = nested
    attributes = call.attributes
    for other in others:
        _take(attributes, {key: other.attributes[key] for key in WHO.intersection(other.attributes)})
    for resource in (resource for holder in (call, *others) for resource in holder.resources):
        _take(attributes, resource)
    invocation = mapping(attributes.get("llm.invocation_parameters"))
    metadata = mapping(attributes.get("metadata"))
    named = account_among(
        (*(attributes.get(name) for name in ACCOUNT), invocation.get("user"), metadata.get("user_id")),
        "no attribute names an account; have the gateway set user.id on the span"
        if call.has_span
        else "the log record names no account; have the gateway set user.id on it, as on its span",
    )
    if call.time is None:
        raise BadExchange("has no time in nanoseconds")
    turns = _content(attributes, call.messages)
    for other in others:
        if turns.first is not None:
            break
        if not other.agent:
            turns = (
                _content(other.attributes, other.messages)._replace(system=turns.system)
                if turns.system
                else _content(other.attributes, other.messages)
            )
    langfuse = mapping(attributes.get("langfuse.observation.model.parameters"))
    prefix = "gen_ai.request."
    requested = {
        name.removeprefix(prefix): value for name, value in attributes.items() if name.startswith(prefix)
    }
    return Exchange(
        account=named.account,
        conversation=_first(attributes, CONVERSATION) or named.conversation,
        time=call.time,
        system=turns.system,
        tools=_tools(attributes) or next((tools for other in others if (tools := _tools(other.attributes))), None),
        first_user_turn=turns.first,
        address=_first(attributes, ADDRESS),
        user_agent=_first(attributes, USER_AGENT),
        ja4=_first(attributes, JA4),
        parameters=parameters_of({**invocation, **langfuse, **requested}),
        last_user_turn=turns.last,
        user_turns=turns.user_turns,
        device=named.device,
        unread=_unread(attributes) if turns.first is None else None,
    )  # fmt: skip


def _content(attributes: Mapping[str, Any], messages: list[dict[str, Any]]) -> Turns:
    """The turns of the first source that has a user's; else the system prompt of the first that has one."""
    instructions = attributes.get("gen_ai.system_instructions")
    system = text_of(
        loads(instructions) if type(instructions) is str and instructions[:1] in ("[", "{") else instructions
    )
    if system is None and attributes.get("gen_ai.system_instructions"):
        system = text_of(instructions)
    for source in _sources(attributes, messages):
        turns = source
        if turns.first is not None:
            return turns._replace(system=system or turns.system)
        system = system or turns.system
    return Turns(system) if system else NOTHING  # fmt: skip


def _sources(attributes: Mapping[str, Any], messages: list[dict[str, Any]]) -> Iterator[Turns]:
    yield request_of(attributes.get("gen_ai.input.messages"))
    yield request_of(messages)
    yield request_of(attributes.get("events"))  # Pydantic AI's first format
    yield request_of(attributes.get("gen_ai.prompt"))
    yield request_of(_flattened(attributes, "gen_ai.prompt.", "."))
    yield request_of(attributes.get("gen_ai.content.prompt"))  # OpenLIT's, where it is no event
    yield request_of(_flattened(attributes, "llm.prompts.", "."))  # OpenLLMetry's before its 0.5
    yield request_of(_flattened(attributes, "llm.input_messages.", ".message."))
    yield request_of(attributes.get("llm.input_messages"))  # as Phoenix exports it
    yield request_of(attributes.get("ai.prompt.messages"))
    yield request_of(attributes.get("ai.prompt"))
    yield request_of(attributes.get("gcp.vertex.agent.llm_request"))
    yield prompt_of(attributes.get("llm.prompts.0.prompt.text"))
    yield prompt_of(attributes.get("llm.prompts.0"))
    yield prompt_of(attributes.get("llm.prompts"))  # OpenInference's list
    yield request_of(attributes.get("langfuse.observation.input"))
    yield request_of(attributes.get("input.value"))
    yield request_of(attributes.get("request_data"))  # Logfire
    yield request_of(attributes.get("mlflow.spanInputs"))
    yield request_of(attributes.get("pydantic_ai.all_messages"))


def _unread(attributes: Mapping[str, Any]) -> str | None:
    """The first attribute that may hold content (rule 7)."""
    for name, value in attributes.items():
        lower = name.lower()
        if (
            (type(value) is list or (type(value) is str and len(value) > 1))
            and any(word in lower for word in _CONTENT_WORDS)
            and not any(word in lower for word in _NO_CONTENT_WORDS)
        ):
            return name
    return None


def _flattened(attributes: Mapping[str, Any], prefix: str, infix: str) -> list[dict[str, Any]]:
    """Messages of `prefix` N `infix` role and content."""
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


def _flattened_parts(attributes: Mapping[str, Any], stem: str) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    while (kind := attributes.get(f"{stem}contents.{len(parts)}.message_content.type")) is not None:
        parts.append(
            {"type": kind, "text": attributes.get(f"{stem}contents.{len(parts)}.message_content.text")}
        )
    return parts


def _tools(attributes: Mapping[str, Any]) -> str | None:
    for name in ("gen_ai.tool.definitions", "ai.prompt.tools"):
        if (defined := tools_of(attributes.get(name))) is not None:
            return defined
    schemas: list[Any] = []
    while type(schema := attributes.get(f"llm.tools.{len(schemas)}.tool.json_schema")) is str:
        schemas.append(loads(schema))
    if type(listed := attributes.get("llm.tools")) is list:  # as Phoenix exports it
        schemas = [_tool_schema(tool) for tool in listed if type(tool) is dict]
    if found := tools_of(schemas or _functions(attributes)):
        return found
    for name in ("gcp.vertex.agent.llm_request", "llm.invocation_parameters", "request_data", "input.value"):
        if found := tools_beside(mapping(attributes.get(name))):
            return found
    return tools_of(mapping(attributes.get("model_request_parameters")).get("function_tools"))


def _tool_schema(tool: Mapping[str, Any]) -> Any:
    schema = mapping(tool.get("tool")).get("json_schema", tool.get("tool.json_schema"))
    return loads(schema) if type(schema) is str else schema


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


def _first(attributes: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """The first that is text, or a whole number as it is written."""
    for name in names:
        value = attributes.get(name)
        if type(value) is int:
            return str(value)
        if type(value) is str and value:
            return value
    return None
