"""What log systems wrap around the documents of a gateway.

1. CloudWatch: a subscription's `logEvents`, the `events` of its API, one of these events, and the `results` of Logs
   Insights, each with the document as JSON text. Azure Monitor: `records`. Google Cloud Logging: `jsonPayload` and
   `textPayload`. Docker, containerd and Fluent Bit: `log` or `message` beside a time. Elasticsearch: `_source`, and the
   `hits` of a search. Splunk: `event`, and the `result` of an export. EventBridge: `detail`. CSV of Logs Insights: the
   column `@message`. Azure's query API: `tables` of columns and rows. Cloudflare's API: `result`.
2. What is no envelope is the document itself. A message that holds no JSON object is no exchange.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .json_values import loads

_NAMES = frozenset(
    (
        "messageType", "logEvents", "events", "results", "records", "hits", "logName", "_index", "event", "result",
        "detail-type", "tables", "@message", "time", "timestamp", "@timestamp", "date",
    )
)  # fmt: skip
"""Every envelope has one of these."""


def unwrap(document: Any) -> Iterable[Any]:
    """The documents within one, or the one."""
    if type(document) is not dict or _NAMES.isdisjoint(document):
        return (document,)
    return _unwrapped(document)


def _unwrapped(document: Mapping[str, Any]) -> Iterator[Any]:
    if document.get("messageType") == "CONTROL_MESSAGE":
        return
    for key in ("logEvents", "events"):
        messages = _messages(document.get(key))
        if messages is not None:
            yield from (opened for message in messages if (opened := _object(message)) is not None)
            return
    if type(results := document.get("results")) is list and results and type(results[0]) is list:
        yield from (opened for row in results if (opened := _object(_cell(row))) is not None)
    elif type(records := document.get("records")) is list:
        yield from records
    elif "success" in document and type(items := document.get("result")) is list:
        yield from items
    elif type(tables := document.get("tables")) is list:
        yield from (row for table in tables for row in _rows(table))
    elif type(hits := _at(document, "hits", "hits")) is list:
        yield from (hit["_source"] for hit in hits if type(hit) is dict and type(hit.get("_source")) is dict)
    elif (inner := _inside(document)) is not None:
        yield inner
    else:
        yield document


def _inside(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The document in an envelope that holds one; None where this is no envelope."""
    names = document.keys()
    if "logName" in names:
        payload = document.get("jsonPayload")
        return payload if type(payload) is dict else _text_of(document.get("textPayload"))
    if "_index" in names and type(source := document.get("_source")) is dict:
        return source
    if names & {"sourcetype", "host"} and type(event := document.get("event")) is dict:
        return event
    if type(result := document.get("result")) is dict and "_raw" in result:
        return _text_of(result["_raw"])
    if "@message" in names:
        return _object(document["@message"])
    if "detail-type" in names and type(detail := document.get("detail")) is dict:
        return detail
    if names & {"time", "timestamp", "@timestamp", "date"}:
        return _text_of(document.get("log")) or _text_of(document.get("message"))
    return None


def _text_of(message: Any) -> Mapping[str, Any] | None:
    """The object that is JSON text from its first character on."""
    return _object(message) if type(message) is str and message.lstrip()[:1] == "{" else None


def _at(document: Mapping[str, Any], outer: str, inner: str) -> Any:
    held = document.get(outer)
    return held.get(inner) if type(held) is dict else None


def _rows(table: Any) -> Iterator[Mapping[str, Any]]:
    columns, rows = (table.get("columns"), table.get("rows")) if type(table) is dict else (None, None)
    if type(columns) is list and type(rows) is list:
        names = [str(column.get("name")) for column in columns if type(column) is dict]
        yield from (dict(zip(names, row, strict=False)) for row in rows if type(row) is list)


def _messages(events: Any) -> list[str] | None:
    if type(events) is not list or not events:
        return None
    messages = [event.get("message") for event in events if type(event) is dict]
    texts = [message for message in messages if type(message) is str]
    return texts if len(texts) == len(events) else None


def _cell(row: Any) -> Any:
    fields = [field for field in row if type(field) is dict] if type(row) is list else []
    return next((field.get("value") for field in fields if field.get("field") == "@message"), None)


def _object(message: Any) -> Mapping[str, Any] | None:
    if type(message) is str and (start := message.find("{")) >= 0:
        found = loads(message[start:])
        return found if type(found) is dict else None
    return message if type(message) is dict else None
