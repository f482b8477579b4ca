"""Tiles and entry bundles: the tree as static resources (C2SP tlog-tiles, https://c2sp.org/tlog-tiles).

Rules
1. Tile `(l, n)` holds the nodes `(8·l, 256·n) … (8·l, 256·n + 255)`: 256 hashes when full, 1 to 255 at the
   right edge, and none is served empty.
2. Its path is `tile/<l>/<n>[.p/<width>]`; a bundle of leaves has `entries` for `<l>`. `l` is 0 to 63 without
   leading zeroes; `n` is in 3-digit elements, all but the last behind an `x`, and no leading `x000`.
3. A bundle is its leaves in order, each behind its length, u16be.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.tlog.errors import TlogError
from tocsin.tlog.merkle import HASH_BYTES, MAX_SIZE, Hash, Node

TILE_WIDTH = 256
TILE_HEIGHT = 8
MAX_TILE_LEVEL = 63

_PATH = re.compile(
    r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII
)


class BadTile(TlogError):
    """A path or content that is neither a tile nor a bundle."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Which tile: its level (`None` for a bundle of leaves), its index there, its width. Raises `BadTile`."""

    level: int | None
    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        if self.level is not None and not 0 <= self.level <= MAX_TILE_LEVEL:
            raise BadTile(f"the level of a tile is 0 to {MAX_TILE_LEVEL}, not {self.level}")
        if not 0 <= self.index <= MAX_SIZE // TILE_WIDTH:
            raise BadTile("the index of a tile lies in a tree of at most 2^63-1 leaves")
        if not 1 <= self.width <= TILE_WIDTH:
            raise BadTile(f"the width of a tile is 1 to {TILE_WIDTH}, not {self.width}")

    def path(self) -> str:
        """Return the path below the log's prefix (rule 2)."""
        elements, rest = [f"{self.index % 1000:03}"], self.index // 1000
        while rest:
            elements.append(f"x{rest % 1000:03}")
            rest //= 1000
        level = "entries" if self.level is None else str(self.level)
        suffix = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{'/'.join(reversed(elements))}{suffix}"

    def nodes(self) -> list[Node]:
        """Return the complete nodes that the tile holds, in order; for a bundle, those of its leaves."""
        start = self.index * TILE_WIDTH
        level = TILE_HEIGHT * (self.level or 0)
        return [(level, start + offset) for offset in range(self.width)]


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a tile of hashes (rule 2); raise `BadTile`."""
    return Tile(level, index, width).path()


def bundle_path(index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a bundle of leaves (rule 2); raise `BadTile`."""
    return Tile(None, index, width).path()


def parse_tile_path(path: str) -> Tile:
    """Read a path, of a tile or a bundle; raise `BadTile`."""
    parts = _PATH.fullmatch(path)
    if parts is None:
        raise BadTile("a tile's path is tile/<level>/<index>[.p/<width>], in the form of C2SP tlog-tiles")
    level = None if parts[1] == "entries" else int(parts[1])
    tile = Tile(level, int(re.sub("[x/]", "", parts[2])), int(parts[3] or TILE_WIDTH))
    if tile.path() != path:
        raise BadTile("a tile's path is written in one way only")
    return tile


def tile_width(level: int, index: int, size: int) -> int:
    """Return how many hashes tile `(level, index)` has in a tree of `size` leaves; 0 means no such tile."""
    return max(0, min(TILE_WIDTH, (size >> TILE_HEIGHT * level) - index * TILE_WIDTH))


def encode_tile(hashes: Sequence[Hash]) -> bytes:
    """Concatenate 1 to 256 hashes (rule 1); raise `BadTile`."""
    data = b"".join(hashes)
    parse_tile(data, len(hashes))
    return data


def parse_tile(data: bytes, width: int) -> list[Hash]:
    """Read a tile of `width` hashes; raise `BadTile`."""
    if not 1 <= width <= TILE_WIDTH or len(data) != width * HASH_BYTES:
        raise BadTile(
            f"a tile is 1 to {TILE_WIDTH} hashes of {HASH_BYTES} bytes, not {len(data)} bytes for {width}"
        )
    return [Hash(bytes(data[at : at + HASH_BYTES])) for at in range(0, len(data), HASH_BYTES)]


def encode_bundle(leaves: Sequence[bytes]) -> bytes:
    """Write 1 to 256 leaves of at most 65,535 bytes (rule 3); raise `BadTile`."""
    if not 1 <= len(leaves) <= TILE_WIDTH or any(len(leaf) > 65535 for leaf in leaves):
        raise BadTile(f"a bundle is 1 to {TILE_WIDTH} leaves of at most 65,535 bytes")
    return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)


def parse_bundle(data: bytes, width: int) -> list[bytes]:
    """Read a bundle of `width` leaves; raise `BadTile`."""
    leaves: list[bytes] = []
    at = 0
    while at < len(data) and len(leaves) < width:
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        leaves.append(bytes(data[start:at]))
    if at != len(data) or len(leaves) != width or not 1 <= width <= TILE_WIDTH:
        raise BadTile(f"the bundle is not {width} whole leaves, each behind its length")
    return leaves
