"""Prompts with known templates, accounts made of them, and what a hostile operator does to its prompts.

1. Real prompts where the files are (`--templated`, `--benign`), else a few of our own.
2. A template's reference is what at least 90 % of all its prompts share, found without the skeleton search.
3. Long templates are two real ones after another: few of the given ones
   have the 32 shingles that bands need.
4. Everything is drawn from one seeded generator.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random  # noqa: TID251 - a measurement repeats under its seed

from measure import ROOT

from tocsin.indicators.ptf2.bands import BANDS, MIN_SHINGLES, ROWS, minima
from tocsin.indicators.ptf2.common_list import shipped
from tocsin.indicators.ptf2.shingles import Shingler
from tocsin.indicators.ptf2.skeleton import find_blocks
from tocsin.indicators.ptf2.template import judge, judged
from tocsin.indicators.snapshot_files import CURRENT

PROMPTS = ROOT.parent / "shared" / "data" / "prompts"
COMMON = shipped(CURRENT.common_prompts)
SHINGLER = Shingler(CURRENT)

_OWN = tuple(
    f"{opening} {{}} for the {field} archive. {middle} Close with one line that begins with {mark}, nothing after it."
    for opening, field, middle, mark in (
        (
            "Draft an exam question on",
            "physics",
            "Reason in numbered steps, none longer than thirty words.",
            "RESULT",
        ),
        (
            "Invent a dialogue about",
            "drama",
            "Two speakers take turns, eight turns each, without stage directions.",
            "CURTAIN",
        ),
        (
            "Compile a glossary of",
            "law",
            "Define every term twice, once for judges and once for laymen.",
            "CITED",
        ),
        (
            "Describe a failure of",
            "engineering",
            "Name the part that broke, the load it bore, and who noticed.",
            "CAUSE",
        ),
    )
)
_TOPICS = tuple(f"{one} {two}" for one in ("river", "glass", "paper", "winter", "copper") for two in (
    "bridges", "markets", "songs", "treaties", "engines", "gardens", "letters", "storms"))  # fmt: skip

Skeleton = frozenset[int]
LONG = 40
"""Shingles of a long template: with a fifth of them lost to noise it still reaches the 32 that bands need."""


@dataclass(frozen=True)
class Prints:
    """What an account publishes: its exact skeletons, and those that have bands."""

    exact: frozenset[Skeleton]
    banded: tuple[Skeleton, ...]

    @cached_property
    def bands(self) -> list[set[tuple[int, ...]]]:
        """The bands of each banded skeleton, with their numbers."""
        return [set(bands_of(each)) for each in self.banded]


def bands_of(skeleton: Skeleton, bands: int = BANDS, rows: int = ROWS) -> list[tuple[int, ...]]:
    """Return a skeleton's bands as (number, minima…)."""
    return [(band, *values) for band, values in enumerate(minima(skeleton, bands, rows))]


def prints(prompts: Sequence[str]) -> Prints:
    """Fingerprint an account as the product does: skeletons, levels, judgement."""
    exact: set[Skeleton] = set()
    banded: list[Skeleton] = []
    for each in judged(find_blocks([SHINGLER.hashes(prompt) for prompt in prompts]), COMMON):
        if each.refusal is None:
            exact.add(each.shingles)
            if each.banded and len(each.shingles) >= MIN_SHINGLES:
                banded.append(each.shingles)
    return Prints(frozenset(exact), tuple(banded))


def agreeing(one: Prints, two: Prints) -> int:
    """Return the most bands that two skeletons of the accounts share."""
    return max((len(a & b) for a in one.bands for b in two.bands), default=0)


