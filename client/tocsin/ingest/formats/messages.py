"""The opening and the last turn of a request, in the shapes that providers and tracing libraries write requests in.

1. The first user turn is the first message of a user that holds text. Images and tool results do not; where the first
   holds none, those of the user right behind it, before any answer, are the same turn. The last is looked for from the
   end in the same way. The resent history between them is not read (P-1.1).
2. The system prompt is what the request says beside its messages; else every system and developer message before the
   first turn, joined by a newline.
3. A message holds text, or parts of which only those of text are read. Parts and messages may be JSON text.
4. Messages are known by `role`, by LangChain's `type`, class or pair of role and text, by Pydantic AI's `part_kind`, or
   under Gemini's `contents`, where no role means the user. What has none of these is no message.
5. A text in the place of messages is read as `role_text` says. JSON that is not understood holds no turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .json_values import loads, mapping, text
from .role_labels import SYSTEM_ROLES, USER_ROLES
from .role_text import NOTHING, Turns, is_printed_request, shown, turns_of_prompt, turns_of_unknown

_MAX_DEPTH = 8

# Where the messages are in a request, and what it may be wrapped in.
_MESSAGES = ("messages", "contents", "input", "prompt", "prompts", "inputText", "inputPrompt", "message")
_WRAPPERS = (
    "request", "body", "kwargs", "inputs", "params", "llm_request", "llmRequest", "request_body", "requestBody",
    "request_data", "requestData", "raw_request", "data", "payload", "json", "query", "args", "raw", "value", "text",
    "content",
)  # fmt: skip
_BEGINS_JSON = ("[", "{", '"')
_SYSTEMS = (
    "system", "instructions", "systemInstruction", "system_instruction", "preamble", "system_prompt",
)  # fmt: skip
_CLASSES = {
    "human": "user", "humanmessage": "user", "humanmessagechunk": "user", "system": "system",
    "systemmessage": "system", "developer": "developer", "user": "user", "usermessage": "user",
    "ai": "assistant", "aimessage": "assistant", "aimessagechunk": "assistant", "assistant": "assistant",
    "tool": "tool", "toolmessage": "tool", "function": "tool", "functionmessage": "tool",
}  # fmt: skip
_PART_KINDS = {"system-prompt": "system", "user-prompt": "user"}


def text_of(content: Any) -> str | None:
    """Text of a message's content: text, or its parts of text joined by a newline; also as JSON text."""
    if type(content) is str:
        if content[:1] in ("[", "{") and (parts := _parts_in(content)) is not None:
            return text_of(parts)
        return shown(content)
    if type(content) is dict:
        content = content["parts"] if type(content.get("parts")) is list else [content]
    if type(content) is not list:
        return None
    pieces = [piece for part in content if (piece := _text_of_part(part))]
    return "\n".join(pieces) or None


def _text_of_part(part: Any) -> str | None:
    if type(part) is str:
        return shown(part)
    if type(part) is not dict:
        return None
    kind = part.get("type", part.get("message_content.type"))
    if kind is None and type(part.get("message_content")) is dict:  # OpenInference, as Phoenix nests it
        return _text_of_part(part["message_content"])
    if kind is None and type(guarded := part.get("guardContent")) is dict:  # Bedrock, for its guardrail
        return _text_of_part(guarded.get("text"))
    if kind not in (None, "text", "input_text"):
        return None
    if part.get("thought") is True:  # Gemini's reasoning, sent back to it
        return None
    said = part.get("text") or part.get("content") or part.get("message_content.text")
    return shown(said) if type(said) is str and said else None


def _parts_in(content: str) -> list[Any] | None:
    """The parts of a message that are JSON text; None where the text is the user's."""
    loaded = loads(content)
    parts = [loaded] if type(loaded) is dict else loaded
    if type(parts) is not list or not parts or not all(type(part) is dict for part in parts):
        return None
    known = all(
        part.get("type") in ("text", "input_text", "image", "image_url", "input_image", "tool_result", "document")
        or part.keys() & {"toolResult", "toolUse", "image", "cachePoint", "guardContent", "message_content.type"}
        or (part.keys() == {"text"} and type(part["text"]) is str)
        for part in parts
    )  # fmt: skip
    return parts if known else None


def request_of(value: Any, depth: int = 0) -> Turns:
    """The system prompt and the user turns of a request or its messages (rules 1 to 5)."""
    if type(value) is list:
        return _of_list(value, depth)
    if type(value) is dict:
        return _of_object(value, depth) if depth <= _MAX_DEPTH else NOTHING
    return _of_text(value, depth) if type(value) is str and value else NOTHING


