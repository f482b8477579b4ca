"""Strict JSON: one document in, fields with a path each, or `BadCharter`.

1. The text is UTF-8 JSON within a size limit, without floating-point numbers.
2. An object has exactly the keys it must have. Bytes are lower-case hexadecimal.
3. Repeated keys, spaces, another order or another spelling are caught by the caller, which encodes what it read
   once more by RFC 8785 and compares.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import rfc8785

from tocsin.charter.errors import BadCharter

JsonValue = None | bool | int | str | Sequence["JsonValue"] | Mapping[str, "JsonValue"]
MAX_INTEGER = 2**53 - 1
"""The largest integer that RFC 8785 keeps exact."""

_HEX = re.compile(r"(?:[0-9a-f]{2})*\Z")


@dataclass(frozen=True, slots=True)
class Field:
    """A value of the document and where it stands."""

    path: str
    value: object

    def members(self, *names: str) -> dict[str, "Field"]:
        """Return the fields of an object that has exactly these keys (M-3.1)."""
        if not isinstance(self.value, dict):
            raise BadCharter("type", self.path, "an object is expected")
        for name in names:
            if name not in self.value:
                raise BadCharter("missing-key", self.path, f"the key {name!r} is missing")
        if len(self.value) != len(names):
            raise BadCharter(
                "unknown-key", self.path, "it has keys that this version does not know: update the software"
            )
        return {name: Field(f"{self.path}.{name}", self.value[name]) for name in names}

    def entries(self, limit: int) -> list[tuple[str, "Field"]]:
        """Return key and field of an object whose keys are free, at most `limit` of them."""
        if not isinstance(self.value, dict):
            raise BadCharter("type", self.path, "an object is expected")
        if len(self.value) > limit:
            raise BadCharter("count", self.path, f"at most {limit} keys are allowed")
        return [
            (key, Field(f"{self.path}[{at}]", value)) for at, (key, value) in enumerate(self.value.items())
        ]

    def items(self, limit: int) -> list["Field"]:
        """Return the fields of an array of at most `limit`."""
        if not isinstance(self.value, list):
            raise BadCharter("type", self.path, "an array is expected")
        if len(self.value) > limit:
            raise BadCharter("count", self.path, f"at most {limit} items are allowed")
        return [Field(f"{self.path}[{at}]", value) for at, value in enumerate(self.value)]

    def text(self) -> str:
        """Return a string."""
        if not isinstance(self.value, str):
            raise BadCharter("type", self.path, "a string is expected")
        return self.value

    def integer(self) -> int:
        """Return an integer; times are whole seconds (M-1.3)."""
        if type(self.value) is not int:
            raise BadCharter("type", self.path, "an integer is expected")
        return self.value

    def hex(self) -> bytes:
        """Return the bytes of a lower-case hexadecimal string."""
        return unhex(self.text(), self.path)


def unhex(text: str, path: str) -> bytes:
    """Return the bytes of lower-case hexadecimal. Raises `BadCharter`."""
    if not _HEX.match(text):
        raise BadCharter("hex", path, "bytes are written in lower-case hexadecimal, two digits each")
    return bytes.fromhex(text)


def read_json(data: bytes, limit: int) -> Field:
    """Return the root of a JSON document of at most `limit` bytes. Raises `BadCharter`."""
    if len(data) > limit:
        raise BadCharter("size", "$", f"at most {limit} bytes are allowed, got {len(data)}")
    try:
        return Field("$", json.loads(data.decode("utf-8"), parse_float=_no_float, parse_constant=_no_float))
    except BadCharter:
        raise
    except (ValueError, RecursionError):
        raise BadCharter("json", "$", "this is not a JSON document in UTF-8 that can be read") from None


def canonical(value: JsonValue) -> bytes:
    """Return the RFC 8785 bytes of a value. Raises `BadCharter` for what RFC 8785 cannot say."""
    try:
        return rfc8785.dumps(value)
    except ValueError:
        raise BadCharter(
            "canonical", "$", "an integer or a string cannot be written in RFC 8785 JSON"
        ) from None


def check_canonical(data: bytes, encoded: bytes) -> None:
    """Check that a document is byte for byte its own canonical encoding (M-3.1). Raises `BadCharter`."""
    if data != encoded:
        raise BadCharter(
            "canonical",
            "$",
            "the bytes are not the RFC 8785 form of their content: take them as they were signed",
        )


def _no_float(_: str) -> object:
    raise BadCharter("type", "$", "numbers with a fraction or an exponent are not used")
