"""Searching everything a party has for values: raw, hashed with every common hash, keyed with every secret it has.

1. A needle is twelve bytes of a form that a value might have been stored in, the first or the last, whichever tell
   the values apart. Even in hex they are 48 bits: a thousand values, a hundred forms and a megabyte of hex in what is
   searched make a chance find once in two thousand runs, and what is searched here has far less of each.
2. Content is searched at every byte offset, in one pass for all needles.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.adversary.scene import Heard, elements_of, inputs_of
from tocsin.indicators.registry import Observable

WIDTH = 12
_HASHES = ("md5", "sha1", "sha256", "sha512", "blake2b", "sha3_256")


def disk(folder: Path) -> bytes:
    """Every byte of every file under a folder: databases with their journals, logs, keyrings, keys, settings."""
    return b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def traffic(heard: Iterable[Heard]) -> bytes:
    """Every byte of every request and answer, the same one once."""
    return b"\0".join(dict.fromkeys(part for call in heard for part in (call.request, call.answer)))


def needles(values: Sequence[Observable], secrets: Iterable[bytes] = ()) -> dict[bytes, int]:
    """Map each form's first bytes to the place of its value."""
    keys = list(secrets)
    rows = [
        [
            *_spellings(value.canonical),
            *_digests(value.canonical, keys),
            *_digests(raw, keys),
            *_spellings(element),
        ]
        for value, raw, element in zip(values, inputs_of(values), elements_of(values), strict=True)
    ]
    found: dict[bytes, int] = {}
    for column in zip(*rows, strict=True):
        firsts, lasts = [form[:WIDTH] for form in column], [form[-WIDTH:] for form in column]
        parts = firsts if len(set(firsts)) == len(values) else lasts
        found |= {part: place for place, part in enumerate(parts)}
    return found


def search(content: bytes, wanted: Mapping[bytes, int]) -> set[int]:
    """Return the places of values that occur in some form."""
    return {
        wanted[window]
        for at in range(len(content) - WIDTH + 1)
        if (window := content[at : at + WIDTH]) in wanted
    }


def _digests(value: bytes, keys: Sequence[bytes]) -> Iterator[bytes]:
    digests = [hashlib.new(name, value).digest() for name in _HASHES]
    digests += [hmac.digest(key, value, "sha256") for key in keys]
    digests += [hashlib.blake2b(value, key=key[:64]).digest() for key in keys]
    for digest in digests:
        yield from _spellings(digest)


def _spellings(form: bytes) -> tuple[bytes, ...]:
    return form, form.hex().encode(), base64.b64encode(form)
