"""Folding of text that people type, the same under every Python.

1. Code points unassigned in Unicode 14 are dropped first: what later versions make of them is not known
   here.
2. Then NFKC, lower case by single code points (no context such as a final sigma), NFKC again. Unicode
   promises that neither changes for code points that are assigned.
3. Text that a second folding would still change has no canonical form (M-9.4).
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from functools import cache

from tocsin.indicators.refusal import Refused
from tocsin.indicators.snapshot_files import Snapshots, table


@cache
def _boundaries(name: str) -> tuple[int, ...]:
    # Even positions open an assigned range, odd ones are the first code point after it.
    edges: list[int] = []
    code = 0
    for gap, length in table(name)["assigned"]:
        edges += (code + gap, code + gap + length)
        code = edges[-1]
    return tuple(edges)


def is_assigned(character: str, snapshots: Snapshots) -> bool:
    """Whether the snapshot's Unicode version assigns `character`."""
    return bisect_right(_boundaries(snapshots.unicode), ord(character)) % 2 == 1


def drop_unassigned(text: str, snapshots: Snapshots) -> str:
    """`text` without the code points that the snapshot's Unicode version leaves unassigned."""
    if text.isascii():
        return text
    edges = _boundaries(snapshots.unicode)
    return "".join(c for c in text if c < "\x80" or bisect_right(edges, ord(c)) % 2 == 1)


def _fold_once(text: str) -> str:
    normal = unicodedata.normalize("NFKC", text)
    return unicodedata.normalize("NFKC", "".join(c.lower() for c in normal))


def fold(type: str, text: str, snapshots: Snapshots) -> str:
    """`text` as rules 1 to 3 fold it. Raises Refused (`text.unstable`) where rule 3 applies."""
    if text.isascii():
        return text.lower()
    folded = _fold_once(drop_unassigned(text, snapshots))
    if _fold_once(folded) != folded:
        raise Refused(type, "text.unstable", "its letters have no stable normal form; retype it plainly")
    return folded
