"""From text to tokens: what is the same however a prompt is dressed up (PTF2.md §2).

1. Clip to 65,536 bytes of UTF-8, at a character. Lone surrogates are dropped.
2. Drop code points that Unicode 14 leaves unassigned; white-space controls become spaces.
3. Drop control, format and private-use characters, variation selectors, combining diacritics, and of more than 30
   marks in a row all after the thirtieth; NFKD; drop the same characters again; NFC; case fold; NFKC; then what the
   snapshot of confusables takes for ASCII letters becomes these letters.
4. Masks, in this order: an e-mail address becomes `<mail>`, a hexadecimal number `<hex>`, any other number `<num>`.
   What stands in a code fence or in a URL is text like any other: what varies there drops out of a skeleton by itself.
5. A token is a mask, one character of a script written without spaces, or a run of letters and their marks. The first
   16,384 count.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache

from tocsin.indicators.snapshot_files import Snapshots, table
from tocsin.indicators.text import is_assigned

MAX_BYTES = 65_536
MAX_TOKENS = 16_384

_MAX_KNOWN = 1 << 16
_LONGEST_KNOWN = 64

# Scripts written without spaces, by block: Thai to Lao, Tibetan, Myanmar, Khmer, kana, bopomofo, Han.
_ALONE = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3100-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua9e0-\ua9ff\uaa60-\uaa7f\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
# The masks stand before words, so that what they cover is no word. `\d` is every script's digits.
# Begins only where none of its characters stands before, and ends soon: else a long run would be tried at every place.
_MAIL = r"(?P<mail>(?a:(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+))"
_HEX = (
    r"(?P<hex>(?a:\b0x[0-9a-f]+\b|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
    r"|\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,}\b))"
)
_NUMBER = r"(?P<num>\d+(?:[.,:/\-]\d+)*)"
_MASKS = (("mail", _MAIL), ("hex", _HEX), ("num", _NUMBER))
_SPACES = dict.fromkeys((9, 10, 11, 12, 13, 28, 29, 30, 31, 133), " ")
# Diacritics that ride on letters of any script, and the variation selectors; both are Mn.
_DIACRITICS = (
    (0x0300, 0x036F), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F),
    (0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF),
)  # fmt: skip
_DROPPED_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs"})


@cache
def _masked() -> re.Pattern[str]:
    return re.compile("|".join(pattern for _, pattern in _MASKS))


@cache
def _ascii_masked() -> re.Pattern[str]:
    return re.compile(_masked().pattern, re.ASCII)


@cache
def _ascii_numbers() -> re.Pattern[str]:
    # What there is to be masked where there is no `@`.
    return re.compile("|".join(pattern for name, pattern in _MASKS if name != "mail"), re.ASCII)


_ASCII_DIGIT = re.compile("[0-9]")
_ASCII_TOKEN = re.compile(r"[a-z]+|[\x01-\x03]")


@cache
def _token() -> re.Pattern[str]:
    # `[^\W\d_]` is every letter; marks of the letter's own script ride along.
    return re.compile(f"[\x01-\x03{_ALONE}]|(?:(?![{_ALONE}])(?:[^\\W\\d_]|{_marks()}))+")


# As long a run of marks is also one of what stands where marks do, which is found in a fraction of the time.
_FAR_FROM_LATIN = re.compile("[^\x00-\u02ff]{31}")


@cache
def _long_runs() -> re.Pattern[str]:
    # Normalising sorts marks that follow each other, in time that grows with the square of their number.
    return re.compile(f"({_marks()}{{30}}){_marks()}+")


@cache
def _marks() -> str:
    ranges: list[list[int]] = []
    for code in range(0x300, 0x1F000):
        if unicodedata.category(chr(code)) in ("Mn", "Mc"):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges) + "]"


class _Table(dict[int, int | str | None]):
    """For `str.translate`: what becomes of each code point, found once. A plain dict raises for each that stays."""

    def __init__(self, known: Mapping[int, str], rule: Callable[[int], int | None]) -> None:
        super().__init__(known)
        self._rule = rule

    def __missing__(self, code: int) -> int | None:
        found = self[code] = self._rule(code)
        return found


@cache
def _drops(snapshots: Snapshots) -> _Table:
    """What rules 2 and 3 drop or make a space."""

    def rule(code: int) -> int | None:
        dropped = (
            unicodedata.category(chr(code)) in _DROPPED_CATEGORIES
            or any(first <= code <= last for first, last in _DIACRITICS)
            or not is_assigned(chr(code), snapshots)
        )
        return None if dropped else code

    return _Table(_SPACES, rule)


@cache
def _confusables(name: str) -> _Table:
    prototypes = table(name)["prototypes"]
    return _Table(
        {ord(source): target for target, sources in prototypes.items() for source in sources},
        lambda code: code,
    )


def clip(text: str) -> str:
    """Return `text` cut as rule 1 says; lone surrogates may be left where nothing is cut."""
    if len(text) * 4 <= MAX_BYTES or (text.isascii() and len(text) <= MAX_BYTES):
        return text
    if text.isascii():
        return text[:MAX_BYTES]
    return text[:MAX_BYTES].encode("utf-8", "ignore")[:MAX_BYTES].decode("utf-8", "ignore")


def normalise(text: str, snapshots: Snapshots) -> str:
    """Return `text` as rules 1 to 3 leave it."""
    text = clip(text)
    if text.isascii():
        # Here rule 3 only drops controls; where there are none but line ends, tokens come out the same without it.
        return (text if text.isprintable() else text.translate(_drops(snapshots))).lower()
    text = text.translate(_drops(snapshots))
    if _FAR_FROM_LATIN.search(text):
        text = _long_runs().sub(r"\1", text)
    # Decomposed to be rid of diacritics that have composed letters, as TR39's skeleton does.
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFKD", text).translate(_drops(snapshots)))
    text = unicodedata.normalize("NFKC", text.casefold())
    return text.translate(_confusables(snapshots.confusables))


def tokens(text: str, snapshots: Snapshots) -> list[str]:
    """Return the tokens of a prompt, in order (rules 1 to 5).

    >>> from tocsin.indicators.snapshot_files import CURRENT
    >>> tokens("Sum up 12 pages of https://example.com/a in 3 lines", CURRENT)
    ['sum', 'up', '<num>', 'pages', 'of', 'https', 'example', 'com', 'a', 'in', '<num>', 'lines']
    """
    normal = normalise(text, snapshots)
    plain = normal.isascii()
    # Controls are gone by now, so three of them can stand for the masks until the tokens are found.
    masked, count = normal, 0
    if not plain or "@" in normal:
        masked, count = (_ascii_masked() if plain else _masked()).subn(_mark, normal)
    elif _ASCII_DIGIT.search(normal):
        masked, count = _ascii_numbers().subn(_mark, normal)
    found: list[str] = (_ASCII_TOKEN if plain else _token()).findall(masked)[:MAX_TOKENS]
    return [_MASK_NAMES.get(each, each) for each in found] if count else found


class Tokeniser(dict[str, tuple[str, ...]]):
    """Tokens as `tokens` finds them, faster: it remembers those of the parts between spaces.

    No rule looks beyond white space, so the tokens of a text are those of its parts, one after the other.
    """

    def __init__(self, snapshots: Snapshots) -> None:
        super().__init__()
        self._snapshots = snapshots

    def __missing__(self, part: str) -> tuple[str, ...]:
        found = tuple(tokens(part, self._snapshots))
        if len(part) <= _LONGEST_KNOWN:
            self[part] = found
        return found

    def tokens(self, text: str) -> list[str]:
        """Return the tokens of a prompt, in order (rules 1 to 5)."""
        if len(self) >= _MAX_KNOWN:
            self.clear()
        return list(itertools.chain.from_iterable(map(self.__getitem__, clip(text).split())))[:MAX_TOKENS]


_MARKS = {name: f" {chr(number)} " for number, (name, _) in enumerate(_MASKS, 1)}
_MASK_NAMES = {chr(number): f"<{name}>" for number, (name, _) in enumerate(_MASKS, 1)}


def _mark(found: re.Match[str]) -> str:
    return _MARKS[found.lastgroup or ""]
