"""Values in what threat intelligence platforms exchange: MISP events as JSON or CSV, and STIX 2.1 bundles.

1. MISP (core format): attributes of events, of their objects, and of `restSearch`, which `response` holds. A composite
   (`domain|ip`) is each of its parts. Deleted attributes are skipped.
2. STIX 2.1: observables, and indicators whose pattern compares values with `=`, IN or ISSUBSET, joined by OR. What a
   pattern joins otherwise does not stand for one value alone. Revoked objects are skipped. A value that stands twice
   counts once.
3. What has no type here is left out, and counted under the type that it has there.
4. Traffic light marks (TLP 1 and 2), and when a value was first and last seen, come with it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_MISP = {
    "phone-number": "contact.phone", "whois-registrant-phone": "contact.phone", "email": "contact.email",
    "email-src": "contact.email", "email-reply-to": "contact.email", "whois-registrant-email": "contact.email",
    "iban": "payment.iban", "domain": "org.domain", "ip-src": "ip", "ip-dst": "ip", "ip": "ip", "btc": "btc",
    "ja4": "net.ja4", "ja4-fingerprint": "net.ja4",
}  # fmt: skip
_STIX = {
    "email-addr": "contact.email", "ipv4-addr": "ip", "ipv6-addr": "ip", "domain-name": "org.domain",
    "phone-number": "contact.phone",  # OpenCTI's
}  # fmt: skip
_NOT_VALUES = frozenset(
    (
        "attack-pattern", "campaign", "course-of-action", "extension-definition", "grouping", "identity", "incident",
        "indicator", "infrastructure", "intrusion-set", "language-content", "location", "malware", "malware-analysis",
        "marking-definition", "note", "observed-data", "opinion", "relationship", "report", "sighting", "threat-actor",
        "tool", "vulnerability",
    )
)  # fmt: skip
_TLP = re.compile(r"tlp:(clear|white|green|amber(?:\+strict)?|red)", re.IGNORECASE)
# The identifiers that STIX 2.1 §7.2.1.4 fixes for TLP 1.
_TLP_MARKS = {
    "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9": "clear",
    "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da": "green",
    "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82": "amber",
    "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed": "red",
}
_PATTERN = re.compile(r"\[([^\[\]]+)\]")
_LITERAL = r"'(?:[^'\\]|\\.)*'"
_COMPARISON = re.compile(
    rf"\s*([a-z0-9-]+):value\s*(?:(?:=|==|ISSUBSET)\s*({_LITERAL})|IN\s*\(\s*({_LITERAL}(?:\s*,\s*{_LITERAL})*)\s*\))\s*"
)
MISP_COLUMNS = frozenset(("type", "value", "category", "to_ids"))
"""The columns by which the CSV of MISP is known."""


@dataclass(frozen=True, slots=True)
class Shared:
    """One value, the type it has here, and what came with it; `columns` are those of `tocsin submit`."""

    type: str
    value: str = field(repr=False)
    columns: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(slots=True)
class Reading:
    """The values of a document, and how many were left out of each type that there is no type for here."""

    values: list[Shared] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def read_shared(document: Any) -> Reading | None:
    """Return what a document holds; None where it is neither of MISP nor of STIX."""
    if isinstance(document, dict):
        if document.get("type") == "bundle" and isinstance(document.get("objects"), list):
            return _of_stix(document["objects"])
        if not document.keys() & {"Event", "Attribute", "response"}:
            return None
    elif not (isinstance(document, list) and document and isinstance(document[0], dict)):
        return None
    elif document[0].keys() >= MISP_COLUMNS:  # attributes by themselves
        document = {"Attribute": document}
    elif "Event" not in document[0]:
        return None
    reading = Reading()
    for attribute, tags in _attributes(document, ()):
        read_misp_attribute(attribute, tags, reading)
    return reading


def read_misp_attribute(attribute: Mapping[str, Any], tags: tuple[str, ...], reading: Reading) -> None:
    """Add the values of an attribute; `tags` are those of its event, then those of the attribute."""
    kind, value = attribute.get("type"), attribute.get("value")
    if not isinstance(kind, str) or not isinstance(value, str) or attribute.get("deleted") in (True, "1", 1):
        return
    columns = {
        name: str(attribute[name])
        for name in ("first_seen", "last_seen")
        if attribute.get(name) not in (None, "")
    }
    marks = [mark[1].lower() for tag in tags if (mark := _TLP.search(tag))]
    if marks:
        columns["tlp"] = "clear" if marks[-1] == "white" else marks[-1]
    kinds = kind.split("|")
    values = value.split("|") if len(kinds) > 1 else [value]
    taken = [
        Shared(type, text, columns)
        for part, given in zip(kinds, values, strict=False)
        if (typed := _typed(_MISP.get(part), given)) is not None
        for type, text in [typed]
    ]
    reading.values.extend(taken)
    if not taken:
        reading.left_out[kind] += 1


def _attributes(
    holder: Any, tags: tuple[str, ...], depth: int = 0
) -> Iterator[tuple[Mapping[str, Any], tuple[str, ...]]]:
    if depth > 6:
        return
    if isinstance(holder, list):
        for item in holder:
            yield from _attributes(item, tags, depth + 1)
        return
    if not isinstance(holder, dict):
        return
    inherited = (*tags, *_tags(holder))
    for key in ("response", "Event", "Object"):
        yield from _attributes(holder.get(key), inherited, depth + 1)
    attributes = holder.get("Attribute")
    for attribute in attributes if isinstance(attributes, list) else [attributes]:
        if isinstance(attribute, dict):
            yield attribute, (*inherited, *_tags(attribute))


def _tags(holder: Mapping[str, Any]) -> list[str]:
    tags = holder.get("Tag")
    return [
        tag["name"]
        for tag in (tags if isinstance(tags, list) else [])
        if isinstance(tag, dict) and isinstance(tag.get("name"), str)
    ]


def _typed(type: str | None, value: str) -> tuple[str, str] | None:
    text = value.strip()
    if type is None or not text:
        return None
    if type == "btc":
        return "payment.wallet", f"btc:{text}"
    if type != "ip":
        return type, text
    address, slash, length = text.partition("/")
    if ":" in address:
        return "net.ipv6-64", text
    if not slash or length == "32":
        return "net.ipv4", address
    return ("net.ipv4-24", text) if length == "24" else None


def _of_stix(objects: list[Any]) -> Reading:
    reading = Reading()
    known: set[tuple[str, str]] = set()
    given = [item for item in objects if isinstance(item, dict)]
    marks = _TLP_MARKS | {str(item.get("id")): tlp for item in given if (tlp := _tlp_of(item))}
    for item in given:
        kind = str(item.get("type"))
        if item.get("revoked") is True:
            continue
        if kind == "indicator":
            pairs = _of_pattern(item.get("pattern"), item.get("pattern_type"))
        elif isinstance(item.get("value"), str) and kind not in _NOT_VALUES:
            pairs = [(kind, item["value"])]
        else:
            if kind not in _NOT_VALUES:
                reading.left_out[kind] += 1
            continue
        if not pairs:
            reading.left_out["indicator with another pattern"] += 1
        columns = {"first_seen": item["valid_from"]} if isinstance(item.get("valid_from"), str) else {}
        refs = item.get("object_marking_refs")
        for ref in refs if isinstance(refs, list) else []:
            if str(ref) in marks:
                columns["tlp"] = marks[str(ref)]
        for name, value in pairs:
            typed = _typed(_STIX.get(name), value)
            if typed is None:
                reading.left_out[name] += 1
            elif typed not in known:
                known.add(typed)
                reading.values.append(Shared(*typed, columns))
    return reading


def _of_pattern(pattern: Any, kind: Any) -> list[tuple[str, str]]:
    """The compared values of a pattern, none where it is more than equalities joined by OR (rule 2)."""
    if not isinstance(pattern, str) or kind not in (None, "stix"):
        return []
    if re.sub(r"\bOR\b|[()\s]", "", _PATTERN.sub("", pattern)):
        return []
    comparisons: list[tuple[str, str]] = []
    for inside in _PATTERN.findall(pattern):
        for part in re.split(r"\bOR\b", inside):
            comparison = _COMPARISON.fullmatch(part)
            if comparison is None:
                return []
            comparisons += [
                (comparison[1], re.sub(r"\\(.)", r"\1", literal[1:-1]))
                for literal in re.findall(_LITERAL, comparison[2] or comparison[3])
            ]
    return comparisons


def _tlp_of(item: Mapping[str, Any]) -> str | None:
    if item.get("type") != "marking-definition":
        return None
    definition = item.get("definition")
    named = definition.get("tlp") if isinstance(definition, dict) else None
    mark = _TLP.search(f"tlp:{named}" if named else str(item.get("name", "")))
    return None if mark is None else "clear" if mark[1].lower() == "white" else mark[1].lower()
