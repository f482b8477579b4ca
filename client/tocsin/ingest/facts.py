"""What an account's exchanges say besides their texts: its values, each with when and how often, and its active hours.

1. Of each value are held: first and last time, exchanges, and the distinct conversations, by the 16 smallest of their
   keyed places: exact up to 15, and estimated from how dense they are beyond.
2. Of each type the 64 values with the smallest places are kept, whatever order they come in, cut to 256 characters:
   none is so long, and what is cut is still refused.
3. Active hours are a bit for each hour of the window. They never leave the member.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tocsin.indicators.ptf2.account import place_of

ADDRESS, JA4, DEVICE, TOOLS = "net.ip", "net.ja4", "device.id", "client.tools"
"""Types of facts; an address becomes values of one or two types, tools are held by the place of their text."""
MAX_FACTS = 64
"""How many values of a type are kept."""
_MAX_TEXT = 256
_EXACT = 16
_PLACES = 1 << 64


class Holding:
    """When and how often an account had a value."""

    __slots__ = ("_limit", "conversations", "exchanges", "first", "last")

    def __init__(self, first: float, last: float, exchanges: int, conversations: Iterable[int]) -> None:
        self.first, self.last, self.exchanges = first, last, exchanges
        self.conversations = set(conversations)
        self._limit = _PLACES
        """Places from here on are larger than those that are held."""

    def seen(self, time: float, conversation: int | None) -> None:
        """Count an exchange."""
        self.exchanges += 1
        if time > self.last:
            self.last = time
        elif time < self.first:
            self.first = time
        if conversation is not None and conversation < self._limit and conversation not in self.conversations:
            self.conversations.add(conversation)
            if len(self.conversations) > _EXACT:
                self.conversations.remove(max(self.conversations))
                self._limit = max(self.conversations)

    def merge(self, other: Holding) -> None:
        """Add what was seen elsewhere."""
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)
        self.exchanges += other.exchanges
        self.conversations = set(sorted(self.conversations | other.conversations)[:_EXACT])

    @property
    def distinct_conversations(self) -> int:
        """How many conversations there were (rule 1)."""
        known = len(self.conversations)
        if known < _EXACT:
            return known
        return max(known, min(self.exchanges, round((known - 1) * _PLACES / max(self.conversations))))


class Facts:
    """The values of one account in one window, and its active hours."""

    __slots__ = ("hours", "values")

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], Holding] = {}
        self.hours = 0

    def seen(self, type: str, value: str, time: float, conversation: int | None) -> None:
        """Count an exchange with a value."""
        if len(value) > _MAX_TEXT:
            value = value[:_MAX_TEXT]
        holding = self.values.get((type, value))
        if holding is None:
            holding = self.values[type, value] = Holding(time, time, 0, ())
        holding.seen(time, conversation)

    def merge(self, rows: Iterable[list[Any]], hours: str) -> None:
        """Add what `rows` gave elsewhere."""
        self.hours |= int(hours, 16)
        for type, value, *rest in rows:
            holding = Holding(*rest)
            known = self.values.setdefault((type, value), holding)
            if known is not holding:
                known.merge(holding)

    def trim(self, key: bytes, most: int = MAX_FACTS) -> None:
        """Keep of each type the values with the smallest places (rule 2)."""
        if len(self.values) <= most:
            return
        by_type: dict[str, list[str]] = {}
        for type, value in self.values:
            by_type.setdefault(type, []).append(value)
        for type, values in by_type.items():
            for value in sorted(values, key=lambda candidate: place_of(key, candidate))[most:]:
                del self.values[type, value]

    def rows(self, without: frozenset[str] = frozenset()) -> list[list[Any]]:
        """Return what JSON can hold, for `merge`; `without` names types that are not to be kept."""
        return [
            [type, value, fact.first, fact.last, fact.exchanges, sorted(fact.conversations)]
            for (type, value), fact in sorted(self.values.items(), key=lambda item: item[0])
            if type not in without
        ]