class Corpus:
    """Prompts by template, prompts that people wrote, and words to substitute."""

    def __init__(self, templated: Path | None, benign: Path | None) -> None:
        self.own = templated is None
        self.templates = _own() if templated is None else _by_template(templated)
        self.benign = (
            [each.format(topic) for each in _OWN for topic in _TOPICS] if benign is None else _benign(benign)
        )
        self.words = sorted({word for text in self.benign for word in text.split() if word.isalpha()})

    @cached_property
    def references(self) -> dict[str, Skeleton]:
        """What 90 % of each template's prompts share (rule 2)."""
        found = {}
        for name, rows in self.templates.items():
            counts = Counter(shingle for row in rows for shingle in SHINGLER.hashes(row))
            found[name] = frozenset(each for each, count in counts.items() if count >= 0.9 * len(rows))
        return found

    @cached_property
    def eligible(self) -> list[str]:
        """Templates whose reference is one that would be shared, with 40 prompts or more."""
        return [
            name
            for name, reference in self.references.items()
            if judge(reference, COMMON) is None and len(self.templates[name]) >= 40
        ]

    def related(self, one: str, two: str) -> bool:
        """Say whether two templates have a fifth of the shorter reference in common: variants of one template."""
        a, b = self.references[one], self.references[two]
        return len(a & b) * 5 >= min(len(a), len(b))

    def long_templates(self, random: Random, count: int) -> dict[str, list[str]]:
        """Templates of 32 shingles and more: two real ones joined row by row (rule 3)."""
        found: dict[str, list[str]] = {}
        for _ in range(200 * count):
            one, two = random.sample(self.eligible, 2)
            size = len(self.references[one]) + len(self.references[two])
            if size >= LONG and not self.related(one, two):
                pairs = zip(self.templates[one], self.templates[two], strict=False)
                found[f"{one} + {two}"] = [f"{a}\n{b}" for a, b in pairs]
            if len(found) == count:
                break
        return found

    def alone(self) -> dict[str, list[str]]:
        """The eligible templates as they are."""
        return {name: self.templates[name] for name in self.eligible}


def halves(rows: Sequence[str], each: int, random: Random) -> tuple[list[str], list[str]]:
    """Return the prompts of two accounts: `each` rows, none in both."""
    drawn = random.sample(rows, 2 * each)
    return drawn[:each], drawn[each:]


Variation = Callable[[list[str], Random, Sequence[str]], list[str]]
"""Rewrites an account's prompts; is given words to put in."""

_LOOK = str.maketrans("aceopxyijs", "асеорхуіјѕ")


def _each(change: Callable[[str, Random], str]) -> Variation:
    return lambda prompts, random, _: [change(prompt, random) for prompt in prompts]


def _at_random(change: Callable[[str], str], share: float) -> Variation:
    return _each(lambda text, random: "".join(change(c) if random.random() < share else c for c in text))


def _shuffled(text: str, random: Random) -> str:
    parts = text.replace("\n", ". ").split(". ")
    random.shuffle(parts)
    return ". ".join(parts)


def _substituted(share: float) -> Variation:
    def change(prompts: list[str], random: Random, words: Sequence[str]) -> list[str]:
        return [
            " ".join(random.choice(words) if random.random() < share else word for word in prompt.split())
            for prompt in prompts
        ]

    return change


def _rewritten(share: float) -> Variation:
    def change(prompts: list[str], random: Random, words: Sequence[str]) -> list[str]:
        other: dict[str, str] = {}
        for prompt in prompts:
            for word in prompt.split():
                other.setdefault(word, random.choice(words) if random.random() < share else word)
        return [" ".join(other[word] for word in prompt.split()) for prompt in prompts]

    return change


def _padded(prompts: list[str], random: Random, words: Sequence[str]) -> list[str]:
    def filler() -> str:
        return " ".join(random.choices(words, k=random.randint(5, 40)))

    return [f"{filler()}\n{prompt}\n{filler()}" for prompt in prompts]


VARIATIONS: Mapping[str, Variation] = {
    "none": lambda prompts, _random, _words: prompts,
    "homoglyphs": _at_random(lambda c: c.translate(_LOOK), 0.5),
    "zero-width": _at_random(lambda c: c + "\u200b", 0.3),
    "case": _at_random(str.swapcase, 0.3),
    "punctuation": _each(lambda text, random: text.replace(" ", random.choice((", ", " - ", "; ", " … ")))),
    "padding": _padded,
    "sentence shuffle": _each(_shuffled),
    **{f"{share} % substituted per prompt": _substituted(share / 100) for share in (10, 20, 30)},
    **{f"{share} % rewritten per account": _rewritten(share / 100) for share in (10, 20, 30)},
}


def _own() -> dict[str, list[str]]:
    return {f"own {number}": [each.format(topic) for topic in _TOPICS] for number, each in enumerate(_OWN)}


def _lines(path: Path) -> list[dict[str, str]]:
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _by_template(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for row in _lines(path):
        found[row["template"]].append(row["prompt"])
    return dict(found)


def _benign(path: Path) -> list[str]:
    return [row["prompt"] for row in _lines(path)]
