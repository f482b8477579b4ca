"""The opening of a conversation, in the shapes that providers and tracing libraries write messages in.

1. Messages are read up to the first of a user and no further (P-1.1): what follows is history or answer. Where that
   one holds no text, as an image does not, those of the user right behind it, before any answer, are the same turn.
2. The system prompt is every system and developer message before that turn, joined by a newline.
3. A message holds text, or parts of which only those of text are read; images, files and tool results are not.
4. Messages may be JSON text of any of this. Text that is not JSON messages is the user's own, and so is the first text
   of a list of texts, which is how completions have their prompts.
5. What a library writes in place of content it was told to hide counts as no content.
6. Of sampling parameters, numbers are kept, and of texts `reasoning_effort`, if it is short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson

from ..exchange import BadExchange, Exchange, checked_time

_Item = TypeVar("_Item")

_MAX_DEPTH = 8

_SYSTEM = frozenset(("system", "developer"))
_USER = frozenset(("user", "human"))
# LiteLLM since 1.0, LiteLLM's proxy, OpenInference's hide_inputs.
_HIDDEN = frozenset(
    (
        "redacted-by-litellm",
        "redacted by litellm. 'litellm.turn_off_message_logging=True'",
        "__REDACTED__",
    )
)
# LiteLLM's names of calls that are no conversation; the asynchronous ones begin with an `a`.
_OTHER_CALLS = (
    "embedding", "image_edit", "image_generation", "moderation", "rerank", "search", "speech", "transcription",
    "vector_store_search",
)  # fmt: skip
OTHER_CALLS = frozenset((*_OTHER_CALLS, *(f"a{name}" for name in _OTHER_CALLS)))
_MAX_EFFORT = 16
_PARAMETERS = frozenset(
    (
        "frequency_penalty", "max_completion_tokens", "max_output_tokens", "max_tokens", "n", "presence_penalty",
        "reasoning_effort", "seed", "temperature", "top_k", "top_p",
    )
)  # fmt: skip


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is an object, or JSON text of one; else an empty one."""
    if type(value) is dict:
        return value
    if type(value) is str and value[:1] == "{":
        loaded = loads(value)
        if type(loaded) is dict:
            return loaded
    return {}


def text(value: Any) -> str | None:
    """The value where it is text with something in it."""
    return value if type(value) is str and value else None


def loads(value: str) -> Any:
    """What JSON text holds; None where it is not JSON."""
    try:
        return orjson.loads(value)
    except ValueError:
        return None


def text_of(content: Any) -> str | None:
    """Text of a message's content: text, or its parts of text joined by a newline."""
    if type(content) is str:
        return content if content and content not in _HIDDEN else None
    if type(content) is not list:
        return None
    found = []
    for part in content:
        piece = part
        if type(part) is dict:
            piece = (part.get("text") or part.get("content")) if _is_text(part.get("type")) else None
        if type(piece) is str and piece and piece not in _HIDDEN:
            found.append(piece)
    return "\n".join(found) or None


def _is_text(kind: Any) -> bool:
    return kind in (None, "text", "input_text")


def opening(messages: Any, depth: int = 0) -> tuple[str | None, str | None]:
    """The system prompt and the first user turn of `messages` (rules 1 to 4), which may be wrapped a few times."""
    if depth > _MAX_DEPTH:
        return None, None
    if type(messages) is str:
        if messages[:1] in ("[", "{"):
            loaded = loads(messages)
            if _looks_like_messages(loaded):
                return opening(loaded, depth + 1)
        return None, text_of(messages)
    if type(messages) is dict:
        if "role" in messages:
            return opening([messages], depth + 1)
        for key in ("messages", "input", "prompt"):
            if key in messages:
                before, turn = opening(messages[key], depth + 1)
                return before or text_of(messages.get("system")), turn
        return None, None
    if type(messages) is not list:
        return None, None
    system: str | None = None
    began = False
    for message in messages:
        if type(message) is str and message:
            return system, text_of(message)
        if type(message) is not dict:
            continue
        role = message.get("role")
        if type(role) is not str:
            if began:  # an answer's call of a tool has no role
                break
            continue
        if role in _USER:
            began = True
            turn = text_of(message.get("content") or message.get("parts"))
            if turn:
                return system, turn
        elif began:
            break
        elif role in _SYSTEM:
            said = text_of(message.get("content") or message.get("parts"))
            if said:
                system = said if system is None else f"{system}\n{said}"
    return system, None


def _looks_like_messages(value: Any) -> bool:
    if type(value) is dict:
        return "role" in value or "messages" in value
    return type(value) is list and bool(value) and type(value[0]) is dict and "role" in value[0]


def tools_of(tools: Any) -> str | None:
    """JSON text of an array of tool schemas, given as an array or as JSON text of one; None where there are none."""
    if type(tools) is str and tools[:1] == "[":
        tools = loads(tools)
    return dumps(tools) if type(tools) is list and tools else None


def parameters_of(parameters: Mapping[str, Any]) -> str | None:
    """Compact JSON of the sampling parameters among `parameters`; texts a user chooses are not among them."""
    found = {
        name: parameters[name]
        for name in _PARAMETERS & parameters.keys()
        if _is_parameter(name, parameters[name])
    }
    return dumps(found) if found else None


def _is_parameter(name: str, value: Any) -> bool:
    if type(value) is str:
        return name == "reasoning_effort" and len(value) <= _MAX_EFFORT
    return type(value) is int or type(value) is float


def dumps(value: Any) -> str:
    """Compact JSON with sorted keys."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        raise BadExchange("holds a value that JSON has no form for") from None


def time_of(value: Any, name: str) -> float:
    """Unix seconds out of a number of seconds or ISO 8601 text; without a zone it is UTC. Raises BadExchange."""
    rule = f"{name} is neither unix seconds nor an ISO 8601 time"
    if type(value) is str:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise BadExchange(rule) from None
        value = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return checked_time(value, rule)


def each_of(items: Iterable[_Item], make: Callable[[_Item], Exchange]) -> Iterator[Exchange]:
    """Yield the exchange of each item. Raises BadExchange, after those that could be read, for those that could not."""
    first, refused = "", 0
    for item in items:
        try:
            exchange = make(item)
        except BadExchange as error:
            first = first or error.rule
            refused += 1
        else:
            yield exchange
    if refused:
        raise BadExchange(first, refused)
