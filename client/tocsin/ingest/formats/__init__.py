"""The formats by name: each makes exchanges of one parsed JSON document, which is one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from ..exchange import BadExchange, Exchange
from . import (
    anthropic_batch,
    azure,
    bedrock,
    google,
    helicone,
    langfuse,
    langsmith,
    litellm,
    openai_batch,
    otlp,
    portkey,
    span_dumps,
)
from .field_map import BadFieldMap, FieldMap, read_field_map, shipped_maps

FORMATS: Mapping[str, Callable[[Any], Iterator[Exchange]]] = MappingProxyType(
    {
        "litellm": litellm.read,
        "otlp": otlp.read,
        # OpenInference is attributes of OTLP spans; the name is there for those who look for it.
        "openinference": otlp.read,
        "langfuse": langfuse.read,
        "bedrock": bedrock.read,
        "azure": azure.read,
        "google": google.read,
        "langsmith": langsmith.read,
        "helicone": helicone.read,
        "portkey": portkey.read,
        "phoenix": span_dumps.read_phoenix,
        "jaeger": span_dumps.read_jaeger,
        "console": span_dumps.read_console,
        "openai-batch": openai_batch.read,
        "anthropic-batch": anthropic_batch.read,
    }
)

__all__ = ["FORMATS", "BadFieldMap", "FieldMap", "detect_format", "read_field_map", "shipped_maps"]

_UNKNOWN = "no format that is known; name one, or give a field map"


def detect_format(document: Any) -> str:
    """The format of a first document, by the names that only it has. Raises BadExchange."""
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, dict):
        raise BadExchange("not a JSON object")
    found = _of_object(document)
    if found is None:
        page = document.get("data")
        if isinstance(page, list) and page and isinstance(page[0], dict):
            found = _of_object(page[0])
    if found is None:
        raise BadExchange(_UNKNOWN)
    return found


def _of_object(document: dict[str, Any]) -> str | None:
    names = document.keys()
    # First what a client writes whole: it must not be able to pass for another format.
    if "custom_id" in names and "body" in names:
        return "openai-batch"
    if "custom_id" in names and "params" in names:
        return "anthropic-batch"
    if names & {"resourceSpans", "resourceLogs"} or any(
        _has(document, outer, inner)
        for outer in ("trace", "result")
        for inner in ("resourceSpans", "batches")
    ):
        return "otlp"
    if isinstance(batches := document.get("batches"), list) and any(
        isinstance(batch, dict) and "resource" in batch for batch in batches
    ):
        return "otlp"
    if document.get("schemaType") == "ModelInvocationLog":
        return "bedrock"
    if isinstance(document.get("requests"), list):
        return "anthropic-batch"
    if names >= {"startTime", "call_type"} or names >= {"startTime", "model_parameters"}:
        return "litellm"
    return _of_service(document) or _of_spans(document) or _of_langfuse(document)


def _of_service(document: dict[str, Any]) -> str | None:
    if azure.is_record(document):
        return "azure"
    if google.is_record(document):
        return "google"
    if langsmith.is_record(document) or isinstance(document.get("runs"), list):
        return "langsmith"
    if helicone.is_record(document):
        return "helicone"
    return "portkey" if portkey.is_record(document) else None


def _of_spans(document: dict[str, Any]) -> str | None:
    names = document.keys()
    if names >= {"traceID", "spans"} or names >= {"traceID", "spanID", "operationName"}:
        return "jaeger"
    if "SpanContext" in names or names >= {"context", "attributes", "parent_id", "kind"}:
        return "console"
    if names & {"span_kind", "spanKind"} or any(name.startswith("attributes.") for name in names):
        return "phoenix"
    return None


def _of_langfuse(document: dict[str, Any]) -> str | None:
    names = document.keys()
    if (
        (names & {"traceId", "trace_id"} and names & {"startTime", "start_time"})
        or (names & {"projectId", "project_id"} and "timestamp" in names)
        or names >= {"timestamp", "userId", "sessionId"}
        or names >= {"timestamp", "user_id", "session_id"}
        or "observations" in names
        or (isinstance(document.get("data"), list) and isinstance(document.get("meta"), dict))
        or ("id" in names and isinstance(document.get("traces"), list))
    ):
        return "langfuse"
    return None


def _has(document: dict[str, Any], outer: str, inner: str) -> bool:
    held = document.get(outer)
    return isinstance(held, dict) and inner in held