def prompt_of(value: Any) -> Turns:
    """The turns of what is known to be the whole prompt: text is the user's, but for its role labels."""
    if type(value) is str:
        return turns_of_prompt(value)
    return request_of(value)


def _of_text(value: str, depth: int) -> Turns:
    if value[:1] in _BEGINS_JSON or value[:1].isspace() or value[:1] == "\ufeff":
        stripped = value.strip("\ufeff \t\r\n")
        if stripped[:1] in _BEGINS_JSON:
            loaded = loads(stripped)
            if loaded is not None:
                return request_of(loaded, depth + 1) if depth <= _MAX_DEPTH else NOTHING
    return turns_of_unknown(value)


def _of_object(value: Mapping[str, Any], depth: int) -> Turns:
    if _role(value) is not None:
        return _of_list([value], depth + 1)
    if type(value.get("kwargs")) is dict and type(value.get("id")) is list:  # a prompt value of LangChain
        return request_of(value["kwargs"], depth + 1)
    for key in _MESSAGES:
        if key not in value:
            continue
        found = _messages_of(key, value, depth)
        if found is not NOTHING:
            return found._replace(system=_system_beside(value) or found.system)
    system = _system_beside(value)
    if _is_content(value):
        return _of_contents(value)._replace(system=system)
    if system:
        return Turns(system)
    for key in _WRAPPERS:
        # Text that is no JSON may be anybody's words.
        if (inner := value.get(key)) and (
            type(inner) is not str or inner.lstrip("\ufeff \t\r\n")[:1] in _BEGINS_JSON
        ):
            found = request_of(inner, depth + 1)
            if found is not NOTHING:
                return found
    if _is_text_part(value):
        return turns_of_unknown(said) if (said := text_of([value])) else NOTHING
    return NOTHING


def _messages_of(key: str, value: Mapping[str, Any], depth: int) -> Turns:
    given = value[key]
    match key:
        case "contents":
            return _of_contents(given)
        case "input" | "inputText" | "inputPrompt":
            return (
                turns_of_prompt(given)
                if type(given) is str and given[:1] not in ("[", "{")
                else request_of(given, depth + 1)
            )
        case "message":
            # Cohere's message stands beside the history; a message by itself has a role.
            if type(given) is str and ("chat_history" in value or "preamble" in value or "model" in value):
                return turns_of_prompt(given)
            return request_of(given, depth + 1) if type(given) is dict else NOTHING
        case "prompt" if type(given) is dict and "variables" in given and not value.get("input"):
            return _of_variables(given["variables"])
        case "prompt" | "prompts" if type(given) is str and given[:1] not in ("[", "{"):
            return turns_of_prompt(given)
    return request_of(given, depth + 1)  # fmt: skip


def _of_variables(variables: Any) -> Turns:
    """A reusable prompt (OpenAI): its text is kept at the provider, what the request fills in is the turn."""
    said = [words for given in mapping(variables).values() if (words := text_of(given))]
    return Turns(None, "\n".join(said), None, 1) if said else NOTHING


def _of_contents(contents: Any) -> Turns:
    """Gemini's `contents`: text, one content, or a list of either; no role means the user."""
    given = contents if type(contents) is list else [contents]
    messages: list[Any] = []
    for content in given:
        if type(content) is str:
            messages.append({"role": "user", "content": content})
        elif type(content) is dict:
            parts = content.get("parts")
            if parts is None and type(content.get("text")) is str:
                parts = [content]
            messages.append({"role": content.get("role") or "user", "content": parts})
    return _of_list(messages, 1)


def _is_content(value: Mapping[str, Any]) -> bool:
    """Whether an object is one of Gemini's contents without a role."""
    parts = value.get("parts")
    return (
        type(parts) is list
        and "role" not in value
        and bool(parts)
        and all(type(part) is dict and not part.keys() & {"part_kind", "type"} for part in parts)
    )


def _system_beside(value: Mapping[str, Any]) -> str | None:
    for key in _SYSTEMS:
        if key in value and (found := text_of(value[key])):
            return found
    config = value.get("config")
    if type(config) is dict:
        for key in ("system_instruction", "systemInstruction"):
            if found := text_of(config.get(key)):
                return found
    return None


