"""A campaign as one HTML file that a person shows around.

1. Nothing is loaded from outside and nothing runs: no script, no link, no image or font but what is in the file; a
   policy in the page forbids the rest. All text is escaped.
2. The page is marked with the strictest TLP of what is in it, and says what was left out.
3. Every picture has its table beside it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

from tocsin.client.timestamps import iso_time
from tocsin.detect.casebook.history import Event
from tocsin.detect.reports import drawing
from tocsin.detect.reports.campaign import DAY, CampaignFile, Value
from tocsin.detect.reports.drawing import day_text
from tocsin.detect.reports.provenance import Proven
from tocsin.detect.reports.style import STYLE
from tocsin.sealing.label import Tlp

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_MAX_ROWS = 200


def render(about: CampaignFile, proven: Sequence[Proven] | None) -> str:
    """Return the page. `proven` is None where no proofs were asked for."""
    title = f"Campaign {about.id}" if about.name == about.id else f"Campaign {about.id}, {about.name}"
    body = "".join(
        (
            _header(about, title),
            _section("How it grew", drawing.timeline(about) + _growth_table(about)),
            _section("What joins the accounts", drawing.graph(about) + _value_table(about)),
            _section("Evidence", _evidence(about)),
            _section("Provenance", _provenance(about, proven)),
            _section("Decisions", _decisions(about)),
            _section("Accounts", _accounts(about)),
            _footer(about),
        )
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer"><meta name="robots" content="noindex">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )


def tlp_name(tlp: Tlp) -> str:
    """Return a marking as FIRST writes it."""
    return "TLP:" + tlp.name.replace("_", "+")


def _header(about: CampaignFile, title: str) -> str:
    reporters = sorted({entry.writer_name for entry in about.entries})
    since = min((value.since for value in about.values), default=about.created // DAY)
    undecided = sum(account.state == "open" for account in about.accounts)
    cards = (
        (f"{len(about.accounts):,}", "accounts that belong together"),
        (f"{about.confirmed:,}", "confirmed by people"),
        (f"{undecided:,}", "not decided yet"),
        (f"{len(about.values):,}", "values join them"),
        (f"{len(reporters):,}", "other members reported some"),
    )
    shown = "".join(f"<li><b>{number}</b><span>{text}</span></li>" for number, text in cards)
    types = _list(sorted({value.type for value in about.values}))
    said = (
        f"<p class=lead>{len(about.accounts):,} accounts are joined by {_many(len(about.values), 'value')} "
        f"({types}), the first since {day_text(since)}. "
    )
    if reporters:
        said += f"Reports by {_list(reporters)} speak against them. "
    if about.withheld:
        said += f"{_many(about.withheld, 'report')} may not be shown to readers of this page. "
    said += "A flag is a reason to look; what people decided is under Decisions.</p>"
    return (
        f'<header><span class="tlp tlp-{about.tlp.name.lower()}">{escape(tlp_name(about.tlp))}</span>'
        f"<p class=kind>{escape(about.abuse)}</p><h1>{escape(title)}</h1>{said}<ul class=cards>{shown}</ul></header>"
    )


def _growth_table(about: CampaignFile) -> str:
    days: dict[int, list[str]] = {}
    for day in sorted({value.since for value in about.values}):
        many = sum(value.since == day for value in about.values)
        days.setdefault(day, []).append(f"{_many(many, 'value')} began to join accounts")
    for name, found in (
        ("flagged", [one.flagged_at // DAY for one in about.accounts]),
        ("confirmed", [one.decided_at // DAY for one in about.accounts if one.confirmed and one.decided_at]),
    ):
        for day in sorted(set(found)):
            days.setdefault(day, []).append(f"{_many(found.count(day), 'account')} {name}")
    for event in about.events:
        days.setdefault(event.time // DAY, []).append(_event(event))
    rows = [(day_text(day), escape("; ".join(days[day]))) for day in sorted(days)]
    return _table(("day", "what happened"), rows)


def _event(event: Event) -> str:
    detail = event.to_dict()["detail"]
    given: dict[str, object] = detail if isinstance(detail, dict) else {}
    named = _list([str(id) for id in _as_list(given.get("from"))], plain=True)
    match event.what:
        case "campaign":
            return "the campaign was found" + (f", out of {named}" if named else "")
        case "campaigns merged":
            return f"{named} became part of it"
        case "campaign room":
            return f"its room is {given.get('room')}" if given.get("room") else "it has no room any more"
        case "campaign vote":
            return f"{event.who} voted to decide all of it: {given.get('outcome')}"
        case "campaign sample":
            return f"{event.who} drew a random sample of {given.get('size')}"
    return f"{event.what}, by {event.who}"


def _value_table(about: CampaignFile) -> str:
    return _table(
        ("type", "value", "accounts", "since", "joins them"),
        [
            (
                _typed(value), f"<code>{escape(value.shown)}</code>", f"{len(value.accounts):,}",
                "" if value.hub else day_text(value.since), "no, a hub" if value.hub else "yes",
            )
            for value in (*about.values, *about.hubs)
        ],
        numbers={2},
    )  # fmt: skip


def _evidence(about: CampaignFile) -> str:
    rows = []
    for value in (*about.values, *about.hubs):
        names = sorted({entry.writer_name for entry in value.entries})
        who = [f"{name} (disputed)" if name in value.disputed else name for name in names]
        if value.withheld:
            who.append(f"{_many(value.withheld, 'report')} not shown")
        if value.own:
            who.append(f"{value.own:,} of our confirmed accounts")
        common = f"{value.holders:,} of {value.established:,}"
        rows.append(
            (
                _typed(value),
                f"<code>{escape(value.shown)}</code>",
                f"{value.bits:g}",
                escape(", ".join(who)),
                common,
            )
        )
    return (
        "<p>Bits say how much more common a value is among bad accounts than among ordinary ones; 15 bits from two "
        "kinds of evidence flag an account.</p>"
        + _table(("type", "value", "bits", "who speaks against it", "ordinary holders"), rows, numbers={2, 4})
    )


def _provenance(about: CampaignFile, proven: Sequence[Proven] | None) -> str:
    if not about.entries:
        return (
            "<p>No report of another member is shown: the evidence is our own, or may not be shown here.</p>"
        )
    if proven is None:
        rows = [
            (escape(entry.writer_name), f"{entry.entry:,}", str(entry.hops), tlp_name(entry.tlp))
            for entry in about.entries
        ]
        return (
            "<p>Each report is an entry of its writer's public log. Their proofs were not fetched for this page.</p>"
            + _table(("member", "entry", "hops", "marking"), rows, numbers={1, 2})
        )
    verified: list[tuple[str, ...]] = []
    files = []
    for one in proven:
        entry = one.entry
        place = (escape(entry.writer_name), f"{entry.entry:,}")
        if one.missing:
            verified.append((*place, tlp_name(entry.tlp), escape(one.missing), ""))
            continue
        state = f"verified in a log of {one.tree_size:,}, cosigned {iso_time(one.checkpoint_time)}"
        verified.append((*place, tlp_name(entry.tlp), state, f"<code>{one.digest[:16]}…</code>"))
        files.append(_proof(one))
    checked = sum(not one.missing for one in proven)
    return (
        f"<p>Each report is a sealed entry of its writer's public log, which the other members cosign. "
        f"{checked:,} of {len(proven):,} proofs were fetched and verified for this page; they are below, so that "
        "anyone with the federation's pin can verify them again with <code>tocsin evidence verify</code>.</p>"
        + _table(("member", "entry", "marking", "proof", "SHA-256 of the entry"), verified, numbers={1})
        + "".join(files)
    )


def _proof(one: Proven) -> str:
    encoded = base64.b64encode(one.files.entry).decode()
    proof = one.files.proof.decode("utf-8", "backslashreplace")
    return (
        f"<details><summary>Entry {one.entry.entry:,} of {escape(one.entry.writer_name)}'s log</summary>"
        f"<p>The entry, Base64:</p><pre>{escape(encoded)}</pre><p>Its proof:</p><pre>{escape(proof)}</pre></details>"
    )


def _decisions(about: CampaignFile) -> str:
    if not about.decisions:
        return "<p>Nobody has decided any of these accounts yet.</p>"
    rows = [
        (
            day_text(one.day), escape(one.reviewer), escape(one.outcome), escape(one.reason), f"{one.accounts:,}",
            f"{one.sampled:,}" if one.sampled else "",
        )
        for one in about.decisions
    ]  # fmt: skip
    return _table(("day", "by", "outcome", "reason", "accounts", "of them by sample"), rows, numbers={4, 5})


def _accounts(about: CampaignFile) -> str:
    seen = any(account.first_day is not None for account in about.accounts)
    rows = []
    for account in about.accounts[:_MAX_ROWS]:
        state = account.state + (", by sample" if account.sampled else "")
        row = [f"<code>{escape(account.shown)}</code>", escape(state), f"{account.bits:g}"]
        row.append(day_text(account.flagged_at // DAY))
        if seen:
            row += ["" if day is None else day_text(day) for day in (account.first_day, account.last_day)]
        rows.append(tuple(row))
    columns = ("account", "state", "bits", "flagged", *(("first seen", "last seen") if seen else ()))
    more = len(about.accounts) - len(rows)
    return _table(columns, rows, numbers={2}) + (f"<p class=note>and {more:,} more.</p>" if more > 0 else "")


def _footer(about: CampaignFile) -> str:
    masked = (
        "It shows values and account ids: keep it inside the team."
        if about.unmasked
        else "Values are shown as the first digits of a keyed hash, accounts as numbers of flags."
    )
    return (
        f"<footer><p>{escape(tlp_name(about.tlp))}. Made {iso_time(about.now)} from the member's own casebook. "
        f"{masked} Nothing here was loaded from elsewhere, and the page runs no script.</p></footer>"
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>"


def _table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: frozenset[int] | set[int] = frozenset()
) -> str:
    """Cells are HTML, already escaped."""

    def cell(tag: str, place: int, text: str) -> str:
        return f"<{tag}{' class=number' if place in numbers else ''}>{text}</{tag}>"

    head = "".join(cell("th", place, name) for place, name in enumerate(columns))
    body = "".join(
        f"<tr>{''.join(cell('td', place, text) for place, text in enumerate(row))}</tr>" for row in rows
    )
    return f"<div class=scroll><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _typed(value: Value) -> str:
    style = "hub" if value.hub else drawing.group_class(value.group)
    return f'<span class="dot {style}"></span>{escape(value.type)}'


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _list(items: Sequence[str], *, plain: bool = False) -> str:
    texts = list(items) if plain else [escape(text) for text in items]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}" if texts else ""
