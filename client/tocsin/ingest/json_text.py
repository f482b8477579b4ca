"""JSON as gateways write it, not only as RFC 8259 has it.

1. Text that a strict parser rejects is parsed again: lone surrogates, as escapes or as bytes (CESU-8), become U+FFFD;
   NaN, infinities and integers of more than 4,300 digits become null; control characters in a text are kept. One such
   character anywhere would otherwise lose the whole line, and any user can send one.
2. A log exporter may put several documents one after another, with commas or record separators (RFC 7464) between them,
   and before the first a time with whatever the log adds to it: CloudWatch's export to S3, a container's log, syslog.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import orjson

_LONE = re.compile("[\ud800-\udfff]")
_MAX_DEPTH = 512
_MAX_DIGITS = 4_300  # what Python makes an integer of
# What a log writes before a document: no brace, and in it a time, or the name that `docker compose` puts there.
_BEFORE = re.compile(r"[^{]{1,256}(?=\{)")
_TIME = re.compile(
    r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d"
    r"|(?<!\d)\d{10}(?:\d{3}|\d{6}|\d{9})?(?:\.\d+)?\s|^[\w.-]+\s+\|\s"
)
_BETWEEN = frozenset(",\x1e\ufeff")


def parse_json(value: str | bytes) -> Any:
    """Return what a JSON text holds (rule 1). Raises ValueError."""
    try:
        return orjson.loads(value)
    except ValueError:
        return _again(value)


def parse_documents(value: bytes) -> list[Any]:
    """Return the documents of a line (rules 1 and 2). Raises ValueError."""
    try:
        return [orjson.loads(value)]
    except ValueError:
        text = _decoded(value)
    if (start := _BEFORE.match(text)) is not None and _TIME.search(start[0]):
        text = text[start.end() :]
    documents = list(_each(text))
    if not documents:
        raise ValueError("no JSON")
    return documents


def _each(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder(parse_constant=lambda _: None, parse_int=_integer, strict=False)
    at, end = 0, len(text)
    while at < end:
        if text[at].isspace() or text[at] in _BETWEEN:
            at += 1
            continue
        try:
            document, at = decoder.raw_decode(text, at)
        except RecursionError:
            raise ValueError("nested too deep") from None
        yield _plain(document, 0)


def _again(value: str | bytes) -> Any:
    text = _decoded(value) if isinstance(value, bytes) else value
    try:
        return _plain(json.loads(text, parse_constant=lambda _: None, parse_int=_integer, strict=False), 0)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _decoded(value: bytes) -> str:
    """UTF-8 in which surrogates may be encoded, by pairs or alone, as some runtimes write them."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        text = value.decode("utf-8", "surrogatepass")
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MAX_DIGITS else None


def _plain(value: Any, depth: int) -> Any:
    """Without lone surrogates, and without numbers that are none; pairs of surrogates were joined by the parser."""
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deep")
    if type(value) is str:
        return _LONE.sub("\ufffd", value) if not value.isascii() else value
    if type(value) is dict:
        return {_plain(name, depth): _plain(held, depth + 1) for name, held in value.items()}
    if type(value) is list:
        return [_plain(held, depth + 1) for held in value]
    if type(value) is float and value - value != 0:
        return None  # 1e999
    return value
