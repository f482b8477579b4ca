"""How well `ptf2` links accounts of one template and keeps apart all others, on prompts whose templates are known.

1. Accounts are fingerprinted by the product at its defaults, the two of a pair as customers of two providers with keys
   of their own. A pair is linked if an exact token is the same or τ bands agree.
2. Every figure is of templates that no threshold was chosen on (`--part`).
3. Both rivals are given the same pairs in the same run. The embedding is slow: of a case it is given ten pairs, five of
   mixes, and only with `--embedding`, an interpreter of the environment of `requirements-embedding.txt`.
4. `--templated` takes JSON lines with `template` and `prompt`, `--benign` with `prompt`. `--page` writes the table and
   the picture of docs/fingerprint.md.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random  # noqa: TID251 - a measurement repeats under its seed

import fingerprint_page
import measure
from fingerprint_cases import (
    Pair,
    addressed,
    behind_two,
    between,
    boilerplate,
    fenced,
    framework_operators,
    framework_users,
    mixed,
    one_conversation,
    opened,
    operators,
    rare,
    single_users,
    split,
    system_prompts,
)
from fingerprint_rivals import Embedding, minhash_lsh
from inverting import Dictionary, invert
from prompt_accounts import (
    ALL,
    EVALUATION,
    PROMPTS,
    TUNING,
    Account,
    Corpus,
    Index,
    filtered,
    fingerprints,
    of_prompts,
)

from tocsin.indicators.ptf2 import bands

NAME = "fingerprint-quality"
MAX_SHORT = bands.LONG.least - 1
SHARES = tuple(range(0, 100, 10))
_EMBEDDED, _EMBEDDED_MIXES = 10, 5


class Quality:
    """One run: its figures so far, and what they are made with."""

    def __init__(self, embedding: Embedding | None) -> None:
        self.figures: list[measure.Figure] = []
        self.embedding = embedding

    def pairs(
        self,
        what: str,
        pairs: Sequence[Pair],
        least: float = 0.0,
        embedded: int = 0,
        extra: Mapping[str, float] | None = None,
    ) -> None:
        """Measure how many pairs are linked, by `ptf2` and by each rival."""
        sides = [
            fingerprints({str(number): pair[side] for number, pair in enumerate(pairs)}, key=side + 1)
            for side in (0, 1)
        ]
        both = [(sides[0][str(number)], sides[1][str(number)]) for number in range(len(pairs))]
        rates = {
            "by exact token": _share([bool(one.exact & two.exact) for one, two in both]),
            "MinHash-LSH over prompts": _share([minhash_lsh(*pair) for pair in pairs]),
        }
        if self.embedding is not None and embedded:
            rates["embedding"] = _share([self.embedding.linked(*pair) for pair in pairs[:embedded]])
        rate = _share([one.linked(two) for one, two in both])
        target = f"≥ {least:g}" if least else "none stated"
        self.add(
            what, rate, "of pairs", target, rate >= least, rates | {"pairs": len(pairs)} | dict(extra or {})
        )

    def strangers(
        self, what: str, accounts: Mapping[str, Account], related: Callable[[str, str], bool]
    ) -> None:
        """Measure how many pairs of accounts that have nothing to do with each other are linked."""
        prints = fingerprints(accounts)
        pairs = [(one, two) for one, two in itertools.combinations(accounts, 2) if not related(one, two)]
        false = sum(prints[one].linked(prints[two]) for one, two in pairs)
        more = {
            "pairs": float(len(pairs)),
            "accounts with a skeleton": sum(bool(account.exact) for account in prints.values()),
            "MinHash-LSH over prompts": sum(minhash_lsh(accounts[one], accounts[two]) for one, two in pairs),
        }
        if self.embedding is not None:
            more["embedding"] = sum(self.embedding.linked(accounts[one], accounts[two]) for one, two in pairs)
        self.add(what, false, "pairs", "0", false == 0, more)

    def add(
        self, what: str, value: float, unit: str, target: str, met: bool, more: Mapping[str, float]
    ) -> None:
        """Add a figure, and say that it is there."""
        self.figures.append(measure.Figure(what, unit, value, 0, 0, target, met, more))
        print(f"{NAME}: {what}: {value:.3f}", file=sys.stderr, flush=True)


def hit_users(corpus: Corpus, users: int, random: Random) -> dict[str, float]:
    """Return how many framework users are hit, through the local filter, by other users and by operators' reports."""
    pairs = framework_operators(corpus, corpus.lengthened(random), 10, random)
    sides = []
    for side in (0, 1):
        accounts = framework_users(corpus, users, random)
        accounts |= {f"operator {number}": pair[side] for number, pair in enumerate(pairs)}
        sides.append(filtered(fingerprints(accounts, key=side + 1)))
    here, there = sides
    index = Index(there)
    hits = {name: index.linked(prints) for name, prints in here.items() if name.startswith("user")}
    return {
        "by users": sum(any(name.startswith("user") for name in names) for names in hits.values()),
        "by operators": sum(any(name.startswith("operator") for name in names) for names in hits.values()),
        "users": users,
        "operators linked": _share(
            [here[f"operator {n}"].linked(there[f"operator {n}"]) for n in range(len(pairs))]
        ),
    }


