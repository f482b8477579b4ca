"""From skeletons to indicators: which are worth sharing, how they are written, what they become (PTF2.md §6 and §7).

1. A skeleton is refused (M-9.10) if it has fewer than 8 shingles, if 80 % or more are on the list of common shingles,
   or if it carries fewer than 40 bits: the surprisals of its shingles, a third of each, since each shares two of its
   three tokens with the next.
2. As text it is a name ‖ `:` ‖ the list's id in hex ‖ `:` ‖ base64url, without padding, of its hashes, u64be,
   ascending. The name is `ptf2` for a level that may have bands, and `ptf2-exact` for the others.
3. Canonical: "ptf2" ‖ the list's id (8 bytes) ‖ SHA-256 of these hashes.
4. Named `ptf2`, it also has the bands of its type and size: "ptf2" ‖ the list's id ‖ u8 number ‖ SHA-256 of the
   band's minimum shingle hashes, u64be, in order of rows. A template has long bands from 32 shingles on, short ones
   from 12 on, a system prompt its own from 16 on; all need 60 bits.
5. Of an account each distinct level that is not refused is shared. Only the two blocks with the most units have bands,
   so that an account of many little templates does not use up the evaluations of all. A block whose level of 60 % has
   fewer than 8 shingles, or of which no level is shared, is refused as that level is.
6. A level that would have bands, but is too small or too weak for them, is also shared without each one of its shingles
   (P-4.7): in few conversations there is often one too many, and then no whole is equal.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from operator import lt

from tocsin.indicators.ptf2 import bands
from tocsin.indicators.ptf2.bands import Banding
from tocsin.indicators.ptf2.common_list import CommonList, shipped
from tocsin.indicators.ptf2.skeleton import BANDED_LEVELS, LEVELS, MAX_SHINGLES, MIN_SHINGLES, MIN_WIDE, Block
from tocsin.indicators.refusal import Mode, Refused
from tocsin.indicators.snapshot_files import Snapshots

TEMPLATE = "prompt.template"
SYSTEM = "client.system"
MAX_TEXT = 11 + 16 + 1 + (MAX_SHINGLES * 8 + 2) // 3 * 4
MIN_BITS = 40
MIN_BANDED_BITS = 60
"""What a skeleton must carry to have bands (rule 4, P-6.7)."""
COMMON_PERCENT = 80

MAX_THINNED = 16
"""A level without bands that has more shingles does not stand without each one of them (rule 6)."""

_LEAST_BANDED = min(banding.least for banding in bands.BANDINGS.values())
_MAGIC = b"ptf2"
BANDED_NAME = "ptf2"
EXACT_NAME = "ptf2-exact"
_BANDED_BLOCKS = 2


class Refusal(StrEnum):
    """Why a skeleton is not shared (rule 1); the words of rules and of reports."""

    SHORT = "template.short"
    COMMON = "template.common"
    WEAK = "template.bits"


_MEND = {
    Refusal.SHORT: f"a skeleton has at least {MIN_SHINGLES} shingles",
    Refusal.COMMON: "most of the skeleton is on the list of common shingles: half the world writes so",
    Refusal.WEAK: f"the skeleton carries fewer than {MIN_BITS} bits",
}


@dataclass(frozen=True, slots=True)
class Weight:
    """What decides whether a skeleton is shared (rule 1): its shingles, those of them on the list, and its bits."""

    shingles: int
    listed: int
    bits: int

    @property
    def refusal(self) -> Refusal | None:
        """Why the skeleton is not shared, or None where it is."""
        if self.shingles < MIN_SHINGLES:
            return Refusal.SHORT
        if 100 * self.listed >= COMMON_PERCENT * self.shingles:
            return Refusal.COMMON
        return Refusal.WEAK if self.bits < MIN_BITS else None


def weigh(shingles: frozenset[int], common: CommonList) -> Weight:
    """Return what a skeleton weighs under a list of common shingles."""
    listed = common.listed(shingles)
    bits = sum(listed) + common.absent_bits * (len(shingles) - len(listed))
    return Weight(len(shingles), len(listed), bits // 3)


def strength(shingles: Iterable[int], common: CommonList) -> int:
    """Return the bits that a skeleton carries (rule 1)."""
    return weigh(frozenset(shingles), common).bits


def judge(shingles: frozenset[int], common: CommonList) -> Refusal | None:
    """Say why a skeleton is not shared, or None where it is (rule 1)."""
    return weigh(shingles, common).refusal


@dataclass(frozen=True, slots=True)
class Judged:
    """A level of a block and what becomes of it."""

    shingles: frozenset[int]
    units: tuple[int, ...]
    """The block's."""
    banded: bool
    refusal: Refusal | None

    @property
    def support(self) -> int:
        """How many conversations the block was found in."""
        return len(self.units)


def banding_of(type: str, size: int) -> Banding | None:
    """Return the kind of bands that a skeleton of so many shingles may have (rule 4)."""
    if type == SYSTEM:
        return bands.SYSTEM if size >= bands.SYSTEM.least else None
    if size >= bands.LONG.least:
        return bands.LONG
    return bands.SHORT if size >= bands.SHORT.least else None


def banded_levels(block: Block) -> tuple[frozenset[int], ...]:
    """Return the levels that may have bands: those of 40 and 60 %; where they are equal, it and the next other."""
    lowest, dense = (block.levels[LEVELS.index(percent)] for percent in BANDED_LEVELS)
    other = next((level for level in block.levels if level != lowest), lowest) if dense == lowest else dense
    return tuple(dict.fromkeys((lowest, other)))


