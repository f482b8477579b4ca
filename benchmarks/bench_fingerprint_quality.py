"""How well `ptf2` links accounts of one template and keeps apart all others, on prompts whose templates are known.

Accounts are fingerprinted by the product at its defaults, the two of a pair as customers of two providers with keys of
their own. A pair is linked if an exact token is the same or τ bands agree. Every figure is of templates that no
threshold was chosen on (`--part`). `--templated` takes JSON lines with `template` and `prompt`, `--benign` with
`prompt`.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random  # noqa: TID251 - a measurement repeats under its seed

import measure
from fingerprint_cases import (
    Pair,
    addressed,
    boilerplate,
    fenced,
    framework_operators,
    framework_users,
    mixed,
    opened,
    operators,
    single_users,
    split,
    system_prompts,
)
from fingerprint_rivals import minhash_lsh
from inverting import Dictionary, invert
from prompt_accounts import (
    ALL,
    EVALUATION,
    PROMPTS,
    TUNING,
    Corpus,
    Index,
    Prints,
    filtered,
    fingerprints,
    of_prompts,
)

from tocsin.indicators.ptf2 import bands

NAME = "fingerprint-quality"
MAX_SHORT = bands.LONG.least - 1


def linked(pairs: Sequence[Pair]) -> dict[str, float]:
    """Return how many pairs are linked: by an exact token, by either, and by the rival."""
    sides = [
        fingerprints({str(number): pair[side] for number, pair in enumerate(pairs)}, key=side + 1)
        for side in (0, 1)
    ]
    both = [(sides[0][str(number)], sides[1][str(number)]) for number in range(len(pairs))]
    return {
        "linked": _share([one.linked(two) for one, two in both]),
        "by exact token": _share([bool(one.exact & two.exact) for one, two in both]),
        "MinHash-LSH over prompts": _share([minhash_lsh(*pair) for pair in pairs]),
        "pairs": len(pairs),
    }


def false_links(accounts: Mapping[str, Prints], related: Callable[[str, str], bool]) -> tuple[int, int]:
    """Return the pairs of unrelated accounts, and how many are linked."""
    pairs = [(one, two) for one, two in itertools.combinations(accounts, 2) if not related(one, two)]
    return len(pairs), sum(accounts[one].linked(accounts[two]) for one, two in pairs)


def hit_users(
    corpus: Corpus, templates: Mapping[str, Sequence[str]], users: int, random: Random
) -> dict[str, float]:
    """Return how many framework users are hit, through the local filter, by other users and by operators' reports."""
    pairs = framework_operators(corpus, templates, 10, random)
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


def guessed(corpus: Corpus, other: Corpus, budget: int, count: int) -> list[measure.Figure]:
    """Return what an adversary recovers that has the prompts of other templates, and everyday ones."""
    dictionary = Dictionary([row for rows in other.templates.values() for row in rows[:20]] + corpus.benign)
    figures = []
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
        figures.append(
            _figure(
                f"{banding.type}: records opened by a dictionary of other templates", opens, "records", "0", opens == 0,
                {
                    "templates": len(loots), "evaluations each": budget,
                    "bands guessed": sum(loot.bands for loot in loots),
                },
            )
        )  # fmt: skip
    return figures


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits) if hits else 0.0


def _figure(
    what: str, value: float, unit: str, target: str, met: bool, more: Mapping[str, float]
) -> measure.Figure:
    return measure.Figure(what, unit, value, 0, 0, target, met, more)


