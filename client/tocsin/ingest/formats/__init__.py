"""The formats by name: each makes exchanges of one parsed JSON document, which is one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from ..exchange import BadExchange, Exchange
from . import anthropic_batch, langfuse, litellm, openai_batch, otlp
from .field_map import BadFieldMap, FieldMap, field_map

FORMATS: Mapping[str, Callable[[Any], Iterator[Exchange]]] = MappingProxyType(
    {
        "litellm": litellm.read,
        "otlp": otlp.read,
        # OpenInference is attributes of OTLP spans; the name is there for those who look for it.
        "openinference": otlp.read,
        "langfuse": langfuse.read,
        "openai-batch": openai_batch.read,
        "anthropic-batch": anthropic_batch.read,
    }
)

__all__ = ["FORMATS", "BadFieldMap", "FieldMap", "detect_format", "field_map"]


def detect_format(document: Any) -> str:
    """The format of a first document, by the names that only it has. Raises BadExchange."""
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, dict):
        raise BadExchange("not a JSON object")
    names = document.keys()
    # First what a client writes whole: it must not be able to pass for another format.
    if "custom_id" in names and "body" in names:
        return "openai-batch"
    if "custom_id" in names and "params" in names:
        return "anthropic-batch"
    if "resourceSpans" in names or "resourceLogs" in names:
        return "otlp"
    if isinstance(document.get("requests"), list):
        return "anthropic-batch"
    if names >= {"startTime", "call_type"} or names >= {"startTime", "model_parameters"}:
        return "litellm"
    if (names & {"traceId", "trace_id"} and names & {"startTime", "start_time"}) or (
        names & {"projectId", "project_id"} and "timestamp" in names
    ):
        return "langfuse"
    if names >= {"timestamp", "userId", "sessionId"} or names >= {"timestamp", "user_id", "session_id"}:
        return "langfuse"
    if "observations" in names or (
        isinstance(document.get("data"), list) and isinstance(document.get("meta"), dict)
    ):
        return "langfuse"
    if "id" in names and isinstance(document.get("traces"), list):
        return "langfuse"
    raise BadExchange("no format that is known; name one, or give a field map")