def guessed(quality: Quality, corpus: Corpus, other: Corpus, budget: int, count: int) -> None:
    """Measure what an adversary recovers that has the prompts of other templates, and everyday ones."""
    dictionary = Dictionary([row for rows in other.templates.values() for row in rows[:20]] + corpus.benign)
    for banding, least, most in (
        (bands.SHORT, bands.SHORT.least, MAX_SHORT),
        (bands.LONG, bands.LONG.least, 9_999),
    ):
        targets = [
            reference
            for name in (corpus.eligible if banding is bands.SHORT else corpus.long_names)
            if least <= len(reference := corpus.reference(name)) <= most
        ][:count]
        loots = [
            invert(
                list(enumerate(bands.minima(target, banding.bands, banding.rows))),
                dictionary,
                budget,
                banding,
            )
            for target in targets
        ]
        opens = sum(loot.opens for loot in loots)
        quality.add(
            f"{banding.type}: records opened by a dictionary of other templates", opens, "records", "0", opens == 0,
            {
                "templates": len(loots), "evaluations each": budget,
                "bands guessed": sum(loot.bands for loot in loots),
            },
        )  # fmt: skip


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits) if hits else 0.0


def found(quality: Quality, corpus: Corpus, random: Random, smoke: bool) -> None:
    """Measure what should be found: templates by length, mixes, wrapped and moved and rewritten ones."""
    count, rounds = (2, 1) if smoke else (30, 6)
    alone = corpus.alone()
    every = {name: rows for name, rows in corpus.templates.items() if len(rows) >= 40}
    if smoke:
        alone, every = dict(list(alone.items())[:4]), dict(list(every.items())[:4])
    long_ones = corpus.long_templates(random, 60)
    some = dict(list(long_ones.items())[:count])
    own_parts = corpus.lengthened(random)
    base = operators(corpus, some, 10, random)
    measured = quality.pairs
    for exchanges, least in ((4, 0.875), (6, 0.98), (10, 0.97), (20, 1.0)):
        pairs = operators(corpus, alone, exchanges, random, rounds=rounds if exchanges < 10 else 2)
        measured(f"eligible templates, n = {exchanges}", pairs, least, _EMBEDDED)
    for exchanges in (4, 10):
        measured(f"all templates, n = {exchanges}", operators(corpus, every, exchanges, random))
    for least_size, most in ((1, 7), (8, 11), (12, MAX_SHORT), (MAX_SHORT + 1, 9_999)):
        names = [name for name in every if least_size <= len(corpus.references[name]) <= most]
        kept = {name: every[name] for name in names}
        words = f"{least_size} to {most}" if most < 9_999 else f"{least_size} or more"
        for exchanges in (4, 10):
            pairs = operators(corpus, kept, exchanges, random, rounds=2)
            measured(f"{words} shingles, n = {exchanges}", pairs, extra={"templates": len(kept)})
    measured("long templates, n = 4", operators(corpus, some, 4, random))
    measured("long templates, n = 10", base, embedded=_EMBEDDED)
    kinds = min(5, len(long_ones))
    pairs = mixed(corpus, long_ones, kinds, 0.8, random, count)
    measured("5 templates, 80 % noise, long", pairs, 0.70, _EMBEDDED_MIXES)
    measured(
        "3 templates, 50 % noise, short", mixed(corpus, alone, 3, 0.5, random, count), 0.84, _EMBEDDED_MIXES
    )
    for kinds, least in ((20, 0.9), (40, 0.6)):
        for name, templates in (("two real ones each", long_ones), ("no part in common", own_parts)):
            if len(templates) >= kinds:
                pairs = mixed(corpus, templates, kinds, 0.0, random, max(2, count // 2))
                measured(f"{kinds} templates evenly, {name}", pairs, least)
    measured("one prompt in 20 of the template", rare(corpus, some, 20, random, count))
    measured("one prompt in 100 of the template", rare(corpus, some, 100, random, max(2, count // 3)))
    measured("template inside a code fence", fenced(base), 0.98, _EMBEDDED)
    measured("template written as an address", addressed(base))
    measured("invented first turn", opened(corpus, base, random), 0.95, _EMBEDDED)
    measured("one first turn for all, no session ids", opened(corpus, base, random, constant=True))
    measured("split over two turns, no session ids", split(base), 0.90, _EMBEDDED)
    measured("split, its constant words first, no session ids", split(base, constant_first=True))
    measured("system prompt with one own word per account", system_prompts(corpus, random, count), 0.95)
    measured("system prompt, 10 % rewritten per account", system_prompts(corpus, random, count, 10))
    for name in ("homoglyphs", "zero-width", "case", "punctuation", "padding", "sentence shuffle"):
        embedded = _EMBEDDED if name == "homoglyphs" else 0
        measured(f"long, {name}", operators(corpus, some, 10, random, name), 0.0, embedded)
    for name, least in (
        ("10 % substituted per prompt", 0.9), ("20 % substituted per prompt", 0.0),
        ("30 % substituted per prompt", 0.0), ("10 % rewritten per account", 0.9),
        ("20 % rewritten per account", 0.7), ("30 % rewritten per account", 0.0),
    ):  # fmt: skip
        pairs = operators(corpus, some, 10, random, name, rounds=2)
        measured(f"long, {name}", pairs, least, 0 if name.startswith("10") else _EMBEDDED)
    short = {
        name: alone[name] for name in alone if bands.SHORT.least <= len(corpus.references[name]) <= MAX_SHORT
    }
    name = "10 % rewritten per account"
    pairs = operators(corpus, short, 10, random, name, rounds=4)
    measured(f"{bands.SHORT.least} to {MAX_SHORT} shingles, {name}", pairs, 0.45, _EMBEDDED)
    measured("one session id for all requests", one_conversation(base))
    measured("three session ids for all requests", one_conversation(base, 3))
    measured("template between two invented turns", between(corpus, base, random))
    measured("two invented turns, the same in all, no session ids", behind_two(base))


def confused(quality: Quality, corpus: Corpus, random: Random, seed: int, smoke: bool) -> None:
    """Measure what should not be found: innocents, strangers, and what has text in common."""
    count, users = (2, 20) if smoke else (30, 1_000)
    own_parts = corpus.lengthened(random)
    draws = [hit_users(corpus, users, Random(seed + draw)) for draw in range(1 if smoke else 3)]
    for who, most in (("by users", 110), ("by operators", 0)):
        hits = [draw[who] for draw in draws]
        more = {
            "draws": len(draws), "fewest": min(hits), "mean": statistics.fmean(hits), "users": users,
            "operators linked": statistics.fmean(draw["operators linked"] for draw in draws),
        }  # fmt: skip
        quality.add(f"framework users hit {who}", max(hits), "users", f"≤ {most}", max(hits) <= most, more)
    templates = list(corpus.alone().items())[: 4 if smoke else None]
    accounts: dict[str, Account] = {name: of_prompts(random.sample(rows, 20)) for name, rows in templates}
    quality.strangers("unrelated templates linked", accounts, corpus.related)
    plain = single_users(corpus, random)
    quality.strangers("plain single users linked", plain, lambda _one, _two: False)
    for share in SHARES:
        pairs = boilerplate(corpus, own_parts, share / 100, random, count)
        quality.pairs(f"other templates, {share} % of their words in common", pairs, embedded=_EMBEDDED)


def main() -> None:
    """Measure and print."""
    parser = measure.arguments(NAME, __doc__ or "")
    parser.add_argument("--templated", type=Path, default=PROMPTS / "templated.jsonl.gz")
    parser.add_argument("--benign", type=Path, default=PROMPTS / "benign.jsonl.gz")
    parser.add_argument("--part", choices=(EVALUATION, TUNING, ALL), default=EVALUATION)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--embedding", type=Path, metavar="PYTHON")
    parser.add_argument(
        "--page", action="store_true", help="write the table and picture of docs/fingerprint.md"
    )
    options = parser.parse_args()
    random = Random(options.seed)
    templated, benign = (path if path.exists() else None for path in (options.templated, options.benign))
    corpus = Corpus(templated, benign, options.part)
    other = Corpus(templated, benign, TUNING if options.part == EVALUATION else EVALUATION)
    embedding = None if options.embedding is None else Embedding(options.embedding)
    if embedding is not None:
        chosen: dict[str, Account] = {
            name: of_prompts(random.sample(rows, 10)) for name, rows in other.alone().items()
        }
        embedding.choose(chosen, other.related)
    quality = Quality(embedding)
    found(quality, corpus, random, options.smoke)
    confused(quality, corpus, random, options.seed, options.smoke)
    guessed(quality, corpus, other, 20_000 if options.smoke else 500_000, 1 if options.smoke else 5)
    if embedding is not None:
        embedding.close()
    about = {
        "own_prompts": corpus.own, "templates": len(corpus.templates), "eligible": len(corpus.eligible),
        "seed": options.seed, "embedding_threshold": round(embedding.threshold, 3) if embedding else None,
    }  # fmt: skip
    if options.page:
        fingerprint_page.write(quality.figures, about)
    measure.tell(
        NAME, quality.figures, samples=len(quality.figures), cpu_seconds=time.process_time(),
        peak=measure.peak_mib(), more=about,
    )  # fmt: skip


if __name__ == "__main__":
    main()
