"""Times as logs write them, to unix seconds.

1. Numbers, and text that holds one, are seconds, milliseconds, microseconds or nanoseconds since 1970, distinguished by
   their size unless the unit is given: the ranges do not overlap for any day after 1973.
2. Text is ISO 8601, also with a blank for the T, with a comma, and with up to nine digits of a second; RFC 5322 (as
   HTTP has it); the common log format; a date as JavaScript, Go or Java prints it, or .NET's JSON; fourteen digits;
   month, day and year, with AM or PM or the month's name, as portals export it.
   Without a zone it is UTC.
3. An object is MongoDB's `$date`, protobuf's `seconds` and `nanos`, or Firestore's `_seconds`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from .exchange import BadExchange, checked_time

_NUMBER = re.compile(r"[0-9]{9,19}(?:\.[0-9]+)?|[1-9](?:\.[0-9]+)?[eE]\+?(?:9|09|1[0-8])")
_COMPACT = re.compile(r"(20[0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})")
_OFFSET = re.compile(r"[+-]\d\d:?\d\d(?: [A-Z]{3,4})?(?: m=|$)|\]$|Z\[")
# Go writes the offset and the name, Java the name of the zone in brackets.
_AFTER = re.compile(r"(?<=\d{2})(?: [A-Z]{3,4})?(?: m=[+-][0-9.]+)?$|\[[A-Za-z_/]+\]$")
_ZONE = re.compile(r"\s*(?:UTC|GMT|Z)$")
_BLANK_BEFORE = re.compile(r" (?=[+-]\d\d:?\d\d$)")
_SLASHES = re.compile(r"(\d{4})/(\d\d)/(\d\d)(?=[ T])")
_COMMON_LOG = re.compile(r"\[?(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d{4})\]?")
_JAVASCRIPT = re.compile(
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d\d) (\d{4}) (\d\d:\d\d:\d\d) (?:GMT|UTC)?([+-]\d{4})(?: \([^)]*\))?"
)
_CLOCK = r"(\d{1,2})(:\d\d:\d\d(?:\.\d+)?)(?:[ \u202f]([AP])M)?"
_US = re.compile(rf"(\d{{1,2}})/(\d{{1,2}})/(\d{{4}}),? {_CLOCK}(?<=M)")
_MONTH_FIRST = re.compile(rf"([A-Z][a-z]{{2}}) (\d{{1,2}}), (\d{{4}})(?:,| @| at)? {_CLOCK}")
_DOTNET = re.compile(r"\\?/Date\((\d+)(?:[+-]\d{4})?\)\\?/")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TOO_LARGE = 1 << 64
_FRACTION = re.compile(r"([.,]\d{6})\d+")
_UNITS = (
    (1e17, 1e9, 'nanoseconds: say time_unit = "ns"'),
    (1e14, 1e6, 'microseconds: say time_unit = "us"'),
    (1e11, 1e3, 'milliseconds: say time_unit = "ms"'),
)


def time_of(value: Any, name: str, units_per_second: float | None = None) -> float:
    """Return unix seconds; `units_per_second` says what numbers count. Raises BadExchange, which calls it `name`."""
    if type(value) is float and units_per_second is None and 0 < value < _UNITS[-1][0]:
        return value
    rule = f"{name} is neither unix seconds nor an ISO 8601 time"
    if type(value) is dict:
        value = _of_object(value)
    if type(value) is str:
        text = value.strip()
        if _COMPACT.fullmatch(text):
            text = _COMPACT.sub(r"\1-\2-\3T\4:\5:\6", text)
        if _NUMBER.fullmatch(text):
            value = float(text)
        else:
            seconds = _of_text(text)
            if seconds is None:
                raise BadExchange(rule)
            return checked_time(seconds, rule)
    if type(value) is int and abs(value) >= _TOO_LARGE:
        raise BadExchange(rule)  # a lenient parser takes integers that no float can hold
    if type(value) is int or type(value) is float:
        if units_per_second is not None and value / units_per_second > _UNITS[-1][0]:
            looks = next(looks for least, _, looks in _UNITS if value >= least)
            raise BadExchange(f"{rule}; it looks like {looks} in the field map, or leave it out")
        value = value / (units_per_second or _unit_of(value))
    return checked_time(value, rule)


def _unit_of(number: float) -> float:
    return next((unit for least, unit, _ in _UNITS if number >= least), 1.0)


def _of_object(value: dict[str, Any]) -> Any:
    if "$date" in value:
        held = value["$date"]
        return held.get("$numberLong") if type(held) is dict else held
    seconds = value.get("seconds", value.get("_seconds"))
    nanos = value.get("nanos", value.get("_nanoseconds", 0))
    if type(seconds) is str and seconds.isascii() and seconds.isdigit() and len(seconds) < 16:
        seconds = int(seconds)
    if type(seconds) is int and type(nanos) is int and max(abs(seconds), abs(nanos)) < _TOO_LARGE:
        return seconds + nanos / 1e9
    return None


def _of_text(text: str) -> float | None:
    if len(text) > 80:
        return None
    try:
        moment = _moment(text)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    if moment is None:
        return None
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _moment(text: str) -> datetime | None:
    if text[:4].isdigit() and len(text) > 4:
        plain = _SLASHES.sub(r"\1-\2-\3", text)
        if _OFFSET.search(plain):
            plain = _BLANK_BEFORE.sub("", _AFTER.sub("", plain))
        bare = _ZONE.sub("", plain)
        zone = "+00:00" if bare != plain else ""
        return datetime.fromisoformat(_FRACTION.sub(r"\1", bare) + zone)
    if (match := _COMMON_LOG.fullmatch(text)) is not None:
        day, month, year, clock, zone = match.groups()
        return datetime.fromisoformat(f"{year}-{_MONTHS.index(month) + 1:02}-{day}T{clock}{zone}")
    if (match := _JAVASCRIPT.fullmatch(text)) is not None:
        month, day, year, clock, zone = match.groups()
        return datetime.fromisoformat(f"{year}-{_MONTHS.index(month) + 1:02}-{day}T{clock}{zone}")
    if (match := _US.fullmatch(text)) is not None:
        return _of_twelve_hours(int(match[1]), match)
    if (match := _MONTH_FIRST.fullmatch(text)) is not None:
        return _of_twelve_hours(_MONTHS.index(match[1]) + 1, match)
    if (match := _DOTNET.fullmatch(text)) is not None:
        return datetime.fromtimestamp(int(match[1]) / 1_000, UTC)
    return parsedate_to_datetime(text)


def _of_twelve_hours(month: int, match: re.Match[str]) -> datetime:
    _, day, year, hour, rest, half = match.groups()
    if half is not None:
        hour = str(int(hour) % 12 + (12 if half == "P" else 0))
    moment = f"{year}-{month:02}-{int(day):02}T{int(hour):02}{rest}"
    return datetime.fromisoformat(_FRACTION.sub(r"\1", moment))
