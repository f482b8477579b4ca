"""Texts that hold a whole prompt: with role labels, in a model's chat template, or as a language prints its objects.

1. Labels of roles and chat templates are split as `role_labels` says.
2. A list or object as Python, JavaScript, Ruby, Go, Java, PHP or another language prints it, also one that was cut off,
   and JSON that is not understood hold no turn: where the system prompt ends and the user's words begin cannot be
   known. Such texts are recognised by how they begin, or by a `role` with a value near their beginning.
3. What a library writes in place of content is no text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .role_labels import SYSTEM_ROLES, USER_ROLES, split_roles


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
        "<truncated due to size exceeding limit>", "[object object]", "none", "null", "undefined", "nil", "nan", "n/a",
        "#n/a", "<nil>", "<null>", "<none>", "(null)", "(none)", "\\n",
    )
)  # fmt: skip
_LONGEST_HIDDEN = 96
_HIDES = (
    r"(?:redacted|masked|hidden|truncated|removed|filtered|omitted|scrubbed|anonymi[sz]ed|suppressed|withheld|elided|"
    r"(?:not|no)[ ](?:captured|recorded|logged|available|stored|content|data))"
)
# `[REDACTED]`, `<masked>`, `*** FILTERED ***`, `[Scrubbed due to 'password']`, `[content omitted]`, `(empty)`
_MASK = re.compile(
    rf"[\[<{{(*_\s]*[\[<{{(*_]\s*(?:[\w-]+[ ]){{0,3}}{_HIDES}(?![^\W_])[^\n]*[\]>}})*_]\s*"
    r"|[\[<{(*_]+\s*(?:empty|binary|blob|image|audio|video|file|media|attachment|null|none|undefined)\s*[\]>})*_]+"
    rf"|(?:(?:message|prompt|content|input|text|user|request|data|pii)[ ]){{0,3}}{_HIDES}[.!]?|[*•█.…\u200b]+",
    re.IGNORECASE,
)
_CUT = re.compile(
    r"\s*\.\.\.\s*\(litellm_truncated[^)]{0,80}\)\s*(?:\.\.\.)?|\.\.\.truncated by litellm[^\n]*$"
)

_NAMES = r"(?:role|content|messages|type|text|parts|input|prompt|system|kwargs)"
_PRINTED = re.compile(
    # brackets, then a quote, a symbol, a constructor, a role, or a name that requests have
    r"[\[({\s]*[\[({]\s*(?:['\"]|[%:#]\w|[A-Za-z_][\w.]*\s?[({]|[A-Za-z_][\w.]*Message\b|"
    + _NAMES
    + r"\s*(?:=>|[:=])|(?:system|user|assistant|developer|human)\s|(?:Role|Content|Text|Parts):|role\s*,|0x[0-9a-f])"
    r"|(?:messages|contents|system_instruction|systemInstruction)\s*\{|\w+=[^\s&]*(?:%5B|%7B|&\w+=)"
    r"|(?:map\[|\[object |#<|%\{|[Aa]rray\s*\(|object\s*\(|&\{|\(\d+\) \[|%5B%7B|%7B%22)"
    # Go's types, Scala's and Rust's collections, Python's views, an object by its address, .NET's and Java's type names
    r"|\[\][\w.*]+\{|(?:Some|Ok|List|Vector|Seq|Map|HashMap|ArrayBuffer|OrderedDict|deque|defaultdict|dict_\w+)\([\[({'\"A-Z]"
    r"|<[\w.]+ (?:object|instance) [^>]*>|<generator |(?:System|java|com|org)\.[\w.]+(?:`\d|@[0-9a-f]|\[)|\[L[\w.]+;@"
    r"|[A-Za-z_][\w.]*(?:Message|Messages|Value|Request|Prompt|Content)\s*[({\[]"
    r"|" + _NAMES + r"\s*=\s*['\"\[({]"
)
_ROLE_INSIDE = re.compile(
    r"(?:(['\"]|\\\")role\1|\brole)\s*(?:=>|[:=])\s*(?:\\?['\"]|:)?(?:system|user|assistant|developer|human)\b"
)
_LOOKED_AT = 4_096
# the name of a type, and base64
_NO_WORDS = re.compile(r"(?:[A-Za-z_]\w*\.){2,}\w+|[A-Za-z0-9+/_-]{60,}={0,2}", re.ASCII)


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
    """Return the turns of a text that a user is known to have sent as the whole prompt (rule 1)."""
    parts = split_roles(text)
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
    """Return the turns of a text of which it is not said what it holds (rules 1 and 2)."""
    if (
        _PRINTED.match(text)
        or ((text[:1] in "[{(" or "role" in text) and _ROLE_INSIDE.search(text, 0, _LOOKED_AT))
        or _NO_WORDS.fullmatch(text)
    ):
        return NOTHING
    return turns_of_prompt(text)


def is_printed_request(text: str) -> bool:
    """Return whether a text begins as a language prints a list of messages, with the role of one (rule 2)."""
    return _PRINTED.match(text) is not None and _ROLE_INSIDE.search(text, 0, _LOOKED_AT) is not None