def _of_list(messages: list[Any], depth: int) -> Turns:
    if messages and type(messages[0]) is list and depth <= _MAX_DEPTH:
        if (pairs := _as_pairs(messages)) is not None:
            return _of_list(pairs, depth + 1)
        return request_of(messages[0], depth + 1)
    if messages and type(messages[0]) is str:
        # The prompts of completions; the first is the exchange.
        return turns_of_prompt(messages[0])
    if messages and type(messages[0]) is dict and _is_content(messages[0]):
        return _of_contents(messages)
    system: str | None = None
    began = False
    for place, message in enumerate(messages):
        if type(message) is not dict:
            continue
        role = _role(message)
        if role is None:
            if began:  # an answer's call of a tool has no role
                break
            if inner := _inner(message):
                return (
                    _of_list([*inner, *messages[place + 1 :]], depth + 1) if depth <= _MAX_DEPTH else NOTHING
                )
            continue
        if role in USER_ROLES:
            began = True
            found = _user_turn(_content(message), depth)
            if found.first:
                last, more = _last(messages, place, found, depth)
                return Turns(system or found.system, found.first, last, found.user_turns + more)
            system = system or found.system
        elif began:
            break
        elif role in SYSTEM_ROLES:
            said = text_of(_content(message))
            if said:
                system = said if system is None else f"{system}\n{said}"
    if (
        system is None
        and not began
        and messages
        and all(type(part) is dict and _is_text_part(part) for part in messages)
    ):
        said = text_of(messages)
        return turns_of_unknown(said) if said else NOTHING
    return Turns(system) if system else NOTHING  # fmt: skip


def _last(messages: list[Any], first: int, found: Turns, depth: int) -> tuple[str | None, int]:
    """The last user turn behind the first one, where it is another, and how many there are behind it."""
    last: str | None = None
    more = 0
    for place in range(len(messages) - 1, first, -1):
        message = messages[place]
        if type(message) is not dict or _role(message) not in USER_ROLES:
            continue
        content = _content(message)
        if last is not None and type(content) is str:
            more += 1
        elif turn := _user_turn(content, depth):
            more += turn.user_turns
            last = last or turn.last or turn.first
    return (last if last != found.first else None) or found.last, more


def _user_turn(content: Any, depth: int) -> Turns:
    """What a message of the user holds; a request or messages nested in it as JSON text are read as such."""
    said = text_of(content)
    if said and said[:1] in ("[", "{", "(") and depth <= _MAX_DEPTH:
        loaded = loads(said)
        if _looks_like_request(loaded):
            return request_of(loaded, depth + 1)
        if loaded is None and is_printed_request(said):
            return NOTHING
    return Turns(None, said, None, 1) if said else NOTHING


def _looks_like_request(value: Any) -> bool:
    if type(value) is list:
        return bool(value) and type(value[0]) is dict and _role(value[0]) is not None
    return type(value) is dict and (
        type(value.get("messages")) is list
        or type(value.get("contents")) is list
        or ("model" in value and ("input" in value or "prompt" in value))
    )


def _role(message: Mapping[str, Any]) -> str | None:
    role = message.get("role")
    if type(role) is str:
        return role
    if "message.role" in message:  # OpenInference, as Phoenix exports it
        return text(message["message.role"])
    if type(kind := message.get("type")) is str:
        if kind == "constructor" and type(name := message.get("id")) is list and name:
            # ChatMessage has a role of its own
            return _CLASSES.get(str(name[-1]).lower()) or text(mapping(message.get("kwargs")).get("role"))
        if "content" in message or "data" in message:
            return _CLASSES.get(kind.lower())
    if type(inner := message.get("message")) is dict:
        return text(inner.get("role"))
    if type(kind := message.get("part_kind")) is str:
        return _PART_KINDS.get(kind, kind)
    return None


def _content(message: Mapping[str, Any]) -> Any:
    content = message.get("content")
    if content is None:
        content = message.get("parts")
    if content is not None:
        return content
    for key in ("kwargs", "data", "message"):
        if type(inner := message.get(key)) is dict:
            return _content(inner)
    if (content := message.get("message.content")) is not None:
        return content
    if (content := message.get("message.contents")) is not None:
        return content
    contents = message.get("contents")
    if contents is not None:
        return contents
    # Converse and Strands write the text beside the role in a few places.
    return message.get("text")


def _inner(message: Mapping[str, Any]) -> list[Any] | None:
    """The parts of a request of Pydantic AI, each of which is a message."""
    parts = message.get("parts")
    if type(parts) is list and parts and all(type(part) is dict and "part_kind" in part for part in parts):
        return parts
    return None


def _as_pairs(messages: list[Any]) -> list[Any] | None:
    """LangChain's pairs of role and text as messages; None where they are none."""
    if all(
        type(pair) is list
        and len(pair) == 2
        and type(pair[0]) is str
        and pair[0].lower() in _CLASSES
        and type(pair[1]) in (str, list)
        for pair in messages
    ):
        return [{"role": _CLASSES[pair[0].lower()], "content": pair[1]} for pair in messages]
    return None


def _is_text_part(part: Mapping[str, Any]) -> bool:
    return part.get("type") in ("text", "input_text") or part.keys() == {"text"}
