"""What log systems wrap around the documents of a gateway.

1. CloudWatch: a subscription's `logEvents`, the `events` of its API, and the `results` of Logs Insights, each with the
   document as JSON text. Azure Monitor: `records`. Google Cloud Logging: `jsonPayload`. Docker: `log`.
2. What is no envelope is the document itself. A message that holds no JSON object is no exchange.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .messages import loads


def unwrap(document: Any) -> Iterator[Any]:
    """The documents within one, or the one."""
    if type(document) is not dict:
        yield document
        return
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
    elif type(payload := document.get("jsonPayload")) is dict and "logName" in document:
        yield payload
    elif document.keys() == {"log", "stream", "time"} and (found := _object(document["log"])) is not None:
        yield found
    else:
        yield document


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
