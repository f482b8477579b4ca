"""Spans and log records in OTLP JSON, as exporters, the collector's file exporter and Tempo write them.

1. One line is one export request with `resourceSpans` or `resourceLogs`; Tempo has `batches`, or the request in
   `trace`, Jaeger's third API in `result`, and older exporters call scopes libraries. What the spans and log records
   mean is said in `spans`.
2. A span that is no call is held only where it may say who its calls belong to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..exchange import BadExchange, Exchange, checked_time
from .json_values import mapping, text
from .span_names import WHO
from .spans import Span, event_name, exchanges_of

_SCALARS = frozenset(("stringValue", "boolValue", "doubleValue"))
_MAX_DEPTH = 64  # of structured values; messages need about ten
_SCOPES = ("scopeSpans", "instrumentationLibrarySpans", "ilSpans")
_LOG_SCOPES = ("scopeLogs", "instrumentationLibraryLogs")


def read(document: Any) -> Iterator[Exchange]:
    """The exchanges of one export request. Raises BadExchange, after those that could be read."""
    if type(document) is not dict:
        raise BadExchange("not a JSON object")
    for outer in ("trace", "result"):  # Tempo's API and Jaeger's third
        if type(inner := document.get(outer)) is dict and inner.keys() & {"resourceSpans", "batches"}:
            document = inner
    if type(batches := document.get("batches")) is list:
        document = {"resourceSpans": batches}
    if "resourceSpans" not in document and "resourceLogs" not in document:
        raise BadExchange("has neither resourceSpans nor resourceLogs")
    yield from exchanges_of(_spans(document), _logs(document))


def _spans(document: dict[str, Any]) -> Iterator[Span]:
    for resource, span in _parts(document, "resourceSpans", _SCOPES, "spans"):
        trace = text(span.get("traceId"))
        parent = text(span.get("parentSpanId"))
        yield Span(
            _key(span),
            (trace, parent) if trace and parent else None,
            _nanoseconds(span, "startTimeUnixNano"),
            _attributes(span.get("attributes")),
            resource,
            span.get("kind"),
            [
                (name, attributes, None)
                for event in _objects(span.get("events"))
                if (name := event_name(text(event.get("name")) or "", {}))
                and (attributes := _attributes(event.get("attributes"))) is not None
            ],
        )


def _logs(document: dict[str, Any]) -> Iterator[Span]:
    for resource, entry in _parts(document, "resourceLogs", _LOG_SCOPES, "logRecords"):
        attributes = _attributes(entry.get("attributes"))
        if name := event_name(text(entry.get("eventName")) or "", attributes):
            body = _value(entry.get("body"), 0)
            time = _nanoseconds(entry, "timeUnixNano", "observedTimeUnixNano")
            yield Span(_key(entry), None, time, {}, resource, None, [(name, attributes, body)])


def _parts(
    document: dict[str, Any], top: str, scopes: tuple[str, ...], leaves: str
) -> Iterator[tuple[dict[str, Any], Any]]:
    for group in _objects(document.get(top)):
        resource = _attributes(mapping(group.get("resource")).get("attributes"), WHO)
        for name in scopes:
            for scope in _objects(group.get(name)):
                for leaf in _objects(scope.get(leaves)):
                    yield resource, leaf


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if type(item) is dict] if type(value) is list else []


def _key(leaf: Mapping[str, Any]) -> Any:
    trace, span = text(leaf.get("traceId")), text(leaf.get("spanId"))
    # Without both ids, nothing else can be said to belong to it.
    return (trace, span) if trace and span else (trace, id(leaf))


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
    return value if type(value) is int and abs(value) < 1 << 64 else None


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
