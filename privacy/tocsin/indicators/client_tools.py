"""The set of tools that a client offers to the model, as its requests carry it.

1. A JSON array (RFC 8259) of 1 to 256 objects, no name twice in an object, nested at most 32 deep.
2. A tool's name is `function.name`, else `name`, else `type` (built-in tools have no other). No two share
   one.
3. Canonical: tools in ascending order of name by UTF-16 code units, the order RFC 8785 gives to keys, then
   RFC 8785. Lists inside a tool keep their order, for there it may mean something.
4. A set in which every name is on the common list (framework defaults, documentation examples) identifies
   nobody.
5. At most 65,511 bytes, what an evaluation's input leaves for it. No string or number may hold a card
   number.
"""

from __future__ import annotations

import json
from typing import Any

from tocsin.indicators.cards import refuse_card_number
from tocsin.indicators.refusal import Mode, Refused
from tocsin.indicators.snapshot_files import Snapshots, name_set

TOOLS = "client.tools"

MAX_TEXT = 262_144
"""Characters of JSON that are looked at: room for indentation around the largest canonical form."""

# 65,535 bytes of OPRF input, less "tocsin/1", two lengths and the type's name.
_MAX_CANONICAL = 65_535 - 8 - 2 - 2 - len(TOOLS)
_MAX_TOOLS = 256
_MAX_DEPTH = 32


class _Invalid(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Invalid
    return members


def _no_constant(_: str) -> Any:
    raise _Invalid


def _refuse_deep(text: str) -> None:
    # Counts brackets outside strings, before a recursive parser meets them.
    depth = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            if depth > _MAX_DEPTH:
                raise Refused(TOOLS, "tools.depth", f"nest at most {_MAX_DEPTH} deep")
        elif character in "]}":
            depth -= 1


def _refuse_cards(value: Any) -> None:
    if isinstance(value, str):
        refuse_card_number(TOOLS, value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        refuse_card_number(TOOLS, str(int(value)) if abs(value) < 2**63 else "")
    elif isinstance(value, list):
        for item in value:
            _refuse_cards(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            refuse_card_number(TOOLS, name)
            _refuse_cards(item)


def _name(tool: Any) -> str:
    if isinstance(tool, dict):
        function = tool.get("function")
        for holder, member in ((function, "name"), (tool, "name"), (tool, "type")):
            if isinstance(holder, dict) and isinstance(holder.get(member), str) and holder[member]:
                return str(holder[member])
    raise Refused(TOOLS, "tools.name", "every tool is an object with a name")


def canonical_tools(text: str, mode: Mode, snapshots: Snapshots) -> bytes:
    """RFC 8785 bytes of the sorted array. Raises Refused (rules `tools.*`, `card.number`)."""
    _refuse_deep(text)
    try:
        tools = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except ValueError:
        tools = None
    if not isinstance(tools, list):
        refuse_card_number(TOOLS, text)
        raise Refused(TOOLS, "tools.json", "give a JSON array of tool objects, no member named twice")
    if not 1 <= len(tools) <= _MAX_TOOLS:
        raise Refused(TOOLS, "tools.count", f"give 1 to {_MAX_TOOLS} tools")
    _refuse_cards(tools)
    by_name = {_name(tool): tool for tool in tools}
    if len(by_name) != len(tools):
        raise Refused(TOOLS, "tools.duplicate", "two tools have one name; leave one of them out")
    # M-9.8: tools that half the world has identify nobody.
    if by_name.keys() <= name_set(snapshots.common_tools, "names"):
        raise Refused(TOOLS, "tools.common", "these are tools that a framework or example gives to everybody")

    import rfc8785

    try:
        ordered = sorted(by_name, key=lambda name: name.encode("utf-16-be"))
        canonical = rfc8785.dumps([by_name[name] for name in ordered])
    except (rfc8785.CanonicalizationError, UnicodeError):
        canonical = b""
    if not canonical:
        raise Refused(TOOLS, "tools.range", "RFC 8785 has no form for a number or a lone surrogate in it")
    if len(canonical) > _MAX_CANONICAL:
        raise Refused(TOOLS, "tools.size", f"the canonical form has at most {_MAX_CANONICAL} bytes")
    return canonical
