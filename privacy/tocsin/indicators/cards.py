"""Payment card numbers are never accepted (M-9.2): within one issuer only ten million exist, within anybody's budget.

1. A run is digits (of any script) with at most three spaces, dashes, dots, underscores, slashes or invisible
   characters between two of them.
2. Consecutive groups of a run that hold 13 to 19 digits together and pass the Luhn check (ISO/IEC 7812-1,
   annex B) are taken for a card number.
3. A group of more than 19 digits is searched for such a number at every place.
"""

from __future__ import annotations

import re

from tocsin.indicators.refusal import Refused

_RUN = re.compile(r"\d+(?:[\s\-‐‑‒–—._/\u00ad\u200b-\u200d\u2060\ufeff]{1,3}\d+)*")
_GROUP = re.compile(r"\d+")
_SHORTEST = 13
_LONGEST = 19
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def luhn_valid(digits: str) -> bool:
    """Whether decimal `digits`, check digit last, sum to a multiple of ten (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        total += _DOUBLED[int(digit)] if place % 2 else int(digit)
    return total % 10 == 0


def _windows_of(group: str) -> bool:
    return any(
        luhn_valid(group[start : start + length])
        for length in range(_SHORTEST, _LONGEST + 1)
        for start in range(len(group) - length + 1)
    )


def holds_card_number(text: str) -> bool:
    """Whether rules 1 to 3 find a card number in `text`."""
    if len(text) < _SHORTEST:
        return False
    for run in _RUN.finditer(text):
        groups = _GROUP.findall(run.group())
        for first, group in enumerate(groups):
            if len(group) > _LONGEST:
                if _windows_of(group):
                    return True
                continue
            joined = ""
            for following in groups[first:]:
                joined += following
                if len(joined) > _LONGEST:
                    break
                if len(joined) >= _SHORTEST and luhn_valid(joined):
                    return True
    return False


def refuse_card_number(type: str, text: str) -> None:
    """Raise Refused (`card.number`) if `text` holds what may be a card number."""
    if holds_card_number(text):
        raise Refused(
            type,
            "card.number",
            "it holds a run of digits that may be a payment card number; card numbers are never accepted, "
            "use payment.par or payment.composite",
        )
