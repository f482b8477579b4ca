"""Why a value is not accepted, said without repeating it.

1. A refusal names the type, a short stable rule and how to fix the value; never the value or a part of it (M-9.9).
2. A refusal is raised with no cause and no context, since a library's error often quotes its input.
3. An unknown type's name is not repeated either: swapped columns put values where a type is expected.
"""

from __future__ import annotations

from enum import Enum

from tocsin.primitives.errors import CoreError


class Mode(Enum):
    """Which world the charter says its values come from."""

    LIVE = "live"
    """Documentation and test ranges are refused: they concern nobody."""

    TEST = "test"
    """Documentation and test ranges are accepted beside real values."""


class IndicatorError(CoreError):
    """The root of everything that this package refuses. `culprit()` is None: values and tables are one's own."""


class Refused(IndicatorError):
    """A value that has no canonical form under its type.

    `type` is the type's registered name, `rule` a stable identifier such as `iban.checksum` for programs, and `fix`
    what is wrong or what to do. None of them ever holds the value.
    """

    def __init__(self, type: str, rule: str, fix: str) -> None:
        super().__init__(type, rule, fix)
        self.type = type
        self.rule = rule
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.type}: {self.fix} ({self.rule})"


class UnknownType(Refused):
    """The named type is not in the registry; its name is not repeated (rule 3), so `type` is `unknown`."""

    def __init__(self, known: tuple[str, ...]) -> None:
        super().__init__("unknown", "type.unknown", f"use one of {', '.join(known)}")
        self.known = known

    def __reduce__(self) -> tuple[type[UnknownType], tuple[tuple[str, ...]]]:
        return UnknownType, (self.known,)
