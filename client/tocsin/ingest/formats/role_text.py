"""Texts that hold a whole prompt: with role labels, in a model's chat template, or as a language prints its objects.

1. `system: …⏎user: …` is split at its labels, written as the first of them is (case counts). After a system label only
   the last part can be the user's turn: a system prompt may hold examples of a dialogue, and whose words they are
   cannot be known. Without one, the first and the last user parts count.
2. Chat templates (ChatML, Llama 2 and 3, Mistral, Gemma, Phi) mark roles with special tokens, and are split there.
3. A list or object as Python, JavaScript, Ruby, Go, Java or PHP prints it, also one that was cut off, and JSON that is
   not understood hold no turn: where the system prompt ends and the user's words begin cannot be known. Such texts
   are recognised by how they begin, or by a `role` with a value near their beginning.
4. What a library writes in place of content is no text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

SYSTEM_ROLES = frozenset(("system", "developer"))
USER_ROLES = frozenset(("user", "human"))


class Turns(NamedTuple):
    """The system prompt, and the first and the last user turn of a request; `last` is None where it is the first.

    `user_turns` says how many user turns there are, 0 where there is none.
    """

    system: str | None = None
    first: str | None = None
    last: str | None = None
    user_turns: int = 0


NOTHING = Turns()

# LiteLLM since 1.0 and its proxy, its pass-through routes, OpenInference's hide_inputs, Langfuse's export.
_HIDDEN = frozenset(
    (
        "redacted-by-litellm", "redacted by litellm. 'litellm.turn_off_message_logging=true'", "default-message-value",
        "__redacted__", "<truncated due to size exceeding limit>", "redacted", "masked", "[object object]",
    )
)  # fmt: skip
_LONGEST_HIDDEN = 96
# `[REDACTED]`, `<masked>`, `*** FILTERED ***`, `[Scrubbed due to 'password']`
_MASK = re.compile(
    r"[\[<{(*_\s]*[\[<{(*_](?:\s*)(?:redacted|masked|hidden|truncated|removed|filtered|omitted|scrubbed)\b[^\n]*[\]>})*_]\s*|[*•█]+",
    re.IGNORECASE,
)
_CUT = re.compile(
    r"\s*\.\.\.\s*\(litellm_truncated[^)]{0,80}\)\s*(?:\.\.\.)?|\.\.\.truncated by litellm[^\n]*$"
)

_LABEL = re.compile(
    r"^[ \t]*(system|developer|user|human|assistant|ai|model|tool|function)[ \t]?:(?=\s|$)", re.MULTILINE
)
_LABEL_CAPITAL = re.compile(
    r"^[ \t]*(System|Developer|User|Human|Assistant|AI|Model|Tool|Function)[ \t]?:(?=\s|$)", re.MULTILINE
)
_LABEL_UPPER = re.compile(
    r"^[ \t]*(SYSTEM|DEVELOPER|USER|HUMAN|ASSISTANT|AI|MODEL|TOOL|FUNCTION)[ \t]?:(?=\s|$)", re.MULTILINE
)
_LABELS = (_LABEL, _LABEL_CAPITAL, _LABEL_UPPER)

_TEMPLATES = (
    # ChatML; Llama 3; Gemma; Phi 3 and Zephyr
    (
        re.compile(r"<\|im_start\|>(\w+)[^\n]*\n(.*?)(?=<\|im_end\|>|<\|im_start\|>|\Z)", re.DOTALL),
        "<|im_start|>",
    ),
    (
        re.compile(
            r"<\|start_header_id\|>(\w+)<\|end_header_id\|>\s*(.*?)(?=<\|eot_id\|>|<\|start_header_id\|>|\Z)",
            re.DOTALL,
        ),
        "<|start_header_id|>",
    ),
    (
        re.compile(r"<start_of_turn>(\w+)\n(.*?)(?=<end_of_turn>|<start_of_turn>|\Z)", re.DOTALL),
        "<start_of_turn>",
    ),
    (
        re.compile(
            r"<\|(system|user|assistant)\|>\s*(.*?)(?=<\|end\|>|</s>|<\|(?:system|user|assistant)\|>|\Z)", re.DOTALL
        ),
        "<|user|>",
    ),
)  # fmt: skip
_INSTRUCTION = re.compile(r"\[INST\](.*?)(?=\[/INST\]|\Z)", re.DOTALL)
_LLAMA_SYSTEM = re.compile(r"\s*<<SYS>>(.*?)<</SYS>>(.*)", re.DOTALL)

_NAMES = r"(?:role|content|messages|type|text|parts|input|prompt|system|kwargs)"
_PRINTED = re.compile(
    # brackets, then a quote, a symbol, a constructor, or a name that requests have
    r"[\[({\s]*[\[({]\s*(?:['\"]|[%:#]\w|[A-Za-z_][\w.]*\s?[({]|[A-Za-z_][\w.]*Message\b|"
    + _NAMES
    + r"\s*(?:=>|[:=]))"
    r"|(?:map\[|\[object |#<|%\{|[Aa]rray\s*\(|object\s*\()"
    r"|[A-Za-z_][\w.]*(?:Message|Messages|Value|Request|Prompt|Content)\s*[({\[]"
    r"|" + _NAMES + r"\s*=\s*['\"\[({]"
)
_ROLE_INSIDE = re.compile(
    r"(?:(['\"]|\\\")role\1|\brole)\s*(?:=>|[:=])\s*(?:\\?['\"]|:)?(?:system|user|assistant|developer|human)\b"
)
_LOOKED_AT = 4_096


def shown(text: str) -> str | None:
    """Return a message's text, without the marks of a library that cut it; None where it stands for hidden text."""
    if len(text) <= _LONGEST_HIDDEN:
        stripped = text.strip()
        if not stripped or stripped.lower() in _HIDDEN or _MASK.fullmatch(stripped):
            return None
        return text
    if "litellm" in text and "truncated" in text:
        return _CUT.sub("\n", text).rstrip("\n") or None
    return text


