"""Spans outside of OTLP: Jaeger's API, the console exporters of OpenTelemetry, and Phoenix (REST and Parquet).

1. Jaeger: `data` of traces, each with `spans` and `processes`; tags are `key` and `value`, times microseconds, and the
   fields of a log with the tag `event` are an event.
2. The console exporter writes a span as an object with `context`, `attributes` and `resource`; Go's has capital names.
3. Phoenix: spans by `span_kind`, with attributes nested as its API gives them, or in columns `attributes.…`. A span of
   another kind than LLM is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..exchange import BadExchange, Exchange, checked_time
from ..times import time_of
from .json_values import mapping, text
from .span_names import WHO
from .spans import Span, event_name, exchanges_of

_MAX_DEPTH = 8
_CHILD_OF = ("CHILD_OF", "FOLLOWS_FROM")


def read_jaeger(document: Any) -> Iterator[Exchange]:
    """The exchanges of a page of Jaeger's API, or of one of its traces. Raises BadExchange at the end."""
    if type(document) is not dict:
        raise BadExchange("not a JSON object")
    if "spanID" in document:  # one span, as Jaeger's indices in Elasticsearch have it
        document = {"spans": [document]}
    traces = document["data"] if type(document.get("data")) is list else [document]
    yield from exchanges_of(span for trace in traces if type(trace) is dict for span in _of_jaeger(trace))


def _of_jaeger(trace: Mapping[str, Any]) -> Iterator[Span]:
    processes = mapping(trace.get("processes"))
    spans = trace.get("spans")
    for span in spans if type(spans) is list else []:
        if type(span) is not dict:
            continue
        trace_id = text(span.get("traceID")) or text(trace.get("traceID"))
        process = processes.get(str(span.get("processID")), span.get("process"))
        parent = next(
            (
                text(reference.get("spanID"))
                for reference in _listed(span.get("references"))
                if type(reference) is dict and reference.get("refType") in _CHILD_OF
            ),
            text(span.get("parentSpanID")),
        )
        tags = _tags(span.get("tags"))
        start = span.get("startTime")
        yield Span(
            (trace_id, text(span.get("spanID")) or id(span)),
            (trace_id, parent) if parent else None,
            _seconds(start / 1e6) if type(start) is int and abs(start) < 1 << 64 else None,
            tags,
            {name: value for name, value in _tags(mapping(process).get("tags")).items() if name in WHO},
            tags.get("span.kind"),
            [
                (name, fields, None)
                for log in _listed(span.get("logs"))
                if type(log) is dict
                and (fields := _tags(log.get("fields")))
                and (name := event_name(text(fields.get("event")) or text(fields.get("name")) or "", fields))
            ],
        )


def _listed(value: Any) -> list[Any]:
    return value if type(value) is list else []


def _tags(tags: Any) -> dict[str, Any]:
    return {
        tag["key"]: tag.get("value")
        for tag in (tags if type(tags) is list else [])
        if type(tag) is dict and type(tag.get("key")) is str
    }


def read_console(document: Any) -> Iterator[Exchange]:
    """The exchange of one span as a console exporter prints it. Raises BadExchange."""
    if type(document) is not dict:
        raise BadExchange("not a JSON object")
    yield from exchanges_of([_of_go(document) if "SpanContext" in document else _of_console(document)])


def _of_console(span: Mapping[str, Any]) -> Span:
    context = mapping(span.get("context"))
    resource = mapping(span.get("resource"))
    trace = text(context.get("trace_id"))
    parent = text(span.get("parent_id"))
    return Span(
        (trace, text(context.get("span_id")) or id(span)),
        (trace, parent) if parent else None,
        _time(span.get("start_time")),
        dict(mapping(span.get("attributes"))),
        {name: value for name, value in mapping(resource.get("attributes")).items() if name in WHO},
        span.get("kind"),
        list(_events(span.get("events"), "name", "attributes")),
    )


def _events(events: Any, name: str, attributes: str) -> Iterator[tuple[str, dict[str, Any], Any]]:
    for event in events if type(events) is list else []:
        if type(event) is dict:
            said = dict(mapping(event.get(attributes)))
            if known := event_name(text(event.get(name)) or "", said):
                yield known, said, None


def _of_go(span: Mapping[str, Any]) -> Span:
    context, parent = mapping(span.get("SpanContext")), mapping(span.get("Parent"))
    trace = text(context.get("TraceID"))
    above = text(parent.get("SpanID"))
    return Span(
        (trace, text(context.get("SpanID")) or id(span)),
        (trace, above) if above and above.strip("0") else None,
        _time(span.get("StartTime")),
        _of_go_pairs(span.get("Attributes")),
        {name: value for name, value in _of_go_pairs(span.get("Resource")).items() if name in WHO},
        span.get("SpanKind"),
        [
            (name, said, None)
            for event in _listed(span.get("Events"))
            if type(event) is dict
            for said in [_of_go_pairs(event.get("Attributes"))]
            if (name := event_name(text(event.get("Name")) or "", said))
        ],
    )


def _of_go_pairs(pairs: Any) -> dict[str, Any]:
    return {
        pair["Key"]: mapping(pair.get("Value")).get("Value")
        for pair in (pairs if type(pairs) is list else [])
        if type(pair) is dict and type(pair.get("Key")) is str
    }


def read_phoenix(document: Any) -> Iterator[Exchange]:
    """The exchanges of a page of Phoenix's API, or of one span or row. Raises BadExchange at the end."""
    if type(document) is not dict:
        raise BadExchange("not a JSON object")
    spans = document["data"] if type(document.get("data")) is list else [document]
    yield from exchanges_of(_of_phoenix(span) for span in spans if type(span) is dict)


def _of_phoenix(span: Mapping[str, Any]) -> Span:
    attributes = _flat(mapping(span.get("attributes")))
    prefix = "attributes."
    for name, value in span.items():
        if name.startswith(prefix) and value is not None:
            attributes.update(_flat({name.removeprefix(prefix): value}))
    kind = span.get("span_kind") or span.get("spanKind")
    if type(kind) is str:
        attributes.setdefault("openinference.span.kind", kind.upper())
    context = mapping(span.get("context"))
    trace = text(context.get("trace_id")) or text(span.get("context.trace_id"))
    span_id = text(context.get("span_id")) or text(span.get("context.span_id"))
    parent = text(span.get("parent_id")) or text(span.get("parentId"))
    return Span(
        (trace, span_id or id(span)),
        (trace, parent) if parent else None,
        _time(span.get("start_time") or span.get("startTime")),
        attributes if attributes.get("openinference.span.kind") == "LLM" else _who(attributes),
        {},
    )


def _who(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if name in WHO}


def _flat(attributes: Mapping[str, Any], stem: str = "", depth: int = 0) -> dict[str, Any]:
    """Nested attributes by their dotted names; lists, of messages and tools, are kept as they are."""
    flat: dict[str, Any] = {}
    for name, value in attributes.items():
        if type(value) is dict and depth < _MAX_DEPTH:
            flat.update(_flat(value, f"{stem}{name}.", depth + 1))
        elif value is not None:
            flat[f"{stem}{name}"] = value
    return flat


def _time(value: Any) -> float | None:
    try:
        return time_of(value, "the start time")
    except BadExchange:
        return None


def _seconds(value: float) -> float | None:
    try:
        return checked_time(value, "")
    except BadExchange:
        return None
