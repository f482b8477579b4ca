"""Prompts with known templates, accounts made of them, and what a hostile operator does to its prompts.

1. Real prompts where the files are (`--templated`, `--benign`), else a few of our own.
2. Templates are split by a hash of the data set that they come from: thresholds are chosen on `TUNING`, and figures are
   of `EVALUATION`, whose templates were not looked at.
3. A template's reference is what at least 90 % of all its prompts share, found without the skeleton search.
4. Long templates are two real ones after another: few of the given ones have the 32 shingles that long bands need.
5. Accounts are fingerprinted by the product: its sampler, its search, its judgement, its local filter, at its defaults.
6. Everything is drawn from one seeded generator.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from pathlib import Path
from random import Random  # noqa: TID251 - a measurement repeats under its seed
from tempfile import TemporaryDirectory

from measure import ROOT

from tocsin.indicators.ptf2.bands import BANDINGS
from tocsin.indicators.ptf2.common_list import shipped
from tocsin.indicators.ptf2.shingles import Shingler
from tocsin.indicators.ptf2.template import judge, read_skeleton
from tocsin.indicators.registry import observable
from tocsin.indicators.snapshot_files import CURRENT
from tocsin.ingest.account_indicators import IndicatorBuilder, Settings, Tally
from tocsin.ingest.exchange import Exchange
from tocsin.ingest.local_filter import LOCAL_PERCENT, ShingleCounts, local_shingles, without_local
from tocsin.ingest.sampling import DEFAULT_K, DEFAULT_WINDOW_DAYS, Sampler
from tocsin.ingest.spilling import KEY_BYTES, PARTITIONS, Spill

PROMPTS = ROOT.parent / "shared" / "data" / "prompts"
COMMON = shipped(CURRENT.common_prompts)
SHINGLER = Shingler(CURRENT)
TUNING, EVALUATION, ALL = "tuning", "evaluation", "all"

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
class Request:
    """One request: its user turns, its system prompt, and the conversation that the log names, if any."""

    turns: tuple[str, ...]
    system: str = ""
    conversation: str = ""


Account = Sequence[Request]


def of_prompts(prompts: Sequence[str]) -> list[Request]:
    """Return an account of one conversation for each prompt."""
    return [Request((prompt,), conversation=str(number)) for number, prompt in enumerate(prompts)]


@dataclass(frozen=True)
class Prints:
    """What an account publishes: its exact tokens, and the bands of each skeleton that has some, by their type."""

    exact: frozenset[tuple[str, bytes]] = frozenset()
    banded: tuple[tuple[str, frozenset[bytes]], ...] = ()
    skeletons: tuple[tuple[str, str], ...] = ()
    """Type and text of each skeleton."""

    def linked(self, other: Prints) -> bool:
        """Say whether a federation would link both."""
        return bool(self.exact & other.exact) or self.by_bands(other)

    def without_local(self, local: frozenset[int]) -> Prints:
        """Return what is published once the provider's local shingles are out."""
        kept = [(type, without_local(type, text, local, COMMON)[0]) for type, text in self.skeletons]
        return prints_of([(type, text) for type, text in kept if text])

    def by_bands(self, other: Prints) -> bool:
        """Say whether τ bands of two skeletons agree."""
        return any(
            kind == type and len(bands & others) >= BANDINGS[type].threshold
            for type, bands in self.banded
            for kind, others in other.banded
        )


@lru_cache(maxsize=1 << 16)
def _tokens(type: str, text: str) -> tuple[bytes, str, frozenset[bytes]]:
    made = observable(type, text)
    band_type = made.bands[0].type if made.bands else ""
    return made.canonical, band_type, frozenset(band.canonical for band in made.bands)


def prints_of(skeletons: Sequence[tuple[str, str]]) -> Prints:
    """Return what skeletons, as type and text, publish."""
    exact, banded = set(), []
    for type, text in skeletons:
        canonical, band_type, bands = _tokens(type, text)
        exact.add((type, canonical))
        if bands:
            banded.append((band_type, bands))
    return Prints(frozenset(exact), tuple(banded), tuple(skeletons))


def fingerprints(accounts: Mapping[str, Account], k: int = DEFAULT_K, key: int = 1) -> dict[str, Prints]:
    """Fingerprint a provider's accounts as `tocsin ingest` does (rule 5), without the local filter.

    `key` numbers the provider: another one samples other conversations.
    """
    secret = bytes([key]) * KEY_BYTES
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in accounts}
    with TemporaryDirectory() as scratch:
        spill = Spill(Path(scratch), 0, secret)
        sampler = Sampler(secret, spill, k, DEFAULT_WINDOW_DAYS)
        sampler.take(_exchanges(accounts))
        sampler.flush()
        spill.close()
        builder = IndicatorBuilder(Settings(secret, k, DEFAULT_WINDOW_DAYS, COMMON))
        for partition in range(PARTITIONS):
            for row in builder.partition(partition, (Path(scratch), secret), Tally()):
                found[row.account].append((row.type, row.value))
    return {name: prints_of(skeletons) for name, skeletons in found.items()}


