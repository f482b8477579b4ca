"""Who an exchange belongs to: the account that a gateway names, and nobody where it names a placeholder.

1. A placeholder (`anonymous`, `undefined`, `None`, LiteLLM's `default_user_id` …) names nobody, in any case, with any
   separators and in several languages: as an account, all strangers would be one. The next name is tried; where there
   is no other, the exchange is refused and counted.
2. Claude Code writes account, device and session into one user id, `user_<device>_account_<account>_session_<session>`
   or JSON (text, or parsed) of `device_id`, `account_uuid` and `session_id`. The account is the account's UUID, else
   the device; the session is the conversation. Taken whole, each session would be a separate account.
3. Whole numbers are ids and become the text that they are written as.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from .exchange import BadExchange
from .json_text import parse_json


class Named(NamedTuple):
    """An account, and the conversation and device that came in the same id."""

    account: str
    conversation: str = ""
    device: str | None = None


# One of the first, beside nothing but those and the second, names nobody: `anonymous_user`, `user:undefined`.
_NOBODY = frozenset(
    (
        "anonymous", "anonymoususer", "anon", "undefined", "null", "nil", "none", "nan", "unknown", "default", "guest",
        "unset", "notset", "nouser", "empty", "blank", "unauthenticated", "unidentified", "unspecified", "unnamed",
        "missing", "placeholder", "redacted", "masked", "string", "visitor", "false", "true", "nobody", "void", "todo",
        "tbd", "anonyme", "anonym", "anonimo", "anônimo", "anónimo", "anonimato", "anoniem", "anonyymi", "anonimowy",
        "unbekannt", "inconnu", "desconocido", "desconhecido", "sconosciuto", "onbekend", "okänd", "ukjent", "nieznany",
        "bilinmeyen", "gast", "invité", "invitado", "convidado", "ospite", "visitante", "misafir", "匿名", "匿名用户",
        "匿名ユーザー", "未知", "不明", "ゲスト", "访客", "訪客", "游客", "게스트", "익명", "аноним", "неизвестно",
        "неизвестный", "гость", "гостевой", "анонім", "гість", "مجهول", "زائر", "אנונימי", "ανώνυμος",
    )
)  # fmt: skip
_FILLING = frozenset(
    (
        "user", "users", "userid", "username", "id", "end", "enduser", "no", "not", "your", "here", "set", "available",
        "provided",
    )
)  # fmt: skip
_PLACEHOLDERS = frozenset(
    (
        "", "-1", "n/a", "na", "n.a.", "n\\a", "#n/a", "#null!", "\\n", "[object object]", "[object undefined]", "user",
        "users", "userid", "username", "enduser", "litellm_proxy_master_key", "litellm-proxy-budget", "litellm-proxy",
    )
)  # fmt: skip
_BETWEEN = re.compile(r"[\s_.:|/()<>\[\]@-]+")
# Nothing but punctuation, zeros of any length, or one character of a hexadecimal id again and again.
_VOID = re.compile(r"[\W_]*|0|(?=.{4})[0-]*|(?=.{8})([0-9a-fx])(?:\1|-)*")
_TEMPLATE = re.compile(
    r"\$\{[^{}]*\}|\{\{[^{}]*\}\}|\{[a-z_. -]+\}|%\w+%|<[a-z_ -]+>|\$[a-z_]+"
)  # `{{user_id}}` that nobody filled in
_LONGEST_PLACEHOLDER = 64
_CLAUDE_CODE = re.compile(r"user_([0-9A-Za-z]*)_account_([0-9A-Za-z-]*)_session_([0-9A-Za-z-]+)", re.ASCII)
_VENDOR = "claude-code"
# Clients of their own write the same JSON with other names.
_DEVICE = ("device_id", "deviceId")
_OWNER = ("account_uuid", "accountUuid", "account_id", "accountId", "user_id", "userId")
_SESSION = ("session_id", "sessionId")
_ID_NAMES = frozenset((*_DEVICE, *_OWNER, *_SESSION))


def named_account(*values: Any) -> Named | None:
    """Return who the first of `values` that is no placeholder names; None where none does."""
    for value in values:
        if type(value) is int:
            value = str(value)  # noqa: PLW2901 - the same id, as it is written
        if type(value) is dict and (parts := _parts_of(value)) and (named := _of_claude_code(*parts)):
            return named
        if type(value) is str and value and (named := _named(value)) is not None:
            return named
    return None


def account_among(values: Iterable[Any], rule: str) -> Named:
    """Return who the first of `values` that is no placeholder names. Raises BadExchange with `rule`."""
    given = tuple(values)
    named = named_account(*given)
    if named is not None:
        return named
    if any(type(value) in (str, int) and value != "" for value in given):
        raise BadExchange(f"{rule}: only a placeholder, such as `anonymous`, that strangers share")
    raise BadExchange(rule)


def is_placeholder(value: str) -> bool:
    """Return whether an id names nobody (rule 1)."""
    if len(value) > _LONGEST_PLACEHOLDER:
        return False
    bare = value.strip().strip("'\"").casefold()
    if bare in _PLACEHOLDERS or _VOID.fullmatch(bare) is not None or _TEMPLATE.fullmatch(bare) is not None:
        return True
    words = [word for word in _BETWEEN.split(bare) if word]
    # Of fillings alone, two make no name either: `user_id`, `not set`.
    return all(word in _NOBODY or word in _FILLING for word in words) and (
        len(words) != 1 or words[0] in _NOBODY
    )


def claude_code_account(value: str) -> Named | None:
    """Return who a user id of Claude Code names (rule 2); None for any other id, and where it names nobody."""
    if _begins_json(value):
        parts = _parts_of_json(value)
        return None if parts is None else _of_claude_code(*parts)
    if value[:5] == "user_" and (match := _CLAUDE_CODE.fullmatch(value.strip())) is not None:
        return _of_claude_code(*match.groups())
    return None


@lru_cache(maxsize=1 << 16)
def _named(value: str) -> Named | None:
    if (named := claude_code_account(value)) is not None:
        return named
    if is_placeholder(value) or (_begins_json(value) and _parts_of_json(value) is not None):
        return None
    return Named(value)


def _begins_json(value: str) -> bool:
    return value[:1] in ("{", '"', " ") and "{" in value[:4]


def _parts_of_json(value: str) -> tuple[str, str, str] | None:
    try:
        document = parse_json(value)
        if type(document) is str:  # JSON text of JSON text
            document = parse_json(document)
    except ValueError:
        return None
    return _parts_of(document) if type(document) is dict else None


def _parts_of(document: Mapping[str, Any]) -> tuple[str, str, str] | None:
    if document.keys().isdisjoint(_ID_NAMES):
        return None
    device, account, session = (
        next((held for name in names if type(held := document.get(name)) is str and held), "")
        for names in (_DEVICE, _OWNER, _SESSION)
    )
    return device, account, session


def _of_claude_code(device: str, account: str, session: str) -> Named | None:
    name = next((part for part in (account, device) if part and not is_placeholder(part)), None)
    if name is None:
        return None
    return Named(name, session, f"{_VENDOR}:{device}" if device and not is_placeholder(device) else None)
