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


def test_documents_with_commas_or_record_separators_between() -> None:
    assert parse_documents(b'{"a":1},') == [{"a": 1}]
    assert parse_documents(b'\x1e{"a":1}\n\x1e{"b":2}') == [{"a": 1}, {"b": 2}]
    assert parse_documents(b'{"a":1}\xef\xbb\xbf{"b":2}') == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    "before",
    [
        "2026-09-20T10:00:00.000Z\t6f1c7f0e-1111-4222-8333-abcdefabcdef\tINFO\t",  # Lambda
        "2026-09-20T10:00:00.123456789Z stdout F ",  # containerd
        "2026-09-20 10:00:00,123 INFO gateway: ",
        "[2026-09-20T10:00:00Z] ",
        "2026/09/20 10:00:00 ",
        "Sep 20 10:00:00 edge gateway[12]: ",
        "<134>1 2026-09-20T10:00:00Z edge gateway - - - ",
        '9.9.9.9 - - [20/Sep/2026:10:00:00 +0000] "POST /v1 HTTP/1.1" 200 ',
        "1790000000123 ",
        "gateway-1  | ",  # docker compose
    ],
)
def test_whatever_a_log_writes_around_a_time_before_a_document_is_skipped(before: str) -> None:
    assert parse_documents(f'{before}{{"a": NaN}}'.encode()) == [{"a": None}]


@pytest.mark.parametrize(
    "text", [b"", b"{", b'{"a":1} x', b"x {}", b'INFO:root:{"a":1}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_json(text: bytes) -> None:
    with pytest.raises(
        ValueError, match=r"JSON|Expecting|codec|deep|Extra|unterminated|Unterminated|enclosed"
    ):
        parse_documents(text)