def turns_of_prompt(text: str) -> Turns:
    """Return the turns of a text that a user is known to have sent as the whole prompt (rules 1 and 2)."""
    parts = _split(text)
    if parts is None:
        visible = shown(text)
        return Turns(None, visible, None, 1) if visible else NOTHING
    systems = [visible for role, part in parts if role in SYSTEM_ROLES and (visible := shown(part))]
    users = [visible for role, part in parts if role in USER_ROLES and (visible := shown(part))]
    system = "\n".join(systems) or None
    if not users:
        return Turns(system)
    return Turns(system, users[0], users[-1] if users[-1] != users[0] else None, len(users))


def turns_of_unknown(text: str) -> Turns:
    """Return the turns of a text of which it is not said what it holds (rules 1 to 3)."""
    if _PRINTED.match(text) or (
        (text[:1] in "[{(" or "role" in text) and _ROLE_INSIDE.search(text, 0, _LOOKED_AT)
    ):
        return NOTHING
    return turns_of_prompt(text)


def _split(text: str) -> list[tuple[str, str]] | None:
    """Return (role, text) of each part; None where the text has no parts."""
    if "<|" in text or "<start_of_turn>" in text:
        for pattern, token in _TEMPLATES:
            if token in text and (parts := pattern.findall(text)):
                return [(role.lower(), part.strip()) for role, part in parts]
    if "[INST]" in text:
        return _instructions(text)
    start = text.lstrip()
    for labels in _LABELS:
        if labels.match(start):
            return _labelled(start, labels)
    return None


def _instructions(text: str) -> list[tuple[str, str]]:
    parts: list[tuple[str, str]] = []
    for part in _INSTRUCTION.findall(text):
        system = _LLAMA_SYSTEM.match(part)
        if system:
            parts.append(("system", system[1].strip()))
        parts.append(("user", (system[2] if system else part).strip()))
    return parts


def _labelled(text: str, labels: re.Pattern[str]) -> list[tuple[str, str]]:
    marks = list(labels.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    parts = [(mark[1].lower(), text[mark.end() : end].strip()) for mark, end in zip(marks, ends, strict=True)]
    if not parts[-1][1]:
        del parts[-1]  # the label that the answer is to follow
    if len(parts) > 1 and any(role in SYSTEM_ROLES for role, _ in parts):
        system, last = parts[0], parts[-1]
        return [part for part in (system, last) if part[0] in SYSTEM_ROLES or part[0] in USER_ROLES]
    return parts
