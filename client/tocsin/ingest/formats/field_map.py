"""Any other format, through a small TOML file that says where each field stands.

1. `account` and `time` are required. `conversation`, `system`, `tools`, `messages`, `first_user_turn`, `address`,
   `user_agent`, `ja4` and `parameters` are optional; `messages` is a list with roles, out of which the system prompt
   and the first user turn are read.
2. Each is a path of names, `request.body.user`, or a list of names where a name holds a dot. A number is a place in
   a list. JSON text on the way is read as JSON.
3. `time` is ISO 8601 text or a number, of `time_unit`: "s" unless it is said to be "ms", "us" or "ns". A number that
   would be a time after the year 5000 is of another unit, which is told.
4. A map that cannot be used is refused before anything is read.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..exchange import BadExchange, Exchange
from .messages import loads, mapping, opening, parameters_of, text, text_of, time_of, tools_of

_REQUIRED = ("account", "time")
_FIELDS = frozenset(
    (
        *_REQUIRED, "address", "conversation", "first_user_turn", "ja4", "messages", "parameters", "system", "tools",
        "user_agent",
    )
)  # fmt: skip
_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_LONGEST = 1e11  # more seconds are no time of a log, and so on with each unit
_NAMES = (("milliseconds", "ms", 1e11), ("microseconds", "us", 1e14), ("nanoseconds", "ns", 1e17))


class BadFieldMap(ValueError):
    """A field map that cannot be used; the message names file and key."""


@dataclass(frozen=True, slots=True)
class FieldMap:
    """Where each field stands. Called with a document, it yields its exchange; it can be sent to another process."""

    paths: dict[str, tuple[str, ...]]
    units_per_second: float

    def __call__(self, document: Any) -> Iterator[Exchange]:
        """The exchange of one document. Raises BadExchange."""
        if type(document) is not dict:
            raise BadExchange("not a JSON object")
        account = self._find(document, "account")
        # Account numbers are common; they become the text that they are written as.
        account = str(account) if type(account) is int else text(account)
        if account is None:
            raise BadExchange(f"{'.'.join(self.paths['account'])} names no account")
        time = self._time(document)
        system, turn = opening(self._find(document, "messages"))
        conversation = self._find(document, "conversation")
        yield Exchange(
            account=account,
            conversation=str(conversation) if type(conversation) is int else text(conversation) or "",
            time=time,
            system=text_of(self._find(document, "system")) or system,
            tools=tools_of(self._find(document, "tools")),
            first_user_turn=text_of(self._find(document, "first_user_turn")) or turn,
            address=text(self._find(document, "address")),
            user_agent=text(self._find(document, "user_agent")),
            ja4=text(self._find(document, "ja4")),
            parameters=parameters_of(mapping(self._find(document, "parameters"))),
        )

    def _time(self, document: Any) -> float:
        name = ".".join(self.paths["time"])
        found = self._find(document, "time")
        if found is None:
            raise BadExchange(f"there is no {name}, which holds the time")
        if type(found) is int or type(found) is float:
            seconds = found / self.units_per_second
            if seconds > _LONGEST:
                what, unit, _ = [each for each in _NAMES if found > each[2]][-1]
                raise BadExchange(
                    f"{name} is neither unix seconds nor an ISO 8601 time; it looks like {what}: "
                    f'say time_unit = "{unit}" in the field map'
                )
            found = seconds
        return time_of(found, name)

    def _find(self, document: Any, field: str) -> Any:
        for name in self.paths.get(field, ("",)):
            if type(document) is str and document[:1] in ("{", "["):
                document = loads(document)
            if type(document) is dict:
                document = document.get(name)
            elif (
                type(document) is list and name.isascii() and name.isdigit() and int(name[:9]) < len(document)
            ):
                document = document[int(name[:9])]
            else:
                return None
        return document


def field_map(path: str | Path) -> FieldMap:
    """The map in the TOML file at `path`. Raises BadFieldMap."""
    try:
        with Path(path).open("rb") as file:
            given = tomllib.load(file)
    except OSError as error:
        raise BadFieldMap(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise BadFieldMap(f"{path}: is not TOML: {error}") from None
    unit = given.pop("time_unit", "s")
    if not isinstance(unit, str) or unit not in _UNITS:
        raise BadFieldMap(f"{path}: time_unit must be one of {', '.join(_UNITS)}")
    if unknown := sorted(given.keys() - _FIELDS):
        raise BadFieldMap(f"{path}: {unknown[0]} is no field; fields are {', '.join(sorted(_FIELDS))}")
    for name in _REQUIRED:
        if name not in given:
            raise BadFieldMap(f"{path}: {name} is required")
    return FieldMap({name: _path(path, name, value) for name, value in given.items()}, _UNITS[unit])


def _path(file: str | Path, name: str, value: Any) -> tuple[str, ...]:
    names = value.split(".") if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(part, str) and part for part in names):
        raise BadFieldMap(f"{file}: {name} must be a path like `request.user`, or a list of names")
    return tuple(names)
