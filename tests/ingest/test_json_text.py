"""JSON as gateways write it."""

from __future__ import annotations

import pytest

from tocsin.ingest.json_text import parse_documents, parse_json


def test_a_lone_surrogate_or_nan_loses_nothing() -> None:
    assert parse_json('{"a": "x\\ud83d y", "b": NaN, "c": -Infinity, "d": 1e999, "\\ude00": ["\\ud83d\\ude00"]}') == {
        "a": "x\ufffd y", "b": None, "c": None, "d": None, "\ufffd": ["\U0001f600"],
    }  # fmt: skip


def test_what_no_parser_takes_in_any_place_loses_nothing_else() -> None:
    assert parse_documents(b'{"a": ["\xed\xa0\xbd", "\xed\xa0\xbd\xed\xb8\x80"], "b": "\x00\t"}') == [
        {"a": ["\ufffd", "\U0001f600"], "b": "\x00\t"}
    ]
    assert parse_json(b'{"a": [1' + b"0" * 5_000 + b'], "b": "kept"}') == {"a": [None], "b": "kept"}
    assert parse_json('{"a": -1' + "0" * 400 + "}") == {"a": -(10**400)}


def test_documents_behind_each_other_and_behind_a_time() -> None:
    assert parse_documents(b'{"a":1}{"b":2}\n {"c":3}') == [{"a": 1}, {"b": 2}, {"c": 3}]
    assert parse_documents(b'2026-09-20T10:00:00.123Z {"a": NaN}') == [{"a": None}]


@pytest.mark.parametrize("text", [b"", b"{", b'{"a":1} x', b"x {}", b"\xff", b"[" * 100_000])
def test_what_is_no_json(text: bytes) -> None:
    with pytest.raises(
        ValueError, match=r"JSON|Expecting|codec|deep|Extra|unterminated|Unterminated|enclosed"
    ):
        parse_documents(text)
