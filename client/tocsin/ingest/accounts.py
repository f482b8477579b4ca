"""Who an exchange belongs to: the account that a gateway names, and nobody where it names a placeholder.

1. A placeholder (`anonymous`, `undefined`, `None`, LiteLLM's `default_user_id` …) names nobody: as an account, all
   strangers would be one. The next name is tried; where there is no other, the exchange is refused and counted.
2. Claude Code writes account, device and session into one user id, `user_<device>_account_<account>_session_<session>`
   or JSON of `device_id`, `account_uuid` and `session_id`. The account is the account's UUID, else the device; the
   session is the conversation. Taken whole, each session would be a separate account.
3. Whole numbers are ids and become the text that they are written as.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from .exchange import BadExchange
from .json_text import parse_json


class Named(NamedTuple):
    """An account, and the conversation and device that came in the same id."""

    account: str
    conversation: str = ""
    device: str | None = None


_PLACEHOLDERS = frozenset(
    (
        "", "-", "--", "0", "-1", "*", "?", "n/a", "na", "none", "null", "nil", "nan", "undefined", "unknown",
        "anonymous", "anon", "anonymous_user", "anonymous-user", "anonymoususer", "default", "default_user",
        "default-user", "default_user_id", "guest", "no_user", "no-user", "nouser", "not_set", "not-set", "not set",
        "notset", "unset", "empty", "unauthenticated", "user", "userid", "user_id", "user-id", "string",
        "placeholder", "redacted", "[redacted]", "<redacted>", "masked", "(null)", "<null>", "<none>", "<nil>",
        "<unknown>", "[object object]", "unknown_user", "unknown-user", "missing", "litellm_proxy_master_key",
        "00000000-0000-0000-0000-000000000000",
    )
)  # fmt: skip
_TEMPLATE = re.compile(
    r"\$\{[^{}]*\}|\{\{[^{}]*\}\}|\{[a-z_. -]+\}|%\w+%|<[a-z_ -]+>"
)  # `{{user_id}}` that nobody filled in
_LONGEST_PLACEHOLDER = 64
_CLAUDE_CODE = re.compile(r"user_([0-9A-Za-z]*)_account_([0-9A-Za-z-]*)_session_([0-9A-Za-z-]+)", re.ASCII)
_VENDOR = "claude-code"


def named_account(*values: Any) -> Named | None:
    """Return who the first of `values` that is no placeholder names; None where none does."""
    for value in values:
        if type(value) is int:
            value = str(value)  # noqa: PLW2901 - the same id, as it is written
        if type(value) is str and value and (named := _named(value)) is not None:
            return named
    return None


def account_among(values: Iterable[Any], rule: str) -> Named:
    """Return who the first of `values` that is no placeholder names. Raises BadExchange with `rule`."""
    given = [value for value in values if value not in (None, "")]
    named = named_account(*given)
    if named is not None:
        return named
    if any(type(value) in (str, int) for value in given):
        raise BadExchange(f"{rule}: only a placeholder, such as `anonymous`, that strangers share")
    raise BadExchange(rule)


def is_placeholder(value: str) -> bool:
    """Return whether an id names nobody (rule 1)."""
    if len(value) > _LONGEST_PLACEHOLDER:
        return False
    bare = value.strip().strip("'\"").casefold()
    return bare in _PLACEHOLDERS or _TEMPLATE.fullmatch(bare) is not None


def _named(value: str) -> Named | None:
    if value[:1] == "{":
        parts = _parts_of_json(value)
        if parts is not None:
            return _of_claude_code(*parts)
    elif value[:5] == "user_" and (match := _CLAUDE_CODE.fullmatch(value.strip())) is not None:
        return _of_claude_code(*match.groups())
    return None if is_placeholder(value) else Named(value)


def _parts_of_json(value: str) -> tuple[str, str, str] | None:
    try:
        document = parse_json(value)
    except ValueError:
        return None
    if type(document) is not dict or not document.keys() & {"device_id", "account_uuid", "session_id"}:
        return None
    device, account, session = (
        held if type(held := document.get(name)) is str else ""
        for name in ("device_id", "account_uuid", "session_id")
    )
    return device, account, session


def _of_claude_code(device: str, account: str, session: str) -> Named | None:
    name = next((part for part in (account, device) if part and not is_placeholder(part)), None)
    if name is None:
        return None
    return Named(name, session, f"{_VENDOR}:{device}" if device and not is_placeholder(device) else None)