def filtered(prints: Mapping[str, Prints], percent: float = LOCAL_PERCENT) -> dict[str, Prints]:
    """Return what a provider's accounts publish after its local filter, which the accounts themselves decide."""
    counts = ShingleCounts()
    for account in prints.values():
        counts.add([frozenset(read_skeleton(type, text)[1]) for type, text in account.skeletons])
    local = local_shingles([counts.frequent()], len(prints), percent)
    return {name: account.without_local(local) for name, account in prints.items()}


def _exchanges(accounts: Mapping[str, Account]) -> Iterator[Exchange]:
    for name, account in accounts.items():
        for number, request in enumerate(account):
            last = request.turns[-1]
            yield Exchange(
                account=name,
                conversation=request.conversation,
                time=1_780_000_000 + number,
                system=request.system or None,
                first_user_turn=request.turns[0],
                last_user_turn=last if last != request.turns[0] else None,
                user_turns=len(request.turns),
            )


def _part(name: str) -> str:
    # Variants of one data set's template have words in common, so they go together.
    family = "_".join(name.split("_")[:2])
    return TUNING if sha256(family.encode()).digest()[0] & 1 else EVALUATION


class Index:
    """A provider's accounts by what they publish."""

    def __init__(self, prints: Mapping[str, Prints]) -> None:
        self._exact: dict[tuple[str, bytes], set[str]] = defaultdict(set)
        self._bands: dict[tuple[str, bytes], set[tuple[str, int]]] = defaultdict(set)
        for name, account in prints.items():
            for token in account.exact:
                self._exact[token].add(name)
            for number, (type, values) in enumerate(account.banded):
                for band in values:
                    self._bands[type, band].add((name, number))

    def linked(self, account: Prints) -> set[str]:
        """Return the accounts that one is linked to."""
        names = {name for token in account.exact for name in self._exact.get(token, ())}
        for type, values in account.banded:
            counts = Counter(place for band in values for place in self._bands.get((type, band), ()))
            names |= {name for (name, _), count in counts.items() if count >= BANDINGS[type].threshold}
        return names


class Corpus:
    """Prompts by template, prompts that people wrote, and words to substitute."""

    def __init__(self, templated: Path | None, benign: Path | None, part: str = EVALUATION) -> None:
        self.own = templated is None
        every = _own() if templated is None else _by_template(templated)
        whole = self.own or part == ALL
        self.templates = {name: rows for name, rows in every.items() if whole or _part(name) == part}
        self.benign = _own_benign() if benign is None else _benign(benign)
        self.words = sorted({word for text in self.benign for word in text.split() if word.isalpha()})

    @cached_property
    def references(self) -> dict[str, Skeleton]:
        """What 90 % of each template's prompts share (rule 2)."""
        found = {}
        for name, rows in self.templates.items():
            counts = Counter(shingle for row in rows for shingle in SHINGLER.hashes(row))
            found[name] = frozenset(item for item, count in counts.items() if count >= 0.9 * len(rows))
        return found

    @cached_property
    def eligible(self) -> list[str]:
        """Templates whose reference is one that would be shared, with 40 prompts or more."""
        return [
            name
            for name, reference in self.references.items()
            if judge(reference, COMMON) is None and len(self.templates[name]) >= 40
        ]

    def reference(self, name: str) -> Skeleton:
        """Return the reference of a template, or of a long one: that of both its parts."""
        return frozenset().union(*(self.references[part] for part in name.split(" + ")))

    @property
    def long_names(self) -> list[str]:
        """The names of a few long templates."""
        return list(self.long_templates(Random(1), 12))

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

    def lengthened(self, random: Random) -> dict[str, list[str]]:
        """Every template with 40 words that somebody wrote behind it, others for each: no two have a part in common."""
        texts = [words for text in self.benign if len(words := text.split()) >= 40]
        pairs = zip(
            self.templates.items(), random.sample(texts, min(len(texts), len(self.templates))), strict=False
        )
        return {
            name: [f"{row}\n{' '.join(words[:40])}" for row in rows]
            for (name, rows), words in pairs
            if len(rows) >= 40
        }

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
    return {
        f"own {number}": [prompt.format(topic) for topic in _TOPICS] for number, prompt in enumerate(_OWN)
    }


def _lines(path: Path) -> list[dict[str, str]]:
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _by_template(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for row in _lines(path):
        found[row["template"]].append(row["prompt"])
    return dict(found)


def _own_benign() -> list[str]:
    """Short prompts of our own, and long ones that join them, so that every case can be tried without the files."""
    short = [prompt.format(topic) for prompt in _OWN for topic in _TOPICS]
    return short + [" ".join(prompt.format(topic) for prompt in _OWN) for topic in _TOPICS]


def _benign(path: Path) -> list[str]:
    return [row["prompt"] for row in _lines(path)]
