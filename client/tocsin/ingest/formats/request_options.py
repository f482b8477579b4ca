"""What a request holds beside its messages: tools and sampling parameters; and which calls are no conversation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .json_values import dumps, loads

# LiteLLM's names of calls that are no conversation; the asynchronous ones begin with an `a`.
_OTHER_CALLS = (
    "embedding", "image_edit", "image_generation", "image_variation", "moderation", "rerank", "search", "speech",
    "transcription", "vector_store_search", "vector_store_create", "create_file", "file_retrieve", "file_content",
    "file_list", "file_delete", "create_batch", "retrieve_batch", "list_batches", "cancel_batch", "ocr",
    "call_mcp_tool", "list_mcp_tools", "create_video", "video_generation", "vector_store_file_create",
    "create_container", "realtime",
)  # fmt: skip
OTHER_CALLS = frozenset((*_OTHER_CALLS, *(f"a{name}" for name in _OTHER_CALLS)))
_MAX_EFFORT = 16
_PARAMETERS = frozenset(
    (
        "frequency_penalty", "max_completion_tokens", "max_output_tokens", "max_tokens", "n", "presence_penalty",
        "reasoning_effort", "seed", "temperature", "top_k", "top_p",
    )
)  # fmt: skip
_CAMEL = {
    "maxTokens": "max_tokens", "maxOutputTokens": "max_output_tokens", "topP": "top_p", "topK": "top_k",
    "frequencyPenalty": "frequency_penalty", "presencePenalty": "presence_penalty",
}  # fmt: skip
_TOOLS = frozenset(("tools", "functions", "toolConfig", "config"))
_NAMED_PARAMETERS = _PARAMETERS | _CAMEL.keys()


def tools_of(tools: Any) -> str | None:
    """JSON text of an array of tool schemas, given as an array or as JSON text of one; None where there are none."""
    if type(tools) is str:
        tools = loads(tools) if tools[:1] in ("[", "{") else None
    if type(tools) is dict:
        tools = tools.get("tools") or tools.get("functionDeclarations")  # Bedrock's toolConfig
    if type(tools) is not list or not tools:
        return None
    if any(type(tool) is str for tool in tools):
        tools = [loads(tool) if type(tool) is str else tool for tool in tools]
        tools = [tool for tool in tools if type(tool) is dict]
    return dumps(tools) if tools else None


def tools_beside(request: Mapping[str, Any]) -> str | None:
    """The tools that a request offers, in any provider's form."""
    if _TOOLS.isdisjoint(request):
        return None
    config = request.get("config")
    return (
        tools_of(request.get("tools"))
        or tools_of(request.get("functions"))
        or tools_of(request.get("toolConfig"))
        or (tools_of(config.get("tools")) if type(config) is dict else None)
    )


def parameters_of(parameters: Mapping[str, Any]) -> str | None:
    """Compact JSON of the sampling parameters among `parameters`; texts a user chooses are not among them."""
    found = {
        _CAMEL.get(name, name): parameters[name]
        for name in parameters
        if name in _NAMED_PARAMETERS and _is_parameter(name, parameters[name])
    }
    return dumps(found) if found else None


def _is_parameter(name: str, value: Any) -> bool:
    if type(value) is str:
        return name == "reasoning_effort" and len(value) <= _MAX_EFFORT
    return type(value) is int or type(value) is float
