"""What callers pass, checked before anything is done with it.

1. A wrong type is `BadArgument`, which names the field and the position and shows only the type that was given.
2. A value without a canonical form is `ValueRefused`, by its position. The error of the registry is its cause.
3. Words for enums are accepted in any case, with `-`, `_` and `+` alike.
4. A moment is unix seconds, an aware `datetime`, or a `date`, which stands for its first second UTC. A naive `datetime`
   is refused: it names no moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import IntEnum
from typing import TypeVar

from tocsin.client.errors import BadArgument, DraftRefused, ValueRefused
from tocsin.client.results import Value, word
from tocsin.client.timestamps import LAST
from tocsin.indicators.ptf2.bands import BANDINGS
from tocsin.indicators.registry import TYPES, Mode, Observable, Refused, UnknownType, observable


@dataclass(slots=True)
class InputValue:
    """A value of one call: where it stood, and what the caller passed there. A band was not passed by itself."""

    observable: Observable = field(repr=False)
    positions: list[int] = field(default_factory=list)
    given: list[Value] = field(default_factory=list, repr=False)


Values = Mapping[bytes, InputValue]
"""The values of a call by the 16 bytes that stand for them in the vault."""

Moment = int | datetime | date
"""Unix seconds, an aware datetime, or a day."""

_Item = TypeVar("_Item")
_Enum = TypeVar("_Enum", bound=IntEnum)


def add_value(
    values: dict[bytes, InputValue], key: bytes, observable: Observable, position: int, given: Value
) -> None:
    """Add a value at a position of the call. A template given with bands and without counts once, with them."""
    value = values.setdefault(key, InputValue(observable))
    if observable.bands:
        value.observable = observable
    value.positions.append(position)
    value.given.append(given)


def read_values(
    values: Iterable[tuple[int, Value]], mode: Mode, key_of: Callable[[Observable], bytes]
) -> tuple[dict[bytes, InputValue], list[ValueRefused]]:
    """Return values by their vault keys, and a refusal of each that has no canonical form. Raises `BadArgument`."""
    readable: dict[bytes, InputValue] = {}
    refused = []
    for position, value in values:
        try:
            observable = parse_value(value, mode, position)
        except ValueRefused as refusal:
            refused.append(refusal)
            continue
        add_value(readable, key_of(observable), observable, position, value)
    return readable, refused


def iterable(field: str, given: Iterable[_Item]) -> Iterable[_Item]:
    """Return what was given, unless it is no series of items: a lone string is the most common mistake."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise BadArgument(field, "a list or another iterable", given)
    return given


def parse_value(value: Value, mode: Mode, position: int | None = None) -> Observable:
    """Return the observable of one value. Raises `BadArgument`, `ValueRefused`."""
    try:
        return _parse_value(value, mode, position)
    except Refused as refusal:
        raise ValueRefused(position, refusal.type, refusal.rule, refusal.fix) from refusal


def _parse_value(value: Value, mode: Mode, position: int | None) -> Observable:
    if isinstance(value, Observable):
        if not isinstance(value.canonical, bytes):
            raise BadArgument("canonical bytes of the Observable", "bytes", value.canonical, position)
        if value.type not in TYPES:
            raise UnknownType(tuple(TYPES))
        # M-7.13: a band goes with its template or not at all.
        if value.type in BANDINGS:
            raise Refused(value.type, "template.band", "give the whole template; its bands come with it")
        return value
    given: object = value
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise BadArgument("value", "an Observable or a pair (type, value)", given, position)
    type, text = given
    if not isinstance(type, str):
        raise BadArgument("type of the value", "text (str)", type, position)
    if not isinstance(text, str):
        raise BadArgument("value", "text (str)", text, position)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused(
            type if type in TYPES else "unknown", "value.text", "it holds code points that are no text"
        ) from None
    return observable(type, text, mode=mode)


def whole_number(field: str, given: object, position: int | None = None) -> int:
    """Return an int that is no bool. Raises `BadArgument`."""
    if isinstance(given, bool) or not isinstance(given, int):
        raise BadArgument(field, "a whole number (int)", given, position)
    return given


def fixed_bytes(field: str, given: object, size: int, position: int | None = None) -> bytes:
    """Return `size` bytes. Raises `BadArgument`."""
    if not isinstance(given, bytes) or len(given) != size:
        raise BadArgument(field, f"{size} bytes", given, position)
    return given


def truth(field: str, given: object, position: int | None = None) -> bool:
    """Return a bool. Raises `BadArgument`."""
    if not isinstance(given, bool):
        raise BadArgument(field, "True or False", given, position)
    return given


def enum_member(kind: type[_Enum], field: str, given: object, position: int) -> _Enum:
    """Return the member that a word stands for (rule 3). Raises `BadArgument`, `DraftRefused`."""
    if isinstance(given, kind):
        return given
    # Another enum's member is an int too, and would pass for this one's by its number.
    if not isinstance(given, str):
        raise BadArgument(field, f"a {kind.__name__} or its name", given, position)
    name = given.strip().upper().replace("-", "_").replace("+", "_")
    if name not in kind.__members__:
        known = ", ".join(word(member) for member in kind)
        raise DraftRefused(
            position, field, f"{field.replace('_', '-')}.word", f"{field} must be one of {known}"
        )
    return kind[name]


def confidence(given: object, position: int) -> int:
    """Return a confidence in percent: an int is 0 to 100, a float 0.0 to 1.0, so 1 is 1 % and 1.0 is 100 %.

    Raises `BadArgument`, `DraftRefused`.
    """
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise BadArgument("confidence", "an int from 0 to 100 or a float from 0.0 to 1.0", given, position)
    if isinstance(given, float):
        if not 0.0 <= given <= 1.0:
            raise DraftRefused(
                position,
                "confidence",
                "confidence.range",
                "confidence as a float must be 0.0 to 1.0 (1.0 is 100 %)",
            )
        return round(given * 100)
    if not 0 <= given <= 100:
        raise DraftRefused(
            position, "confidence", "confidence.range", f"confidence must be 0 to 100 percent, got {given}"
        )
    return given


def moment(field: str, given: object, position: int) -> int:
    """Return unix seconds (rule 4). Raises `BadArgument`, `DraftRefused`."""
    rule = field.replace("_", "-")
    if isinstance(given, datetime):
        if given.utcoffset() is None:
            raise DraftRefused(
                position,
                field,
                f"{rule}.naive",
                f"{field} is a datetime without a time zone; give it one, such as tzinfo=datetime.UTC",
            )
        seconds = int(given.timestamp())
    elif isinstance(given, date):
        seconds = int(datetime(given.year, given.month, given.day, tzinfo=UTC).timestamp())
    elif isinstance(given, bool) or not isinstance(given, int):
        raise BadArgument(field, "unix seconds (int), an aware datetime or a date", given, position)
    else:
        seconds = given
    if not 0 <= seconds <= LAST:
        raise DraftRefused(
            position,
            field,
            f"{rule}.range",
            f"{field} must be between 1970 and 9999, in seconds (not milliseconds) since 1970-01-01",
        )
    return seconds