def main() -> None:
    """Measure and print."""
    parser = measure.arguments(NAME, __doc__ or "")
    parser.add_argument("--templated", type=Path, default=PROMPTS / "templated.jsonl.gz")
    parser.add_argument("--benign", type=Path, default=PROMPTS / "benign.jsonl.gz")
    parser.add_argument("--part", choices=(EVALUATION, TUNING, ALL), default=EVALUATION)
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    random = Random(options.seed)
    templated, benign = (path if path.exists() else None for path in (options.templated, options.benign))
    corpus = Corpus(templated, benign, options.part)
    count = 2 if options.smoke else 30
    users = 20 if options.smoke else 1_000
    alone = corpus.alone()
    if options.smoke:
        alone = dict(list(alone.items())[:4])
    every = {name: rows for name, rows in corpus.templates.items() if len(rows) >= 40}
    long_ones = corpus.long_templates(random, 60)
    some = dict(list(long_ones.items())[:count])
    own_parts = corpus.lengthened(random)
    short = {
        name: alone[name] for name in alone if bands.SHORT.least <= len(corpus.references[name]) <= MAX_SHORT
    }
    base = operators(corpus, some, 10, random)
    figures: list[measure.Figure] = []

    def measured(what: str, pairs: Sequence[Pair], least: float = 0.0) -> None:
        rates = linked(pairs)
        rate = rates.pop("linked")
        target = f"≥ {least:g}" if least else "none stated"
        figures.append(_figure(what, rate, "of pairs", target, rate >= least, rates))
        print(f"{NAME}: {what}: {rate:.3f}", file=sys.stderr, flush=True)

    for exchanges, least in ((4, 0.875), (6, 0.98), (10, 0.97), (20, 1.0)):
        measured(
            f"eligible templates, n = {exchanges}",
            operators(corpus, alone, exchanges, random, rounds=2),
            least,
        )
    measured("all templates, n = 10", operators(corpus, every if not options.smoke else alone, 10, random))
    measured("long templates, n = 4", operators(corpus, some, 4, random))
    measured("long templates, n = 10", base)
    measured(
        "5 templates, 80 % noise, long",
        mixed(corpus, long_ones, min(5, len(long_ones)), 0.8, random, count),
        0.70,
    )
    measured("3 templates, 50 % noise, short", mixed(corpus, alone, 3, 0.5, random, count), 0.84)
    for kinds, least in ((20, 0.9), (40, 0.6)):
        for name, templates in (("two real ones each", long_ones), ("no part in common", own_parts)):
            if len(templates) >= kinds:
                pairs = mixed(corpus, templates, kinds, 0.0, random, max(2, count // 2))
                measured(f"{kinds} templates evenly, {name}", pairs, least)
    measured("template inside a code fence", fenced(base), 0.98)
    measured("template written as an address", addressed(base))
    measured("invented first turn", opened(corpus, base, random), 0.95)
    measured("one first turn for all, no session ids", opened(corpus, base, random, constant=True))
    measured("split over two turns, no session ids", split(base), 0.90)
    measured("split, its constant words first, no session ids", split(base, constant_first=True))
    measured("system prompt with one own word per account", system_prompts(corpus, random, count), 0.95)
    measured("system prompt, 10 % rewritten per account", system_prompts(corpus, random, count, 10))
    for name in ("homoglyphs", "zero-width", "case", "punctuation", "padding", "sentence shuffle"):
        measured(f"long, {name}", operators(corpus, some, 10, random, name))
    for name, least in (
        ("10 % substituted per prompt", 0.9), ("20 % substituted per prompt", 0.0),
        ("30 % substituted per prompt", 0.0), ("10 % rewritten per account", 0.9),
        ("20 % rewritten per account", 0.7), ("30 % rewritten per account", 0.0),
    ):  # fmt: skip
        measured(f"long, {name}", operators(corpus, some, 10, random, name, rounds=2), least)
    name = "10 % rewritten per account"
    measured(
        f"{bands.SHORT.least} to {MAX_SHORT} shingles, {name}",
        operators(corpus, short, 10, random, name, rounds=4),
        0.45,
    )
    users_hit = hit_users(corpus, own_parts, users, random)
    for who, most in (("by users", 110), ("by operators", 0)):
        value = users_hit[who]
        figures.append(
            _figure(f"framework users hit {who}", value, "users", f"≤ {most}", value <= most, users_hit)
        )
    strangers = fingerprints({name: of_prompts(random.sample(rows, 20)) for name, rows in alone.items()})
    compared, false = false_links(strangers, corpus.related)
    figures.append(
        _figure("unrelated templates linked", false, "pairs", "0", false == 0, {"pairs": compared})
    )
    plain = fingerprints(single_users(corpus, random))
    compared, false = false_links(plain, lambda _one, _two: False)
    with_one = sum(bool(account.exact) for account in plain.values())
    figures.append(
        _figure(
            "plain single users linked", false, "pairs", "0", false == 0,
            {"pairs": compared, "accounts with a skeleton": with_one},
        )
    )  # fmt: skip
    for share in (10, 30, 50, 70, 90):
        pairs = boilerplate(corpus, own_parts, share / 100, random, count)
        figures.append(
            _figure(
                f"other templates, {share} % of their words in common", linked(pairs)["linked"], "of pairs",
                "none stated", True, {"pairs": len(pairs)},
            )
        )  # fmt: skip
    budget = 20_000 if options.smoke else 500_000
    other = Corpus(templated, benign, TUNING if options.part == EVALUATION else EVALUATION)
    figures += guessed(corpus, other, budget, 1 if options.smoke else 5)
    measure.tell(
        NAME,
        figures,
        samples=len(figures),
        cpu_seconds=time.process_time(),
        peak=measure.peak_mib(),
        more={
            "own_prompts": corpus.own, "templates": len(corpus.templates), "eligible": len(corpus.eligible),
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
