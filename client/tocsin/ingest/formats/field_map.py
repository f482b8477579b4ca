"""Any other format, through a small TOML file that says where each field is.

1. `account` and `time` are required. `conversation`, `system`, `tools`, `messages`, `first_user_turn`, `address`,
   `user_agent`, `ja4`, `device` and `parameters` are optional. `messages` is a request or its messages, in any
   provider's form; out of it come the system prompt and the user turns.
2. Each is a path of names, `request.body.user`, or a list of names where a name holds a dot. A number is a place in a
   list. JSON text on the way is read as JSON. Alternatives are tried in turn: `a.b | c.d`, or a list of lists of names.
3. `records` is the path to the list of exchanges inside an envelope, such as a page of an API; without it a document is
   one exchange, and an envelope that is known (CloudWatch, Azure Monitor) is opened.
4. Under `[values]` stand further values by their type: `"contact.email" = "user.email"`.
5. `time` is any form of `times`; a number counts by its size, or as `time_unit` says: "s", "ms", "us" or "ns".
6. A map that cannot be used is refused before anything is read. Maps of Kong, Databricks and Cloudflare are shipped.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tocsin.indicators.registry import TYPES

from ..accounts import account_among
from ..exchange import BadExchange, Exchange
from ..times import time_of
from .json_values import each_of, loads, mapping, text
from .messages import request_of, text_of
from .request_options import parameters_of, tools_of

_REQUIRED = ("account", "time")
_FIELDS = frozenset(
    (
        *_REQUIRED, "address", "conversation", "device", "first_user_turn", "ja4", "messages", "parameters", "system",
        "tools", "user_agent",
    )
)  # fmt: skip
_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_SHIPPED = Path(__file__).with_name("field_maps")
_NOT_MAPPED = frozenset(("prompt.template", "client.system", "client.tools"))

_Path = tuple[str, ...]


class BadFieldMap(ValueError):
    """A field map that cannot be used; the message names file and key."""


@dataclass(frozen=True, slots=True)
class FieldMap:
    """Where each field is. Called with a document, it yields its exchanges; it can be sent to another process."""

    paths: dict[str, tuple[_Path, ...]]
    """The alternatives of each field, in order."""
    units_per_second: float | None = None
    records: _Path | None = None
    values: tuple[tuple[str, tuple[_Path, ...]], ...] = ()

    def __call__(self, document: Any) -> Iterator[Exchange]:
        """The exchanges of one document. Raises BadExchange, after those that could be read."""
        if self.records is None:
            yield self._exchange(document)
            return
        found = _at(document, self.records)
        if type(found) is not list:
            raise BadExchange(f"there is no list at {'.'.join(self.records)}")
        yield from each_of(found, self._exchange)

    def _exchange(self, document: Any) -> Exchange:
        if type(document) is not dict:
            raise BadExchange("not a JSON object")
        named = account_among(
            (_at(document, path) for path in self.paths["account"]),
            f"{self._name('account')} names no account",
        )
        time = self._find(document, "time")
        if time is None:
            raise BadExchange(f"there is no {self._name('time')}, which holds the time")
        conversation = self._find(document, "conversation")
        messages = self._find(document, "messages")
        turns = request_of(messages)
        first = text_of(self._find(document, "first_user_turn"))
        return Exchange(
            account=named.account,
            conversation=str(conversation)
            if type(conversation) is int
            else text(conversation) or named.conversation,
            time=time_of(time, self._name("time"), self.units_per_second),
            system=text_of(self._find(document, "system")) or turns.system,
            tools=tools_of(self._find(document, "tools")) or tools_of(mapping(messages).get("tools")),
            first_user_turn=first or turns.first,
            address=text(self._find(document, "address")),
            user_agent=text(self._find(document, "user_agent")),
            ja4=text(self._find(document, "ja4")),
            parameters=parameters_of(mapping(self._find(document, "parameters"))),
            last_user_turn=None if first else turns.last,
            device=text(self._find(document, "device")) or named.device,
            user_turns=turns.user_turns,
            unread=self._name("messages") if messages and (first or turns.first) is None else None,
            values=tuple(
                (type, value)
                for type, paths in self.values
                if (value := _text_at(document, paths)) is not None
            ),
        )

    def _name(self, field: str) -> str:
        return ".".join(self.paths[field][0])

    def _find(self, document: Any, field: str) -> Any:
        return next(
            (value for path in self.paths.get(field, ()) if (value := _at(document, path)) not in (None, "")),
            None,
        )


def _text_at(document: Any, paths: tuple[_Path, ...]) -> str | None:
    for path in paths:
        value = _at(document, path)
        if type(value) is str and value:
            return value
    return None


def _at(document: Any, path: _Path) -> Any:
    for name in path:
        if type(document) is str and document[:1] in ("{", "["):
            document = loads(document)
        if type(document) is dict:
            document = document.get(name)
        elif type(document) is list and name.isascii() and name.isdigit() and int(name[:9]) < len(document):
            document = document[int(name[:9])]
        else:
            return None
    return document


def shipped_maps() -> list[str]:
    """The names of the maps that come with Tocsin."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


def read_field_map(path: str | Path) -> FieldMap:
    """The map in the TOML file at `path`, or the shipped one of that name. Raises BadFieldMap."""
    where = Path(path)
    if not where.exists() and where.name in shipped_maps():
        where = _SHIPPED / f"{where.name}.toml"
    try:
        with where.open("rb") as file:
            given = tomllib.load(file)
    except OSError as error:
        raise BadFieldMap(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise BadFieldMap(f"{path}: is not TOML: {error}") from None
    unit = given.pop("time_unit", None)
    if unit is not None and (not isinstance(unit, str) or unit not in _UNITS):
        raise BadFieldMap(f"{path}: time_unit must be one of {', '.join(_UNITS)}")
    records, values = given.pop("records", None), given.pop("values", {})
    if unknown := sorted(given.keys() - _FIELDS):
        known = ", ".join(sorted((*_FIELDS, "records", "time_unit", "values")))
        raise BadFieldMap(f"{path}: {unknown[0]} is no field; fields are {known}")
    for name in _REQUIRED:
        if name not in given:
            raise BadFieldMap(f"{path}: {name} is required")
    if not isinstance(values, dict):
        raise BadFieldMap(f"{path}: values must be a table of types and paths")
    if unknown := sorted(values.keys() - (TYPES.keys() - _NOT_MAPPED)):
        raise BadFieldMap(f"{path}: values: {unknown[0]} is no type of a value that a log can name")
    return FieldMap(
        {name: _paths(path, name, value) for name, value in given.items()},
        None if unit is None else _UNITS[unit],
        None if records is None else _paths(path, "records", records)[0],
        tuple((type, _paths(path, type, value)) for type, value in values.items()),
    )


def _paths(file: str | Path, name: str, value: Any) -> tuple[_Path, ...]:
    paths: list[Any] = [value]
    if isinstance(value, str):
        paths = [part.strip().split(".") for part in value.split("|")]
    elif isinstance(value, list) and value and all(isinstance(path, list) for path in value):
        paths = value
    if not all(_is_path(names) for names in paths):
        raise BadFieldMap(f"{file}: {name} must be a path like `request.user`, or a list of names")
    return tuple(tuple(names) for names in paths)


def _is_path(names: Any) -> bool:
    return isinstance(names, list) and bool(names) and all(isinstance(part, str) and part for part in names)