def judged(blocks: Iterable[Block], common: CommonList) -> Iterator[Judged]:
    """Return the levels of an account's blocks that are shared, and one refusal for each other block (rule 5)."""
    weights: dict[frozenset[int], Weight] = {}

    def weight(level: frozenset[int]) -> Weight:
        known = weights.get(level)
        if known is None:
            known = weights[level] = weigh(level, common)
        return known

    for number, block in enumerate(blocks):
        chosen = banded_levels(block) if number < _BANDED_BLOCKS else ()
        with_bands = {
            level for level in chosen if len(level) >= _LEAST_BANDED and weight(level).bits >= MIN_BANDED_BITS
        }
        wide = len(block.levels[0]) >= MIN_WIDE
        refusal = weight(block.levels[0] if wide else block.shingles).refusal
        levels = () if refusal is Refusal.SHORT else dict.fromkeys(block.levels)
        shared = [level for level in levels if weight(level).refusal is None]
        for level in shared:
            yield Judged(level, block.units, level in with_bands, None)
        known = set(shared)
        for level in chosen:
            if level in known and level not in with_bands and len(level) <= MAX_THINNED:
                for thinned in (level - {shingle} for shingle in sorted(level)):
                    if thinned not in known and judge(thinned, common) is None:
                        known.add(thinned)
                        yield Judged(thinned, block.units, False, None)
        for part in block.parts:
            for level in dict.fromkeys(part.levels):
                if level not in known and weight(level).refusal is None:
                    known.add(level)
                    yield Judged(level, part.units, False, None)
        if not shared:
            yield Judged(block.shingles, block.units, False, refusal)


def write_skeleton(shingles: Iterable[int], common: CommonList, *, banded: bool = True) -> str:
    """Return a skeleton as text (rule 2), the value that the registry takes."""
    packed = base64.urlsafe_b64encode(_packed(sorted(shingles))).rstrip(b"=").decode()
    return f"{BANDED_NAME if banded else EXACT_NAME}:{common.id.hex()}:{packed}"


def read_skeleton(type: str, text: str) -> tuple[bytes, tuple[int, ...]]:
    """Return the list's id and the hashes of a skeleton's text. Raises Refused (`template.text`)."""
    parts = text.split(":")
    try:
        name, listed, packed = parts[0], parts[1], parts[2].encode("ascii")
        id = bytes.fromhex(listed)
        data = base64.b64decode(packed + b"=" * (-len(packed) % 4), altchars=b"-_", validate=True)
    except (IndexError, ValueError, binascii.Error):
        name, listed, id, data = "", "", b"", b""
    hashes = struct.unpack(f">{len(data) // 8}Q", data[: len(data) // 8 * 8])
    if (
        name not in (BANDED_NAME, EXACT_NAME)
        or len(parts) != 3
        or len(id) != 8
        or listed != id.hex()
        or len(data) % 8
        or not 0 < len(hashes) <= MAX_SHINGLES
        or not all(map(lt, hashes, hashes[1:]))
    ):
        raise Refused(type, "template.text", "give the skeleton as `tocsin ingest` writes it, not a prompt")
    return id, hashes


def canonical_template(text: str, mode: Mode, snapshots: Snapshots) -> bytes:
    """Return the canonical bytes of a prompt template (rules 1 and 3). Raises Refused (rules `template.*`)."""
    return _canonical(TEMPLATE, text, snapshots)


def canonical_system(text: str, mode: Mode, snapshots: Snapshots) -> bytes:
    """Return the canonical bytes of a system prompt's skeleton. Raises Refused (rules `template.*`)."""
    return _canonical(SYSTEM, text, snapshots)


def refuse_band(type: str) -> Callable[[str, Mode, Snapshots], bytes]:
    """Return what raises Refused (`template.band`) for a band of this type: by itself it is no value (M-7.13)."""

    def refuse(text: str, mode: Mode, snapshots: Snapshots) -> bytes:
        raise Refused(
            type,
            "template.band",
            f"give the whole skeleton as {bands.BANDINGS[type].of}; its bands come with it",
        )

    return refuse


def band_values(type: str, text: str) -> tuple[str, tuple[bytes, ...]]:
    """Return the type of a skeleton's bands and their canonical bytes, band 1 first, where it has some (rule 4)."""
    id, hashes = read_skeleton(type, text)
    banding = banding_of(type, len(hashes))
    if banding is None or not text.startswith(f"{BANDED_NAME}:"):
        return "", ()
    return banding.type, tuple(
        _MAGIC + id + bytes([band]) + sha256(_packed(values)).digest()
        for band, values in enumerate(bands.minima(hashes, banding.bands, banding.rows), 1)
    )


def _canonical(type: str, text: str, snapshots: Snapshots) -> bytes:
    id, hashes = read_skeleton(type, text)
    common = shipped(snapshots.common_prompts)
    # Under a list of the provider's own the skeleton was judged when it was made; only its size can be judged here.
    refusal = judge(frozenset(hashes), common) if id == common.id else None
    if len(hashes) < MIN_SHINGLES:
        refusal = Refusal.SHORT
    if refusal is not None:
        raise Refused(type, refusal.value, _MEND[refusal])
    return _MAGIC + id + sha256(_packed(hashes)).digest()


def _packed(hashes: Iterable[int]) -> bytes:
    found = tuple(hashes)
    return struct.pack(f">{len(found)}Q", *found)
