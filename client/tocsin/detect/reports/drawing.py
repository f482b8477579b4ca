"""The two pictures of a campaign's page, as SVG: what joins the accounts, and how the campaign grew.

1. The same facts give the same picture, byte for byte: nothing is placed at random.
2. Accounts that share the same values are one bar, so ten thousand accounts fit. What does not fit is counted; the
   tables beside the pictures have all of it.
3. Text is escaped; colours are classes of the page's style, so that a picture follows light and dark.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from html import escape

from tocsin.detect.reports.campaign import DAY, Account, CampaignFile, Value

WIDTH = 1_040
_MAX_VALUES, _MAX_HUBS, _MAX_BARS = 16, 3, 14
_ROW, _TOP = 40, 34
_LEFT, _RIGHT = 330, 690
_BAR = 190
_GROUPS = ("network", "person", "tooling", "behaviour")


@dataclass(frozen=True, slots=True)
class _Bar:
    values: tuple[int, ...]
    accounts: tuple[Account, ...]

    @property
    def confirmed(self) -> int:
        return sum(account.confirmed for account in self.accounts)


def day_text(day: int) -> str:
    """Write a day counted since 1970-01-01."""
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


def group_class(group: str) -> str:
    """Return the style of a group of evidence."""
    return f"g-{group}" if group in _GROUPS else "g-other"


def graph(about: CampaignFile) -> str:
    """Draw values on the left, accounts that share the same ones as bars on the right, and what links them."""
    values = (*about.values[:_MAX_VALUES], *about.hubs[:_MAX_HUBS])
    bars = _bars(about.accounts, values)
    shown = bars[:_MAX_BARS]
    rows = max(len(values), len(shown), 1)
    height = _TOP + rows * _ROW + 34
    most = max((len(bar.accounts) for bar in shown), default=1)
    left, right = _spread(len(values), rows), _spread(len(shown), rows)
    parts = [
        _text(0, 16, "values that they share", "head"),
        _text(_RIGHT, 16, "accounts that hold the same values", "head"),
    ]
    for place, bar in enumerate(shown):
        for index in bar.values:
            start, end, value = left[index], right[place], values[index]
            width = 1.5 + 7 * math.sqrt(len(bar.accounts) / most)
            middle = (_LEFT + _RIGHT) / 2
            style = "link hub" if value.hub else f"link {group_class(value.group)}"
            parts.append(
                f'<path class="{style}" stroke-width="{width:.1f}" d="M{_LEFT} {start:.1f} '
                f'C{middle:.0f} {start:.1f} {middle:.0f} {end:.1f} {_RIGHT - 8} {end:.1f}"/>'
            )
    for index, value in enumerate(values):
        parts.append(_value_box(value, left[index]))
    for place, bar in enumerate(shown):
        parts.append(_account_bar(bar, right[place], most))
    more = []
    if (left_out := len(about.values) + len(about.hubs) - len(values)) > 0:
        more.append(f"{left_out} more values")
    if len(bars) > len(shown):
        accounts = sum(len(bar.accounts) for bar in bars[_MAX_BARS:])
        more.append(f"{accounts} more accounts with other combinations")
    if more:
        parts.append(_text(0, height - 8, "not drawn: " + " and ".join(more), "note"))
    at = float(_LEFT)
    for group in sorted({value.group for value in values if not value.hub}):
        parts.append(
            f'<rect class="mark {group_class(group)}" x="{at:.0f}" y="8" width="9" height="9" rx="2"/>'
        )
        parts.append(_text(at + 14, 16, group or "other", "note"))
        at += 32 + 6.5 * len(group or "other")
    what = f"{len(about.accounts)} accounts and the values that join them; the table below has the same"
    return _svg(height, what, parts)


def timeline(about: CampaignFile) -> str:
    """Draw how many accounts were seen, flagged and confirmed by each day, and when values began to join them."""
    series: list[tuple[str, str, list[int]]] = [
        ("first seen", "seen", [day for one in about.accounts if (day := one.first_day) is not None]),
        ("flagged", "flagged", [one.flagged_at // DAY for one in about.accounts]),
        ("confirmed", "confirmed", [
            one.decided_at // DAY for one in about.accounts if one.confirmed and one.decided_at
        ]),
    ]  # fmt: skip
    joined = sorted(value.since for value in about.values)
    days = [day for _, _, found in series for day in found] + joined + [about.now // DAY]
    first, last = min(days) - 1, max(days) + 1
    height, bottom, top = 250, 196, 40
    left, right = 44, WIDTH - 16
    most = max([1, *(len(found) for _, _, found in series)])

    def x(day: float) -> float:
        return left + (right - left) * (day - first) / (last - first)

    def y(count: float) -> float:
        return bottom - (bottom - top) * count / most

    parts = [*_axes(first, last, most, x, y, (left, right, bottom))]
    place = left
    before = sum(one.confirmed and not one.decided_at for one in about.accounts)
    for name, style, found in series:
        if not found:
            continue
        parts.append(f'<path class="line {style}" d="{_steps(sorted(found), last, x, y)}"/>')
        parts.append(f'<rect class="key {style}" x="{place}" y="8" width="14" height="4" rx="2"/>')
        label = f"{len(found):,} {name}"
        if style == "confirmed" and before:
            label += f", and {before:,} on our own list before"
        parts.append(_text(place + 20, 14, label, "head"))
        place += 50 + 7 * len(label)
    for day in sorted(set(joined)):
        many = joined.count(day)
        parts.append(
            f'<path class="joined" d="M{x(day):.1f} {bottom} l-5 9 h10 z"><title>{day_text(day)}: {many} values '
            "begin to join accounts</title></path>"
        )
    if joined:
        parts.append('<path class="joined" d="M49 236 l-5 9 h10 z"/>')
        parts.append(_text(60, 245, "values begin to join accounts", "note"))
    return _svg(
        height, "accounts first seen, flagged and confirmed, by day; the table below has the same", parts
    )


def _axes(
    first: int, last: int, most: int, x: Callable[[float], float], y: Callable[[float], float],
    frame: tuple[int, int, int],
) -> Iterable[str]:  # fmt: skip
    left, right, bottom = frame
    step = max(1, 10 ** int(math.log10(most)))
    if most / step < 2 and step > 1:
        step //= 2 if step % 2 == 0 else 5
    for count in range(0, most + 1, step):
        yield f'<path class="grid" d="M{left} {y(count):.1f} H{right}"/>'
        yield f'<text class="note" text-anchor="end" x="{left - 6}" y="{y(count) + 4:.1f}">{count:,}</text>'
    every = max(1, math.ceil((last - first) / 8))
    for day in range(first, last + 1, every):
        yield f'<path class="grid" d="M{x(day):.1f} {bottom} v5"/>'
        anchor = "start" if day == first else "end" if x(day) > right - 30 else "middle"
        yield f'<text class="note" text-anchor="{anchor}" x="{x(day):.1f}" y="{bottom + 24}">{day_text(day)}</text>'


def _steps(days: Sequence[int], last: int, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    path = f"M{x(days[0]):.1f} {y(0):.1f}"
    for count, day in enumerate(days, 1):
        if count == len(days) or days[count] != day:
            path += f" H{x(day):.1f} V{y(count):.1f}"
    return f"{path} H{x(last):.1f}"


def _bars(accounts: Sequence[Account], values: Sequence[Value]) -> list[_Bar]:
    """Accounts by the values of theirs that are drawn, the most accounts first (rule 2)."""
    held: dict[int, list[int]] = defaultdict(list)
    for index, value in enumerate(values):
        for number in value.accounts:
            held[number].append(index)
    groups: dict[tuple[int, ...], list[Account]] = defaultdict(list)
    for account in accounts:
        groups[tuple(held.get(account.no, ()))].append(account)
    bars = [_Bar(place, tuple(found)) for place, found in groups.items()]
    return sorted(bars, key=lambda bar: (-len(bar.accounts), bar.values))


def _spread(many: int, rows: int) -> list[float]:
    """The middle of each of `many` rows, spread over the height of `rows`."""
    return [_TOP + (place + 0.5) * rows * _ROW / max(1, many) for place in range(many)]


def _value_box(value: Value, middle: float) -> str:
    style = "hub" if value.hub else group_class(value.group)
    count = f"{len(value.accounts):,}"
    shown = value.shown if len(value.shown) <= 22 else value.shown[:21] + "…"
    under = "hub, joins nobody" if value.hub else f"{value.bits:g} bits"
    return (
        f'<rect class="box {style}" x="0.5" y="{middle - 16:.1f}" width="{_LEFT}" height="32" rx="6"/>'
        f'<rect class="mark {style}" x="0.5" y="{middle - 16:.1f}" width="6" height="32" rx="3"/>'
        + _text(16, middle - 2, value.type, "name")
        + _text(16, middle + 11, f"{shown} · {under}", "note")
        + f'<text class="name" text-anchor="end" x="{_LEFT - 12}" y="{middle + 5:.1f}">{count}</text>'
    )


def _account_bar(bar: _Bar, middle: float, most: int) -> str:
    length = max(6.0, _BAR * len(bar.accounts) / most)
    confirmed = length * bar.confirmed / len(bar.accounts)
    many = len(bar.accounts)
    said = f"{many:,} account{'s' if many > 1 else ''}"
    return (
        f'<rect class="open" x="{_RIGHT}" y="{middle - 11:.1f}" width="{length:.1f}" height="22" rx="4"/>'
        f'<rect class="done" x="{_RIGHT}" y="{middle - 11:.1f}" width="{confirmed:.1f}" height="22" rx="4"/>'
        + _text(_RIGHT + length + 8, middle - 1, said, "name")
        + _text(_RIGHT + length + 8, middle + 11, f"{bar.confirmed:,} confirmed", "note")
    )


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _svg(height: float, what: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escape(what)}">{"".join(parts)}</svg>'
    )
