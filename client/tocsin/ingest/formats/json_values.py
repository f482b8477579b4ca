"""Values of a JSON document as they are used: objects that may be JSON text, texts, and exchanges of several items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import orjson

from ..exchange import BadExchange, Exchange
from ..json_text import parse_json

_Item = TypeVar("_Item")


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


def first_text(values: Mapping[str, Any], *names: str) -> str | None:
    """The first of the named values that is text, or a whole number as it is written."""
    for name in names:
        value = values.get(name)
        if type(value) is str and value:
            return value
        if type(value) is int:
            return str(value)
    return None


def loads(value: str) -> Any:
    """What JSON text holds; None where it is not JSON."""
    try:
        return parse_json(value)
    except ValueError:
        return None


def dumps(value: Any) -> str:
    """Compact JSON with sorted keys."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        raise BadExchange("holds a value that JSON has no form for") from None


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
