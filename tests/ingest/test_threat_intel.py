"""MISP events and STIX bundles, as their own libraries write them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.ingest.test_formats import SAMPLES
from tocsin.ingest.threat_intel import Reading, read_misp_attribute, read_shared


def of(name: str) -> tuple[list[tuple[str, str, dict[str, str]]], dict[str, int]]:
    reading = read_shared(json.loads((SAMPLES / name).read_text()))
    assert reading is not None
    return [(value.type, value.value, dict(value.columns)) for value in reading.values], dict(
        reading.left_out
    )


def test_a_misp_event() -> None:
    values, left_out = of("misp_event.json")
    assert sorted((type, value) for type, value, _ in values) == [
        ("contact.email", "joan@orchards.example"),
        ("contact.phone", "+49 30 901820"),
        ("net.ipv4", "203.0.113.7"),
        ("net.ipv4", "203.0.113.9"),
        ("org.domain", "orchards.example"),
    ]
    columns = {value: columns for _, value, columns in values}
    assert columns["joan@orchards.example"]["tlp"] == "red"
    assert columns["+49 30 901820"]["tlp"] == "amber"
    assert columns["203.0.113.7"]["first_seen"].startswith("2026-03-01")
    assert left_out == {"url": 1}


def test_a_stix_bundle() -> None:
    values, left_out = of("stix_bundle.json")
    assert [(type, value) for type, value, _ in values] == [
        ("contact.email", "jane@orchards.example"),
        ("net.ipv4", "203.0.113.7"),
        ("contact.email", "joan@orchards.example"),
    ]
    assert values[2][2] == {"first_seen": "2026-03-01T00:00:00Z", "tlp": "amber"}
    assert left_out == {"url": 1, "indicator with another pattern": 1}


@pytest.mark.parametrize(
    "document", [{}, [], [{}], {"type": "bundle"}, "x", None, {"type": "contact.email", "value": "x"}]
)
def test_what_is_neither(document: Any) -> None:
    assert read_shared(document) is None


def test_networks_and_deleted_attributes_of_misp() -> None:
    reading = Reading()
    for value, deleted in (("198.51.100.0/24", False), ("198.51.0.0/16", False), ("9.9.9.9", True)):
        read_misp_attribute({"type": "ip-src", "value": value, "deleted": deleted}, (), reading)
    assert [(value.type, value.value) for value in reading.values] == [("net.ipv4-24", "198.51.100.0/24")]
    assert dict(reading.left_out) == {"ip-src": 1}


@pytest.mark.parametrize(
    ("pattern", "values"),
    [
        ("[ipv4-addr:value IN ('8.8.4.4', '1.0.0.1')]", [("net.ipv4", "8.8.4.4"), ("net.ipv4", "1.0.0.1")]),
        ("([email-addr:value = 'jim@orchards.example'])", [("contact.email", "jim@orchards.example")]),
        ("[ipv4-addr:value ISSUBSET '198.51.100.0/24']", [("net.ipv4-24", "198.51.100.0/24")]),
        ("[phone-number:value = '+49 30 901820']", [("contact.phone", "+49 30 901820")]),
        ("[email-addr:value = 'a@x.example'] FOLLOWEDBY [ipv4-addr:value = '9.9.9.9']", []),
        ("[email-addr:value LIKE '%@x.example']", []),
        ("[NOT email-addr:value = 'a@x.example']", []),
    ],
)
def test_patterns_of_stix(pattern: str, values: list[tuple[str, str]]) -> None:
    indicator = {"type": "indicator", "id": "indicator--1", "pattern": pattern, "pattern_type": "stix"}
    reading = read_shared({"type": "bundle", "id": "bundle--1", "objects": [indicator]})
    assert reading is not None
    assert [(value.type, value.value) for value in reading.values] == values
    assert sum(reading.left_out.values()) == (not values)


def test_attributes_of_misp_by_themselves() -> None:
    event = json.loads((SAMPLES / "misp_event.json").read_text())
    attributes = event.get("Event", event)["Attribute"]
    reading = read_shared(attributes)
    assert reading is not None
    assert ("contact.email", "joan@orchards.example") in [
        (value.type, value.value) for value in reading.values
    ]
