"""The set of tools that a client offers to the model, as its requests carry it.

1. A JSON array (RFC 8259) of 1 to 256 tools, no name twice in an object, nested at most 32 deep.
2. One tool is the same in every provider's form: OpenAI's chat completions and responses, Anthropic, Gemini, Bedrock,
   Cohere, MCP. What counts is its name, its description and the schema of its input. What a client adds for the
   provider does not: cache marks, `strict`, where a server is reached; in a schema `$schema`, titles, and whether other
   properties are allowed, which SDKs add for one provider and drop for the next. A schema without properties is none.
3. A tool's name is where its form has it. A tool that a provider builds in is named by its `name`, `type` or only
   member. A server of MCP tools is `mcp/` and its label: the label is all that a request says of its tools.
4. Canonical: objects of `name`, and of `description` and `schema` where they say something, in ascending order of name
   by UTF-16 code units, the order RFC 8785 gives to keys; then RFC 8785. Lists in a schema keep their order. Gemini's
   type names are written in lower case, as JSON Schema has them. No two tools share a name, unless they are the same.
5. A set in which every name is on the common list (framework defaults, documentation examples) identifies
   nobody.
6. At most 65,511 bytes, what an evaluation's input leaves for it. No string or number may hold a card
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


# Where each provider's form has the schema of a tool's input.
_SCHEMAS = (
    "parameters", "input_schema", "inputSchema", "parametersJsonSchema", "parameters_json_schema",
    "parameter_definitions", "schema",
)  # fmt: skip
_DECLARATIONS = ("functionDeclarations", "function_declarations")
_SERVERS = ("server_label", "serverLabel", "mcp_server_name")
_GEMINI_TYPES = frozenset(("STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"))


def _one_form(tools: list[Any]) -> dict[str, dict[str, Any]]:
    """Return the tools by name, each in the canonical form (rules 2 to 4). Raises Refused."""
    by_name: dict[str, dict[str, Any]] = {}
    for tool in tools:
        for form in _forms(tool):
            known = by_name.setdefault(form["name"], form)
            if known != form:
                raise Refused(TOOLS, "tools.duplicate", "two tools have one name; leave one of them out")
    return by_name


def _forms(tool: Any) -> list[dict[str, Any]]:
    if not isinstance(tool, dict):
        raise Refused(TOOLS, "tools.name", "every tool is an object with a name")
    if tool.keys() <= {"cachePoint", "cache_control"}:
        return []  # a mark between Bedrock's tools, which is none
    for member in _DECLARATIONS:
        if isinstance(declared := tool.get(member), list):
            return [_form(function, tool) for function in declared]
    for member in ("toolSpec", "function", "custom"):
        if isinstance(inner := tool.get(member), dict):
            return [_form(inner, tool)]
    return [_form(tool, tool)]


def _form(tool: Any, outer: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(tool, dict):
        raise Refused(TOOLS, "tools.name", "every tool is an object with a name")
    server = next((label for member in _SERVERS if (label := _text(outer, member))), None)
    if server is not None:
        return {"name": f"mcp/{server}"}
    form: dict[str, Any] = {"name": _name(tool, outer)}
    if description := _text(tool, "description"):
        form["description"] = description
    for member in _SCHEMAS:
        schema = tool.get(member)
        if isinstance(schema, dict) and isinstance(schema.get("json"), dict):
            schema = schema["json"]  # Bedrock
        if isinstance(schema, dict):
            if not _asks_nothing(plain := _plain(schema)):
                form["schema"] = plain
            break
    return form


def _name(tool: dict[str, Any], outer: dict[str, Any]) -> str:
    for holder, member in ((tool, "name"), (outer, "name"), (outer, "type")):
        if name := _text(holder, member):
            return name
    if len(outer) == 1 and isinstance(next(iter(outer.values())), dict):  # Gemini's `{"googleSearch": {}}`
        return next(iter(outer))
    raise Refused(TOOLS, "tools.name", "every tool is an object with a name")


def _text(holder: dict[str, Any], member: str) -> str | None:
    value = holder.get(member)
    return value if isinstance(value, str) and value else None


def _asks_nothing(schema: dict[str, Any]) -> bool:
    return all(
        held in ({}, []) if name in ("properties", "required") else (name, held) == ("type", "object")
        for name, held in schema.items()
    )


def _plain(schema: Any) -> Any:
    """A schema as every provider's SDK would leave it (rules 2 and 4); properties may have any name."""
    if isinstance(schema, list):
        return [_plain(held) for held in schema]
    if not isinstance(schema, dict):
        return schema
    plain: dict[str, Any] = {}
    for name, held in schema.items():
        # A property that is called `type` or `title` holds an object, no text.
        if (name in ("$schema", "title") and isinstance(held, str)) or (
            name in ("additionalProperties", "additional_properties") and isinstance(held, bool)
        ):
            continue
        is_type = name == "type" and isinstance(held, str) and held in _GEMINI_TYPES
        plain[name] = held.lower() if is_type else _plain(held)
    return plain


def canonical_tools(text: str, mode: Mode, snapshots: Snapshots) -> bytes:
    """RFC 8785 bytes of the sorted array of tools in one form. Raises Refused (rules `tools.*`, `card.number`)."""
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
    by_name = _one_form(tools)
    if not by_name:
        raise Refused(TOOLS, "tools.count", f"give 1 to {_MAX_TOOLS} tools")
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
